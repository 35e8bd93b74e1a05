"""Credentials for a partner's program: `manage.py add_client tokopedia --scopes purchases:read purchases:write`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from oauth2_provider.generators import generate_client_secret

from partners.auth import scopes_of
from partners.models import Client, Partner
from partners.scopes import Scope


class Command(BaseCommand):
    help = "Make credentials for a program of a partner's; the secret is shown once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("code", help="the partner's")
        parser.add_argument("--scopes", nargs="+", required=True, metavar="SCOPE", choices=[scope.value for scope in Scope])
        parser.add_argument("--name", default="", help="what the program is called")

    def handle(self, *args: Any, **options: Any) -> None:
        partner = Partner.objects.filter(pk=options["code"]).first()
        if partner is None:
            raise CommandError(f"There is no partner {options['code']}: see add_partner.")
        if others := set(options["scopes"]).difference(scopes_of(partner)):
            raise CommandError(f"This is not of {partner}'s part: {' '.join(sorted(others))}")
        secret = generate_client_secret()
        client = Client.objects.create(
            partner=partner, name=options["name"], scopes=sorted(set(options["scopes"])), client_secret=secret
        )
        self.stdout.write(f"client_id: {client.client_id}\nclient_secret (shown once): {secret}")

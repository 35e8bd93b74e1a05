"""Take an organisation on as a partner: `manage.py add_partner tokopedia --name Tokopedia --platform`."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from partners import keys
from partners.models import Partner, Secret


class Command(BaseCommand):
    help = "Take an organisation on as a partner, or change its name and parts; a new one's sign key is shown once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("code", help="small letters, digits, - and _; also the client_code of its signed calls")
        parser.add_argument("--name", required=True)
        parser.add_argument("--platform", action="store_true", help="it sells trainings")
        parser.add_argument("--provider", action="store_true", help="it gives trainings")
        parser.add_argument("--payer", action="store_true", help="it pays incentives")
        parser.add_argument("--inactive", action="store_true", help="none of its calls is taken any more")

    def handle(self, *args: Any, **options: Any) -> None:
        partner = Partner(
            code=options["code"],
            name=options["name"],
            is_platform=options["platform"],
            is_provider=options["provider"],
            is_payer=options["payer"],
            is_active=not options["inactive"],
        )
        try:
            partner.full_clean(validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        if not (partner.is_platform or partner.is_provider or partner.is_payer):
            raise CommandError("Say what it does: --platform, --provider or --payer.")
        with transaction.atomic():
            is_new = not Partner.objects.filter(pk=partner.pk).exists()
            partner.save()
            sign_key = keys.rotate(partner.pk, Secret.Use.SIGN) if is_new and partner.is_platform else None
        self.stdout.write(f"{partner.name} is the partner {partner.pk}.")
        if sign_key:
            self.stdout.write(f"sign key (shown once): {sign_key}")

"""Let a member of staff do what not everybody of the office may."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Permission, User
from django.core.management.base import BaseCommand, CommandError

from prakerja.models import Deed


class Command(BaseCommand):
    help = "Let a member of staff look people up (look_up_people), or see their personal data in full (see_personal_data)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="the user's name")
        parser.add_argument(
            "permissions", nargs="+", choices=[name for name, _ in Deed._meta.permissions], metavar="PERMISSION"
        )
        parser.add_argument("--take-back", action="store_true", help="from now on, it is not allowed any more")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"], is_staff=True).first()
        if user is None:
            raise CommandError("There is no such member of staff.")
        permissions = Permission.objects.filter(content_type__app_label="prakerja", codename__in=options["permissions"])
        if options["take_back"]:
            user.user_permissions.remove(*permissions)
        else:
            user.user_permissions.add(*permissions)

"""What people of the office do with money and keys, written down: who, when, with what, and why."""

from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, models, transaction

from prakerja.models import Deed

Name = Deed.Name


class DoneBefore(Exception):
    """This form has been sent before, and has done its work."""

    def __init__(self, about: str) -> None:
        self.about = about
        super().__init__(about)


def note(name: Name, about: str, *, by: User, told: str = "", once: str = "") -> Deed:
    """Write down what is being done, in the transaction that does it.

    `once` is what the form carried (`new_once`): of two of the same, the second waits for the first and raises `DoneBefore`.
    """
    key = _key(once)
    try:
        with transaction.atomic():
            return Deed.objects.create(name=name, about=about, by=by, told=told, once=key)
    except IntegrityError:
        first = Deed.objects.filter(once=key).first()
        if key is None or first is None:
            raise
        raise DoneBefore(first.about) from None


def _key(once: str) -> UUID | None:
    try:
        return UUID(once)
    except ValueError:
        return None


def of(*about: str) -> models.QuerySet[Deed]:
    """What was done with these, the newest first."""
    return Deed.objects.filter(about__in=about).select_related("by")

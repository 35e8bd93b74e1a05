"""By what somebody of the office looks one person up: an exact number, and what for."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy

from registrations.forms import PageForm
from registrations.inputs import InputError, clean_phone, plain_digits
from registrations.models import NikOwner, PhoneOwner, Registrant
from registrations.nik import parse_nik
from registrations.ownership import owner_of
from registrations.person import nik_digest, phone_digest
from waves import cards
from waves.models import Recipient


class Kind(models.TextChoices):
    """What somebody is looked up by."""

    CARD = "card", gettext_lazy("Card number")
    NIK = "nik", gettext_lazy("NIK")
    PHONE = "phone", gettext_lazy("Mobile phone number")
    REGISTRANT = "registrant", gettext_lazy("Registrant number")


def _registrant_number(text: str) -> int:
    digits = plain_digits(text.strip())
    if not (digits.isascii() and digits.isdigit()):
        raise InputError("letters", gettext_lazy("A registrant number has digits only."))
    return int(digits)


class By(NamedTuple):
    """How a number of this kind is read, and whose it is."""

    read: Callable[[str], Any]
    find: Callable[[Any], int | None]


def _one(found: models.QuerySet[Any]) -> int | None:
    return found.values_list("pk", flat=True).first()


_BY = {
    Kind.CARD: By(cards.parse, lambda card: _one(Recipient.objects.filter(card=card))),
    Kind.NIK: By(lambda text: parse_nik(text).text, lambda nik: owner_of(NikOwner, nik_digest(nik))),
    Kind.PHONE: By(clean_phone, lambda phone: owner_of(PhoneOwner, phone_digest(phone))),
    Kind.REGISTRANT: By(_registrant_number, lambda number: _one(Registrant.objects.filter(pk=number))),
}


class LookUpForm(PageForm):
    kind = forms.TypedChoiceField(label=gettext_lazy("Look up by"), choices=Kind.choices, coerce=Kind)
    number = forms.CharField(
        label=gettext_lazy("Number"),
        help_text=gettext_lazy("All of it, as it is written: what is only similar is not found."),
        max_length=40,
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off"}),
    )
    reason = forms.CharField(
        label=gettext_lazy("What for"),
        help_text=gettext_lazy("Kept with your name. Write no personal data here."),
        max_length=500,
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    in_full = forms.BooleanField(label=gettext_lazy("Show the personal data in full"), required=False)

    def __init__(self, *args: Any, may_see: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["number"].error_messages["required"] = gettext_lazy("Type the number.")
        self.fields["reason"].error_messages["required"] = gettext_lazy("Say why: it is kept.")
        if not may_see:
            del self.fields["in_full"]

    def clean(self) -> dict[str, Any]:
        """The number, read as one of its kind, is in `read`."""
        told = self.cleaned_data
        if told.get("kind") and told.get("number"):
            try:
                told["read"] = _BY[told["kind"]].read(told["number"])
            except InputError as error:
                self.add_error("number", ValidationError(error.message, code=error.code))
        return told

    def find(self) -> int | None:
        """Whose the number is: a registrant, if anybody's. Of a form that is in order."""
        return _BY[self.cleaned_data["kind"]].find(self.cleaned_data["read"])

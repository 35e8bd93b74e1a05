"""What is written to one person about their money or their account, in their own language."""

from enum import Enum
from typing import NamedTuple

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext

from incentives.gates import Gate
from registrations.person import Person


class Kind(Enum):
    REVERSED = "reversed"
    FAILED = "failed"
    ACCOUNT_CHANGED = "account changed"
    PHONE_CHANGED = "phone changed"
    #: Somebody without the phone asks for a change: whoever has the old one is told, and may object.
    CHANGE_ASKED = "change asked"
    CHANGE_DONE = "change done"


class Letter(NamedTuple):
    """As a mail and, `short`, as an SMS."""

    reference: str
    email: str
    phone: str
    subject: str
    text: str
    short: str


def write(kind: Kind, person: Person, reason: int = 0, *, reference: str) -> Letter:
    """The letter to somebody; `reason`: the gate that caused it."""
    with translation.override(person.language):
        subject, text, short = _texts()[kind]
        told = {"why": _why(reason), "url": f"{settings.BASE_URL}/status/"}
        dear = gettext("Dear {name},").format(name=person.name)
        return Letter(
            reference, person.email, person.phone, subject, f"{dear}\n\n{text.format(**told)}", short.format(**told)
        )


def _why(reason: int) -> str:
    if not reason:
        return gettext("The payer has not said why; we are asking about your account.")
    return gettext("The reason: {reason}.").format(reason=Gate(reason).label)


def _texts() -> dict[Kind, tuple[str, str, str]]:
    """Subject, text and SMS by kind."""
    return {
        Kind.REVERSED: (
            gettext("Your Kartu Prakerja incentive came back to us"),
            gettext(
                "your incentive was paid and then given back by the bank or e-wallet. {why} Your money is not lost: put it right, or "
                "change your account on your page, and it is paid again.\n\n{url}"
            ),
            "",
        ),
        Kind.FAILED: (
            gettext("Your Kartu Prakerja incentive could not be paid"),
            gettext(
                "the bank or e-wallet could not pay your incentive. {why} Your money is not lost: put it right, or change your account "
                "on your page, and it is paid again.\n\n{url}"
            ),
            "",
        ),
        Kind.ACCOUNT_CHANGED: (
            gettext("Your payout account was changed"),
            gettext(
                "your Kartu Prakerja payout account was changed with a code to your phone. If this was not you, tell us at once.\n\n{url}"
            ),
            gettext("Kartu Prakerja: your payout account was changed. If this was not you, tell us at once: {url}"),
        ),
        Kind.PHONE_CHANGED: (
            gettext("Your phone number was changed"),
            gettext(
                "the phone number of your Kartu Prakerja membership was changed. If this was not you, tell us at once.\n\n{url}"
            ),
            gettext("Kartu Prakerja: your phone number was changed. If this was not you, tell us at once: {url}"),
        ),
        Kind.CHANGE_ASKED: (
            gettext("Somebody asks for another phone number in your name"),
            gettext(
                "somebody who says that your phone is lost asks for another phone number, and perhaps another payout account, for your "
                "Kartu Prakerja membership. It takes effect after a week. If this is not you, stop it on your page now.\n\n{url}"
            ),
            gettext(
                "Kartu Prakerja: somebody asks for another phone number in your name. If this is not you, stop it: {url}"
            ),
        ),
        Kind.CHANGE_DONE: (
            gettext("Your new phone number is in force"),
            gettext("the phone number of your Kartu Prakerja membership is the new one from now on.\n\n{url}"),
            gettext("Kartu Prakerja: your new phone number is in force. {url}"),
        ),
    }

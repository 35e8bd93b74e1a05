"""The gates between a completed training and the money: which one is shut, and who must act."""

from typing import NamedTuple

from django.db.models import IntegerChoices, TextChoices
from django.utils.translation import gettext_lazy as _

from registrations.stages import DropOff


class Actor(TextChoices):
    """Who can open a gate."""

    REGISTRANT = "registrant", _("the registrant")
    PROVIDER = "provider", _("the training provider")
    PAYER = "payer", _("the bank or e-wallet")
    OFFICE = "office", _("the programme's office")


class Gate(IntegerChoices):
    """Why an incentive cannot be paid now, in the order in which it is told: the values are those of the drop-off reasons."""

    NONE = 0, _("None: on the way")
    CERTIFICATE_MISSING = DropOff.CERTIFICATE_MISSING.value, DropOff.CERTIFICATE_MISSING.label
    NOT_REVIEWED = DropOff.NOT_REVIEWED.value, DropOff.NOT_REVIEWED.label
    NO_ACCOUNT = DropOff.NO_ACCOUNT.value, DropOff.NO_ACCOUNT.label
    ACCOUNT_OF_ANOTHER = DropOff.ACCOUNT_OF_ANOTHER.value, DropOff.ACCOUNT_OF_ANOTHER.label
    ACCOUNT_INACTIVE = DropOff.ACCOUNT_INACTIVE.value, DropOff.ACCOUNT_INACTIVE.label
    ACCOUNT_NOT_UPGRADED = DropOff.ACCOUNT_NOT_UPGRADED.value, DropOff.ACCOUNT_NOT_UPGRADED.label
    ACCOUNT_PHONE_DIFFERS = DropOff.ACCOUNT_PHONE_DIFFERS.value, DropOff.ACCOUNT_PHONE_DIFFERS.label
    ACCOUNT_FULL = DropOff.ACCOUNT_FULL.value, DropOff.ACCOUNT_FULL.label

    @property
    def who(self) -> Actor | None:
        """Who must act; nobody where there is no gate."""
        return _WHO.get(self)

    @property
    def reason(self) -> DropOff:
        return DropOff(self.value)

    @property
    def is_of_the_account(self) -> bool:
        return self >= Gate.ACCOUNT_OF_ANOTHER


_WHO = {
    Gate.CERTIFICATE_MISSING: Actor.PROVIDER,
    Gate.NOT_REVIEWED: Actor.REGISTRANT,
    Gate.NO_ACCOUNT: Actor.REGISTRANT,
    Gate.ACCOUNT_OF_ANOTHER: Actor.REGISTRANT,
    Gate.ACCOUNT_INACTIVE: Actor.REGISTRANT,
    Gate.ACCOUNT_NOT_UPGRADED: Actor.REGISTRANT,
    Gate.ACCOUNT_PHONE_DIFFERS: Actor.REGISTRANT,
    Gate.ACCOUNT_FULL: Actor.REGISTRANT,
}


class Ready(NamedTuple):
    """How far somebody with a completed training is."""

    certified: bool
    reviewed: bool
    #: Whether there is an account, and what its payer said of it; not asked yet is no gate, and no payment either.
    account: Gate | None


def first_shut(ready: Ready) -> Gate:
    """The gate that is told: one at a time, in the order of `Gate`."""
    if not ready.certified:
        return Gate.CERTIFICATE_MISSING
    if not ready.reviewed:
        return Gate.NOT_REVIEWED
    return Gate.NO_ACCOUNT if ready.account is None else ready.account

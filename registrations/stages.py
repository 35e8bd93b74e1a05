"""The ladder: eight rungs, and the reasons why a registrant is not on the next one."""

from django.db.models import IntegerChoices
from django.utils.translation import gettext_lazy as _


class Stage(IntegerChoices):
    """A rung of the ladder. Whoever stands on it has climbed all below."""

    REGISTERED = 1, _("Registered")
    EMAIL_VERIFIED = 2, _("E-mail verified")
    IDENTITY_VERIFIED = 3, _("Identity verified")
    PHONE_VERIFIED = 4, _("Phone verified")
    SELECTED = 5, _("Selected")
    TRAINING_BOUGHT = 6, _("Training bought")
    TRAINING_COMPLETED = 7, _("Training completed")
    INCENTIVE_RECEIVED = 8, _("Incentive received")

    @property
    def below(self) -> "Stage":
        return Stage(self - 1)

    @property
    def timestamp(self) -> str:
        """The registrant's field that tells when this rung was reached."""
        return f"{self.name.lower()}_at"

    @property
    def waiting(self) -> str:
        """What somebody on this rung, with no drop-off reason, waits for."""
        return str(_WAITING[self])


_WAITING = {
    Stage.REGISTERED: _("Link in the e-mail not opened yet"),
    Stage.EMAIL_VERIFIED: _("Being checked with Dukcapil"),
    Stage.IDENTITY_VERIFIED: _("SMS code not typed yet"),
    Stage.PHONE_VERIFIED: _("Ready to join a wave"),
    Stage.SELECTED: _("No training bought yet"),
    Stage.TRAINING_BOUGHT: _("Training not completed yet"),
    Stage.TRAINING_COMPLETED: _("Incentive not paid yet"),
    Stage.INCENTIVE_RECEIVED: _("At the top"),
}


class DropOff(IntegerChoices):
    """Why a registrant is not on the next rung now. The tens are the rung that the reason belongs to."""

    NONE = 0, _("None: on the way")
    MAILBOX_FULL = 11, _("Mailbox full")
    ADDRESS_UNKNOWN = 12, _("E-mail address does not exist")
    EMAIL_TAKEN = 13, _("E-mail belongs to another registrant")
    EMAIL_REVIEW = 19, _("E-mail set aside for the office")
    NIK_UNKNOWN = 21, _("NIK unknown to Dukcapil")
    KK_MISMATCH = 22, _("KK number differs from Dukcapil's")
    BIRTH_DATE_MISMATCH = 23, _("Birth date differs from Dukcapil's")
    NIK_TAKEN = 24, _("NIK belongs to another registrant")
    IDENTITY_REVIEW = 29, _("Identity set aside for the office")
    NUMBER_DEAD = 31, _("Phone number not in service")
    ATTEMPTS_USED_UP = 32, _("Code typed wrongly too often")
    PHONE_TAKEN = 33, _("Phone number belongs to another registrant")
    PHONE_REVIEW = 39, _("Phone set aside for the office")
    UNDER_AGE = 41, _("Under 18 when the wave closed")
    STUDYING = 42, _("In formal education")
    EXCLUDED_PROFESSION = 43, _("Excluded profession (ASN, TNI, Polri, officials, ...)")
    RECIPIENT_BEFORE = 44, _("Recipient before")
    REVOKED_BEFORE = 45, _("Revoked before")
    SOCIAL_AID = 46, _("Receives other social aid")
    HOUSEHOLD_FULL = 47, _("Enough recipients in the household")
    NOT_CITIZEN = 48, _("Not an Indonesian citizen")
    NOT_DRAWN = 49, _("Not drawn in the last wave")
    REVOKED = 51, _("Revoked: no training bought in time")
    REMOVED = 52, _("Removed by a correction of the decree")
    PURCHASE_CANCELLED = 61, _("Training cancelled, and no other one bought")
    CERTIFICATE_MISSING = 71, _("Certificate not sent by the training provider yet")
    NOT_REVIEWED = 72, _("Training not rated and reviewed")
    NO_ACCOUNT = 73, _("No account linked")
    ACCOUNT_OF_ANOTHER = 74, _("Account belongs to another NIK")
    ACCOUNT_INACTIVE = 75, _("Account closed, inactive or unknown")
    ACCOUNT_NOT_UPGRADED = 76, _("Account not upgraded")
    ACCOUNT_PHONE_DIFFERS = 77, _("Account has another phone number")
    ACCOUNT_FULL = 78, _("Account cannot hold the amount")

    @property
    def stage(self) -> Stage:
        """The rung on which this reason holds people."""
        return Stage(self // 10)

    @property
    def is_final(self) -> bool:
        """Whether nothing that the registrant does ends it."""
        return self in (DropOff.REVOKED, DropOff.REMOVED)

    @classmethod
    def of(cls, stage: Stage) -> list["DropOff"]:
        return [reason for reason in cls if reason and reason.stage is stage]

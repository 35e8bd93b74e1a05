"""One-time codes and mailed sign-in links."""

from enum import IntEnum

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from registrations.models import Registrant


class DeliveryState(IntEnum):
    """What is known of the SMS with a code; it goes upwards only. A phone that has it has it, whatever else is said."""

    #: Nobody has it. The provider's number beside it is that of who is to be asked last.
    NONE = 0
    #: The provider was asked and gave no answer: it is the first to be asked again.
    IN_DOUBT = 1
    ACCEPTED = 2
    SENT = 3
    FAILED = 4
    DELIVERED = 5


class OneTimeCode(models.Model):
    """A registrant's one live code, and the counts that no new code resets. See `verification.codes`."""

    registrant = models.OneToOneField(
        Registrant, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="one_time_code"
    )
    #: What the code is bound to: the SMS provider's reference, and what the page that asks for the code holds.
    challenge = models.UUIDField()
    #: MAC of challenge and code, 128 bits; none: no code is live (used, used up, or void).
    mac = models.UUIDField(null=True)
    expires_at = models.DateTimeField()
    #: When codes were sent and tried, in the last 24 hours.
    sent_at = ArrayField(models.DateTimeField())
    tried_at = ArrayField(models.DateTimeField(), db_default=[])
    #: Wrong tries of this code, and since the last right one ever.
    tries = models.PositiveSmallIntegerField(db_default=0)
    life_tries = models.PositiveSmallIntegerField(db_default=0)
    #: Tens: the number of the SMS provider; units: a `DeliveryState`. See `verification.delivery`.
    delivery = models.PositiveSmallIntegerField(db_default=0)

    def __str__(self) -> str:
        return f"One-time code of registrant {self.pk}"


class SignInLink(models.Model):
    """A mailed link that signs somebody in, or takes them back to their sign-up, once."""

    #: SHA-256 of the token in the link.
    token_hash = models.BinaryField(primary_key=True)
    email_digest = models.UUIDField()
    registrant_id = models.BigIntegerField(null=True)
    draft_id = models.UUIDField(null=True)
    sent_at = models.DateTimeField(db_default=Now())
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["email_digest", "sent_at"], name="sign_in_link_sent")]

    def __str__(self) -> str:
        return f"Sign-in link of registrant {self.registrant_id}"


class ReceiptDay(models.Model):
    """How many delivery receipts of a day told something new, told nothing new, or were about no message that we know."""

    day = models.DateField(primary_key=True)
    applied = models.PositiveIntegerField()
    repeated = models.PositiveIntegerField()
    unknown = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.day}: {self.applied} applied, {self.repeated} repeated, {self.unknown} unknown"

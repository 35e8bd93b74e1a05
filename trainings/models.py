"""What is bought with the training balance. The database itself keeps the money: see migration 0002.

The large tables hold a row or three for each of millions of people: they are narrow, written in sets, and have no foreign
keys, which would be checked row by row.
"""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from partners.models import Partner


class Training(models.Model):
    """A training of a provider, as one platform sells it."""

    class Mode(models.IntegerChoices):
        SELF_PACED = 1, _("Online, at one's own pace")
        WEBINAR = 2, _("Online, with a teacher")
        CLASSROOM = 3, _("In a classroom")
        BLENDED = 4, _("Online and in a classroom")

    platform = models.ForeignKey(Partner, models.PROTECT, related_name="sells")
    provider = models.ForeignKey(Partner, models.PROTECT, related_name="gives")
    #: The platform's own, the `course_code` of its signed calls.
    code = models.CharField(max_length=40, validators=[RegexValidator(r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z")])
    title = models.CharField(max_length=200)
    mode = models.PositiveSmallIntegerField(choices=Mode)
    #: The platform's code of the schedule, and the schedule in words; neither need be there.
    schedule_code = models.CharField(max_length=40, blank=True)
    schedule = models.CharField(max_length=200, blank=True)
    #: In rupiah.
    price = models.PositiveIntegerField()
    #: None: as many as want to. That it is limited, or not, never changes: buyers of an unlimited one do not wait for each other.
    seats = models.PositiveIntegerField(null=True, blank=True)
    #: Seats of a limited training that are bought and not cancelled; kept by a trigger.
    taken = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    #: It is sold from the one instant on, and before the other.
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField()
    #: Where what is said of it comes from; or that it is made up.
    sources = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint("platform", "code", name="training_codes"),
            models.CheckConstraint(name="training_price", condition=Q(price__gte=1)),
            models.CheckConstraint(
                name="training_seats", condition=Q(seats=None, taken=0) | Q(seats__isnull=False, taken__lte=F("seats"))
            ),
            models.CheckConstraint(name="training_window", condition=Q(valid_until__gt=F("valid_from"))),
        ]

    def __str__(self) -> str:
        return f"{self.platform_id} {self.code}"


class Purchase(models.Model):
    """A training that a registrant has bought, and what became of it. It goes on, never back, and is never deleted.

    Columns go from wide to narrow, as those of the registrants do.
    """

    class State(models.IntegerChoices):
        ISSUED = 1, _("Bought")
        REDEEMED = 2, _("Code redeemed")
        ATTENDING = 3, _("Attending")
        COMPLETED = 4, _("Completed")
        CANCELLED = 5, _("Cancelled, money back")

    id = models.BigAutoField(primary_key=True)
    registrant_id = models.BigIntegerField(db_index=True)
    bought_at = models.DateTimeField()
    redeemed_at = models.DateTimeField(null=True)
    attended_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    #: When the certificate came; None: it has not.
    certified_at = models.DateTimeField(null=True)
    training = models.ForeignKey(Training, models.PROTECT, related_name="purchases", db_constraint=False, db_index=False)
    #: As it was when bought, in rupiah.
    price = models.PositiveIntegerField()
    state = models.PositiveSmallIntegerField(choices=State, default=State.ISSUED)
    #: Of 100.
    score = models.PositiveSmallIntegerField(null=True)
    #: Meetings attended, a bit each: see `trainings.redeeming`.
    meetings = models.PositiveSmallIntegerField(default=0)
    #: Whether it is the completed training that opens the incentives.
    is_first = models.BooleanField(default=False)
    redeem_code = models.CharField(max_length=16)
    platform = models.CharField(max_length=40)
    #: The platform's own, for ever: the `invoice_code` of signed calls.
    reference = models.CharField(max_length=64)
    certificate_number = models.CharField(max_length=64, null=True)  # noqa: DJ001 - null is narrower than an empty text
    #: Of the certificate's file.
    certificate_sha256 = models.BinaryField(max_length=32, null=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["training", "id"], name="purchases_of_a_training")]
        constraints = [
            models.UniqueConstraint("redeem_code", name="redeem_codes"),
            models.UniqueConstraint("platform", "reference", name="purchase_references"),
            models.UniqueConstraint("registrant_id", name="one_first_training", condition=Q(is_first=True)),
            models.CheckConstraint(
                name="purchase_state",
                condition=Q(state=1, redeemed_at=None, attended_at=None, completed_at=None, cancelled_at=None)
                | Q(state=2, redeemed_at__isnull=False, attended_at=None, completed_at=None, cancelled_at=None)
                | Q(state=3, redeemed_at__isnull=False, attended_at__isnull=False, completed_at=None, cancelled_at=None)
                | Q(state=4, redeemed_at__isnull=False, completed_at__isnull=False, cancelled_at=None)
                | Q(state=5, completed_at=None, cancelled_at__isnull=False),
            ),
            models.CheckConstraint(
                name="purchase_instants",
                condition=(Q(redeemed_at=None) | Q(redeemed_at__gte=F("bought_at")))
                & (Q(attended_at=None) | Q(attended_at__gte=F("redeemed_at")))
                & (Q(completed_at=None) | Q(completed_at__gte=F("redeemed_at")))
                & (Q(cancelled_at=None) | Q(cancelled_at__gte=F("bought_at")))
                & (Q(certified_at=None) | Q(certified_at__gte=F("completed_at"))),
            ),
            models.CheckConstraint(
                name="purchase_attended",
                condition=Q(attended_at=None, meetings=0) | Q(attended_at__isnull=False, meetings__gte=1),
            ),
            models.CheckConstraint(
                name="purchase_completed",
                condition=Q(state=4) | Q(is_first=False, score=None, certified_at=None),
            ),
            models.CheckConstraint(
                name="purchase_certificate",
                condition=Q(certified_at=None, certificate_number=None, certificate_sha256=None)
                | Q(certified_at__isnull=False, certificate_number__isnull=False, certificate_sha256__isnull=False)
                & ~Q(certificate_number=""),
            ),
            models.CheckConstraint(name="purchase_price", condition=Q(price__gte=1)),
            models.CheckConstraint(name="purchase_score", condition=Q(score=None) | Q(score__lte=100)),
        ]

    def __str__(self) -> str:
        return f"Purchase {self.pk}"


class Review(models.Model):
    """What a registrant says of a training that they completed. Written once."""

    purchase = models.OneToOneField(
        Purchase, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="review"
    )
    at = models.DateTimeField()
    rating = models.PositiveSmallIntegerField()
    text = models.TextField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="review_rating", condition=Q(rating__gte=1, rating__lte=5)),
            models.CheckConstraint(name="review_text", condition=~Q(text="")),
        ]

    def __str__(self) -> str:
        return f"Review of purchase {self.purchase_id}"


class Transfer(models.Model):
    """Rupiah that went from one account to another: both legs in one row, so that they cannot differ. Never changed.

    Accounts are numbers: a registrant's own id; 0, the programme; and of each training minus its id, where its platform's
    takings are.
    """

    class Kind(models.IntegerChoices):
        GRANT = 1, _("Training balance")
        PURCHASE = 2, _("Training bought")
        REFUND = 3, _("Training cancelled")
        RETURN = 4, _("Not spent in time: back to the treasury")

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    debit = models.BigIntegerField()
    credit = models.BigIntegerField()
    purchase_id = models.BigIntegerField(null=True)
    amount = models.PositiveIntegerField()
    kind = models.PositiveSmallIntegerField(choices=Kind)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index("debit", name="returns_of_a_registrant", condition=Q(kind=4))]
        constraints = [
            models.UniqueConstraint("purchase_id", "kind", name="a_purchase_is_paid_once", condition=~Q(purchase_id=None)),
            models.UniqueConstraint("credit", name="one_grant_for_life", condition=Q(kind=1)),
            models.CheckConstraint(name="transfer_amount", condition=Q(amount__gte=1)),
            models.CheckConstraint(
                name="transfer_accounts",
                condition=Q(kind=1, debit=0, credit__gt=0, purchase_id=None)
                | Q(kind=2, debit__gt=0, credit__lt=0, purchase_id__isnull=False)
                | Q(kind=3, debit__lt=0, credit__gt=0, purchase_id__isnull=False)
                | Q(kind=4, debit__gt=0, credit=0, purchase_id=None),
            ),
        ]

    def __str__(self) -> str:
        return f"Transfer {self.pk}"


class Balance(models.Model):
    """What a registrant has left, in rupiah: the sum of their transfers, which a trigger keeps."""

    registrant_id = models.BigIntegerField(primary_key=True)
    balance = models.IntegerField()

    class Meta:
        constraints = [models.CheckConstraint(name="balance_is_never_negative", condition=Q(balance__gte=0))]

    def __str__(self) -> str:
        return f"Balance of registrant {self.registrant_id}"

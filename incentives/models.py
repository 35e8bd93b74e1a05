"""Accounts, what is owed, how it is paid, and the books of it.

The large tables hold a row for each of millions of people: they are narrow, written in sets, and have no foreign keys, which
would be checked row by row. What the database itself sees to by triggers stands in `migrations/0002_books.py`.
"""

from collections.abc import Sequence
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Mod, Now
from django.db.models.lookups import GreaterThanOrEqual
from django.utils.translation import gettext_lazy as _

from incentives.gates import Gate
from incentives.terms import FIRST_SURVEY, ITEMS


class Account(models.Model):
    """A bank account or e-wallet into which somebody wants to be paid. A change ends it; the row stays."""

    id = models.BigAutoField(primary_key=True)
    registrant_id = models.BigIntegerField()
    #: Of payer and number: the database decides whose an account is.
    digest = models.UUIDField()
    linked_at = models.DateTimeField()
    #: When its payer was last heard about it; none: it is still to be asked.
    checked_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    #: The number: see `incentives.numbers`.
    sealed = models.BinaryField()
    payer = models.CharField(max_length=20)
    #: Goes up when it is to be asked about anew: an answer to what was asked before says nothing any more.
    revision = models.PositiveSmallIntegerField(db_default=0)
    gate = models.PositiveSmallIntegerField(choices=Gate, default=Gate.NONE)

    class Meta:
        constraints = [
            models.UniqueConstraint("registrant_id", name="one_account_of_a_person", condition=Q(ended_at=None)),
            models.UniqueConstraint("digest", name="one_person_of_an_account", condition=Q(ended_at=None)),
            models.CheckConstraint(
                name="account_gate",
                condition=Q(gate=Gate.NONE) | Q(gate__gte=Gate.ACCOUNT_OF_ANOTHER, checked_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Account {self.pk} of registrant {self.registrant_id}"  # never a number: this ends up in logs


class State(models.IntegerChoices):
    """Where an incentive is, or one attempt to pay it: in exactly one of these."""

    OPEN = 1, _("Open")
    SENDING = 2, _("With the payer")
    #: It may have been paid or not: it is asked for, and not sent again.
    UNKNOWN = 3, _("Outcome unknown")
    PAID = 4, _("Paid")
    REVERSED = 5, _("Paid and given back")
    FAILED = 6, _("Not paid")


#: Another attempt may follow.
UNPAID = (State.OPEN, State.REVERSED, State.FAILED)

#: Of obligations: those of surveys.
IS_SURVEY = Q(GreaterThanOrEqual(Mod(F("id"), ITEMS), FIRST_SURVEY))


class ObligationQuerySet(models.QuerySet["Obligation"]):
    def of(self, registrant_ids: Sequence[int]) -> Self:
        """All that is, or was, owed to these people."""
        return self.filter(pk__in=[number(id, item) for id in registrant_ids for item in range(1, ITEMS)])


def number(registrant_id: int, item: int) -> int:
    """The number of an obligation: one for each item of a person, whoever opens it, and however often."""
    return registrant_id * ITEMS + item


class Obligation(models.Model):
    """One incentive of one person: a month's or a survey's. It is opened once and never deleted; its amount never changes."""

    #: `number`: it is the person's and the item's.
    id = models.BigIntegerField(primary_key=True)
    due_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True)
    #: Rupiah.
    amount = models.PositiveIntegerField()
    #: In which batch it is being paid, or was.
    batch_id = models.IntegerField(null=True)
    state = models.PositiveSmallIntegerField(choices=State, default=State.OPEN)
    gate = models.PositiveSmallIntegerField(choices=Gate, default=Gate.NONE)
    #: How many attempts there have been to pay it; the last one counts.
    attempt = models.PositiveSmallIntegerField(default=0)

    objects = ObligationQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index("due_at", "id", name="to_be_paid", condition=Q(state__in=UNPAID, gate=Gate.NONE, batch_id=None)),
            models.Index(
                fields=["state", "gate", "due_at", "id"], name="answered_surveys", include=["amount"], condition=IS_SURVEY
            ),
        ]
        constraints = [
            models.CheckConstraint(name="obligation_amount", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="gate_of_the_unpaid", condition=Q(gate=Gate.NONE) | Q(state__in=UNPAID, batch_id=None)
            ),
            models.CheckConstraint(
                name="obligation_paid",
                condition=Q(state=State.PAID, paid_at__isnull=False) | ~Q(state=State.PAID) & Q(paid_at=None),
            ),
            models.CheckConstraint(
                name="sent_in_a_batch",
                condition=~Q(state__in=(State.SENDING, State.UNKNOWN)) | Q(batch_id__isnull=False, attempt__gte=1),
            ),
        ]

    def __str__(self) -> str:
        return f"Item {self.item} of registrant {self.registrant_id}"

    @property
    def registrant_id(self) -> int:
        return self.pk // ITEMS

    @property
    def item(self) -> int:
        return self.pk % ITEMS


class Batch(models.Model):
    """Payouts of one payer that one person has put together and another one approves: by the hash of what they are."""

    payer = models.CharField(max_length=20)
    payouts = models.PositiveIntegerField(default=0)
    #: In all.
    rupiah = models.PositiveBigIntegerField(default=0)
    #: Of its blocks; see `incentives.batching`.
    sha256 = models.BinaryField(max_length=32)
    maker = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    checker = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    #: Why nothing more of it is sent.
    stopped = models.TextField(blank=True, db_default="")
    #: When what was not sent was given free again.
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(name="batch_of_two", condition=Q(checker=None) | ~Q(checker=F("maker"))),
            models.CheckConstraint(
                name="batch_approved",
                condition=Q(checker=None, approved_at=None) | Q(checker__isnull=False, approved_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Batch {self.pk} of {self.payer}"


class Block(models.Model):
    """Some thousand payouts of a batch: what the sender looks at again, without reading the whole batch each time."""

    pk = models.CompositePrimaryKey("batch_id", "block")
    batch_id = models.IntegerField()
    block = models.PositiveSmallIntegerField()
    payouts = models.PositiveIntegerField()
    rupiah = models.PositiveBigIntegerField()
    sha256 = models.BinaryField(max_length=32)

    def __str__(self) -> str:
        return f"Block {self.block} of batch {self.batch_id}"


class Payout(models.Model):
    """One attempt to pay an obligation. Its reference, `obligation-attempt`, is used for nothing else, for ever."""

    class State(models.IntegerChoices):
        SENDING = 2, _("With the payer")
        UNKNOWN = 3, _("Outcome unknown")
        PAID = 4, _("Paid")
        REVERSED = 5, _("Paid and given back")
        FAILED = 6, _("Not paid")
        PROPOSED = 11, _("In a batch, not approved yet")
        APPROVED = 12, _("Approved, not sent yet")
        WITHDRAWN = 13, _("Taken back before it was sent")

    pk = models.CompositePrimaryKey("obligation_id", "attempt")
    obligation_id = models.BigIntegerField()
    #: It stays, whatever the person links meanwhile.
    account_id = models.BigIntegerField()
    #: When it may have been sent last: noted before it is.
    sent_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    amount = models.PositiveIntegerField()
    batch_id = models.IntegerField()
    attempt = models.PositiveSmallIntegerField()
    block = models.PositiveSmallIntegerField()
    state = models.PositiveSmallIntegerField(choices=State)
    #: Why it failed or was reversed, if the payer has said so.
    reason = models.PositiveSmallIntegerField(choices=Gate, default=Gate.NONE)

    class Meta:
        indexes = [models.Index(fields=["batch_id", "block"], name="payouts_of_a_batch")]
        constraints = [
            models.CheckConstraint(name="payout_attempt", condition=Q(attempt__gte=1)),
            models.CheckConstraint(
                name="payout_sent",
                condition=Q(state__in=(11, 12, 13), sent_at=None) | Q(state__lt=11, sent_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Payout {self.reference}"

    @property
    def reference(self) -> str:
        return f"{self.obligation_id}-{self.attempt}"


class Journal(models.Model):
    """Each change of an obligation's state or gate, as double entry: its rupiah leave one cell and come into another.

    Written by triggers only, and never changed. From state 0: it was opened.
    """

    obligation_id = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())
    rupiah = models.PositiveIntegerField()
    from_state = models.PositiveSmallIntegerField()
    from_gate = models.PositiveSmallIntegerField()
    to_state = models.PositiveSmallIntegerField()
    to_gate = models.PositiveSmallIntegerField()

    class Meta:
        indexes = [models.Index(fields=["obligation_id"], name="journal_of_an_obligation")]

    def __str__(self) -> str:
        return f"{self.rupiah} from {self.from_state}/{self.from_gate} to {self.to_state}/{self.to_gate}"


class Count(models.Model):
    """So many obligations, rupiah or people more (or fewer) in a cell; see `incentives.ledger`."""

    #: 0: people of this gate, in any state.
    state = models.PositiveSmallIntegerField()
    #: 1: people of this state, behind any gate.
    gate = models.PositiveSmallIntegerField()
    obligations = models.BigIntegerField()
    rupiah = models.BigIntegerField()
    people = models.BigIntegerField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.rupiah:+} on {self.state}/{self.gate}"


class Movement(Count):
    """A raw line, written by triggers only, until it is folded."""


class Cell(Count):
    """A folded cell."""

    class Meta:
        constraints = [models.UniqueConstraint("state", "gate", name="cell_of_the_books")]


class AccountChange(models.Model):
    """A phone, and perhaps an account, that is to take the place of one that is lost: after a time in which the owner can object."""

    registrant_id = models.BigIntegerField()
    asked_at = models.DateTimeField()
    takes_effect_at = models.DateTimeField()
    #: The new phone, and payer and number of the new account if there is one.
    sealed = models.BinaryField()
    done_at = models.DateTimeField(null=True)
    #: Somebody with the old phone or mailbox has objected, or it was not possible any more.
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index("takes_effect_at", name="changes_that_wait", condition=Q(done_at=None, cancelled_at=None))]
        constraints = [
            models.UniqueConstraint("registrant_id", name="one_change_waits", condition=Q(done_at=None, cancelled_at=None)),
            models.CheckConstraint(name="change_waits", condition=Q(takes_effect_at__gt=F("asked_at"))),
            models.CheckConstraint(name="change_ends_once", condition=Q(done_at=None) | Q(cancelled_at=None)),
        ]

    def __str__(self) -> str:
        return f"Change of registrant {self.registrant_id}"


class ChangeTries(models.Model):
    """When somebody tried to show that they are this person, in the last 24 hours: `foundation.allowance`."""

    registrant_id = models.BigIntegerField(primary_key=True)
    at = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"Tries of registrant {self.registrant_id}"


class StatementFile(models.Model):
    """A payer's word of one day, taken as a whole: what it paid, could not pay, and gave back."""

    payer = models.CharField(max_length=20)
    day = models.DateField()
    sha256 = models.BinaryField(max_length=32, unique=True)
    file = models.CharField(max_length=255)
    lines = models.PositiveIntegerField()
    rupiah = models.PositiveBigIntegerField()
    taken_at = models.DateTimeField()

    class Meta:
        ordering = ["payer", "day"]
        constraints = [models.UniqueConstraint("payer", "day", name="one_file_of_a_day")]

    def __str__(self) -> str:
        return f"Statement of {self.payer} of {self.day}"


class StatementLine(models.Model):
    """What a payer's file says of one payout. It says a thing once."""

    pk = models.CompositePrimaryKey("obligation_id", "attempt", "said")
    obligation_id = models.BigIntegerField()
    file_id = models.IntegerField()
    rupiah = models.PositiveIntegerField()
    attempt = models.PositiveSmallIntegerField()
    said = models.PositiveSmallIntegerField(choices=State)

    def __str__(self) -> str:
        return f"Line of {self.obligation_id}-{self.attempt}"


class Leftover(models.Model):
    """What a payer's file and our books say differently, until somebody has settled it."""

    class Kind(models.TextChoices):
        AMOUNT_DIFFERS = "amount", _("Another amount than ours")
        NEVER_SENT = "never_sent", _("Paid there, never sent by us")
        FAILED_HERE = "failed_here", _("Paid there, failed here")
        PAID_HERE = "paid_here", _("Failed there, paid here")
        TWICE = "twice", _("Told twice")
        MISSING = "missing", _("Paid here, in no file of theirs")
        GIVEN_BACK = "given_back", _("Paid there, given back here")

        @property
        def next_step(self) -> str:
            return str(_NEXT_STEPS[self])

    file = models.ForeignKey(StatementFile, models.PROTECT, related_name="leftovers")
    kind = models.CharField(max_length=12, choices=Kind)
    obligation_id = models.BigIntegerField()
    attempt = models.PositiveSmallIntegerField()
    #: As the payer has it; of what is missing there, as we have it.
    rupiah = models.PositiveIntegerField()
    settled_at = models.DateTimeField(null=True)
    settled_how = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index("obligation_id", name="leftovers_that_are_open", condition=Q(settled_at=None))]
        constraints = [
            models.CheckConstraint(
                name="leftover_settled",
                condition=Q(settled_at=None, settled_how="") | Q(settled_at__isnull=False) & ~Q(settled_how=""),
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.obligation_id}-{self.attempt}"

    @property
    def next_step(self) -> str:
        return self.Kind(self.kind).next_step


_NEXT_STEPS: dict[Any, Any] = {
    Leftover.Kind.AMOUNT_DIFFERS: _("Ask the payer what was credited, and have it corrected."),
    Leftover.Kind.NEVER_SENT: _("Stop this payer's batches and ask the payer who ordered it."),
    Leftover.Kind.FAILED_HERE: _("Have the payer take it back, or accept it before another attempt is made."),
    Leftover.Kind.PAID_HERE: _("Ask the payer; if it was not credited, note it as given back."),
    Leftover.Kind.TWICE: _("Ask the payer whether it was credited twice, and have it taken back."),
    Leftover.Kind.MISSING: _("Ask for the files of the days around, then ask the payer about the reference."),
    Leftover.Kind.GIVEN_BACK: _(
        "Ask the payer for the return; if there was none, count it as paid before another attempt is made."
    ),
}


class SurveyAnswer(models.Model):
    """What somebody answered to a survey: for each question the number of the choice (`incentives.forms.SurveyForm`)."""

    pk = models.CompositePrimaryKey("registrant_id", "survey")
    registrant_id = models.BigIntegerField()
    at = models.DateTimeField()
    survey = models.PositiveSmallIntegerField()
    told = models.JSONField()

    def __str__(self) -> str:
        return f"Survey {self.survey} of registrant {self.registrant_id}"

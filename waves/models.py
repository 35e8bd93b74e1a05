"""What becomes of the people who are verified: applications to waves, lists, screenings, draws.

The large tables hold a row for each of millions of applications: they are narrow, written in sets, and have no foreign keys,
which would be checked row by row.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from registrations.models import Wave
from waves.randomness import Chain


class RuleSet(models.Model):
    """Who may be selected, as regulations had it from a day on. A change is a new rule set: see `waves.rules`."""

    name = models.CharField(primary_key=True, max_length=40)
    in_force_from = models.DateField()
    #: Codes of `waves.rules.RULES`.
    rules = ArrayField(models.CharField(max_length=40))
    #: At most so many recipients of one household (KK); none: no such rule.
    household_cap = models.PositiveSmallIntegerField(null=True)
    #: A training must be bought within so many days of the announcement.
    days_to_buy = models.PositiveSmallIntegerField()
    #: What is set aside for each recipient, in rupiah: the training balance and all incentives.
    package = models.PositiveIntegerField()
    sources = models.TextField()

    class Meta:
        ordering = ["in_force_from", "name"]
        constraints = [
            models.CheckConstraint(name="household_cap", condition=Q(household_cap=None) | Q(household_cap__gte=1))
        ]

    def __str__(self) -> str:
        return self.name


class Plan(models.Model):
    """What a wave is run by, beside its window and its quota."""

    wave = models.OneToOneField(Wave, models.PROTECT, primary_key=True, related_name="plan")
    rule_set = models.ForeignKey(RuleSet, models.PROTECT)
    #: Seats set apart, in this order: see `waves.draw.Room`.
    rooms = models.JSONField(default=list)
    sources = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"Plan of wave {self.wave_id}"


class Change(models.Model):
    """A window or quota that was changed after a wave was planned: who, when, why, and what it was before."""

    wave = models.ForeignKey(Wave, models.PROTECT, related_name="changes")
    field = models.CharField(max_length=20)
    before = models.TextField()
    after = models.TextField()
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["pk"]
        constraints = [models.CheckConstraint(name="change_has_a_reason", condition=~Q(reason=""))]

    def __str__(self) -> str:
        return f"{self.field} of wave {self.wave_id}"


class Application(models.Model):
    """One registrant in one wave. Written when they join, deleted when they leave, and never changed."""

    pk = models.CompositePrimaryKey("registrant_id", "wave_id")
    registrant_id = models.BigIntegerField()
    joined_at = models.DateTimeField()
    wave = models.ForeignKey(Wave, models.PROTECT, related_name="applications", db_constraint=False)

    def __str__(self) -> str:
        return f"Registrant {self.registrant_id} in wave {self.wave_id}"


class ListKind(models.TextChoices):
    """What it means to be on a list."""

    ASN = "asn", _("Civil servants (ASN)")
    TNI = "tni", _("Armed forces (TNI)")
    POLRI = "polri", _("Police (Polri)")
    OFFICIALS = "officials", _("State and village officials, members of DPRD, boards of BUMN and BUMD")
    STUDENTS = "students", _("Pupils and students")
    SOCIAL_AID = "social_aid", _("Recipients of social aid (PKH, BPNT, BSU, BPUM)")
    RECIPIENTS = "recipients", _("Recipients of the programme in earlier years")
    REVOKED = "revoked", _("Revoked in earlier years")
    PRIORITY = "priority", _("Workers with priority")


class PersonList(models.Model):
    """A list of people that somebody has provided: their NIKs, as digests. A newer one of its kind replaces it."""

    kind = models.CharField(max_length=20, choices=ListKind)
    provider = models.CharField(max_length=200)
    dated = models.DateField()
    file = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64)
    people = models.PositiveIntegerField()
    imported_at = models.DateTimeField(db_default=Now())
    #: The list that took its place.
    replaced_by = models.ForeignKey("self", models.PROTECT, null=True, related_name="replaces")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint("kind", name="one_list_of_a_kind", condition=Q(replaced_by=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} list {self.pk} of {self.provider}"


class ListEntry(models.Model):
    """Somebody on a list."""

    pk = models.CompositePrimaryKey("digest", "list_id")
    digest = models.UUIDField()
    list_id = models.IntegerField()

    def __str__(self) -> str:
        return f"Entry of list {self.list_id}"


class Screening(models.Model):
    """A run over all applications of a wave: by which rules and which lists, and what came of it."""

    wave = models.ForeignKey(Wave, models.PROTECT, related_name="screenings")
    rule_set = models.ForeignKey(RuleSet, models.PROTECT)
    lists = models.ManyToManyField(PersonList)
    at = models.DateTimeField(db_default=Now())
    applications = models.PositiveIntegerField()
    ineligible = models.PositiveIntegerField()
    #: How many people have each reason: somebody may have several.
    reasons = models.JSONField()
    #: The one whose findings count; an earlier one's are gone.
    is_current = models.BooleanField(default=True)
    #: When it was announced that nobody is eligible: the wave has ended with that, and nothing is drawn.
    announced_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint("wave", name="one_screening_counts", condition=Q(is_current=True)),
            models.CheckConstraint(
                name="nobody_was_eligible",
                condition=Q(announced_at=None) | Q(is_current=True, ineligible=F("applications")),
            ),
        ]

    def __str__(self) -> str:
        return f"Screening {self.pk} of wave {self.wave_id}"


class Ineligible(models.Model):
    """An applicant who may not be selected in a wave, with all reasons, as drop-off reasons, and the lists that said so."""

    pk = models.CompositePrimaryKey("registrant_id", "wave_id")
    registrant_id = models.BigIntegerField()
    wave = models.ForeignKey(Wave, models.PROTECT, related_name="+", db_constraint=False)
    reasons = ArrayField(models.SmallIntegerField())
    #: On which of the lists that the rules look at the applicant stood. None: screened before that was kept.
    lists = ArrayField(models.IntegerField(), null=True)

    def __str__(self) -> str:
        return f"Registrant {self.registrant_id}, ineligible in wave {self.wave_id}"


class Draw(models.Model):
    """A draw, from the freeze to its publication; see `docs/draw.md`. One that was annulled stays."""

    wave = models.ForeignKey(Wave, models.PROTECT, related_name="draws")
    attempt = models.PositiveSmallIntegerField()
    screening = models.ForeignKey(Screening, models.PROTECT, related_name="draws")
    quota = models.PositiveIntegerField()
    household_cap = models.PositiveSmallIntegerField(null=True)
    #: `[{"number": 1, "name": "priority", "seats": 1000}]`
    rooms = models.JSONField()
    #: Those that said who belongs to which room.
    lists = models.ManyToManyField(PersonList, related_name="draws")

    frozen_at = models.DateTimeField()
    tickets = models.PositiveIntegerField()
    list_sha256 = models.BinaryField(max_length=32)
    root = models.BinaryField(max_length=32)
    #: How likely a ticket of each stratum is to be taken, known from the freeze on: see `waves.draw.inclusion`.
    #: `[{"room": 0, "tickets": 1000, "probability": 0.1, "taken": 100}]`; how many were taken, from the draw on.
    inclusion = models.JSONField(default=list)
    #: Hashes of the tree's subtrees of `waves.merkle.BLOCK` leaves, one after the other: what proofs are made from.
    subtrees = models.BinaryField()

    committed_at = models.DateTimeField(null=True)
    commitment = models.BinaryField(max_length=32, null=True)
    #: The operator's secret, sealed until the draw is published.
    secret = models.BinaryField(null=True)
    #: The beacon's chain, as `draw.json` tells it.
    chain = models.JSONField(null=True)
    round = models.PositiveBigIntegerField(null=True)

    drawn_at = models.DateTimeField(null=True)
    signature = models.BinaryField(null=True)
    seed = models.BinaryField(max_length=32, null=True)
    selected = models.PositiveIntegerField(null=True)
    #: `[{"room": 0, "taken": 10, "rank": 12, "ticket": "0123456789abcde"}]`
    cut_offs = models.JSONField(null=True)
    result_sha256 = models.BinaryField(max_length=32, null=True)

    published_at = models.DateTimeField(null=True)
    announced_at = models.DateTimeField(null=True)
    annulled_at = models.DateTimeField(null=True)
    annulled_because = models.TextField(blank=True)

    class Meta:
        ordering = ["wave", "attempt"]
        constraints = [
            models.UniqueConstraint("wave", "attempt", name="attempts_of_a_wave"),
            models.UniqueConstraint("wave", name="one_draw_of_a_wave", condition=Q(annulled_at=None)),
            models.CheckConstraint(name="draw_has_tickets", condition=Q(tickets__gte=1)),
            models.CheckConstraint(
                name="draw_committed",
                condition=Q(committed_at=None, commitment=None, secret=None, chain=None, round=None)
                | Q(
                    committed_at__gte=F("frozen_at"),
                    commitment__isnull=False,
                    secret__isnull=False,
                    chain__isnull=False,
                    round__isnull=False,
                ),
            ),
            models.CheckConstraint(
                name="draw_drawn",
                condition=Q(drawn_at=None, seed=None, signature=None, selected=None)
                | Q(
                    drawn_at__gte=F("committed_at"),
                    committed_at__isnull=False,  # what compares with nothing is no "no" to a constraint
                    seed__isnull=False,
                    signature__isnull=False,
                    selected__isnull=False,
                    selected__lte=F("quota"),
                ),
            ),
            models.CheckConstraint(
                name="draw_published",
                condition=Q(published_at=None) | Q(published_at__gte=F("drawn_at"), drawn_at__isnull=False),
            ),
            models.CheckConstraint(
                name="draw_announced",
                condition=Q(announced_at=None) | Q(announced_at__gte=F("published_at"), published_at__isnull=False),
            ),
            models.CheckConstraint(
                name="draw_annulled", condition=Q(annulled_at=None) | (Q(announced_at=None) & ~Q(annulled_because=""))
            ),
        ]

    def __str__(self) -> str:
        return f"Draw {self.attempt} of wave {self.wave_id}"

    @property
    def is_mock(self) -> bool:
        """Whether its beacon is no public randomness."""
        return self.chain is not None and not Chain(**self.chain).is_public


class Ticket(models.Model):
    """An eligible application in a draw, under a random public number."""

    pk = models.CompositePrimaryKey("draw_id", "position")
    registrant_id = models.BigIntegerField(db_index=True)
    number = models.BigIntegerField()
    draw_id = models.IntegerField()
    #: The index in the list, from 0: tickets stand in the order of their numbers.
    position = models.IntegerField()
    room = models.SmallIntegerField()
    #: How many of the household have been recipients before.
    before = models.SmallIntegerField()
    #: 8 bytes, made up for this draw; none when the household does not matter.
    household = models.BinaryField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint("draw_id", "number", name="ticket_numbers")]

    def __str__(self) -> str:
        return f"Ticket {self.number:015x}"


class OrderBlock(models.Model):
    """Some hundred places of a draw's order: the positions of the tickets, by rank. A row per place would be ten times as large."""

    pk = models.CompositePrimaryKey("draw_id", "block")
    draw_id = models.IntegerField()
    #: The first `waves.draw.PLACES` ranks are in block 0.
    block = models.IntegerField()
    positions = ArrayField(models.IntegerField())

    def __str__(self) -> str:
        return f"Block {self.block} of draw {self.draw_id}"


class Place(models.Model):
    """A ticket that was taken in a draw."""

    pk = models.CompositePrimaryKey("draw_id", "rank")
    registrant_id = models.BigIntegerField()
    draw_id = models.IntegerField()
    rank = models.IntegerField()
    position = models.IntegerField()
    #: The room in which it was taken; 0: among all.
    room = models.SmallIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint("draw_id", "position", name="taken_once")]

    def __str__(self) -> str:
        return f"Rank {self.rank} in draw {self.draw_id}"


class Act(models.Model):
    """A step of a wave. Most take two people: one asks for it, another one confirms it; then a worker does it."""

    class Name(models.TextChoices):
        SCREEN = "screen", _("Screen the applications")
        FREEZE = "freeze", _("Freeze the list")
        COMMIT = "commit", _("Fix the secret and the round")
        DRAW = "draw", _("Enter the randomness and draw")
        PUBLISH = "publish", _("Publish the draw")
        ANNUL = "annul", _("Annul the draw")
        DECREE = "decree", _("Issue the decree")
        ANNOUNCE = "announce", _("Announce the result")
        CORRECT = "correct", _("Correct the decree")
        REVOKE = "revoke", _("Issue the decree of revocation")
        RESERVES = "reserves", _("Call the reserves")
        MOVE = "move", _("Give seats to a later wave")

        @property
        def takes_two(self) -> bool:
            """What is entered for a draw is verified, and a screening can be repeated: these take one."""
            return self not in (Act.Name.SCREEN, Act.Name.DRAW)

    wave = models.ForeignKey(Wave, models.PROTECT, related_name="acts")
    attempt = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=10, choices=Name)
    details = models.JSONField(default=dict)
    maker = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    made_at = models.DateTimeField(db_default=Now())
    #: Who has confirmed it; for an act of one, who has asked for it.
    checker = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    done_at = models.DateTimeField(null=True)
    #: Why it could not be done.
    refused = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                "wave",
                "attempt",
                "name",
                name="an_act_once",
                condition=~Q(name__in=["screen", "correct", "revoke", "reserves", "move"]) | Q(done_at=None),
            ),
            models.CheckConstraint(
                name="two_people", condition=Q(checker=None) | ~Q(checker=F("maker")) | Q(name__in=["screen", "draw"])
            ),
            models.CheckConstraint(name="done_when_confirmed", condition=Q(done_at=None) | Q(checker__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.name} of wave {self.wave_id}"


class Decree(models.Model):
    """A decree (SK) of the programme office: a canonical list, named by its hash and signed. Nothing of it is ever changed."""

    class Kind(models.TextChoices):
        RECIPIENTS = "recipients", _("Names recipients")
        RESERVES = "reserves", _("Names recipients from the reserve")
        CORRECTION = "correction", _("Corrects a decree")
        REVOCATION = "revocation", _("Revokes recipients")

    year = models.PositiveSmallIntegerField()
    #: Gapless within the year.
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, choices=Kind)
    draw = models.ForeignKey(Draw, models.PROTECT, related_name="decrees")
    #: The decree that it corrects.
    corrects = models.ForeignKey("self", models.PROTECT, null=True, related_name="corrections")
    at = models.DateTimeField()
    signer = models.CharField(max_length=200)
    #: How many lines its list has.
    names = models.PositiveIntegerField()
    #: By province, then by sex: how many are named. `{"32": {"1": 10, "2": 12}}`
    totals = models.JSONField()
    sha256 = models.BinaryField(max_length=32)
    #: What is signed: see `waves.decrees.statement`.
    statement = models.TextField()
    key_id = models.CharField(max_length=40)
    public_key = models.BinaryField(max_length=32)
    signature = models.BinaryField(max_length=64)
    #: Before this instant, those whom it names must have bought a training. None: not announced yet, or no such end.
    buy_by = models.DateTimeField(null=True)
    #: When the last of those were revoked who had not.
    lapsed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["year", "number"]
        constraints = [
            models.UniqueConstraint("year", "number", name="decree_numbers"),
            models.UniqueConstraint("draw", name="one_decree_names_the_drawn", condition=Q(kind="recipients")),
            models.CheckConstraint(name="decree_number", condition=Q(number__gte=1)),
            models.CheckConstraint(
                name="correction_names_the_old",
                condition=Q(kind="correction", corrects__isnull=False) | ~Q(kind="correction") & Q(corrects=None),
            ),
        ]

    def __str__(self) -> str:
        return f"Decree {self.number}/{self.year}"

    @property
    def last_moment(self) -> datetime | None:
        """The last second in which they may buy one: the end itself is the midnight after it, which reads as the next day."""
        return self.buy_by - timedelta(seconds=1) if self.buy_by else None


class DecreeBlock(models.Model):
    """Some thousand lines of a decree's list, sealed: names change, a decree does not."""

    pk = models.CompositePrimaryKey("decree_id", "block")
    decree_id = models.IntegerField()
    block = models.IntegerField()
    sealed = models.BinaryField()

    def __str__(self) -> str:
        return f"Block {self.block} of decree {self.decree_id}"


class ListCopy(models.Model):
    """Somebody of the office has taken a decree's list, which holds names: who, when and what for."""

    decree = models.ForeignKey(Decree, models.PROTECT, related_name="copies")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT)
    at = models.DateTimeField(db_default=Now())
    reason = models.TextField()

    class Meta:
        ordering = ["pk"]
        constraints = [models.CheckConstraint(name="copy_has_a_reason", condition=~Q(reason=""))]

    def __str__(self) -> str:
        return f"Copy of decree {self.decree_id}"


class Recipient(models.Model):
    """Somebody whom a decree has named: once in a lifetime."""

    registrant_id = models.BigIntegerField(primary_key=True)
    #: 16 digits; the last one checks the others.
    card = models.BigIntegerField(unique=True)
    decree_id = models.IntegerField()
    #: In the draw; 0: named by a correction, without a ticket.
    rank = models.IntegerField()
    #: When it ended, and why: revoked, or removed, as a drop-off reason.
    ended_at = models.DateTimeField(null=True)
    ended_because = models.PositiveSmallIntegerField(null=True)
    #: The decree of revocation, or the correction, that says so.
    ended_by = models.IntegerField(null=True)
    #: Why a correction has added or removed them.
    reason = models.TextField(blank=True, db_default="")

    class Meta:
        indexes = [models.Index(fields=["decree_id", "registrant_id"], name="recipients_of_a_decree")]
        constraints = [
            models.CheckConstraint(
                name="recipient_ended",
                condition=Q(ended_at=None, ended_because=None, ended_by=None)
                | Q(ended_at__isnull=False, ended_because__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"Recipient {self.registrant_id}"


class Called(models.Model):
    """A ticket in reserve that was called when seats became free, and what came of it."""

    class Outcome(models.TextChoices):
        NAMED = "named", _("Named in the decree")
        GONE = "gone", _("Selected elsewhere, or not eligible any more")
        HOUSEHOLD = "household", _("Enough recipients in the household")

    pk = models.CompositePrimaryKey("draw_id", "rank")
    registrant_id = models.BigIntegerField()
    draw_id = models.IntegerField()
    rank = models.IntegerField()
    decree_id = models.IntegerField()
    #: The room whose seat it took; 0: one of all.
    room = models.SmallIntegerField()
    outcome = models.CharField(max_length=10, choices=Outcome)

    def __str__(self) -> str:
        return f"Rank {self.rank} of draw {self.draw_id}: {self.outcome}"


class SeatMove(models.Model):
    """Free seats of a draw that were given to a later wave, whose quota grew by them."""

    draw = models.ForeignKey(Draw, models.PROTECT, related_name="moves")
    to = models.ForeignKey(Wave, models.PROTECT, related_name="+")
    seats = models.PositiveIntegerField()
    reason = models.TextField()
    at = models.DateTimeField()

    class Meta:
        ordering = ["pk"]
        constraints = [models.CheckConstraint(name="seats_were_moved", condition=Q(seats__gte=1) & ~Q(reason=""))]

    def __str__(self) -> str:
        return f"{self.seats} seats to wave {self.to_id}"


class Notice(models.Model):
    """One message to many: who gets it waits in the queues from the same transaction on, so it is sent once."""

    class Kind(models.TextChoices):
        SELECTED = "selected", _("Selected")
        NOT_SELECTED = "not_selected", _("Not selected")
        DAYS_7 = "days_7", _("Seven days left to buy a training")
        DAYS_3 = "days_3", _("Three days left to buy a training")
        DAYS_1 = "days_1", _("One day left to buy a training")
        REVOKED = "revoked", _("Revoked")
        REMOVED = "removed", _("Removed by a correction")

    decree = models.ForeignKey(Decree, models.PROTECT, related_name="notices")
    kind = models.CharField(max_length=12, choices=Kind)
    at = models.DateTimeField()
    people = models.PositiveIntegerField(default=0)
    #: Taken by the mail server, or by the SMS gateway; and refused, for good.
    mailed = models.PositiveIntegerField(db_default=0)
    texted = models.PositiveIntegerField(db_default=0)
    not_mailed = models.PositiveIntegerField(db_default=0)
    not_texted = models.PositiveIntegerField(db_default=0)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint("decree", "kind", name="a_notice_once")]

    def __str__(self) -> str:
        return f"{self.kind} of decree {self.decree_id}"

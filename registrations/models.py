"""People and waves. The database itself refuses an impossible registrant."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from registrations.regions import Province
from registrations.stages import DropOff, Stage


class Sex(models.IntegerChoices):
    MALE = 1, _("Male")
    FEMALE = 2, _("Female")


class Education(models.IntegerChoices):
    """Highest education completed."""

    PRIMARY = 1, _("Primary school or none")
    JUNIOR = 2, _("Junior high school (SMP)")
    SENIOR = 3, _("Senior high school (SMA/SMK)")
    DIPLOMA = 4, _("Diploma")
    DEGREE = 5, _("University degree")


class Employment(models.IntegerChoices):
    JOB_SEEKER = 1, _("Looking for work")
    LAID_OFF = 2, _("Laid off")
    FURLOUGHED = 3, _("Sent home without pay")
    INFORMAL = 4, _("Own small business or informal work")
    EMPLOYED = 5, _("Employed")


class Wave(models.Model):
    """A wave (gelombang). One without dates is planned: it opens at an instant not yet set."""

    number = models.PositiveSmallIntegerField(primary_key=True)
    opens_at = models.DateTimeField(null=True, blank=True)
    closes_at = models.DateTimeField(null=True, blank=True, unique=True)
    quota = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.CheckConstraint(name="wave_number", condition=Q(number__gte=1)),
            models.CheckConstraint(
                name="wave_window",
                condition=Q(opens_at=None, closes_at=None)
                | Q(opens_at__isnull=False, closes_at__isnull=False, closes_at__gt=F("opens_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"Wave {self.number}"


def _every_rung_below_has_its_timestamp() -> Q:
    """Invariant 1: on exactly one rung, reached by all the rungs below it and by none above it."""
    possible = Q()
    for stage in Stage:
        reached = {f"{rung.timestamp}__isnull": rung > stage for rung in Stage}
        possible |= Q(stage=stage, **reached)
    return possible


class Registrant(models.Model):
    """One person, once, for life. Only what counts need stands here in the clear; the rest is in `PersonalData`.

    Columns go from wide to narrow: PostgreSQL pads between them otherwise, at 23 million rows.
    """

    id = models.BigAutoField(primary_key=True)
    #: The key under which the sign-up was received; sent again, it registers nobody twice.
    reference = models.UUIDField(unique=True)
    registered_at = models.DateTimeField()
    email_verified_at = models.DateTimeField(null=True)
    identity_verified_at = models.DateTimeField(null=True)
    phone_verified_at = models.DateTimeField(null=True)
    selected_at = models.DateTimeField(null=True)
    training_bought_at = models.DateTimeField(null=True)
    training_completed_at = models.DateTimeField(null=True)
    incentive_received_at = models.DateTimeField(null=True)
    #: Since when there is this drop-off reason, or none again.
    drop_off_at = models.DateTimeField(null=True)
    #: The wave in which the person registered; it never changes, so a wave's past figures never do.
    wave = models.ForeignKey(Wave, models.PROTECT, related_name="registrants", db_index=False)
    selected_wave = models.ForeignKey(Wave, models.PROTECT, null=True, related_name="selected", db_index=False)
    stage = models.PositiveSmallIntegerField(choices=Stage, default=Stage.REGISTERED)
    drop_off = models.PositiveSmallIntegerField(choices=DropOff, default=DropOff.NONE)
    province = models.PositiveSmallIntegerField(choices=Province)
    birth_year = models.PositiveSmallIntegerField()
    sex = models.PositiveSmallIntegerField(choices=Sex)
    education = models.PositiveSmallIntegerField(choices=Education)
    employment = models.PositiveSmallIntegerField(choices=Employment)
    #: Which text of the consent the person agreed to, when registering.
    consent = models.PositiveSmallIntegerField()
    #: Grows with each correction, so that an answer about the data of before is not taken for one about today's.
    revision = models.PositiveSmallIntegerField(default=0)
    citizen = models.BooleanField()
    studying = models.BooleanField()

    class Meta:
        indexes = [
            # Nothing but the last climb changes it, so it leaves all others cheap.
            models.Index(
                fields=["incentive_received_at", "id"],
                name="first_incentives",
                condition=Q(incentive_received_at__isnull=False),
            )
        ]
        constraints = [
            models.CheckConstraint(name="rungs", condition=_every_rung_below_has_its_timestamp()),
            models.CheckConstraint(
                name="drop_off_of_its_rung",
                condition=Q(drop_off=DropOff.NONE)
                | Q(drop_off__gt=F("stage") * 10, drop_off__lt=F("stage") * 10 + 10, drop_off_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Registrant {self.pk}"  # never a name or a NIK: this ends up in logs


class PersonalData(models.Model):
    """A registrant's sealed personal data: see `registrations.person`."""

    registrant = models.OneToOneField(
        Registrant, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="personal_data"
    )
    sealed = models.BinaryField()

    def __str__(self) -> str:
        return f"Personal data of registrant {self.pk}"


class Owner(models.Model):
    """Who owns a verified attribute: the primary key decides races. See `registrations.ownership`.

    Narrow tables of their own leave the registrant's update free of indexes. No foreign key: it would be checked row by row.
    """

    digest = models.UUIDField(primary_key=True)
    registrant_id = models.BigIntegerField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.registrant_id}"


class EmailOwner(Owner):
    pass


class NikOwner(Owner):
    #: The digest of the KK number that Dukcapil has confirmed: who shares it lives in one household.
    household = models.UUIDField(null=True)


class PhoneOwner(Owner):
    pass


class Draft(models.Model):
    """A sign-up in progress, or one that waits for its e-mail link. Deleted after 30 days without a change."""

    id = models.UUIDField(primary_key=True)
    email_digest = models.UUIDField(db_index=True)
    sealed = models.BinaryField()
    #: Set when the last step was sent: the draft is then only where the e-mail link is asked for again.
    registrant_id = models.BigIntegerField(null=True, unique=True)
    finished = models.BooleanField(default=False)
    #: When mails were asked for, in the last 24 hours.
    mailed_at = ArrayField(models.DateTimeField(), db_default=[])
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now(), db_index=True)

    def __str__(self) -> str:
        return f"Draft of registrant {self.registrant_id}"


class Movement(models.Model):
    """One raw line of the funnel's ledger, written by triggers only: so many people more (or fewer) in a cell.

    The table has no primary key, whatever Django thinks: nobody looks a line up, all are taken at once.
    """

    wave = models.PositiveSmallIntegerField()
    selected_wave = models.PositiveSmallIntegerField()
    province = models.PositiveSmallIntegerField()
    stage = models.PositiveSmallIntegerField()
    drop_off = models.PositiveSmallIntegerField()
    hour = models.DateTimeField()
    people = models.IntegerField()

    class Meta:
        constraints = [models.CheckConstraint(name="movement_of_a_province", condition=models.Q(province__gt=0))]

    def __str__(self) -> str:
        return f"{self.people:+} on {self.stage}/{self.drop_off}"


class Cell(models.Model):
    """A folded cell of the funnel's ledger: the net movement in one hour, day or month. See `registrations.funnel`."""

    class Grain(models.IntegerChoices):
        HOUR = 1
        DAY = 2
        MONTH = 3

    # In this order, an index entry and a row have no gaps: there are as many of them as people in a small programme.
    pk = models.CompositePrimaryKey("grain", "province", "wave", "selected_wave", "starts_at", "stage", "drop_off")
    starts_at = models.DateTimeField()
    people = models.IntegerField()
    grain = models.PositiveSmallIntegerField(choices=Grain)
    #: 0: all of them together.
    province = models.PositiveSmallIntegerField()
    wave = models.PositiveSmallIntegerField()
    selected_wave = models.PositiveSmallIntegerField()
    stage = models.PositiveSmallIntegerField()
    drop_off = models.PositiveSmallIntegerField()

    def __str__(self) -> str:
        return f"{self.people} on {self.stage}/{self.drop_off} in {self.get_grain_display()} {self.starts_at}"

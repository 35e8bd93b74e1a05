"""The simulation's own memory, and what people of the office have done, and may do."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Run(models.Model):
    """The one simulation that this database has lived through, or is living through."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seed = models.IntegerField()
    #: The number of registrants at scale 1 that one simulated registrant stands for, as a fraction: exact at any scale.
    scale = models.CharField(max_length=60)
    first_wave = models.PositiveSmallIntegerField()
    last_wave = models.PositiveSmallIntegerField()
    #: Whether what the recipients do waits as work, or has been done.
    spending = models.BooleanField(default=False)

    class Meta:
        constraints = [models.CheckConstraint(name="one_run", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"Simulation at scale {self.scale}, seed {self.seed}"


class Deed(models.Model):
    """Something that somebody of the office has done with money, keys or personal data: written in the transaction that does it,
    never changed."""

    class Name(models.TextChoices):
        BATCH_PROPOSED = "batch_proposed", _("Batch proposed")
        BATCH_APPROVED = "batch_approved", _("Batch approved")
        BATCH_REFUSED = "batch_refused", _("Batch refused")
        BATCH_WITHDRAWN = "batch_withdrawn", _("Batch taken back")
        BATCH_STOPPED = "batch_stopped", _("Sending stopped")
        BATCH_RELEASED = "batch_released", _("What was not sent was given free")
        FILE_TAKEN = "file_taken", _("Daily file taken")
        LEFTOVER_SETTLED = "leftover_settled", _("Difference settled")
        LEFTOVER_ACCEPTED = "leftover_accepted", _("Payer's word taken over")
        CLIENT_MADE = "client_made", _("Credentials made")
        CLIENT_REVOKED = "client_revoked", _("Credentials revoked")
        SECRET_DRAWN = "secret_drawn", _("Secret drawn")
        EVENTS_REPLAYED = "events_replayed", _("Events told again")
        PERSON_LOOKED_UP = "person_looked_up", _("Person looked up")
        PERSON_SHOWN = "person_shown", _("Person shown in full")

    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())
    name = models.CharField(max_length=20, choices=Name)
    #: With what: `batch 12`, `partner bni`, `registrant 7`.
    about = models.CharField(max_length=60)
    #: What exactly, and why.
    told = models.TextField(blank=True)
    #: Of the form that was sent: sent twice, it does its work once.
    once = models.UUIDField(null=True, unique=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["about", "-id"], name="deeds_about")]
        # What not everybody of the office may do.
        permissions = [
            ("look_up_people", "May look people up; personal data are masked"),
            ("see_personal_data", "May see the personal data of people whom they look up in full"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.about}"

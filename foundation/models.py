"""What the foundation keeps: work in hand, work set aside, the state of services, and the mocks' mailbox."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Work(models.Model):
    """A parcel of work: one thing to do for many subjects. See `foundation.work`.

    `subjects`, `instants` and what is in `notes` run in parallel, so that a parcel can be cut anywhere.
    """

    queue = models.CharField(max_length=20)
    subjects = ArrayField(models.BigIntegerField())
    #: When each subject's work counts as done, in microseconds since 1970; none: when it is done.
    instants = ArrayField(models.BigIntegerField(), null=True)
    #: A JSON list, sealed, with a note per subject: what the work needs and the subject does not hold.
    notes = models.BinaryField(null=True)
    #: Its place in the queue: since when it waits, or will. No claim changes it.
    since = models.DateTimeField(db_default=Now())
    #: Nobody may take it before; a claim moves it to the end of its lease.
    due_at = models.DateTimeField(db_default=Now())
    #: Whose claim it is in; only that claim may settle it.
    token = models.UUIDField(null=True)
    #: Claims that have not come back, or came back with an error of ours.
    attempts = models.PositiveSmallIntegerField(db_default=0)
    #: How often the service knew nothing.
    unknowns = models.PositiveSmallIntegerField(db_default=0)
    enqueued_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["queue", "since"], name="work_queue")]
        constraints = [
            models.CheckConstraint(
                name="work_parallel",
                condition=models.Q(subjects__len__gt=0)
                & (models.Q(instants=None) | models.Q(instants__len=models.F("subjects__len"))),
            )
        ]

    def __str__(self) -> str:
        return f"{self.queue} parcel {self.pk}"


class SetAside(models.Model):
    """One subject whose work failed again and again: kept for a person to look at; the rest of its batch has passed."""

    queue = models.CharField(max_length=20)
    subject = models.BigIntegerField()
    instant = models.DateTimeField(null=True)
    note = models.BinaryField(null=True)
    #: The error's type, never its text: a text may quote personal data.
    reason = models.CharField(max_length=100)
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.queue} of subject {self.subject}: {self.reason}"


class ServiceState(models.Model):
    """Breaker and quota of one service, shared by all workers. See `foundation.services.admit`."""

    name = models.CharField(max_length=20, primary_key=True)
    failures = models.PositiveIntegerField(db_default=0)
    #: Set while the breaker is open: the next probe may go at this instant.
    probe_at = models.DateTimeField(null=True)
    tokens = models.FloatField(db_default=0)
    refilled_at = models.DateTimeField(db_default=Now())
    # Of an SMS provider only, whose name is the service's and a number, e.g. `sms.2`. See `foundation.failover`.
    #: Messages without an answer, within a minute from `errors_since` on.
    errors = models.PositiveIntegerField(db_default=0)
    errors_since = models.DateTimeField(db_default=Now())
    #: Left because too little arrived: that messages are accepted is not enough to come back.
    awaits_receipts = models.BooleanField(db_default=False)
    #: What was accepted before is no longer held against it.
    judged_since = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class Carriage(models.Model):
    """What one SMS provider accepted within ten seconds, and how much of just that was delivered; kept for a day."""

    slot = models.DateTimeField()
    #: Service and number, e.g. `sms.2`; number 0: the only one.
    provider = models.CharField(max_length=20)
    accepted = models.PositiveIntegerField()
    delivered = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["slot", "provider"], name="carriage_slot")]

    def __str__(self) -> str:
        return f"{self.provider} at {self.slot:%H:%M:%S}: {self.delivered} of {self.accepted}"


class MockMessage(models.Model):
    """A message that a mock service has delivered to somebody who is not a simulated inhabitant."""

    channel = models.CharField(max_length=5, choices={"email": "e-mail", "sms": "SMS"})
    sealed = models.BinaryField()
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.channel} message {self.pk}"

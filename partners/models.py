"""Organisations that work with the programme: platforms, training providers, banks and e-wallets. No person is known here."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from oauth2_provider.models import AbstractApplication


class Partner(models.Model):
    """An organisation, in one part or in several."""

    #: Also the `client_code` of its signed calls.
    code = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=200)
    is_platform = models.BooleanField(_("sells trainings"), default=False)
    is_provider = models.BooleanField(_("gives trainings"), default=False)
    is_payer = models.BooleanField(_("pays incentives"), default=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(
                name="partner_has_a_part",
                condition=Q(is_platform=True) | Q(is_provider=True) | Q(is_payer=True),
            )
        ]

    def __str__(self) -> str:
        return self.code

    @classmethod
    def columns(cls) -> str:
        """All of `partner`, as `Partner(*row)` takes them: for statements that every call makes, and that are to cost little."""
        return ", ".join(f"partner.{field.column}" for field in cls._meta.concrete_fields)


class Client(AbstractApplication):  # type: ignore[misc]
    """A program of a partner's, which gets its tokens by its own credentials (RFC 6749, 4.4) and in no other way."""

    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="+")
    #: All that a token of it may be for.
    scopes = ArrayField(models.CharField(max_length=30))

    class Meta(AbstractApplication.Meta):  # type: ignore[misc]
        abstract = False
        constraints = [
            models.CheckConstraint(
                name="client_by_credentials_only",
                condition=Q(
                    authorization_grant_type="client-credentials", client_type="confidential", hash_client_secret=True
                ),
            )
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not args:
            kwargs = {
                "authorization_grant_type": AbstractApplication.GRANT_CLIENT_CREDENTIALS,
                "client_type": AbstractApplication.CLIENT_CONFIDENTIAL,
            } | kwargs
        super().__init__(*args, **kwargs)

    def is_usable(self, request: Any) -> bool:
        return bool(self.partner.is_active)


class Secret(models.Model):
    """What a partner and we both know, sealed. The two newest of a use are live, so that one can take the other's place."""

    class Use(models.TextChoices):
        SIGN = "sign", "signs the partner's calls in the older form"
        OUT = "out", "signs what we tell the partner"
        IN = "in", "signs what the partner tells us"

    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="secrets")
    use = models.CharField(max_length=4, choices=Use)
    sealed = models.BinaryField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["partner", "use", "-id"], name="secret_newest")]

    def __str__(self) -> str:
        return f"{self.use} secret {self.pk} of {self.partner_id}"


class Call(models.Model):
    """A write that was answered under a key of the partner's: asked again, it is answered the same, for ever."""

    #: Digest of partner and key.
    id = models.UUIDField(primary_key=True)
    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, db_index=False)
    #: Digest of what was asked.
    request = models.UUIDField()
    #: Status, body and headers, packed and sealed.
    answer = models.BinaryField()
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"call {self.pk}"


class Address(models.Model):
    """Where a partner is told of events."""

    partner = models.OneToOneField(Partner, on_delete=models.CASCADE, primary_key=True, related_name="address")
    url = models.CharField(max_length=500)
    #: How often in a row it gave no good answer; until when it is left alone therefore.
    failures = models.PositiveIntegerField(db_default=0)
    quiet_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"address of {self.partner_id}"


class Event(models.Model):
    """Something that a partner is told: written in the transaction that causes it."""

    class State(models.TextChoices):
        WAITING = "waiting", "on its way"
        DELIVERED = "delivered", "taken by the partner"
        GIVEN_UP = "given_up", "not taken within 24 hours"

    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, db_index=False)
    kind = models.CharField(max_length=50)
    sealed = models.BinaryField()
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    at = models.DateTimeField(db_default=Now())
    #: From when on it is tried for 24 hours: when it happened, or when it was last asked for again.
    since = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["partner", "-id"], name="event_newest")]

    def __str__(self) -> str:
        return f"event {self.pk}"


class Attempt(models.Model):
    """One try to tell a partner of an event."""

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="tries")
    at = models.DateTimeField(db_default=Now())
    #: The answer's; none: there was no answer.
    status = models.PositiveSmallIntegerField(null=True)
    #: Why there was none, in a word.
    reason = models.CharField(max_length=40, blank=True)
    milliseconds = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"attempt {self.pk} of event {self.event_id}"


class Message(models.Model):
    """What a partner has told us: verified, kept as it came, applied once."""

    class State(models.TextChoices):
        WAITING = "waiting", "still to be applied"
        APPLIED = "applied", "applied"
        UNKNOWN = "unknown", "of a kind that nobody here knows"
        FAILED = "failed", "set aside for a person to look at"

    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, db_index=False)
    #: The sender's own; told again, it is the same.
    webhook_id = models.CharField(max_length=255)
    kind = models.CharField(max_length=50)
    sealed = models.BinaryField()
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    at = models.DateTimeField(db_default=Now())
    applied_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["partner", "webhook_id"], name="message_once")]

    def __str__(self) -> str:
        return f"message {self.pk}"

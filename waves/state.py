"""Where a wave stands. It opens and closes by the clock; what comes after the close, people do."""

from datetime import datetime

from django.db.models import Q, TextChoices
from django.utils.translation import gettext_lazy as _

from registrations.models import Wave
from waves.models import Draw, Screening


class State(TextChoices):
    PLANNED = "planned", _("Planned")
    OPEN = "open", _("Open")
    CLOSED = "closed", _("Closed")
    FROZEN = "frozen", _("Frozen")
    DRAWN = "drawn", _("Drawn")
    DECREED = "decreed", _("Decreed")
    ANNOUNCED = "announced", _("Announced")


def of(wave: Wave, now: datetime) -> State:
    """The wave's state at `now`."""
    if draw := Draw.objects.filter(wave=wave, annulled_at=None).defer("subtrees").first():
        if draw.announced_at:
            return State.ANNOUNCED
        if draw.drawn_at:
            return State.DECREED if draw.decrees.exists() else State.DRAWN
        return State.FROZEN
    if wave.opens_at is None or wave.closes_at is None or now < wave.opens_at:
        return State.PLANNED
    if now < wave.closes_at:
        return State.OPEN
    return State.ANNOUNCED if has_ended_undrawn(wave) else State.CLOSED


def has_ended_undrawn(wave: Wave) -> bool:
    """Whether it was announced that nobody in the wave is eligible."""
    return Screening.objects.filter(wave=wave).exclude(announced_at=None).exists()


def open_wave(now: datetime) -> Wave | None:
    """The wave that can be joined at `now`; of several, the one that closes first."""
    return Wave.objects.filter(Q(opens_at__lte=now) & Q(closes_at__gt=now)).order_by("closes_at").first()

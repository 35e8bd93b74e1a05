"""Changing a wave that is planned: its window and its quota. Each change leaves a trace: who, when, why, and what was before."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from registrations.models import Wave
from waves.models import Change
from waves.screening import NotNow


def change_quota(wave: Wave, quota: int, *, by: User, reason: str, at: datetime) -> None:
    """So many seats from now on, until the list is frozen. Raises `NotNow`."""
    with transaction.atomic():
        wave = _changeable(wave)
        if not 0 < quota < 2**31:
            raise NotNow(_("A quota is a whole number above 0."))
        _change(wave, "quota", quota, by=by, reason=reason, at=at)


def extend(wave: Wave, closes_at: datetime, *, by: User, reason: str, at: datetime) -> None:
    """The wave closes later, or earlier, than planned; not one that is closed. Raises `NotNow`."""
    with transaction.atomic():
        wave = _changeable(wave)
        if wave.opens_at is None or wave.closes_at is None:
            raise NotNow(_("Wave %(wave)s has no window yet.") % {"wave": wave.number})
        if wave.closes_at <= at:
            raise NotNow(_("Wave %(wave)s is closed.") % {"wave": wave.number})
        if closes_at <= max(at, wave.opens_at):
            raise NotNow(_("A wave closes in the future, and after it has opened."))
        if Wave.objects.filter(closes_at=closes_at).exclude(pk=wave.pk).exists():
            raise NotNow(_("Another wave closes at this very moment."))
        _change(wave, "closes_at", closes_at, by=by, reason=reason, at=at)


def _changeable(wave: Wave) -> Wave:
    if wave.draws.filter(annulled_at=None).exists():
        raise NotNow(_("The list of wave %(wave)s is frozen.") % {"wave": wave.number})
    return Wave.objects.select_for_update().get(pk=wave.pk)


def _change(wave: Wave, field: str, value: int | datetime, *, by: User, reason: str, at: datetime) -> None:
    if not reason.strip():
        raise NotNow(_("A change has a reason, which is kept."))
    before = getattr(wave, field)
    setattr(wave, field, value)
    wave.save(update_fields=[field])
    Change.objects.create(
        wave=wave, field=field, before=_spoken(before), after=_spoken(value), reason=reason.strip(), by=by, at=at
    )


def _spoken(value: int | datetime | None) -> str:
    return value.isoformat(timespec="minutes") if isinstance(value, datetime) else str(value)

"""Planning a wave, and changing its window and its quota. Each step leaves a trace: who, when, why, and what was before."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from registrations.models import Wave
from waves.models import Change, ListKind, Plan, RuleSet
from waves.screening import NotNow


def plan(
    *,
    opens_at: datetime,
    closes_at: datetime,
    quota: int,
    rule_set: RuleSet,
    priority_seats: int = 0,
    by: User,
    reason: str,
    at: datetime,
) -> Wave:
    """The next wave: that of the people who have registered since the last one closed. It opens and closes by itself.

    `priority_seats` of its seats are set apart for workers with priority. Raises `NotNow`.
    """
    with transaction.atomic():
        waves = list(Wave.objects.select_for_update().order_by("number"))
        last = max((wave.closes_at for wave in waves if wave.closes_at), default=None)
        if not at < closes_at or not opens_at < closes_at:
            raise NotNow(_("A wave closes in the future, and after it has opened."))
        if last and opens_at < last:
            raise NotNow(_("One wave at a time: the last one closes later than this one would open."))
        if not 0 < quota < 2**31:
            raise NotNow(_("A quota is a whole number above 0."))
        if not 0 <= priority_seats <= quota:
            raise NotNow(_("There are no more seats for workers with priority than seats."))
        waiting = next((wave for wave in waves if not wave.closes_at), None)
        wave = waiting or Wave.objects.create(number=waves[-1].number + 1 if waves else 1)
        _change(wave, by=by, reason=reason, at=at, opens_at=opens_at, closes_at=closes_at, quota=quota)
        rooms = [{"name": "priority", "seats": priority_seats, "list": ListKind.PRIORITY.value}] if priority_seats else []
        Plan.objects.update_or_create(wave=wave, defaults={"rule_set": rule_set, "rooms": rooms})
        return wave


def change_quota(wave: Wave, quota: int, *, by: User, reason: str, at: datetime) -> None:
    """So many seats from now on, until the list is frozen. Raises `NotNow`."""
    with transaction.atomic():
        wave = _changeable(wave)
        if not 0 < quota < 2**31:
            raise NotNow(_("A quota is a whole number above 0."))
        _change(wave, by=by, reason=reason, at=at, quota=quota)


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
        _change(wave, by=by, reason=reason, at=at, closes_at=closes_at)


def _changeable(wave: Wave) -> Wave:
    """The wave, locked: a freeze that is under way ends before it is looked at."""
    wave = Wave.objects.select_for_update().get(pk=wave.pk)
    if wave.draws.filter(annulled_at=None).exists():
        raise NotNow(_("The list of wave %(wave)s is frozen.") % {"wave": wave.number})
    return wave


def _change(wave: Wave, *, by: User, reason: str, at: datetime, **values: int | datetime) -> None:
    if not reason.strip():
        raise NotNow(_("A change has a reason, which is kept."))
    for field, value in values.items():
        before, after = _spoken(getattr(wave, field)), _spoken(value)
        Change.objects.create(wave=wave, field=field, before=before, after=after, reason=reason.strip(), by=by, at=at)
        setattr(wave, field, value)
    wave.save(update_fields=list(values))


def _spoken(value: int | datetime | None) -> str:
    if value is None:
        return "–"
    return value.isoformat(timespec="minutes") if isinstance(value, datetime) else str(value)

"""Planning a wave, and changing its window, quota, rules and rooms. Each step leaves a trace: who, when, why, and what was before."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from registrations.models import Wave
from registrations.regions import WIB, Province
from waves.models import Change, ListKind, Plan, RuleSet
from waves.screening import NotNow


def set_apart(priority: int, provinces: Mapping[Province, int]) -> list[dict[str, Any]]:
    """Seats set apart for workers with priority and for the people of provinces, as a plan keeps them; first come the workers."""
    workers = {"name": "priority", "seats": priority, "list": ListKind.PRIORITY.value}
    people = [
        {"name": province.label, "seats": seats, "province": province.value} for province, seats in sorted(provinces.items())
    ]
    return [room for room in (workers, *people) if room["seats"]]


def plan(
    *,
    opens_at: datetime,
    closes_at: datetime,
    quota: int,
    rule_set: RuleSet,
    rooms: Sequence[dict[str, Any]] = (),
    by: User,
    reason: str,
    at: datetime,
) -> Wave:
    """The next wave: that of the people who have registered since the last one closed. It opens and closes by itself.

    Some of its seats are set apart for `rooms`. Raises `NotNow`.
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
        waiting = next((wave for wave in waves if not wave.closes_at), None)
        wave = waiting or Wave.objects.create(number=waves[-1].number + 1 if waves else 1)
        _change(wave, by=by, reason=reason, at=at, opens_at=opens_at, closes_at=closes_at, quota=quota)
        _lay_down(wave, rule_set, rooms, by=by, reason=reason, at=at)
        return wave


def change_rules(
    wave: Wave, rule_set: RuleSet, rooms: Sequence[dict[str, Any]], *, by: User, reason: str, at: datetime
) -> None:
    """By these rules and with these seats set apart from now on, until the wave closes. Raises `NotNow`."""
    with transaction.atomic():
        wave = _changeable(wave)
        # Once it is known who has joined, nobody chooses the rules that suit some of them.
        if wave.closes_at and wave.closes_at <= at:
            raise NotNow(_("Wave %(wave)s is closed.") % {"wave": wave.number})
        if not _lay_down(wave, rule_set, rooms, by=by, reason=reason, at=at):
            raise NotNow(_("These are the rules and the seats set apart already."))


def change_quota(wave: Wave, quota: int, *, by: User, reason: str, at: datetime) -> None:
    """So many seats from now on, until the list is frozen. Raises `NotNow`."""
    with transaction.atomic():
        wave = _changeable(wave)
        if not 0 < quota < 2**31:
            raise NotNow(_("A quota is a whole number above 0."))
        _fit(Plan.objects.filter(wave=wave).values_list("rooms", flat=True).first() or (), quota)
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
        if other := Wave.objects.filter(opens_at__lt=closes_at, closes_at__gt=wave.opens_at).exclude(pk=wave.pk).first():
            raise NotNow(_("One wave at a time: wave %(wave)s is open then.") % {"wave": other.number})
        _change(wave, by=by, reason=reason, at=at, closes_at=closes_at)


def _changeable(wave: Wave) -> Wave:
    """The wave, locked: a freeze that is under way ends before it is looked at."""
    wave = Wave.objects.select_for_update().get(pk=wave.pk)
    if wave.draws.filter(annulled_at=None).exists():
        raise NotNow(_("The list of wave %(wave)s is frozen.") % {"wave": wave.number})
    return wave


def _lay_down(
    wave: Wave, rule_set: RuleSet, rooms: Sequence[dict[str, Any]], *, by: User, reason: str, at: datetime
) -> bool:
    """The wave's plan from now on; whether it is another than before."""
    _fit(rooms, wave.quota or 0)
    if wave.closes_at and rule_set.in_force_from > wave.closes_at.astimezone(WIB).date():
        text = _("The rules %(rules)s are not in force when the wave closes.")
        raise NotNow(text % {"rules": rule_set.name})
    plan = Plan.objects.filter(wave=wave).first()
    before = (plan.rule_set_id, plan.rooms) if plan else ("", [])
    after = (rule_set.pk, list(rooms))
    for field, old, new in zip(("rule_set", "rooms"), before, after, strict=True):
        if old != new:
            _trace(wave, field, old, new, by=by, reason=reason, at=at)
    Plan.objects.update_or_create(wave=wave, defaults={"rule_set": rule_set, "rooms": list(rooms)})
    return before != after


def _fit(rooms: Sequence[dict[str, Any]], quota: int) -> None:
    """Raises `NotNow` when there are not as many seats as are set apart."""
    if any(room["seats"] < 0 for room in rooms):
        raise NotNow(_("A number of seats set apart is a whole number, 0 or more."))
    apart = sum(room["seats"] for room in rooms)
    if apart > quota:
        text = _("More seats are set apart than there are: %(apart)s of %(quota)s.")
        raise NotNow(
            text % {"apart": number_format(apart, force_grouping=True), "quota": number_format(quota, force_grouping=True)}
        )


def _change(wave: Wave, *, by: User, reason: str, at: datetime, **values: int | datetime) -> None:
    for field, value in values.items():
        _trace(wave, field, getattr(wave, field), value, by=by, reason=reason, at=at)
        setattr(wave, field, value)
    wave.save(update_fields=list(values))


def _trace(wave: Wave, field: str, before: Any, after: Any, *, by: User, reason: str, at: datetime) -> None:
    if not reason.strip():
        raise NotNow(_("A change has a reason, which is kept."))
    Change.objects.create(
        wave=wave, field=field, before=_spoken(before), after=_spoken(after), reason=reason.strip(), by=by, at=at
    )


def _spoken(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(f"{room['name']} {room['seats']}" for room in value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="minutes")
    return "–" if value in (None, "") else str(value)

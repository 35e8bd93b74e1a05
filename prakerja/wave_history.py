"""What became of a wave: when it reached each state, what was done and changed, and by whom."""

from collections.abc import Sequence
from datetime import datetime
from math import inf
from typing import NamedTuple

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from prakerja.templatetags.numbers import moment, number
from registrations.models import Wave
from waves.models import Act, Change, Decree, Draw, Screening, SeatMove
from waves.state import State

Name = Act.Name


class Reached(NamedTuple):
    """A state of a wave: when it is reached, as far as that is known, and who brought it about."""

    state: State
    at: datetime | None
    who: str
    is_past: bool


class Done(NamedTuple):
    """A step or a change, with who and when."""

    what: str
    asked_by: str
    confirmed_by: str
    at: datetime | None


def states(
    wave: Wave, draw: Draw | None, decree: Decree | None, screened: Screening | None, acts: Sequence[Act], now: datetime
) -> list[Reached]:
    """All states of the wave, in order."""
    planned = wave.changes.filter(field="opens_at").select_related("by").first()
    shipped = "" if planned or wave.opens_at is None else _("with the waves of 2020")
    attempt = draw.attempt if draw else wave.draws.count() + 1
    asked = {act.name: act for act in acts if act.attempt == attempt}
    told = draw.announced_at if draw else screened.announced_at if screened else None

    def reached(state: State, at: datetime | None, who: str) -> Reached:
        return Reached(state, at, who, is_past=at is not None and at <= now)

    def taken(state: State, name: Name, at: datetime | None) -> Reached:
        act = asked.get(name)
        return reached(state, at, (_people(act) if act and act.done_at else _("by itself")) if at else "")

    return [
        Reached(State.PLANNED, planned.at if planned else None, _name(planned) if planned else shipped, is_past=True),
        reached(State.OPEN, wave.opens_at, _("by itself") if wave.opens_at else ""),
        reached(State.CLOSED, wave.closes_at, _("by itself") if wave.closes_at else ""),
        taken(State.FROZEN, Name.FREEZE, draw.frozen_at if draw else None),
        taken(State.DRAWN, Name.DRAW, draw.drawn_at if draw else None),
        taken(State.DECREED, Name.DECREE, decree.at if decree else None),
        taken(State.ANNOUNCED, Name.ANNOUNCE, told),
    ]


def done(wave: Wave, draw: Draw | None, decree: Decree | None, acts: Sequence[Act]) -> list[Done]:
    """All that was done, asked for or changed, the oldest first."""
    found = [Done(_spoken(act), act.maker.get_username(), _checker(act), act.done_at) for act in acts]
    found += _changes(wave)
    found += [Done(what, _("by itself"), "", at) for what, at in _unasked(draw, decree, acts)]
    return sorted(found, key=lambda one: one.at.timestamp() if one.at else inf)


def movers(draw: Draw) -> dict[datetime, str]:
    """Who gave seats of the draw to later waves, by the instant at which that was done."""
    acts = _of_two().filter(wave=draw.wave_id, attempt=draw.attempt, name=Name.MOVE).exclude(done_at=None)
    return {act.done_at: _people(act) for act in acts if act.done_at}


def _of_two() -> QuerySet[Act]:
    return Act.objects.select_related("maker", "checker")


def _people(act: Act) -> str:
    return ", ".join(filter(None, (act.maker.get_username(), _checker(act))))


def _checker(act: Act) -> str:
    return act.checker.get_username() if act.checker and act.checker_id != act.maker_id else ""


def _name(change: Change) -> str:
    return change.by.get_username() if change.by else ""


def _changes(wave: Wave) -> list[Done]:
    """What was changed of the wave; where an earlier one has given it seats, with that wave, of which two people wanted it."""
    asked = {
        (act.wave_id, act.attempt, act.done_at): act for act in _of_two().filter(name=Name.MOVE, details__to=wave.number)
    }
    moves = list(SeatMove.objects.filter(to=wave).select_related("draw").defer("draw__subtrees"))
    found = []
    for change in wave.changes.select_related("by"):
        # Both stand in the order in which they were made: so do those of one instant.
        made = change.field, change.at, change.reason
        move = next((move for move in moves if made == ("quota", move.at, move.reason)), None)
        if move:
            moves.remove(move)
        act = asked.get((move.draw.wave_id, move.draw.attempt, move.at)) if move else None
        found.append(_changed(change, move, act))
    return found


def _changed(change: Change, move: SeatMove | None, act: Act | None) -> Done:
    fields = {
        "opens_at": _("Opens"),
        "closes_at": _("Closes"),
        "quota": _("Seats"),
        "rule_set": _("Rule set"),
        "rooms": _("Set apart"),
    }
    what = f"{fields[change.field]}: {_written(change.before)} → {_written(change.after)}. {change.reason}"
    if move:
        what = _("%(change)s (from wave %(wave)s)") % {"change": what, "wave": move.draw.wave_id}
    return Done(what, _name(change), _checker(act) if act else "", change.at)


def _written(value: str) -> str:
    """A number or an instant as the reader's language writes it; anything else as it stands."""
    if value.isascii() and value.isdigit():
        return number(int(value))
    return moment(parse_datetime(value) if "T" in value else None) or value


def _spoken(act: Act) -> str:
    what, told = str(act.get_name_display()), act.details
    if act.attempt > 1:
        what += f" ({act.attempt})"
    if "seats" in told:
        what += f": {number(int(told['seats']))}"
    if "to" in told:
        what += f" → {_('Wave %(number)s') % {'number': told['to']}}"
    return f"{what}. {told['reason']}" if told.get("reason") else what


def _unasked(draw: Draw | None, decree: Decree | None, acts: Sequence[Act]) -> list[tuple[str, datetime]]:
    """Steps of the draw that nobody asked for: the round came out, or a simulation went on by itself."""
    if draw is None:
        return []
    steps = {
        Name.FREEZE: draw.frozen_at,
        Name.COMMIT: draw.committed_at,
        Name.DRAW: draw.drawn_at,
        Name.PUBLISH: draw.published_at,
        Name.DECREE: decree.at if decree else None,
        Name.ANNOUNCE: draw.announced_at,
    }
    asked = {act.name for act in acts if act.attempt == draw.attempt}
    return [(str(name.label), at) for name, at in steps.items() if at and name not in asked]

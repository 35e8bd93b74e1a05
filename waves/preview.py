"""The numbers of a step, as they are now: whoever asks for it, and whoever confirms it, looks at them before.

Those that were looked at are kept with what was asked for, so that the second person sees which have changed since.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from registrations.models import Wave
from waves import correction, reserves, seats
from waves.models import Act, Application, Draw

Name = Act.Name

LABELS: dict[str, Promise] = {
    "joined": pgettext_lazy("people", "Joined"),
    "not_eligible": _("Not eligible, for one reason or more"),
    "tickets": _("Tickets"),
    "seats": _("Seats"),
    "drawn": pgettext_lazy("people", "Drawn"),
    "not_drawn": _("Told why they were not selected"),
    "recipients": _("Recipients now"),
    "revoked": _("Revoked, and in no decree yet"),
    "free": _("Free seats"),
    "reserve": _("In reserve"),
    "called": _("Reserves to be called"),
    "moved": _("Seats to be given away"),
    "later": _("Seats of the later wave now"),
    "added": _("People to be added"),
    "removed": _("People to be removed"),
}

#: What is done about recipients: all of it is judged by the same numbers.
AFTERWARDS = (Name.REVOKE, Name.RESERVES, Name.MOVE, Name.CORRECT)


class Figure(NamedTuple):
    """One number of a step."""

    label: Promise
    number: int
    #: What it was when the step was asked for, if that was another one.
    before: int | None = None


def figures(now: Mapping[str, int], then: Mapping[str, int] | None = None) -> list[Figure]:
    """The numbers with their labels; and what they were then."""
    was = {code: number for code, number in (then or {}).items() if number != now.get(code)}
    return [Figure(LABELS[code], number, was.get(code)) for code, number in now.items()]


def as_text(numbers: Mapping[str, int]) -> str:
    """To be sent along with a page, and back: whether they are the same when somebody says yes."""
    return " ".join(f"{code}={number}" for code, number in numbers.items())


def of(name: Name, wave: Wave, draw: Draw | None, details: Mapping[str, Any] | None = None) -> dict[str, int]:
    """The numbers of a step of the wave, whose draw this is; with those of what was typed in for it, if that is known."""
    if draw is None:
        return _before_the_draw(name, wave)
    if name in AFTERWARDS:
        found = seats.of(draw)
        numbers = {
            "recipients": found.living,
            "revoked": found.undecreed,
            "free": found.free,
            "reserve": reserves.left(draw),
        }
        return numbers | (_typed(name, details) if details else {})
    drawn = {} if draw.selected is None else {"drawn": draw.selected}
    if name is Name.ANNOUNCE:
        return drawn | {"not_drawn": Application.objects.filter(wave=wave).count() - (draw.selected or 0)}
    return {"tickets": draw.tickets, "seats": draw.quota} | drawn


def _before_the_draw(name: Name, wave: Wave) -> dict[str, int]:
    screened = wave.screenings.filter(is_current=True).first()
    if name is Name.SCREEN or screened is None:
        return {"joined": Application.objects.filter(wave=wave).count()}
    if name is Name.ANNOUNCE:
        return {"joined": screened.applications, "not_eligible": screened.ineligible}
    return {"tickets": screened.applications - screened.ineligible, "seats": wave.quota or 0}


def _typed(name: Name, details: Mapping[str, Any]) -> dict[str, int]:
    match name:
        case Name.RESERVES:
            return {"called": int(details["seats"])}
        case Name.MOVE:
            later = Wave.objects.filter(pk=details["to"]).first()
            return {"moved": int(details["seats"]), "later": (later and later.quota) or 0}
        case Name.CORRECT:
            signs = [change.sign for change in correction.read(details["changes"])]
            return {"added": signs.count("+"), "removed": signs.count("-")}
        case _:
            return {}

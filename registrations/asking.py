"""Which funnel somebody asks for: the same words on the command line, in the API and on the office's screen."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from registrations.funnel import WIB, View
from registrations.models import Registrant, Wave


class BadView(ValueError):
    """The question makes no sense; says which part, and why, in plain words."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def view_of(asked: Mapping[str, str | None]) -> View:
    """The view asked for by `wave`, `until_wave`, `selected_wave` and `as_of` (ISO; without a zone: WIB). Raises `BadView`."""
    waves = {field: _wave(field, asked.get(field)) for field in ("wave", "until_wave", "selected_wave")}
    if sum(number is not None for number in waves.values()) > 1:
        field = "until_wave" if waves["selected_wave"] is None else "selected_wave"
        raise BadView(field, _("Ask for one wave, for all until one, or for those whom one selected; not for two of these."))
    return View(**waves, as_of=_as_of(asked.get("as_of")))


def _wave(field: str, text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or not int(text):
        told = _("Waves are numbered from 1 on, for example 3; this is not one: %(text)s")
        raise BadView(field, told % {"text": text[:20]})
    number = int(text)
    if not Wave.objects.filter(number=number).exists():
        known = Wave.objects.order_by("-number").values_list("number", flat=True).first()
        if known is None:
            raise BadView(field, _("There is no wave %(number)s: there is none at all yet.") % {"number": number})
        raise BadView(
            field, _("There is no wave %(number)s; the last one is wave %(known)s.") % {"number": number, "known": known}
        )
    return number


def _as_of(text: str | None) -> datetime | None:
    if not text:
        return None
    now = timezone.now()
    instant = _instant(text.strip(), now)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=WIB)
    if instant > now:
        raise BadView("as_of", _("This moment is in the future: %(moment)s.") % {"moment": _spoken(instant)})
    first = Registrant.objects.order_by("id").values_list("registered_at", flat=True).first()
    if first is not None and instant < first.replace(minute=0, second=0, microsecond=0):
        # Ids follow arrival, not time: only then is the whole table asked.
        first = Registrant.objects.order_by("registered_at").values_list("registered_at", flat=True)[0]
        if instant < first:
            raise BadView(
                "as_of",
                _("Nobody was registered then; the first registration was at %(moment)s.") % {"moment": _spoken(first)},
            )
    return instant


def _instant(text: str, now: datetime) -> datetime:
    try:
        # In a URL an unescaped + is a blank.
        instant = parse_datetime(text.replace(" 0", "+0") if text.count(" ") and "T" in text else text)
        day = parse_date(text)
    except ValueError:
        instant = day = None
    if day is not None:
        # A day means its end: all that happened on it, or has until now.
        end = datetime(day.year, day.month, day.day, tzinfo=WIB) + timedelta(days=1)
        return min(end, now) if end - timedelta(days=1) <= now else end
    if instant is None:
        raise BadView("as_of", _("Give the moment as in 2020-04-16T16:00 (WIB) or 2020-04-16 (the end of that day)."))
    return instant


def _spoken(instant: datetime) -> str:
    return f"{instant.astimezone(WIB):%Y-%m-%d %H:%M} WIB"

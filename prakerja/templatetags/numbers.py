"""Numbers, shares and moments as the reader's language writes them."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django import template
from django.utils import dateformat, formats
from django.utils.translation import get_language

from registrations.regions import WIB, WIT, WITA

register = template.Library()

NO_BREAK = "\u00a0"  # a unit never slips to the next line without its number


# A template hands a filter the empty string for a missing variable: like None, it is written as nothing.


@register.filter
def number(value: int | str | None) -> str:
    """A whole number in groups of three: 23.171.233 in Indonesian, 23,171,233 in English."""
    if value is None or isinstance(value, str):
        return ""
    return formats.number_format(value, decimal_pos=0, force_grouping=True)


@register.filter
def rupiah(amount: int | str | None) -> str:
    """Money: Rp600.000 in Indonesian, Rp600,000 in English; what was spent has a minus in front."""
    if amount is None or isinstance(amount, str):
        return ""
    return f"{'−' if amount < 0 else ''}Rp{number(abs(amount))}"


@register.filter
def percent(share: float | str | None) -> str:
    """A share of one with one decimal: 0.777 is 77,7 % in Indonesian, 77.7 % in English."""
    if share is None or isinstance(share, str):
        return ""
    # Rounded here: number_format cuts digits off.
    return f"{formats.number_format(round(share * 100, 1), decimal_pos=1)}{NO_BREAK}%"


@register.filter
def moment(instant: datetime | str | None, zone: str = "Asia/Jakarta") -> str:
    """An instant on a wall clock in Indonesia: 15 Sep 2020 18.35 WIB in Indonesian, 18:35 in English.

    `zone` is one of Asia/Jakarta (WIB), Asia/Makassar (WITA) and Asia/Jayapura (WIT).
    """
    if instant is None or isinstance(instant, str):
        return ""
    return _on_wall(instant, zone, f"j M Y H{_between_hours_and_minutes()}i")


@register.filter
def day(instant: datetime | str | None) -> str:
    """The day of an instant in Jakarta: 15 Des 2020 in Indonesian, 15 Dec 2020 in English."""
    if instant is None or isinstance(instant, str):
        return ""
    return dateformat.format(instant.astimezone(WIB), "j M Y").replace(" ", NO_BREAK)


@register.filter
def zones(instant: datetime | str | None) -> str:
    """An instant on the wall clocks of all three zones: 16 Apr 2020 16.00 WIB, 17.00 WITA, 18.00 WIT.

    Where it is another day already, the day is said again.
    """
    if instant is None or isinstance(instant, str):
        return ""
    first = instant.astimezone(WIB).date()
    told = [moment(instant)]
    for zone in (WITA, WIT):
        is_same = instant.astimezone(zone).date() == first
        told.append(_on_wall(instant, zone.key, f"{'' if is_same else 'j M Y '}H{_between_hours_and_minutes()}i"))
    return ", ".join(told)


@register.filter
def clock(instant: datetime | str | None, zone: str = "Asia/Jakarta") -> str:
    """The time of day to the second: 18.35.07 WIB in Indonesian, 18:35:07 WIB in English."""
    if instant is None or isinstance(instant, str):
        return ""
    colon = _between_hours_and_minutes()
    return _on_wall(instant, zone, f"H{colon}i{colon}s")


@register.filter
def bar(people: int | None, top: int | None) -> str:
    """The width of a bar for `people` where `top` fills it, as an SVG length such as 77.68%."""
    if not people or not top:
        return "0%"
    # Written by hand and not by the language's rules: SVG knows only the decimal point.
    return f"{min(people / top, 1) * 100:.2f}%"


def _on_wall(instant: datetime, zone: str, pattern: str) -> str:
    local = instant.astimezone(ZoneInfo(zone))
    return f"{dateformat.format(local, pattern)} {local.tzname()}".replace(" ", NO_BREAK)


def _between_hours_and_minutes() -> str:
    return "." if (get_language() or "").startswith("id") else ":"

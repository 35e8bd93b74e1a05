"""What is written to many at once about their waves, each in their own language."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from django.conf import settings
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext

from registrations.person import Person
from registrations.regions import WIB
from registrations.stages import DropOff
from waves import rules
from waves.models import Notice

Kind = Notice.Kind

_SAYS = {rule.reason: rule.says for rule in rules.RULES.values()}


class Letter(NamedTuple):
    """One person's, as a mail and, `short`, as an SMS."""

    reference: str
    email: str
    phone: str
    subject: str
    text: str
    short: str


class _Words(NamedTuple):
    """What a notice says, but for the name."""

    hello: str
    subject: str
    text: str
    short: str


def write(notice: Notice, registrant_id: int, person: Person, reasons: Sequence[DropOff] = ()) -> Letter:
    """The letter of this notice to one person; `reasons`: why they could not take part."""
    language = person.language
    words = _words(Kind(notice.kind), notice.decree.draw.wave_id, _last_day(notice, language), tuple(reasons), language)
    return Letter(
        f"notice.{notice.pk}.{registrant_id}",
        person.email,
        person.phone,
        words.subject,
        f"{words.hello.format(name=person.name)}\n\n{words.text}",
        words.short,
    )


def _last_day(notice: Notice, language: str) -> str:
    """The last day on which a training may be bought."""
    last = notice.decree.last_moment
    if last is None:
        return ""
    with translation.override(language):
        return date_format(last.astimezone(WIB).date(), "DATE_FORMAT")


def _texts() -> dict[Kind, tuple[str, str, str]]:
    """Subject, text and SMS by kind."""
    days = (
        gettext("Buy your first training by {day}"),
        gettext(
            "you were selected in wave {wave} and have not bought a training yet. Your training balance can be used until "
            "{day}, 23.59 WIB. If you buy nothing by then, your membership is revoked, and you cannot take part again.\n\n{url}"
        ),
        gettext("Kartu Prakerja: buy your first training by {day}, 23.59 WIB, or your membership is revoked. {url}"),
    )
    return {
        Kind.SELECTED: (
            gettext("You were selected in wave {wave} of Kartu Prakerja"),
            gettext(
                "congratulations: you were drawn in wave {wave} and are a recipient of Kartu Prakerja. Your card number is on "
                "your page. Buy your first training by {day}; who has not bought one by then loses the place.\n\n{url}\n\n"
                "Taking part costs nothing. Nobody of ours asks you for money or for your code."
            ),
            gettext("Kartu Prakerja: you were selected in wave {wave}. Buy your first training by {day}: {url}"),
        ),
        Kind.NOT_SELECTED: (
            gettext("Your result in wave {wave} of Kartu Prakerja"),
            gettext(
                "thank you for taking part in wave {wave}. You were not selected this time.\n\n{why}\n\n{next}\n\n{url}"
            ),
            "",
        ),
        Kind.DAYS_7: days,
        Kind.DAYS_3: days,
        Kind.DAYS_1: days,
        Kind.REVOKED: (
            gettext("Your membership of Kartu Prakerja was revoked"),
            gettext(
                "you were selected in wave {wave} and have not bought a training by {day}. Your membership was revoked, as the "
                "rules say, and the place goes to somebody else. You cannot take part again. If you think that this is wrong, tell us "
                "on your page.\n\n{url}"
            ),
            gettext("Kartu Prakerja: no training was bought by {day}, so your membership was revoked. {url}"),
        ),
        Kind.REMOVED: (
            gettext("Your membership of Kartu Prakerja has ended"),
            gettext(
                "the decree of wave {wave} was corrected, and you are not a recipient any more. The reason is on your page.\n\n{url}"
            ),
            gettext("Kartu Prakerja: the decree of wave {wave} was corrected. You are not a recipient any more. {url}"),
        ),
    }


@cache
def _words(kind: Kind, wave: int, day: str, reasons: tuple[DropOff, ...], language: str) -> _Words:
    """Looked up once: a batch writes thousands."""
    with translation.override(language):
        told = {
            "wave": wave,
            "day": day,
            "url": f"{settings.BASE_URL}/status/",
            "why": _why(reasons),
            "next": _next(reasons),
        }
        return _Words(gettext("Dear {name},"), *(text.format(**told) for text in _texts()[kind]))


def _why(reasons: Sequence[DropOff]) -> str:
    if reasons:
        return " ".join(str(_SAYS[reason]) for reason in reasons)
    return gettext("There were fewer seats than people, and your ticket was not drawn. On your page you can check the draw.")


def _next(reasons: Sequence[DropOff]) -> str:
    if {DropOff.RECIPIENT_BEFORE, DropOff.REVOKED_BEFORE} & set(reasons):
        return gettext("If you think that this is wrong, tell us on your page.")
    if reasons:
        return gettext(
            "Should this change, join a later wave with one click on your page: you need not enter anything again."
        )
    return gettext("Join the next wave with one click on your page: you need not enter anything again.")

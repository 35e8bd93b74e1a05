"""What a registrant sees of their own waves: where each one stands, their ticket, and what came of it."""

from dataclasses import dataclass, field
from datetime import datetime

from registrations.models import Wave
from registrations.regions import WIB
from registrations.stages import DropOff
from waves import cards, rules, state
from waves import draw as drawing
from waves.models import Application, Called, Decree, Draw, Ineligible, PersonList, Recipient, Ticket
from waves.state import State

_SAYS = {rule.reason: rule.says for rule in rules.RULES.values()}


@dataclass(frozen=True, slots=True)
class Mine:
    """One application."""

    wave: Wave
    joined_at: datetime
    state: State
    #: Why the person could not take part; told from the freeze on.
    reasons: list[str] = field(default_factory=list)
    #: In which the ticket is.
    draw: Draw | None = None
    #: 15 hexadecimal digits, in groups of five.
    ticket: str = ""
    #: From the publication on.
    rank: int | None = None
    #: The last ranks that were drawn: among all (no name), and in the room that the ticket belongs to.
    cut_offs: list[tuple[str, int]] = field(default_factory=list)
    is_taken: bool | None = None
    #: From the reserve, when a seat became free.
    was_called: bool = False

    @property
    def can_be_left(self) -> bool:
        return self.state is State.OPEN

    @property
    def is_pending(self) -> bool:
        return self.state is not State.ANNOUNCED


def applications(registrant_id: int, now: datetime) -> list[Mine]:
    """The registrant's waves, the newest first."""
    joined = Application.objects.filter(registrant_id=registrant_id).select_related("wave").order_by("-wave")
    return [_mine(application, now) for application in joined]


def _mine(application: Application, now: datetime) -> Mine:
    wave, joined_at = application.wave, application.joined_at
    found = state.of(wave, now)
    draw = Draw.objects.filter(wave=wave, annulled_at=None).first()
    if draw is None:
        return Mine(wave, joined_at, found, reasons=_reasons(application) if found is State.ANNOUNCED else [])
    ticket = drawing.ticket_of(draw, application.registrant_id)
    if ticket is None:
        return Mine(wave, joined_at, found, reasons=_reasons(application))
    rank, is_taken, was_called = None, None, False
    if draw.published_at:
        rank, is_taken = drawing.rank_of(draw, ticket), drawing.place_of(draw, ticket) is not None
        was_called = Called.objects.filter(draw_id=draw.pk, rank=rank, outcome=Called.Outcome.NAMED).exists()
    text = drawing.ticket_text(ticket.number)
    grouped = "-".join(text[start : start + 5] for start in (0, 5, 10))
    return Mine(
        wave,
        joined_at,
        found,
        draw=draw,
        ticket=grouped,
        rank=rank,
        cut_offs=_cut_offs(draw, ticket) if draw.published_at else [],
        is_taken=is_taken,
        was_called=was_called,
    )


def _reasons(application: Application) -> list[str]:
    kept_out = Ineligible.objects.filter(wave=application.wave_id, registrant_id=application.registrant_id).first()
    return [str(_SAYS[DropOff(reason)]) for reason in kept_out.reasons] if kept_out else []


@dataclass(frozen=True, slots=True)
class KeptOut:
    """Why somebody could not be selected in a wave, and which lists said so."""

    wave: int
    reasons: list[DropOff]
    #: Each in the version that decided. None: not kept then.
    lists: list[PersonList] | None


def kept_out(registrant_id: int) -> list[KeptOut]:
    """Of each wave whose screening has found something against the registrant, the newest first."""
    found = list(Ineligible.objects.filter(registrant_id=registrant_id).order_by("-wave"))
    lists = PersonList.objects.in_bulk({id for one in found for id in one.lists or ()})
    return [
        KeptOut(
            one.wave_id,
            [DropOff(reason) for reason in one.reasons],
            None if one.lists is None else [lists[id] for id in sorted(one.lists)],
        )
        for one in found
    ]


def _cut_offs(draw: Draw, ticket: Ticket) -> list[tuple[str, int]]:
    names = {0: ""} | {room["number"]: room["name"] for room in draw.rooms}
    return [(names[cut["room"]], cut["rank"]) for cut in draw.cut_offs or [] if cut["room"] in (0, ticket.room)]


@dataclass(frozen=True, slots=True)
class Membership:
    """What somebody has who was named in a decree."""

    wave: int
    decree: Decree
    #: 16 digits, in groups of four.
    card: str
    #: The last instant at which a first training may be bought; None: no such end is set.
    buy_by: datetime | None
    #: Whole days until then, today not counted; None: over, or no end is set.
    days_left: int | None
    ended_at: datetime | None
    #: The decree that says that it has ended, if there is one by now.
    ended_by: Decree | None
    #: By a correction: why.
    reason: str


def membership(registrant_id: int, now: datetime) -> Membership | None:
    """The registrant's, if a decree has named them."""
    recipient = Recipient.objects.filter(pk=registrant_id).first()
    if recipient is None:
        return None
    decree = Decree.objects.select_related("draw").get(pk=recipient.decree_id)
    last = decree.last_moment
    left = (last.astimezone(WIB).date() - now.astimezone(WIB).date()).days if last and now <= last else None
    return Membership(
        wave=decree.draw.wave_id,
        decree=decree,
        card=cards.spoken(recipient.card),
        buy_by=last,
        days_left=left,
        ended_at=recipient.ended_at,
        ended_by=Decree.objects.filter(pk=recipient.ended_by).first() if recipient.ended_by else None,
        reason=recipient.reason,
    )

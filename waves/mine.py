"""What a registrant sees of their own waves: where each one stands, their ticket, and what came of it."""

from dataclasses import dataclass, field
from datetime import datetime

from registrations.models import Wave
from registrations.stages import DropOff
from waves import draw as drawing
from waves import rules, state
from waves.models import Application, Draw, Ineligible
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
    #: 15 hexadecimal digits, in groups of five.
    ticket: str = ""
    tickets: int = 0
    #: From the publication on.
    rank: int | None = None
    is_taken: bool | None = None

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
        return Mine(wave, joined_at, found)
    ticket = drawing.ticket_of(draw, application.registrant_id)
    if ticket is None:
        kept_out = Ineligible.objects.filter(wave=wave, registrant_id=application.registrant_id).first()
        reasons = [str(_SAYS[DropOff(reason)]) for reason in kept_out.reasons] if kept_out else []
        return Mine(wave, joined_at, found, reasons=reasons)
    rank, is_taken = None, None
    if draw.published_at:
        rank, is_taken = drawing.rank_of(draw, ticket), drawing.place_of(draw, ticket) is not None
    text = drawing.ticket_text(ticket.number)
    grouped = "-".join(text[start : start + 5] for start in (0, 5, 10))
    return Mine(wave, joined_at, found, ticket=grouped, tickets=draw.tickets, rank=rank, is_taken=is_taken)

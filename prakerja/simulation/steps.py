"""In what order things are done after the decree. Who acts belongs to one of `recipients.ERAS`, and each era has its steps."""

from collections.abc import Iterator
from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple

from incentives.payers import queue
from prakerja.simulation.programme import END, wib
from prakerja.simulation.recipients import EARLY, ERAS, PAYDAYS

#: Who paid from the start; the others joined the programme later.
PAYING = ("bni", "ovo", "linkaja", "gopay")


class Deed(Enum):
    #: Everybody of an era acts.
    ACT = auto()
    #: Partners of some tell by the API what these buy and complete.
    CALL = auto()
    #: What follows for these.
    FOLLOW = auto()
    ANSWER = auto()
    #: Payers are asked again about accounts of which they have said nothing for too long.
    RECHECK = auto()
    #: Payouts are put together and, but for the last ones, approved: payer by payer, side by side.
    PROPOSE = auto()
    SEND = auto()
    #: One wave's time to buy is over.
    REVOKE = auto()
    DECREE = auto()
    #: Those who have called the API call it no more.
    LEAVE = auto()


class Step(NamedTuple):
    deed: Deed
    era: int
    wave: int = 0
    survey: int = 0

    @property
    def queues(self) -> list[str]:
        """What must be empty before it is taken."""
        match self.deed:
            case Deed.ACT:
                return [waiting(self.era, by_api=False)]
            case Deed.CALL:
                return [waiting(self.era, by_api=True)]
            case Deed.PROPOSE:
                return [proposing(self.era)]
            case Deed.SEND:
                return [queue(payer) for payer in PAYING]
        return []


def waiting(era: int, *, by_api: bool) -> str:
    """Where those wait who do their last thing in this era."""
    return f"era_{era}_api" if by_api else f"era_{era}"


def proposing(era: int) -> str:
    """Where payers wait for the batches of this payday, as places in `PAYING`."""
    return f"era_{era}_payers"


def called(era: int) -> str:
    """Where those wait of whom partners have told."""
    return f"era_{era}_called"


class Survey(NamedTuple):
    """One that is answered by one in so many of those whose first incentive was paid in these days. An assumption."""

    number: int
    paid_from: datetime
    paid_until: datetime
    at: datetime
    one_in: int


#: By the payday before which they are answered.
SURVEYS = {
    wib(7, 13, 10): Survey(1, wib(5, 1), wib(6, 7), wib(7, 8, 20), 2),
    wib(8, 10, 10): Survey(2, wib(5, 1), wib(6, 7), wib(8, 5, 20), 3),
}


def steps() -> Iterator[Step]:
    for era, at in enumerate(ERAS):
        yield Step(Deed.ACT, era)
        yield Step(Deed.CALL, era)
        yield Step(Deed.FOLLOW, era)
        if at in SURVEYS:
            yield Step(Deed.ANSWER, era)
        if at < END:
            yield Step(Deed.RECHECK, era)
            yield Step(Deed.PROPOSE, era)
        if at in PAYDAYS:
            yield Step(Deed.SEND, era)
    for deed in (Deed.REVOKE, Deed.DECREE):
        for wave in EARLY:
            yield Step(deed, len(ERAS) - 1, wave=wave)
    yield Step(Deed.LEAVE, len(ERAS) - 1)


STEPS = tuple(steps())

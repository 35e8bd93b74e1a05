"""Which instant counts as now: a claim's work is done when the clock says, or when its own instants say."""

from collections.abc import Callable, Iterable
from datetime import datetime

from foundation.work import Item

Clock = Callable[[], datetime]


def instants(items: Iterable[Item], clock: Clock) -> dict[int, datetime]:
    """When each subject's work counts as done: at its own instant (a simulation's), else now."""
    now = clock()
    return {item.subject: item.instant or now for item in items}

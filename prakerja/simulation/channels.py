"""Through what partners tell of what recipients do: by the functions that the API calls, or over HTTP (`calls.ByApi`)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Protocol

from prakerja.simulation.calls import Astray
from trainings import cancelling, completing, purchasing, redeeming


class Channel(Protocol):
    """How partners tell of what recipients do. What has been told before is told again without harm."""

    def buy(self, orders: Sequence[purchasing.Order], platform: str) -> list[tuple[int, str]]:
        """Id and redeem code of each."""
        ...

    def redeem(self, uses: Sequence[redeeming.Use], provider: str) -> None: ...
    def complete(self, completions: Sequence[completing.Completion], provider: str, now: datetime) -> None: ...
    def cancel(self, cancellations: Sequence[cancelling.Cancellation], platform: str) -> None: ...


class Directly:
    """By the functions that the API calls."""

    def buy(self, orders: Sequence[purchasing.Order], platform: str) -> list[tuple[int, str]]:
        results = purchasing.buy(orders, platform=platform)
        expect((result.outcome for result in results), purchasing.Outcome.BOUGHT, purchasing.Outcome.ALREADY)
        return [(result.purchase_id or 0, result.redeem_code) for result in results]

    def redeem(self, uses: Sequence[redeeming.Use], provider: str) -> None:
        expect(redeeming.commit(uses, partner=provider), redeeming.Outcome.COMMITTED, redeeming.Outcome.ALREADY)

    def complete(self, completions: Sequence[completing.Completion], provider: str, now: datetime) -> None:
        outcomes = completing.complete(completions, partner=provider, now=now)
        expect(outcomes, completing.Outcome.COMPLETED, completing.Outcome.ALREADY)

    def cancel(self, cancellations: Sequence[cancelling.Cancellation], platform: str) -> None:
        outcomes = cancelling.cancel(cancellations, platform=platform)
        expect(outcomes, cancelling.Outcome.CANCELLED, cancelling.Outcome.ALREADY)


DIRECTLY = Directly()


def expect(outcomes: Iterable[Enum], *expected: Enum) -> None:
    """Raises `Astray` if any other outcome is among them."""
    if wrong := Counter(outcome.name for outcome in outcomes if outcome not in expected):
        raise Astray(", ".join(f"{count} times {name}" for name, count in wrong.items()))

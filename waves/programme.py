"""The waves of 2020 and the rule sets in force, as data with their sources: what an installation begins with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from django.db import transaction

from registrations.models import Wave
from waves.models import Change, Plan, RuleSet

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Opening:
    """A wave as it was."""

    number: int
    opens_at: datetime
    closes_at: datetime
    #: Seats when it was planned.
    quota: int
    rule_set: str
    sources: str
    #: Named in its decree; None: not drawn yet when the sources were written.
    accepted: int | None = None
    #: How many had joined when it closed, rounded as it was published; None: nothing was.
    joined: int | None = None
    #: The day on which the result was told; None: not known.
    announced: date | None = None
    raised: Mapping[str, Any] | None = None

    @property
    def seats(self) -> int:
        """Seats in the end."""
        return int(self.raised["quota"]) if self.raised else self.quota


@cache
def openings() -> dict[int, Opening]:
    """Waves 1 to 11 of 2020, by number."""
    return {row["number"]: Opening(**_read(row)) for row in json.loads((DATA / "waves_2020.json").read_text())}


def _read(row: dict[str, Any]) -> dict[str, Any]:
    instants = {name: datetime.fromisoformat(row[name]) for name in ("opens_at", "closes_at")}
    return row | instants | ({"announced": date.fromisoformat(row["announced"])} if "announced" in row else {})


def load_rule_sets() -> int:
    """Add the rule sets that come with the project, where they are missing; return how many were added. None is ever changed."""
    rows = json.loads((DATA / "rule_sets.json").read_text())
    sets = [RuleSet(**row | {"in_force_from": date.fromisoformat(row["in_force_from"])}) for row in rows]
    before = RuleSet.objects.count()
    RuleSet.objects.bulk_create(sets, ignore_conflicts=True)
    return RuleSet.objects.count() - before


@transaction.atomic
def load_waves() -> list[int]:
    """Add the waves of 2020 that are missing, with plan and traces of what was changed; return their numbers."""
    load_rule_sets()
    missing = [opening for opening in openings().values() if not Plan.objects.filter(wave=opening.number).exists()]
    for opening in missing:
        wave, _ = Wave.objects.update_or_create(
            number=opening.number,
            defaults={"opens_at": opening.opens_at, "closes_at": opening.closes_at, "quota": opening.seats},
        )
        Plan.objects.create(wave=wave, rule_set_id=opening.rule_set, sources=opening.sources)
        if raised := opening.raised:
            Change.objects.create(
                wave=wave,
                field="quota",
                before=str(opening.quota),
                after=str(raised["quota"]),
                reason=raised["reason"],
                at=datetime.fromisoformat(raised["at"]),
            )
    return [opening.number for opening in missing]

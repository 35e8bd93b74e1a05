"""What payers tell by webhook: verified and kept by `partners.inbox`, and applied here like the same words over REST."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from incentives import checking, results
from incentives.checking import Told as AccountTold
from incentives.results import Result
from incentives.serializers import OUTCOMES, VERDICTS
from partners import inbox


@inbox.applies("payout.settled")
def settle(told: Sequence[inbox.Told]) -> None:
    """`{"results": [{"reference": "16017-1", "status": "paid"}]}`; what is not of this form says nothing."""
    by_payer: defaultdict[str, list[inbox.Told]] = defaultdict(list)
    for message in told:
        by_payer[message.partner].append(message)
    for payer, messages in sorted(by_payer.items()):
        said = [
            Result(row["reference"], OUTCOMES[row["status"]])
            for message in messages
            for row in _rows(message.data.get("results"), "status", OUTCOMES)
        ]
        results.apply(said, payer=payer, at=messages[-1].at)


@inbox.applies("account.checked")
def check(told: Sequence[inbox.Told]) -> None:
    """`{"checks": [{"reference": "17", "verdict": "fit"}]}`."""
    for message in told:
        said = [
            AccountTold(row["reference"], VERDICTS[row["verdict"]])
            for row in _rows(message.data.get("checks"), "verdict", VERDICTS)
        ]
        checking.told(said, payer=message.partner, at=message.at)


def _rows(rows: Any, word: str, words: Any) -> list[dict[str, str]]:
    """Those of the rows that are of the form agreed on."""
    if not isinstance(rows, list):
        return []
    return [
        row
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("reference"), str) and _is_word(row.get(word)) and row[word] in words
    ]


def _is_word(value: Any) -> bool:
    return isinstance(value, str)

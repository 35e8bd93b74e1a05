"""What partners are told when something cannot be done: a problem for each outcome that is none of success."""

from collections.abc import Mapping
from enum import Enum

from partners.problems import Problem
from trainings import cancelling, completing, purchasing, redeeming

Said = Mapping[Enum, tuple[str, int, str]]

UNKNOWN_CODE = ("unknown-redeem-code", 404, "There is no such redeem code among yours.")
CANCELLED = ("purchase-cancelled", 409, "The purchase was cancelled.")

REFUSALS: Said = {
    purchasing.Outcome.UNKNOWN_TRAINING: ("unknown-training", 404, "There is no such training among yours."),
    purchasing.Outcome.NOT_A_RECIPIENT: ("unknown-card", 404, "There is no such card."),
    purchasing.Outcome.ENDED: ("recipient-ended", 409, "The card is not valid any more."),
    purchasing.Outcome.NOT_ON_SALE: ("not-on-sale", 409, "The training is not sold now."),
    purchasing.Outcome.TOO_LATE: ("too-late", 409, "The days in which a first training is bought are over."),
    purchasing.Outcome.BALANCE_EXPIRED: ("balance-expired", 409, "The balance was to be spent by 15 December."),
    purchasing.Outcome.PRICE_DIFFERS: ("price-differs", 409, "The training has another price."),
    purchasing.Outcome.BALANCE_TOO_LOW: ("balance-too-low", 409, "The balance is too low."),
    purchasing.Outcome.SOLD_OUT: ("sold-out", 409, "All seats are taken."),
    purchasing.Outcome.REFERENCE_TAKEN: ("reference-taken", 409, "The reference was used for another order."),
    purchasing.Outcome.BAD_REFERENCE: ("bad-reference", 422, "A reference is 1 to 64 visible ASCII characters."),
    redeeming.Outcome.UNKNOWN: UNKNOWN_CODE,
    redeeming.Outcome.CANCELLED: CANCELLED,
    redeeming.Outcome.BAD_SEQUENCE: ("bad-sequence", 422, "A sequence is 1 to 10, or 999."),
    redeeming.Outcome.ALREADY: ("already-redeemed", 409, "The redeem code was used before."),
    cancelling.Outcome.UNKNOWN: UNKNOWN_CODE,
    cancelling.Outcome.COMPLETED: ("purchase-completed", 409, "The training was completed: it is not cancelled any more."),
    completing.Outcome.COMPLETED_BEFORE: (
        "completed-before",
        409,
        "The training was completed before, at another instant or with another score or certificate.",
    ),
    completing.Outcome.UNKNOWN: UNKNOWN_CODE,
    completing.Outcome.CANCELLED: CANCELLED,
    completing.Outcome.NOT_REDEEMED: ("not-redeemed", 409, "The redeem code was not used yet."),
    completing.Outcome.TOO_EARLY: ("completed-too-early", 422, "It cannot be completed before its code was redeemed."),
    completing.Outcome.IN_FUTURE: ("completed-in-future", 422, "It cannot be completed in the future."),
    completing.Outcome.BAD_SCORE: ("bad-score", 422, "A score is 0 to 100."),
    completing.Outcome.BAD_CERTIFICATE: ("bad-certificate", 422, "The certificate's number or hash is not well formed."),
    completing.Outcome.NOT_COMPLETED: ("not-completed", 409, "The training was not completed yet."),
    completing.Outcome.ANOTHER_CERTIFICATE: (
        "another-certificate",
        409,
        "There is another certificate: it is not replaced.",
    ),
}


def problem(outcome: Enum) -> Problem:
    name, status, title = REFUSALS[outcome]
    return Problem(name, status, title)

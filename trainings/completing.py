"""Completing: the training provider says who has completed a training, and sends the certificate, at once or later."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from django.db import connection, transaction

from foundation import work
from foundation.pg import array, instants, timestamptz
from partners import webhooks
from registrations import ladder
from registrations.stages import Stage
from trainings import holding
from trainings.holding import Held
from trainings.literals import numbers, texts
from trainings.models import Purchase

State = Purchase.State

#: A certificate's number, as its provider counts them.
NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./_-]{0,63}", re.ASCII)
HIGHEST_SCORE = 100


class Certificate(NamedTuple):
    number: str
    #: Of its file, 32 bytes.
    sha256: bytes

    @property
    def is_well_formed(self) -> bool:
        return NUMBER.fullmatch(self.number) is not None and len(self.sha256) == 32


class Completion(NamedTuple):
    redeem_code: str
    completed_at: datetime
    score: int | None = None
    certificate: Certificate | None = None


class Certification(NamedTuple):
    redeem_code: str
    certificate: Certificate


class Outcome(Enum):
    COMPLETED = "completed"
    CERTIFIED = "certified"
    #: Just so, before.
    ALREADY = "already"
    #: Completed before, at another instant or with another score.
    COMPLETED_BEFORE = "completed before"
    #: Or another partner's: that is not told.
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    NOT_REDEEMED = "not redeemed"
    #: Before the code was redeemed.
    TOO_EARLY = "too early"
    IN_FUTURE = "in future"
    BAD_SCORE = "bad score"
    BAD_CERTIFICATE = "bad certificate"
    NOT_COMPLETED = "not completed"
    #: There is a certificate, and it is another one.
    ANOTHER_CERTIFICATE = "another certificate"


def complete(completions: Sequence[Completion], *, partner: str, now: datetime) -> list[Outcome]:
    """These trainings, which the partner gives or sells, are completed; one outcome each, in order.

    A first completed training lifts the registrant, and is handed to who owes the incentives.
    """
    with transaction.atomic(savepoint=False):
        held = holding.hold((completion.redeem_code for completion in completions), partner=partner)
        done: dict[str, Completion] = {}
        outcomes = []
        for completion in completions:
            purchase = held.get(completion.redeem_code)
            outcome = _decide(completion, purchase, now)
            if outcome is Outcome.COMPLETED and purchase:
                done[completion.redeem_code] = completion
                held[completion.redeem_code] = _completed(purchase, completion)
            outcomes.append(outcome)
        first = _first(done, held)
        _write(done, held, first, now)
        when = {held[code].registrant_id: done[code].completed_at for code in first}
        ladder.climb(Stage.TRAINING_COMPLETED, when)
        work.enqueue("obligations", list(when), instants=list(when.values()))
        _tell(done, held)
    return outcomes


def _decide(completion: Completion, purchase: Held | None, now: datetime) -> Outcome:
    score, certificate, at = completion.score, completion.certificate, completion.completed_at
    if purchase is None:
        return Outcome.UNKNOWN
    problems = (
        (Outcome.CANCELLED, purchase.state == State.CANCELLED),
        (Outcome.BAD_SCORE, score is not None and not 0 <= score <= HIGHEST_SCORE),
        (Outcome.BAD_CERTIFICATE, certificate is not None and not certificate.is_well_formed),
        (Outcome.IN_FUTURE, at > now),
        (Outcome.ALREADY, _is_just_so(completion, purchase)),
        (Outcome.COMPLETED_BEFORE, purchase.state == State.COMPLETED),
        (Outcome.NOT_REDEEMED, purchase.redeemed_at is None),
        (Outcome.TOO_EARLY, purchase.redeemed_at is not None and at < purchase.redeemed_at),
    )
    return next((outcome for outcome, holds in problems if holds), Outcome.COMPLETED)


def _is_just_so(completion: Completion, purchase: Held) -> bool:
    """Whether it has been completed by this very message."""
    same = (purchase.completed_at, purchase.score) == (completion.completed_at, completion.score)
    return same and (completion.certificate is None or _has(purchase, completion.certificate))


def _has(purchase: Held, certificate: Certificate) -> bool:
    sha256 = purchase.certificate_sha256
    return purchase.certificate_number == certificate.number and sha256 is not None and bytes(sha256) == certificate.sha256


def _completed(purchase: Held, completion: Completion) -> Held:
    purchase = purchase._replace(state=State.COMPLETED, completed_at=completion.completed_at, score=completion.score)
    return _certified(purchase, completion.certificate) if completion.certificate else purchase


def _certified(purchase: Held, certificate: Certificate) -> Held:
    return purchase._replace(certificate_number=certificate.number, certificate_sha256=memoryview(certificate.sha256))


def _first(done: dict[str, Completion], held: dict[str, Held]) -> list[str]:
    """Of those who have completed none before, the training that was completed first; by redeem code."""
    first: dict[int, str] = {}
    for code in sorted(done, key=lambda code: done[code].completed_at):
        if held[code].stage == Stage.TRAINING_BOUGHT:
            first.setdefault(held[code].registrant_id, code)
    return list(first.values())


def _write(done: dict[str, Completion], held: dict[str, Held], first: Iterable[str], now: datetime) -> None:
    if not done:
        return
    firsts = set(first)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE trainings_purchase purchase
            SET state = {State.COMPLETED}, completed_at = {timestamptz("done.at")}, score = done.score, is_first = done.is_first = 1,
                certified_at = CASE WHEN done.number IS NOT NULL THEN greatest(%s, {timestamptz("done.at")}) END,
                certificate_number = done.number, certificate_sha256 = decode(done.sha256, 'hex')
            FROM unnest(%s::bigint[], %s::bigint[], %s::smallint[], %s::smallint[], %s::text[], %s::text[])
                AS done (id, at, score, is_first, number, sha256)
            WHERE purchase.id = done.id
            """,
            [
                now,
                array(held[code].id for code in done),
                instants(completion.completed_at for completion in done.values()),
                numbers(completion.score for completion in done.values()),
                array(int(code in firsts) for code in done),
                *_columns([completion.certificate for completion in done.values()]),
            ],
        )


def _columns(certificates: Sequence[Certificate | None]) -> tuple[str, str]:
    """Numbers and hashes, as array literals."""
    return texts(each and each.number for each in certificates), texts(each and each.sha256.hex() for each in certificates)


def _tell(done: dict[str, Completion], held: dict[str, Held]) -> None:
    """The provider, who may have told us in a batch of its platform's."""
    told: dict[str, list[dict[str, Any]]] = {}
    for code, completion in done.items():
        told.setdefault(held[code].provider, []).append(
            {
                "purchase": held[code].id,
                "redeem_code": code,
                "training": held[code].training,
                "completed_at": completion.completed_at.isoformat(),
                "is_certified": completion.certificate is not None,
            }
        )
    webhooks.emit("completion.accepted", told)


def certify(certifications: Sequence[Certification], *, partner: str, now: datetime) -> list[Outcome]:
    """The certificates of trainings that were completed before; one outcome each, in order. A certificate is never replaced."""
    with transaction.atomic(savepoint=False):
        held = holding.hold((each.redeem_code for each in certifications), partner=partner)
        new: dict[int, Certificate] = {}
        gates, outcomes = [], []
        for redeem_code, certificate in certifications:
            purchase = held.get(redeem_code)
            outcome = _decide_certificate(certificate, purchase)
            if outcome is Outcome.CERTIFIED and purchase:
                new[purchase.id] = certificate
                held[redeem_code] = _certified(purchase, certificate)
                if purchase.is_first:
                    gates.append(purchase.registrant_id)
            outcomes.append(outcome)
        _certify(new, now)
        work.enqueue("gates", gates)
    return outcomes


def _decide_certificate(certificate: Certificate, purchase: Held | None) -> Outcome:
    if purchase is None:
        return Outcome.UNKNOWN
    problems = (
        (Outcome.CANCELLED, purchase.state == State.CANCELLED),
        (Outcome.BAD_CERTIFICATE, not certificate.is_well_formed),
        (Outcome.NOT_COMPLETED, purchase.state != State.COMPLETED),
        (Outcome.ALREADY, _has(purchase, certificate)),
        (Outcome.ANOTHER_CERTIFICATE, purchase.certificate_number is not None),
    )
    return next((outcome for outcome, holds in problems if holds), Outcome.CERTIFIED)


def _certify(certificates: dict[int, Certificate], now: datetime) -> None:
    if not certificates:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE trainings_purchase purchase
            SET certified_at = greatest(%s, completed_at), certificate_number = new.number,
                certificate_sha256 = decode(new.sha256, 'hex')
            FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS new (id, number, sha256)
            WHERE purchase.id = new.id
            """,
            [now, array(certificates), *_columns(list(certificates.values()))],
        )

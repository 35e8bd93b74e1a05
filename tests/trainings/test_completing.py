"""Completing: after redeeming, once, in the past; the first one lifts and is handed on; the certificate comes with it or later."""

from collections import Counter
from datetime import timedelta

import pytest

from foundation.work import Claim
from registrations import funnel
from registrations.models import Registrant
from registrations.stages import Stage
from tests.trainings.cast import (
    COMPLETES,
    LATER,
    REDEEMS,
    buy,
    by_code,
    cancel,
    certificate,
    certify,
    complete,
    in_threads,
    make_buyers,
    make_completed,
    make_training,
    redeem,
    review,
)
from trainings import completing, gates
from trainings.completing import Certificate, Certification, Completion, Outcome
from trainings.gates import Missing
from trainings.models import Purchase

pytestmark = pytest.mark.django_db


def handed_on(queue):
    """What waits in a queue: whose, and as of when."""
    claim = Claim.take(queue, size=1000)
    return [(item.subject, item.instant) for item in claim.items] if claim else []


def test_the_first_completion_lifts_and_is_handed_on():
    [code] = make_buyers(1)
    redeem([code])

    outcomes = complete([code], score=88, certified=True)

    assert outcomes == [Outcome.COMPLETED]
    purchase, id = by_code(code), by_code(code).registrant_id
    assert (purchase.state, purchase.completed_at, purchase.score) == (Purchase.State.COMPLETED, COMPLETES, 88)
    assert (purchase.is_first, purchase.certificate_number, purchase.certified_at) == (True, f"NUSA/{code}", LATER)
    registrant = Registrant.objects.get(pk=id)
    assert (registrant.stage, registrant.training_completed_at) == (Stage.TRAINING_COMPLETED, COMPLETES)
    assert handed_on("obligations") == [(id, COMPLETES)]
    assert handed_on("gates") == []


def test_a_second_training_opens_nothing():
    make_training("TOK-2")
    [code] = make_buyers(1)
    id = by_code(code).registrant_id
    [second] = [result.redeem_code for result in buy([id], "TOK-2")]
    redeem([code, second])
    complete([code])

    assert complete([second], at=COMPLETES - timedelta(days=1), certified=True) == [Outcome.COMPLETED]

    assert (by_code(code).is_first, by_code(second).is_first) == (True, False)
    assert handed_on("obligations") == [(id, COMPLETES)], "once"
    assert gates.missing([id]) == {id: Missing(certificate=True, review=True)}


def test_of_two_in_one_call_the_earlier_one_is_first():
    make_training("TOK-2")
    [code] = make_buyers(1)
    [second] = [result.redeem_code for result in buy([by_code(code).registrant_id], "TOK-2")]
    redeem([code, second])

    outcomes = completing.complete(
        [Completion(code, COMPLETES), Completion(second, COMPLETES - timedelta(hours=1))], partner="nusa", now=LATER
    )

    assert outcomes == [Outcome.COMPLETED] * 2
    assert (by_code(code).is_first, by_code(second).is_first) == (False, True)
    assert handed_on("obligations") == [(by_code(code).registrant_id, COMPLETES - timedelta(hours=1))]


def test_completing_twice_changes_nothing():
    [code] = make_buyers(1)
    redeem([code])
    complete([code], score=70)

    assert complete([code], score=70) == [Outcome.ALREADY]
    assert complete([code], score=71) == [Outcome.COMPLETED_BEFORE]
    assert complete([code], at=COMPLETES - timedelta(days=1)) == [Outcome.COMPLETED_BEFORE]
    assert by_code(code).score == 70
    assert len(handed_on("obligations")) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"completed_at": REDEEMS - timedelta(seconds=1)}, Outcome.TOO_EARLY),
        ({"completed_at": REDEEMS}, Outcome.COMPLETED),
        ({"completed_at": LATER}, Outcome.COMPLETED),
        ({"completed_at": LATER + timedelta(microseconds=1)}, Outcome.IN_FUTURE),
        ({"score": -1}, Outcome.BAD_SCORE),
        ({"score": 0}, Outcome.COMPLETED),
        ({"score": 101}, Outcome.BAD_SCORE),
        ({"certificate": Certificate("", b"x" * 32)}, Outcome.BAD_CERTIFICATE),
        ({"certificate": Certificate("N/1", b"x" * 31)}, Outcome.BAD_CERTIFICATE),
        ({"certificate": Certificate('N"1\\', b"x" * 32)}, Outcome.BAD_CERTIFICATE),
        ({"certificate": Certificate("NULL", b"x" * 32)}, Outcome.COMPLETED),
        ({"redeem_code": "A" * 16}, Outcome.UNKNOWN),
    ],
)
def test_what_a_completion_is_told(changes, expected):
    [code] = make_buyers(1)
    redeem([code])

    completion = Completion(code, COMPLETES)._replace(**changes)
    outcomes = completing.complete([completion], partner="nusa", now=LATER)

    assert outcomes == [expected]
    assert Purchase.objects.filter(is_first=True).count() == (expected is Outcome.COMPLETED)


def test_what_was_not_redeemed_or_was_cancelled_is_not_completed():
    [bought, cancelled] = make_buyers(2)
    cancel([cancelled])

    assert complete([bought, cancelled]) == [Outcome.NOT_REDEEMED, Outcome.CANCELLED]


def test_another_partners_training_is_unknown():
    [code] = make_buyers(1)
    redeem([code])
    make_training("BUK-1", platform="bukalapak", provider="lentera")

    completion = [Completion(code, COMPLETES)]
    for stranger in ("lentera", "bukalapak"):
        assert completing.complete(completion, partner=stranger, now=LATER) == [Outcome.UNKNOWN]
        assert completing.certify([Certification(code, certificate(code))], partner=stranger, now=LATER) == [Outcome.UNKNOWN]


def test_a_certificate_that_comes_later_is_handed_on():
    [id] = make_completed(1)
    code = Purchase.objects.get().redeem_code
    assert gates.missing([id, 0]) == {id: Missing(certificate=True, review=True)}

    outcomes = certify([code, code]) + certify([code])

    assert outcomes == [Outcome.CERTIFIED, Outcome.ALREADY, Outcome.ALREADY]
    assert by_code(code).certified_at == LATER
    assert gates.missing([id]) == {id: Missing(certificate=False, review=True)}
    assert handed_on("gates") == [(id, None)]


def test_a_certificate_is_not_replaced_nor_given_before_the_training_is_completed():
    [code, other, cancelled] = make_buyers(3)
    redeem([code, other])
    complete([code], certified=True)
    cancel([cancelled])

    wanted = [Certification(each, Certificate("OTHER/1", b"y" * 32)) for each in (code, other, cancelled, "A" * 16)]
    wanted.append(Certification(code, Certificate("", b"")))
    outcomes = completing.certify(wanted, partner="nusa", now=LATER)

    assert outcomes == [
        Outcome.ANOTHER_CERTIFICATE,
        Outcome.NOT_COMPLETED,
        Outcome.CANCELLED,
        Outcome.UNKNOWN,
        Outcome.BAD_CERTIFICATE,
    ]
    assert by_code(code).certificate_number == f"NUSA/{code}"


def test_with_certificate_and_review_nothing_is_missing():
    [id] = make_completed(1, certified=True)
    review([id])

    assert gates.missing([id]) == {id: Missing(certificate=False, review=False)}
    assert handed_on("gates") == [(id, None)]


def test_hundreds_are_completed_in_a_handful_of_statements(django_assert_max_num_queries):
    codes = make_buyers(300)
    redeem(codes)

    with django_assert_max_num_queries(10):
        outcomes = complete(codes, certified=True)

    assert Counter(outcomes) == {Outcome.COMPLETED: 300}
    assert funnel.recount().differences == []
    assert len(handed_on("obligations")) == 300


@pytest.mark.django_db(transaction=True)
def test_fifty_threads_complete_two_trainings_and_lift_once():
    make_training("TOK-2")
    [code] = make_buyers(1)
    [second] = [result.redeem_code for result in buy([by_code(code).registrant_id], "TOK-2")]
    redeem([code, second])

    outcomes = Counter(in_threads(50, lambda number: complete([[code, second][number % 2]])[0]))

    assert outcomes == {Outcome.COMPLETED: 2, Outcome.ALREADY: 48}
    assert Purchase.objects.filter(is_first=True).count() == 1
    assert len(handed_on("obligations")) == 1
    assert funnel.recount().differences == []


@pytest.mark.django_db(transaction=True)
def test_of_completing_and_cancelling_at_the_same_instant_one_comes_first():
    codes = make_buyers(20)
    redeem(codes)

    told = in_threads(40, lambda n: (complete if n % 2 else cancel)([codes[n // 2]])[0])

    for place, code in enumerate(codes):
        pair = tuple(outcome.value for outcome in told[2 * place : 2 * place + 2])
        assert pair in {("cancelled", "cancelled"), ("completed", "completed")}
        assert Purchase.State(by_code(code).state).name.lower() == pair[0]
    assert funnel.recount().differences == []

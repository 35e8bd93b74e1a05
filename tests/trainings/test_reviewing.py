"""Reviewing: a completed training of one's own, from 1 to 5 with words, once."""

from collections import Counter

import pytest

from foundation.work import Claim
from tests.trainings.cast import (
    LATER,
    buy,
    by_code,
    complete,
    in_threads,
    make_buyers,
    make_completed,
    make_training,
    redeem,
)
from trainings import reviewing
from trainings.models import Purchase, Review
from trainings.reviewing import Opinion, Outcome

pytestmark = pytest.mark.django_db


def opinion(purchase, **changes):
    return Opinion(purchase.registrant_id, purchase.pk, 4, " Bagus, pengajarnya jelas. ", LATER)._replace(**changes)


def test_a_review_is_kept_and_handed_on():
    [id] = make_completed(1)

    assert reviewing.review([opinion(Purchase.objects.get())]) == [Outcome.REVIEWED]

    review = Review.objects.get()
    assert (review.rating, review.text, review.at) == (4, "Bagus, pengajarnya jelas.", LATER)
    assert [item.subject for item in Claim.take("gates", size=10).items] == [id]


def test_the_first_word_stands():
    make_completed(1)
    mine = opinion(Purchase.objects.get())

    outcomes = reviewing.review([mine, mine._replace(rating=1)]) + reviewing.review([mine])

    assert outcomes == [Outcome.REVIEWED, Outcome.ALREADY, Outcome.ALREADY]
    assert Review.objects.get().rating == 4


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rating": 0}, Outcome.BAD_RATING),
        ({"rating": 6}, Outcome.BAD_RATING),
        ({"text": " \n "}, Outcome.BAD_TEXT),
        ({"text": "x" * 2001}, Outcome.BAD_TEXT),
        ({"text": "nul\0"}, Outcome.BAD_TEXT),
        ({"text": "half \ud800"}, Outcome.BAD_TEXT),
        ({"text": 'NULL "\\N" {,}\t\n\r☺'}, Outcome.REVIEWED),
        ({"registrant_id": 1}, Outcome.UNKNOWN),
        ({"purchase_id": 10**12}, Outcome.UNKNOWN),
    ],
)
def test_what_a_review_is_told(changes, expected):
    make_completed(1)
    mine = opinion(Purchase.objects.get(), **changes)

    assert reviewing.review([mine]) == [expected]
    assert list(Review.objects.values_list("text", flat=True)) == ([mine.words] if expected is Outcome.REVIEWED else [])


def test_only_a_completed_training_is_reviewed():
    [code] = make_buyers(1)
    redeem([code])

    assert reviewing.review([opinion(by_code(code))]) == [Outcome.NOT_COMPLETED]


def test_a_review_of_a_second_training_opens_nothing():
    make_training("TOK-2")
    [id] = make_completed(1)
    [second] = [result.redeem_code for result in buy([id], "TOK-2")]
    redeem([second])
    complete([second])

    assert reviewing.review([opinion(by_code(second))]) == [Outcome.REVIEWED]
    assert Claim.take("gates", size=10) is None


@pytest.mark.django_db(transaction=True)
def test_fifty_threads_have_one_first_word():
    make_completed(1)
    mine = opinion(Purchase.objects.get())

    outcomes = Counter(in_threads(50, lambda number: reviewing.review([mine])[0]))

    assert outcomes == {Outcome.REVIEWED: 1, Outcome.ALREADY: 49}

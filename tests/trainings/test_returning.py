"""Returning: what is left after the last day goes back to the programme, once, and nobody's does before."""

from datetime import timedelta

import pytest
from django.conf import settings

from tests.trainings.cast import BUYS, buy, cancel, in_threads, make_buyers, make_recipients, make_training
from tests.waves.cast import TOLD, make_published
from trainings import accounts, purchasing, returning, statement, tasks, terms
from trainings.models import Balance, Transfer
from waves import naming
from waves.models import Decree, Notice, Recipient

pytestmark = pytest.mark.django_db

Kind = Transfer.Kind
#: 15 December is over in Jakarta.
OVER = terms.of(2020).use_by(2020)


def give_back_all(at=OVER, size=2):
    last = 0
    while last := returning.give_back(at=at, after=last, size=size):
        pass


def returned():
    """Who gave back how much to whom, in order."""
    found = Transfer.objects.filter(kind=Kind.RETURN).order_by("debit", "id")
    return list(found.values_list("debit", "credit", "amount"))


def balances():
    return dict(Balance.objects.values_list("registrant_id", "balance"))


def test_what_is_left_after_the_last_day_goes_back_once_however_often_it_is_run():
    make_training()
    ids = make_recipients(6)
    buy(ids[:5])

    give_back_all()
    give_back_all()

    assert returned() == [(id, 0, 600_000) for id in ids[:5]], "who has bought nothing was granted nothing"
    assert balances() == dict.fromkeys(ids[:5], 0)
    assert accounts.totals() == accounts.Totals(5_000_000, 0, 3_000_000, {"tokopedia": 2_000_000})
    assert accounts.recount() == []


def test_nobodys_balance_is_touched_before_the_end_of_the_last_day():
    make_training()
    make_training("TOK-2", price=250_000)
    [id] = make_recipients(1)
    buy([id])
    last_moment = OVER - timedelta(microseconds=1)

    give_back_all(last_moment)

    assert balances() == {id: 600_000}
    assert [result.outcome for result in buy([id], "TOK-2", at=last_moment)] == [purchasing.Outcome.BOUGHT]


def test_what_is_paid_back_after_it_goes_back_too():
    [code] = make_buyers(1)
    give_back_all()

    cancel([code], at=OVER + timedelta(days=3))
    give_back_all(OVER + timedelta(days=4))
    give_back_all(OVER + timedelta(days=4))

    assert [amount for _, _, amount in returned()] == [600_000, 400_000]
    assert accounts.totals() == accounts.Totals(1_000_000, 0, 1_000_000, {"tokopedia": 0})
    assert accounts.recount() == []


def test_recipients_of_a_later_year_keep_theirs():
    make_training()
    early, late = make_recipients(2)
    buy([early, late])
    decree = Decree.objects.get()
    decree.pk, decree.year, decree.kind = None, 2021, Decree.Kind.RESERVES
    decree.save()
    Notice.objects.create(decree=decree, kind=Notice.Kind.SELECTED, at=TOLD)
    Recipient.objects.filter(pk=late).update(decree_id=decree.pk)

    give_back_all()

    assert balances() == {early: 0, late: 600_000}


def test_simulated_recipients_keep_theirs_by_whatever_clock():
    draw = make_published(count=4, quota=2)
    naming.issue(draw, by="Denni", at=TOLD)
    naming.announce(draw, at=TOLD, in_earnest=False)
    make_buyers(2)

    give_back_all(OVER + timedelta(days=3000))

    assert set(balances().values()) == {600_000}


@pytest.mark.django_db(transaction=True)
def test_several_at_once_book_back_once():
    make_buyers(3)

    in_threads(4, lambda number: returning.give_back(at=OVER))

    assert [amount for _, _, amount in returned()] == [600_000] * 3
    assert accounts.recount() == []


def test_beat_has_it_done_by_the_databases_clock():
    make_buyers(3)

    tasks.give_back()

    assert set(balances().values()) == {0}, "2020 is over"
    assert tasks.give_back.name in {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}


def test_the_statement_tells_what_went_back():
    make_training()
    [id] = make_recipients(1)
    [bought] = buy([id], at=BUYS)
    give_back_all()

    found = statement.of(id)

    assert [(line.kind, line.amount, line.balance) for line in found.transfers] == [
        (Kind.GRANT, 1_000_000, 1_000_000),
        (Kind.PURCHASE, -400_000, 600_000),
        (Kind.RETURN, -600_000, 0),
    ]
    assert (found.balance, found.spent, found.returned) == (0, 400_000, 600_000)
    assert [purchase.pk for purchase in found.purchases] == [bought.purchase_id]

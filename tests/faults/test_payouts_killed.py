"""A thousand incentives, fifty attempts at each, a bank that cuts the line: each is paid once. Six senders do it, of whom one is
killed every half a second, five times at least; or fifty at once."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.db.models import Max

from foundation.models import SetAside, Work
from foundation.work import enqueue
from incentives import batching, checking, figures, ledger, reconciliation, results, sending
from incentives.models import Batch, Obligation, Payout, State, number
from incentives.payers import queue
from incentives.payout import HttpPayer, Order, Outcome
from incentives.results import Result
from partners import inbox
from partners.models import Message
from prakerja.mockservices import Faults, serving
from registrations import funnel
from registrations.models import Registrant
from registrations.regions import WIB
from registrations.stages import Stage
from tests.clock import pass_time
from tests.incentives.cast import (
    DAY,
    LATER,
    check,
    clerk,
    link,
    magic,
    make_batch,
    make_owed,
    make_payable,
    plain,
    post_signed,
)
from tests.partners.cast import make_partner
from tests.processes import children_of, running, wait_until
from tests.trainings.cast import in_threads
from waves.screening import NotNow

PEOPLE, ATTEMPTS, WORKERS = 1000, 50, 6
#: Of a hundred people so many have an account of which something is special: docs/mocks.md.
SPECIAL = {21: 2, 22: 10, 23: 3, 24: 2, 26: 1, 31: 2, 32: 2, 33: 1}
#: Of a hundred calls, so many are done and then hung up on, answered with nonsense, or answered 500.
BAD = {"payout": Faults(hang_up_percent=25, wrong_schema_percent=10, fail_percent=5, latency_ms=5, seed=13)}
LEASE = 2.0


def accounts(ids: list[int]) -> list[str]:
    codes = [code for code, percent in SPECIAL.items() for _ in range(percent)]
    return [magic(codes[place % 100], id) if place % 100 < len(codes) else plain(id) for place, id in enumerate(ids)]


def storm(ids: list[int], rng: random.Random) -> None:
    """Everybody's first month waits for its payer fifty times, each time in another order."""
    for _ in range(ATTEMPTS - 1):
        enqueue(queue("bni"), rng.sample([number(id, 1) for id in ids], len(ids)))


class Together(HttpPayer):
    """It asks nothing before all the others have something to ask, too."""

    def __init__(self, url: str, line: Barrier) -> None:
        super().__init__(url)
        self._first = [line]

    def pay(self, orders: Sequence[Order]) -> list[Outcome]:
        self._wait()
        return super().pay(orders)

    def outcomes(self, orders: Sequence[Order]) -> list[Outcome]:
        self._wait()
        return super().outcomes(orders)

    def _wait(self) -> None:
        if self._first:
            self._first.pop().wait(300)


def waiting():
    """The obligations that stand in a parcel for the bank."""
    parcels = Work.objects.filter(queue=queue("bni")).values_list("subjects", flat=True)
    return {subject for subjects in parcels for subject in subjects}


def kill_one(parent: int, rng: random.Random) -> int:
    """Kill -9 one of the senders, which this test has started."""
    if children := children_of(parent):
        with suppress(ProcessLookupError):
            os.kill(rng.choice(children), signal.SIGKILL)
            return 1
    return 0


def told_by(bank) -> list[Result]:
    """What the bank tells of its own accord."""
    return [Result(line["reference"], Outcome(line["status"])) for line in bank.payments()]


@pytest.mark.django_db(transaction=True)
def test_each_incentive_is_paid_once_whatever_is_killed_cut_off_doubled_or_given_back(tmp_path):
    rng, began, kills = random.Random(13), datetime.now(UTC), 0
    ids = make_owed(PEOPLE)
    numbers = accounts(ids)
    # What a bank has not decided is asked for again after a minute: that its file tells, sooner.
    undecided = {number(id, 1) for id, given in zip(ids, numbers, strict=True) if given.startswith(("9921", "9933"))}
    link(ids, numbers=numbers)
    check()
    make_partner("bni", platform=False, payer=True)
    log = tmp_path / "senders.log"
    with serving(BAD) as server:
        bank = server.services.bank
        environment = {"PAYOUT_BNI_URL": f"{server.url}/bni", "LEASE_SECONDS": str(LEASE), "HINTS": "0"}
        with running("-m", "tests.faults.paying", str(WORKERS), "250", log=log, **environment) as senders:
            for turn in (1, 2):
                make_batch(at=LATER)
                storm(ids, rng)
                last_kill = time.monotonic()

                def done():
                    nonlocal kills, last_kill
                    assert senders.poll() is None, log.read_text()[-2000:]
                    if time.monotonic() - last_kill > 0.4:
                        kills += kill_one(senders.pid, rng)
                        last_kill = time.monotonic()
                        # Signed, twice in both ways, and at the same time as the senders hear it.
                        some = rng.sample(told := told_by(bank), len(told) // 3)
                        news = {"results": [{"reference": each.reference, "status": each.outcome.value} for each in some]}
                        before = Message.objects.count()
                        for id in (f"msg_{before}", f"msg_{before}", f"again_{before}"):
                            post_signed("payout.settled", news, webhook_id=id)
                        assert inbox.apply_batch(size=100) == 2, "a call that came twice is kept once"
                        assert ledger.recount() == [], "also while all of them write"
                    return waiting() <= undecided

                wait_until(done, seconds=40, what="the storm is over")
                if turn == 1:
                    # What was wrong with the accounts is put right; without that, nobody is paid again.
                    results.apply(told_by(bank), payer="bni", at=datetime.now(UTC))
                    checking.again(ids, at=datetime.now(UTC) + timedelta(hours=1))
                    check(at=datetime.now(UTC))

        calls = server.summary()["services"]["payout"]["calls_by_ending"]
    assert min(calls[ending] for ending in ("hung_up", "bent", "refused")) > 0, "there was trouble of each kind"
    paid_twice = Counter(
        line["reference"].partition("-")[0] for line in bank.payments() if line["credited"] and not line["debited"]
    )
    assert max(paid_twice.values()) == 1, "no double payment in the bank's own ledger"
    assert kills >= 5, "senders were killed"
    assert set(Message.objects.values_list("state", flat=True)) == {Message.State.APPLIED}
    assert SetAside.objects.count() == 0

    # The bank's file explains the rest, and nothing is left over.
    for day in {began.astimezone(WIB).date(), datetime.now(WIB).date()}:
        content = bank.statement("bni", day.isoformat()).encode()
        taken = reconciliation.take("bni", content, file="statement.csv", at=datetime.now(UTC) + DAY)
        assert taken.leftovers.count() == 0, list(taken.leftovers.all())
    assert reconciliation.unexplained() == {}
    assert ledger.recount() == []
    assert funnel.recount().differences == []
    assert ledger.read().rupiah == PEOPLE * 2_400_000
    books = {line.state: line for line in figures.states()}
    assert sum(line.rupiah for line in books.values()) == PEOPLE * 2_400_000, "every rupiah in exactly one state"
    kept = [line for line in bank.payments() if line["credited"] and not line["debited"]]
    assert books[State.PAID].rupiah == sum(line["rupiah"] for line in kept), "paid = the bank's ledger"
    paid = {f"{payout.obligation_id}-{payout.attempt}" for payout in Payout.objects.filter(state=State.PAID)}
    assert paid == {line["reference"] for line in kept}
    assert books[State.PAID].obligations == PEOPLE, "in the end everybody got theirs"
    assert Registrant.objects.filter(stage=Stage.INCENTIVE_RECEIVED).count() == PEOPLE
    assert Obligation.objects.aggregate(most=Max("attempt"))["most"] == 2


@pytest.mark.django_db(transaction=True)
def test_fifty_who_send_the_same_at_once_pay_each_once():
    ids, line = make_payable(PEOPLE), Barrier(ATTEMPTS)
    make_batch()
    storm(ids, random.Random(13))

    def send_one(payer):
        return sending.send_batch("bni", payer=payer, size=len(ids), clock=lambda: LATER)

    with serving(BAD) as server:
        bank, url = server.services.bank, f"{server.url}/bni"

        def send_all(number):
            payer = Together(url, line)
            # Whoever looks while another one takes a parcel finds none.
            wait_until(lambda: send_one(payer), seconds=300, what="it has a parcel of its own")

        in_threads(ATTEMPTS, send_all)
        while waiting():
            pass_time(60)
            send_one(HttpPayer(url))
        calls = server.summary()["services"]["payout"]["calls_by_ending"]

    assert line.broken is False
    assert calls["hung_up"] > 0, "paid, and the line cut"
    assert Counter(line["reference"] for line in bank.payments() if line["credited"]) == Counter(
        f"{number(id, 1)}-1" for id in ids
    )
    assert {(line["credited"], line["debited"]) for line in bank.payments()} == {(1, 0)}
    assert Counter(Payout.objects.values_list("state", flat=True)) == {State.PAID: len(ids)}
    assert ledger.recount() == []


@pytest.mark.django_db(transaction=True)
def test_of_fifty_who_put_together_batches_at_once_no_two_have_the_same():
    ids, maker = make_payable(200), clerk("maker")

    def propose(number):
        try:
            return batching.propose("bni", by=maker, at=LATER, limit=3 * number + 3).payouts
        except NotNow:
            return 0

    made = in_threads(ATTEMPTS, propose)
    left = batching.ripe("bni", at=LATER).payouts

    assert sum(made) + left == len(ids)
    assert any(made)
    assert Counter(Payout.objects.values_list("obligation_id", flat=True)) == Counter(
        Obligation.objects.exclude(batch_id=None).values_list("pk", flat=True)
    )
    assert dict(Batch.objects.values_list("pk", "payouts")) == Counter(Payout.objects.values_list("batch_id", flat=True))
    assert ledger.recount() == []

"""Buying, in whatever order, and what a simple book-keeper writes down of it. `tests/incentives/test_machine.py` goes on to the money."""

from datetime import timedelta

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from registrations import funnel
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from tests.clock import fall_due
from tests.trainings.cast import BUYS, END, certificate, make_recipients, make_training, order
from trainings import accounts, cancelling, completing, gates, purchasing, redeeming, returning, reviewing, terms
from trainings.completing import Completion
from trainings.models import Balance, Purchase, Review, Training
from trainings.purchasing import Outcome
from waves import revocation

PRICES = {"TOK-1": 400_000, "TOK-2": 250_000, "SCARCE": 100_000}
SCARCE_SEATS = 2
PEOPLE = 7
BALANCE = 1_000_000
#: Before this instant a balance is spent.
USE_BY = terms.of(2020).use_by(2020)

people = st.integers(0, PEOPLE - 1)
codes = st.integers(0, 11)
wish = st.tuples(people, st.sampled_from(sorted(PRICES)))
some = st.lists(codes, min_size=1, max_size=4)


class Buying(RuleBasedStateMachine):
    """Some recipients, three trainings, and the books that are kept of them here."""

    def __init__(self):
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()
        for code, price in PRICES.items():
            make_training(code, price=price, seats=SCARCE_SEATS if code == "SCARCE" else None)
        self.sold_until = Training.objects.get(code="SCARCE").valid_until
        self.ids = make_recipients(PEOPLE)
        self.now = BUYS
        self.left = dict.fromkeys(self.ids, BALANCE)
        self.returned = 0
        self.revoked = set()
        self.owner, self.training, self.state = {}, {}, {}
        self.lifted, self.completed = {}, {}
        self.number = 0

    def teardown(self):
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    def code(self, place):
        known = list(self.owner)
        return known[place % len(known)] if known else "A" * 16

    def seats(self):
        sold = [code for code, training in self.training.items() if training == "SCARCE" and self.state[code] != "cancelled"]
        return SCARCE_SEATS - len(sold)

    @initialize(wishes=st.lists(wish, min_size=2, max_size=8), places=st.lists(codes, max_size=5))
    def begin(self, wishes, places):
        self.buy(wishes)
        self.redeem(places, None)

    @rule(hours=st.sampled_from([1, 30, 24 * 12, 24 * 32]))
    def time_goes_by(self, hours):
        self.wait(timedelta(hours=hours, minutes=11))

    def wait(self, time):
        self.now += time
        # What waits to be asked again is due.
        fall_due()

    @rule(wishes=st.lists(wish, min_size=1, max_size=4))
    def buy(self, wishes):
        orders, expected = [], []
        for person, training in wishes:
            self.number += 1
            id = self.ids[person]
            orders.append(order(id, training, number=self.number, at=self.now))
            expected.append(self._expected(id, training, orders[-1]))
        results = purchasing.buy(orders, platform="tokopedia")
        assert [result.outcome for result in results] == expected
        again = purchasing.buy(orders, platform="tokopedia")
        for result, repeated in zip(results, again, strict=True):
            if result.outcome is Outcome.BOUGHT:
                assert repeated == result._replace(outcome=Outcome.ALREADY)
        for wanted, result in zip(orders, results, strict=True):
            if result.redeem_code:  # until it is known, the reference stands for it
                for book in (self.owner, self.training, self.state):
                    book[result.redeem_code] = book.pop(wanted.reference)

    def _expected(self, id, training, wanted):
        if id in self.revoked:
            return Outcome.ENDED
        if self.now >= self.sold_until:
            return Outcome.NOT_ON_SALE
        if id not in self.lifted and self.now >= END:
            return Outcome.TOO_LATE
        if self.now >= USE_BY:
            return Outcome.BALANCE_EXPIRED
        if self.left[id] < PRICES[training]:
            return Outcome.BALANCE_TOO_LOW
        if training == "SCARCE" and not self.seats():
            return Outcome.SOLD_OUT
        self.left[id] -= PRICES[training]
        self.lifted.setdefault(id, self.now)
        self.owner[wanted.reference], self.training[wanted.reference], self.state[wanted.reference] = id, training, "issued"
        return Outcome.BOUGHT

    @rule(places=some, sequence=st.sampled_from([None, 1, 2, 999]))
    def redeem(self, places, sequence):
        chosen = [self.code(place) for place in places]
        redeeming.commit([redeeming.Use(code, self.now, sequence) for code in chosen], partner="nusa")
        for code in chosen:
            if self.state.get(code) in ("issued", "redeemed"):
                self.state[code] = "attending" if sequence or self.state[code] == "attending" else "redeemed"

    @rule(places=some, certified=st.booleans())
    def complete(self, places, certified):
        chosen = [self.code(place) for place in places]
        completing.complete(
            [Completion(code, self.now, certificate=certificate(code) if certified else None) for code in chosen],
            partner="nusa",
            now=self.now,
        )
        for code in chosen:
            if self.state.get(code) in ("redeemed", "attending"):
                self.state[code] = "completed"
                self.completed.setdefault(self.owner[code], self.now)

    @rule(places=some, certified=st.booleans())
    def redeem_and_complete(self, places, certified):
        self.redeem(places, None)
        self.complete(places, certified)

    @rule(places=some)
    def certify(self, places):
        wanted = [completing.Certification(code, certificate(code)) for code in map(self.code, places)]
        completing.certify(wanted, partner="nusa", now=self.now)

    @precondition(lambda self: self.owner)
    @rule(places=st.lists(codes, min_size=1, max_size=2))
    def cancel(self, places):
        chosen = [self.code(place) for place in places]
        cancelling.cancel([cancelling.Cancellation(code, self.now) for code in chosen], platform="tokopedia")
        for code in chosen:
            if self.state.get(code) in ("issued", "redeemed", "attending"):
                self.state[code] = "cancelled"
                self.left[self.owner[code]] += PRICES[self.training[code]]

    @precondition(lambda self: self.owner)
    @rule(places=some, rating=st.integers(0, 6))
    def review(self, places, rating):
        purchases = Purchase.objects.filter(redeem_code__in=[self.code(place) for place in places])
        reviewing.review([reviewing.Opinion(each.registrant_id, each.pk, rating, "Bagus.", self.now) for each in purchases])

    @rule()
    def revoke(self):
        while revocation.revoke(at=self.now):
            pass
        if self.now >= END:
            self.revoked = set(self.ids) - self.lifted.keys()

    @rule(over=st.booleans())
    def give_back(self, over):
        """Before the last day, nothing goes back; `over`: it has come."""
        if over:
            self.wait(max(USE_BY - self.now, timedelta(0)))
        returning.give_back(at=self.now)
        if self.now >= USE_BY:
            self.returned += sum(self.left[id] for id in self.lifted)
            self.left |= dict.fromkeys(self.lifted, 0)

    @invariant()
    def the_money_is_all_there(self):
        assert accounts.recount() == []
        balances = dict(Balance.objects.values_list("registrant_id", "balance"))
        assert all(balance >= 0 for balance in balances.values())
        assert balances == {id: self.left[id] for id in self.lifted}
        assert Training.objects.get(code="SCARCE").taken == SCARCE_SEATS - self.seats()
        totals = accounts.totals()
        assert (totals.granted, totals.returned) == (BALANCE * len(self.lifted), self.returned)
        assert totals.granted == totals.left + totals.returned + sum(totals.taken.values())

    @invariant()
    def everybody_stands_where_they_belong(self):
        states = {each.redeem_code: each.State(each.state).name.lower() for each in Purchase.objects.all()}
        assert states == self.state
        assert funnel.recount().differences == []
        for registrant in Registrant.objects.filter(pk__in=self.ids):
            bought_at, completed_at = self.lifted.get(registrant.pk), self.completed.get(registrant.pk)
            assert (registrant.training_bought_at, registrant.training_completed_at) == (bought_at, completed_at), "once"
            if registrant.pk not in self.completed:
                assert (registrant.stage, registrant.drop_off) == self._standing(registrant.pk)

    def _standing(self, id):
        mine = {self.state[code] for code, owner in self.owner.items() if owner == id}
        if not mine:
            return Stage.SELECTED, DropOff.REVOKED if id in self.revoked else DropOff.NONE
        return Stage.TRAINING_BOUGHT, DropOff.PURCHASE_CANCELLED if mine == {"cancelled"} else DropOff.NONE

    @invariant()
    def a_first_training_is_of_each_who_has_completed_one(self):
        firsts = Purchase.objects.filter(is_first=True)
        reviewed = set(Review.objects.values_list("pk", flat=True))
        assert {each.registrant_id for each in firsts} == self.completed.keys()
        assert gates.missing(self.ids) == {
            each.registrant_id: gates.Missing(each.certified_at is None, each.pk not in reviewed) for each in firsts
        }

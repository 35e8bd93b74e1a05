"""Whatever is done in whatever order: an account is one person's, an incentive is paid at most once, and the books are right (I4, I6)."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from foundation.models import SetAside, Work
from incentives import batching, changing, checking, gating, ledger, linking, obligations, results, sending, surveys
from incentives.models import Account, Batch, Obligation, Payout, State, number
from incentives.payers import PAYERS, check_queue, queue
from incentives.payout import Outcome, Verdict
from incentives.results import Result
from registrations import funnel
from tests.incentives.cast import LATER, Bank, clerk, make_completed
from tests.trainings import cast as trainings
from tests.trainings.cast import COMPLETES
from trainings.models import Purchase
from waves.screening import NotNow

PEOPLE = 5
CODES = ("bni", "bri")
#: A few accounts that everybody wants.
NUMBERS = {"bni": [f"123456789{n}" for n in range(6)], "bri": [f"12345678901234{n}" for n in range(6)]}
WHO = st.integers(0, PEOPLE - 1)
CODE = st.sampled_from(CODES)
ANSWERS = [
    Outcome.PAID,
    Outcome.PAID,
    Outcome.UNKNOWN,
    Outcome.PENDING,
    Outcome.FAILED,
    Outcome.FAILED_FULL,
    Outcome.NOT_FOUND,
]


class FickleBank(Bank):
    """Says of accounts what it is told to say."""

    def __init__(self) -> None:
        super().__init__()
        self.verdicts: list[Verdict] = []

    def check(self, queries):
        return [self.verdicts[n % len(self.verdicts)] if self.verdicts else Verdict.FIT for n, _ in enumerate(queries)]


class Money(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.open = transaction.atomic()
        self.open.__enter__()
        self.ids = make_completed(PEOPLE, certified=False, reviewed=False)
        self.redeem = dict(Purchase.objects.values_list("registrant_id", "redeem_code"))
        self.banks = {code: FickleBank() for code in CODES}
        self.now = LATER
        # Most have come far, so that most of what happens happens to money.
        ready = self.ids[:4]
        trainings.certify([self.redeem[id] for id in ready])
        trainings.review(ready)
        self.open_and_look()
        for place, id in enumerate(ready[:3]):
            linking.link([linking.Link(id, CODES[place % 2], NUMBERS[CODES[place % 2]][place], self.now)])
        for code in CODES:
            self.check(code, [])

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.open.__exit__(None, None, None)

    def clock(self):
        return self.now

    @rule(days=st.integers(0, 40))
    def time_goes_by(self, days):
        self.now += timedelta(days=days, minutes=11)
        # What waits to be asked again is due.
        Work.objects.update(due_at="2020-01-01T00:00:00Z")

    @rule(who=WHO, code=CODE, number=st.integers(0, 5))
    def link(self, who, code, number):
        linking.link([linking.Link(self.ids[who], code, NUMBERS[code][number], self.now)])

    @rule(who=WHO, code=CODE, number=st.integers(0, 5), right=st.booleans())
    def change(self, who, code, number, right):
        changing.change(self.ids[who], code, NUMBERS[code][number], proof=lambda: right, at=self.now)

    @rule(code=CODE, verdicts=st.lists(st.sampled_from(list(Verdict)), max_size=3))
    def check(self, code, verdicts):
        self.banks[code].verdicts = verdicts
        checking.check_batch(code, payer=self.banks[code], size=10, clock=self.clock)

    @rule(who=WHO)
    def check_again(self, who):
        checking.again([self.ids[who]], at=self.now)

    @rule()
    def open_and_look(self):
        obligations.open_batch(size=10, clock=self.clock)
        gating.refresh_batch(size=10, clock=self.clock)

    @rule(who=WHO)
    def open_again(self, who):
        obligations.open_for({self.ids[who]: COMPLETES}, at=self.now)

    @rule(who=st.lists(WHO, max_size=PEOPLE))
    def certify(self, who):
        trainings.certify([self.redeem[self.ids[each]] for each in who])

    @rule(who=st.lists(WHO, min_size=1, max_size=PEOPLE))
    def review(self, who):
        trainings.review([self.ids[each] for each in who])

    @rule(who=WHO, survey=st.integers(1, 3))
    def answer_a_survey(self, who, survey):
        surveys.answer([surveys.Answer(self.ids[who], survey, self.now)])

    @rule(code=CODE, limit=st.integers(1, 8), approved=st.booleans())
    def batch(self, code, limit, approved):
        try:
            batch = batching.propose(code, by=clerk("maker"), at=self.now, limit=limit)
        except NotNow:
            return
        if approved:
            batching.approve(batch, by=clerk("checker"), sha256=bytes(batch.sha256).hex(), at=self.now)

    @rule(code=CODE, answers=st.lists(st.sampled_from(ANSWERS), max_size=6))
    def pay_all_that_is_due(self, code, answers):
        self.batch(code, 100, True)
        self.send(code, answers)

    @precondition(lambda self: Batch.objects.filter(approved_at=None, withdrawn_at=None).exists())
    @rule()
    def withdraw(self):
        batching.withdraw(Batch.objects.filter(approved_at=None, withdrawn_at=None).latest("pk"), at=self.now)

    @precondition(lambda self: Batch.objects.filter(approved_at__isnull=False, stopped="").exists())
    @rule()
    def stop_and_give_free(self):
        batch = Batch.objects.filter(approved_at__isnull=False, stopped="").latest("pk")
        batching.halt(batch, why="a doubt")
        batching.withdraw(batch, at=self.now)

    @rule(code=CODE, answers=st.lists(st.sampled_from(ANSWERS), max_size=6))
    def send(self, code, answers):
        self.banks[code].answer_next = answers
        sending.send_batch(code, payer=self.banks[code], size=10, clock=self.clock)

    @rule(code=CODE, place=st.integers(0, 50))
    def give_back(self, code, place):
        credited = list(self.banks[code].credited)
        if credited:
            self.banks[code].reversed.add(credited[place % len(credited)])

    @rule(code=CODE)
    def tell_twice_what_is_true(self, code):
        bank = self.banks[code]
        told = [Result(reference, bank.truth(reference)) for reference in bank.credited]
        results.apply([*told, *told], payer=code, at=self.now)

    @rule(code=CODE, who=WHO, attempt=st.integers(1, 3), outcome=st.sampled_from(list(Outcome)))
    def tell_of_what_was_never_sent(self, code, who, attempt, outcome):
        key = (number(self.ids[who], 1), attempt)
        sent = Payout.objects.filter(obligation_id=key[0], attempt=key[1], sent_at__isnull=False).exists()
        if not sent:
            results.apply([Result(f"{key[0]}-{key[1]}", outcome)], payer=code, at=self.now)

    @rule()
    def fold(self):
        ledger.fold()

    @invariant()
    def an_account_is_one_persons_and_a_person_has_one(self):
        live = Account.objects.filter(ended_at=None)
        assert max(Counter(live.values_list("digest", flat=True)).values(), default=1) == 1
        assert max(Counter(live.values_list("registrant_id", flat=True)).values(), default=1) == 1

    @invariant()
    def an_incentive_is_paid_at_most_once(self):
        kept = sum((bank.kept() for bank in self.banks.values()), Counter())
        assert max(kept.values(), default=0) <= 1

    @invariant()
    def what_we_hold_for_paid_is_what_was_credited(self):
        credited = {reference for bank in self.banks.values() for reference in bank.credited}
        paid = {f"{one.obligation_id}-{one.attempt}" for one in Payout.objects.filter(state=State.PAID)}
        assert paid <= credited
        owed = {one.pk for one in Obligation.objects.filter(state=State.PAID)}
        assert owed == {int(reference.partition("-")[0]) for reference in paid}

    @invariant()
    def the_books_are_right(self):
        assert ledger.recount() == []
        assert ledger.read().rupiah == sum(Obligation.objects.values_list("amount", flat=True))
        assert funnel.recount().differences == []

    @invariant()
    def nothing_is_set_aside_and_no_money_is_forgotten(self):
        assert not SetAside.objects.exists()
        waits = {
            subject
            for parcel in Work.objects.filter(queue__in=[queue(code) for code in PAYERS])
            for subject in parcel.subjects
        }
        for payout in Payout.objects.filter(state__in=(Payout.State.APPROVED, State.SENDING, State.UNKNOWN)):
            assert payout.obligation_id in waits, "who is to be sent, or asked for, waits in a queue"
        asked = {
            subject
            for parcel in Work.objects.filter(queue__in=[check_queue(code) for code in PAYERS])
            for subject in parcel.subjects
        }
        assert set(Account.objects.filter(ended_at=None, checked_at=None).values_list("pk", flat=True)) <= asked


@pytest.mark.django_db
def test_money_is_neither_lost_nor_doubled_in_any_order_of_events():
    run_state_machine_as_test(
        Money,
        settings=settings(max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)),
    )

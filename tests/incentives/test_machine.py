"""Whatever is done in whatever order: no balance below zero, each rupiah in one place, each climb once; an account is one person's, an
incentive is paid at most once, and the books are right (I4, I6)."""

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from foundation.models import SetAside, Work
from incentives import batching, changing, checking, gating, ledger, linking, obligations, results, sending, surveys
from incentives.gates import Gate, Ready, first_shut
from incentives.models import UNPAID, Account, Batch, Obligation, Payout, State, number
from incentives.payers import PAYERS, check_queue, queue
from incentives.payout import Outcome, Verdict
from incentives.results import Result
from incentives.terms import ITEMS, is_survey
from registrations import ladder
from registrations.models import PhoneOwner, Registrant
from registrations.person import phone_digest
from registrations.stages import Stage
from tests.incentives.cast import DAY, LATER, Bank, clerk
from tests.trainings.cast import COMPLETES, make_recipients
from tests.trainings.machine import Buying, people
from trainings import gates as trainings_gates
from waves.screening import NotNow

PAYING = ("bni", "bri")
#: A few accounts and phones that everybody wants.
NUMBERS = {"bni": [f"123456789{n}" for n in range(6)], "bri": [f"12345678901234{n}" for n in range(6)]}
PHONES = [f"+628139999000{n}" for n in range(4)]
payers = st.sampled_from(PAYING)
ANSWERS = [
    Outcome.PAID,
    Outcome.PAID,
    Outcome.UNKNOWN,
    Outcome.PENDING,
    Outcome.FAILED,
    Outcome.FAILED_FULL,
    Outcome.NOT_FOUND,
]
answers = st.lists(st.sampled_from(ANSWERS), max_size=6)


class FickleBank(Bank):
    """Says of accounts what it is told to say."""

    def __init__(self) -> None:
        super().__init__()
        self.verdicts: list[Verdict] = []

    def check(self, queries):
        return [self.verdicts[n % len(self.verdicts)] if self.verdicts else Verdict.FIT for n, _ in enumerate(queries)]


class Programme(Buying):
    """The same recipients, their accounts, and two banks with ledgers of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.banks = {code: FickleBank() for code in PAYING}
        # Most have come far, so that much of what happens happens to money; the others have their time to buy before them.
        self.buy([(person, "TOK-1") for person in range(5)])
        self.redeem(range(5), None)
        self.now = COMPLETES
        self.complete(range(4), False)
        self.certify(range(4))
        self.review(range(4), 5)
        self.now = LATER
        self.open_and_look()
        for who in range(3):
            self.link(who, PAYING[who % 2], who)
        for code in PAYING:
            self.check(code, [])

    def clock(self):
        return self.now

    @rule(who=people, code=payers, number=st.integers(0, 5))
    def link(self, who, code, number):
        linking.link([linking.Link(self.ids[who], code, NUMBERS[code][number], self.now)])

    @rule(who=people, code=payers, number=st.integers(0, 5), right=st.booleans())
    def change(self, who, code, number, right):
        changing.change(self.ids[who], code, NUMBERS[code][number], proof=lambda: right, at=self.now)

    @rule(who=people, number=st.integers(0, 3), right=st.booleans())
    def change_phone(self, who, number, right):
        changing.change_phone(self.ids[who], PHONES[number], proof=lambda: right, at=self.now)

    @rule(code=payers, verdicts=st.lists(st.sampled_from(list(Verdict)), max_size=3))
    def check(self, code, verdicts):
        self.banks[code].verdicts = verdicts
        checking.recheck(at=self.now, size=10)
        checking.check_batch(code, payer=self.banks[code], size=10, clock=self.clock)

    @rule(who=people)
    def check_again(self, who):
        checking.again([self.ids[who]], at=self.now)

    @rule()
    def open_and_look(self):
        obligations.open_batch(size=10, clock=self.clock)
        gating.refresh_batch(size=10, clock=self.clock)

    @rule(who=people)
    def open_again(self, who):
        id = self.ids[who]
        obligations.open_for({id: self.completed.get(id, self.now)}, at=self.now)

    @rule(survey=st.integers(1, 3), days=st.sampled_from([0, 31, 62]))
    def answer_a_survey(self, survey, days):
        self.wait(days * DAY)
        surveys.answer([surveys.Answer(id, survey, self.now) for id in self.ids])

    @rule(code=payers, limit=st.integers(1, 8), approved=st.booleans())
    def batch(self, code, limit, approved):
        try:
            batch = batching.propose(code, by=clerk("maker"), at=self.now, limit=limit)
        except NotNow:
            return
        if approved:
            batching.approve(batch, by=clerk("checker"), sha256=bytes(batch.sha256).hex(), at=self.now)

    @initialize(code=payers, answers=answers)
    def first_payday(self, code, answers):
        self.pay_all_that_is_due(code, answers)

    @rule(code=payers, answers=answers)
    def pay_all_that_is_due(self, code, answers):
        self.batch(code, 100, True)
        self.send(code, answers)

    @rule(code=payers, answers=answers)
    def a_month_goes_by_and_all_is_paid(self, code, answers):
        self.wait(31 * DAY)
        self.check(code, [])
        self.pay_all_that_is_due(code, answers)

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

    @rule(code=payers, answers=answers)
    def send(self, code, answers):
        self.banks[code].answer_next = answers
        sending.send_batch(code, payer=self.banks[code], size=10, clock=self.clock)

    @precondition(lambda self: any(bank.credited for bank in self.banks.values()))
    @rule(code=payers, place=st.integers(0, 50), told=st.booleans())
    def reverse(self, code, place, told):
        credited = list(self.banks[code].credited)
        if credited:
            self.banks[code].give_back(credited[place % len(credited)])
        if told:
            self.tell_twice_what_is_true(code)

    @rule(code=payers)
    def tell_twice_what_is_true(self, code):
        bank = self.banks[code]
        told = [Result(reference, bank.truth(reference)) for reference in bank.credited]
        results.apply([*told, *told], payer=code, at=self.now)

    @rule(code=payers, who=people, attempt=st.integers(1, 3), outcome=st.sampled_from(list(Outcome)))
    def tell_of_what_was_never_sent(self, code, who, attempt, outcome):
        key = (number(self.ids[who], 1), attempt)
        sent = Payout.objects.filter(obligation_id=key[0], attempt=key[1], sent_at__isnull=False).exists()
        if not sent:
            results.apply([Result(f"{key[0]}-{key[1]}", outcome)], payer=code, at=self.now)

    @rule()
    def fold(self):
        ledger.fold()

    def waiting_in(self, *queues):
        return {subject for parcel in Work.objects.filter(queue__in=queues) for subject in parcel.subjects}

    @invariant()
    def an_account_is_one_persons_and_a_person_has_one(self):
        live = Account.objects.filter(ended_at=None)
        assert max(Counter(live.values_list("digest", flat=True)).values(), default=1) == 1
        assert max(Counter(live.values_list("registrant_id", flat=True)).values(), default=1) == 1

    @invariant()
    def everybody_owns_the_phone_that_they_have_and_no_other(self):
        owned = Counter(PhoneOwner.objects.filter(registrant_id__in=self.ids).values_list("registrant_id", "digest"))
        phones = {id: one.open().phone for id, one in ladder.standing(self.ids, Stage.SELECTED, or_above=True).items()}
        assert owned == Counter((id, UUID(phone_digest(phone))) for id, phone in phones.items())

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
        received = set(Registrant.objects.filter(stage=Stage.INCENTIVE_RECEIVED).values_list("pk", flat=True))
        assert {id // ITEMS for id in owed} <= received
        assert received <= {int(reference.partition("-")[0]) // ITEMS for reference in credited}

    @invariant()
    def the_books_are_right(self):
        assert ledger.recount() == []
        assert ledger.read().rupiah == sum(Obligation.objects.values_list("amount", flat=True))

    @invariant()
    def four_months_are_owed_to_each_who_has_completed_a_training(self):
        months = Counter(one.pk // ITEMS for one in Obligation.objects.all() if not is_survey(one.item))
        assert months.keys() <= self.completed.keys()
        assert self.completed.keys() - self.waiting_in("obligations") <= months.keys()
        assert set(months.values()) <= {4}

    @invariant()
    def the_gate_that_is_told_is_the_one_that_is_shut(self):
        accounts = dict(Account.objects.filter(ended_at=None).values_list("registrant_id", "gate"))
        shut = {
            id: first_shut(Ready(not certificate, not review, Gate(accounts[id]) if id in accounts else None))
            for id, (certificate, review) in trainings_gates.missing(self.ids).items()
        }
        known = self.completed.keys() - self.waiting_in("obligations", "gates")
        for registrant in Registrant.objects.filter(pk__in=known):
            told = shut[registrant.pk] if registrant.stage == Stage.TRAINING_COMPLETED else 0
            assert registrant.drop_off == told
        for one in Obligation.objects.of(list(known)).filter(state__in=UNPAID, batch_id=None):
            assert one.gate == shut[one.registrant_id]

    @invariant()
    def nothing_is_set_aside_and_no_money_is_forgotten(self):
        assert not SetAside.objects.exists()
        waits = self.waiting_in(*map(queue, PAYERS))
        for payout in Payout.objects.filter(state__in=(Payout.State.APPROVED, State.SENDING, State.UNKNOWN)):
            assert payout.obligation_id in waits, "who is to be sent, or asked for, waits in a queue"
        asked = self.waiting_in(*map(check_queue, PAYERS))
        assert set(Account.objects.filter(ended_at=None, checked_at=None).values_list("pk", flat=True)) <= asked


@pytest.mark.django_db
def test_the_books_are_right_and_money_is_neither_lost_nor_doubled_in_any_order_of_events():
    make_recipients(1, first=500)  # the draw of them all

    run_state_machine_as_test(
        Programme,
        settings=settings(max_examples=42, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)),
    )

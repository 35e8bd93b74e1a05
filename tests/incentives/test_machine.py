"""Whatever is done in whatever order: no balance below zero, each rupiah in one place, each climb once; an account is one person's, an
incentive is paid at most once, and the books are right (I4, I6)."""

from collections import Counter
from datetime import datetime
from uuid import UUID

import pytest
from django.db.models import Count, F, Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from foundation.models import SetAside, Work
from incentives import (
    batching,
    changing,
    checking,
    figures,
    gating,
    ledger,
    linking,
    obligations,
    results,
    sending,
    surveys,
    terms,
)
from incentives.changing import Identity, Wanted
from incentives.changing import Outcome as Changed
from incentives.checking import Heard, Told
from incentives.gates import Gate, Ready, first_shut
from incentives.models import UNPAID, Account, AccountChange, Batch, Journal, Obligation, Payout, State, number
from incentives.numbers import digest_of
from incentives.payers import PAYERS, check_queue, queue
from incentives.payout import Outcome, Verdict
from incentives.results import Key, Result
from incentives.terms import ITEMS, is_survey
from registrations import ladder
from registrations.models import PhoneOwner, Registrant
from registrations.person import phone_digest
from registrations.stages import Stage
from tests.incentives.cast import DAY, LATER, Bank, clerk
from tests.trainings.cast import COMPLETES, make_recipients
from tests.trainings.machine import Buying, people
from trainings import gates as trainings_gates
from verification import codes
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
WRONG = [verdict for verdict in Verdict if verdict not in (Verdict.FIT, Verdict.UNKNOWN)]


#: An obligation's batch is that of a payout which is so.
IN_HAND = (Payout.State.PROPOSED, Payout.State.APPROVED, State.SENDING, State.UNKNOWN, State.PAID)

AS_CHANGED = {
    linking.Outcome.LINKED: Changed.CHANGED,
    linking.Outcome.ALREADY: Changed.ALREADY,
    linking.Outcome.TAKEN: Changed.TAKEN,
}


class FickleBank(Bank):
    """Says of accounts what it is told to say, and notes what it is given for those whose gate is shut, and what each account of a person
    still holds of the rupiah that it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.verdicts: list[Verdict] = []
        self.given_for_shut: list[int] = []
        self.room: dict[tuple[str, str], int] = {}

    def check(self, queries):
        said = [self.verdicts[n % len(self.verdicts)] if self.verdicts else Verdict.FIT for n, _ in enumerate(queries)]
        fit = [query for query, verdict in zip(queries, said, strict=True) if verdict is Verdict.FIT]
        self.room = {**self.room, **{(query.account, query.nik): query.amount for query in fit}}
        return said

    def _pay(self, order):
        is_new = order.reference not in self.credited
        outcome = super()._pay(order)
        if is_new and order.reference in self.credited:
            self.room[order.account, order.nik] -= order.amount
        return outcome

    def pay(self, orders):
        ids = [Key.read(order.reference).obligation_id for order in orders]
        given = Payout.objects.filter(obligation_id__in=ids, state__in=(State.SENDING, State.UNKNOWN))
        shut = Account.objects.filter(pk__in=given.values("account_id")).exclude(gate=Gate.NONE)
        self.given_for_shut += shut.values_list("pk", flat=True)
        return super().pay(orders)


class Programme(Buying):
    """The same recipients, their accounts, and two banks with ledgers of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.banks = {code: FickleBank() for code in PAYING}
        them = {id: one.open() for id, one in ladder.standing(self.ids, Stage.SELECTED, or_above=True).items()}
        self.identities = {id: (one.nik, one.kk, one.birth_date) for id, one in them.items()}
        self.phones = {id: one.phone for id, one in them.items()}
        self.linked: dict[int, tuple[str, str]] = {}
        self.asked: dict[int, tuple[Wanted, datetime]] = {}
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
        id, wanted = self.ids[who], (code, NUMBERS[code][number])
        present = self.linked.get(id)
        [outcome] = linking.link([linking.Link(id, *wanted, self.now)])
        if id in self.revoked:
            assert outcome is linking.Outcome.NOT_A_RECIPIENT
        elif present and present != wanted:
            assert outcome is linking.Outcome.HAS_ANOTHER
        else:
            assert AS_CHANGED[outcome] is self._replaced(id, wanted)

    def _replaced(self, id, wanted):
        """What comes of an account that takes the present one's place, and of none; written down if it does."""
        if self.linked.get(id) == wanted:
            return Changed.ALREADY
        if id in self.revoked:
            return Changed.NOT_A_RECIPIENT
        if wanted in self.linked.values():
            return Changed.TAKEN
        self.linked[id] = wanted
        return Changed.CHANGED

    @rule(who=people, code=payers, number=st.integers(0, 5), right=st.booleans())
    def change(self, who, code, number, right):
        id, wanted = self.ids[who], (code, NUMBERS[code][number])
        outcome = changing.change(id, *wanted, proof=lambda: right, at=self.now)
        assert outcome is (self._replaced(id, wanted) if right else Changed.NOT_PROVEN)

    @rule(who=people, number=st.integers(0, 3), right=st.booleans())
    def change_phone(self, who, number, right):
        id, phone = self.ids[who], PHONES[number]
        outcome = changing.change_phone(id, phone, proof=lambda: right, at=self.now)
        if not right:
            assert outcome is Changed.NOT_PROVEN
        elif self._is_anothers(phone, id):
            assert outcome is Changed.TAKEN
        else:
            assert outcome is (Changed.ALREADY if self.phones[id] == phone else Changed.CHANGED)
            self.phones[id] = phone

    def _is_anothers(self, phone, id):
        return phone in [of for other, of in self.phones.items() if other != id]

    @rule(who=people, phone=st.integers(0, 3), account=st.none() | st.tuples(payers, st.integers(0, 5)), right=st.booleans())
    def ask_without_the_phone(self, who, phone, account, right):
        id = self.ids[who]
        wanted = Wanted(PHONES[phone], *((account[0], NUMBERS[account[0]][account[1]]) if account else ()))
        identity = Identity(*self.identities[id])._replace(**({} if right else {"kk": "1" * 16}))
        outcome = changing.ask(id, wanted, identity=identity, proof=lambda: True, at=self.now)
        if outcome is Changed.ASKED:
            assert right
            assert id not in self.asked
            self.asked[id] = (wanted, self.now + terms.of(self.now).change_waits)

    @rule(who=people, phone=st.integers(0, 3))
    def object_to_a_change(self, who, phone):
        self.ask_without_the_phone(who, phone, None, True)
        waited = self.asked.pop(self.ids[who], None)
        assert changing.cancel(self.ids[who], at=self.now) is bool(waited)
        self.let_changes_take_effect(7)

    @rule(days=st.sampled_from([0, 7]))
    def let_changes_take_effect(self, days):
        self.wait(days * DAY)
        changing.take_effect(at=self.now, void=codes.void)
        for id in sorted(id for id, (_, due) in self.asked.items() if due <= self.now):
            wanted, _ = self.asked.pop(id)
            possible = not self._is_anothers(wanted.phone, id)
            if possible and wanted.payer:
                possible = self._replaced(id, wanted[1:]) in (Changed.CHANGED, Changed.ALREADY)
            if possible:
                self.phones[id] = wanted.phone

    @rule(code=payers, verdicts=st.lists(st.sampled_from(list(Verdict)), max_size=3))
    def check(self, code, verdicts):
        self.banks[code].verdicts = verdicts
        checking.recheck(at=self.now, size=10)
        checking.check_batch(code, payer=self.banks[code], size=10, clock=self.clock)

    @precondition(lambda self: self.linked)
    @rule(place=st.integers(0, 6), verdict=st.sampled_from(WRONG))
    def tell_what_is_wrong_with_an_account(self, place, verdict):
        id = sorted(self.linked)[place % len(self.linked)]
        live = Account.objects.get(registrant_id=id, ended_at=None)
        assert checking.told([Told(str(live.pk), verdict)], payer=live.payer, at=self.now) == [Heard.NOTED]

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
        self._batch(code, limit, approved)

    def _batch(self, code, limit, approved):
        try:
            batch = batching.propose(code, by=clerk("maker"), at=self.now, limit=limit)
        except NotNow:
            return None
        if approved:
            batching.approve(batch, by=clerk("checker"), sha256=bytes(batch.sha256).hex(), at=self.now)
        return batch

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

    @rule(code=payers, approved=st.booleans(), place=st.integers(0, 6), verdict=st.sampled_from(WRONG))
    def take_back_what_a_gate_was_shut_for_meanwhile(self, code, approved, place, verdict):
        if batch := self._batch(code, 100, approved):
            self.tell_what_is_wrong_with_an_account(place, verdict)
            if approved:
                batching.halt(batch, why="a doubt")
            batching.withdraw(batch, at=self.now)

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

    @rule(code=payers, place=st.integers(0, 6), verdict=st.sampled_from(WRONG), answers=answers)
    def send_what_a_gate_was_shut_for_meanwhile(self, code, place, verdict, answers):
        if self.linked and self._batch(code, 100, True):
            self.tell_what_is_wrong_with_an_account(place, verdict)
            self.send(code, answers)

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
    def everybody_has_the_account_that_they_linked_and_nobody_another(self):
        live = Account.objects.filter(ended_at=None).values_list("registrant_id", "digest")
        assert Counter(live) == Counter((id, UUID(digest_of(*wanted))) for id, wanted in self.linked.items())

    @invariant()
    def everybody_owns_the_phone_that_they_have_and_no_other(self):
        owned = Counter(PhoneOwner.objects.filter(registrant_id__in=self.ids).values_list("registrant_id", "digest"))
        assert owned == Counter((id, UUID(phone_digest(phone))) for id, phone in self.phones.items())
        standing = ladder.standing(self.ids, Stage.SELECTED, or_above=True)
        assert {id: one.open().phone for id, one in standing.items()} == self.phones

    @invariant()
    def a_change_without_the_phone_waits_until_its_time(self):
        waiting = AccountChange.objects.filter(done_at=None, cancelled_at=None).values_list(
            "registrant_id", "takes_effect_at"
        )
        assert sorted(waiting) == sorted((id, due) for id, (_, due) in self.asked.items())

    @invariant()
    def nothing_is_given_to_a_payer_while_its_accounts_gate_is_shut(self):
        assert [bank.given_for_shut for bank in self.banks.values()] == [[], []]

    @invariant()
    def no_account_gets_more_than_its_payer_was_asked_about(self):
        assert all(left >= 0 for bank in self.banks.values() for left in bank.room.values())

    @invariant()
    def an_incentive_is_paid_at_most_once(self):
        kept = sum((bank.kept() for bank in self.banks.values()), Counter())
        assert max(kept.values(), default=0) <= 1

    @invariant()
    def what_we_hold_for_paid_is_what_was_credited(self):
        payouts = {one.reference: one for one in Payout.objects.all()}
        accounts = dict(Account.objects.values_list("pk", "digest"))
        credited, given_back = set(), set()
        for code, bank in self.banks.items():
            for reference, order in bank.credited.items():
                payout = payouts[reference]
                assert payout.state in (State.SENDING, State.UNKNOWN, State.PAID, State.REVERSED)
                assert (order.amount, order.nik) == (payout.amount, self.identities[payout.obligation_id // ITEMS][0])
                assert UUID(digest_of(code, order.account)) == accounts[payout.account_id]
            credited |= bank.credited.keys()
            given_back |= bank.reversed
        assert {reference for reference, one in payouts.items() if one.state == State.PAID} <= credited
        assert {reference for reference, one in payouts.items() if one.state == State.REVERSED} <= given_back

        paid = {one.pk for one in Obligation.objects.filter(state=State.PAID)}
        assert paid == {one.obligation_id for one in payouts.values() if one.state == State.PAID}
        received = set(Registrant.objects.filter(stage=Stage.INCENTIVE_RECEIVED).values_list("pk", flat=True))
        assert {id // ITEMS for id in paid} <= received
        assert received <= {payouts[reference].obligation_id // ITEMS for reference in credited}

    @invariant()
    def each_obligation_has_its_attempts_and_its_lines_and_each_of_these_its_obligation(self):
        obligations, payouts = list(Obligation.objects.all()), list(Payout.objects.all())
        attempts = [(one.pk, attempt) for one in obligations for attempt in range(1, one.attempt + 1)]
        assert sorted((one.obligation_id, one.attempt) for one in payouts) == sorted(attempts)
        in_hand = {(one.pk, one.attempt, one.batch_id) for one in obligations if one.batch_id}
        assert in_hand == {(one.obligation_id, one.attempt, one.batch_id) for one in payouts if one.state in IN_HAND}

        stands = dict.fromkeys((one.obligation_id for one in Journal.objects.all()), (0, 0))
        for line in Journal.objects.order_by("pk"):
            assert stands[line.obligation_id] == (line.from_state, line.from_gate)
            stands[line.obligation_id] = (line.to_state, line.to_gate)
        assert stands == {one.pk: (one.state, one.gate) for one in obligations}

    @invariant()
    def the_books_are_right(self):
        assert ledger.recount() == []
        assert ledger.read().rupiah == sum(Obligation.objects.values_list("amount", flat=True))
        people = Count(F("id") / ITEMS, distinct=True)
        blocked = Obligation.objects.exclude(gate=Gate.NONE).values_list("gate").order_by("gate")
        counted = list(blocked.annotate(people=people, rupiah=Sum("amount"), obligations=Count("id")))
        assert counted == [(line.gate, line.people, line.rupiah, line.obligations) for line in figures.blocked()]

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
    def after_a_failure_the_account_is_shut_or_looked_at_first(self):
        live = {one.pk: one for one in Account.objects.filter(ended_at=None, checked_at__isnull=False, gate=Gate.NONE)}
        lost = Payout.objects.filter(state__in=(State.FAILED, State.REVERSED), account_id__in=live)
        # Asked about at once, and perhaps answered at the same instant; with a reason, after a pause.
        at_once = {(one.account_id, one.settled_at) for one in lost if not one.reason}
        for payout in lost:
            checked_at = live[payout.account_id].checked_at
            assert checked_at >= payout.settled_at
            assert checked_at > payout.settled_at or (payout.account_id, checked_at) in at_once

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

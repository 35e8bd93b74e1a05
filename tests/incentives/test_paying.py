"""From a completed training to the money: opened, linked, checked, put together, approved, sent, once."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, Max, Min

from foundation import outbox
from foundation.models import SetAside, Work
from foundation.services import Unavailable
from incentives import (
    batching,
    changing,
    checking,
    figures,
    gating,
    ledger,
    obligations,
    results,
    sending,
    statement,
    surveys,
)
from incentives.checking import Told
from incentives.figures import Wait
from incentives.gates import Actor, Gate
from incentives.models import Batch, Journal, Leftover, Obligation, Payout, State, StatementFile, number
from incentives.payers import check_queue
from incentives.payout import MockPayer, Outcome, Verdict
from incentives.results import Applied, Key, Result
from incentives.surveys import Answer
from incentives.terms import ITEMS
from registrations import funnel
from registrations.regions import WIB
from registrations.stages import DropOff, Stage
from tests.clock import fall_due, pass_time
from tests.conftest import Mailbox
from tests.incentives.cast import (
    DAY,
    LATER,
    Bank,
    account,
    check,
    clerk,
    grown_old,
    link,
    magic,
    make_batch,
    make_completed,
    make_due,
    make_owed,
    make_payable,
    owed,
    pay,
    payout,
    registrant,
    send,
)
from tests.people import make_registrants
from tests.plans import rows_read
from tests.trainings import cast as trainings
from tests.trainings.cast import COMPLETES
from tests.waves.cast import by_force
from trainings.models import Purchase
from waves.screening import NotNow

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def the_books_are_right_at_the_end(django_db_setup, db):
    yield
    assert ledger.recount() == []
    assert funnel.recount().differences == []


# Opening


def test_four_months_are_opened_with_the_first_completed_training_once():
    [id] = make_completed()

    first = obligations.open_for({id: COMPLETES}, at=LATER)
    again = obligations.open_for({id: COMPLETES + DAY}, at=LATER)

    assert (first, again) == ({id}, set())
    assert [(one.item, one.amount) for one in Obligation.objects.of([id]).order_by("pk")] == [
        (n, 600_000) for n in (1, 2, 3, 4)
    ]
    assert ledger.read().rupiah == 2_400_000


def test_months_are_those_of_the_calendar_in_jakarta():
    [id] = make_completed()

    obligations.open_for({id: datetime(2020, 8, 31, 23, 30, tzinfo=WIB)}, at=LATER)

    due = [one.due_at.astimezone(WIB).date().isoformat() for one in Obligation.objects.of([id]).order_by("pk")]
    assert due == ["2020-08-31", "2020-09-30", "2020-10-31", "2020-11-30"]


def test_nothing_is_opened_for_who_has_completed_nothing():
    [id] = make_registrants(1, stage=Stage.PHONE_VERIFIED)

    assert obligations.open_for({id: LATER, 10**12: LATER}, at=LATER) == set()


# Paying


def test_the_first_incentive_lifts_its_registrant_to_the_last_rung():
    [id] = make_payable()

    batch = pay()

    assert [owed(id, item).state for item in (1, 2, 3, 4)] == [State.PAID, State.OPEN, State.OPEN, State.OPEN]
    assert (batch.payouts, batch.rupiah) == (1, 600_000)
    assert payout(id).state == State.PAID
    assert (registrant(id).stage, registrant(id).drop_off) == (Stage.INCENTIVE_RECEIVED, DropOff.NONE)
    assert owed(id, 2).gate == Gate.NONE


def test_what_is_due_is_paid_and_nothing_before_its_day():
    [id] = make_payable()

    for months in range(4):
        at = LATER + 31 * months * DAY
        checking.recheck(at=at, size=10)
        check(at=at)
        pay(at=at)

    assert set(Obligation.objects.of([id]).values_list("state", flat=True)) == {State.PAID}
    with pytest.raises(NotNow):
        batching.propose("bni", by=clerk("maker"), at=LATER + 365 * DAY)


def test_each_payer_gets_its_own():
    first, second = make_owed(2)
    link([first])
    link([second], numbers=["123456789012345"], payer="bri")
    check()
    check(code="bri")

    pay()

    assert (owed(first).state, owed(second).state) == (State.PAID, State.OPEN)
    assert batching.ripe("bri", at=LATER) == (1, 600_000)
    assert batching.ripe("bni", at=LATER) == (0, 0)


def certify(id):
    trainings.certify([Purchase.objects.get(registrant_id=id).redeem_code])
    gating.refresh_batch(size=10, clock=lambda: LATER)


def review(id):
    trainings.review([id])
    gating.refresh_batch(size=10, clock=lambda: LATER)


def link_one(id):
    link([id])
    check()


def put_the_account_right(id):
    checking.again([id], at=LATER + DAY)
    check(Bank(), at=LATER + DAY)


@pytest.mark.parametrize(
    ("gate", "who", "lacks", "number", "cure"),
    [
        (Gate.CERTIFICATE_MISSING, Actor.PROVIDER, {"certified": False}, 0, certify),
        (Gate.NOT_REVIEWED, Actor.REGISTRANT, {"reviewed": False}, 0, review),
        (Gate.NO_ACCOUNT, Actor.REGISTRANT, {}, None, link_one),
        (Gate.ACCOUNT_OF_ANOTHER, Actor.REGISTRANT, {}, 11, put_the_account_right),
        (Gate.ACCOUNT_INACTIVE, Actor.REGISTRANT, {}, 12, put_the_account_right),
        (Gate.ACCOUNT_NOT_UPGRADED, Actor.REGISTRANT, {}, 13, put_the_account_right),
        (Gate.ACCOUNT_PHONE_DIFFERS, Actor.REGISTRANT, {}, 14, put_the_account_right),
        (Gate.ACCOUNT_FULL, Actor.REGISTRANT, {}, 15, put_the_account_right),
    ],
)
def test_each_gate_hinders_payment_says_who_must_act_and_does_so_no_more_when_its_cause_is_gone(
    gate, who, lacks, number, cure
):
    [id] = make_owed(**lacks)
    if number is not None:
        link([id], numbers=[magic(number) if number else "1234567890"])
        check()

    with pytest.raises(NotNow):
        batching.propose("bni", by=clerk("maker"), at=LATER)
    blocked, reason, lines = figures.blocked(), registrant(id).drop_off, statement.of(id).lines
    cure(id)
    pay(at=LATER + DAY)

    assert blocked == [(gate, who, 1, 2_400_000, 4)]
    assert reason == gate
    assert [line.who for line in lines] == [who] * 4
    assert (owed(id).state, figures.blocked()) == (State.PAID, [])


@pytest.mark.parametrize("payer", [None, MockPayer()], ids=["not asked", "asked, and no answer"])
def test_nobody_is_paid_into_an_account_that_was_not_checked_and_its_payer_must_act(payer):
    [id] = make_owed()
    link([id], numbers=[magic(16)])
    if payer:
        check(payer)

    with pytest.raises(NotNow):
        batching.propose("bni", by=clerk("maker"), at=LATER)
    [waits] = [line for line in figures.due(at=LATER) if line.people]
    make_due(check_queue("bni"))
    check(Bank())
    pay()

    assert (waits.wait, waits.wait.who, waits.rupiah) == (Wait.CHECK, Actor.PAYER, 600_000)
    assert owed(id).state == State.PAID


# What a payer has said of an account grows old


class Closed(Bank):
    """All accounts have been closed meanwhile."""

    def check(self, queries):
        return [Verdict.INACTIVE] * len(queries)


def test_an_account_that_was_closed_since_is_found_before_the_next_month_is_paid():
    [id] = make_payable()
    bank = Bank()
    pay(bank)
    at = grown_old()

    ripe = batching.ripe("bni", at=at)
    checking.recheck(at=at, size=10)
    waiting = {line.wait: line.rupiah for line in figures.due(at=at)}
    check(Closed(), at=at)
    with pytest.raises(NotNow):
        batching.propose("bni", by=clerk("maker"), at=at)

    assert ripe == (0, 0), "not even before it was asked for again"
    assert (waiting[Wait.CHECK], waiting[Wait.BATCH]) == (1_200_000, 0)
    assert figures.blocked() == [(Gate.ACCOUNT_INACTIVE, Actor.REGISTRANT, 1, 1_800_000, 3)]
    assert [line.who for line in statement.of(id).lines] == [None, *[Actor.REGISTRANT] * 3]
    assert list(bank.credited) == [payout(id).reference]


def test_while_it_is_not_known_whether_an_old_account_is_still_fit_it_is_not_paid_into():
    [id] = make_payable()
    at = grown_old()

    waiting = {line.wait: line.rupiah for line in figures.due(at=at)}
    with pytest.raises(NotNow):
        batching.propose("bni", by=clerk("maker"), at=at)
    checking.recheck(at=at, size=10)
    with pytest.raises(NotNow):
        batching.propose("bni", by=clerk("maker"), at=at)
    check(at=at)
    pay(at=at)

    assert (waiting[Wait.CHECK], waiting[Wait.BATCH]) == (1_800_000, 0)
    assert owed(id, 3).state == State.PAID


def test_an_account_that_was_looked_at_lately_is_paid_into_without_asking_again():
    [id] = make_payable()
    at = grown_old() - timedelta(microseconds=1)

    looked_at = checking.recheck(at=at, size=10)
    pay(at=at)

    assert looked_at == 0
    assert (account(id).revision, account(id).checked_at) == (0, LATER)
    assert owed(id, 3).state == State.PAID


# Maker and checker


def test_two_people_are_needed():
    make_payable()
    batch = batching.propose("bni", by=clerk("maker"), at=LATER)

    with pytest.raises(NotNow):
        batching.approve(batch, by=clerk("maker"), sha256=bytes(batch.sha256).hex(), at=LATER)

    assert send() == 0


def test_what_is_approved_is_what_was_seen():
    make_payable()
    batch = batching.propose("bni", by=clerk("maker"), at=LATER)

    with pytest.raises(NotNow):
        batching.approve(batch, by=clerk("checker"), sha256="0" * 64, at=LATER)
    batching.approve(batch, by=clerk("checker"), sha256=bytes(batch.sha256).hex(), at=LATER)
    with pytest.raises(NotNow):
        batching.approve(batch, by=clerk("another"), sha256=bytes(batch.sha256).hex(), at=LATER)

    assert Work.objects.get(queue="payout_bni").subjects == [Payout.objects.get().obligation_id]


def test_nothing_is_in_two_batches():
    make_payable(3)
    first = batching.propose("bni", by=clerk("maker"), at=LATER, limit=2)
    second = batching.propose("bni", by=clerk("maker"), at=LATER)

    assert (first.payouts, second.payouts) == (2, 1)
    with pytest.raises(NotNow):
        batching.propose("bni", by=clerk("maker"), at=LATER)


def test_a_hundred_thousand_go_into_one_batch_whatever_is_asked_and_the_next_one_waits():
    most = 100_000
    with by_force(), connection.cursor() as cursor:  # nobody's: to propose asks only what is owed, and of which account
        cursor.execute(
            f"""
            INSERT INTO incentives_account (registrant_id, digest, linked_at, checked_at, payer, sealed, gate)
            SELECT id, gen_random_uuid(), %(at)s, %(at)s, 'bni', '', 0 FROM generate_series(1, {most} + 1) AS id;
            INSERT INTO incentives_obligation (id, due_at, amount, state, gate, attempt)
            SELECT id * {ITEMS} + 1, %(at)s, 600000, 1, 0, 0 FROM generate_series(1, {most} + 1) AS id
            """,
            {"at": LATER},
        )
        # A vacuum that comes now would take tables for empty whose rows are all of this transaction, and plans would be made for that.
        cursor.execute("ANALYZE incentives_account, incentives_obligation")

    first = batching.propose("bni", by=clerk("maker"), at=LATER, limit=most + 1)

    assert (first.payouts, first.rupiah) == (most, most * 600_000)
    assert Payout.objects.aggregate(first=Min("obligation_id"), last=Max("obligation_id"), count=Count("pk")) == {
        "first": number(1, 1),
        "last": number(most, 1),
        "count": most,
    }
    batching.approve(first, by=clerk("checker"), sha256=bytes(first.sha256).hex(), at=LATER)
    second = batching.propose("bni", by=clerk("maker"), at=LATER)
    assert (second.payouts, payout(most + 1).batch_id) == (1, second.pk)
    with by_force():
        Obligation.objects.all().delete()


READ = ("incentives_obligation", "incentives_account")


@pytest.mark.parametrize(
    "look",
    [lambda: make_batch().payouts, lambda: checking.recheck(at=grown_old(), size=1000)],
    ids=["what is due", "what was looked at long ago"],
)
def test_each_is_looked_at_a_few_times_only_whatever_the_planner_thinks_of_tables_that_grow(look):
    link(make_owed(300))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE incentives_obligation, incentives_account")  # no account is known to be fit yet
        cursor.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
    check()
    before = rows_read(*READ)

    assert look() == 300

    assert rows_read(*READ) - before < 300 * 20


def test_a_batch_is_sent_chunk_by_chunk_in_its_order_and_each_answer_is_its_own_payouts():
    ids = make_payable(7)
    make_batch()
    bank = Bank()
    bank.answer_next = [Outcome.PAID, Outcome.FAILED_FULL, Outcome.UNKNOWN, Outcome.PAID, Outcome.PENDING, Outcome.PAID]

    sent = [sending.send_batch("bni", payer=bank, size=3, clock=lambda: LATER) for _ in range(3)]

    assert sent == [3, 3, 1]
    assert list(bank.calls.items()) == [(payout(id).reference, 1) for id in ids]
    assert [owed(id).state for id in ids] == [
        State.PAID,
        State.FAILED,
        State.UNKNOWN,
        State.PAID,
        State.SENDING,
        State.PAID,
        State.PAID,
    ]


def test_a_batch_that_is_withdrawn_gives_its_payouts_free_under_new_references():
    [id] = make_payable()
    batch = batching.propose("bni", by=clerk("maker"), at=LATER)

    assert batching.withdraw(batch, at=LATER) == 1
    pay()

    assert payout(id, attempt=1).state == Payout.State.WITHDRAWN
    assert payout(id, attempt=2).state == State.PAID
    with pytest.raises(NotNow):
        batching.withdraw(batch, at=LATER)


def test_what_is_withdrawn_stands_behind_the_gate_that_was_shut_meanwhile():
    [id] = make_payable()
    batch = batching.propose("bni", by=clerk("maker"), at=LATER)
    checking.told([Told(str(account(id).pk), Verdict.INACTIVE)], payer="bni", at=LATER)

    batching.withdraw(batch, at=LATER)

    assert owed(id).gate == owed(id, 2).gate == Gate.ACCOUNT_INACTIVE
    assert ledger.read().behind(Gate.ACCOUNT_INACTIVE).rupiah == 2_400_000


def behind_the_triggers(sql, *parameters):
    """A hand that is allowed everything."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, parameters)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


@pytest.mark.parametrize(
    "change",
    ["amount = amount * 2", "account_id = (SELECT id FROM incentives_account WHERE registrant_id <> obligation_id / 16)"],
)
def test_what_was_changed_after_the_approval_is_not_sent(change):
    first, _ = make_payable(2)
    batch, bank = make_batch(), Bank()

    behind_the_triggers(f"UPDATE incentives_payout SET {change} WHERE obligation_id = %s", number(first, 1))
    send(bank)

    assert bank.credited == {}
    assert Batch.objects.get(pk=batch.pk).stopped
    assert {owed(first).state, owed(first, 2).state} == {State.OPEN}
    behind_the_triggers(
        "UPDATE incentives_payout payout SET amount = 600000, account_id = account.id FROM incentives_account account"
        " WHERE account.registrant_id = payout.obligation_id / 16"
    )
    assert batching.withdraw(batch, at=LATER) == 2
    pay(bank)
    assert set(bank.kept().values()) == {1}
    assert len(bank.kept()) == 2


def test_an_account_number_that_was_swapped_is_not_paid_into():
    first, second = make_payable(2)
    make_batch()
    bank = Bank()

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE incentives_account SET sealed = (SELECT sealed FROM incentives_account WHERE registrant_id = %s)"
            " WHERE registrant_id = %s",
            [second, first],
        )
    for _ in range(20):
        fall_due()
        send(bank)

    assert [order.reference for order in bank.credited.values()] == [payout(second).reference]
    assert SetAside.objects.get().reason == "SealBroken"
    assert payout(first).state == Payout.State.APPROVED


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE incentives_payout SET amount = amount + 1",
        "UPDATE incentives_payout SET account_id = account_id + 1",
        "UPDATE incentives_payout SET state = 12",
        "DELETE FROM incentives_payout",
        "UPDATE incentives_obligation SET amount = 1",
        "UPDATE incentives_obligation SET state = 1, paid_at = NULL WHERE state = 4",
        "DELETE FROM incentives_obligation",
        "UPDATE incentives_journal SET rupiah = 0",
        "DELETE FROM incentives_journal",
        "INSERT INTO incentives_payout (obligation_id, attempt, account_id, amount, batch_id, block, state, reason)"
        " SELECT obligation_id, 2, account_id, amount, batch_id, 0, 11, 0 FROM incentives_payout",
    ],
)
def test_the_database_refuses_what_would_lose_or_double_money(sql):
    make_payable()
    pay()

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


WRONG = [Verdict.OF_ANOTHER, Verdict.INACTIVE, Verdict.NOT_UPGRADED, Verdict.PHONE_DIFFERS, Verdict.FULL]


def tell(id, verdict, *, at=LATER):
    assert checking.told([Told(str(account(id).pk), verdict)], payer="bni", at=at) == [checking.Heard.NOTED]


@pytest.mark.parametrize("approved", [False, True], ids=["told before the approval", "told after it"])
@pytest.mark.parametrize("verdict", WRONG)
def test_what_its_payer_tells_is_not_fit_after_all_is_taken_back_before_it_is_sent_and_the_rest_is_paid(verdict, approved):
    first, shut, last = make_payable(3)
    bank, batch = Bank(), batching.propose("bni", by=clerk("maker"), at=LATER)
    if not approved:
        tell(shut, verdict)
    batching.approve(batch, by=clerk("checker"), sha256=bytes(batch.sha256).hex(), at=LATER)
    if approved:
        tell(shut, verdict)

    send(bank)
    credited, taken_back, blocked, books = list(bank.credited), owed(shut), figures.blocked(), ledger.recount()
    put_the_account_right(shut)
    pay(bank, at=LATER + DAY)

    assert credited == [payout(first).reference, payout(last).reference]
    assert (taken_back.state, taken_back.gate, taken_back.batch_id) == (State.OPEN, verdict.gate, None)
    assert blocked == [(verdict.gate, Actor.REGISTRANT, 1, 2_400_000, 4)]
    assert books == []
    assert (payout(shut).state, Batch.objects.get(pk=batch.pk).stopped) == (Payout.State.WITHDRAWN, "")
    assert payout(shut, attempt=2).reference in bank.credited
    assert {owed(id).state for id in (first, shut, last)} == {State.PAID}


def test_another_account_is_no_shut_gate_for_what_is_in_a_batch():
    [id] = make_payable()
    before, bank = account(id).pk, Bank()
    make_batch()

    changing.change(id, "bri", "123456789012345", proof=lambda: True, at=LATER)
    send(bank)

    assert (payout(id).state, payout(id).account_id) == (State.PAID, before)


# Trouble


def test_a_time_out_after_success_is_asked_for_and_never_sent_again():
    [id] = make_payable()
    make_batch()
    bank = Bank()
    bank.answer_next = [Outcome.UNKNOWN]

    send(bank)
    unknown = owed(id).state
    make_due()
    send(bank)

    assert unknown == State.UNKNOWN
    assert owed(id).state == State.PAID
    assert bank.calls[payout(id).reference] == 1


@pytest.mark.parametrize("before", [Outcome.UNKNOWN, Outcome.PENDING, None])
def test_what_is_unknown_is_asked_for_each_minute_and_so_decided_soon_after_its_bank_can_say(before):
    """Whether the bank says nothing definite until then, or nothing at all."""
    [id] = make_payable()
    make_batch()
    bank, now, asked = Bank(), 0, [0]

    class Silent(Bank):
        def pay(self, orders):
            bank.pay(orders)
            return self.outcomes(orders)

        def outcomes(self, orders):
            asked.append(now)
            if before is None:
                raise Unavailable("ReadTimeout")
            return [before] * len(orders)

    while now < 600:
        send(Silent())
        pass_time(5)
        now += 5
    undecided = owed(id).state
    while owed(id).state != State.PAID and now < 900:
        send(bank)
        pass_time(5)
        now += 5

    assert undecided == (State.SENDING if before is Outcome.PENDING else State.UNKNOWN)
    assert max(later - earlier for earlier, later in pairwise([*asked, now])) <= 75, (
        "a minute, a probe's wait, and a sweep's"
    )
    assert bank.calls[payout(id).reference] == 1, "asked for, and not sent again"


def test_a_call_that_is_cut_off_leaves_all_of_it_unknown():
    [id] = make_payable()
    make_batch()
    bank = Bank()

    class Cut(Bank):
        def pay(self, orders):
            bank.pay(orders)
            raise Unavailable("ReadTimeout")

    send(Cut())
    unknown = owed(id).state
    make_due()
    send(bank)

    assert unknown == State.UNKNOWN
    assert owed(id).state == State.PAID
    assert bank.calls[payout(id).reference] == 1


def test_what_never_arrived_is_sent_under_the_same_reference():
    [id] = make_payable()
    make_batch()
    bank = Bank()

    send(Deaf())
    make_due()
    send(bank)

    assert list(bank.credited) == [payout(id).reference]
    assert Payout.objects.count() == 1


class Deaf(Bank):
    """Orders do not reach it; it answers what it is asked."""

    def pay(self, orders):
        raise Unavailable("ConnectionError")


class Never(Bank):
    """Has never heard of anything, and must not be sent anything."""

    def pay(self, orders):
        raise AssertionError("this was not to be sent")


def stop_it(batch):
    batching.halt(batch, why="a doubt")


def change_it(batch):
    behind_the_triggers("UPDATE incentives_payout SET amount = amount * 2 WHERE batch_id = %s", batch.pk)


def leave_it_over(batch):
    file = StatementFile.objects.create(
        payer="bni", day=LATER.date(), sha256=b"", file="bni.csv", lines=0, rupiah=0, taken_at=LATER
    )
    [sent] = Payout.objects.filter(batch_id=batch.pk)
    Leftover.objects.create(
        file=file, kind=Leftover.Kind.AMOUNT_DIFFERS, obligation_id=sent.obligation_id, attempt=sent.attempt, rupiah=1
    )


def shut_its_gate(batch):
    [sent] = Payout.objects.filter(batch_id=batch.pk)
    tell(sent.obligation_id // ITEMS, Verdict.INACTIVE)


@pytest.mark.parametrize("happens", [stop_it, change_it, leave_it_over, shut_its_gate])
def test_what_never_arrived_is_not_sent_again_when_it_may_not_be_sent_any_more(happens):
    [id] = make_payable()
    batch = make_batch()
    send(Deaf())

    happens(batch)
    make_due()
    send(Never())
    soon = owed(id).state
    make_due()
    send(Never(), at=LATER + DAY)

    assert soon == State.UNKNOWN, "it may be on its way"
    assert (owed(id).state, owed(id).batch_id) == (State.FAILED, None)
    assert account(id).checked_at is None, "as after any failure without a reason"
    behind_the_triggers("UPDATE incentives_payout SET amount = 600000")


def test_what_was_sent_again_is_lost_a_day_after_it_was_sent_last():
    [id] = make_payable()
    batch = make_batch()
    send(Deaf())
    make_due()
    send(Deaf(), at=LATER + DAY)

    batching.halt(batch, why="a doubt")
    make_due()
    send(Never(), at=LATER + DAY + DAY / 2)
    soon = owed(id).state
    make_due()
    send(Never(), at=LATER + 2 * DAY)

    assert (soon, owed(id).state) == (State.UNKNOWN, State.FAILED)


@pytest.mark.parametrize("happens", [stop_it, shut_its_gate])
def test_what_has_arrived_is_followed_up_whatever_hinders_more_from_being_sent(happens):
    [id] = make_payable()
    batch, bank = make_batch(), Bank()
    bank.answer_next = [Outcome.UNKNOWN]
    send(bank)

    happens(batch)
    make_due()
    send(bank)

    assert owed(id).state == State.PAID


def test_while_it_is_unknown_no_other_attempt_is_made():
    make_payable()
    make_batch()
    bank = Bank()
    bank.answer_next = [Outcome.UNKNOWN]
    send(bank)

    with pytest.raises(NotNow):
        batching.propose("bni", by=clerk("maker"), at=LATER + DAY)


def test_what_is_pending_is_asked_for_until_it_is_decided():
    [id] = make_payable(numbers=[magic(21)])
    make_batch()

    send()
    pending = owed(id).state
    make_due()
    send()

    assert pending == State.SENDING
    assert owed(id).state == State.PAID


@pytest.mark.parametrize(
    ("code", "gate"), [(23, Gate.ACCOUNT_INACTIVE), (24, Gate.ACCOUNT_FULL), (25, Gate.ACCOUNT_NOT_UPGRADED)]
)
def test_a_failed_payment_shuts_the_gate_and_the_next_attempt_waits_for_it(code, gate):
    [id] = make_payable(numbers=[magic(code)])

    pay()
    with pytest.raises(NotNow):
        batching.propose("bni", by=clerk("maker"), at=LATER)
    failed = owed(id)
    reason = registrant(id).drop_off
    checking.again([id], at=LATER + DAY)
    check(at=LATER + DAY)
    pay(at=LATER + DAY)

    assert (failed.state, failed.gate, reason) == (State.FAILED, gate, gate)
    assert owed(id, 2).state == State.OPEN
    assert payout(id, attempt=1).reason == gate
    assert (payout(id, attempt=2).state, owed(id).state) == (State.PAID, State.PAID)


def test_a_failure_without_a_reason_has_the_account_looked_at_first():
    [id] = make_payable(numbers=[magic(26)])

    pay()

    assert (owed(id).state, owed(id).gate) == (State.FAILED, Gate.NONE)
    assert account(id).checked_at is None
    with pytest.raises(NotNow):
        batching.propose("bni", by=clerk("maker"), at=LATER)
    check()
    pay()
    assert owed(id).state == State.PAID


def messages() -> list[str]:
    box = Mailbox()
    while outbox.send_batch(email=box.email, size=100):
        pass
    return [mail.text for mail in box.mails]


def test_what_was_paid_and_given_back_is_owed_again_and_its_owner_is_told(english):
    [id] = make_payable()
    bank = Bank()
    pay(bank)
    reference = payout(id).reference
    bank.give_back(reference)

    applied = results.apply([Result(reference, Outcome.REVERSED_INACTIVE)] * 2, payer="bni", at=LATER)

    assert applied == [Applied.APPLIED, Applied.KNOWN]
    assert (owed(id).state, owed(id).gate, owed(id).paid_at) == (State.REVERSED, Gate.ACCOUNT_INACTIVE, None)
    assert account(id).gate == Gate.ACCOUNT_INACTIVE
    assert registrant(id).stage == Stage.INCENTIVE_RECEIVED, "a climb happens once"
    assert len(messages()) == 1
    changing.change(id, "bni", "1234567899", proof=lambda: True, at=LATER)
    check()
    pay(bank)
    assert payout(id, attempt=2).reference in bank.credited
    assert bank.kept()[number(id, 1)] == 1
    assert owed(id).state == State.PAID


def test_what_still_waits_for_the_payer_of_before_is_not_paid_by_both():
    [id] = make_payable()
    make_batch()
    bank, other = Bank(), Bank()
    bank.answer_next, other.answer_next = [Outcome.UNKNOWN], [Outcome.UNKNOWN]
    send(bank)
    first = payout(id).reference
    bank.give_back(first)
    results.apply([Result(first, Outcome.REVERSED_INACTIVE)], payer="bni", at=LATER)
    changing.change(id, "bri", "123456789012345", proof=lambda: True, at=LATER)
    check(code="bri")
    make_batch(code="bri")
    send(other, code="bri")

    make_due()
    send(bank)

    assert payout(id, attempt=2).state == State.UNKNOWN
    assert not bank.kept(), "the bank of before has never heard of the second attempt, and does not now"
    assert other.kept() == {number(id, 1): 1}


def test_results_come_twice_late_and_in_any_order():
    [id] = make_payable()
    make_batch()
    bank = Bank()
    bank.answer_next = [Outcome.UNKNOWN]
    send(bank)
    reference = payout(id).reference

    applied = results.apply(
        [
            Result(reference, Outcome.REVERSED),
            Result(reference, Outcome.PAID),
            Result(reference, Outcome.PENDING),
            Result(reference, Outcome.FAILED_FULL),
            Result("7-1", Outcome.PAID),
            Result("nonsense", Outcome.PAID),
            Result("9" * 5000, Outcome.PAID),
        ],
        payer="bni",
        at=LATER,
    )

    assert applied == [
        Applied.APPLIED,
        Applied.KNOWN,
        Applied.KNOWN,
        Applied.CONTRADICTS,
        Applied.UNKNOWN_REFERENCE,
        Applied.UNKNOWN_REFERENCE,
        Applied.UNKNOWN_REFERENCE,
    ]
    assert owed(id).state == State.REVERSED


def test_a_payer_says_nothing_about_anothers_payouts():
    [id] = make_payable()
    pay()

    applied = results.apply([Result(payout(id).reference, Outcome.REVERSED)], payer="bri", at=LATER)

    assert applied == [Applied.UNKNOWN_REFERENCE]
    assert owed(id).state == State.PAID


def test_what_is_not_sent_has_no_result():
    [id] = make_payable()
    make_batch()

    assert results.apply([Result(payout(id).reference, Outcome.PAID)], payer="bni", at=LATER) == [Applied.UNKNOWN_REFERENCE]


@pytest.mark.parametrize(
    "reference", ["", "1", "-1", "1-", "01-1", "1-0", "1-1-1", "1 -1", "x-1", "１-1", "9" * 20 + "-1", "1-99999"]
)
def test_a_reference_of_another_form_is_none_of_ours(reference):
    assert Key.read(reference) is None


def test_the_journal_tells_each_step_of_a_rupiah():
    [id] = make_payable()
    pay()

    steps = Journal.objects.filter(obligation_id=number(id, 1)).order_by("pk")

    told = [(step.from_state, step.from_gate, step.to_state, step.to_gate, step.rupiah) for step in steps]
    no_account = Gate.NO_ACCOUNT
    assert told == [
        (0, 0, 1, no_account, 600_000),
        (1, no_account, 1, 0, 600_000),
        (1, 0, 2, 0, 600_000),
        (2, 0, 4, 0, 600_000),
    ]


# Surveys


def test_a_survey_is_paid_when_it_is_answered_in_its_window():
    [id] = make_payable()
    before = surveys.answer([Answer(id, 1, LATER)])
    pay()

    outcomes = surveys.answer(
        [
            Answer(id, 1, LATER + 29 * DAY),
            Answer(id, 1, LATER + 30 * DAY),
            Answer(id, 1, LATER + 31 * DAY),
            Answer(id, 2, LATER + 90 * DAY),
            Answer(id, 3, LATER + 100 * DAY),
            Answer(id, 4, LATER + 100 * DAY),
        ]
    )

    S = surveys.Outcome
    assert before == [S.NO_INCENTIVE]
    assert outcomes == [S.NOT_YET, S.OPENED, S.ALREADY, S.CLOSED, S.OPENED, S.UNKNOWN_SURVEY]
    assert surveys.answer([Answer(id, 1, LATER + 32 * DAY)]) == [S.ALREADY]
    assert [(one.item, one.amount) for one in Obligation.objects.of([id]).filter(amount=50_000).order_by("pk")] == [
        (5, 50_000),
        (7, 50_000),
    ]

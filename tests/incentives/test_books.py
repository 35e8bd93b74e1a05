"""The books are exact whoever writes: rupiah and people by state and by gate, now, folded or not."""

import pytest
from django.db import connection, transaction

from incentives import batching, figures, ledger, results
from incentives.figures import Wait
from incentives.gates import Actor, Gate
from incentives.ledger import Sum
from incentives.models import Journal, Leftover, Movement, Obligation, State, StatementFile, number
from incentives.payout import Outcome
from incentives.results import Result
from tests.incentives.cast import (
    LATER,
    Bank,
    check,
    link,
    magic,
    make_batch,
    make_owed,
    make_payable,
    pay,
    payout,
    send,
)
from tests.plans import rows_read
from tests.trainings.cast import in_threads

MONTHS = 2_400_000


@pytest.mark.django_db
def test_the_books_of_nobody_are_empty():
    assert ledger.read() == ({}, {}, {})
    assert figures.blocked() == []
    assert {line.rupiah for line in figures.states()} == {0}
    assert ledger.recount() == []


@pytest.mark.django_db
@pytest.mark.parametrize("folded", [False, True])
def test_blocked_rupiah_are_told_by_gate_with_who_must_act(folded):
    make_owed(2, certified=False, first=1000)
    make_owed(3, reviewed=False, first=1010)
    make_owed(1, first=1020)
    full = make_owed(2, first=1030)
    link(full, numbers=[magic(15, id) for id in full])
    check()
    if folded:
        assert ledger.fold() > 0
        assert not Movement.objects.exists()

    lines = figures.blocked()

    assert [(line.gate, line.who, line.people, line.rupiah) for line in lines] == [
        (Gate.CERTIFICATE_MISSING, Actor.PROVIDER, 2, 2 * MONTHS),
        (Gate.NOT_REVIEWED, Actor.REGISTRANT, 3, 3 * MONTHS),
        (Gate.NO_ACCOUNT, Actor.REGISTRANT, 1, MONTHS),
        (Gate.ACCOUNT_FULL, Actor.REGISTRANT, 2, 2 * MONTHS),
    ]
    assert ledger.recount() == []


READ = ("incentives_obligation", "incentives_account", "registrations_registrant", "incentives_cell", "incentives_movement")


@pytest.mark.django_db
@pytest.mark.parametrize("folded", [False, True])
def test_what_is_blocked_is_read_from_a_few_rows_however_many_people_there_are(folded):
    ids = make_owed(100)
    link(ids[:60], numbers=[magic(12 + place % 4, id) for place, id in enumerate(ids[:60])])
    check()
    if folded:
        ledger.fold()
    before = rows_read(*READ)

    lines = figures.blocked()

    assert sum(line.people for line in lines) == 100
    assert rows_read(*READ) - before < 50


@pytest.mark.django_db
def test_what_is_due_and_behind_no_gate_waits_for_the_payer_or_for_the_office():
    make_payable(6)
    [left_over] = make_payable(1, first=2000)
    make_batch(limit=3)
    bank = Bank()
    bank.answer_next = [Outcome.PENDING, Outcome.UNKNOWN, Outcome.UNKNOWN]
    send(bank)
    make_batch(limit=1)
    link(make_owed(2, first=3000))
    make_owed(1, first=4000)
    file = StatementFile.objects.create(
        payer="bni", day=LATER.date(), sha256=b"", file="bni.csv", lines=0, rupiah=0, taken_at=LATER
    )
    Leftover.objects.create(file=file, kind=Leftover.Kind.TWICE, obligation_id=number(left_over, 1), attempt=1, rupiah=1)

    lines = figures.due(at=LATER)

    assert [(line.wait, line.wait.who, line.people, line.rupiah) for line in lines] == [
        (Wait.SETTLING, Actor.OFFICE, 1, 600_000),
        (Wait.CHECK, Actor.PAYER, 2, 1_200_000),
        (Wait.BATCH, Actor.OFFICE, 2, 1_200_000),
        (Wait.PAYER, Actor.PAYER, 1, 600_000),
        (Wait.ANSWER, Actor.PAYER, 2, 1_200_000),
    ]
    assert batching.ripe("bni", at=LATER) == (2, 1_200_000)


@pytest.mark.django_db
@pytest.mark.parametrize("folded", [False, True])
def test_every_rupiah_is_in_one_state_and_a_person_counts_once_in_each(folded):
    make_payable(3)
    make_owed(1, first=2000)
    pay()
    if folded:
        ledger.fold()

    lines = {line.state: line for line in figures.states()}

    assert lines[State.PAID] == (State.PAID, 3, 3 * 600_000, 3)
    assert lines[State.OPEN] == (State.OPEN, 4, 3 * 1_800_000 + MONTHS, 13)
    assert ledger.read().rupiah == 4 * MONTHS
    assert ledger.recount() == []


@pytest.mark.django_db(transaction=True)
def test_a_hand_in_psql_leaves_the_books_exact(psql):
    ids = make_payable(4)
    ledger.fold()

    psql(f"UPDATE incentives_obligation SET gate = 72 WHERE id / 16 IN ({ids[0]}, {ids[1]})")
    psql(f"UPDATE incentives_obligation SET gate = 0 WHERE id = {number(ids[0], 1)}")
    psql(
        f"INSERT INTO incentives_obligation (id, due_at, amount, state, gate, attempt) VALUES ({number(ids[2], 5)}, now(), 50000, 1, 72, 0)"
    )

    books = ledger.read()
    assert books.people_by_gate == {Gate.NOT_REVIEWED: 3}
    assert books.behind(Gate.NOT_REVIEWED) == Sum(8, 7 * 600_000 + 50_000)
    assert ledger.recount() == []
    ledger.fold()
    assert ledger.recount() == []

    psql("TRUNCATE incentives_obligation")
    assert ledger.read().rupiah == 0
    assert {difference.what for difference in ledger.recount()} == {"journal"}, "what was wiped out, the journal still tells"


@pytest.mark.django_db(transaction=True)
def test_what_would_make_money_vanish_is_refused_to_a_hand_too(psql):
    [id] = make_payable()

    for sql in (
        f"DELETE FROM incentives_obligation WHERE id = {number(id, 1)}",
        f"UPDATE incentives_obligation SET state = 4, paid_at = now() WHERE id = {number(id, 1)}",
        f"UPDATE incentives_obligation SET amount = 1 WHERE id = {number(id, 1)}",
        f"UPDATE incentives_obligation SET id = 17 WHERE id = {number(id, 1)}",
        "UPDATE incentives_journal SET to_state = 4",
        "DELETE FROM incentives_journal",
    ):
        with pytest.raises(AssertionError, match=r"cannot change so|is never"):
            psql(sql)

    assert ledger.recount() == []


@pytest.mark.django_db
def test_recount_names_the_book_that_was_forged():
    make_payable(1)
    ledger.fold()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE incentives_cell SET rupiah = rupiah + 1, people = people + 2")
        cursor.execute(
            "INSERT INTO incentives_journal (obligation_id, rupiah, from_state, from_gate, to_state, to_gate) VALUES (1, 5, 0, 0, 4, 0)"
        )

    assert {difference.what for difference in ledger.recount()} == {"rupiah", "people", "journal"}


@pytest.mark.django_db(transaction=True)
def test_people_are_counted_once_by_many_who_write_about_them_at_once():
    ids = make_payable(6)

    def shut(place: int) -> None:
        item, gate = 1 + place % 4, (72, 73)[place // 4 % 2]
        with transaction.atomic():
            Obligation.objects.filter(pk__in=[number(id, item) for id in ids]).update(gate=gate)

    in_threads(16, shut)

    assert ledger.recount() == []


@pytest.mark.django_db(transaction=True)
def test_recount_is_consistent_while_somebody_writes():
    ids = make_payable(3)
    with transaction.atomic():
        Obligation.objects.of(ids).update(gate=72)
        assert ledger.recount() == []
        transaction.set_rollback(True)
    assert ledger.recount() == []


@pytest.mark.django_db
def test_the_journal_is_double_entry():
    [id] = make_payable()
    pay()
    results.apply([Result(payout(id).reference, Outcome.REVERSED_INACTIVE)], payer="bni", at=LATER)

    credits, debits = {}, {}
    for line in Journal.objects.all():
        credits[line.to_state, line.to_gate] = credits.get((line.to_state, line.to_gate), 0) + line.rupiah
        debits[line.from_state, line.from_gate] = debits.get((line.from_state, line.from_gate), 0) + line.rupiah

    assert sum(credits.values()) == sum(debits.values())
    assert debits[0, 0] == MONTHS, "what was opened"
    standing = {cell: credits[cell] - debits.get(cell, 0) for cell in credits}
    assert {cell: rupiah for cell, rupiah in standing.items() if rupiah} == {
        cell: sum.rupiah for cell, sum in ledger.read().by_state_and_gate.items()
    }

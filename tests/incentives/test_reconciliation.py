"""A payer's daily file and our books: matched in both directions, taken as a whole or not at all, and once."""

from datetime import date, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from foundation.csvfile import BadFile
from incentives import batching, figures, ledger, reconciliation, results
from incentives.figures import Wait
from incentives.gates import Actor
from incentives.models import Batch, Leftover, Payout, State, StatementFile, StatementLine
from incentives.payout import HttpPayer, Outcome
from incentives.results import Result
from prakerja.mockservices import serving
from registrations.regions import WIB
from registrations.stages import Stage
from tests.incentives.cast import (
    DAY,
    LATER,
    Bank,
    account,
    check,
    clerk,
    magic,
    make_batch,
    make_payable,
    owed,
    pay,
    payout,
    registrant,
    send,
)
from tests.waves.cast import at_the_same_time
from waves.screening import NotNow

pytestmark = pytest.mark.django_db

TODAY = LATER.astimezone(WIB).date()
TOMORROW = LATER + DAY
Kind = Leftover.Kind


def line(
    reference: str, status: str = "paid", rupiah: object = 600_000, at: str = "T09:30:00+07:00", day: date = TODAY
) -> str:
    return f"{reference},{status},{rupiah},{day}{at}"


def file(*lines: str, payer: str = "bni", day: date = TODAY, count: object = None, rupiah: object = None) -> bytes:
    total = sum(int(each.split(",")[2]) for each in lines) if rupiah is None else rupiah
    head = [
        "payer,day,lines,rupiah",
        f"{payer},{day},{len(lines) if count is None else count},{total}",
        "reference,status,rupiah,at",
    ]
    return "\n".join([*head, *lines, ""]).encode()


def take(content: bytes, *, payer: str = "bni", at=TOMORROW) -> StatementFile:
    return reconciliation.take(payer, content, file="bni.csv", at=at)


def leftovers() -> list[tuple[str, str]]:
    return [(str(one.kind), f"{one.obligation_id}-{one.attempt}") for one in Leftover.objects.filter(settled_at=None)]


def test_a_file_that_says_what_we_say_leaves_nothing_over():
    first, second = make_payable(2)
    pay()

    taken = take(file(line(payout(first).reference), line(payout(second).reference)))

    assert (taken.day, taken.lines, taken.rupiah) == (TODAY, 2, 1_200_000)
    assert leftovers() == []
    assert StatementLine.objects.count() == 2


def test_what_was_unknown_the_file_tells():
    paid, failed, given_back, absent = make_payable(4)
    make_batch()
    bank = Bank()
    bank.answer_next = [Outcome.UNKNOWN] * 4
    send(bank)

    take(
        file(
            line(payout(paid).reference),
            line(payout(failed).reference, "failed_full"),
            line(payout(given_back).reference),
            line(payout(given_back).reference, "reversed_inactive"),
        )
    )

    states = [owed(id).state for id in (paid, failed, given_back, absent)]
    assert states == [State.PAID, State.FAILED, State.REVERSED, State.UNKNOWN]
    assert leftovers() == []
    [waits] = [line for line in figures.due(at=TOMORROW) if line.obligations]
    assert (waits.wait, waits.wait.who, waits.rupiah) == (Wait.ANSWER, Actor.PAYER, 600_000), "of the absent one"
    assert ledger.recount() == []


def test_what_was_given_back_after_it_was_paid_the_file_tells():
    [id] = make_payable()
    pay()

    take(file(line(payout(id).reference), line(payout(id).reference, "reversed_inactive")))

    assert owed(id).state == State.REVERSED
    assert account(id).gate == owed(id).gate != 0
    assert leftovers() == []


def test_what_both_say_differently_is_left_over_with_a_next_step():
    amount, failed_here, paid_here, twice, missing = make_payable(
        5, numbers=["1111111111", magic(23), "3333333333", "4444444444", "5555555555"]
    )
    pay()

    take(
        file(
            line(payout(amount).reference, rupiah=500_000),
            line(payout(failed_here).reference),
            line(payout(paid_here).reference, "failed"),
            line(payout(twice).reference),
            line(payout(twice).reference),
        )
    )

    kinds = dict.fromkeys(leftovers())
    assert list(kinds) == [
        (Kind.TWICE, payout(twice).reference),
        (Kind.AMOUNT_DIFFERS, payout(amount).reference),
        (Kind.FAILED_HERE, payout(failed_here).reference),
        (Kind.PAID_HERE, payout(paid_here).reference),
        (Kind.MISSING, payout(paid_here).reference),
        (Kind.MISSING, payout(missing).reference),
    ]
    assert all(leftover.next_step for leftover in Leftover.objects.all())
    assert owed(paid_here).state == State.PAID, "a contradiction changes nothing"
    assert sum(reconciliation.unexplained().values()) == 6


def test_what_we_never_sent_and_they_paid_is_left_over():
    [id] = make_payable()
    make_batch()

    take(file(line(payout(id).reference)))

    assert leftovers() == [(Kind.NEVER_SENT, payout(id).reference)]
    assert owed(id).state == State.OPEN


def test_told_again_in_another_file_is_told_twice():
    [id] = make_payable()
    pay()
    take(file(line(payout(id).reference)))

    take(file(line(payout(id).reference, day=TODAY + DAY), day=TODAY + DAY), at=LATER + 2 * DAY)

    assert leftovers() == [(Kind.TWICE, payout(id).reference)]


def test_what_was_missing_and_stands_in_a_later_file_is_explained():
    [id] = make_payable()
    pay()
    take(file())
    before = leftovers()

    take(file(line(payout(id).reference, day=TODAY + DAY), day=TODAY + DAY), at=LATER + 2 * DAY)

    assert before == [(Kind.MISSING, payout(id).reference)]
    assert leftovers() == []
    assert "told in the file" in Leftover.objects.get().settled_how


def test_what_was_paid_on_a_day_of_which_no_file_came_is_missing_until_it_comes():
    told, untold = make_payable(2)
    pay()
    later = [(TODAY + days * DAY, LATER + (days + 1) * DAY) for days in (1, 2)]

    found = []
    for day, at in later:
        take(file(day=day), at=at)
        found.append(leftovers())
    take(file(line(payout(told).reference)), at=LATER + 4 * DAY)

    both = [(Kind.MISSING, payout(id).reference) for id in (told, untold)]
    assert found == [both, both], "each once"
    assert leftovers() == both[1:], "the late file tells the other one"
    reconciliation.settle(Leftover.objects.get(settled_at=None), how="BNI has shown the credit", at=LATER + 4 * DAY)
    take(file(day=TODAY + 3 * DAY), at=LATER + 4 * DAY)
    assert leftovers() == []


def test_what_was_paid_before_the_first_file_is_missing():
    [id] = make_payable()
    pay()
    take(file(day=TODAY - DAY))

    take(file(day=TODAY + 7 * DAY), at=LATER + 8 * DAY)

    assert leftovers() == [(Kind.MISSING, payout(id).reference)]


@pytest.mark.django_db(transaction=True)
def test_of_two_days_files_taken_at_once_neither_misses_what_the_other_tells():
    [id] = make_payable()
    pay()

    with at_the_same_time(lambda: take(file(day=TODAY + DAY), at=LATER + 2 * DAY)) as other:
        take(file(line(payout(id).reference)))

    assert (other.waited, other.error) == (True, None)
    assert leftovers() == []


def test_somebody_settles_what_is_left_over_and_says_how():
    [id] = make_payable()
    pay()
    take(file())
    leftover = Leftover.objects.get()

    assert not reconciliation.settle(leftover, how="  ", at=TOMORROW)
    assert reconciliation.settle(leftover, how="BNI has shown the credit", at=TOMORROW)
    assert not reconciliation.settle(leftover, how="again", at=TOMORROW)

    assert reconciliation.unexplained() == {}
    assert owed(id).state == State.PAID


def test_what_the_payer_has_shown_is_accepted():
    failed_here, paid_here, missing = make_payable(3, numbers=[magic(23), "3333333333", "5555555555"])
    pay()
    take(file(line(payout(failed_here).reference), line(payout(paid_here).reference, "failed")))

    accepted = [reconciliation.accept(one, how="shown by BNI", at=TOMORROW) for one in Leftover.objects.all()]

    assert accepted == [True] * 4
    assert not reconciliation.accept(Leftover.objects.all()[0], how="again", at=TOMORROW)
    assert [owed(id).state for id in (failed_here, paid_here, missing)] == [State.PAID, State.REVERSED, State.REVERSED]
    assert registrant(failed_here).stage == Stage.INCENTIVE_RECEIVED
    assert ledger.recount() == []


def test_a_payment_is_not_accepted_when_another_attempt_has_been_begun():
    [id] = make_payable(numbers=[magic(26)])
    pay()
    check()
    pay()
    take(file(line(payout(id).reference), line(payout(id, attempt=2).reference)))

    assert not reconciliation.accept(Leftover.objects.get(), how="shown by BNI", at=TOMORROW)

    assert leftovers() == [(Kind.FAILED_HERE, payout(id).reference)]


def nothing_is_due() -> bool:
    try:
        batching.propose("bni", by=clerk("maker"), at=TOMORROW)
    except NotNow:
        return batching.ripe("bni", at=TOMORROW) == (0, 0)
    return False


def test_what_failed_here_and_was_paid_there_is_not_paid_again_while_it_is_left_over():
    [id] = make_payable(numbers=[magic(26)])
    pay()
    check()

    take(file(line(payout(id).reference)))

    assert leftovers() == [(Kind.FAILED_HERE, payout(id).reference)]
    assert nothing_is_due()
    reconciliation.settle(Leftover.objects.get(), how="BNI has taken it back", at=TOMORROW)
    pay(at=TOMORROW)
    assert payout(id, attempt=2).state == State.PAID


def test_what_was_taken_back_before_it_was_sent_and_was_paid_there_is_not_paid_again():
    [id] = make_payable()
    batching.withdraw(batching.propose("bni", by=clerk("maker"), at=LATER), at=LATER)

    take(file(line(payout(id).reference)))

    assert leftovers() == [(Kind.NEVER_SENT, payout(id).reference)]
    assert nothing_is_due()


def test_what_is_left_over_of_an_approved_batch_is_taken_back_and_the_rest_is_sent():
    id, other = make_payable(2, numbers=[magic(26), "1234567890"])
    pay()
    check()
    batch, bank = make_batch(at=LATER + 31 * DAY), Bank()

    take(file(line(payout(id).reference), line(payout(other).reference)))
    send(bank)

    sent = {payout(id, 2).reference, payout(other, 2).reference}
    assert set(bank.credited) == sent, "the first month's second attempt is not"
    assert payout(id, attempt=2).state == Payout.State.WITHDRAWN
    assert (owed(id).state, owed(id).batch_id) == (State.FAILED, None)
    assert not Batch.objects.get(pk=batch.pk).stopped
    assert reconciliation.accept(Leftover.objects.get(), how="shown by BNI", at=TOMORROW)
    assert owed(id).state == State.PAID
    assert ledger.recount() == []


def test_a_payment_is_accepted_when_the_next_attempt_was_refused_and_can_be_given_back_later():
    [id] = make_payable(numbers=[magic(26)])
    first = pay()
    check()
    second = batching.propose("bni", by=clerk("maker"), at=LATER)
    take(file(line(payout(id).reference)))
    leftover = Leftover.objects.get()
    while_it_is_proposed = reconciliation.accept(leftover, how="shown by BNI", at=TOMORROW)
    batching.refuse(second, why="it is paid", at=TOMORROW)

    accepted = reconciliation.accept(leftover, how="shown by BNI", at=TOMORROW)

    assert (while_it_is_proposed, accepted) == (False, True)
    assert (owed(id).state, owed(id).batch_id) == (State.PAID, first.pk)
    assert payout(id).state == State.PAID
    assert ledger.recount() == []
    results.apply([Result(payout(id).reference, Outcome.REVERSED)], payer="bni", at=TOMORROW)
    assert (owed(id).state, owed(id).batch_id) == (State.REVERSED, None)
    assert ledger.recount() == []
    check(at=TOMORROW)
    pay(at=TOMORROW)
    assert payout(id, attempt=3).state == State.PAID


def test_what_failed_here_and_was_taken_back_there_is_settled_by_the_file_that_tells_it():
    [id] = make_payable(numbers=[magic(26)])
    pay()
    check()
    take(file(line(payout(id).reference)))
    before = leftovers()

    late = TODAY + DAY
    take(file(line(payout(id).reference, "reversed", day=late), day=late), at=LATER + 2 * DAY)

    assert before == [(Kind.FAILED_HERE, payout(id).reference)]
    assert leftovers() == []
    pay()
    assert payout(id, attempt=2).state == State.PAID


def give_back_by_mistake(id: int) -> None:
    """Its payer says that it was given back, which is not so; it is paid again."""
    results.apply([Result(payout(id).reference, Outcome.REVERSED)], payer="bni", at=LATER)
    check()
    pay()


def test_what_was_given_back_by_word_and_in_no_file_is_left_over_when_the_next_file_has_come():
    [id] = make_payable()
    pay()
    give_back_by_mistake(id)

    take(file(line(payout(id).reference), line(payout(id, attempt=2).reference)))
    of_that_day = leftovers()
    take(file(day=TODAY + DAY), at=LATER + 2 * DAY)
    take(file(day=TODAY + 2 * DAY), at=LATER + 3 * DAY)

    assert of_that_day == [], "it may be booked as given back on the next day"
    assert leftovers() == [(Kind.GIVEN_BACK, payout(id).reference)], "once"
    assert not reconciliation.accept(Leftover.objects.get(), how="shown by BNI", at=TOMORROW), "another attempt was made"


@pytest.mark.parametrize("days", [0, 1])
def test_what_was_given_back_by_word_and_stands_in_the_file_of_that_day_or_the_next_is_explained(days):
    [id] = make_payable()
    pay()
    results.apply([Result(payout(id).reference, Outcome.REVERSED)], payer="bni", at=LATER)
    told = [[line(payout(id).reference)], []]
    told[days].append(line(payout(id).reference, "reversed", day=TODAY + days * DAY))

    take(file(*told[0]))
    take(file(*told[1], day=TODAY + DAY), at=LATER + 2 * DAY)
    take(file(day=TODAY + 2 * DAY), at=LATER + 3 * DAY)

    assert Leftover.objects.count() == 0


def test_a_return_that_a_later_file_tells_closes_what_was_left_over():
    [id] = make_payable()
    pay()
    give_back_by_mistake(id)
    take(file(line(payout(id).reference), line(payout(id, attempt=2).reference)))
    take(file(day=TODAY + DAY), at=LATER + 2 * DAY)
    before = leftovers()

    late = TODAY + 2 * DAY
    take(file(line(payout(id).reference, "reversed", day=late), day=late), at=LATER + 3 * DAY)

    assert before == [(Kind.GIVEN_BACK, payout(id).reference)]
    assert leftovers() == []


def test_what_was_not_given_back_counts_as_paid_again_once_its_payer_has_shown_it():
    [id] = make_payable()
    pay()
    results.apply([Result(payout(id).reference, Outcome.REVERSED)], payer="bni", at=LATER)
    check()
    take(file(line(payout(id).reference)))
    take(file(day=TODAY + DAY), at=LATER + 2 * DAY)
    waits = nothing_is_due()

    accepted = reconciliation.accept(Leftover.objects.get(), how="shown by BNI", at=LATER + 2 * DAY)

    assert (waits, accepted) == (True, True)
    assert (owed(id).state, payout(id).state) == (State.PAID, State.PAID)
    assert nothing_is_due()
    assert leftovers() == []
    assert ledger.recount() == []


def test_what_was_accepted_as_missing_and_stands_in_a_later_file_is_left_over_at_once():
    [id] = make_payable()
    pay()
    take(file())
    reconciliation.accept(Leftover.objects.get(), how="not in their books", at=TOMORROW)
    check(at=TOMORROW)

    take(file(line(payout(id).reference, day=TODAY + DAY), day=TODAY + DAY), at=LATER + 2 * DAY)

    assert leftovers() == [(Kind.GIVEN_BACK, payout(id).reference)]
    assert nothing_is_due()


def refused(content: bytes, *, payer: str = "bni", at=TOMORROW) -> str:
    with pytest.raises(BadFile) as fault:
        take(content, payer=payer, at=at)
    return str(fault.value)


def test_a_file_is_taken_once(english):
    [id] = make_payable()
    pay()
    content = file(line(payout(id).reference))
    take(content)

    assert refused(content) == "This file has been taken before."
    assert "already" in refused(file(line(payout(id).reference, at="T09:30:01+07:00")))

    assert StatementFile.objects.count() == 1
    assert StatementLine.objects.count() == 1


def test_a_file_of_another_day_payer_or_form_is_refused_and_nothing_is_taken(english):
    [id] = make_payable()
    make_batch()
    bank = Bank()
    bank.answer_next = [Outcome.UNKNOWN]
    send(bank)
    reference = payout(id).reference
    good = line(reference)

    said = [
        refused(file(good), at=LATER),
        refused(file(line(reference, day=TODAY - DAY))),
        refused(file(good, payer="bri")),
        refused(file(good), payer="shopee"),
        refused(file(good, line("7-1"))),
        refused(file(line("7"))),
        refused(file(line(reference, "probably"))),
        refused(file(line(reference, rupiah=-600_000), rupiah=600_000)),
        refused(file(line(reference, rupiah="600000.5"), rupiah=600_000)),
        refused(file(line(reference, at="T09:30:00"))),
        refused(file(good, rupiah=1)),
        refused(file(good, count=2)),
        refused(file(good)[:-30]),
        refused(file(good, good, good).rpartition(b"\n")[0][:-40]),
        refused(b""),
        refused(b"\xff\xfe"),
        refused(b"payer\0"),
        refused(b'"'),
        refused(b"reference,status\n"),
    ]

    assert [sentence.split(":")[0][:38] for sentence in said[:6]] == [
        f"The file is of {TODAY}, which is no",
        f"Line 4 is not of {TODAY}.",
        "The file is not of bni.",
        "There is no payer shopee.",
        "Line 5 has a reference that bni was ne",
        "Line 4",
    ]
    assert "not whole" in said[11]
    assert "cut off" in said[12]
    assert owed(id).state == State.UNKNOWN, "nothing of any of them was taken"
    assert not StatementFile.objects.exists()
    assert not StatementLine.objects.exists()
    assert not Leftover.objects.exists()


def test_a_file_cut_anywhere_is_refused():
    first, second = make_payable(2)
    pay()
    content = file(line(payout(first).reference), line(payout(second).reference))

    for length in range(len(content)):
        refused(content[:length])

    assert not StatementFile.objects.exists()
    take(content)


def test_a_payer_without_payouts_has_an_empty_file():
    assert take(file()).lines == 0


def test_the_command_takes_a_file_and_lists_what_is_left_over(tmp_path: Path, capsys):
    [id] = make_payable()
    pay()
    path = tmp_path / "bni.csv"
    path.write_bytes(file())

    call_command("reconcile", "bni", str(path))
    said = capsys.readouterr().out
    with pytest.raises(CommandError):
        call_command("reconcile", "bni", str(path))
    with pytest.raises(CommandError):
        call_command("reconcile", "bni", str(tmp_path / "absent.csv"))

    assert payout(id).reference in said
    assert "1 left over." in said


def test_the_mock_banks_own_file_explains_everything():
    make_payable(8, numbers=[magic(code) for code in (21, 22, 23, 26, 31, 32, 33)] + ["1234567890"])
    make_batch()
    with serving() as server:
        send(HttpPayer(server.url + "/bni"))
        now = datetime.now(WIB)
        content = server.services.bank.statement("bni", now.date().isoformat()).encode()

    reconciliation.take("bni", content, file="bni.csv", at=now + DAY)

    assert leftovers() == []
    final = {Payout.State.PAID, Payout.State.REVERSED, Payout.State.FAILED}
    assert set(Payout.objects.values_list("state", flat=True)) == final
    assert ledger.recount() == []

"""A payer's daily file and our books: matched in both directions, taken as a whole or not at all, and once."""

from datetime import date, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from foundation.csvfile import BadFile
from incentives import ledger, reconciliation
from incentives.models import Leftover, Payout, State, StatementFile, StatementLine
from incentives.payout import HttpPayer, Outcome
from prakerja.mockservices import serving
from registrations.regions import WIB
from registrations.stages import Stage
from tests.incentives.cast import (
    DAY,
    LATER,
    Bank,
    account,
    check,
    magic,
    make_batch,
    make_payable,
    owed,
    pay,
    payout,
    registrant,
    send,
)

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
    take(file(line(payout(id).reference)))
    check()
    pay()

    assert not reconciliation.accept(Leftover.objects.get(), how="shown by BNI", at=TOMORROW)

    assert leftovers() == [(Kind.FAILED_HERE, payout(id).reference)]


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

"""One person's incentives: what is owed, where it is, what was tried, and who must act."""

import pytest

from incentives import changing, checking, results, statement, surveys
from incentives.gates import Actor, Gate
from incentives.models import Payout, State
from incentives.payout import Outcome
from incentives.results import Result
from tests.incentives.cast import DAY, LATER, check, link, magic, make_completed, make_owed, make_payable, pay, payout
from tests.incentives.test_changing import identity, proven

pytestmark = pytest.mark.django_db


def test_a_statement_of_nobody_is_empty():
    found = statement.of(10**12)

    assert (found.account, found.lines, found.totals, found.surveys, found.change) == (None, [], {}, [], None)


def test_a_statement_tells_who_must_act():
    [id] = make_owed(certified=False)

    found = statement.of(id)

    assert found.totals == {State.OPEN: 2_400_000}
    assert [(line.number, line.is_survey, line.gate, line.who) for line in found.lines] == [
        (n, False, Gate.CERTIFICATE_MISSING, Actor.PROVIDER) for n in (1, 2, 3, 4)
    ]


def test_a_statement_tells_every_attempt_and_hides_numbers():
    [id] = make_payable(numbers=[magic(26)])
    pay()
    check()
    pay()
    surveys.answer([surveys.Answer(id, 1, LATER + 40 * DAY)])
    results.apply([Result(payout(id, attempt=2).reference, Outcome.REVERSED_FULL)], payer="bni", at=LATER)
    changing.change(id, "bri", "123456789012345", proof=lambda: True, at=LATER)

    found = statement.of(id)

    first = found.lines[0]
    assert [(attempt.state, attempt.reason) for attempt in first.attempts] == [
        (Payout.State.FAILED, Gate.NONE),
        (Payout.State.REVERSED, Gate.ACCOUNT_FULL),
    ]
    assert [attempt.account.payer_name for attempt in first.attempts] == ["BNI", "BNI"]
    assert (found.account.payer_name, found.account.number, found.account.checked_at) == ("BRI", "•••2345", None)
    assert found.lines[-1].pay_by == found.lines[-1].due_at + 14 * DAY
    assert [window.survey for window in found.surveys] == [1, 2, 3]
    assert magic(26) not in repr(found)
    assert found.totals == {State.OPEN: 1_850_000, State.REVERSED: 600_000}


def test_a_statement_tells_of_a_change_that_waits():
    [id] = make_completed()
    link([id])
    wanted = changing.Wanted("+6281399990001")
    changing.ask(id, wanted, identity=identity(id), proof=proven, at=LATER)

    assert statement.of(id).change.takes_effect_at == LATER + 7 * DAY
    assert checking.again([id], at=LATER) == [checking.Again.NEEDLESS]

"""One-time codes: the limits hold whatever is tried at once, and no new code resets a count."""

import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest
from django.db import connection

from registrations.models import Registrant
from registrations.stages import Stage
from tests.people import make_registrants
from verification import codes, phone
from verification.codes import Check, Typed
from verification.models import OneTimeCode


def wrong(code):
    return f"{(int(code) + 1) % 10**6:06}"


def issue(id):
    """A new code, its limits of sending taken for over."""
    OneTimeCode.objects.filter(pk=id).update(sent_at=[])
    return codes.issue([id])[id].code


def guess(id, code):
    return codes.check([Typed(id, code)])[0]


@pytest.fixture
def id(db):
    return make_registrants(1, stage=Stage.IDENTITY_VERIFIED)[0]


def test_codes_are_six_digits_of_the_given_generator(id):
    assert codes.issue([id], randbelow=lambda limit: 42 if limit == 10**6 else -1)[id].code == "000042"


def test_the_right_code_works_once(id):
    code = issue(id)

    assert [guess(id, code), guess(id, code)] == [Check.RIGHT, Check.NOT_LIVE]


def test_only_the_newest_code_works(id):
    first, second = issue(id), issue(id)

    assert [guess(id, first), guess(id, second)] == [Check.WRONG if first != second else Check.RIGHT, Check.RIGHT]


def test_a_code_of_somebody_else_does_not_work(id):
    [other] = make_registrants(1, stage=Stage.IDENTITY_VERIFIED, first=2)
    code = issue(id)
    codes.issue([other], randbelow=lambda limit: (int(code) + 7) % limit)

    assert guess(other, code) is Check.WRONG


def test_a_code_lives_five_minutes_by_the_databases_clock(id):
    code = issue(id)
    OneTimeCode.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))

    assert guess(id, code) is Check.NOT_LIVE
    assert OneTimeCode.objects.get().tries == 0, "what is not compared is not counted"


def test_five_tries_a_code(id):
    code = issue(id)

    outcomes = [guess(id, wrong(code)) for _ in range(5)] + [guess(id, code)]

    assert outcomes == [Check.WRONG] * 4 + [Check.USED_UP, Check.NOT_LIVE]


def test_fifteen_tries_a_day_over_all_codes(id):
    outcomes = Counter()
    for _ in range(6):
        code = issue(id)
        outcomes.update(guess(id, wrong(code)) for _ in range(5))

    assert outcomes[Check.WRONG] + outcomes[Check.USED_UP] == 15
    assert guess(id, issue(id)) is Check.TOO_MANY, "not even the right one"

    OneTimeCode.objects.update(tried_at=[datetime.now(UTC) - timedelta(hours=25)] * 15)
    assert guess(id, issue(id)) is Check.RIGHT, "but the next day"


def test_sixty_tries_for_life(id):
    compared = 0
    for _ in range(20):
        OneTimeCode.objects.update(tried_at=[])
        code = issue(id) if compared < 60 else None
        compared += sum(guess(id, wrong(code)) in (Check.WRONG, Check.USED_UP) for _ in range(5)) if code else 0

    assert compared == 60
    assert codes.issue([id]) == {}, "no code by SMS any more"
    assert codes.sendable(id).never


def test_a_right_code_ends_the_count_for_life_but_not_the_days(id):
    code = issue(id)
    guess(id, wrong(code))
    guess(id, code)

    stored = OneTimeCode.objects.get()
    assert (stored.life_tries, len(stored.tried_at)) == (0, 2)


def test_three_codes_an_hour_five_a_day_with_a_growing_gap(id):
    now = datetime.now(UTC)

    def wait(*minutes_ago):
        OneTimeCode.objects.update(sent_at=[now - timedelta(minutes=minutes) for minutes in minutes_ago])
        return codes.sendable(id).wait

    assert codes.sendable(id)[:2] == (0, False)
    assert codes.issue([id])
    assert codes.issue([id]) == {}
    assert 28 <= codes.sendable(id).wait <= 30
    assert wait(0.6) == 0, "30 s after the first"
    assert 20 <= wait(10, 0.6) <= 30, "60 s after the second"
    assert 38 * 60 <= wait(21, 20, 15) <= 39 * 60, "the fourth only an hour after the first"
    assert wait(300, 240, 180, 120) == 0
    assert 18 * 3600 <= wait(330, 300, 240, 180, 120) <= 19 * 3600, "the sixth only a day after the first"


def test_a_new_code_does_not_forget_what_was_sent_in_the_last_day(id):
    sent = [datetime.now(UTC) - timedelta(hours=hours) for hours in (20, 15, 10, 5)]
    codes.issue([id])
    OneTimeCode.objects.update(sent_at=sent)

    assert codes.issue([id])

    assert len(OneTimeCode.objects.get().sent_at) == 5
    assert codes.issue([id]) == {}


def in_threads(count, act):
    """Run `act(number)` in that many threads at once, each on a connection of its own."""

    def run(number):
        try:
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.django_db(transaction=True)
def test_fifty_threads_get_five_guesses_together():
    [id] = make_registrants(1, stage=Stage.IDENTITY_VERIFIED)
    code = issue(id)

    outcomes = Counter(chain(*in_threads(50, lambda number: [guess(id, wrong(code)) for _ in range(4)])))

    assert outcomes == {Check.WRONG: 4, Check.USED_UP: 1, Check.NOT_LIVE: 195}
    assert OneTimeCode.objects.get().life_tries == 5


@pytest.mark.django_db(transaction=True)
def test_fifty_threads_and_a_new_code_all_the_time_get_fifteen_guesses_together():
    [id] = make_registrants(1, stage=Stage.IDENTITY_VERIFIED)
    issue(id)

    def attack(number):
        seen = []
        for _ in range(6):
            if number % 10 == 0:
                OneTimeCode.objects.filter(pk=id).update(sent_at=[])
                codes.issue([id], randbelow=lambda limit: 1)
            seen.append(guess(id, f"{secrets.randbelow(900_000) + 2:06}"))
        return seen

    outcomes = Counter(chain(*in_threads(50, attack)))

    assert outcomes[Check.WRONG] + outcomes[Check.USED_UP] == 15
    assert outcomes[Check.RIGHT] == 0


@pytest.mark.django_db(transaction=True)
def test_fifty_threads_with_the_right_code_have_one_winner():
    [id] = make_registrants(1, stage=Stage.IDENTITY_VERIFIED)
    code = issue(id)

    outcomes = Counter(in_threads(50, lambda number: phone.type_codes([phone.Typed(id, code)])[0]))

    assert outcomes == {phone.Outcome.VERIFIED: 1, phone.Outcome.NOT_LIVE: 49}
    assert Registrant.objects.get().stage == Stage.PHONE_VERIFIED


@pytest.mark.django_db(transaction=True)
def test_fifty_threads_asking_for_a_code_get_one():
    [id] = make_registrants(1, stage=Stage.IDENTITY_VERIFIED)

    sent = in_threads(50, lambda number: phone.send_code(id))

    assert Counter(sent) == {True: 1, False: 49}

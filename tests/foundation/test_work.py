"""Leased work: nobody gets what another has in hand, nothing is lost, and one bad record takes nobody down."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction

from foundation.models import ServiceState, SetAside, Work
from foundation.services import FAILURES_TO_OPEN, PROBE_SECONDS, Unavailable, admit, failed, give_back, worked
from foundation.work import (
    ATTEMPTS_OF_ONE,
    LONGEST_WAIT,
    UNKNOWNS_TO_HALVE,
    Claim,
    Item,
    LeaseLost,
    enqueue,
    heads,
    outstanding,
    retry_set_aside,
    sweep,
    work_off,
)
from tests.clock import fall_due

pytestmark = pytest.mark.django_db

QUEUE = "email"


def work_until_done(act, *, size=500, service=None, set_aside=lambda subjects: None):
    """Work with all waits taken for over, until nothing is left."""
    for _ in range(1000):
        fall_due()
        if not work_off(QUEUE, size=size, service=service, act=act, set_aside=set_aside):
            return
    raise AssertionError("never done")


def settle(claim):
    with claim.settling():
        pass


def test_work_is_claimed_oldest_first_up_to_the_size():
    for subject in range(5):
        enqueue(QUEUE, [subject])

    claim = Claim.take(QUEUE, size=3)

    assert [item.subject for item in claim.items] == [0, 1, 2]
    assert [item.subject for item in Claim.take(QUEUE, size=3).items] == [3, 4]
    assert Claim.take(QUEUE, size=3) is None


@pytest.mark.parametrize("holds", [False, True], ids=["as claimed", "part of it"])
def test_what_a_dead_worker_leaves_has_kept_its_place(holds):
    enqueue(QUEUE, [1, 2], wait=-10)
    dead = Claim.take(QUEUE, size=2)
    if holds:
        dead.hold(dead.items[1:])
    enqueue(QUEUE, [3], wait=-5)
    assert Claim.take(QUEUE, size=1).items == [Item(3)], "while it is in hand, others go on"

    enqueue(QUEUE, [4], wait=-5)
    Work.objects.filter(token=dead.token).update(due_at=datetime.now(UTC))

    assert heads([QUEUE])[QUEUE].id == Work.objects.get(token=dead.token).pk
    assert Claim.take(QUEUE, size=1).items == dead.items[:1], "it has waited longest"


def test_a_parcel_larger_than_the_size_is_cut_and_its_rest_keeps_its_place():
    instants = [datetime(2020, 5, day, tzinfo=UTC) for day in range(1, 8)]
    enqueue(QUEUE, range(7), instants=instants, notes=[[number, "x"] for number in range(7)], wait=-60)
    enqueue(QUEUE, [7], wait=-30)

    first, second = Claim.take(QUEUE, size=5), Claim.take(QUEUE, size=2)

    assert [item.subject for item in first.items + second.items] == list(range(7))
    assert [item.instant for item in first.items + second.items] == instants
    assert [item.note for item in first.items + second.items] == [[number, "x"] for number in range(7)]


def test_a_settled_claim_is_gone_and_an_abandoned_one_comes_back():
    enqueue(QUEUE, [1, 2])
    settle(Claim.take(QUEUE, size=9))
    assert not Work.objects.exists()

    enqueue(QUEUE, [3])
    abandoned = Claim.take(QUEUE, size=9)
    assert Claim.take(QUEUE, size=9) is None
    fall_due()
    assert Claim.take(QUEUE, size=9).items == abandoned.items


def test_who_comes_too_late_changes_nothing():
    enqueue(QUEUE, [1])
    late = Claim.take(QUEUE, size=9)
    fall_due()
    current = Claim.take(QUEUE, size=9)

    with pytest.raises(LeaseLost), late.settling():
        enqueue(QUEUE, [99])

    assert outstanding([QUEUE]) == 1
    settle(current)
    assert outstanding([QUEUE]) == 0


def test_outcomes_and_work_are_settled_together_or_not_at_all():
    enqueue(QUEUE, [1])
    claim = Claim.take(QUEUE, size=9)

    with pytest.raises(ZeroDivisionError), claim.settling():
        raise ZeroDivisionError

    assert outstanding([QUEUE]) == 1


def test_a_queue_knows_only_its_own_work():
    enqueue("identity", [1])

    assert Claim.take(QUEUE, size=9) is None


def test_what_the_service_did_not_answer_is_asked_again_and_in_halves_at_last():
    enqueue(QUEUE, range(4))
    claim = Claim.take(QUEUE, size=9)
    with claim.settling():
        claim.again(claim.items[1:])

    assert Claim.take(QUEUE, size=9) is None, "not at once"
    for _ in range(UNKNOWNS_TO_HALVE):
        fall_due()
        claim = Claim.take(QUEUE, size=9)
        assert len(claim.items) == 3, "whole: the service may be ill"
        with claim.settling():
            claim.again(claim.items)
    fall_due()

    assert [len(Claim.take(QUEUE, size=9).items) for _ in range(2)] == [1, 2], "and each half alone"


def test_what_was_asked_in_vain_once_is_asked_with_others_and_what_was_more_often_alone():
    for subject, unknowns in enumerate([1, 0, 1, UNKNOWNS_TO_HALVE, 1]):
        enqueue(QUEUE, [subject], unknowns=unknowns, wait=subject - 60)

    claims = [Claim.take(QUEUE, size=9) for _ in range(2)]

    assert [[item.subject for item in claim.items] for claim in claims] == [[0, 1, 2, 4], [3]]
    assert [claim.unknowns for claim in claims] == [1, UNKNOWNS_TO_HALVE]


def test_trouble_outside_turns_nobody_away():
    enqueue(QUEUE, range(10))
    asked = Counter()

    def act(claim):
        asked[len(claim.items)] += 1
        if sum(asked.values()) < 6:
            raise Unavailable("down")
        settle(claim)

    work_until_done(act)

    assert sum(asked.values()) >= 6
    assert not SetAside.objects.exists()


@pytest.mark.parametrize("poisoned", [{250}, set(range(0, 500, 10))])
def test_poison_is_isolated_and_the_rest_passes(poisoned):
    enqueue(QUEUE, range(500))
    settled, told, tried = [], [], Counter()

    def act(claim):
        if poisoned & {item.subject for item in claim.items}:
            if len(claim.items) == 1:
                tried[claim.items[0].subject] += 1
            raise ValueError("a text with personal data")
        settle(claim)
        settled.extend(item.subject for item in claim.items)

    work_until_done(act, set_aside=told.extend)

    assert sorted(settled) == sorted(set(range(500)) - poisoned)
    assert sorted(told) == sorted(poisoned) == sorted(tried)
    assert max(tried.values()) <= ATTEMPTS_OF_ONE == 3
    assert set(SetAside.objects.values_list("subject", "reason")) == {(subject, "ValueError") for subject in poisoned}


def test_set_aside_work_can_be_taken_up_again():
    enqueue(QUEUE, [7], notes=[["note"]])

    def poison(claim):
        raise ValueError

    work_until_done(poison)
    assert retry_set_aside(QUEUE, [7, 8]) == 1

    [item] = Claim.take(QUEUE, size=9).items
    assert (item.subject, item.note) == (7, ["note"])
    assert not SetAside.objects.exists()


def test_a_record_that_kills_its_workers_is_found():
    enqueue(QUEUE, range(100))
    told = []

    def act(claim):
        if 42 in {item.subject for item in claim.items}:
            raise KeyboardInterrupt  # as good as dead: nobody settles, the lease runs out
        settle(claim)

    for _ in range(100):
        fall_due()
        try:
            if not work_off(QUEUE, size=200, service=None, act=act, set_aside=told.extend):
                break
        except KeyboardInterrupt:
            pass

    assert told == [42]
    assert not Work.objects.exists()


def test_the_sweeper_knows_which_queues_have_work_due():
    enqueue("identity", [1])
    enqueue("phone", [1], wait=60)

    assert sweep() == ["identity"]


def test_a_hint_goes_out_when_the_work_is_committed(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as hints, transaction.atomic():
        enqueue(QUEUE, [1])
        enqueue(QUEUE, [2], hint=False)
        enqueue(QUEUE, [3], wait=5)

    assert len(hints) == 2, "one now, one when it falls due"


# Breaker and quota


def test_a_service_without_a_quota_is_asked_all(settings):
    settings.SERVICES = {"sms": {"BACKEND": "x"}}

    assert admit("sms", 5000).records == 5000


def test_failures_in_a_row_open_the_breaker_and_one_probe_closes_it(settings):
    settings.SERVICES = {"sms": {"BACKEND": "x"}}
    for _ in range(FAILURES_TO_OPEN):
        assert admit("sms", 100).records == 100
        failed("sms")

    assert admit("sms", 100).records == 0, "open"
    ServiceState.objects.update(probe_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert admit("sms", 100)[:2] == (1, True), "a probe of one"
    assert admit("sms", 100).records == 0, f"and only one in {PROBE_SECONDS} s"
    worked("sms", probe=False)
    assert admit("sms", 100).records == 0, "a call that was begun before says nothing"
    worked("sms", probe=True)
    assert admit("sms", 100).records == 100


@pytest.mark.parametrize(("quota", "counted"), [({}, 0), ({"RATE": 0.001}, 1)], ids=["the probe", "a quota's last record"])
def test_that_one_record_failed_is_held_against_it_unless_it_was_the_probe(settings, quota, counted):
    settings.SERVICES = {"sms": {"BACKEND": "x"} | quota}
    ServiceState.objects.create(
        name="sms",
        tokens=1,
        failures=0 if quota else FAILURES_TO_OPEN,
        probe_at=None if quota else datetime(2020, 1, 1, tzinfo=UTC),
    )
    enqueue(QUEUE, range(9))

    def act(claim):
        assert len(claim.items) == 1
        raise Unavailable("down")

    assert work_off(QUEUE, size=100, service="sms", act=act) == 1

    assert sum(Work.objects.values_list("unknowns", flat=True)) == counted


def test_the_last_record_of_a_quota_closes_no_breaker_that_has_opened_meanwhile(settings):
    settings.SERVICES = {"sms": {"BACKEND": "x", "RATE": 0.001}}
    ServiceState.objects.create(name="sms", tokens=1)
    enqueue(QUEUE, range(9))

    def act(claim):
        for _ in range(FAILURES_TO_OPEN):
            failed("sms")  # others, meanwhile
        settle(claim)
        return len(claim.items)

    assert work_off(QUEUE, size=100, service="sms", act=act) == 1

    assert ServiceState.objects.get().probe_at is not None


def asked_again(claim):
    with claim.settling():
        claim.again(claim.items)


@pytest.mark.parametrize("back", [asked_again, Claim.put_back], ids=["one of many", "all of it"])
@pytest.mark.parametrize("times", [0, 1, 2, 18, 19, 99, 100, 101, 3_500, 32_767])
def test_what_stays_unknown_is_asked_for_each_minute_however_often_it_was(times, back):
    enqueue(QUEUE, [1], unknowns=times)

    for _ in range(2):
        fall_due()
        back(Claim.take(QUEUE, size=9))

    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM due_at - clock_timestamp()) FROM foundation_work")
        assert 0 < cursor.fetchone()[0] <= LONGEST_WAIT


def test_waits_are_spread_so_that_a_service_which_is_back_is_not_stormed():
    for subject in range(20):
        enqueue(QUEUE, [subject], unknowns=100)
    start = datetime.now(UTC)

    while claim := Claim.take(QUEUE, size=1):
        claim.put_back()

    waits = [(due - start).total_seconds() for due in Work.objects.values_list("due_at", flat=True)]
    took = (datetime.now(UTC) - start).total_seconds()
    assert len(waits) == 20
    assert min(waits) >= LONGEST_WAIT / 2
    assert max(waits) <= LONGEST_WAIT + took
    assert max(waits) - min(waits) > LONGEST_WAIT / 10


def test_a_service_that_names_a_time_to_wait_is_left_alone_that_long(settings):
    settings.SERVICES = {"sms": {"BACKEND": "x"}}
    failed("sms", retry_after=30)
    failed("sms", retry_after=1)
    failed("sms")
    worked("sms", probe=False)

    assert admit("sms", 100).records == 0, "whatever comes of calls that were begun before"
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM probe_at - clock_timestamp()) FROM foundation_servicestate")
        assert 25 < cursor.fetchone()[0] <= 30
        cursor.execute("UPDATE foundation_servicestate SET probe_at = probe_at - interval '30 s'")

    assert admit("sms", 100).records == 100, "it has said itself when all may come"


@pytest.mark.parametrize(("tokens", "wanted", "least"), [(1, 1000, 0), (60, 1000, 60), (1, 1, 1)])
def test_a_batch_waits_until_the_quota_has_what_is_worth_a_call_or_all_that_it_wants(settings, tokens, wanted, least):
    settings.SERVICES = {"sms": {"BACKEND": "x", "RATE": 100}}
    ServiceState.objects.create(name="sms", tokens=tokens)

    found = admit("sms", wanted)

    assert found.is_short == (found.records == 0) == (least == 0)
    assert least <= found.records <= 100


def test_no_more_is_asked_than_the_quota_allows(settings):
    settings.SERVICES = {"sms": {"BACKEND": "x", "RATE": 100}}
    ServiceState.objects.create(name="sms", tokens=100)

    first = admit("sms", 70).records
    give_back("sms", 20)
    rest = [admit("sms", 70).records for _ in range(3)]

    assert first == 70
    assert 50 <= sum(rest) <= 55, "what was left, and what a few milliseconds refilled"

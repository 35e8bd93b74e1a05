"""A provider that is ill is left within a minute, tried now and then, and used again when it is well."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F

from foundation.failover import Count, Failover, tally
from foundation.models import Carriage, ServiceState
from foundation.services import FAILURES_TO_OPEN, PROBE_SECONDS, Unavailable
from foundation.sms import Delivery, Sms

pytestmark = pytest.mark.django_db

ACCEPTED, UNKNOWN = Delivery.ACCEPTED, Delivery.UNKNOWN


class Provider:
    """Accepts everything until told otherwise: `trouble` is raised, or of each call the first `deaf_to` get no answer."""

    def __init__(self):
        self.trouble = None
        self.deaf_to = 0
        self.calls = []

    def send(self, messages):
        self.calls.append([message.reference for message in messages])
        if self.trouble:
            raise self.trouble
        return [UNKNOWN if n < self.deaf_to else ACCEPTED for n in range(len(messages))]

    def asked(self):
        """How many messages since the last time."""
        calls, self.calls = self.calls, []
        return sum(map(len, calls))


def itself(provider):
    return provider


@pytest.fixture
def one():
    return Provider()


@pytest.fixture
def other():
    return Provider()


def failover(*providers, **of_each):
    """The gateway over these; `of_each`: a list each, e.g. `WEIGHT=[1, 2]`."""
    configs = [{"BACKEND": f"{__name__}.itself", "OPTIONS": {"provider": provider}} for provider in providers]
    for name, values in of_each.items():
        for config, value in zip(configs, values, strict=True):
            config[name] = value
    return Failover(configs)


@pytest.fixture
def sms(one, other):
    return failover(one, other)


def texts(count, first=0):
    return [Sms(f"{n}.{n:032x}", "+6281234567890", "123456") for n in range(first, first + count)]


def later(**time):
    """So much time passes."""
    ServiceState.objects.update(
        probe_at=F("probe_at") - timedelta(**time),
        errors_since=F("errors_since") - timedelta(**time),
        refilled_at=F("refilled_at") - timedelta(**time),
        judged_since=F("judged_since") - timedelta(**time),
    )
    for row in Carriage.objects.order_by("slot"):  # one by one: each slot is there once
        Carriage.objects.filter(pk=row.pk).update(slot=row.slot - timedelta(**time))


def carried(accepted, delivered, *, by=1, seconds_ago=0):
    at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    tally([Count(by, at, accepted, delivered)])


# Who is asked


def test_the_first_one_gets_everything_while_it_is_well(sms, one, other):
    assert sms.carry(texts(3)) == ([ACCEPTED] * 3, [1, 1, 1])

    assert (one.asked(), other.asked()) == (3, 0)


def test_weights_share_messages_out_and_the_same_message_goes_the_same_way(one, other):
    stand_in = Provider()
    sms = failover(one, other, stand_in, WEIGHT=[3, 1, 0])

    _, carriers = sms.carry(texts(4000))

    assert sms.carry(texts(4000))[1] == carriers
    assert Counter(carriers)[1] == pytest.approx(3000, abs=150)
    assert stand_in.asked() == 0


def test_what_is_above_the_quota_of_one_goes_to_the_other(one, other):
    sms = failover(one, other, RATE=[10, 100])
    ServiceState.objects.create(name="sms.1")
    ServiceState.objects.create(name="sms.2")
    later(seconds=60)

    _, carriers = sms.carry(texts(12))

    assert carriers == [1] * 10 + [2, 2]


def test_above_all_quotas_a_moment_is_enough(one, other):
    sms = failover(one, other, RATE=[1, 1])

    with pytest.raises(Unavailable) as trouble:
        sms.send(texts(1))

    assert trouble.value.retry_after == 1


def test_who_is_named_first_is_asked_first_and_who_is_named_last_last(sms):
    messages = texts(3)

    _, carriers = sms.carry(messages, first={messages[1].reference: 2}, last={messages[2].reference: 1})

    assert carriers == [1, 2, 2]


# Trouble


def test_what_has_certainly_not_been_taken_goes_to_the_next_one_at_once(sms, one, other):
    one.trouble = Unavailable("status 503", untouched=True)

    assert sms.carry(texts(3)) == ([ACCEPTED] * 3, [2, 2, 2])


def test_what_may_have_been_taken_is_not_sent_by_another(sms, one, other):
    one.trouble = Unavailable("ReadTimeout")

    assert sms.carry(texts(3)) == ([UNKNOWN] * 3, [1, 1, 1])

    assert other.asked() == 0


def test_when_nobody_has_taken_anything_it_is_unavailable(sms, one, other):
    one.trouble = other.trouble = Unavailable("ConnectionError", untouched=True)

    with pytest.raises(Unavailable):
        sms.send(texts(3))


# Leaving and coming back


def test_fifty_errors_within_a_minute_and_the_provider_is_left_until_a_probe_is_taken(sms, one, other):
    one.deaf_to = 25
    sms.send(texts(100))
    assert sms.carry(texts(1))[1] == [1], "25 errors are borne"
    later(seconds=30)
    sms.send(texts(100))
    one.asked()

    sms.send(texts(100))
    assert (one.asked(), other.asked()) == (0, 100), "30 s after the first error, with the 50th"

    later(seconds=10)
    sms.send(texts(100))
    assert (one.asked(), other.asked()) == (1, 99), "one probe, which gets no answer"

    one.deaf_to = 0
    later(seconds=10)
    sms.send(texts(100))
    assert (one.asked(), other.asked()) == (1, 99), "one probe, which is taken"
    sms.send(texts(100))
    assert (one.asked(), other.asked()) == (100, 0)


def test_when_all_are_left_for_errors_sending_goes_on(sms, one, other):
    one.trouble = other.trouble = Unavailable("status 500", untouched=True)
    with pytest.raises(Unavailable):
        sms.send(texts(100))
    one.asked(), other.asked()

    with pytest.raises(Unavailable):
        sms.send(texts(100))
    assert (one.asked(), other.asked()) == (100, 100), "each fails now and then, and neither is down"
    one.trouble = None
    assert sms.carry(texts(100))[1] == [1] * 100


def leave_both(sms, one, other):
    one.trouble = other.trouble = Unavailable("status 500", untouched=True)
    with pytest.raises(Unavailable):
        sms.send(texts(100))


def test_when_all_are_left_for_errors_who_asks_us_to_wait_is_given_the_time(sms, one, other):
    leave_both(sms, one, other)
    one.trouble = Unavailable("status 429", retry_after=30, untouched=True)
    with pytest.raises(Unavailable):
        sms.send(texts(100))
    one.asked(), other.asked()

    with pytest.raises(Unavailable):
        sms.send(texts(100))

    assert (one.asked(), other.asked()) == (0, 100)


def test_when_all_are_left_for_errors_who_asks_us_to_wait_a_moment_is_asked_again_after_that(sms, one, other):
    leave_both(sms, one, other)
    one.trouble = Unavailable("status 429", retry_after=1, untouched=True)
    with pytest.raises(Unavailable):
        sms.send(texts(100))
    one.trouble = None

    later(seconds=1)

    assert sms.carry(texts(100))[1] == [1] * 100


def test_when_all_are_left_for_errors_only_failures_in_a_row_make_one_be_taken_for_down(sms, one, other):
    other.trouble = Unavailable("status 500", untouched=True)
    for _ in range(FAILURES_TO_OPEN):
        one.trouble = Unavailable("status 500", untouched=True)
        with pytest.raises(Unavailable):
            sms.send(texts(100))
        one.trouble = None
        assert sms.carry(texts(100))[1] == [1] * 100


def test_when_all_are_down_each_is_only_probed(sms, one, other):
    one.trouble = other.trouble = Unavailable("ConnectionError", untouched=True)
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(Unavailable):
            sms.send(texts(100))
    one.asked(), other.asked()

    with pytest.raises(Unavailable):
        sms.send(texts(100))
    assert (one.asked(), other.asked()) == (0, 0)
    later(seconds=PROBE_SECONDS)
    with pytest.raises(Unavailable):
        sms.send(texts(100))
    assert (one.asked(), other.asked()) == (1, 1)


def test_errors_of_more_than_a_minute_ago_no_longer_count(sms, one):
    one.deaf_to = 49
    sms.send(texts(100))
    later(seconds=61)

    sms.send(texts(100))

    assert sms.carry(texts(1))[1] == [1]


def test_ten_calls_in_a_row_without_an_answer_and_the_provider_is_left(sms, one, other):
    one.trouble = Unavailable("ReadTimeout")

    carriers = [sms.carry(texts(1, first=n))[1] for n in range(12)]

    assert carriers == [[1]] * 10 + [[2]] * 2


def test_a_provider_that_asks_us_to_wait_is_left_for_so_long(sms, one, other):
    one.trouble = Unavailable("status 429", retry_after=30, untouched=True)
    sms.send(texts(1))
    one.trouble = None
    one.asked()

    later(seconds=20)
    assert sms.carry(texts(1))[1] == [2]
    later(seconds=10)
    assert sms.carry(texts(2))[1] == [1, 1], "it has said itself when all may come"


def test_workers_share_what_they_know_of_a_provider(one, other):
    one.trouble = Unavailable("ReadTimeout")
    failover(one, other).send(texts(60))
    one.trouble = None

    assert failover(one, other).carry(texts(1))[1] == [2]


@pytest.fixture
def receipts(settings):
    settings.SMS_RECEIPT_SECRETS = ["c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"]


@pytest.mark.parametrize(("delivered", "carrier"), [(84, 2), (85, 1)])
def test_too_little_delivered_of_what_is_due_and_the_provider_is_left(sms, receipts, delivered, carrier):
    carried(100, delivered)

    assert sms.carry(texts(1))[1] == [1], "not due yet"
    later(seconds=131)

    assert sms.carry(texts(1))[1] == [carrier]


@pytest.mark.parametrize(
    ("accepted", "of_each"), [(49, {}), (100, {"RECEIPTS": [False, True]})], ids=["too few", "sends no receipts"]
)
def test_a_provider_is_not_judged_by_too_few_nor_by_receipts_that_it_does_not_send(one, other, receipts, accepted, of_each):
    carried(accepted, 0, seconds_ago=150)

    assert failover(one, other, **of_each).carry(texts(1))[1] == [1]


def test_without_receipts_nobody_is_judged_by_them(sms):
    carried(100, 0, seconds_ago=150)

    assert sms.carry(texts(1))[1] == [1]


def test_the_newest_minute_of_receipts_due_counts(sms, receipts):
    carried(10_000, 9_900, seconds_ago=300)
    carried(200, 100, seconds_ago=150)

    assert sms.carry(texts(1))[1] == [2], "an hour's good deeds do not hide that it has fallen ill a minute ago"


def test_who_was_left_for_what_did_not_arrive_comes_back_when_probes_arrive(sms, one, other, receipts):
    carried(100, 50, seconds_ago=150)
    sms.send(texts(1))
    other.asked()

    for _ in range(4):
        later(seconds=10)
        sms.send(texts(10))
        carried(1, 1)
    assert (one.asked(), other.asked()) == (4, 36), "a probe that is accepted says nothing of what arrives"

    later(seconds=10)
    sms.send(texts(10))
    carried(1, 1)
    one.asked()
    assert sms.carry(texts(10))[1] == [1] * 10, "five have arrived"

    carried(49, 0)
    later(seconds=131)
    assert sms.carry(texts(10))[1] == [1] * 10, "and it is judged anew"


def test_probes_that_do_not_arrive_bring_nobody_back(sms, one, receipts):
    carried(100, 50, seconds_ago=150)

    for _ in range(20):
        sms.send(texts(10))
        carried(1, 0)
        later(seconds=10)

    assert all(len(call) <= 1 for call in one.calls)


def test_when_too_little_arrives_by_anybody_sending_goes_on(sms, receipts):
    carried(100, 0, by=1, seconds_ago=150)
    carried(100, 0, by=2, seconds_ago=150)

    assert [sms.carry(texts(10))[1] for _ in range(3)] == [[1] * 10] * 3


def test_what_is_a_day_old_is_forgotten():
    carried(10, 9, seconds_ago=86_000)
    later(seconds=500)

    carried(1, 1)
    carried(3, 2, seconds_ago=90_000)

    assert list(Carriage.objects.values_list("accepted", flat=True)) == [1]

"""What is put right meanwhile, and what happens twice."""

from datetime import UTC, datetime

import pytest

from foundation.email import Delivery as MailDelivery
from foundation.models import ServiceState, SetAside, Work
from foundation.outbox import post
from foundation.outbox import send_batch as send_messages
from foundation.services import FAILURES_TO_OPEN, admit, failed
from foundation.sms import Delivery as TextDelivery
from foundation.work import enqueue
from registrations import letters
from registrations.models import Registrant, Wave
from registrations.stages import DropOff, Stage
from tests.clock import fall_due
from tests.people import make_registrants
from verification import links, phone
from verification.models import OneTimeCode

pytestmark = pytest.mark.django_db


def test_a_bounce_of_an_address_that_was_corrected_meanwhile_is_no_reason():
    [id] = make_registrants(1)

    class Bounces:
        def send(self, mails):
            links.change_address(id, "baru@surel.example")
            return [MailDelivery.ADDRESS_UNKNOWN] * len(mails)

    links.send_batch(email=Bounces(), size=9)

    assert Registrant.objects.get().drop_off == DropOff.NONE
    assert Work.objects.get().queue == "email", "and the new address is written to"


def test_a_dead_number_that_was_changed_meanwhile_is_no_reason(mailbox):
    [id] = make_registrants(1, stage=Stage.IDENTITY_VERIFIED)
    enqueue("phone", [id])

    class Dead:
        def send(self, texts):
            OneTimeCode.objects.update(sent_at=[])
            phone.change_number(id, "+6281399990001")
            return [TextDelivery.NUMBER_DEAD] * len(texts)

    phone.send_batch(sms=Dead(), size=9)
    assert Registrant.objects.get().drop_off == DropOff.NONE

    phone.send_batch(sms=mailbox.sms, size=9)
    assert phone.type_codes([phone.Typed(id, mailbox.codes()[0])]) == [phone.Outcome.VERIFIED]


def test_somebody_in_two_parcels_is_written_to_once(mailbox):
    [id] = make_registrants(1)
    enqueue("email", [id])

    assert links.send_batch(email=mailbox.email, size=9) == 2

    assert len(mailbox.mails) == 1
    assert not Work.objects.exists()


def test_a_batch_that_asks_nobody_does_not_close_the_breaker(mailbox):
    make_registrants(1, stage=Stage.EMAIL_VERIFIED)
    for _ in range(FAILURES_TO_OPEN):
        failed("email")
    ServiceState.objects.update(probe_at=datetime(2020, 1, 1, tzinfo=UTC))

    links.send_batch(email=mailbox.email, size=9)

    assert mailbox.mails == []
    assert ServiceState.objects.get().failures == FAILURES_TO_OPEN


def test_poisoned_letters_are_all_kept():
    for number in range(3):
        post(letters.go_on(f"siti.{number}@surel.example", "id", url="https://prakerja.example/"))

    class Poisoned:
        def send(self, mails):
            raise ValueError

    for _ in range(60):
        fall_due()
        if not send_messages(email=Poisoned(), size=9):
            break

    assert SetAside.objects.filter(queue="messages").count() == 3


def test_letters_sent_together_have_references_of_their_own(mailbox):
    for number in range(3):
        post(letters.go_on(f"siti.{number}@surel.example", "id", url="https://prakerja.example/"))

    send_messages(email=mailbox.email, size=9)

    assert len({mail.reference for mail in mailbox.mails}) == 3


def test_an_undated_wave_takes_everybody_who_comes():
    Wave.objects.create(number=1)

    for number in range(1, 4):
        make_registrants(1, first=number)

    assert list(Wave.objects.values_list("number", flat=True)) == [1]


def test_a_service_may_allow_less_than_one_record_a_second(settings):
    settings.SERVICES = {"sms": {"BACKEND": "x", "RATE": 0.5}}
    ServiceState.objects.create(name="sms", refilled_at=datetime(2020, 1, 1, tzinfo=UTC))

    assert admit("sms", 10).records == 1

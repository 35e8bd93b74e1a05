"""The three steps, each one batch at a time: claim, ask, settle."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from foundation.email import Delivery as MailDelivery
from foundation.email import MockEmail
from foundation.models import SetAside, Work
from foundation.services import Unavailable
from foundation.sms import Delivery as TextDelivery
from foundation.sms import MockSms
from foundation.work import enqueue, outstanding
from registrations import funnel, intake
from registrations.models import EmailOwner, NikOwner, PhoneOwner, Registrant
from registrations.stages import DropOff, Stage
from tests.clock import fall_due
from tests.people import START, make_person, make_registrant, make_registrants, make_sign_up
from verification import codes, identity, links, phone
from verification.dukcapil import MockDukcapil, Verdict
from verification.models import OneTimeCode

pytestmark = pytest.mark.django_db

NOW = START + timedelta(hours=2)


def clock():
    return NOW


def send_links(mailbox, size=100):
    return links.send_batch(email=mailbox.email, size=size, clock=clock)


def check_identities(dukcapil=None, size=100):
    return identity.check_batch(dukcapil=dukcapil or MockDukcapil(), size=size, clock=clock)


def send_codes(mailbox, size=100):
    return phone.send_batch(sms=mailbox.sms, size=size, clock=clock)


def open_links(tokens):
    return links.open_links([links.Opened(token) for token in tokens], clock=clock)


def make_due():
    fall_due()


class Scripted:
    """A service that gives these answers, one list a call; an exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, records):
        self.asked.append(list(records))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    match = send = __call__


def test_one_person_goes_all_the_way(mailbox):
    sign_up = make_sign_up()
    [id] = intake.register([sign_up]).values()

    assert send_links(mailbox) == 1
    assert open_links(mailbox.tokens()) == [links.Outcome.VERIFIED]
    assert check_identities() == 1
    assert send_codes(mailbox) == 1
    assert phone.type_codes([phone.Typed(id, mailbox.codes()[0])], clock=clock) == [phone.Outcome.VERIFIED]

    registrant = Registrant.objects.get(pk=id)
    assert registrant.stage == Stage.PHONE_VERIFIED
    assert registrant.phone_verified_at == NOW
    assert mailbox.mails[0].to == sign_up.person.email
    assert mailbox.texts[0].to == sign_up.person.phone
    assert outstanding(["email", "identity", "phone"]) == 0
    assert {owner.objects.get().registrant_id for owner in (EmailOwner, NikOwner, PhoneOwner)} == {id}


def test_the_same_sign_up_sent_again_registers_nobody(mailbox):
    sign_up = make_sign_up()

    assert len(intake.register([sign_up])) == 1
    assert intake.register([sign_up]) == {}

    assert Registrant.objects.count() == 1
    send_links(mailbox)
    assert len(mailbox.mails) == 1


class Stumbling:
    """A service's mock, whose adapter stumbles over one record."""

    def __init__(self, answer, *, over):
        self.answer, self.over, self.alone = answer, str(over), 0

    def __call__(self, records):
        references = {record.reference.partition(".")[0] for record in records}
        if self.over in references:
            self.alone += len(references) == 1
            raise ValueError("a text with personal data")
        return self.answer(records)

    match = send = __call__


@pytest.mark.parametrize(
    ("queue", "stage", "batch", "answer", "review"),
    [
        (
            "email",
            Stage.REGISTERED,
            lambda service: links.send_batch(email=service, size=100, clock=clock),
            MockEmail(deliver=False).send,
            DropOff.EMAIL_REVIEW,
        ),
        (
            "identity",
            Stage.EMAIL_VERIFIED,
            lambda service: identity.check_batch(dukcapil=service, size=100, clock=clock),
            MockDukcapil().match,
            DropOff.IDENTITY_REVIEW,
        ),
        (
            "phone",
            Stage.IDENTITY_VERIFIED,
            lambda service: phone.send_batch(sms=service, size=100, clock=clock),
            MockSms(deliver=False).send,
            DropOff.PHONE_REVIEW,
        ),
    ],
)
def test_a_record_that_we_stumble_over_is_tried_thrice_at_most_and_is_the_offices(queue, stage, batch, answer, review):
    ids = make_registrants(40, stage=stage)
    Work.objects.all().delete()
    enqueue(queue, ids)
    service = Stumbling(answer, over=ids[17])

    for _ in range(60):
        make_due()
        batch(service)

    assert 1 <= service.alone <= 3
    assert list(SetAside.objects.values_list("queue", "subject", "reason")) == [(queue, ids[17], "ValueError")]
    assert list(Registrant.objects.exclude(drop_off=DropOff.NONE).values_list("pk", "drop_off")) == [(ids[17], review)]
    assert outstanding([queue]) == 0, "and all others are done with"
    passed = Registrant.objects.filter(stage=Stage.IDENTITY_VERIFIED).count()
    assert passed == {"email": 0, "identity": 39, "phone": 40}[queue]


# E-mail


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(MailDelivery.MAILBOX_FULL, DropOff.MAILBOX_FULL), (MailDelivery.ADDRESS_UNKNOWN, DropOff.ADDRESS_UNKNOWN)],
)
def test_a_mail_that_comes_back_is_a_reason(answer, reason):
    registrant = make_registrant()

    links.send_batch(email=Scripted([answer]), size=9, clock=clock)

    registrant.refresh_from_db()
    assert (registrant.stage, registrant.drop_off, registrant.drop_off_at) == (Stage.REGISTERED, reason, NOW)


def test_a_mail_server_in_trouble_turns_nobody_away():
    [id] = make_registrants(1)
    email = Scripted(Unavailable("down"), [MailDelivery.UNKNOWN], [MailDelivery.SENT])

    for _ in range(3):
        make_due()
        links.send_batch(email=email, size=9, clock=clock)
        time.sleep(0.6)  # some of them in another second than the first

    assert [len(mails) for mails in email.asked] == [1, 1, 1]
    assert len({mails[0].reference for mails in email.asked}) == 1, "asked again under the same reference"
    assert Registrant.objects.get(pk=id).drop_off == DropOff.NONE
    assert not Work.objects.exists()


def test_a_link_that_nobody_answered_for_half_its_life_is_issued_anew():
    make_registrants(1)
    email = Scripted(Unavailable("down"), [MailDelivery.SENT])
    links.send_batch(email=email, size=9, clock=clock)
    long_ago = int(datetime.now(UTC).timestamp()) - links.LINK_LIFE // 2 - 1
    Work.objects.all().delete()
    enqueue("email", [Registrant.objects.get().pk], notes=[long_ago])

    links.send_batch(email=email, size=9, clock=clock)

    [_, [mail]] = email.asked
    assert str(long_ago) not in mail.reference


def test_a_link_works_once_and_says_so(mailbox):
    make_registrants(1)
    send_links(mailbox)
    [token] = mailbox.tokens()

    assert open_links([token]) == [links.Outcome.VERIFIED]
    assert open_links([token]) == [links.Outcome.ALREADY]
    assert outstanding(["identity"]) == 1, "and the identity check is asked for once"


def test_every_changed_character_of_a_link_is_a_forgery(mailbox):
    make_registrants(1)
    send_links(mailbox)
    [token] = mailbox.tokens()
    forged = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(len(token))]

    outcomes = open_links([*forged, "", "x", token + "A", "é" * 40, token[:-1]])

    assert set(outcomes) == {links.Outcome.FORGED}
    assert Registrant.objects.get().stage == Stage.REGISTERED


def test_a_link_works_for_a_day(mailbox):
    registrant = make_registrant()
    now = int(datetime.now(UTC).timestamp())
    fresh = links.Link(registrant.pk, 0, now - links.LINK_LIFE + 60)
    stale = links.Link(registrant.pk, 0, now - links.LINK_LIFE - 60)

    assert open_links([stale.token]) == [links.Outcome.EXPIRED]
    assert open_links([fresh.token]) == [links.Outcome.VERIFIED]


def test_a_corrected_address_kills_the_links_to_the_old_one(mailbox):
    [id] = make_registrants(1)
    send_links(mailbox)

    assert links.change_address(id, "baru@surel.example", clock=clock)
    send_links(mailbox)
    old, new = mailbox.tokens()

    assert mailbox.mails[1].to == "baru@surel.example"
    assert open_links([old]) == [links.Outcome.EXPIRED]
    assert open_links([new]) == [links.Outcome.VERIFIED]
    assert not links.change_address(id, "lagi@surel.example", clock=clock), "a verified address stays"


def test_an_address_belongs_to_whoever_verifies_it_first(mailbox):
    first, second = (
        make_registrants(1, first=1, email="sama@surel.example"),
        make_registrants(1, first=2, email="SAMA@surel.example"),
    )
    send_links(mailbox)

    outcomes = open_links(reversed(mailbox.tokens()))

    assert outcomes == [links.Outcome.VERIFIED, links.Outcome.TAKEN] or outcomes == [
        links.Outcome.TAKEN,
        links.Outcome.VERIFIED,
    ]
    rungs = sorted(Registrant.objects.filter(pk__in=[*first, *second]).values_list("stage", "drop_off"))
    assert rungs == [(Stage.REGISTERED, DropOff.EMAIL_TAKEN), (Stage.EMAIL_VERIFIED, DropOff.NONE)]


# Identity


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"kk": "3273010101990000"}, DropOff.KK_MISMATCH),
        ({"birth_date": make_person(8).birth_date}, DropOff.BIRTH_DATE_MISMATCH),
        ({"nik": "3273994108800000"}, DropOff.NIK_UNKNOWN),
    ],
)
def test_a_mismatch_stays_is_told_why_and_can_be_corrected(wrong, reason):
    right = make_person(1)
    registrant = make_registrant(stage=Stage.EMAIL_VERIFIED, number=1, **wrong)
    enqueue("identity", [registrant.pk])

    check_identities()

    registrant.refresh_from_db()
    assert (registrant.stage, registrant.drop_off, registrant.drop_off_at) == (Stage.EMAIL_VERIFIED, reason, NOW)

    data = {"name": right.name, "nik": right.nik, "kk": right.kk, "birth_date": right.birth_date}
    assert identity.correct(registrant.pk, sex=registrant.sex, clock=clock, **data)
    registrant.refresh_from_db()
    assert registrant.drop_off == DropOff.NONE
    check_identities()

    registrant.refresh_from_db()
    assert registrant.stage == Stage.IDENTITY_VERIFIED
    assert not identity.correct(registrant.pk, sex=registrant.sex, clock=clock, **data), "a verified identity stays"


def test_an_answer_about_data_that_was_corrected_meanwhile_does_not_count():
    registrant = make_registrant(stage=Stage.EMAIL_VERIFIED)
    enqueue("identity", [registrant.pk])
    person = make_person(1)

    class Slow(MockDukcapil):
        def match(self, identities):
            data = {"name": person.name, "nik": person.nik, "kk": "3273010101990000", "birth_date": person.birth_date}
            identity.correct(registrant.pk, sex=registrant.sex, clock=clock, **data)
            return super().match(identities)

    check_identities(Slow())

    registrant.refresh_from_db()
    assert registrant.stage == Stage.EMAIL_VERIFIED, "the match was of the data of before"
    check_identities()
    registrant.refresh_from_db()
    assert registrant.drop_off == DropOff.KK_MISMATCH


def test_a_nik_belongs_to_whoever_proves_it_first():
    shared = make_person(1)
    ids = [
        *make_registrants(1, stage=Stage.EMAIL_VERIFIED, first=1),
        *make_registrants(
            1, stage=Stage.EMAIL_VERIFIED, first=2, nik=shared.nik, kk=shared.kk, birth_date=shared.birth_date
        ),
    ]
    enqueue("identity", ids)

    check_identities()

    rungs = sorted(Registrant.objects.values_list("stage", "drop_off"))
    assert rungs == [(Stage.EMAIL_VERIFIED, DropOff.NIK_TAKEN), (Stage.IDENTITY_VERIFIED, DropOff.NONE)]
    assert funnel.recount().differences == []


def test_what_dukcapil_does_not_answer_stays_unknown():
    ids = make_registrants(4, stage=Stage.EMAIL_VERIFIED)
    enqueue("identity", ids)
    dukcapil = Scripted(
        [Verdict.MATCH, Verdict.UNKNOWN, Verdict.MATCH, Verdict.UNKNOWN],
        Unavailable(),
        [Verdict.UNKNOWN, Verdict.MATCH],
        [Verdict.MATCH],
    )

    for _ in range(4):
        make_due()
        check_identities(dukcapil)

    assert set(Registrant.objects.filter(pk__in=ids).values_list("stage", "drop_off")) == {
        (Stage.IDENTITY_VERIFIED, DropOff.NONE)
    }


# Phone


def identified(count=1, **changes):
    ids = make_registrants(count, stage=Stage.IDENTITY_VERIFIED, **changes)
    enqueue("phone", ids)
    return ids


def test_a_dead_number_is_a_reason_and_another_number_clears_it(mailbox):
    [id] = identified()
    phone.send_batch(sms=Scripted([TextDelivery.NUMBER_DEAD]), size=9, clock=clock)
    assert Registrant.objects.get(pk=id).drop_off == DropOff.NUMBER_DEAD
    OneTimeCode.objects.update(sent_at=[START])

    assert phone.change_number(id, "+6281399990001", clock=clock)
    send_codes(mailbox)

    assert Registrant.objects.get(pk=id).drop_off == DropOff.NONE
    assert mailbox.texts[0].to == "+6281399990001"
    assert phone.type_codes([phone.Typed(id, mailbox.codes()[0])]) == [phone.Outcome.VERIFIED]


def test_a_code_sent_to_the_old_number_no_longer_works(mailbox):
    [id] = identified()
    send_codes(mailbox)

    phone.change_number(id, "+6281399990001", clock=clock)

    assert phone.type_codes([phone.Typed(id, mailbox.codes()[0])]) == [phone.Outcome.NOT_LIVE]


def test_a_number_belongs_to_whoever_proves_it_first(mailbox):
    ids = identified(2, phone="+6281234567890")
    send_codes(mailbox)
    codes_of = dict(zip([int(text.reference.partition(".")[0]) for text in mailbox.texts], mailbox.codes(), strict=True))

    outcomes = phone.type_codes([phone.Typed(id, codes_of[id]) for id in ids], clock=clock)

    assert sorted(outcome.name for outcome in outcomes) == ["TAKEN", "VERIFIED"]
    assert sorted(Registrant.objects.values_list("stage", "drop_off")) == [
        (Stage.IDENTITY_VERIFIED, DropOff.PHONE_TAKEN),
        (Stage.PHONE_VERIFIED, DropOff.NONE),
    ]


def test_a_worker_that_dies_after_sending_leaves_the_same_code_to_be_sent_again(mailbox):
    [id] = identified()

    class Dies:
        def send(self, texts):
            mailbox.texts.extend(texts)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        phone.send_batch(sms=Dies(), size=9, clock=clock)
    make_due()
    send_codes(mailbox)

    first, second = mailbox.texts
    assert first == second, "same reference, same code, same text"
    assert phone.type_codes([phone.Typed(id, mailbox.codes()[0])]) == [phone.Outcome.VERIFIED]


def test_five_wrong_tries_are_a_reason_and_a_new_code_clears_it(mailbox):
    [id] = identified()
    send_codes(mailbox)
    wrong = f"{(int(mailbox.codes()[0]) + 1) % 10**6:06}"

    outcomes = [phone.type_codes([phone.Typed(id, wrong)], clock=clock)[0] for _ in range(6)]

    assert [outcome.name for outcome in outcomes] == ["WRONG"] * 4 + ["USED_UP", "NOT_LIVE"]
    assert Registrant.objects.get(pk=id).drop_off == DropOff.ATTEMPTS_USED_UP
    OneTimeCode.objects.update(sent_at=[START])
    assert phone.send_code(id, clock=clock)
    assert Registrant.objects.get(pk=id).drop_off == DropOff.NONE


def test_personal_data_is_nowhere_in_the_clear(mailbox):
    [id] = identified()
    send_codes(mailbox)

    stored = OneTimeCode.objects.get(pk=id)

    assert mailbox.codes()[0].encode() not in stored.mac.bytes
    assert timedelta(minutes=5) == codes.LIFE


def test_a_gateway_that_is_down_gets_the_same_code_to_send_when_it_is_back(mailbox):
    [id] = identified()
    down = Scripted(Unavailable("down"))
    phone.send_batch(sms=down, size=9)
    [asked] = down.asked[0]
    make_due()

    phone.send_batch(sms=mailbox.sms, size=9)

    assert [(text.reference, text.text) for text in mailbox.texts] == [(asked.reference, asked.text)]
    assert phone.type_codes([phone.Typed(id, mailbox.codes()[0])]) == [phone.Outcome.VERIFIED]

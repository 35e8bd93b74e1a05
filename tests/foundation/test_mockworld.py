"""Where mock services deliver to."""

import pytest

from foundation import mockworld
from foundation.email import Mail, MockEmail
from foundation.models import MockMessage, Work
from foundation.sms import MockSms, Sms
from foundation.work import Claim

pytestmark = pytest.mark.django_db

LINK = "https://prakerja.example/surel/abc/"


def waiting(queue: str) -> list[tuple[int, list[str]]]:
    """Subject and note of everything in a queue."""
    claim = Claim.take(queue, size=1000)
    return [(item.subject, item.note) for item in claim.items] if claim else []


def test_inhabitants_get_their_mails_as_one_parcel():
    mails = [Mail(str(n), f"siti{n}@warga.example", "Halo", f'Buka:\n\n{LINK}\n\n"24" jam.') for n in (7, 8)]

    MockEmail().send([*mails, Mail("9", "x@hilang.example", "Halo", LINK)])

    assert Work.objects.count() == 1
    assert waiting("mailbox") == [(7, ["7", "siti7@warga.example", LINK]), (8, ["8", "siti8@warga.example", LINK])]
    assert mockworld.messages("email") == []


def test_a_mail_that_is_about_no_registrant_has_no_subject():
    MockEmail().send([Mail("sign-in", 'o"d\\d@warga.example', "Halo", "no link")])

    assert waiting("mailbox") == [(0, ["sign-in", 'o"d\\d@warga.example', ""])]


def test_inhabitants_get_their_codes():
    MockSms().send(
        [Sms("c-1", "+62812012345678", "12345678 and 040506 and 111111"), Sms("c-2", "+62812099999999", "070809")]
    )

    assert waiting("handset") == [(0, ["c-1", "+62812012345678", "040506"])]


def test_everybody_elses_messages_are_kept_sealed_newest_first():
    MockEmail().send([Mail("1", "ana@mail.example", "Halo", "Satu"), Mail("2", "siti@warga.example", "Halo", "Dua")])
    MockSms().send([Sms("a", "+6281234567890", "123456")])
    MockEmail().send([Mail("3", "budi@mail.example", "Hai", "Tiga")])

    shown = mockworld.messages("email")
    assert [(message.to, message.subject, message.text) for message in shown] == [
        ("budi@mail.example", "Hai", "Tiga"),
        ("ana@mail.example", "Halo", "Satu"),
    ]
    assert [(message.to, message.subject, message.text) for message in mockworld.messages("sms")] == [
        ("+6281234567890", "", "123456")
    ]
    assert all(b"example" not in bytes(row.sealed) for row in MockMessage.objects.all())


def test_the_newest_500_of_each_channel_are_kept():
    MockSms().send([Sms("a", "+6281234567890", "123456")])
    for start in (0, 300, 600):
        MockEmail().send([Mail(str(n), f"{n}@mail.example", "s", "t") for n in range(start, start + 300)])

    assert [message.to for message in mockworld.messages("email")] == [f"{n}@mail.example" for n in range(899, 399, -1)]
    assert MockMessage.objects.filter(channel="email").count() == 500
    assert len(mockworld.messages("sms")) == 1


def test_delivery_can_be_turned_off():
    MockEmail(deliver=False).send([Mail("1", "siti@warga.example", "s", "t"), Mail("2", "ana@mail.example", "s", "t")])
    MockSms(deliver=False).send([Sms("a", "+6281234567890", "123456")])

    assert not Work.objects.exists()
    assert not MockMessage.objects.exists()

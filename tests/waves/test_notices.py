"""What many are told: each once, by mail and by SMS, in claimed batches."""

import pytest

from foundation import email, sms
from foundation.models import ServiceState
from foundation.services import Unavailable
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from tests.clock import fall_due
from tests.plans import rows_read
from tests.waves.cast import (
    TOLD,
    Postbox,
    draw_and_announce,
    make_announced,
    make_applicants,
    make_published,
    make_wave,
    share_household,
)
from tests.waves.test_screening import put_on_list
from verification.status import why
from waves import draw as drawing
from waves import joining, naming, notices
from waves.models import ListKind, Notice, Place, Recipient, Ticket
from waves.screening import NotNow

pytestmark = pytest.mark.django_db

Kind = Notice.Kind


@pytest.fixture
def postbox():
    return Postbox()


def make_due():
    fall_due()


def recipients():
    return set(Recipient.objects.values_list("registrant_id", flat=True))


def addressed(messages):
    return sorted(int(message.reference.rpartition(".")[2]) for message in messages)


def test_the_selected_are_told_by_mail_and_sms_and_the_others_by_mail(postbox):
    make_announced(count=12, quota=5)

    postbox.empty()

    everybody = sorted(Registrant.objects.values_list("pk", flat=True))
    assert addressed(postbox.mails) == everybody
    assert addressed(postbox.texts) == sorted(recipients())
    of_winner = next(mail for mail in postbox.mails if addressed([mail])[0] in recipients())
    assert of_winner.subject == "Anda terpilih di gelombang 1 Kartu Prakerja"
    assert "paling lambat 16 Mei 2020" in of_winner.text, "30 days after 16 April"
    assert all("gelombang 1." in sms.text and "16 Mei 2020" in sms.text for sms in postbox.texts)
    of_loser = next(mail for mail in postbox.mails if addressed([mail])[0] not in recipients())
    assert "Kursinya lebih sedikit daripada" in of_loser.text
    assert "gelombang berikutnya dengan satu klik" in of_loser.text
    assert of_loser.text.startswith("Halo Siti Rahmawati")
    told = {notice.kind: notice for notice in Notice.objects.all()}
    assert (told[Kind.SELECTED].people, told[Kind.SELECTED].mailed, told[Kind.SELECTED].texted) == (5, 5, 5)
    assert (told[Kind.NOT_SELECTED].people, told[Kind.NOT_SELECTED].mailed, told[Kind.NOT_SELECTED].texted) == (7, 7, 0)


def test_who_could_not_take_part_is_told_all_reasons(postbox):
    wave = make_wave(quota=2)
    make_applicants(wave, 5)
    put_on_list(ListKind.ASN, 1)
    put_on_list(ListKind.SOCIAL_AID, 1)
    draw_and_announce(wave)

    postbox.empty()

    [mail] = [mail for mail in postbox.mails if "Aparatur" in mail.text or "ASN" in mail.text]
    assert "bantuan sosial lain" in mail.text
    assert "Jika keadaan ini berubah" in mail.text


def make_capped(postbox, *, count, quota, household, rooms=()):
    """An announced wave in which so many of the applicants have one family card, of whom two at most are taken."""
    wave = make_wave(quota=quota, rule_set="2021-03", rooms=rooms)
    ids = make_applicants(wave, count)
    share_household(ids[:household])
    draw = draw_and_announce(wave)
    postbox.empty()
    return draw, ids


def test_who_was_kept_back_by_the_family_card_is_told_so(postbox):
    _, ids = make_capped(postbox, count=6, quota=5, household=4)

    others = Registrant.objects.filter(stage=Stage.PHONE_VERIFIED)
    assert {one.drop_off for one in others} == {DropOff.HOUSEHOLD_FULL}
    assert {one.pk for one in others} < set(ids[:4])
    assert "family card" in why(others[0])
    letters = [mail.text for mail in postbox.mails if "Anda belum terpilih" in mail.text]
    assert len(letters) == len(others) == 2
    assert all("Jumlah penerima dalam" in text and "lebih sedikit" not in text for text in letters), letters


@pytest.mark.parametrize("rooms", [(), [{"name": "Java", "seats": 2, "province": 32}]], ids=["no room", "a room"])
def test_only_whose_turn_had_come_was_kept_back(postbox, rooms):
    draw, _ = make_capped(postbox, count=20, quota=6, household=12, rooms=rooms)

    taken = {place.registrant_id: place for place in Place.objects.all()}
    last = {cut_off["room"]: cut_off["rank"] for cut_off in draw.cut_offs}
    assert len(taken) == draw.quota
    kept_back = {
        ticket.registrant_id
        for ticket in Ticket.objects.all()
        if ticket.registrant_id not in taken
        and any(drawing.rank_of(draw, ticket) < last.get(room, 0) for room in (0, ticket.room))
    }
    told = set(Registrant.objects.filter(drop_off=DropOff.HOUSEHOLD_FULL).values_list("pk", flat=True))
    assert told == kept_back
    assert Registrant.objects.filter(drop_off=DropOff.NOT_DRAWN).count() == 20 - 6 - len(told)


def test_in_a_room_with_seats_left_over_everybodys_turn_had_come(postbox):
    wave = make_wave(quota=4, rule_set="2021-03", rooms=[{"name": "Papua", "seats": 3, "province": 91}])
    make_applicants(wave, 30)
    papuans = make_applicants(wave, 4, first=600, province=91)
    share_household(papuans)
    draw = draw_and_announce(wave)
    postbox.empty()

    assert [(cut_off["room"], cut_off["taken"]) for cut_off in draw.cut_offs] == [(0, 2), (1, 2)]
    told = set(Registrant.objects.filter(drop_off=DropOff.HOUSEHOLD_FULL).values_list("pk", flat=True))
    assert told == set(papuans) - recipients()
    assert len(told) == 2
    assert sum("Jumlah penerima dalam" in mail.text for mail in postbox.mails) == 2


def test_whether_somebody_was_kept_back_is_told_without_the_order_of_all(postbox):
    draw, ids = make_capped(postbox, count=6, quota=5, household=4)
    before = rows_read("waves_orderblock")

    assert drawing.kept_back(draw, ids) == set(ids[:4]) - recipients()
    assert drawing.kept_back(draw, ids[4:]) == set()

    assert rows_read("waves_orderblock") == before


def test_nobody_is_told_twice_whatever_is_run_twice(postbox):
    draw = make_announced(count=6, quota=2)
    with pytest.raises(NotNow):
        naming.announce(draw, at=TOLD)
    postbox.empty()
    postbox.empty()

    assert (len(postbox.mails), len(postbox.texts)) == (6, 2)


class Stumbling:
    """Takes a message the second time it is asked, and remembers by which references it was asked."""

    def __init__(self, delivery, taken):
        self.asked, self._delivery, self._taken = [], delivery, taken

    def send(self, messages):
        again = [message.reference in self.asked for message in messages]
        self.asked += [message.reference for message in messages]
        return [self._taken if seen else self._delivery.UNKNOWN for seen in again]


def test_what_got_no_answer_is_asked_again_by_the_same_reference():
    make_announced(count=6, quota=2)
    mail, text = (
        Stumbling(email.Delivery, email.Delivery.SENT),
        Stumbling(sms.Delivery, sms.Delivery.ACCEPTED),
    )
    for _ in range(2):
        while notices.send_emails(email=mail, size=1000) + notices.send_texts(sms=text, size=1000):
            pass
        make_due()

    assert sorted(mail.asked) == sorted(2 * list(set(mail.asked)))
    assert (len(mail.asked), len(text.asked)) == (12, 4)
    told = Notice.objects.get(kind=Kind.SELECTED)
    assert (told.mailed, told.texted, told.not_mailed, told.not_texted) == (2, 2, 0, 0)


def test_a_mailbox_that_is_full_is_counted(postbox):
    make_announced(count=3, quota=3)

    class Full:
        def send(self, messages):
            return [email.Delivery.MAILBOX_FULL for _ in messages]

    postbox.email = Full()
    postbox.empty()

    told = Notice.objects.get(kind=Kind.SELECTED)
    assert (told.mailed, told.not_mailed, told.texted) == (0, 3, 3)


def test_while_the_mail_server_is_down_everything_waits(postbox):
    make_announced(count=4, quota=2)

    class Down:
        def send(self, messages):
            raise Unavailable("down")

    assert notices.send_emails(email=Down(), size=1000) == 4
    assert Notice.objects.get(kind=Kind.NOT_SELECTED).mailed == 0
    ServiceState.objects.all().delete()
    make_due()

    postbox.empty()

    assert len(postbox.mails) == 4


def test_in_a_simulation_nobody_is_written_to(postbox):
    draw = make_published(count=6, quota=2)
    decree = naming.issue(draw, by="Denni", at=TOLD)
    assert naming.announce(draw, at=TOLD, in_earnest=False) == 4

    postbox.empty()

    decree.refresh_from_db()
    assert (postbox.mails, postbox.texts, decree.buy_by) == ([], [], None)


def test_who_is_not_selected_joins_the_next_wave_though_the_mail_still_waits(postbox):
    make_announced(count=4, quota=1)
    second = make_wave(2)
    loser = Registrant.objects.filter(stage=Stage.PHONE_VERIFIED).first()
    assert joining.join(2, [loser.pk], at=[second.opens_at]) == [joining.Outcome.JOINED]

    postbox.empty()

    [mail] = [mail for mail in postbox.mails if addressed([mail]) == [loser.pk]]
    assert "gelombang 1" in mail.subject

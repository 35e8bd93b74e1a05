"""A registrant's way, on a cheap phone and in Indonesian, from the home page to a verified phone number."""

import re
import time

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from foundation import mockworld
from registrations import ladder
from registrations.models import Draft, NikOwner, Registrant
from registrations.ownership import own
from registrations.person import nik_digest
from registrations.stages import DropOff, Stage
from tests.journeys.browser import CONFIRM, HEAVIEST, PATIENCE, SEND, find_chromium, in_fours
from tests.people import make_person, make_registrant
from verification.links import LINK_LIFE, Link

CHECKED, IDENTITY, VERIFIED = "Surel terverifikasi", "Identitas terverifikasi", "Nomor HP terverifikasi"
LOOK_INTO_MAILBOX, MY_STATUS, DEAD_LINK = "Periksa kotak surel Anda", "Status saya", "Tautan ini tidak berlaku lagi"
TO_SIGN_IN = "Tautan Anda untuk masuk"


def test_a_missing_chromium_is_told_in_one_sentence():
    with pytest.raises(pytest.fail.Exception) as failure:
        find_chromium({"PATH": "/nowhere"})

    assert "need Chromium: install it (Debian: apt-get install chromium)" in str(failure.value)


def test_without_javascript_somebody_comes_from_the_home_page_to_a_verified_phone(applicant, site):
    siti = applicant(javascript=False, key_by_key=True)
    device, page, person = siti.device, siti.device.page, siti.person
    device.open("/")
    device.follow("Daftar")
    siti.give_email()

    mistyped = person.nik[:7] + "9" + person.nik[8:]  # born on the 9th, if it were right
    siti.give_identity(nik=mistyped)
    expect(page.get_by_role("alert")).to_contain_text("Mohon periksa angka ini")
    assert page.locator(".digits mark").all_inner_texts() == ["9"]
    for label, kept in {
        "Nama": person.name,
        "NIK": in_fours(mistyped),
        "Nomor KK": in_fours(person.kk),
        "Tahun": "1980",
    }.items():
        expect(page.get_by_label(label, exact=True)).to_have_value(kept)
    expect(page.get_by_label("Perempuan")).to_be_checked()
    device.type("NIK", person.nik)
    device.press("Lanjutkan")
    siti.give_phone()
    siti.tick_statement()
    device.press(SEND)

    assert device.heading == LOOK_INTO_MAILBOX
    assert person.email not in page.content(), "whoever looks over the shoulder reads no address"
    link = device.mailed_link(person, CONFIRM)
    device.open(link)
    assert Registrant.objects.get().stage == Stage.REGISTERED, "to look at the link is not to confirm"
    with site.resting():
        device.press("Ya, ini kotak surel saya")
        assert (device.heading, device.rung) == (MY_STATUS, CHECKED)
        expect(page.get_by_role("main")).to_contain_text("Kami sedang mencocokkan data Anda dengan Dukcapil")
    device.look_again_until(IDENTITY)
    device.follow("Tulis kode")
    code = device.texted_code(person)
    device.type("Kode SMS", f"{(int(code) + 1) % 10**6:06}")
    device.press("Lanjutkan")
    expect(page.get_by_role("alert")).to_contain_text("Kode ini salah atau tidak berlaku lagi")
    device.type("Kode SMS", code)
    device.press("Lanjutkan")
    assert (device.path, device.rung) == ("/status/", VERIFIED)


def test_a_mismatch_is_told_corrected_and_verified_and_the_status_page_follows_by_itself(applicant):
    siti = applicant()
    siti.sign_up(kk=f"{siti.person.kk[:-1]}1")
    siti.open_link()
    page = siti.device.page

    expect(page.get_by_role("main")).to_contain_text("Nomor KK yang Anda tulis berbeda", timeout=PATIENCE * 1000)
    siti.device.follow("Perbaiki data saya")
    expect(page.get_by_label("Nama", exact=True)).to_have_value(siti.person.name)
    siti.device.type("Nomor KK", siti.person.kk)
    siti.device.press("Cocokkan lagi")

    expect(page.locator(".ladder li.current")).to_contain_text(IDENTITY, timeout=PATIENCE * 1000)
    assert Registrant.objects.get().drop_off == DropOff.NONE


def test_a_taken_address_sees_the_page_that_a_free_one_sees_and_its_owner_is_told(applicant):
    owner = make_registrant(number=1, stage=Stage.EMAIL_VERIFIED)
    second, free = applicant(2, email=make_person(1).email), applicant(3)

    second.sign_up()
    free.sign_up()

    assert seen(second) == seen(free)
    assert Registrant.objects.exclude(pk=owner.pk).count() == 1, "nobody was registered with the taken address"
    free.device.mailed_link(second.person, "Anda sudah terdaftar")


def seen(applicant):
    """The page, without what is each one's own: address, seconds to wait, token of the form."""
    content = applicant.device.page.content()
    return re.sub(r'value="[^"]+"|s\S+@s\S+|\d+ detik', "", content)


def test_a_mailed_link_signs_in_on_another_device_and_only_once(device):
    registrant = make_registrant(number=1, stage=Stage.EMAIL_VERIFIED)
    asking, reading, late = device(), device(), device()
    asking.open("/masuk/")
    asking.type("Alamat surel (e-mail)", make_person(1).email)
    asking.press("Kirim tautan")

    link = asking.mailed_link(make_person(1), TO_SIGN_IN)
    reading.open(link)
    reading.press("Masuk")
    late.open(link)
    late.press("Masuk")

    assert (reading.heading, reading.rung) == (MY_STATUS, CHECKED)
    assert late.heading == DEAD_LINK
    assert Registrant.objects.get().stage == registrant.stage


def test_a_code_by_sms_signs_in_and_signing_out_ends_it(device):
    make_registrant(number=1, stage=Stage.PHONE_VERIFIED)
    phone = device(javascript=False)
    phone.open("/masuk/")
    phone.follow("Lewat SMS")
    phone.type("Nomor HP", f"0{make_person(1).phone[3:]}")
    phone.press("Kirim kode")

    phone.type("Kode SMS", phone.texted_code(make_person(1)))
    phone.press("Lanjutkan")

    assert (phone.heading, phone.rung) == (MY_STATUS, VERIFIED)
    phone.press("Keluar")
    phone.open("/status/")
    assert phone.path == "/masuk/"


def test_a_sign_up_left_after_the_second_page_goes_on_from_another_device(applicant, device):
    siti, other = applicant(), device()
    siti.device.open("/daftar/")
    siti.give_email()
    siti.give_identity()

    other.open("/")
    other.follow("Masuk")
    other.type("Alamat surel (e-mail)", siti.person.email)
    other.press("Kirim tautan")
    other.open(other.mailed_link(siti.person, "Lanjutkan pendaftaran Kartu Prakerja Anda"))
    other.press("Masuk")
    while other.page.get_by_label("Nomor HP").count() == 0:
        other.press("Lanjutkan")  # what was typed is there already
    there = applicant(at=other)
    there.give_phone()
    there.tick_statement()
    other.press(SEND)

    assert other.heading == LOOK_INTO_MAILBOX
    there.open_link()
    assert other.heading == MY_STATUS
    assert Registrant.objects.get().birth_year == siti.person.birth_date.year


def test_a_forged_an_expired_and_a_used_link_lead_to_a_new_one(device):
    registrant = make_registrant(number=1)
    fresh = Link(registrant.id, registrant.revision, int(time.time()))
    expired = fresh._replace(issued=fresh.issued - LINK_LIFE - 60)
    forged = fresh.token[:-4] + fresh.token[-4:].swapcase()
    siti, stranger = device(), device()

    stranger.open(f"/surel/{forged}/")
    assert stranger.heading == DEAD_LINK
    stranger.open(f"/surel/{expired.token}/")
    stranger.press("Ya, ini kotak surel saya")
    assert stranger.heading == DEAD_LINK
    assert Registrant.objects.get().stage == Stage.REGISTERED

    for _ in range(2):  # a second time, on the same device, is a double click
        siti.open(f"/surel/{fresh.token}/")
        siti.press("Ya, ini kotak surel saya")
        assert siti.heading == MY_STATUS
    stranger.open(f"/surel/{fresh.token}/")
    stranger.press("Ya, ini kotak surel saya")
    assert stranger.heading == DEAD_LINK
    stranger.follow("Minta tautan baru")
    assert stranger.path == "/masuk/"


def test_a_double_click_and_the_back_button_leave_one_registrant(applicant):
    siti = applicant()
    device, page = siti.device, siti.device.page
    device.open("/daftar/")
    siti.give_email()
    siti.give_identity()
    siti.give_phone()
    siti.tick_statement()

    page.get_by_role("button", name=SEND).dblclick()
    expect(page.locator("h1")).to_have_text(LOOK_INTO_MAILBOX)
    page.go_back()
    expect(page.locator("h1")).to_have_text(LOOK_INTO_MAILBOX)
    page.go_forward()
    expect(page.locator("h1")).to_have_text(LOOK_INTO_MAILBOX)

    assert (Registrant.objects.count(), Draft.objects.count()) == (1, 1)
    device.mailed_link(siti.person, CONFIRM)
    assert len([mail for mail in mockworld.messages("email") if mail.to == siti.person.email]) == 1


def test_the_language_is_switched_to_english_and_back_where_one_stands(applicant):
    siti = applicant()
    page = siti.device.page
    siti.device.open("/daftar/")
    siti.give_email()

    siti.device.press("English")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("h1")).to_have_text("Who you are")
    page.get_by_role("link", name="Home").click()
    expect(page.locator("h1")).to_have_text("Train for the work you want")
    siti.device.press("Bahasa Indonesia")

    expect(page.locator("html")).to_have_attribute("lang", "id")
    expect(page.locator("h1")).to_have_text("Berlatih untuk pekerjaan yang Anda inginkan")


class Looker:
    """Looks at one page after the other as if for the first time, and notes what is wrong with each."""

    def __init__(self, device):
        self.device = device
        self.found = []
        device.first_load()

    def __call__(self, name):
        if (weight := self.device.weight()) > HEAVIEST:
            self.found.append(f"{name}: weighs {weight} bytes")
        assert weight > 10_000, "the style sheets are counted"
        self.found += self.device.faults(name)


def test_every_page_of_the_sign_up_is_light_fits_a_phone_and_can_be_read_by_all(applicant):
    siti = applicant()
    device, look = siti.device, Looker(siti.device)
    for path, name in {
        "/": "home",
        "/masuk/": "sign in",
        "/masuk/sms/": "sign in by SMS",
        "/tidak-ada/": "not found",
    }.items():
        device.open(path)
        look(name)

    device.open("/daftar/")
    look("sign up 1")
    device.press("Lanjutkan")
    look("sign up 1, nothing typed")
    device.type("Alamat surel (e-mail)", "siti@gmial.com")
    device.press("Lanjutkan")
    look("sign up 1, doubtful")
    siti.give_email()
    look("sign up 2")
    device.press("Lanjutkan")
    look("sign up 2, nothing typed")
    siti.give_identity(nik=siti.person.nik[:7] + "9" + siti.person.nik[8:])
    look("sign up 2, doubtful")
    siti.give_identity()
    look("sign up 3")
    device.press("Lanjutkan")
    look("sign up 3, nothing typed")
    siti.give_phone()
    look("sign up 4")
    device.press(SEND)
    look("sign up 4, nothing ticked")
    siti.tick_statement()
    device.press(SEND)
    look("look into mailbox")
    device.follow("Pakai alamat surel lain")
    look("another address")
    link = device.mailed_link(siti.person, CONFIRM)
    device.open("/mock/")
    look("demo mailbox")
    device.open(link)
    look("open link")
    device.open(f"{link.rstrip('/')}x/")
    look("dead link")

    assert look.found == []


def test_every_page_after_the_sign_up_is_light_fits_a_phone_and_can_be_read_by_all(device):
    registrant = make_registrant(number=1, stage=Stage.EMAIL_VERIFIED)
    phone, person = device(), make_person(1)
    look, now = Looker(phone), timezone.now()
    phone.open("/masuk/")
    phone.type("Alamat surel (e-mail)", person.email)
    phone.press("Kirim tautan")
    look("link sent")
    phone.open("/masuk/sms/")
    phone.type("Nomor HP", person.phone)
    phone.press("Kirim kode")
    look("code to sign in")

    phone.open(phone.mailed_link(person, TO_SIGN_IN))
    look("link to sign in")
    phone.press("Masuk")
    look("status, being checked")
    ladder.drop_off({registrant.pk: DropOff.KK_MISMATCH}, {registrant.pk: now})
    phone.open("/status/")
    look("status, something in the way")
    phone.open("/status/data/")
    look("correct my data")
    own(NikOwner, [(registrant.pk, nik_digest(person.nik))])
    ladder.climb(Stage.IDENTITY_VERIFIED, {registrant.pk: now})
    phone.open("/status/")
    look("status, code to type")
    phone.open("/status/kode/")
    look("code")
    phone.type("Kode SMS", "1")
    phone.press("Lanjutkan")
    look("code, wrong")
    phone.open("/status/nomor/")
    look("another number")
    ladder.climb(Stage.PHONE_VERIFIED, {registrant.pk: now})
    phone.open("/status/")
    look("status, verified")
    phone.open("/")
    look("home, signed in")

    assert look.found == []

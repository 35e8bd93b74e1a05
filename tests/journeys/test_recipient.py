"""A recipient's way, on a cheap phone and without JavaScript: buy, redeem, complete, rate, link an account, be paid."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from incentives import checking, gating, obligations
from incentives.models import Account
from incentives.payout import MockPayer
from registrations.models import Registrant
from registrations.stages import Stage
from tests.incentives.cast import make_batch, send
from tests.journeys.browser import PATIENCE
from tests.journeys.test_registrant import Looker
from tests.journeys.test_waves import visits
from tests.people import make_person
from tests.processes import wait_until
from tests.recipients import (
    buy_now,
    certify_now,
    complete_now,
    make_completed_now,
    make_recipient,
    make_recipients_now,
    make_training_now,
    redeem_now,
    signed_in,
)
from trainings import accounts
from trainings.models import Purchase, Review, Training

MY_STATUS = "Status saya"


@pytest.fixture
def at_home(device, settings):
    """Makes a phone on which this recipient is signed in."""

    def make(id, *, javascript=False, **options):
        settings.HINTS = False
        made = device(javascript=javascript, **options)
        visits(made, settings, signed_in(id).session)
        return made

    return make


def work():
    """What the workers do in time: what is owed is opened, gates are looked at, accounts are asked about."""
    obligations.open_batch(size=100)
    gating.refresh_batch(size=100)
    for payer in ("bni", "ovo"):
        checking.check_batch(payer, payer=MockPayer(), size=100)


def look_until(phone, path, text):
    """Open a page again until it says so: a worker may be at it."""

    def says():
        work()
        phone.open(path)
        return text in main(phone)

    wait_until(says, seconds=PATIENCE, what=text)


def main(phone):
    return phone.page.get_by_role("main").inner_text().replace("\u00a0", " ")


def pay():
    make_batch(at=timezone.now())
    while send(at=timezone.now()):
        pass


def test_a_recipient_buys_redeems_completes_rates_links_and_is_paid_without_javascript(at_home):
    me = make_recipient()
    make_training_now("A", title="Barista kopi", price=600_000)
    make_training_now("B", title="Menjahit dasar", price=400_000)
    phone = at_home(me.pk, key_by_key=True)
    page = phone.page

    # Buy.
    phone.open("/status/")
    assert "untuk membeli pelatihan pertama" in main(phone)
    phone.follow("Pilih pelatihan")
    phone.type("Anda ingin belajar apa?", "kopi")
    phone.press("Cari")
    assert "1 pelatihan ditemukan." in main(phone)
    phone.follow("Barista kopi")
    phone.follow("Beli dengan saldo saya")
    assert page.locator(".bill td").all_inner_texts() == ["Rp1.000.000", "−Rp600.000", "Rp400.000"]
    phone.press("Beli seharga Rp600.000")
    bought = Purchase.objects.get()
    assert phone.path == f"/pelatihan/saya/{bought.pk}/"
    expect(page.locator("code.redeem")).to_have_text(bought.redeem_code)
    assert "Buka situs atau aplikasi Tokopedia" in main(phone)

    # Redeem and complete, as the platform says; the certificate comes later.
    phone.open("/status/")
    phone.follow("Lihat kode penukaran saya")
    redeem_now(bought)
    phone.open("/status/")
    assert "Ikuti “Barista kopi” di Tokopedia sampai selesai" in main(phone)
    complete_now(bought, certified=False, at=timezone.now())
    look_until(phone, "/status/", "belum mengirim sertifikat")

    # Rate: what was typed is kept when something is missing.
    phone.follow("Nilai pelatihan saya")
    phone.type("Apa yang Anda pelajari, dan apa yang perlu diperbaiki?", "Sekarang saya bisa membuat kopi yang enak.")
    phone.press("Kirim ulasan saya")
    expect(page.get_by_role("alert")).to_contain_text("Pilih rating dari 1 sampai 5.")
    expect(page.locator("textarea")).to_have_value("Sekarang saya bisa membuat kopi yang enak.")
    page.get_by_label("4: bagus").check()
    phone.press("Kirim ulasan saya")
    assert Review.objects.get().rating == 4
    assert "4 dari 5" in main(phone)
    phone.open("/insentif/")
    assert "Nusa belum mengirim sertifikat Anda" in main(phone)
    assert "Yang harus bertindak\nNusa" in main(phone)
    certify_now(bought)

    # Link an account, not without slips.
    look_until(phone, "/insentif/", "belum menyambungkan rekening")
    phone.follow("Sambungkan rekening")
    page.get_by_label("BNI (10 angka)").check()
    phone.type("Nomor rekening", "10OO00001")
    phone.press("Sambungkan")
    expect(page.get_by_role("alert")).to_contain_text("Nomor rekening hanya berisi angka.")
    expect(page.get_by_label("BNI (10 angka)")).to_be_checked()
    phone.type("Nomor rekening", "1000 0000 01")
    phone.press("Sambungkan")
    assert phone.path == "/rekening/"
    look_until(phone, "/rekening/", "Siap menerima")

    # Be paid.
    pay()
    phone.open("/insentif/")
    assert "Sudah diterima\nRp600.000" in main(phone).replace(" \n", "\n")
    assert "Dibayar" in page.locator(".dues > li").first.inner_text()
    phone.open("/status/")
    assert (phone.heading, phone.rung) == (MY_STATUS, "Insentif diterima")
    phone.follow("Lihat insentif saya")
    assert phone.path == "/insentif/"
    assert Registrant.objects.get(pk=me.pk).stage == Stage.INCENTIVE_RECEIVED


def test_two_clicks_and_the_back_button_buy_once(at_home):
    me = make_recipient()
    training = make_training_now()
    phone = at_home(me.pk, javascript=True)
    phone.open(f"/pelatihan/{training.pk}/beli/")

    phone.page.get_by_role("button", name="Beli seharga Rp400.000").dblclick()
    expect(phone.page.locator("code.redeem")).to_have_count(1)
    phone.page.go_back()
    if phone.page.get_by_role("button", name="Beli seharga Rp400.000").count():
        phone.press("Beli seharga Rp400.000")

    assert Purchase.objects.count() == 1
    assert accounts.recount() == []


def test_a_seat_that_is_taken_while_one_thinks_it_over_and_a_balance_that_is_too_low(at_home):
    me, other = make_recipients_now(2)
    last, dear = (
        make_training_now("A", title="Kursi terakhir", seats=1),
        make_training_now("B", title="Mahal", price=900_000),
    )
    phone = at_home(me)
    phone.open(f"/pelatihan/{last.pk}/beli/")
    buy_now(other, last)

    phone.press("Beli seharga Rp400.000")
    assert "Semua kursi pelatihan ini sudah terisi" in main(phone)
    phone.follow("Pelatihan lain")
    phone.follow("Mahal")
    phone.follow("Beli dengan saldo saya")
    make_training_now("C", title="Lain", price=200_000)
    buy_now(me, Training.objects.get(code="C"))
    phone.press("Beli seharga Rp900.000")
    assert "Harganya Rp900.000, sedangkan saldo Anda Rp800.000" in main(phone)
    phone.follow("Pelatihan yang cukup dengan saldo saya")

    assert "Mahal" not in main(phone)
    assert not Purchase.objects.filter(registrant_id=me, training__in=[last, dear]).exists()


def test_an_account_is_changed_with_a_code_and_a_lost_phone_waits(at_home):
    me = make_completed_now(days_ago=2)
    person = make_person(1000)
    phone = at_home(me)
    phone.open("/rekening/tautkan/")
    phone.page.get_by_label("OVO").check()
    phone.type("Nomor rekening", "0899 1300 0001")
    phone.press("Sambungkan")
    look_until(phone, "/rekening/", "belum di-upgrade")
    assert "Yang harus bertindak\nAnda" in main(phone)

    phone.follow("Pakai rekening lain")
    phone.press("Kirim kodenya")
    phone.page.get_by_label("BNI (10 angka)").check()
    phone.type("Nomor rekening", "1000000001")
    phone.type("Kode SMS", phone.texted_code(person))
    phone.press("Ganti rekening saya")
    look_until(phone, "/rekening/", "Siap menerima")
    assert Account.objects.get(ended_at=None).payer == "bni"

    phone.follow("Ganti nomor HP, atau nomor saya hilang")
    phone.type("Nomor HP baru", "0812 9999 0001")
    phone.page.get_by_label("Tidak, nomornya sudah hilang").check()
    phone.press("Lanjutkan")
    born = person.birth_date
    for label, text in {
        "NIK": person.nik,
        "Nomor KK": person.kk,
        "Tanggal": str(born.day),
        "Bulan": str(born.month),
        "Tahun": str(born.year),
        "Kode ke nomor baru Anda": phone.texted_code(person._replace(phone="+6281299990001")),
    }.items():
        phone.type(label, text)
    phone.press("Minta penggantian")
    assert "Ada permintaan penggantian" in main(phone)
    phone.press("Hentikan penggantian ini")
    assert "Ada permintaan penggantian" not in main(phone)


def test_every_page_of_a_recipient_is_light_fits_a_phone_and_can_be_read_by_all(at_home):
    me = make_recipients_now(days=5)[0]
    for number in range(14):
        make_training_now(f"T-{number}", title=f"Kursus keterampilan nomor {number}", seats=None if number % 2 else number)
    cheap = make_training_now("CHEAP", title="Murah", price=100_000)
    phone = at_home(me, javascript=True)
    look = Looker(phone)

    def see(path, name):
        phone.open(path)
        look(name)

    see("/status/", "recipient selected")
    see("/pelatihan/", "trainings")
    see("/pelatihan/?q=nomor&mode=2&price=750000", "trainings found")
    see("/pelatihan/?q=tidak+ada", "trainings none")
    see(f"/pelatihan/{cheap.pk}/", "training")
    see(f"/pelatihan/{Training.objects.get(code='T-0').pk}/", "training sold out")
    see(f"/pelatihan/{cheap.pk}/beli/", "buy")
    see("/pelatihan/saya/", "nothing bought")
    see("/insentif/", "incentives to come")
    see("/rekening/tautkan/", "link")
    phone.press("Sambungkan")
    look("link, nothing typed")
    bought = buy_now(me, cheap)
    see(f"/pelatihan/{cheap.pk}/", "training bought")
    see(f"/pelatihan/saya/{bought.pk}/", "redeem code")
    see(f"/pelatihan/saya/{bought.pk}/batal/", "cancel")
    redeem_now(bought)
    complete_now(bought, at=timezone.now())
    see("/insentif/", "incentives being written")
    work()
    see("/pelatihan/saya/", "my trainings")
    see(f"/pelatihan/saya/{bought.pk}/ulasan/", "review")
    phone.press("Kirim ulasan saya")
    look("review, nothing said")
    see("/insentif/", "incentives blocked")
    see("/status/", "recipient completed")
    assert look.found == []


def test_every_page_of_the_money_is_light_fits_a_phone_and_can_be_read_by_all(at_home):
    me = make_completed_now(days_ago=3)
    phone = at_home(me, javascript=True)
    look = Looker(phone)

    def see(path, name):
        phone.open(path)
        look(name)

    phone.open("/rekening/tautkan/")
    phone.page.get_by_label("BNI (10 angka)").check()
    phone.type("Nomor rekening", "9911000001")
    phone.press("Sambungkan")
    look("account being checked")
    look_until(phone, "/rekening/", "milik NIK lain")
    look("account of another")
    see("/insentif/", "incentives, account of another")
    see("/rekening/ganti/", "change account")
    phone.press("Kirim kodenya")
    look("change account, code")
    phone.press("Ganti rekening saya")
    look("change account, nothing typed")
    see("/rekening/nomor/", "change phone")
    phone.press("Lanjutkan")
    look("change phone, nothing typed")
    phone.type("Nomor HP baru", "0812 9999 0001")
    phone.page.get_by_label("Tidak, nomornya sudah hilang").check()
    phone.press("Lanjutkan")
    look("lost phone")
    phone.press("Minta penggantian")
    look("lost phone, nothing typed")
    Account.objects.update(gate=0)
    gating.refresh([me], at=timezone.now())
    pay()
    Registrant.objects.filter(pk=me).update(incentive_received_at=timezone.now() - timedelta(days=31))
    see("/rekening/", "account ready")
    see("/insentif/", "incentives paid")
    see("/insentif/survei/1/", "survey")
    phone.press("Kirim jawaban saya")
    look("survey, nothing answered")
    assert look.found == []

"""Waves: a registrant joins at home, the office draws in twos, and a stranger checks."""

import hashlib
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from foundation import services
from registrations.models import Registrant, Wave
from registrations.stages import Stage
from tests.journeys.browser import DESK, HEAVIEST, PHONE
from tests.people import make_registrant, make_registrants
from tests.waves.cast import make_announced, make_wave
from tests.waves.test_revocation import buy, revoke_all
from tests.waves.test_screening import put_on_list
from waves import acts, correction, joining, publishing, reserves, revocation
from waves.draw import ticket_text
from waves.models import Act, Called, Decree, Draw, ListKind, Plan, Recipient, Ticket

CHECKER = Path(__file__).resolve().parents[2] / "tools" / "verify_draw.py"


def visits(device, settings, session):
    """The device carries this session."""
    device.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session.session_key, "url": settings.BASE_URL}]
    )


@pytest.fixture
def registrant(device, settings):
    """Makes a device on which this registrant is signed in."""

    def make(who: Registrant, **options):
        client = Client()
        session = client.session
        session["registrant"] = who.pk
        session.save()
        settings.HINTS = False
        made = device(**options)
        visits(made, settings, session)
        return made

    return make


@pytest.fixture
def staff(device, settings):
    """Makes a desk at which this member of staff is signed in."""

    def make(name: str, **options):
        client = Client()
        client.force_login(User.objects.create_user(name, is_staff=True))
        made = device(**{"width": DESK} | options)
        visits(made, settings, client.session)
        return made

    return make


def open_now(wave: Wave) -> None:
    Wave.objects.filter(pk=wave.pk).update(
        opens_at=timezone.now() - timedelta(days=1), closes_at=timezone.now() + timedelta(days=3)
    )


def close_now(wave: Wave) -> None:
    Wave.objects.filter(pk=wave.pk).update(closes_at=timezone.now() - timedelta(hours=1))


@pytest.mark.parametrize("javascript", [True, False])
def test_who_is_verified_joins_leaves_and_joins_again(registrant, javascript):
    open_now(make_wave())
    phone = registrant(make_registrant(stage=Stage.PHONE_VERIFIED), javascript=javascript)

    phone.open("/status/")
    phone.press("Gabung gelombang 1")
    assert "Anda sudah bergabung di gelombang 1" in phone.page.inner_text("main")
    if javascript:
        assert phone.faults("joined") == []
    phone.press("Keluar dari gelombang ini")
    assert "Gelombang 1 sedang dibuka" in phone.page.inner_text("main")
    phone.press("Gabung gelombang 1")

    assert phone.path == "/status/"
    assert phone.page.get_by_role("button", name="Keluar dari gelombang ini").count() == 1


def test_who_comes_too_late_is_told_so(registrant):
    wave = make_wave()
    open_now(wave)
    phone = registrant(make_registrant(stage=Stage.PHONE_VERIFIED))
    phone.open("/status/")
    close_now(wave)

    phone.press("Gabung gelombang 1")

    assert "baru saja ditutup" in phone.page.inner_text("main")
    assert phone.faults("too late") == []
    phone.complaints = [complaint for complaint in phone.complaints if "409" not in complaint]


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_office_lays_down_rules_and_seats_set_apart(staff, width):
    open_now(make_wave(quota=10))
    ani = staff("ani", width=width)

    ani.open("/pmo/gelombang/1/")
    form = ani.page.locator("details", has=ani.page.locator("#provinces"))
    form.locator("summary").click()
    assert ani.faults("rules to lay down") == []
    form.locator("#rule-set").select_option("2021-03")
    form.locator("#provinces").fill("Jawa Barat; 4\nAtlantis; 1")
    form.locator("#why-rules").fill("Keputusan Komite")
    with ani.page.expect_navigation():
        form.locator("button").click()
    assert "Atlantis" in ani.page.get_by_role("alert").inner_text()
    assert ani.faults("rules refused") == []
    form.locator("#provinces").fill("Jawa Barat; 4")
    with ani.page.expect_navigation():
        form.locator("button").click()

    plan = Plan.objects.get()
    assert (plan.rule_set_id, plan.rooms) == ("2021-03", [{"name": "Jawa Barat", "seats": 4, "province": 32}])
    assert "Keputusan Komite" in ani.page.inner_text("main")
    assert ani.faults("rules laid down") == []


def test_the_office_draws_in_twos_and_everybody_can_check_it(staff, registrant, device, tmp_path):
    wave = make_wave(quota=20, rule_set="2021-03")
    ids = make_registrants(60, stage=Stage.PHONE_VERIFIED)
    joining.join(1, ids, at=[wave.opens_at + timedelta(days=1)] * 60)
    put_on_list(ListKind.SOCIAL_AID, 1, 2, 3)
    ani, budi = staff("ani"), staff("budi")
    now = timezone.now()

    def work():
        """The worker does what was confirmed."""
        acts.carry_out_waiting(beacon=services.get("randomness"), clock=lambda: now)

    def ask(desk, name):
        desk.open("/pmo/gelombang/1/")
        desk.page.get_by_label("Saya sudah memeriksa angka di halaman ini.").first.check()
        desk.press(name)

    def confirm(desk):
        desk.open("/pmo/gelombang/1/")
        desk.page.get_by_label("Saya sudah memeriksa angka di halaman ini.").first.check()
        desk.press("Konfirmasi")
        work()

    for who in (ani, staff("citra", width=PHONE)):
        who.open("/pmo/gelombang/")
        assert who.faults("waves") == []
    ask(ani, "Saring pendaftaran")
    work()
    ask(ani, "Bekukan daftar")
    assert ani.page.get_by_role("button", name="Konfirmasi").count() == 0, "not the one who asked"
    assert ani.faults("wave to freeze") == []
    confirm(budi)
    ask(budi, "Tetapkan rahasia dan putaran")
    confirm(ani)
    draw = Draw.objects.get()
    assert draw.committed_at is not None
    now = services.get("randomness").chain.at(draw.round)  # an hour has passed
    acts.reveal(beacon=services.get("randomness"), at=now)
    ask(ani, "Umumkan undian")
    confirm(budi)
    publishing.write_missing()
    budi.open("/pmo/gelombang/1/")
    budi.type("Siapa yang menandatangani, dengan jabatannya", "Denni, Direktur Eksekutif")
    assert budi.faults("wave drawn") == []
    budi.page.get_by_label("Saya sudah memeriksa angka di halaman ini.").first.check()
    budi.press("Terbitkan SK")
    confirm(ani)
    ask(ani, "Umumkan hasil")
    confirm(budi)
    for who in (budi, staff("dewi", width=PHONE)):
        who.open("/pmo/gelombang/1/")
        assert who.faults("wave announced") == []
    assert Act.objects.exclude(done_at=None).count() == 6

    draw.refresh_from_db()
    ticket = Ticket.objects.filter(draw_id=draw.pk).first()
    stranger = device(width=PHONE)
    stranger.open("/undian/")
    assert stranger.faults("draws") == []
    stranger.follow("Gelombang 1")
    stranger.type("Nomor tiket (15 angka dan huruf a sampai f)", ticket_text(ticket.number).upper())
    stranger.press("Cari")
    assert "ya: nomor 1 dari 57" in stranger.page.inner_text("main")
    assert stranger.faults("draw") == []
    for name in publishing.FILES:
        with stranger.page.expect_download() as download:
            stranger.page.get_by_role("link", name=name).click()
        download.value.save_as(tmp_path / name)
    told = publishing.as_json(draw)
    checked = subprocess.run(
        [sys.executable, "-I", CHECKER, tmp_path, "--root", told["root"]], capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stderr

    decree = Decree.objects.get()
    stranger.open(f"/sk/?hash={bytes(decree.sha256).hex()}")
    assert "Ini daftar SK 1/2026, tidak berubah." in stranger.page.inner_text("main")
    assert stranger.faults("decree") == []
    stranger.open(f"/sk/?hash={'0' * 64}")
    assert "Tidak ada SK" in stranger.page.inner_text("main")

    home = registrant(Registrant.objects.get(pk=ticket.registrant_id))
    home.open("/status/")
    assert "Peringkat Anda" in home.page.inner_text("main")
    assert home.faults("status after the draw") == []
    kept_out = registrant(Registrant.objects.get(pk=ids[0]))
    kept_out.open("/status/")
    assert "Anda menerima bantuan sosial lain" in kept_out.page.inner_text("main")
    assert kept_out.faults("status kept out") == []


@pytest.fixture
def after_the_announcement(transactional_db):
    """Eight of thirty were drawn; two of them have bought a training, six have not, and were revoked. Wave 2 is to come."""
    draw = make_announced(count=30, quota=8)
    buy(2)
    revoke_all()
    make_wave(2)
    return draw


def test_the_office_decrees_revocation_calls_reserves_gives_seats_and_corrects_in_twos(
    after_the_announcement, staff, device, tmp_path
):
    draw = after_the_announcement
    desk, phone = staff("ani"), staff("budi", width=PHONE)

    def unfold(who):
        who.open("/pmo/gelombang/1/")
        for details in who.page.locator("details").all():
            details.evaluate("details => details.open = true")

    def ask(who, name, **typed):
        unfold(who)
        form = who.page.locator("form").filter(has=who.page.get_by_role("button", name=name, exact=True))
        for label, text in typed.items():
            field = form.get_by_label(label.replace("_", " "))
            (field.select_option if field.evaluate("field => field.tagName") == "SELECT" else field.fill)(text)
        form.get_by_role("checkbox").check()
        who.press(name)
        assert "Orang lain yang mengonfirmasinya" in who.page.inner_text("main")

    def confirm(who, name):
        who.open("/pmo/gelombang/1/")
        assert who.faults(f"to confirm, {name}") == []
        who.page.get_by_label("Saya sudah memeriksa angka di halaman ini.").first.check()
        who.press("Konfirmasi")
        acts.carry_out_waiting(beacon=services.get("randomness"), clock=timezone.now)
        who.open("/pmo/gelombang/1/")
        assert who.page.get_by_role("alert").count() == 0, "it was done"

    for who in (desk, phone):
        unfold(who)
        assert who.faults("recipients, some revoked") == []
    assert "Rp21.300.000 (6 × Rp3.550.000)" in desk.page.inner_text("main")
    signer = {"Siapa_yang_menandatangani,_dengan_jabatannya": "Denni, Direktur Eksekutif"}
    ask(desk, "Terbitkan SK pencabutan", **signer)
    confirm(phone, "revocation")
    ask(phone, "Panggil cadangan", Jumlah_kursi="2", **signer)
    confirm(desk, "reserves")
    ask(desk, "Alihkan kursi ke gelombang sesudahnya", Jumlah_kursi="3", Alasan="Dana dari kursi yang dicabut.")
    confirm(phone, "move")
    bought = Recipient.objects.filter(ended_at=None, decree_id=draw.decrees.order_by("pk")[0].pk)
    gone = Ticket.objects.get(draw_id=draw.pk, registrant_id=called_by(draw)[0])
    assert bought.count() == 2
    ask(
        phone,
        "Perbaiki SK",
        **{"Siapa_yang_ditambah,_dan_siapa_yang_dihapus": f"-; {ticket_text(gone.number)}; Ternyata ASN."},
        **signer,
    )
    confirm(desk, "correction")

    for who in (desk, phone):
        unfold(who)
        assert who.faults("recipients, after all") == []
    page = desk.page.inner_text("main")
    assert "Dana dari kursi yang dicabut." in page
    assert "Ternyata ASN." not in page, "the reason is in the list, and on the person's own page"
    kinds = list(Decree.objects.order_by("pk").values_list("kind", "names"))
    assert kinds == [("recipients", 8), ("revocation", 6), ("reserves", 2), ("correction", 1)]
    assert Wave.objects.get(pk=2).quota == 13
    desk.type("Untuk apa Anda perlu daftar SK 2/2026", "Diminta BPK.")
    form = desk.page.locator("form").filter(has=desk.page.get_by_label("Untuk apa Anda perlu daftar SK 2/2026"))
    with desk.page.expect_download() as download:
        form.get_by_role("button", name="Ambil (CSV)").click()
    download.value.save_as(tmp_path / "list.csv")
    stranger = device(width=PHONE)
    stranger.open("/sk/")
    stranger.type("SHA-256 daftar", hashlib.sha256((tmp_path / "list.csv").read_bytes()).hexdigest())
    stranger.press("Periksa")
    assert "Ini daftar SK 2/2026, tidak berubah." in stranger.page.inner_text("main")
    assert stranger.faults("list checked") == []
    stranger.open("/undian/1/")
    assert "Kursi yang kosong diberikan kepada cadangan berikutnya" in stranger.page.inner_text("main")
    assert stranger.faults("draw with reserves") == []
    unfold(desk)
    assert "Diminta BPK." in desk.page.inner_text("main")


def called_by(draw):
    """Who was called from the reserve, by rank."""
    return list(
        Called.objects.filter(draw_id=draw.pk, outcome="named").order_by("rank").values_list("registrant_id", flat=True)
    )


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_recipient_sees_the_card_the_days_left_and_why_it_has_ended(after_the_announcement, registrant, width):
    draw, wave, now = after_the_announcement, Wave.objects.get(pk=1), timezone.now()
    revoked = Registrant.objects.get(pk=Recipient.objects.exclude(ended_at=None).first().pk)
    revocation.issue(wave, by="Denni", at=now)
    reserves.call(wave, 2, by="Denni", at=now)
    kept, removed = (Registrant.objects.get(pk=id) for id in called_by(draw))
    ticket = ticket_text(Ticket.objects.get(draw_id=draw.pk, registrant_id=removed.pk).number)
    correction.issue(wave, correction.read(f"-; {ticket}; Ternyata ASN sejak Maret."), by="Denni", at=now)

    recipient = registrant(kept, width=width)
    recipient.open("/status/")
    page = recipient.page.inner_text("main")
    assert re.search(r"8020 \d{4} \d{4} \d{4}", page)
    assert "sisa 30 hari" in page
    assert "Dipanggil dari cadangan" in page
    assert recipient.faults("card") == []
    assert recipient.weight() < HEAVIEST
    late = registrant(revoked, width=width)
    late.open("/status/")
    assert "Berakhir" in late.page.inner_text("#card")
    assert "SK 1/2026" in late.page.inner_text("main")
    assert late.faults("card, revoked") == []
    gone = registrant(removed, width=width)
    gone.open("/status/")
    assert "Ternyata ASN sejak Maret." in gone.page.inner_text("main")
    assert gone.faults("card, removed") == []


def test_a_ticket_that_nobody_has_and_a_wave_that_nobody_knows(device):
    make_wave()
    stranger = device(width=DESK)

    stranger.open("/undian/1/?ticket=nonsense")
    assert "belum dibekukan" in stranger.page.inner_text("main")
    stranger.open("/undian/77/")

    assert stranger.page.locator("h1").count() == 1
    stranger.complaints = [complaint for complaint in stranger.complaints if "404" not in complaint]

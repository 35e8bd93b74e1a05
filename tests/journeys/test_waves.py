"""Waves: a registrant joins at home, the office draws in twos, and a stranger checks."""

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
from tests.journeys.browser import DESK, PHONE
from tests.people import make_registrant, make_registrants
from tests.waves.cast import make_wave
from tests.waves.test_screening import put_on_list
from waves import acts, joining, publishing
from waves.draw import ticket_text
from waves.models import Act, Decree, Draw, ListKind, Ticket

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


def test_the_office_draws_in_twos_and_everybody_can_check_it(staff, registrant, device, tmp_path):
    wave = make_wave(quota=20, rule_set="2021-03")
    ids = make_registrants(60, stage=Stage.PHONE_VERIFIED)
    joining.join(1, ids, at=[wave.opens_at + timedelta(days=1)] * 60)
    put_on_list(ListKind.SOCIAL_AID, 1, 2, 3)
    ani, budi = staff("ani"), staff("budi")
    now = timezone.now()

    def work():
        """The worker does what was confirmed."""
        acts.carry_out_waiting(beacon=services.get("randomness"), at=now)

    def ask(desk, name):
        desk.open("/pmo/gelombang/1/")
        desk.page.get_by_label("Saya sudah memeriksa angka di halaman ini.").first.check()
        desk.press(name)

    def confirm(desk):
        desk.open("/pmo/gelombang/1/")
        desk.press("Konfirmasi")
        work()

    ani.open("/pmo/gelombang/")
    assert ani.faults("waves") == []
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
    budi.open("/pmo/gelombang/1/")
    assert budi.faults("wave announced") == []
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


def test_a_ticket_that_nobody_has_and_a_wave_that_nobody_knows(device):
    make_wave()
    stranger = device(width=DESK)

    stranger.open("/undian/1/?ticket=nonsense")
    assert "belum dibekukan" in stranger.page.inner_text("main")
    stranger.open("/undian/77/")

    assert stranger.page.locator("h1").count() == 1
    stranger.complaints = [complaint for complaint in stranger.complaints if "404" not in complaint]

"""The programme office's screen, at a desk: who stands where, why the others do not, now, then, and wave by wave."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from registrations import ladder
from registrations.funnel import WIB
from registrations.models import Wave
from registrations.regions import Province
from registrations.stages import DropOff, Stage
from tests.journeys.browser import DESK, PHONE
from tests.people import START, make_registrants

RUNGS = [
    "Terdaftar",
    "Surel terverifikasi",
    "Identitas terverifikasi",
    "Nomor HP terverifikasi",
    "Terpilih",
    "Pelatihan dibeli",
    "Pelatihan selesai",
    "Insentif diterima",
]
NEXT_DAY = START + timedelta(days=1)
SECOND_WAVE = START + timedelta(days=6)
PASSWORD = "kata-sandi-petugas"


@pytest.fixture
def people(transactional_db, settings):
    """100 on the first day of wave 1, 30 on its second, 20 in wave 2; some of them held up."""
    settings.HINTS = False  # nobody is written to: they stay where they are
    full = make_registrants(60)
    ladder.drop_off(dict.fromkeys(full[:40], DropOff.MAILBOX_FULL), dict.fromkeys(full[:40], START))
    checked = make_registrants(25, stage=Stage.EMAIL_VERIFIED, first=1001)
    ladder.drop_off(dict.fromkeys(checked[:5], DropOff.KK_MISMATCH), dict.fromkeys(checked[:5], START))
    make_registrants(15, stage=Stage.PHONE_VERIFIED, first=2001)
    make_registrants(30, at=NEXT_DAY, first=3001, province=Province(35))
    Wave.objects.create(number=2, opens_at=START + timedelta(days=5), closes_at=START + timedelta(days=10))
    make_registrants(20, at=SECOND_WAVE, first=4001, stage=Stage.IDENTITY_VERIFIED, province=Province(73))


@pytest.fixture
def desk(people, device, settings):
    """A member of staff at a desk, signed in; `people` are there before the first look."""
    client, desk = Client(), device(width=DESK)
    client.force_login(get_user_model().objects.create_user("petugas", is_staff=True))
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    desk.context.add_cookies([{"name": session.key, "value": session.value, "url": settings.BASE_URL}])
    desk.open("/pmo/")
    return desk


def signs_in(desk, password):
    desk.page.locator("input[name=username]").fill("petugas")
    desk.page.locator("input[name=password]").fill(password)
    desk.press("Masuk")


def rungs(desk):
    """People by rung, as the screen writes them."""
    lines = desk.page.locator("tr.rung")
    return dict(
        zip(lines.locator("th").all_inner_texts(), lines.locator("td:nth-of-type(1)").all_inner_texts(), strict=True)
    )


def reached(*people):
    return dict(zip(RUNGS, [*people, *["0"] * (len(RUNGS) - len(people))], strict=True))


def ask(desk, scope, *, wave=None, date="", time=""):
    page = desk.page
    page.get_by_label(scope, exact=True).check()
    if wave:
        page.locator("#wave").select_option(wave)
    page.locator("#date").fill(date)
    page.locator("#time").fill(time)
    desk.press("Tampilkan")


def test_only_staff_who_know_the_password_come_in(device):
    get_user_model().objects.create_user("petugas", password=PASSWORD, is_staff=True)
    desk = device(width=DESK)
    desk.open("/pmo/?scope=all")

    signs_in(desk, "salah")
    assert (desk.path, desk.page.get_by_role("alert").count()) == ("/pmo/masuk/", 1)
    signs_in(desk, PASSWORD)
    expect(desk.page.get_by_role("main")).to_contain_text("Belum ada pendaftar")

    assert desk.page.url.endswith("/pmo/?scope=all"), "they come to where they wanted to"
    desk.press("Keluar")
    desk.open("/pmo/")
    assert desk.path == "/pmo/masuk/"


def test_the_screen_shows_rungs_reasons_bars_and_provinces(desk):
    page = desk.page
    reasons = page.locator("tr.rung:has-text('Terdaftar') ~ tr.why")
    bars = page.locator("tr.rung rect")

    assert rungs(desk) == reached("150", "60", "35", "15")
    assert [re.sub(r"\s+", " ", row).strip() for row in reasons.all_inner_texts()] == [
        "Belum di tahap berikutnya 90 60,0 %",
        "Tautan di surel belum dibuka 50 33,3 %",
        "Kotak surel penuh 40 26,7 %",
    ]
    widths = [(box := bars.nth(number).bounding_box()) and box["width"] for number in range(2)]
    assert widths[1] / widths[0] == pytest.approx(60 / 150, abs=0.01)
    assert [re.sub(r"\s+", " ", row).strip() for row in page.locator(".provinces tbody tr").all_inner_texts()] == [
        "Jawa Barat 100 15",
        "Jawa Timur 30 0",
        "Sulawesi Selatan 20 0",
    ]

    page.get_by_label("Alasan").uncheck()
    page.get_by_label("Provinsi", exact=True).uncheck()
    expect(reasons.first).to_be_hidden()
    expect(page.locator(".provinces")).to_be_hidden()


def test_one_wave_the_waves_until_one_and_any_past_hour_can_be_asked_for(desk):
    ask(desk, "Satu gelombang", wave="2")
    assert (desk.heading, rungs(desk)) == ("Gelombang 2", reached("20", "20", "20"))
    expect(desk.page.get_by_label("Satu gelombang", exact=True)).to_be_checked()

    ask(desk, "Sampai satu gelombang", wave="1")
    assert (desk.heading, rungs(desk)) == ("Gelombang 1 sampai 1", reached("130", "40", "15", "15"))

    ask(desk, "Semua", date=f"{START.astimezone(WIB):%Y-%m-%d}", time="09:00")
    assert rungs(desk) == reached("100", "40", "15", "15")
    expect(desk.page.locator(".freshness")).to_have_text(re.compile(r"Per 11\sApr\s2020\s09\.00\sWIB"))
    ask(desk, "Semua", date=f"{NEXT_DAY.astimezone(WIB):%Y-%m-%d}")
    assert rungs(desk) == reached("130", "40", "15", "15")
    desk.follow("Atur ulang")
    assert rungs(desk) == reached("150", "60", "35", "15")


def test_a_question_that_makes_no_sense_is_told_in_words_and_shows_no_numbers(desk):
    page, tomorrow = desk.page, timezone.now() + timedelta(days=2)

    desk.open("/pmo/?wave=999")
    expect(page.get_by_role("alert")).to_contain_text("Gelombang 999 tidak ada. Gelombang terakhir adalah gelombang 2.")
    expect(page.locator("tr.rung")).to_have_count(0)
    desk.open(f"/pmo/?as_of={tomorrow:%Y-%m-%d}")
    expect(page.get_by_role("alert")).to_contain_text("Waktu ini belum terjadi")
    expect(page.locator("#date")).to_have_value(f"{tomorrow:%Y-%m-%d}")

    ask(desk, "Semua", date="2019-01-01")
    expect(page.get_by_role("alert")).to_contain_text("Saat itu belum ada pendaftar")
    expect(page.locator("tr.rung")).to_have_count(0)
    desk.follow("Atur ulang")
    assert rungs(desk)["Terdaftar"] == "150"


def test_the_open_page_follows_by_itself_and_a_past_hour_stands_still(desk):
    page, asked = desk.page, []
    page.on("request", lambda request: asked.append(request.headers.get("hx-request")))
    page.evaluate("document.opened = 'once'")

    make_registrants(7, at=SECOND_WAVE, first=5001)
    expect(page.locator("tr.rung").first.locator("td").first).to_have_text("157", timeout=6000)
    make_registrants(1, at=SECOND_WAVE, first=6001)
    expect(page.locator("tr.rung").first.locator("td").first).to_have_text("158", timeout=6000)
    assert page.evaluate("document.opened") == "once", "not loaded anew"
    assert "true" in asked

    ask(desk, "Semua", date="2020-04-11", time="09:00")
    asked.clear()
    page.wait_for_timeout(3000)
    assert "true" not in asked
    assert rungs(desk)["Terdaftar"] == "100"


def test_the_json_link_gives_the_numbers_of_the_screen(desk):
    ask(desk, "Satu gelombang", wave="1", date="2020-04-11", time="09:00")
    link = desk.page.get_by_role("link", name="JSON").get_attribute("href")

    answer = desk.context.request.get(link).json()

    assert (answer["wave"], answer["as_of"]) == (1, "2020-04-11T09:00:00+07:00")
    on_screen = [int(people) for people in rungs(desk).values()]
    assert [rung["people"] for rung in answer["rungs"]] == on_screen == [100, 40, 15, 15, 0, 0, 0, 0]
    assert answer["rungs"][0]["drop_offs"] == [{"reason": "mailbox_full", "people": 40}]


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_every_page_of_the_office_fits_its_screen_and_can_be_read_by_all(people, device, width):
    get_user_model().objects.create_user("petugas", password=PASSWORD, is_staff=True)
    desk = device(width=width)
    desk.open("/pmo/")
    found = desk.faults("office, sign in")
    signs_in(desk, "salah")
    found += desk.faults("office, wrong password")

    signs_in(desk, PASSWORD)
    found += desk.faults("office, funnel")
    desk.open("/pmo/?wave=2&as_of=2020-04-18T09:00")
    found += desk.faults("office, funnel of a wave then")
    desk.open("/pmo/?wave=999")
    found += desk.faults("office, no such wave")

    assert found == []

"""The office's money and partners at two desks: one person proposes, another approves, and the screen follows the money."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.conf import settings as site_settings
from django.test import Client as Session
from playwright.sync_api import expect

from foundation import pg
from incentives import batching, surveys
from incentives.models import Batch, Leftover, Payout, StatementFile
from partners import keys, webhooks
from partners.models import Address, Event, Secret
from prakerja.models import Deed
from registrations.regions import WIB
from tests.incentives.cast import DAY, LATER, clerk, magic, make_batch, make_owed, pay, payout, send
from tests.incentives.cast import make_payable as make_payable_then
from tests.incentives.cast import make_payable_now as make_payable
from tests.journeys.browser import DESK, PHONE
from tests.partners.cast import make_partner, token_of
from tests.prakerja.test_person_pages import permit
from tests.processes import wait_until

SURE = "I have looked at the numbers on this page."
#: The worker sends, asks again what it does not know, and the page comes by every two seconds.
SOON = 30_000


@pytest.fixture
def staff(device, settings):
    """Makes a desk at which this member of staff is signed in, in English unless told otherwise."""

    def make(name: str, *, language: str = "en", **options):
        client = Session()
        client.force_login(clerk(name))
        made = device(**{"width": DESK} | options)
        settings.HINTS = False  # what the test does itself, no worker takes out of its hands
        cookies = {
            site_settings.SESSION_COOKIE_NAME: client.session.session_key,
            site_settings.LANGUAGE_COOKIE_NAME: language,
        }
        made.context.add_cookies(
            [{"name": name, "value": value, "url": settings.BASE_URL} for name, value in cookies.items()]
        )
        return made

    return make


def row(desk, table, name):
    """The numbers beside this line of the table under this heading."""
    lines = desk.page.get_by_role("table", name=table).get_by_role("row")
    return lines.filter(has=desk.page.get_by_role("rowheader", name=name, exact=True))


def unfold(desk, name):
    desk.page.locator(f"summary:text-is('{name}')").first.click()


def statement(*lines, day=None):
    """BNI's file of yesterday; a line is a reference, a status and rupiah."""
    day = day or (pg.now().astimezone(WIB) - timedelta(days=1)).date()
    told = "".join(f"{reference},{status},{rupiah},{day}T10:00:00+07:00\n" for reference, status, rupiah in lines)
    head = f"payer,day,lines,rupiah\nbni,{day},{len(lines)},{sum(rupiah for _, _, rupiah in lines)}\n"
    return f"{head}reference,status,rupiah,at\n{told}".encode()


def upload(desk, content):
    desk.page.get_by_label("Payer", exact=True).select_option("bni")
    desk.page.get_by_label("File (CSV)").set_input_files({"name": "bni.csv", "mimeType": "text/csv", "buffer": content})
    desk.press("Take it in")


@contextmanager
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """A partner's address on this machine, and what it is told there."""
    told: list[bytes] = []

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Takes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", told
    finally:
        server.shutdown()
        server.server_close()


def test_one_proposes_another_approves_and_both_see_the_money_go(staff):
    """Three people, four months each: one is paid, of one the payer says nothing at first, and one account is closed."""
    ani, budi = staff("ani"), staff("budi")
    make_payable(3, numbers=["1000000001", magic(22, 2), magic(23, 3)])
    watching = staff("citra")
    watching.open("/pmo/uang/")
    watching.page.evaluate("document.opened = 'once'")

    ani.open("/pmo/uang/batch/")
    ani.page.get_by_label("Payer", exact=True).select_option("bni")
    ani.press("See what is due")
    assert "Incentives due\n12\nRupiah due\nRp7,200,000" in ani.page.inner_text("main .tiles")
    assert not Batch.objects.exists()
    ani.page.get_by_label(SURE).check()
    ani.press("Propose the batch")
    batch = Batch.objects.get()
    assert bytes(batch.sha256).hex() in ani.page.inner_text("main")
    assert ani.page.get_by_role("button", name="Approve").count() == 0, "not the one who proposed it"

    budi.open("/pmo/uang/batch/")
    budi.follow(f"Batch {batch.pk}, BNI")
    budi.page.get_by_label(SURE).first.check()
    budi.press("Approve Rp7,200,000")
    table = "Payouts and rupiah of this batch by state"
    expect(row(budi, table, "Paid").get_by_role("cell").first).to_have_text("8", timeout=SOON)
    expect(row(budi, table, "Not paid").get_by_role("cell").first).to_have_text("4", timeout=SOON)
    expect(budi.page.locator(".freshness")).to_have_count(0)

    states = "Each rupiah is in exactly one state"
    expect(row(watching, states, "Paid").get_by_role("cell").first).to_have_text("Rp4,800,000", timeout=SOON)
    expect(row(watching, states, "Not paid").get_by_role("cell").first).to_have_text("Rp2,400,000", timeout=SOON)
    gates = "Rupiah and people by the one gate that blocks them"
    expect(row(watching, gates, "Account closed, inactive or unknown")).to_contain_text("the registrant")
    assert watching.page.evaluate("document.opened") == "once", "not loaded anew"


def test_what_was_refused_says_why_and_can_be_proposed_again(staff):
    ani, budi = staff("ani"), staff("budi")
    make_payable(1)
    for _attempt in range(2):
        ani.open("/pmo/uang/batch/usul/?payer=bni")
        ani.page.get_by_label(SURE).check()
        ani.press("Propose the batch")
        budi.open(ani.path)
        unfold(budi, "Refuse it")
        budi.page.get_by_label("Reason").fill("The list of yesterday is not reconciled")
        budi.page.get_by_label(SURE).last.check()
        budi.press("Refuse it")

    assert "The list of yesterday is not reconciled" in budi.page.inner_text("main")
    assert Deed.objects.filter(name="batch_refused", by__username="budi").count() == 2
    assert set(Payout.objects.values_list("state", flat=True)) == {Payout.State.WITHDRAWN}


def test_a_recount_says_that_the_figures_agree_where_they_stand(staff):
    ani = staff("ani")
    make_owed(2)
    ani.open("/pmo/uang/")
    ani.page.evaluate("document.opened = 'once'")

    ani.page.get_by_role("button", name="Recount").click()

    expect(ani.page.locator("#recount")).to_contain_text("It agrees")
    expect(ani.page.get_by_role("table", name="Rupiah and incentives by payer and state")).to_contain_text("Rp4,800,000")
    assert ani.page.evaluate("document.opened") == "once"


def test_who_is_signed_out_meanwhile_is_asked_to_sign_in(staff):
    ani = staff("ani")
    ani.open("/pmo/uang/")

    ani.context.clear_cookies()

    expect(ani.page.locator("input[name=username]")).to_be_visible(timeout=SOON)


def test_a_broken_file_is_refused_a_good_one_is_taken_and_what_is_left_over_gets_settled(staff):
    ani = staff("ani")
    [id] = make_payable(1)
    make_batch(limit=1)
    send()
    known = payout(id).reference
    good = statement((known, "paid", 500_000))
    ani.open("/pmo/uang/rekonsiliasi/")

    for broken, why in (
        (good[:-30], "may be cut off"),
        (statement(("16001-1", "paid", 600_000)), "was never given"),
        (statement((known, "paid", 600_000), day=pg.now().astimezone(WIB).date()), "which is not over yet"),
    ):
        upload(ani, broken)
        expect(ani.page.get_by_role("alert")).to_contain_text(why)
        assert not StatementFile.objects.exists()
        assert ani.page.get_by_label("Payer", exact=True).input_value() == "bni", "what was chosen is kept"
    upload(ani, good)
    assert "Another amount than ours" in ani.page.inner_text("main")
    assert Leftover.objects.filter(kind=Leftover.Kind.AMOUNT_DIFFERS, settled_at=None).count() == 1
    unfold(ani, "It is cleared up")
    ani.page.get_by_label("How was it cleared up?").first.fill("BNI has credited the rest")
    ani.press("Settle")

    assert "BNI has credited the rest" in ani.page.inner_text("main")
    ani.open("/pmo/uang/rekonsiliasi/")
    upload(ani, good)
    expect(ani.page.get_by_role("alert")).to_contain_text("has been taken before")
    ani.complaints = [said for said in ani.complaints if "422" not in said]


def test_what_a_partner_did_not_take_is_told_again_from_the_page(staff):
    ani = staff("ani")
    partner = make_partner()
    keys.rotate(partner.pk, Secret.Use.OUT)
    with listener() as (url, told):
        Address.objects.create(partner=partner, url=url, failures=3, quiet_until=pg.now() + timedelta(hours=1))
        webhooks.emit("purchase.created", {partner.pk: [{"number": 1}]})
        Event.objects.update(state=Event.State.GIVEN_UP, attempts=9)
        ani.open("/pmo/mitra/")
        assert "3 bad answers in a row" in ani.page.inner_text("main")
        ani.follow("Tokopedia")

        ani.press(f"Tell evt_{Event.objects.get().pk} again")

        expect(ani.page.get_by_role("status")).to_contain_text("They are being told again")
        wait_until(Event.objects.filter(state=Event.State.DELIVERED).exists, seconds=20, what="the partner has taken it")
        ani.page.reload()
        assert b"purchase.created" in told[0]
        expect(ani.page.get_by_role("table", name="The newest events")).to_contain_text("Taken")


def test_a_secret_is_shown_once_and_credentials_that_are_revoked_are_gone(staff):
    ani = staff("ani")
    make_partner()
    ani.open("/pmo/mitra/tokopedia/")
    unfold(ani, "Make credentials for a program")
    ani.page.get_by_label("What the program is called").fill("Kasir")
    ani.page.get_by_label("Sell trainings, cancel purchases").check()
    ani.page.get_by_label("The secret is shown once only. I hand it").check()

    ani.press("Make credentials")
    secret = ani.page.locator("code.redeem").last.inner_text()
    assert len(secret) > 40
    ani.follow("Done: back to Tokopedia")

    assert secret not in ani.page.content()
    assert "Kasir" in ani.page.inner_text("main")
    assert secret not in str(list(Deed.objects.values()))
    unfold(ani, "Revoke")
    ani.page.get_by_label("Reason").fill("Lost by the partner")
    ani.page.get_by_label("From now on no call").check()
    ani.press("Revoke")
    assert "It has no credentials yet" in ani.page.inner_text("main")
    assert "Lost by the partner" in ani.page.inner_text("main")


def make_overdue(count):
    """So many people who were paid in 2020, answered a survey, and were never paid for it."""
    ids = make_payable_then(count, first=5000)
    pay()
    surveys.answer([surveys.Answer(id, 1, LATER + 31 * DAY) for id in ids])
    return ids


def test_from_an_overdue_survey_to_the_money_of_its_person(staff):
    [id] = make_overdue(1)
    permit("ani", "look_up_people")
    ani = staff("ani")
    ani.open("/pmo/uang/survei/")

    ani.follow(str(id))
    ani.type("Number", "siti")
    ani.press("Look up")
    expect(ani.page.get_by_role("alert")).to_contain_text("A registrant number has digits only.")
    ani.type("Number", str(id))
    ani.type("What for", "Asks about the survey")
    ani.press("Look up")

    assert ani.heading == f"Registrant {id}"
    assert ani.path == "/pmo/uang/orang/", "no address names anybody"
    table = "What is or was owed, where it is, and who must act"
    expect(row(ani, table, "Survey 1")).to_contain_text("Overdue")
    expect(row(ani, table, "All")).to_contain_text("Rp2,450,000")
    expect(row(ani, "What was done, and by whom", "Person looked up")).to_contain_text("Asks about the survey")


@pytest.mark.parametrize("language", ["id", "en"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_every_page_fits_its_screen_and_can_be_read_by_all(staff, width, language):
    ani = staff("ani", width=width, language=language)
    ani.open("/pmo/uang/")
    found = ani.faults("money, nothing yet")
    [late, *_] = make_overdue(2)
    permit("ani", "look_up_people", "see_personal_data")
    make_owed(2, certified=False)
    ids = make_payable(4, numbers=["1000000001", magic(22, 2), magic(23, 3), magic(21, 4)], first=2000)
    sent = make_batch(limit=4)
    send()
    waiting = batching.propose("bni", by=clerk("maker"), at=pg.now(), limit=3)
    partner = make_partner("tokopedia", platform=True)
    token_of(partner)
    Address.objects.create(partner=partner, url="https://hooks.tokopedia.example/prakerja/kabar", failures=4)
    webhooks.emit("purchase.created", {partner.pk: [{"number": 1}, {"number": 2}]})
    Event.objects.update(state=Event.State.GIVEN_UP, attempts=9)
    yesterday = statement((payout(ids[0]).reference, "paid", 500_000))

    for name, path in {
        "money": "/pmo/uang/",
        "money, details": "/pmo/uang/rincian/",
        "money, recount": "/pmo/uang/hitung-ulang/",
        "batches": "/pmo/uang/batch/",
        "batch, sent": f"/pmo/uang/batch/{sent.pk}/",
        "batch, proposed": f"/pmo/uang/batch/{waiting.pk}/",
        "batch, preview": "/pmo/uang/batch/usul/?payer=bni",
        "batch, nothing due": "/pmo/uang/batch/usul/?payer=ovo",
        "reconciliation": "/pmo/uang/rekonsiliasi/",
        "surveys": "/pmo/uang/survei/",
        "look up": "/pmo/uang/orang/",
        "partners": "/pmo/mitra/",
        "partner": "/pmo/mitra/tokopedia/",
    }.items():
        ani.open(path)
        ani.page.wait_for_load_state("networkidle" if "rincian" in path else "load")
        ani.page.evaluate("document.querySelectorAll('main details').forEach(part => part.open = true)")
        found += ani.faults(f"{name}, {language}")
    ani.open("/pmo/uang/rekonsiliasi/")
    ani.page.locator("#payer").select_option("bni")
    ani.page.locator("#file").set_input_files({"name": "bni.csv", "mimeType": "text/csv", "buffer": yesterday})
    with ani.page.expect_navigation():
        ani.page.locator("form.upload button").click()
    found += ani.faults(f"statement, {language}")
    for name, reason in (("look up, refused", ""), ("person", "Bertanya")):
        ani.open(f"/pmo/uang/orang/?registrant={late}")
        ani.page.locator("#id_reason").fill(reason)
        with ani.page.expect_navigation():
            ani.page.locator("main form button").click()
        found += ani.faults(f"{name}, {language}")

    assert found == []

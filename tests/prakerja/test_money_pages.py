"""The office's pages of the money: what they show, what a wrong request gets, and that two people are needed."""

import csv
import html
import re
from io import StringIO
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction
from django.test import Client

from foundation import pg
from incentives import batching, reconciliation, results, surveys
from incentives.models import Batch, Leftover, Obligation, Payout, State, StatementFile
from incentives.payout import Outcome
from incentives.results import Result
from prakerja import money_pages, reconciliation_pages, survey_pages
from prakerja.models import Deed
from prakerja.tables import harmless
from registrations.regions import WIB
from tests.incentives.cast import DAY, LATER, Bank, clerk, link, magic, make_batch, make_owed, pay, payout, send
from tests.incentives.cast import make_payable as make_payable_then
from tests.incentives.cast import make_payable_now as make_payable
from tests.people import make_registrant

pytestmark = pytest.mark.django_db

MONEY, BATCHES, RECONCILIATION = "/pmo/uang/", "/pmo/uang/batch/", "/pmo/uang/rekonsiliasi/"
PROPOSE, TAKE = f"{BATCHES}usul/", f"{RECONCILIATION}terima/"
SURE = {"sure": "1"}
READ = [
    MONEY,
    f"{MONEY}rincian/",
    f"{MONEY}hitung-ulang/",
    f"{MONEY}survei/",
    f"{MONEY}orang/",
    f"{MONEY}angka.csv",
    f"{MONEY}angka.json",
    BATCHES,
    f"{MONEY}batch.csv",
    PROPOSE,
    f"{BATCHES}1/",
    RECONCILIATION,
    f"{RECONCILIATION}sisa.csv",
    f"{RECONCILIATION}1/",
    "/pmo/mitra/",
    "/pmo/mitra/bni/",
]
WRITTEN = [
    PROPOSE,
    f"{MONEY}orang/",
    f"{BATCHES}1/putuskan/",
    TAKE,
    f"{RECONCILIATION}sisa/1/",
    "/pmo/mitra/bni/kunci/",
    "/pmo/mitra/bni/kunci/cabut/",
    "/pmo/mitra/bni/rahasia/",
    "/pmo/mitra/bni/kabar/",
]


def signed_in(client, name):
    """This member of staff, who reads English."""
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    client.force_login(clerk(name))
    return client


@pytest.fixture
def ani(client):
    return signed_in(client, "ani")


@pytest.fixture
def budi():
    return signed_in(Client(), "budi")


def text_of(answer):
    """What the page says, without its marks, blanks as one."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", answer.content.decode()))).strip()


def said(answer):
    """What the page that follows says on top."""
    return answer.context["notice"]["text"]


def proposed(who, payer="bni", **told):
    return who.post(PROPOSE, {"payer": payer, "once": uuid4(), **SURE, **told}, follow=True)


def decided(who, batch, act, **told):
    return who.post(f"{BATCHES}{batch.pk}/putuskan/", {"act": act, **SURE, **told}, follow=True)


def statement(lines, *, payer="bni", day=None):
    """A payer's file of yesterday; a line is a reference, a status and rupiah."""
    day = day or (pg.now().astimezone(WIB)).date().replace(day=1)
    told = "".join(f"{reference},{status},{rupiah},{day}T10:00:00+07:00\n" for reference, status, rupiah in lines)
    total = sum(rupiah for _, _, rupiah in lines)
    return f"payer,day,lines,rupiah\n{payer},{day},{len(lines)},{total}\nreference,status,rupiah,at\n{told}".encode()


def taken(who, content, *, payer="bni", name="bni.csv", **options):
    upload = SimpleUploadedFile(name, content, content_type="text/csv")
    return who.post(TAKE, {"payer": payer, "file": upload}, follow=True, **options)


def rows(answer):
    return list(csv.reader(StringIO(answer.content.decode("utf-8-sig"))))


# Who gets in


@pytest.mark.parametrize("path", [*READ, *WRITTEN])
def test_strangers_and_registrants_are_sent_to_sign_in_and_other_users_are_told_it_is_not_for_them(client, path):
    session = client.session
    session["registrant"] = make_registrant().pk
    session.save()
    asked = [client.get] * (path in READ) + [client.post] * (path in WRITTEN)

    for ask in asked:
        answer = ask(path)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/pmo/masuk/")
    visitor = clerk("tamu")
    visitor.is_staff = False
    visitor.save()
    client.force_login(visitor)
    for ask in asked:
        assert ask(path).status_code == 403

    assert not Batch.objects.exists()
    assert not Deed.objects.exists()


def test_staff_get_every_page_kept_by_no_browser_and_what_is_not_there_is_not_found(ani):
    for path in (
        MONEY,
        f"{MONEY}rincian/",
        f"{MONEY}survei/",
        f"{MONEY}hitung-ulang/",
        BATCHES,
        RECONCILIATION,
        "/pmo/mitra/",
    ):
        answer = ani.get(path)
        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"]

    for path in (f"{BATCHES}7/", f"{RECONCILIATION}7/", "/pmo/mitra/nobody/", f"{BATCHES}{10**30}/"):
        assert ani.get(path).status_code == 404
    assert ani.get(f"{BATCHES}?page=999").status_code == 200


def test_a_form_without_its_token_does_nothing():
    strict = signed_in(Client(enforce_csrf_checks=True), "ani")
    make_payable(1)

    for path in WRITTEN:
        assert strict.post(path, {"payer": "bni", **SURE}).status_code == 403

    assert not Batch.objects.exists()


# The figures


def test_the_figures_are_those_of_the_books_with_who_must_act(ani):
    """Two wait for a certificate, one for an account, one has a fit one: Rp600.000 a month each, four months."""
    make_owed(2, certified=False)
    make_owed(1, first=2000)
    make_payable(1, first=3000)

    page = text_of(ani.get(MONEY))

    assert "Opened so far Rp9,600,000 16 incentives" in page
    assert "Blocked Rp7,200,000 3 people" in page
    assert "On the way Rp2,400,000" in page
    assert "Open Rp9,600,000 100.0 % 16 4 of that blocked Rp7,200,000 12" in page
    told = ani.get(f"{MONEY}angka.json").json()["incentives"]
    assert [(line["gate"], line["who"], line["people"], line["rupiah"]) for line in told["blocked"]] == [
        ("certificate_missing", "provider", 2, 4_800_000),
        ("no_account", "registrant", 1, 2_400_000),
    ]


def test_the_figures_by_payer_and_by_state_are_the_same_money(ani):
    ids = make_payable(5, numbers=["1000000001", "1000000002", magic(23, 3), magic(21, 4), magic(22, 5)])
    make_owed(1, first=2000)
    make_batch(limit=5)
    send()
    results.apply([Result(payout(ids[0]).reference, Outcome.REVERSED)], payer="bni", at=pg.now())
    make_payable(1, first=3000)
    make_batch(limit=1)

    told = ani.get(f"{MONEY}angka.json").json()["incentives"]

    by_state = {line["state"]: line["rupiah"] for line in told["states"]}
    for state, rupiah in by_state.items():
        assert sum(line["states"][state]["rupiah"] for line in told["payers"]) == rupiah
    assert told["total"]["rupiah"] == sum(by_state.values()) == sum(Obligation.objects.values_list("amount", flat=True))
    assert [by_state[state] for state in ("sending", "unknown", "paid", "reversed", "failed")] == [600_000] * 5


def test_what_is_due_is_told_with_who_must_act(ani):
    make_payable(1, first=3000)
    make_batch(limit=1)
    bank = Bank()
    bank.answer_next = [Outcome.UNKNOWN]
    send(bank)
    make_payable(1)
    link(make_owed(2, first=2000))

    page = text_of(ani.get(f"{MONEY}rincian/"))
    told = ani.get(f"{MONEY}angka.json").json()["incentives"]["due"]
    cells = [row for row in rows(ani.get(f"{MONEY}angka.csv")) if row[0] == "Due"]

    assert "Account not checked yet the bank or e-wallet Rp4,800,000 2 8" in page
    assert "In no batch yet the programme's office Rp4,200,000 2 7" in page
    assert "With the payer the bank or e-wallet Rp0 0 0 Outcome unknown the bank or e-wallet Rp600,000 1 1" in page
    assert [(line["waits_for"], line["who"], line["rupiah"]) for line in told] == [
        ("settling", "office", 0),
        ("check", "payer", 4_800_000),
        ("batch", "office", 4_200_000),
        ("payer", "payer", 0),
        ("answer", "payer", 600_000),
    ]
    assert [row[2:] for row in cells][1:] == [
        ["the bank or e-wallet", "2", "8", "4800000"],
        ["the programme's office", "2", "7", "4200000"],
        ["the bank or e-wallet", "0", "0", "0"],
        ["the bank or e-wallet", "1", "1", "600000"],
    ]


def test_surveys_are_counted_and_the_overdue_are_listed_with_who_must_act(ani):
    """Of three who were paid in 2020, two answered the first survey and were never paid for it."""
    ids = make_payable_then(3)
    pay()
    surveys.answer([surveys.Answer(id, 1, LATER + (30 + day) * DAY) for day, id in enumerate(ids[:2])])

    page = text_of(ani.get(f"{MONEY}survei/"))
    told = ani.get(f"{MONEY}angka.json").json()["incentives"]["surveys"]
    cells = [row for row in rows(ani.get(f"{MONEY}angka.csv")) if row[0].startswith("Survey") and row[1] == "Survey 1"]

    assert "Survey 1 Rp100,000 2 1 Rp100,000 2 – – – Survey 2" in page
    assert "Account not checked yet the bank or e-wallet Rp100,000 2 2" in page
    assert page.index(f"{ids[0]} 1 Account not checked yet") < page.index(f"{ids[1]} 1 Account not checked yet")
    assert "Survey 1 Rp100,000 2" in text_of(ani.get(f"{MONEY}rincian/"))
    assert (told[0]["overdue"], told[0]["missed_by_people"]) == ({"obligations": 2, "rupiah": 100_000}, 1)
    assert [row[0:1] + row[3:] for row in cells] == [
        ["Survey answered", "", "2", "100000"],
        ["Survey overdue", "", "2", "100000"],
        ["Survey missed", "1", "", ""],
    ]


def test_overdue_surveys_come_page_by_page(ani):
    ids = make_payable_then(survey_pages.ON_A_PAGE + 1)
    pay()
    surveys.answer([surveys.Answer(id, 1, LATER + 30 * DAY) for id in ids])

    first, second = (ani.get(f"{MONEY}survei/?page={page}").context["lines"] for page in (1, 2))

    assert [line.registrant_id for line in [*first, *second]] == ids
    assert len(second) == 1
    assert ani.get(f"{MONEY}survei/?page=x").status_code == 200


def test_the_training_balance_is_granted_spent_and_left_by_platform(ani):
    make_owed(3)

    page = text_of(ani.get(f"{MONEY}rincian/"))
    told = ani.get(f"{MONEY}angka.json").json()["training_balance"]

    assert "Granted Rp3,000,000 Spent Rp1,200,000 Left Rp1,800,000 Back to the treasury Rp0" in page
    assert told == {
        "granted": 3_000_000,
        "spent": 1_200_000,
        "left": 1_800_000,
        "returned": 0,
        "platforms": [{"platform": "tokopedia", "rupiah": 1_200_000}],
    }


def test_a_refresh_is_only_the_part_that_changes(ani):
    make_owed(1)

    part = ani.get(MONEY, headers={"HX-Request": "true"})

    assert "HX-Request" in part["Vary"]
    assert "<html" not in part.content.decode()
    assert 'hx-trigger="every 2s"' in part.content.decode()


def test_a_recount_proves_the_figures_and_finds_a_balance_that_somebody_has_touched(ani):
    [id] = make_payable(1)
    assert "It agrees" in text_of(ani.get(f"{MONEY}hitung-ulang/"))

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no trigger stands in the way
        cursor.execute("UPDATE incentives_movement SET rupiah = rupiah + 1 WHERE rupiah > 0")
        cursor.execute("UPDATE trainings_balance SET balance = 1")
    page = text_of(ani.get(f"{MONEY}hitung-ulang/"))

    assert "The figures do not agree" in page
    assert "Rupiah, in the books and counted Open" in page
    assert f"balance {id} 1 600,000" in page


def test_nothing_yet_is_said_in_words(ani):
    assert "No incentive has been opened yet" in text_of(ani.get(MONEY))
    assert "No batch has been proposed yet" in text_of(ani.get(BATCHES))
    assert "Nothing has been compared yet" in text_of(ani.get(RECONCILIATION))
    assert "Nothing is overdue" in text_of(ani.get(f"{MONEY}survei/"))
    assert "Nothing is due" in text_of(ani.get(f"{PROPOSE}?payer=bni"))
    assert "There is no partner yet" in text_of(ani.get("/pmo/mitra/"))


# To take away


@pytest.mark.parametrize("text", ["=1+1", "+62812", "-1", "@me", "\tx", "\rx", "\n=1"])
def test_what_a_spreadsheet_would_run_is_written_as_text(text):
    assert harmless(text) == f"'{text}"
    assert harmless("Bank BNI") == "Bank BNI"
    assert harmless(-5) == -5


def test_exports_hold_the_numbers_of_the_page_and_run_nothing(ani):
    make_payable(2)
    batching.propose("bni", by=clerk("@SUM(A1)"), at=pg.now())

    figures, batches = rows(ani.get(f"{MONEY}angka.csv")), rows(ani.get(f"{MONEY}batch.csv"))

    assert ["All incentives", "", "", "", "8", "4800000"] in figures
    assert ["By payer", "BNI: Open", "", "", "8", "4800000"] in figures
    [batch] = batches[1:]
    assert batch[batches[0].index("Proposed by")] == "'@SUM(A1)"
    assert batch[batches[0].index("Rupiah")] == str(Batch.objects.get().rupiah)
    for answer in (ani.get(f"{MONEY}angka.csv"), ani.get(f"{RECONCILIATION}sisa.csv")):
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert answer["Content-Disposition"].startswith("attachment")


# Batches


def test_what_is_due_is_shown_before_anything_is_asked_for(ani):
    make_payable(3)

    page = text_of(ani.get(f"{PROPOSE}?payer=bni"))

    due = Obligation.objects.filter(due_at__lte=pg.now()).count()
    assert f"Incentives due {due} Rupiah due Rp{due * 600_000:,}" in page
    assert not Batch.objects.exists()


def test_one_person_proposes_and_another_one_approves_exactly_that(ani, budi):
    make_payable(2)

    assert said(proposed(ani)).startswith("Proposed.")
    batch = Batch.objects.get()
    page = text_of(ani.get(f"{BATCHES}{batch.pk}/"))
    sha256 = bytes(batch.sha256).hex()
    assert sha256 in page
    assert "Approve Rp" not in page, "not by the one who proposed it"
    assert said(decided(ani, batch, "approve", sha256=sha256)).startswith("Two people are needed")
    assert f"Approve Rp{batch.rupiah:,}" in text_of(budi.get(f"{BATCHES}{batch.pk}/"))
    assert said(decided(budi, batch, "approve", sha256="0" * 64)).startswith("The batch is not what it was")
    assert said(decided(budi, batch, "approve", sha256=sha256)) == "Approved. It is being sent."
    assert said(decided(budi, batch, "approve", sha256=sha256)) == "Somebody has approved this already."

    batch.refresh_from_db()
    assert (batch.maker.username, batch.checker.username) == ("ani", "budi")
    assert list(Deed.objects.order_by("pk").values_list("name", "by__username", "about")) == [
        ("batch_proposed", "ani", f"batch {batch.pk}"),
        ("batch_approved", "budi", f"batch {batch.pk}"),
    ]


def test_a_form_sent_twice_proposes_once(ani):
    make_payable(4)
    form = {"payer": "bni", "once": uuid4(), "limit": "2", **SURE}

    first, second = ani.post(PROPOSE, form), ani.post(PROPOSE, form)

    batch = Batch.objects.get()
    assert batch.payouts == 2
    assert first["Location"] == second["Location"] == f"{BATCHES}{batch.pk}/"


@pytest.mark.parametrize(("limit", "months"), [("", 4), ("1", 1), ("100.000", 4), ("100000", 4)])
def test_as_many_are_proposed_as_go_into_one_batch(ani, limit, months):
    make_payable(1)

    proposed(ani, limit=limit)

    assert Batch.objects.get().payouts == months


@pytest.mark.parametrize("limit", ["0", "-1", "1e3", "100.001", "9" * 40, "½", "٣", "abc", "1 000"])
def test_a_number_that_makes_no_sense_is_told_and_proposes_nothing(ani, limit):
    make_payable(1)

    assert said(proposed(ani, limit=limit)) == "How many at most: a whole number from 1 to 100,000."

    assert not Batch.objects.exists()
    assert not Deed.objects.exists()


def test_what_lacks_its_tick_its_payer_or_its_reason_does_nothing(ani, budi):
    make_payable(1)
    assert said(proposed(ani, payer="bca")) == "Choose a payer."
    assert said(ani.get(PROPOSE, follow=True)) == "Choose a payer."
    assert said(proposed(ani, sure="")).startswith("Tick that")
    proposed(ani)
    batch = Batch.objects.get()
    sha256 = bytes(batch.sha256).hex()

    assert said(decided(budi, batch, "approve", sha256=sha256, sure="")).startswith("Tick that")
    assert said(decided(budi, batch, "refuse", reason="  ")) == "Say why: it is kept."
    assert said(decided(budi, batch, "stop", reason="x")) == "The batch is not being sent."
    assert said(decided(budi, batch, "burn")) == "There is nothing of that name to be done."

    batch.refresh_from_db()
    assert (batch.approved_at, batch.withdrawn_at, batch.stopped) == (None, None, "")


def test_what_was_refused_is_kept_with_its_reason_and_can_be_proposed_again(ani, budi):
    make_payable(2)
    proposed(ani)
    batch = Batch.objects.get()

    assert said(decided(budi, batch, "refuse", reason="Wrong day")) == "What it held can be proposed again."
    assert said(decided(budi, batch, "refuse", reason="Again")).startswith("The batch has been withdrawn")
    assert said(decided(budi, batch, "approve", sha256=bytes(batch.sha256).hex())).startswith("The batch has been withdrawn")

    page = text_of(ani.get(f"{BATCHES}{batch.pk}/"))
    assert "Refused or taken back" in page
    assert "Batch refused budi" in page
    assert "Wrong day" in page
    proposed(ani)
    again = Batch.objects.exclude(pk=batch.pk).get()
    assert again.payouts == batch.payouts
    decided(ani, again, "refuse", reason="Mine")
    assert Deed.objects.filter(name="batch_withdrawn", by__username="ani").count() == 1


def test_the_progress_of_sending_is_told_payout_by_payout(ani):
    make_payable(4, numbers=["1000000001", magic(22, 2), magic(23, 3), magic(21, 4)])
    batch = make_batch(limit=4)
    page = f"{BATCHES}{batch.pk}/"
    assert "Not sent yet 4" in text_of(ani.get(page))

    send()

    told = text_of(ani.get(page, headers={"HX-Request": "true"}))
    assert "With the payer 1 Rp600,000 Outcome unknown 1 Rp600,000 Paid 1 Rp600,000" in told
    assert "Not paid 1 Rp600,000 All 4 Rp2,400,000" in told
    assert "whether they were paid" in text_of(ani.get(MONEY))
    assert "1 BNI Sent 4 Rp2,400,000 1 1 1 1 0" in text_of(ani.get(BATCHES)).replace(f"{batch.pk} BNI", "1 BNI")


def test_sending_is_stopped_with_a_reason_and_the_rest_is_given_free(ani, budi):
    make_payable(2)
    batch = make_batch()

    assert said(decided(ani, batch, "release")) == "The batch is being sent."
    assert said(decided(ani, batch, "stop", reason="BNI is down")).startswith("Stopped.")
    assert send() >= 0
    assert said(decided(ani, batch, "stop", reason="Again")) == "The batch is not being sent."
    assert "BNI is down" in text_of(budi.get(f"{BATCHES}{batch.pk}/"))
    assert said(decided(budi, batch, "release")) == "What was not sent can be proposed again."

    assert not Obligation.objects.exclude(batch_id=None).exists()
    assert "Given free before it was sent 2" in text_of(ani.get(f"{BATCHES}{batch.pk}/"))
    assert said(proposed(ani, limit="2")).startswith("Proposed.")


# Reconciliation


def paid_yesterday():
    """One person, paid on the first of this month as far as our books know; its reference."""
    [id] = make_payable(1)
    batch = make_batch(limit=1)
    send()
    return payout(id), batch


def test_a_file_that_says_what_we_know_leaves_nothing_over(ani):
    known, _ = paid_yesterday()

    answer = taken(ani, statement([(known.reference, "paid", 600_000)]))

    assert said(answer) == "The file has been taken."
    assert "Nothing is left over" in text_of(answer)
    assert Deed.objects.get(name="file_taken").told == "bni.csv"
    file = StatementFile.objects.get()
    assert (file.lines, file.rupiah, file.leftovers.count()) == (1, 600_000, 0)


def test_a_file_that_is_not_in_order_is_refused_in_words_and_nothing_of_it_is_kept(ani):
    known, _ = paid_yesterday()
    good = statement([(known.reference, "paid", 600_000)])
    half = good[: len(good) - 30]

    def refused(content, **options):
        answer = taken(ani, content, **options)
        assert answer.status_code == 422
        page = text_of(answer)
        assert "The file was not taken" in page
        return page

    assert "is not of mandiri" in refused(good, payer="mandiri")
    assert "Choose a payer" in refused(good, payer="")
    assert "may be cut off" in refused(half)
    assert "it says that it has 1 lines, and has 0" in refused(good.rsplit(known.reference.encode(), 1)[0])
    assert "which is not over yet" in refused(statement([], day=pg.now().astimezone(WIB).date()))
    assert "was never given" in refused(statement([("16001-1", "paid", 600_000)]))
    assert "does not begin with its two heads" in refused(b"hello\n")
    assert "not UTF-8" in refused(b"\xff\xfe\x00")
    assert not StatementFile.objects.exists()
    taken(ani, good)
    assert "has been taken before" in refused(good)
    other = statement([(known.reference, "paid", 600_000)] * 2)
    assert "already" in refused(other)
    answer = ani.post(TAKE, {"payer": "bni"})
    assert (answer.status_code, "Choose the file." in text_of(answer)) == (422, True)
    assert StatementFile.objects.count() == Deed.objects.filter(name="file_taken").count() == 1


def test_what_is_too_large_is_refused_before_it_is_parsed(ani):
    """It is no form at all: whoever parsed it would say so."""
    body = b"x" * (reconciliation_pages.LARGEST + reconciliation_pages.FORM + 1)

    answer = ani.generic("POST", TAKE, body, content_type="multipart/form-data; boundary=y")

    assert answer.status_code == 413
    assert "larger than 32 MB" in text_of(answer)
    assert not StatementFile.objects.exists()


def test_each_leftover_has_a_next_step_and_is_settled_once_with_a_word(ani, budi, english):
    known, _ = paid_yesterday()
    taken(ani, statement([(known.reference, "paid", 500_000)]))
    [left] = Leftover.objects.filter(kind="amount")
    settle = f"{RECONCILIATION}sisa/{left.pk}/"

    page = text_of(ani.get(RECONCILIATION))
    assert "Another amount than ours · Rp500,000" in page
    assert f"Next step: {left.next_step}" in page
    assert said(budi.post(settle, {"how": " "}, follow=True)).startswith("Say how")
    assert said(budi.post(settle, {"how": "=BNI corrected it"}, follow=True)) == "Settled."
    assert said(budi.post(settle, {"how": "Me too"}, follow=True)) == (
        "Somebody has settled this already, or the money has moved on."
    )

    assert not reconciliation.unexplained().get("amount")
    assert Deed.objects.get(name="leftover_settled").by.username == "budi"
    [row] = [row for row in rows(ani.get(f"{RECONCILIATION}sisa.csv")) if row[3] == known.reference]
    assert row[-1] == "'=BNI corrected it"


def test_what_the_payer_has_shown_is_taken_over_into_the_books_once_and_in_the_books_own_words(ani, budi):
    """The payer credited what failed here, and did not credit what is paid here."""
    make_payable(2, numbers=["1000000001", magic(26, 2)])
    make_batch(limit=2)
    send()
    paid, failed = (Payout.objects.get(state=state) for state in (Payout.State.PAID, Payout.State.FAILED))
    taken(ani, statement([(paid.reference, "failed", 600_000), (failed.reference, "paid", 600_000)]))
    paid_here, failed_here = Leftover.objects.get(kind="paid_here"), Leftover.objects.get(kind="failed_here")

    def accepted(leftover, **told):
        path = f"{RECONCILIATION}sisa/{leftover.pk}/"
        return said(budi.post(path, {"act": "accept", "how": "Shown", **SURE, **told}, follow=True))

    assert accepted(paid_here, sure="") == "Tick that you are sure."
    assert accepted(paid_here, how="") == "Say how it was cleared up: it is kept."
    assert accepted(paid_here) == accepted(failed_here) == "Settled."
    assert accepted(paid_here).startswith("Somebody has settled this already")

    states = dict(Obligation.objects.exclude(state=State.OPEN).values_list("pk", "state"))
    assert states == {paid.obligation_id: State.REVERSED, failed.obligation_id: State.PAID}
    assert "It agrees" in text_of(ani.get(f"{MONEY}hitung-ulang/"))
    assert Deed.objects.filter(name="leftover_accepted", by__username="budi").count() == 2


def test_what_was_not_given_back_is_counted_as_paid(budi, english):
    [id] = make_payable(1)
    make_batch()
    send()
    results.apply([Result(payout(id).reference, Outcome.REVERSED)], payer="bni", at=LATER)
    taken(budi, statement([(payout(id).reference, "paid", 600_000)]))
    [leftover] = Leftover.objects.all()

    page = text_of(budi.get(f"{RECONCILIATION}{leftover.file_id}/"))
    answer = budi.post(f"{RECONCILIATION}sisa/{leftover.pk}/", {"act": "accept", "how": "Shown", **SURE}, follow=True)

    assert "were credited and not given back" in page
    assert said(answer) == "Settled."
    assert payout(id).state == State.PAID


def test_a_files_name_is_shown_without_what_no_screen_shows(ani):
    known, _ = paid_yesterday()

    taken(ani, statement([(known.reference, "paid", 600_000)]), name="<b>\x07=bni.csv")

    file = StatementFile.objects.get()
    assert "\x07" not in file.file
    assert "<b>" not in ani.get(f"{RECONCILIATION}{file.pk}/").content.decode()


# What was done


def test_what_was_done_stays_written():
    deed = Deed.objects.create(name=Deed.Name.FILE_TAKEN, about="file 1", by=clerk("ani"))

    for change in (lambda: Deed.objects.update(told="else"), deed.delete):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()

    assert Deed.objects.get().told == ""


def test_people_without_an_account_are_a_line_of_their_own(english):
    make_owed(1)
    ids = make_owed(1, first=2000)
    link(ids)

    lines = {line.name: line.rupiah for line in money_pages.details().payers}

    assert (lines["BNI"], lines["No account yet"]) == (2_400_000, 2_400_000)

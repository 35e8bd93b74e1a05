"""What anybody sees of a draw and of decrees, and what registrants see of their own."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from registrations.models import Registrant, Wave
from tests.people import make_registrant
from tests.waves.cast import (
    AFTER,
    by_force,
    make_announced,
    make_applicants,
    make_drawn,
    make_frozen,
    make_published,
    make_staff,
    make_wave,
)
from tests.waves.test_randomness import ROUND, SIGNATURE
from tests.waves.test_reserves import by_rank, call, make_free
from tests.waves.test_screening import put_on_list
from waves import decrees, joining, merkle, naming, publishing, reserves, screening
from waves import draw as drawing
from waves.draw import ticket_of
from waves.models import Application, DecreeBlock, Draw, ListKind
from waves.randomness import QUICKNET
from waves.rules import RULES

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(client):
    """Somebody who reads English."""
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return client


def text_of(answer):
    """What the page says, without its marks, blanks as one."""
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).replace("\u00a0", " ").split())


def signed_in(client, registrant_id):
    session = client.session
    session["registrant"] = registrant_id
    session.save()


def test_before_the_freeze_the_page_tells_the_window_in_all_three_zones(reader):
    make_wave()

    page = text_of(reader.get("/undian/1/"))

    assert "has not been frozen yet" in page
    assert "Closes 16 Apr 2020 08:00 WIB, 09:00 WITA, 10:00 WIT" in page


def test_a_quota_above_the_tickets_is_told_on_the_page(reader):
    make_published(count=7, quota=100)

    page = text_of(reader.get("/undian/1/"))

    assert "Seats 100 – as many as tickets or more: all are taken" in page
    assert "Chance of being drawn 100.0 % (7 of 7 tickets)" in page


def test_the_files_are_given_by_their_names_with_the_hash_that_all_of_them_hang_on(reader, settings, tmp_path):
    settings.PUBLISHED = tmp_path / "published"
    draw = make_published(count=20, quota=5)
    assert "The files are being written" in text_of(reader.get("/undian/1/"))
    publishing.write_missing()

    page = reader.get("/undian/1/")

    for link in re.findall(r'href="(/undian/1/1/berkas/[^"]+)"', page.content.decode()):
        answer = reader.get(link)
        name = re.fullmatch('attachment; filename="(.*)"', answer["Content-Disposition"])[1]
        (tmp_path / name).write_bytes(b"".join(answer.streaming_content))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir() if path.is_file()}
    assert files.keys() == set(publishing.FILES)
    assert (tmp_path / "SHA256SUMS").read_text() == "".join(f"{files[name]}  {name}\n" for name in publishing.FILES[:-1])
    text = text_of(page)
    assert 'href="/undian/verify_draw.py" download' in page.content.decode()
    (checker := tmp_path / "verify_draw.py").write_bytes(b"".join(reader.get("/undian/verify_draw.py")))
    told = re.search(r"python3 verify_draw.py FOLDER( --sha256 [0-9a-f -]+(?:--[a-z]+ [0-9a-f]+ ?)+)", text)[1]
    (folder := tmp_path / "folder").mkdir()
    for name in files:
        shutil.copy(tmp_path / name, folder)
    checked = subprocess.run([sys.executable, checker, folder, *told.split()], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert f"SHA-256 of SHA256SUMS, which names all others {files['SHA256SUMS']}" in text
    assert f"python3 verify_draw.py FOLDER --sha256 {files['SHA256SUMS']} --root {bytes(draw.root).hex()}" in text
    (publishing.file(draw, "SHA256SUMS")).write_bytes(b"another")
    assert "The files are being written" in text_of(reader.get("/undian/1/")), "others are not offered"


SAYS_SO = re.compile("No public randomness|mock beacon of a demonstration: it proves nothing")


@pytest.mark.parametrize(
    "path",
    [
        *("/undian/", "/undian/1/", "/undian/1/1/", "/undian/1/?ticket=0", "/sk/", "/sk/?hash={hash}", "/status/"),
        *("/pmo/gelombang/", "/pmo/gelombang/1/"),
    ],
)
def test_the_mock_beacon_is_named_as_such_on_every_page_of_its_draws_and_on_none_of_others(reader, path):
    draw = make_announced(count=4, quota=2)
    signed_in(reader, by_rank(draw)[0])
    if path.startswith("/pmo/"):
        reader.force_login(make_staff("ani"))
    path = path.format(hash=bytes(draw.decrees.get().sha256).hex())

    by_the_mock = text_of(reader.get(path))
    Draw.objects.update(chain=drawing.vars_of(QUICKNET), round=ROUND, signature=SIGNATURE)
    by_drand = text_of(reader.get(path))

    assert SAYS_SO.search(by_the_mock)
    assert not SAYS_SO.search(by_drand)


def test_an_annulled_draw_stays_visible_with_its_reason(reader):
    draw = make_published(count=6)
    drawing.annul(draw, reason="The list of officials was the wrong one.", at=AFTER)
    again = drawing.freeze(draw.wave, at=AFTER)

    assert "The list of officials was the wrong one." in text_of(reader.get("/undian/1/"))
    old = reader.get("/undian/1/1/")
    assert bytes(draw.root).hex() in old.content.decode()
    assert bytes(again.root).hex() not in old.content.decode()


def test_after_the_freeze_and_after_the_commitment_all_that_was_fixed_is_told(reader):
    draw = make_frozen(count=8, quota=3)
    fixed = [bytes(draw.list_sha256).hex(), bytes(draw.root).hex(), drawing.terms_of(draw).hex()]

    page, told = both(reader)

    assert "Tickets 8 " in page
    assert all(sha256 in page for sha256 in fixed)
    assert [told["tickets"], told["list_sha256"], told["root"], told["terms"]] == [8, *fixed]
    assert (told["commitment"], told["beacon"]) == (None, None)

    drawing.commit(draw, chain=QUICKNET, round=10**9, at=AFTER)
    draw.refresh_from_db()
    page, told = both(reader)

    secret, commitment = drawing.secret_of(draw), bytes(draw.commitment).hex()
    assert commitment == hashlib.sha256(b"prakerja-draw-1 commitment" + secret).hexdigest()
    assert f"Commitment to the secret {commitment} Beacon drand {QUICKNET.chain} Round 1000000000, " in page
    assert (told["commitment"], told["beacon"]["chain"], told["beacon"]["round"]) == (commitment, QUICKNET.chain, 10**9)
    assert secret.hex() not in page + json.dumps(told)


def both(reader):
    """What is told of the draw of wave 1: the page's text, and the JSON."""
    return text_of(reader.get("/undian/1/")), reader.get("/undian/1/1/draw.json").json()


def test_nothing_secret_is_told_before_its_time(reader):
    draw = make_drawn(count=8, quota=3)
    secret, seed = drawing.secret_of(draw).hex(), bytes(draw.seed).hex()

    for path in ("/undian/1/", "/undian/1/1/draw.json"):
        told = reader.get(path).content.decode()
        assert secret not in told
        assert seed not in told
    assert reader.get("/undian/1/1/berkas/result.csv").status_code == 404


def test_a_registrant_sees_ticket_rank_and_cut_off_and_follows_them_to_the_proof(reader):
    draw = make_published(count=20, quota=5)
    drawn = by_rank(draw)[2]
    signed_in(reader, drawn)

    answer = reader.get("/status/")

    page = text_of(answer)
    assert "Your rank 3 of 20" in page
    assert "Last rank drawn 5" in page
    [link] = re.findall(r'href="(/undian/1/1/\?ticket=[0-9a-f-]+)"', answer.content.decode())
    proof = reader.get(link)
    found, page = proof.context["found"]["proof"], proof.content.decode()
    assert found.line.startswith(f"{ticket_of(draw, drawn).number:015x},")
    assert found.line in page
    assert all(sibling.hex() in page for sibling in found.path)
    assert merkle.holds(found.line.encode(), found.position, found.tickets, found.path, bytes(draw.root))


def test_who_is_not_eligible_sees_all_reasons_and_nobody_elses(reader, english):
    wave = make_wave(quota=5)
    [me, other] = make_applicants(wave, 2, studying=True)
    make_applicants(wave, 6, first=11)
    for kind in (ListKind.ASN, ListKind.SOCIAL_AID):
        put_on_list(kind, 1)
    screening.screen(wave, at=AFTER)
    pages = {}
    for id in (me, other):
        signed_in(reader, id)
        assert "You could not take part" not in text_of(reader.get("/status/")), "told from the freeze on, not before"
    drawing.freeze(wave, at=AFTER)

    for id in (me, other):
        signed_in(reader, id)
        pages[id] = text_of(reader.get("/status/")).partition("You could not take part in this draw:")[2]

    studying, others = str(RULES["studying"].says), [str(RULES[code].says) for code in ("excluded_profession", "social_aid")]
    assert all(says in pages[me] for says in (studying, *others))
    assert studying in pages[other]
    assert not any(says in pages[other] for says in others)


def test_before_the_publication_a_registrant_sees_the_ticket_alone(reader):
    draw = make_frozen(count=5)
    signed_in(reader, by_ticket(draw))

    page = text_of(reader.get("/status/"))

    assert "Your ticket" in page
    assert "Your rank" not in page
    assert "Last rank drawn" not in page


def by_ticket(draw):
    return Registrant.objects.order_by("pk")[2].pk


def test_who_was_called_from_the_reserve_is_told_so_on_both_pages(reader):
    draw = make_free(count=20, quota=6, bought=2)
    decree = call(2)
    called = by_rank(draw)[6]
    signed_in(reader, called)

    assert "Called from the reserve" in text_of(reader.get("/status/"))
    page = text_of(reader.get(f"/undian/1/?ticket={ticket_of(draw, called).number:015x}"))
    assert "Called from the reserve" in page
    assert f"Decree {decree.number}/2020: 2 named and 0 passed over, ranks 7 to 8" in page
    rows = b"".join(reader.get("/undian/1/1/cadangan.csv").streaming_content).decode().splitlines()
    assert rows[0] == "rank,ticket,outcome,decree"
    assert rows == "".join(reserves.lines(draw)).splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["7", "8"]


def test_the_card_its_last_day_and_the_decree_stand_on_the_recipients_page(reader):
    make_announced(count=4, quota=2)
    now = timezone.now()
    decree = Draw.objects.get().decrees.get()
    type(decree).objects.update(buy_by=(now + timedelta(days=12)).replace(hour=17, minute=0, second=0, microsecond=0))
    signed_in(reader, by_rank(decree.draw)[0])

    page = text_of(reader.get("/status/"))

    assert re.search(r"My Kartu Prakerja 8020 \d{4} \d{4} \d{4}", page)
    assert "Wave 1, Decree 1/2020" in page
    assert re.search(r"Buy your first training by .* 23:59 WIB: 1[12] days left", page)


def test_a_decree_is_verified_by_the_hash_of_its_list_and_a_broken_one_is_told(reader):
    decree = naming.issue(make_published(count=8, quota=3), by="Denni", at=AFTER)
    sha256 = bytes(decree.sha256).hex()

    assert "This is the list of decree 1/2020, unchanged." in text_of(reader.get(f"/sk/?hash={sha256.upper()}"))
    assert "No decree has a list with this hash" in text_of(reader.get(f"/sk/?hash={sha256[:-1]}0{sha256[-1:]}"))
    assert "No decree has a list with this hash" in text_of(reader.get("/sk/?hash=nonsense"))
    with by_force():
        DecreeBlock.objects.update(sealed=b"x")
    assert "not as it was signed" in text_of(reader.get(f"/sk/?hash={sha256}"))


def test_a_decree_on_paper_has_the_hash_and_no_name(reader):
    decree = naming.issue(make_published(count=8, quota=3), by="Denni", at=AFTER)

    answer = reader.get("/sk/2020/1.pdf")

    assert answer["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    assert answer.content == reader.get("/sk/2020/1.pdf").content, "the same bytes each time"
    assert reader.get("/sk/2020/2.pdf").status_code == 404
    statement = reader.get("/sk/2020/1.txt").content.decode()
    assert f"sha256 {bytes(decree.sha256).hex()}" in statement
    assert "Siti" not in statement
    assert b"".join(decrees.lines(decree)).decode().count("Siti") == 3


def test_who_is_not_verified_is_told_so_and_joins_nothing(reader):
    make_wave()
    now = timezone.now()
    Wave.objects.update(opens_at=now - timedelta(days=1), closes_at=now + timedelta(days=1))
    below = make_registrant()
    signed_in(reader, below.pk)

    assert "Join wave 1" not in text_of(reader.get("/status/"))
    answer = reader.post("/status/gabung/")

    assert answer.status_code == 409
    assert "Only who is fully verified" in answer.content.decode()
    assert joining.join(1, [below.pk]) == [joining.Outcome.NOT_READY]
    assert not Application.objects.exists()

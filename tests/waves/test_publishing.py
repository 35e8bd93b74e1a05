"""What is published of a draw, and that anybody can run it again from that alone."""

import hashlib
import json
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from tests.waves.cast import (
    AFTER,
    BEACON,
    make_applicants,
    make_committed,
    make_drawn,
    make_published,
    make_wave,
    run,
    share_household,
)
from tests.waves.test_decrees import drawn_in_wave_2
from tests.waves.test_screening import put_on_list
from waves import draw as drawing
from waves import publishing
from waves.models import Draw, ListKind, Place
from waves.screening import NotNow, screen

pytestmark = pytest.mark.django_db

CHECKER = Path(__file__).resolve().parents[2] / "tools" / "verify_draw.py"


def check(folder, *options):
    return subprocess.run([sys.executable, "-I", CHECKER, folder, *options], capture_output=True, text=True, timeout=60)


def make_manifold(count=120):
    """A published draw with rooms, households and people who were recipients before."""
    wave = make_wave(
        quota=40,
        rule_set="2021-03",
        rooms=[{"name": "priority", "seats": 8, "list": "priority"}, {"name": "West Java", "seats": 10, "province": 32}],
    )
    ids, rng = make_applicants(wave, count), random.Random(3)
    put_on_list(ListKind.PRIORITY, *range(1, 31))
    for _ in range(20):
        share_household(rng.sample(ids, 4))
    screen(wave, at=AFTER)
    draw = drawing.freeze(wave, at=AFTER)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER)
    run(draw)
    drawing.publish(draw, at=AFTER + timedelta(hours=2))
    return draw


def are_written(draw):
    return publishing.are_written(draw, publishing.sums(draw))


@pytest.mark.parametrize("make", [lambda: make_published(count=50), make_manifold, lambda: make_published(count=1, quota=9)])
def test_a_stranger_runs_a_published_draw_again(make, tmp_path):
    draw = make()

    publishing.write(draw, tmp_path)

    told = json.loads((tmp_path / "draw.json").read_text())
    found = check(tmp_path, "--root", told["root"], "--commitment", told["commitment"], "--beacon")
    assert found.returncode == 0, found.stderr
    assert told["seed"] in found.stdout
    assert "mock" in found.stdout
    winners = set(Place.objects.filter(draw_id=draw.pk).values_list("rank", flat=True))
    lines = (tmp_path / "result.csv").read_text().splitlines()[1:]
    assert {int(line.split(",")[0]) for line in lines if line.split(",")[2].startswith("S")} == winners


@pytest.mark.parametrize("name", publishing.FILES)
def test_a_changed_byte_in_any_file_is_found(tmp_path, name):
    publishing.write(make_manifold(), tmp_path)
    whole, rng = (tmp_path / name).read_bytes(), random.Random(name)

    for place in rng.sample(range(len(whole)), 5):
        changed = bytearray(whole)
        changed[place] ^= 1
        (tmp_path / name).write_bytes(changed)
        found = check(tmp_path)
        assert (found.returncode, found.stdout, found.stderr[:9]) == (1, "", "DIFFERS: "), place
    (tmp_path / name).write_bytes(whole)
    assert check(tmp_path).returncode == 0


def test_the_hashes_of_all_files_are_published_as_sha256sum_writes_and_checks_them(tmp_path):
    draw = make_manifold()

    publishing.write(draw, tmp_path)

    written = subprocess.run(["sha256sum", *publishing.FILES[:-1]], cwd=tmp_path, capture_output=True, timeout=60)
    assert (tmp_path / "SHA256SUMS").read_bytes() == written.stdout == publishing.sums(Draw.objects.get(pk=draw.pk))
    assert {path.name for path in tmp_path.iterdir()} == set(publishing.FILES)
    assert subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path).returncode == 0


def test_who_changes_what_follows_from_nothing_and_the_hashes_with_it_is_found_by_the_hash_on_the_page(tmp_path):
    draw = make_manifold()
    publishing.write(draw, tmp_path)
    noted = hashlib.sha256(publishing.sums(draw)).hexdigest()
    told = (tmp_path / "draw.json").read_text()
    (tmp_path / "draw.json").write_text(told.replace("West Java", "East Java"))
    sums = subprocess.run(["sha256sum", *publishing.FILES[:-1]], cwd=tmp_path, capture_output=True, timeout=60).stdout
    (tmp_path / "SHA256SUMS").write_bytes(sums)

    alone, by_the_page = check(tmp_path), check(tmp_path, "--sha256", noted)

    assert "West Java" in told
    assert (alone.returncode, "sha256" in alone.stdout) == (0, True), "files alone cannot tell, and the checker says so"
    assert (by_the_page.returncode, by_the_page.stderr) == (
        1,
        f"DIFFERS: SHA256SUMS: its SHA-256 is {hashlib.sha256(sums).hexdigest()}; what you noted is {noted}\n",
    )


def test_the_list_published_later_is_the_one_that_was_frozen(tmp_path):
    draw = make_published(count=20)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE waves_ticket SET room = 1 WHERE position = 3")

    with pytest.raises(publishing.Tampered, match="tickets"):
        publishing.write(draw, tmp_path)
    assert list(tmp_path.iterdir()) == [], "nothing of it is seen"


def test_the_result_is_the_same_each_time_it_is_written(tmp_path):
    draw = make_published(count=20, quota=5)
    publishing.write(draw, tmp_path)
    draw.refresh_from_db()
    publishing.write(draw, tmp_path)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM waves_place WHERE rank = (SELECT min(rank) FROM waves_place)")

    with pytest.raises(publishing.Tampered, match="result"):
        publishing.write(draw, tmp_path)


def test_nothing_of_a_draw_is_published_before_its_time(tmp_path):
    draw = make_drawn(count=5)

    with pytest.raises(NotNow):
        publishing.write(draw, tmp_path)
    told = publishing.as_json(draw)

    assert (told["secret"], told["seed"], told["cut_offs"]) == (None, None, None)
    assert told["root"] == bytes(draw.root).hex()
    with pytest.raises(CommandError, match="not published"):
        call_command("publish_draw", "--wave", "1", "--to", str(tmp_path))
    with pytest.raises(CommandError, match="no such draw"):
        call_command("publish_draw", "--wave", "7", "--to", str(tmp_path))


def test_the_command_writes_the_files_and_the_web_gets_those_that_are_missing(tmp_path, settings, capsys):
    settings.PUBLISHED = tmp_path / "published"
    draw = make_published(count=5)

    call_command("publish_draw", "--wave", "1", "--to", str(tmp_path / "mine"))
    publishing.write_missing()
    publishing.write_missing()

    for name in publishing.FILES:
        assert (tmp_path / "mine" / name).read_bytes() == publishing.file(draw, name).read_bytes()
    assert "result.csv" in capsys.readouterr().out
    assert not [path for path in publishing.file(draw, "draw.json").parent.iterdir() if path.name not in publishing.FILES]


def test_the_files_of_a_draw_that_was_tampered_with_do_not_keep_back_those_of_others(tmp_path, settings, caplog):
    settings.PUBLISHED = tmp_path
    first = make_published(count=5)
    second = drawn_in_wave_2()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE waves_ticket SET room = 1 WHERE draw_id = %s AND position = 3", [first.pk])

    publishing.write_missing()

    assert not publishing.file(first, "draw.json").exists()
    assert publishing.file(second, "draw.json").exists()
    assert "draw 1 of wave 1: tickets.csv is not what was frozen" in caplog.text


def annul(draw):
    drawing.annul(draw, reason="The list of officials was the wrong one.", at=AFTER + timedelta(hours=3))


def written(draw):
    """Each file of the draw as it lies there: one that is written anew is another, though it has the same bytes."""
    return {
        name: (publishing.file(draw, name).read_bytes(), publishing.file(draw, name).stat().st_ino)
        for name in publishing.FILES
    }


@pytest.mark.parametrize(
    ("was_annulled", "change"),
    [
        (None, {"frozen_at": AFTER - timedelta(minutes=1)}),
        (True, {"annulled_because": "It did not fit."}),
        (True, {"frozen_at": AFTER - timedelta(minutes=1)}),
        (True, {"annulled_at": None, "annulled_because": ""}),
        (False, {"frozen_at": AFTER - timedelta(minutes=1)}),
    ],
    ids=["published", "reason", "annulled", "annulment withdrawn", "annulled since"],
)
def test_what_has_been_published_does_not_follow_a_change_in_the_database(tmp_path, settings, caplog, was_annulled, change):
    settings.PUBLISHED = tmp_path
    draw = make_published(count=5)
    if was_annulled:
        annul(draw)
    publishing.write_missing()
    before = written(draw)
    if was_annulled is False:
        annul(draw)
    Draw.objects.update(**change)

    publishing.write_missing()

    assert written(draw) == before
    assert "draw 1 of wave 1: SHA256SUMS is not what was frozen and drawn" in caplog.text
    assert not are_written(Draw.objects.get()), "and they are not offered as the draw's"


def test_a_drawn_draw_that_is_annulled_before_it_was_published_is_published_by_that(tmp_path, settings):
    settings.PUBLISHED = tmp_path
    draw = make_drawn(count=20, quota=5)

    drawing.annul(draw, reason="It did not fit.", at=AFTER + timedelta(hours=2))
    publishing.write_missing()

    kept = Draw.objects.get()
    assert kept.published_at == kept.annulled_at
    told = json.loads(publishing.file(draw, "draw.json").read_text())
    assert told["secret"] == drawing.secret_of(draw).hex()
    assert told["annulled"]["reason"] == "It did not fit."
    assert check(publishing.file(draw, "draw.json").parent, "--commitment", told["commitment"]).returncode == 0


def test_what_was_not_drawn_has_nothing_to_publish_when_it_is_annulled():
    draw = make_committed(count=5)

    drawing.annul(draw, reason="A wrong list.", at=AFTER)

    assert Draw.objects.get().published_at is None
    assert publishing.as_json(draw)["secret"] is None


def test_whose_round_is_out_is_drawn_before_it_is_annulled_whether_its_beacon_is_reached_or_not():
    draw = make_committed(count=5)

    with pytest.raises(NotNow, match=f"Round {draw.round} is out"):
        annul(draw)

    run(draw)
    annul(draw)
    assert Draw.objects.get().published_at, "so that nobody can draw again until it fits, and hide this one"


def test_what_another_database_has_left_is_not_taken_for_the_draws_files(tmp_path, settings):
    settings.PUBLISHED = tmp_path
    with transaction.atomic():
        make_published(count=5)
        publishing.write_missing()
        transaction.set_rollback(True)
    draw = make_published(count=6)

    publishing.write_missing()

    draw.refresh_from_db()
    for name, sha256 in (("tickets.csv", draw.list_sha256), ("result.csv", draw.result_sha256)):
        assert hashlib.sha256(publishing.file(draw, name).read_bytes()).digest() == bytes(sha256)


def test_the_files_of_a_draw_that_is_annulled_say_so(tmp_path, settings):
    settings.PUBLISHED = tmp_path
    draw = make_published(count=5)
    publishing.write_missing()
    before = written(draw)

    annul(draw)
    publishing.write_missing()

    assert {name for name, file in written(draw).items() if file != before[name]} == {"draw.json", "SHA256SUMS"}
    told = json.loads(publishing.file(draw, "draw.json").read_text())
    assert told["annulled"]["reason"] == "The list of officials was the wrong one."
    assert check(publishing.file(draw, "draw.json").parent).returncode == 0, "and the draw can still be run again"


@pytest.mark.parametrize("name", ["draw.json", "SHA256SUMS"])
def test_files_that_a_crash_has_left_half_done_are_written_anew(tmp_path, settings, name):
    settings.PUBLISHED = tmp_path
    draw = make_published(count=5)
    publishing.write_missing()
    annul(draw)
    before = (publishing.file(draw, "SHA256SUMS")).read_bytes()
    publishing.write_missing()
    # Killed between the two: one is the new one, the other not.
    publishing.file(draw, "SHA256SUMS").write_bytes(before) if name == "draw.json" else publishing.file(draw, name).unlink()

    assert not are_written(draw)
    publishing.write_missing()

    assert are_written(draw)
    assert check(publishing.file(draw, name).parent).returncode == 0

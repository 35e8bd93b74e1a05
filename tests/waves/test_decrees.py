"""The decree: who was drawn is named, and climbs; the others are told why not."""

import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from foundation.sealing import seal
from prakerja.simulation import drive
from registrations import funnel, ladder
from registrations.models import PersonalData, Registrant
from registrations.regions import WIB
from registrations.stages import DropOff, Stage
from tests.conftest import ROOT
from tests.people import make_registrants
from tests.waves.cast import (
    AFTER,
    BEACON,
    by_force,
    make_announced,
    make_applicants,
    make_drawn,
    make_published,
    make_staff,
    make_wave,
    run,
)
from tests.waves.test_screening import put_on_list
from waves import acts, cards, decrees, joining, mine, naming, programme, seats
from waves import draw as drawing
from waves.models import Act, Decree, DecreeBlock, Draw, ListKind, Place, Recipient, RuleSet
from waves.screening import NotNow, screen
from waves.state import State
from waves.state import of as state_of

pytestmark = pytest.mark.django_db

AT = AFTER + timedelta(hours=3)


def test_all_who_were_drawn_are_named_have_a_card_and_stand_on_selected():
    draw = make_published(count=30, quota=8)

    decree = naming.issue(draw, by="Denni", at=AT)

    drawn = set(Place.objects.values_list("registrant_id", flat=True))
    assert set(Recipient.objects.values_list("registrant_id", flat=True)) == drawn
    selected = Registrant.objects.filter(stage=Stage.SELECTED)
    assert {row.pk for row in selected} == drawn
    assert {(row.selected_wave_id, row.selected_at) for row in selected} == {(1, AT)}
    assert (decree.year, decree.number, decree.names) == (2020, 1, 8)
    assert sum(sum(by_sex.values()) for by_sex in decree.totals.values()) == 8
    assert funnel.recount().differences == []
    assert funnel.read().rungs[4].people == 8


def test_the_list_is_canonical_sealed_hashed_and_signed():
    decree = naming.issue(make_published(count=12, quota=5), by="Denni", at=AT)

    text = b"".join(decrees.lines(decree))
    assert hashlib.sha256(text).digest() == bytes(decree.sha256)
    rows = [line.split(";") for line in text.decode().splitlines()[1:]]
    assert [int(row[1]) for row in rows] == sorted(Place.objects.values_list("rank", flat=True))
    assert all(row[4].startswith("Siti Rahmawati") for row in rows)
    assert b"Siti" not in bytes(DecreeBlock.objects.get().sealed)
    assert decrees.faults(decree) == []
    assert decrees.with_hash(bytes(decree.sha256)) == decree
    assert f"sha256 {bytes(decree.sha256).hex()}" in decree.statement


def test_a_long_list_is_sealed_in_parts_and_stays_in_the_order_of_ranks():
    draw = make_published(count=decrees.BLOCK + 300, quota=decrees.BLOCK + 200)

    decree = naming.issue(draw, by="Denni", at=AT, batch=decrees.BLOCK // 2)

    ranks = [int(line.split(b";")[1]) for line in b"".join(decrees.lines(decree)).splitlines()[1:]]
    assert ranks == sorted(Recipient.objects.values_list("rank", flat=True))
    assert len(ranks) == decrees.BLOCK + 200
    assert DecreeBlock.objects.count() == 2
    assert decrees.faults(decree) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE waves_decree SET signer = 'Somebody else'", "statement"),
        ("UPDATE waves_decree SET names = names + 1", "statement"),
        ("UPDATE waves_decree SET statement = replace(statement, 'names 5', 'names 6')", "signature"),
        ("UPDATE waves_decree SET signature = sha512('x')", "signature"),
        ("UPDATE waves_decree SET sha256 = sha256('x')", "list"),
        ("DELETE FROM waves_decreeblock", "list"),
    ],
)
def test_whatever_is_changed_afterwards_shows(change, fault):
    decree = naming.issue(make_published(count=12, quota=5), by="Denni", at=AT)
    with by_force(), connection.cursor() as cursor:
        cursor.execute(change)
    decree.refresh_from_db()

    assert fault in " ".join(decrees.faults(decree))


def test_a_list_that_does_not_open_any_more_is_a_fault_too():
    decree = naming.issue(make_published(count=12, quota=5), by="Denni", at=AT)
    sealed = bytes(DecreeBlock.objects.get().sealed)
    for place in random.Random(2).sample(range(len(sealed)), 40):
        with by_force():
            DecreeBlock.objects.update(sealed=sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :])

        assert decrees.faults(decree) == ["the list is not the one that was hashed"]
    with by_force():
        DecreeBlock.objects.update(sealed=sealed)
    assert decrees.faults(decree) == []


def test_any_byte_line_or_order_of_the_list_that_somebody_with_the_keys_changes_shows():
    decree = naming.issue(make_published(count=60, quota=40), by="Denni", at=AT)
    text = b"".join(decrees.lines(decree)).removeprefix(decrees.HEADER.encode())
    rows, rng = text.splitlines(keepends=True), random.Random(3)

    def byte():
        place = rng.randrange(len(text))
        return text[:place] + bytes([text[place] ^ rng.randrange(1, 256)]) + text[place + 1 :]

    def swap():
        one, other = rng.sample(range(len(rows)), 2)
        changed = list(rows)
        changed[one], changed[other] = changed[other], changed[one]
        return b"".join(changed)

    def drop():
        gone = rng.randrange(len(rows))
        return b"".join(rows[:gone] + rows[gone + 1 :])

    def add():
        return b"".join([*rows, b"+;41;8020000000000000;;Somebody;32;1;\n"])

    for change in [byte] * 250 + [swap] * 25 + [drop] * 20 + [add]:
        with by_force():
            DecreeBlock.objects.update(sealed=seal(change(), b"decree:%d:0" % decree.pk))

        assert decrees.faults(decree) == ["the list is not the one that was hashed"]


# The database itself keeps what was issued.

SIGNED = {
    "number": "number + 1",
    "year": "year + 1",
    "kind": "'reserves'",
    "draw_id": "draw_id + 1",
    "corrects_id": "id",
    "at": "at + interval '1 s'",
    "signer": "'Somebody else'",
    "names": "names + 1",
    "totals": "'{}'",
    "sha256": "sha256('x')",
    "statement": "statement || ' '",
    "key_id": "'2026'",
    "public_key": "sha256('x')",
    "signature": "sha512('x')",
}


def test_all_that_is_entered_of_a_decree_later_is_the_end_of_the_days_to_buy():
    fields = {field.column for field in Decree._meta.concrete_fields}

    assert fields - {"id", *SIGNED} == {"buy_by", "lapsed_at"}


@pytest.mark.parametrize(
    "change",
    [
        *(f"UPDATE waves_decree SET {column} = {value}" for column, value in SIGNED.items()),
        "UPDATE waves_decree SET id = id + 1",
        "UPDATE waves_decree SET buy_by = now(), names = names + 1",
        "DELETE FROM waves_decree",
        "UPDATE waves_decreeblock SET sealed = sealed || 'x'",
        "DELETE FROM waves_decreeblock WHERE block = 0",
        "INSERT INTO waves_decreeblock SELECT decree_id, 1, sealed FROM waves_decreeblock",
    ],
)
def test_nobody_changes_or_deletes_what_was_issued(change):
    decree = naming.issue(make_published(count=4, quota=2), by="Denni", at=AT)

    with pytest.raises(IntegrityError, match="a decree that was issued stands"), transaction.atomic():
        connection.cursor().execute(change)

    assert decrees.faults(Decree.objects.get(pk=decree.pk)) == []


def test_the_end_of_the_days_to_buy_is_entered_with_the_announcement():
    naming.issue(make_published(count=4, quota=2), by="Denni", at=AT)

    Decree.objects.update(buy_by=AT, lapsed_at=AT)

    assert Decree.objects.filter(buy_by=AT, lapsed_at=AT).count() == 1


@pytest.mark.django_db(transaction=True)
def test_decrees_are_forgotten_by_who_forgets_everything_and_by_nobody_else(psql):
    naming.issue(make_published(count=4, quota=2), by="Denni", at=AT)
    for tables in ("waves_decree CASCADE", "waves_decreeblock"):
        with pytest.raises(AssertionError, match="a decree that was issued stands"):
            psql(f"TRUNCATE {tables}")
    with connection.cursor() as cursor:
        cursor.execute("SET prakerja.forgetting = off")  # as it is outside of tests
        try:
            drive.forget_everything()

            assert not Decree.objects.exists()
            assert not DecreeBlock.objects.exists()
            cursor.execute("SHOW prakerja.forgetting")
            assert cursor.fetchone() == ("off",), "for that one transaction"
        finally:
            cursor.execute("RESET prakerja.forgetting")


def test_the_triggers_go_and_come_back():
    def count():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('waves_decree'::regclass, 'waves_decreeblock'::regclass)"
                " AND NOT tgisinternal"
            )
            return cursor.fetchone()[0]

    assert count() == 4
    call_command("migrate", "waves", "0003", verbosity=0)
    assert count() == 0
    call_command("migrate", verbosity=0)
    assert count() == 4


# The page about decrees tells a stranger how to verify them: what stands there is run here.

PAGE = (ROOT / "docs" / "decree.md").read_text()


def issue_two(client):
    naming.issue(make_published(count=8, quota=2), by="Denni, Direktur Eksekutif", at=AT)
    naming.issue(drawn_in_wave_2(), by="Denni, Direktur Eksekutif", at=AT + timedelta(days=7))
    return client.get("/sk/decrees.json").json()


def check(told, folder):
    """What the page's program says of these statements."""
    [program] = re.findall("```python\n(.*?)```", PAGE, re.DOTALL)
    (folder / "decrees.json").write_text(json.dumps(told))
    command = [sys.executable, "-c", program, folder / "decrees.json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_stranger_verifies_all_decrees_by_the_page(client, tmp_path):
    told = issue_two(client)

    done = check(told, tmp_path)

    newest = Decree.objects.get(number=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == hashlib.sha256(newest.statement.encode()).hexdigest()
    assert client.get("/sk/2020/2.txt").content == newest.statement.encode()


@pytest.mark.parametrize("forgery", ["statement", "signature", "dropped", "turned"])
def test_a_stranger_finds_what_was_changed_by_the_page(client, tmp_path, forgery):
    told = issue_two(client)
    first, second = told["decrees"]
    match forgery:
        case "statement":
            first["statement"] = first["statement"].replace("names 2", "names 3")
        case "signature":
            first["signature"] = second["signature"]
        case "dropped":
            told["decrees"] = [second]
        case "turned":
            told["decrees"] = [second, first]

    assert check(told, tmp_path).returncode == 1


def test_whoever_has_noted_the_newest_statements_hash_finds_each_of_ten_thousand_changes(client):
    told = issue_two(client)["decrees"]
    [program] = re.findall("```python\n(.*?)```", PAGE, re.DOTALL)
    code, rng, missed = compile(program.replace("sys.argv[1]", "''"), "decree.md", "exec"), random.Random(5), []

    def head(decrees):
        """What the page's program prints of these; None: it ends with an error."""
        said = []
        try:
            exec(code, {"open": lambda _: StringIO(json.dumps({"decrees": decrees})), "print": said.append})  # noqa: S102 it is ours
        except (AssertionError, InvalidSignature, ValueError, KeyError):
            return None
        return said[0]

    def other(text, place, letters):
        return text[:place] + rng.choice(letters.replace(text[place], "")) + text[place + 1 :]

    def edit(decree):
        field = rng.choice(["statement", "statement", "signature", "public_key", "number"])
        letters = "0123456789abcdef" if field in ("signature", "public_key") else "0123456789abcdef /-\nkz"
        return decree | {field: other(decree[field], rng.randrange(len(decree[field])), letters)}

    def back_date(decree):
        day = f"{rng.randrange(2000, 2020)}-01-01"
        return decree | {"statement": re.sub("date .*", f"date {day}", decree["statement"])}

    noted = head(told)
    for _ in range(10_000):
        changed, at = list(told), rng.randrange(2)
        match rng.choice(["edit"] * 6 + ["back-dated", "dropped", "cut off", "doubled", "turned"]):
            case "edit":
                changed[at] = edit(changed[at])
            case "back-dated":
                changed[at] = back_date(changed[at])
            case "dropped":
                del changed[at]
            case "cut off":
                changed = changed[:at]
            case "doubled":
                changed.insert(at, changed[at])
            case "turned":
                changed.reverse()
        if head(changed) == noted:
            missed.append(changed)

    assert noted == hashlib.sha256(told[1]["statement"].encode()).hexdigest()
    assert missed == []


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs OpenSSL")
def test_openssl_verifies_a_signature_as_the_page_says(client, tmp_path):
    first = issue_two(client)["decrees"][0]
    [prefix] = re.findall("echo ([0-9a-f]+)PUBLIC_KEY", PAGE)
    [command] = re.findall("openssl pkeyutl .*", PAGE)
    (tmp_path / "key.der").write_bytes(bytes.fromhex(prefix + first["public_key"]))
    (tmp_path / "signature").write_bytes(bytes.fromhex(first["signature"]))
    (tmp_path / "1-2020.txt").write_bytes(client.get("/sk/2020/1.txt").content)

    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verified Successfully" in done.stdout


def test_the_page_tells_the_statement_as_it_is():
    decree = naming.issue(make_published(count=8, quota=2), by="Denni", at=AT)

    [shown] = re.findall("\n\n((?:    .*\n){12})", PAGE[PAGE.index("## The statement") :])[:1]
    assert [line.split()[0] for line in shown.splitlines()] == [line.split()[0] for line in decree.statement.splitlines()]
    assert f"`{decrees.HEADER.strip()}`" in PAGE


def test_a_card_has_16_digits_of_which_the_last_checks_the_others():
    numbers = [cards.random_card() for _ in range(200)]

    assert all(1000_0000_0000_0000 <= card < 10**16 for card in numbers)
    assert len(set(numbers)) == 200
    for card in numbers:
        digits = str(card)
        # Luhn: the whole number, doubled every second digit from the right, is a multiple of ten.
        doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
        assert sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
    assert cards.check_digit("7992739871") == 3, "the standard's own example"


def test_a_card_that_somebody_has_or_that_was_made_twice_clashes():
    naming.issue(make_published(count=8, quota=2), by="Denni", at=AT)
    had = Recipient.objects.first().card
    free = [had + 1, had + 2]

    with connection.cursor() as cursor:
        assert cards.clashes(cursor, [free[0], had, free[1], free[0]]) == {1, 3}
        assert not cards.clashes(cursor, free)


def test_decrees_of_a_year_are_numbered_without_a_gap_and_one_names_each_draw():
    first = make_published(count=8, quota=2)
    naming.issue(first, by="Denni", at=AT)
    with pytest.raises(NotNow, match="already"):
        naming.issue(first, by="Denni", at=AT)
    second = drawn_in_wave_2()

    assert naming.issue(second, by="Denni", at=AT + timedelta(days=7)).number == 2
    with pytest.raises(IntegrityError, match="decree_numbers"), by_force():
        Decree.objects.filter(number=2).update(number=1)


def drawn_in_wave_2(*, quota=3):
    wave = make_wave(2, quota=quota)
    make_applicants(wave, 6, first=500)
    later = wave.closes_at + timedelta(hours=1)
    screen(wave, at=later)
    draw = drawing.freeze(wave, at=later)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(later), at=later)
    drawing.run(draw, signature=BEACON.signature(draw.round), at=later + timedelta(hours=1))
    drawing.publish(draw, at=later + timedelta(hours=2))
    return draw


def test_decrees_are_numbered_anew_from_the_first_minute_of_a_year_in_jakarta():
    midnight = datetime(2021, 1, 1, tzinfo=WIB).astimezone(UTC)

    old = naming.issue(make_published(count=8, quota=2), by="Denni", at=midnight - timedelta(minutes=1))
    new = naming.issue(drawn_in_wave_2(), by="Denni", at=midnight)

    assert [(decree.number, decree.year) for decree in (old, new)] == [(1, 2020), (1, 2021)]
    assert "\nnumber 1/2020\n" in old.statement
    assert "\ndate 2020-12-31\n" in old.statement
    assert "\nnumber 1/2021\n" in new.statement
    assert "\ndate 2021-01-01\n" in new.statement
    assert f"\nprevious {hashlib.sha256(old.statement.encode()).hexdigest()}\n" in new.statement, "the chain goes on"
    assert [decrees.faults(decree) for decree in (old, new)] == [[], []]


def test_the_days_to_buy_are_those_of_the_waves_rules():
    programme.load_rule_sets()
    of_2020 = RuleSet.objects.values().get(name="2020-04")
    RuleSet.objects.create(**of_2020 | {"name": "ten days", "days_to_buy": 10})

    make_announced(count=4, quota=2, rule_set="ten days")

    assert Decree.objects.get().buy_by == datetime(2020, 4, 27, tzinfo=WIB), "told on 16 April: until the end of the 26th"


def test_a_draw_that_is_not_published_or_was_annulled_is_not_decreed():
    draw = make_drawn(count=4)
    with pytest.raises(NotNow, match="not published"):
        naming.issue(draw, by="Denni", at=AT)
    drawing.annul(draw, reason="wrong list", at=AT)

    with pytest.raises(NotNow, match="annulled"):
        naming.issue(draw, by="Denni", at=AT)
    assert not Decree.objects.exists()


def test_without_a_key_nothing_is_decreed(settings):
    draw = make_published(count=4)
    settings.PRODUCTION = True

    with pytest.raises(NotNow, match="DECREE_KEYS"):
        naming.issue(draw, by="Denni", at=AT)
    assert not Registrant.objects.filter(stage=Stage.SELECTED).exists()


SEED = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="


@pytest.mark.parametrize("keys", ["2026a:", "2026a", f":{SEED}", "2026a:QUJD", "2026a:no base64", f"{'x' * 41}:{SEED}", ","])
def test_with_a_key_that_is_none_nothing_is_decreed_and_it_is_told_why(settings, keys):
    draw = make_published(count=4)
    settings.DECREE_KEYS = keys

    with pytest.raises(NotNow, match="The first of DECREE_KEYS"):
        naming.issue(draw, by="Denni", at=AT)
    assert not Recipient.objects.exists()


def test_somebody_elses_key_under_the_offices_id_shows(settings):
    settings.DECREE_KEYS = f"2026a:{SEED}"
    decree = naming.issue(make_published(count=4, quota=2), by="Denni", at=AT)
    forger = Ed25519PrivateKey.from_private_bytes(b"x" * 32)
    with by_force():
        Decree.objects.update(
            public_key=forger.public_key().public_bytes_raw(), signature=forger.sign(decree.statement.encode())
        )
    decree.refresh_from_db()

    assert decrees.faults(decree) == ["the key is not the office's of that id"]
    settings.DECREE_KEYS = f"2027:{SEED},broken,2026a:{SEED}"
    assert decrees.faults(decree) == ["the key is not the office's of that id"], "as long as the old one is there"


def test_after_a_change_of_keys_the_new_one_signs_and_the_old_signatures_hold(settings):
    old = naming.issue(make_published(count=4, quota=2), by="Denni", at=AT)
    settings.DECREE_KEYS = f"2026a:{SEED}"
    new = naming.issue(drawn_in_wave_2(), by="Denni", at=AT + timedelta(days=7))

    assert (old.key_id, new.key_id) == ("demo", "2026a")
    assert (decrees.faults(old), decrees.faults(new)) == ([], [])


def fall_back(id):
    Registrant.objects.filter(pk=id).update(stage=Stage.IDENTITY_VERIFIED, phone_verified_at=None)


def lose_data(id):
    PersonalData.objects.filter(registrant_id=id).delete()


def lose_place(id):
    Place.objects.filter(registrant_id=id).delete()


def be_somebody_else(id):
    [other] = make_registrants(1, stage=Stage.PHONE_VERIFIED, first=900)
    Place.objects.filter(registrant_id=id).update(registrant_id=other)


@pytest.mark.parametrize("happens", [fall_back, lose_data, lose_place, be_somebody_else])
def test_if_somebody_who_was_drawn_cannot_be_selected_nothing_has_happened(happens):
    draw = make_published(count=10, quota=5)
    happens(Place.objects.first().registrant_id)

    with pytest.raises(NotNow, match="annul"):
        naming.issue(draw, by="Denni", at=AT)

    assert not Recipient.objects.exists()
    assert not Registrant.objects.filter(stage=Stage.SELECTED).exists()


def test_with_the_announcement_the_others_are_told_why_not_and_may_join_the_next_wave():
    wave = make_wave(quota=3)
    ids = make_applicants(wave, 10)
    put_on_list(ListKind.ASN, 1)
    put_on_list(ListKind.SOCIAL_AID, 1, 2)
    screen(wave, at=AFTER)
    draw = drawing.freeze(wave, at=AFTER)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER)
    run(draw)
    drawing.publish(draw, at=AFTER + timedelta(hours=2))
    with pytest.raises(NotNow, match="No decree"):
        naming.announce(draw, at=AT)
    naming.issue(draw, by="Denni", at=AT)
    assert state_of(wave, AT) is State.DECREED

    assert naming.announce(draw, at=AT) == 7
    with pytest.raises(NotNow, match="announced"):
        naming.announce(draw, at=AT)

    assert state_of(wave, AT) is State.ANNOUNCED
    reasons = dict(Registrant.objects.filter(pk__in=ids, stage=Stage.PHONE_VERIFIED).values_list("pk", "drop_off"))
    assert reasons.pop(ids[0]) == DropOff.EXCLUDED_PROFESSION, "the first of two"
    assert reasons.pop(ids[1]) == DropOff.SOCIAL_AID
    assert set(reasons.values()) == {DropOff.NOT_DRAWN}
    [verified] = [rung for rung in funnel.read().rungs if rung.stage is Stage.PHONE_VERIFIED]
    lost = {entry.reason: entry.people for entry in verified.lost}
    assert lost == {DropOff.EXCLUDED_PROFESSION: 1, DropOff.SOCIAL_AID: 1, DropOff.NOT_DRAWN: 5}
    assert funnel.recount().differences == []
    second = make_wave(2)
    loser = next(iter(reasons))
    assert joining.join(2, [loser], at=[second.opens_at]) == [joining.Outcome.JOINED]
    assert ladder.standing([loser], Stage.PHONE_VERIFIED)
    assert Draw.objects.get().announced_at == AT


# A wave in which nobody is eligible ------------------------------------------------------------------------------------


def make_hopeless(number=1):
    wave = make_wave(number)
    ids = make_applicants(wave, 2, first=100 * number)
    put_on_list(ListKind.ASN, 100 * number, 100 * number + 1)
    screen(wave, at=wave.closes_at)
    return wave, ids


def test_a_wave_in_which_nobody_is_eligible_ends_undrawn_and_its_applicants_may_join_the_next():
    wave, ids = make_hopeless()
    act = acts.ask(wave, Act.Name.ANNOUNCE, by=make_staff("ani"))
    acts.confirm(act, by=make_staff("budi"))

    assert acts.carry_out_waiting(beacon=BEACON, clock=lambda: AT) == 1

    assert state_of(wave, AT) is State.ANNOUNCED
    assert {row.drop_off for row in Registrant.objects.filter(pk__in=ids)} == {DropOff.EXCLUDED_PROFESSION}
    [told] = mine.applications(ids[0], AT)
    assert not told.is_pending
    assert told.reasons == ["Civil servants, soldiers, police officers, and state and village officials cannot take part."]
    second = make_wave(2)
    assert joining.join(2, [ids[0]], at=[second.opens_at]) == [joining.Outcome.JOINED]
    assert joining.join(1, [ids[1]], at=[wave.opens_at]) == [joining.Outcome.ALREADY]
    assert funnel.recount().differences == []


def test_a_wave_that_has_ended_undrawn_stays_so():
    wave, _ = make_hopeless()
    assert naming.announce_nobody(wave, at=AT) == 2

    for step in (
        lambda: naming.announce_nobody(wave, at=AT),
        lambda: screen(wave, at=AT),
        lambda: drawing.freeze(wave, at=AT),
    ):
        with pytest.raises(NotNow):
            step()
    assert funnel.recount().differences == []


def test_no_seats_go_to_a_wave_that_has_ended_undrawn():
    make_announced(count=3, quota=5)
    later, _ = make_hopeless(2)
    naming.announce_nobody(later, at=later.closes_at)

    with pytest.raises(NotNow, match="has been announced"):
        seats.move(make_wave(1, quota=5), 2, 1, by=make_staff("boss"), reason="Left over", at=AT)


def test_as_long_as_somebody_is_eligible_a_wave_does_not_end_undrawn():
    wave, _ = make_hopeless()
    act = acts.ask(wave, Act.Name.ANNOUNCE, by=make_staff("ani"))
    acts.confirm(act, by=make_staff("budi"))
    make_applicants(wave, 1, first=500)

    acts.carry_out_waiting(beacon=BEACON, clock=lambda: AT)
    act.refresh_from_db()
    assert "since the screening" in act.refused
    acts.withdraw(act)
    screen(wave, at=AT)
    with pytest.raises(NotNow, match="not frozen"):
        naming.announce_nobody(wave, at=AT)
    with pytest.raises(NotNow, match="not frozen"):
        acts.ask(wave, Act.Name.ANNOUNCE, by=make_staff("chandra"))
    assert state_of(wave, AT) is State.CLOSED
    with pytest.raises(IntegrityError), transaction.atomic():
        wave.screenings.filter(is_current=True).update(announced_at=AT)


def test_the_list_of_a_decree_is_written_as_it_was_signed(tmp_path, capsys):
    make_announced(count=6, quota=3)
    decree = Decree.objects.get()

    call_command("export_decree", "1/2020", "--to", str(tmp_path / "list.csv"))

    written = (tmp_path / "list.csv").read_bytes()
    assert written == b"".join(decrees.lines(decree))
    assert written.count(b"\n+;") == 3
    assert capsys.readouterr().out.strip() == hashlib.sha256(written).hexdigest() == bytes(decree.sha256).hex()


@pytest.mark.parametrize(
    ("asked", "to", "says"),
    [
        ("2/2020", "list.csv", "no such decree"),
        ("1", "list.csv", "no such decree"),
        ("x/2020", "list.csv", "no such decree"),
        ("1/2020", "there.csv", "There is a file"),
        ("1/2020", "nowhere/list.csv", "No such file"),
    ],
)
def test_a_list_that_cannot_be_written_is_refused_and_leaves_no_file(tmp_path, english, asked, to, says):
    make_announced(count=4, quota=2)
    (tmp_path / "there.csv").write_text("mine")

    with pytest.raises(CommandError, match=says):
        call_command("export_decree", asked, "--to", str(tmp_path / to))

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("there.csv", "mine")]


def test_a_list_that_is_not_as_it_was_signed_is_not_written(tmp_path):
    make_announced(count=4, quota=2)
    with by_force():
        DecreeBlock.objects.filter(decree_id=Decree.objects.get().pk).delete()

    with pytest.raises(CommandError, match="not the one that was hashed"):
        call_command("export_decree", "1/2020", "--to", str(tmp_path / "list.csv"))

    assert list(tmp_path.iterdir()) == []

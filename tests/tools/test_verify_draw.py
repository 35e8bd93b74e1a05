"""The checker of published draws against a second, naive telling of docs/draw.md: what follows is accepted, what was touched is found."""

import copy
import hashlib
import importlib.util
import json
import random
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command

from waves import publishing
from waves.models import Draw

PROGRAM = Path(__file__).parents[2] / "tools" / "verify_draw.py"
Json = dict[str, Any]
OPERATOR = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_draw", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verify_draw = load(PROGRAM)


# A draw, straight from the page: everything sorted, searched and hashed in the plainest way.


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def power_below(n: int) -> int:
    """RFC 6962: the largest power of two smaller than n."""
    return max(1 << exponent for exponent in range(n.bit_length()) if 1 << exponent < n)


def merkle_root(entries: list[bytes]) -> bytes:
    if len(entries) == 1:
        return sha256(b"\x00", entries[0])
    k = power_below(len(entries))
    return sha256(b"\x01", merkle_root(entries[:k]), merkle_root(entries[k:]))


def merkle_path(m: int, entries: list[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1."""
    if len(entries) == 1:
        return []
    k = power_below(len(entries))
    if m < k:
        return [*merkle_path(m, entries[:k]), merkle_root(entries[k:])]
    return [*merkle_path(m - k, entries[k:]), merkle_root(entries[:k])]


def root_from_path(line: bytes, i: int, n: int, path: list[bytes]) -> bytes:
    """What somebody who knows one line and its path makes of them (the verification of RFC 9162, section 2.1.3.2)."""
    node, last = sha256(b"\x00", line), n - 1
    for sibling in path:
        if i % 2 == 1 or i == last:
            node = sha256(b"\x01", sibling, node)
            while i % 2 == 0 and i > 0:
                i, last = i // 2, last // 2
        else:
            node = sha256(b"\x01", node, sibling)
        i, last = i // 2, last // 2
    return node


def ticket_lines(rows: list[Json]) -> list[bytes]:
    return ["{ticket:015x},{room},{household},{before}".format(**row).encode() for row in rows]


def naive_selection(ranked: list[Json], quota: int, cap: int | None, rooms: list[Json]) -> dict[int, str]:
    """Outcome by ticket, of rows by rank."""
    taken = {row["household"]: row["before"] for row in ranked}
    outcome = {row["ticket"]: "R" for row in ranked}

    def take(candidates: list[Json], seats: int, word: str) -> None:
        for row in candidates:
            free = sum(said == word for said in outcome.values()) < seats
            allowed = not row["household"] or cap is None or taken[row["household"]] < cap
            if outcome[row["ticket"]] == "R" and free and allowed:
                outcome[row["ticket"]] = word
                taken[row["household"]] += 1

    for room in sorted(rooms, key=lambda room: room["number"]):
        take([row for row in ranked if row["room"] == room["number"]], room["seats"], f"S{room['number']}")
    take(ranked, quota - sum(said != "R" for said in outcome.values()), "S0")
    return outcome


def make_rows(chance: random.Random, n: int, *, cap: int | None, rooms: list[Json], before: bool) -> list[Json]:
    """A frozen list: random tickets, some in rooms, some in households of one to four."""
    tickets = sorted(chance.sample(range(2**60), n))
    rows = [{"ticket": ticket, "room": 0, "household": "", "before": 0} for ticket in tickets]
    for row in rows:
        row["room"] = chance.choice([0, *(room["number"] for room in rooms)])
    loose = chance.sample(rows, n * 2 // 3) if cap is not None else []
    while loose:
        members, loose = loose[: chance.randint(1, 4)], loose[4:]
        recipients = chance.randint(0, 2) if before else 0
        if len(members) > 1 or recipients:
            household = f"{chance.getrandbits(64):016x}"
            for row in members:
                row.update(household=household, before=recipients)
    return rows


def make_draw(
    seed: object, n: int, *, cap: int | None = None, rooms: int = 0, before: bool = False, quota: int | None = None
) -> tuple[list[Json], Json]:
    """The rows of a list and what is decided about it by hand; `publish` does the rest."""
    chance = random.Random(f"{seed} {n} {cap} {rooms} {before}")
    quota = n // 2 if quota is None else quota
    seats = [{"number": 3 * k + 1, "name": f"room {k}", "seats": quota // (rooms + 1)} for k in range(rooms)]
    draw: Json = {
        "format": "prakerja-draw-1",
        "wave": chance.randint(1, 70),
        "attempt": chance.randint(1, 3),
        "quota": quota,
        "household_cap": cap,
        "rooms": seats,
        "frozen_at": "2020-08-16T03:00:00Z",
        "committed_at": "2020-08-16T03:00:10Z",
        "drawn_at": "2020-08-16T04:00:00Z",
        "secret": chance.randbytes(32).hex(),
        "beacon": {
            "chain": chance.randbytes(32).hex(),
            "scheme": "mock-ed25519",
            "public_key": OPERATOR.public_key().public_bytes_raw().hex(),
            "genesis": 1597546800,  # 2020-08-16T03:00:00Z
            "period": 3,
            "round": chance.randint(5, 1201),
        },
        "annulled": chance.choice([None, {"at": "2020-08-17T03:00:00Z", "reason": "Salah daftar"}]),
    }
    draw["beacon"]["signature"] = OPERATOR.sign(sha256(draw["beacon"]["round"].to_bytes(8, "big"))).hex()
    return make_rows(chance, n, cap=cap, rooms=seats, before=before), draw


def draw_seed(draw: Json) -> bytes:
    parts = [bytes.fromhex(text) for text in (draw["root"], draw["terms"], draw["secret"], draw["beacon"]["randomness"])]
    return sha256(b"prakerja-draw-1 seed", *parts, draw["wave"].to_bytes(4, "big"), draw["attempt"].to_bytes(4, "big"))


def draw_terms(draw: Json) -> bytes:
    text = f"quota {draw['quota']}\ncap {'none' if draw['household_cap'] is None else draw['household_cap']}\n"
    for room in draw["rooms"]:
        text += f"room {room['number']} {room['seats']}\n"
    return sha256(b"prakerja-draw-1 terms", text.encode())


def freeze(rows: list[Json], draw: Json) -> bytes:
    """tickets.csv; its hash, root and number go to the draw."""
    entries = ticket_lines(rows)
    listed = b"".join(line + b"\n" for line in [b"ticket,room,household,before", *entries])
    draw.update(tickets=len(rows), list_sha256=sha256(listed).hex(), root=merkle_root(entries).hex())
    return listed


def by_rank(rows: list[Json], seed: bytes) -> list[Json]:
    return sorted(rows, key=lambda row: (sha256(seed, row["ticket"].to_bytes(8, "big")), row["ticket"]))


def result_file(ranked: list[Json], outcome: dict[int, str]) -> bytes:
    body = [f"{rank},{row['ticket']:015x},{outcome[row['ticket']]}" for rank, row in enumerate(ranked, start=1)]
    return "".join(line + "\n" for line in ["rank,ticket,outcome", *body]).encode()


def publish(rows: list[Json], draw: Json) -> dict[str, bytes]:
    """The files but for `SHA256SUMS`, which `put` makes fit."""
    draw = copy.deepcopy(draw)
    listed = freeze(rows, draw)
    draw["beacon"]["randomness"] = sha256(bytes.fromhex(draw["beacon"]["signature"])).hex()
    draw["commitment"] = sha256(b"prakerja-draw-1 commitment", bytes.fromhex(draw["secret"])).hex()
    draw["terms"] = draw_terms(draw).hex()
    draw["seed"] = draw_seed(draw).hex()
    ranked = by_rank(rows, draw_seed(draw))
    outcome = naive_selection(ranked, draw["quota"], draw["household_cap"], draw["rooms"])
    result = result_file(ranked, outcome)
    draw["cut_offs"] = []
    for room in [0, *(room["number"] for room in draw["rooms"])]:
        there = [(rank, row["ticket"]) for rank, row in enumerate(ranked, start=1) if outcome[row["ticket"]] == f"S{room}"]
        if there:
            rank, ticket = there[-1]
            draw["cut_offs"].append({"room": room, "taken": len(there), "rank": rank, "ticket": f"{ticket:015x}"})
    draw.update(selected=sum(said != "R" for said in outcome.values()), result_sha256=sha256(result).hex())
    return {"draw.json": to_json(draw), "tickets.csv": listed, "result.csv": result}


def to_json(draw: Json) -> bytes:
    return json.dumps(draw, indent=1).encode()


def sums(files: dict[str, bytes]) -> bytes:
    """SHA256SUMS, as it fits these files."""
    names = ("tickets.csv", "result.csv", "draw.json")
    return "".join(f"{sha256(files[name]).hex()}  {name}\n" for name in names).encode()


def put(directory: Path, files: dict[str, bytes]) -> Path:
    """Write the files; when they are a whole draw, with `SHA256SUMS` that fits."""
    directory.mkdir(exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    if "draw.json" in files and "tickets.csv" in files:
        (directory / "SHA256SUMS").write_bytes(sums(files))
    return directory


def verdict(directory: Path, files: dict[str, bytes], *options: str) -> int:
    return int(verify_draw.main([str(put(directory, files)), *options]))


def edited(files: dict[str, bytes], **members: object) -> dict[str, bytes]:
    """The same files with other members of draw.json."""
    return {**files, "draw.json": to_json({**json.loads(files["draw.json"]), **members})}


SMALL = [
    {"n": n, "cap": cap, "rooms": rooms, "before": before}
    for n in (1, 2, 3, 5, 8, 100)
    for cap in (None, 1, 2)
    for rooms in (0, 1, 3)
    for before in ((False, True) if cap else (False,))
]


# What follows is accepted.


@pytest.mark.parametrize("seed", range(3))
def test_small_draws_of_every_kind_follow_from_their_files(tmp_path, capsys, seed):
    draws = [publish(*make_draw(seed, **kind)) for kind in SMALL]

    verdicts = [verdict(tmp_path, files) for files in draws]

    assert set(verdicts) == {0}, capsys.readouterr().err


@pytest.mark.parametrize("quota", [0, 1, 20, 10_000])
def test_any_quota_from_nobody_to_more_than_all_follows(tmp_path, capsys, quota):
    files = publish(*make_draw("quota", 40, cap=1, rooms=2, before=True, quota=quota))

    code = verdict(tmp_path, files)

    assert code == 0, capsys.readouterr().err
    assert f"selected    {json.loads(files['draw.json'])['selected']}\n" in capsys.readouterr().out


def test_the_program_alone_checks_a_thousand_tickets_without_our_packages(tmp_path):
    files = publish(*make_draw("whole", 1000, cap=1, rooms=3, before=True))
    put(tmp_path, files)

    run = subprocess.run([sys.executable, "-I", "-S", PROGRAM, tmp_path], capture_output=True, text=True, check=False)

    draw = json.loads(files["draw.json"])
    assert (run.returncode, run.stderr) == (0, "")
    for said in (
        f"wave        {draw['wave']}",
        "tickets     1000",
        f"selected    {draw['selected']}",
        draw["root"],
        draw["seed"],
    ):
        assert said in run.stdout
    assert "NO PUBLIC RANDOMNESS" in run.stdout
    assert "Not compared" in run.stdout


def test_the_program_alone_says_on_stderr_what_differs_and_where(tmp_path):
    files = publish(*make_draw("whole", 100))
    put(tmp_path, {**files, "tickets.csv": files["tickets.csv"].replace(b",0,,0\n", b",0,,00\n", 1)})

    run = subprocess.run([sys.executable, "-I", "-S", PROGRAM, tmp_path], capture_output=True, text=True, check=False)

    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "DIFFERS: tickets.csv, line 2: not of the form ticket,room,household,before\n"


# What was touched is found.


@pytest.mark.parametrize("name", ["tickets.csv", "result.csv", "draw.json", "SHA256SUMS"])
def test_no_byte_of_any_published_file_can_be_changed_added_or_dropped(tmp_path, capsys, name):
    content, chance = (put(tmp_path, VICTIMS[1]) / name).read_bytes(), random.Random(name)
    changes = [
        content[:at] + other + content[at + 1 :]
        for at in chance.sample(range(len(content)), 100)
        for other in (bytes([content[at] ^ 1 << chance.randrange(8)]), b"", content[at : at + 1] + b" ")
    ]

    codes = [verdict(tmp_path, {name: changed}) for changed in changes]

    told = capsys.readouterr().err.splitlines()
    assert codes == [1] * 300
    # Of another hash in the sums, that is said of the file that it does not fit.
    assert len([line for line in told if line.startswith(f"DIFFERS: {name}: ") or name == "SHA256SUMS"]) == 300


def test_what_a_consistent_forger_of_draw_json_makes_fit_is_found_by_the_hash_on_the_page(tmp_path, capsys):
    files = publish(*make_draw("forger", 30, rooms=2))
    noted = ["--sha256", sha256(sums(files)).hex()]
    draw = json.loads(files["draw.json"])
    forged = [edited(files, **{name: None}) for name in draw]
    forged += [edited(files, beacon={**draw["beacon"], name: None}) for name in draw["beacon"]]

    codes = [verdict(tmp_path, each, *noted) for each in forged if each != files]

    told = capsys.readouterr().err.splitlines()
    assert len(codes) >= len(draw) + len(draw["beacon"]) - 2  # some of them may be null already
    assert set(codes) == {1}
    assert all(line.startswith("DIFFERS: SHA256SUMS: its SHA-256 is ") for line in told)
    assert verdict(tmp_path, files, *noted) == 0


def test_a_file_that_is_not_one_of_the_draws_is_refused(tmp_path, capsys):
    files = publish(*make_draw("more", 5))

    code = verdict(tmp_path, {**files, "tickets-2.csv": b""})

    assert code == 1
    assert capsys.readouterr().err == "DIFFERS: tickets-2.csv: SHA256SUMS does not name this file\n"


def touch_a_byte(chance: random.Random, files: dict[str, bytes]) -> dict[str, bytes]:
    name = chance.choice(list(files))
    content, at = files[name], chance.randrange(len(files[name]))
    before, byte, after = content[:at], content[at : at + 1], content[at + 1 :]
    other = chance.choice(b'0123456789abcdefABCDEF,\n\r RS-+"\x00\xff')
    inside = chance.choice(
        [bytes([byte[0] ^ 1 << chance.randrange(8)]), bytes([other]), b"", byte + bytes([other]), byte + byte]
    )
    return {**files, name: before + inside + after}


def touch_the_lines(chance: random.Random, files: dict[str, bytes]) -> dict[str, bytes]:
    name = chance.choice(["tickets.csv", "result.csv"])
    rows = files[name].splitlines(keepends=True)
    one, two = chance.sample(range(len(rows)), 2)
    act = chance.choice(["swap", "double", "drop", "cut off"])
    if act == "swap":
        rows[one], rows[two] = rows[two], rows[one]
    elif act == "double":
        rows.insert(two, rows[one])
    elif act == "drop":
        del rows[one]
    else:
        rows = rows[: max(one, 1)]
    return {**files, name: b"".join(rows)}


def touch_a_value(chance: random.Random, files: dict[str, bytes]) -> dict[str, bytes]:
    draw = json.loads(files["draw.json"])
    holder: Any = draw
    place = chance.choice(list(draw))
    while isinstance(holder[place], dict | list) and holder[place] and chance.random() < 0.9:
        holder = holder[place]
        place = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    value = holder[place]
    others: list[object] = [None, True, [], {}, "", "0", 0, 1, 2.0, -1, 2**70]
    if isinstance(value, str) and value:
        at = chance.randrange(len(value))
        others += [value[:at] + chance.choice("0123456789abcdefZ") + value[at + 1 :]] * 12
    if type(value) is int:
        others += [value + 1, value - 1, str(value), float(value)] * 3
    holder[place] = chance.choice(others)
    return {**files, "draw.json": to_json(draw)}


def touch_the_members(chance: random.Random, files: dict[str, bytes]) -> dict[str, bytes]:
    draw = json.loads(files["draw.json"])
    holder = chance.choice([draw, draw["beacon"], *draw["rooms"], *draw["cut_offs"]])
    name = chance.choice(list(holder))
    act = chance.choice(["drop", "add", "double"])
    if act == "drop":
        del holder[name]
    elif act == "add":
        holder[name + "_"] = holder[name]
    else:
        return {**files, "draw.json": b'{"format": "prakerja-draw-0",' + files["draw.json"][1:]}
    return {**files, "draw.json": to_json(draw)}


def forge_an_outcome(chance: random.Random, files: dict[str, bytes]) -> dict[str, bytes]:
    """Somebody is moved, and whatever depends on it is made to fit."""
    draw = json.loads(files["draw.json"])
    rows = files["result.csv"].decode().splitlines(keepends=True)
    at = chance.randrange(1, len(rows))
    words = {"R", "S0", *(f"S{room['number']}" for room in draw["rooms"])} - {rows[at].strip().split(",")[2]}
    rows[at] = rows[at].rpartition(",")[0] + f",{chance.choice(sorted(words))}\n"
    result = "".join(rows).encode()
    selected = sum(not row.endswith(",R\n") for row in rows[1:])
    return {**edited(files, selected=selected, result_sha256=sha256(result).hex()), "result.csv": result}


def forge_a_place(chance: random.Random, files: dict[str, bytes]) -> dict[str, bytes]:
    """Two tickets change their ranks, and the hash fits."""
    rows = [row.split(",") for row in files["result.csv"].decode().splitlines()]
    one, two = chance.sample(range(1, len(rows)), 2)
    rows[one][1], rows[two][1] = rows[two][1], rows[one][1]
    result = "".join(",".join(row) + "\n" for row in rows).encode()
    return {**edited(files, result_sha256=sha256(result).hex()), "result.csv": result}


def forge_the_list(chance: random.Random, files: dict[str, bytes]) -> dict[str, bytes]:
    """Somebody is added, dropped or changed after the draw; hash, root, order, outcome and cut-offs fit, but not the seed."""
    draw, rows = json.loads(files["draw.json"]), rows_of(files)
    act = chance.choice(["add", "drop", "leave the household"])
    if act == "add":
        rows.append({"ticket": chance.getrandbits(60), "room": 0, "household": "", "before": 0})
    elif act == "drop":
        left = chance.choice(rows)
        rows = [row for row in rows if row is not left]
    else:
        chance.choice(rows).update(household="f" * 16, before=9)
    rows.sort(key=lambda row: row["ticket"])
    listed, seed = freeze(rows, draw), bytes.fromhex(draw["seed"])
    ranked = by_rank(rows, seed)
    result = result_file(ranked, naive_selection(ranked, draw["quota"], draw["household_cap"], draw["rooms"]))
    draw["result_sha256"] = sha256(result).hex()
    return {"draw.json": to_json(draw), "tickets.csv": listed, "result.csv": result}


def forge_the_secret(chance: random.Random, files: dict[str, bytes]) -> dict[str, bytes]:
    """Another secret, or another signature, and everything after it: only the commitment, or the randomness, gives it away."""
    rows, draw = rows_of(files), json.loads(files["draw.json"])
    what = chance.choice(["secret", "signature"])
    holder = draw if what == "secret" else draw["beacon"]
    holder[what] = chance.randbytes(len(holder[what]) // 2).hex()
    forged = publish(rows, draw)
    if what == "secret":
        return edited(forged, commitment=draw["commitment"])
    beacon = {**json.loads(forged["draw.json"])["beacon"], "randomness": draw["beacon"]["randomness"]}
    return edited(forged, beacon=beacon)


def rows_of(files: dict[str, bytes]) -> list[Json]:
    fields = [line.split(",") for line in files["tickets.csv"].decode().splitlines()[1:]]
    return [{"ticket": int(t, 16), "room": int(r), "household": h, "before": int(b)} for t, r, h, b in fields]


def shows_nowhere(files: dict[str, bytes], changed: dict[str, bytes], *, beacon: bool) -> bool:
    """Whether a change is one that nothing in the files can contradict, once `SHA256SUMS` is made to fit. These are all:

    - another spelling of the same JSON (blanks, escapes, the order of members);
    - the names of rooms and the reason of an annulment, which are only told; and whether the draw was annulled;
    - the instants and the beacon's genesis, period, round, chain and key, as long as freeze, commitment, round and drawing stay
      in this order: only who noted them, or knows the beacon, can contradict (`--round`, `--beacon`).

    All of them are found by who knows the hash of `SHA256SUMS` (`--sha256`).
    """
    if any(files[name] != changed[name] for name in ("tickets.csv", "result.csv")):
        return False
    one, two = json.loads(files["draw.json"]), json.loads(changed["draw.json"])
    for draw in (one, two):
        times = [draw["frozen_at"], draw["committed_at"], draw["drawn_at"]]
        if not all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time) for time in times) or times != sorted(times):
            return False
        for name in ("frozen_at", "committed_at", "drawn_at", "annulled"):
            del draw[name]
        for room in draw["rooms"]:
            del room["name"]
        for name in ("chain", "genesis", "period") if beacon else ("chain", "genesis", "period", "round", "public_key"):
            del draw["beacon"][name]
    return bool(one == two)


TOUCHES = [
    touch_a_byte,
    touch_a_byte,
    touch_the_lines,
    touch_a_value,
    touch_the_members,
    forge_an_outcome,
    forge_a_place,
    forge_the_list,
    forge_the_secret,
]
VICTIMS = [
    publish(*make_draw("victim", n, cap=cap, rooms=rooms, before=before))
    for n, cap, rooms, before in ((5, None, 0, False), (16, 1, 1, False), (31, 1, 2, True), (40, 2, 3, True))
]


@pytest.mark.parametrize("beacon", [False, True])
def test_a_thousand_single_changes_are_all_found(tmp_path, capsys, beacon):
    chance = random.Random(f"touches {beacon}")
    changes = [(files, chance.choice(TOUCHES)(chance, files)) for files in chance.choices(VICTIMS, k=1050)]
    changes = [(files, changed) for files, changed in changes if files != changed][:1000]

    verdicts = [verdict(tmp_path, changed, *(["--beacon"] if beacon else [])) for _, changed in changes]

    told = capsys.readouterr().err.splitlines()
    missed = [change for change, code in zip(changes, verdicts, strict=True) if code != 1]
    assert len(changes) == 1000
    assert [change for change in missed if not shows_nowhere(*change, beacon=beacon)] == []
    assert len(missed) < 100  # those that can show nowhere; the next test but one names them
    assert len(told) == 1000 - len(missed)  # one sentence each
    assert set(verdicts) == {0, 1}


@pytest.mark.parametrize("name", ["tickets.csv", "result.csv"])
def test_every_single_byte_of_the_lists_counts(tmp_path, name):
    files = publish(*make_draw("every byte", 8, cap=1, rooms=1, before=True))
    content = files[name]

    codes = [
        verdict(tmp_path, {**files, name: content[:at] + other + content[at + 1 :]})
        for at in range(len(content))
        for other in (bytes([content[at] ^ 1]), b"", content[at : at + 1] * 2, b"\r\n")
    ]

    assert set(codes) == {1}


def test_what_shows_nowhere_in_the_files_is_accepted_and_the_summary_says_what_to_compare(tmp_path, capsys):
    files = publish(*make_draw("nowhere", 30, rooms=2, quota=100))
    draw = json.loads(files["draw.json"])
    room = {**draw["rooms"][0], "name": "Prioritas \u2028 \\ \ud800"}
    changed = [
        {**files, "draw.json": json.dumps(draw, separators=(",", ":"), sort_keys=True).encode()},
        edited(files, rooms=[room, *draw["rooms"][1:]]),
        edited(files, frozen_at="2020-08-16T02:59:59Z", drawn_at="2020-08-16T04:00:01Z"),
        edited(files, annulled={"at": "2020-08-18T03:00:00Z", "reason": "\x1b[31mlain"}),
        edited(files, beacon={**draw["beacon"], "round": draw["beacon"]["round"] - 1}),
    ]

    codes = [verdict(tmp_path, each) for each in changed]
    said = capsys.readouterr().out
    by_the_page = [verdict(tmp_path, each, "--sha256", sha256(sums(files)).hex()) for each in changed]

    assert (codes, by_the_page) == ([0] * 5, [1] * 5)
    assert "rules       quota 100, household cap None" in said
    assert (
        "Not compared with what somebody noted when it was published: list_sha256, root, terms, commitment, round, sha256."
        in said
    )
    assert "\x1b" not in said


# What each promise of the page means when it is broken.


BROKEN_MEMBERS = {
    "the commitment is not later than the round": {"committed_at": "2020-08-16T04:00:00Z"},
    "the list was frozen after the commitment": {"frozen_at": "2020-08-16T03:00:11Z"},
    "drawn before the round": {"drawn_at": "2020-08-16T03:00:11Z"},
    "no such day": {"frozen_at": "2020-02-30T03:00:00Z"},
    "no such hour": {"drawn_at": "2020-08-16T24:00:00Z"},
    "an instant of another zone": {"frozen_at": "2020-08-16T03:00:00+00:00"},
    "annulled before it was drawn": {"annulled": {"at": "2020-08-16T03:59:59Z", "reason": ""}},
    "annulled without a reason": {"annulled": {"at": "2020-08-18T03:59:59Z"}},
    "more seats than the quota": {"rooms": [{"number": 1, "name": "", "seats": 10**6}]},
    "rooms out of order": {"rooms": [{"number": n, "name": "", "seats": 0} for n in (2, 1)]},
    "a room twice": {"rooms": [{"number": n, "name": "", "seats": 0} for n in (1, 1)]},
    "no list of rooms": {"rooms": None},
    "an object of cut-offs": {"cut_offs": {}},
    "a room number 0": {"rooms": [{"number": 0, "name": "", "seats": 0}]},
    "another format": {"format": "prakerja-draw-2"},
    "attempt 0": {"attempt": 0},
    "a wave of five bytes": {"wave": 2**32},
    "true for a number": {"attempt": True},
    "upper-case hexadecimal": {"seed": "AB" * 32},
}


@pytest.mark.parametrize("members", BROKEN_MEMBERS.values(), ids=BROKEN_MEMBERS)
def test_a_member_that_breaks_the_page_is_refused(tmp_path, capsys, members):
    files = publish(*make_draw("members", 12))

    code = verdict(tmp_path, edited(files, **members))

    assert code == 1
    assert capsys.readouterr().err.startswith("DIFFERS: draw.json: ")


ROW = {"ticket": 7, "room": 0, "household": "", "before": 0}
HOME = {**ROW, "household": "0123456789abcdef"}
BROKEN_LISTS = {
    "the list has no ticket": [],
    "line 3: the tickets do not ascend here": [{**ROW, "ticket": 8}, ROW],
    "line 4: the tickets do not ascend here": [ROW, {**ROW, "ticket": 8}, {**ROW, "ticket": 8}],
    "line 2: draw.json has no room 9": [{**ROW, "room": 9}],
    "line 2: no household, but recipients before": [{**ROW, "before": 1}],
    "line 2: a household of one ticket and no recipient before": [HOME],
    "line 3: not the `before` of the household's line above": [HOME, {**HOME, "ticket": 8, "before": 1}],
}


@pytest.mark.parametrize(("sentence", "rows"), BROKEN_LISTS.items(), ids=BROKEN_LISTS)
def test_a_list_that_breaks_the_page_is_refused_though_every_hash_fits(tmp_path, capsys, sentence, rows):
    _, draw = make_draw("lists", 2, cap=1, quota=2)
    files = publish(rows or [ROW], draw)
    if not rows:
        files["tickets.csv"] = b"ticket,room,household,before\n"

    code = verdict(tmp_path, files)

    assert code == 1
    assert capsys.readouterr().err.replace(",", ":").endswith(f": {sentence}\n".replace(",", ":"))


def test_a_household_is_refused_when_the_wave_has_no_cap(tmp_path, capsys):
    _, draw = make_draw("no cap", 2, cap=None, quota=2)

    code = verdict(tmp_path, publish([HOME, {**HOME, "ticket": 8}], draw))

    assert code == 1
    assert capsys.readouterr().err == "DIFFERS: tickets.csv, line 2: a household, although the wave has no cap\n"


BROKEN_RESULTS = {
    "line 1: it is not rank,ticket,outcome": lambda rows: ["rank,ticket,outcomes", *rows[1:]],
    "line 3: the rank is not 2": lambda rows: [*rows[:2], "3" + rows[2][1:], *rows[3:]],
    "line 4: the keys do not ascend here": lambda rows: [*rows[:3], "3" + rows[2][1:], *rows[4:]],
    "line 3: ticket 000000000000000 is not in the list": lambda rows: [*rows[:2], "2,000000000000000,R", *rows[3:]],
    "line 2: not of the form rank,ticket,outcome": lambda rows: [rows[0], "0" + rows[1], *rows[2:]],
    "result.csv has 11 tickets, the list has 12": lambda rows: rows[:-1],
    "line 2: the outcome is R, the rules say S0": lambda rows: [rows[0], rows[1].replace("S0", "R"), *rows[2:]],
}


@pytest.mark.parametrize(("sentence", "forge"), BROKEN_RESULTS.items(), ids=BROKEN_RESULTS)
def test_a_result_that_breaks_the_page_is_refused_though_its_hash_fits(tmp_path, capsys, sentence, forge):
    files = publish(*make_draw("results", 12))
    forged = "".join(row + "\n" for row in forge(files["result.csv"].decode().splitlines())).encode()

    code = verdict(tmp_path, {**edited(files, result_sha256=sha256(forged).hex()), "result.csv": forged})

    assert code == 1
    assert capsys.readouterr().err.endswith(f" {sentence}\n")


RECOMPUTED = (
    "wave",
    "attempt",
    "tickets",
    "selected",
    "list_sha256",
    "root",
    "commitment",
    "secret",
    "seed",
    "result_sha256",
)


@pytest.mark.parametrize("name", [*RECOMPUTED, "cut_offs", "randomness", "signature"])
def test_every_member_that_can_be_computed_again_is(tmp_path, capsys, name):
    files = publish(*make_draw("members", 30, rooms=2))
    draw = json.loads(files["draw.json"])
    other = {
        **{member: draw[member] + 1 if isinstance(draw[member], int) else "0" + draw[member][:-1] for member in RECOMPUTED},
        "cut_offs": [{**cut, "ticket": "0" * 15} for cut in draw["cut_offs"]],
        **{member: "0" + draw["beacon"][member][:-1] for member in ("randomness", "signature")},
    }

    code = verdict(
        tmp_path,
        edited(files, **({name: other[name]} if name in draw else {"beacon": {**draw["beacon"], name: other[name]}})),
    )

    assert code == 1
    assert capsys.readouterr().err.startswith("DIFFERS: ")


NO_JSON = {
    "nothing": b"",
    "no JSON": b"{",
    "a number": b"1",
    "a list": b"[]",
    "null": b"null",
    "too deep": b"[" * 200_000,
    "too deep in an object": b'{"a":' * 200_000,
    "a number of 10,000 digits": b"9" * 10_000,
    "NaN": b'{"wave": NaN}',
    "a fraction": b'{"wave": 1e999999}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "not UTF-8": b'{"\xff": 1}',
    "half a surrogate": b'{"\\ud800": 1, "\\ud800": 1}',
    "zeros": bytes(1000),
    "too long": b" " * 17_000_000,
}


@pytest.mark.parametrize("content", NO_JSON.values(), ids=NO_JSON)
def test_a_draw_that_is_no_draw_is_refused_with_a_sentence(tmp_path, capsys, content):
    files = publish(*make_draw("garbage", 5))

    code = verdict(tmp_path, {**files, "draw.json": content})

    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith("DIFFERS: draw.json: ")
    assert (said.isascii(), said.count("\n"), len(said) < 400) == (True, 1, True)


@pytest.mark.parametrize("name", ["tickets.csv", "result.csv"])
@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 10_000_000, b"\xff" * 100, bytes(100), b"\n" * 100])
@pytest.mark.parametrize("with_header", [False, True])
def test_a_list_that_is_no_list_is_refused_with_a_sentence(tmp_path, capsys, name, content, with_header):
    files = publish(*make_draw("garbage", 5))
    header = files[name].splitlines(keepends=True)[0] if with_header else b""

    code = verdict(tmp_path, {**files, name: header + content})

    assert code == 1
    assert capsys.readouterr().err.startswith(f"DIFFERS: {name}")


# The options.


def test_what_was_noted_at_the_freeze_and_the_commitment_is_compared(tmp_path, capsys):
    files = publish(*make_draw("noted", 20))
    draw = json.loads(files["draw.json"])
    noted = {f"--{name.replace('_', '-')}": draw[name] for name in ("root", "terms", "list_sha256", "commitment")}
    noted |= {"--round": str(draw["beacon"]["round"]), "--sha256": sha256(sums(files)).hex()}

    right = verdict(tmp_path, files, *(word for pair in noted.items() for word in pair))
    said = capsys.readouterr().out
    wrong = [verdict(tmp_path, files, name, value[1:] + value[0]) for name, value in {**noted, "--round": "12"}.items()]

    assert (right, wrong) == (0, [1] * 6)
    assert "Not compared" not in said
    assert capsys.readouterr().err.count("what you noted is") == 6


def test_a_whole_other_draw_is_found_by_who_noted_the_root(tmp_path, capsys):
    rows, draw = make_draw("honest", 20)
    noted = json.loads(publish(rows, draw)["draw.json"])["root"]
    forged = publish([*rows, {**ROW, "ticket": 2**60 - 1}], draw)

    codes = [verdict(tmp_path, forged), verdict(tmp_path, forged, "--root", noted)]

    assert codes == [0, 1]
    assert "root" in capsys.readouterr().err


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 11])
def test_every_ticket_gets_its_rank_its_outcome_and_a_path_to_the_root(tmp_path, capsys, n):
    files = publish(*make_draw("path", n, cap=1, rooms=1, before=True))
    root, entries = json.loads(files["draw.json"])["root"], files["tickets.csv"].splitlines()[1:]
    results = {line.split(",")[1]: line.split(",") for line in files["result.csv"].decode().splitlines()[1:]}

    said = [
        (verdict(tmp_path, files, "--ticket", line[:15].decode()), capsys.readouterr().out.split("\nticket  ")[1])
        for line in entries
    ]

    for index, (line, (code, text)) in enumerate(zip(entries, said, strict=True)):
        rank, ticket, outcome = results[line[:15].decode()]
        path = [bytes.fromhex(sibling) for sibling in re.findall(r"^  path +(\w+)$", text, re.MULTILINE)]
        assert code == 0
        assert f"{ticket}: rank {rank}, outcome {outcome}\n" in text
        assert (f"  line      {line.decode()}\n" in text, f"  index     {index} of {n}\n" in text) == (True, True)
        assert path == merkle_path(index, entries)
        assert root_from_path(line, index, n, path).hex() == root


def test_a_ticket_that_is_not_in_the_list_is_said_to_be_missing(tmp_path, capsys):
    files = publish(*make_draw("missing", 20))

    code = verdict(tmp_path, files, "--ticket", "0" * 15)

    assert code == 1
    assert capsys.readouterr().err == "DIFFERS: tickets.csv: ticket 000000000000000 is not in the list\n"


def test_the_mock_beacons_signature_is_verified_on_request(tmp_path, capsys):
    rows, draw = make_draw("beacon", 20)
    forged = copy.deepcopy(draw)
    forged["beacon"]["signature"] = Ed25519PrivateKey.generate().sign(b"").hex()

    codes = [verdict(tmp_path, publish(rows, each), *extra) for each in (draw, forged) for extra in ([], ["--beacon"])]

    assert codes == [0, 0, 0, 1]
    assert "the signature is not the beacon's" in capsys.readouterr().err


QUICKNET = {  # a chain that drand publishes, with its round 1000
    "chain": "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",
    "scheme": "bls-unchained-g1-rfc9380",
    "public_key": "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
    "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
    "genesis": 1692803367,
    "period": 3,
    "round": 1000,
    "signature": "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39",
}
LATER = {
    "committed_at": "2023-08-23T15:59:23Z",
    "drawn_at": "2023-08-23T15:59:27Z",
    "annulled": None,
}  # round 1000 is of :24


def test_a_draw_of_a_public_beacon_is_public_randomness(tmp_path, capsys):
    rows, draw = make_draw("quicknet", 20)

    codes = [
        verdict(tmp_path, publish(rows, {**draw, **LATER, "beacon": {**QUICKNET, **other}}), "--beacon")
        for other in ({}, {"round": 1001}, {"signature": "00" * 48})
    ]

    told = capsys.readouterr()
    assert codes == [0, 1, 1]
    assert ("RANDOMNESS" in told.out, "QUICKNET" in told.out, "--beacon" in told.out) == (False, False, False)
    assert told.err.count("the signature is not the beacon's") == 2


def test_a_home_made_chain_is_not_taken_for_the_public_one(tmp_path, capsys):
    rows, draw = make_draw("home-made", 20)

    own_key, own_times, own_name = (
        verdict(tmp_path, publish(rows, {**draw, **LATER, "beacon": {**QUICKNET, **other}}))
        for other in ({"public_key": "8" + "1" * 191}, {"genesis": 1692803366}, {"chain": "0" * 64})
    )

    told = capsys.readouterr()
    assert (own_key, own_times, own_name) == (1, 1, 0)
    assert told.err.count("quicknet's name, but not its key") == 2
    assert "NOT QUICKNET" in told.out


def test_the_beacon_check_without_its_package_says_which_one_is_missing(tmp_path):
    put(tmp_path, publish(*make_draw("package", 5)))

    run = subprocess.run(
        [sys.executable, "-I", "-S", PROGRAM, tmp_path, "--beacon"], capture_output=True, text=True, check=False
    )

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "Cannot check: --beacon needs a package for this draw's scheme: pip install cryptography\n"


@pytest.mark.parametrize("name", ["draw.json", "tickets.csv", "result.csv", "SHA256SUMS"])
def test_a_missing_file_is_no_verdict(tmp_path, capsys, name):
    put(tmp_path, publish(*make_draw("files", 5)))
    (tmp_path / name).unlink()

    code = verify_draw.main([str(tmp_path)])

    assert code == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [[], [".", "--root", "AB" * 32], [".", "--ticket", "12"], [".", "--round", "x"], [".", "."]]
)
def test_arguments_that_make_no_sense_are_no_verdict(capsys, options):
    with pytest.raises(SystemExit) as refused:
        verify_draw.main(options)

    assert refused.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")


# What a simulation publishes.


@pytest.mark.django_db
def test_every_published_draw_of_a_simulation_follows_and_a_changed_byte_of_any_file_is_found(tmp_path, settings):
    settings.PUBLISHED = tmp_path
    call_command("simulate", "--scale", "0.001", "--workers", "1", "--without-spending", stdout=StringIO())

    publishing.write_missing()

    draws = list(Draw.objects.exclude(published_at=None))
    assert [draw.wave_id for draw in draws] == [1, 2, 3, 4, 5, 6, 7]
    for draw in draws:
        noted = ["--root", bytes(draw.root).hex(), "--commitment", bytes(draw.commitment or b"").hex(), "--beacon"]
        folder, chance = publishing.file(draw, "draw.json").parent, random.Random(draw.wave_id)
        found = program(folder, *noted)
        assert found.returncode == 0, found.stderr
        assert f"selected    {draw.selected}\n" in found.stdout
        for name in publishing.FILES:
            whole = (folder / name).read_bytes()
            (folder / name).write_bytes(with_a_byte_changed(chance, whole))
            assert program(folder).returncode == 1, (draw, name)
            (folder / name).write_bytes(whole)


def program(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", PROGRAM, folder, *options], capture_output=True, text=True, timeout=60, check=False
    )


def with_a_byte_changed(chance: random.Random, whole: bytes) -> bytes:
    place = chance.randrange(len(whole))
    return whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :]

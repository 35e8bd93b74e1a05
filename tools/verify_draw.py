"""Check a published draw completely from its files, without those who drew it: docs/draw.md says what is checked and why.

    python3 tools/verify_draw.py DIR      the directory with tickets.csv, result.csv, draw.json and SHA256SUMS, and nothing else

Needs Python 3.11 and nothing else (`--beacon`: a package that knows the beacon's signatures). Twelve million tickets take a few
minutes and less than 1.5 GB. Exits 0 when everything follows, 1 when something differs (what, says stderr), 2 when it cannot start.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

MEMBERS = "format wave attempt quota household_cap rooms tickets list_sha256 root terms frozen_at committed_at drawn_at"
MEMBERS += " commitment secret seed beacon selected cut_offs result_sha256 annulled"
BEACON_MEMBERS = "chain scheme public_key genesis period round signature randomness"
NAMES = ("tickets.csv", "result.csv", "draw.json")  # as SHA256SUMS has them
RESERVE = 2**32 - 1  # the outcome R, among room numbers
MOST = 999_999_999  # as a room's number and as `before`; the page has no bound, this program's memory has
TICKET_LINE = re.compile(rb"([0-9a-f]{15}),(0|[1-9][0-9]{0,8}),([0-9a-f]{16})?,(0|[1-9][0-9]{0,8})\n")
RESULT_LINE = re.compile(rb"([1-9][0-9]*),([0-9a-f]{15}),(?:S(0|[1-9][0-9]{0,8})|R)\n")
LONGEST_LINE = 64  # bytes to read at most: a longer line is none of ours, however long it is
LONGEST_JSON = 2**24  # bytes, for the same reason
LONGEST_SUMS = 2**12
SIZES = {"bls-unchained-g1-rfc9380": (96, 48), "mock-ed25519": (32, 64)}  # bytes of public key and signature, by scheme
QUICKNET = (  # chain, public key, genesis, period, as its operators (https://drand.love) publish them
    "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
    "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
    1692803367,
    3,
)


class Differs(Exception):
    """Something is not as it must be; the sentence says what."""


class Unusable(Exception):
    """What was asked cannot be done here."""


def demand(holds: bool, sentence: str) -> None:
    if not holds:
        raise Differs(sentence)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


# SHA256SUMS


def check_sums(directory: Path, noted: str | None) -> None:
    """That the files are, byte by byte, those that SHA256SUMS names, and that it is the one that was noted."""
    with (directory / "SHA256SUMS").open("rb") as file:
        content = file.read(LONGEST_SUMS + 1)
    found = sha256(content).hex()
    demand(noted in (None, found), f"SHA256SUMS: its SHA-256 is {found}; what you noted is {noted}")
    form = b"".join(rb"([0-9a-f]{64})  %s\n" % re.escape(name.encode()) for name in NAMES)
    named = re.fullmatch(form, content)
    if not named:
        raise Differs(f"SHA256SUMS: it does not name {', '.join(NAMES)} in this order, as sha256sum does")
    for name, expected in zip(NAMES, named.groups(), strict=True):
        with (directory / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        demand(found == expected.decode(), f"{name}: its SHA-256 is {found}, SHA256SUMS says {expected.decode()}")
    for path in sorted(directory.iterdir()):
        demand(path.name in (*NAMES, "SHA256SUMS"), f"{ascii(path.name)[1:-1]}: SHA256SUMS does not name this file")


# draw.json


class Fields:
    """One JSON object with exactly the members the page names, each asked for by its form."""

    def __init__(self, value: object, where: str, names: str) -> None:
        if not isinstance(value, dict) or set(value) != set(names.split()):
            raise Differs(f"draw.json: {where} is not an object with exactly these members: {names}")
        self.value, self.where = value, where

    def number(self, name: str, least: int = 0, most: int = 2**63 - 1) -> int:
        value = self.value[name]
        if type(value) is not int or not least <= value <= most:  # `true` is an int for Python, not for us
            raise Differs(f"draw.json: {name} of {self.where} is not a whole number from {least} to {most}")
        return value

    def text(self, name: str, form: str = "(?s:.*)") -> str:
        value = self.value[name]
        if not isinstance(value, str) or not re.fullmatch(form, value):
            raise Differs(f"draw.json: {name} of {self.where} is not a text of the right form")
        return value

    def hexadecimal(self, name: str, size: int = 32) -> str:
        return self.text(name, f"[0-9a-f]{{{2 * size}}}")

    def instant(self, name: str) -> int:
        """Seconds of Unix time."""
        text = self.text(name, "[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z")
        try:
            return int(datetime.fromisoformat(text).timestamp())
        except ValueError:
            raise Differs(f"draw.json: {name} of {self.where} is no instant") from None

    def objects(self, name: str, names: str) -> list[Fields]:
        value = self.value[name]
        if not isinstance(value, list):
            raise Differs(f"draw.json: {name} is not a list")
        return [Fields(member, f"{name}[{place}]", names) for place, member in enumerate(value)]


class Draw:
    """What draw.json says, once its form and its instants are right."""

    def __init__(self, content: bytes) -> None:
        draw = Fields(parsed(content), "the draw", MEMBERS)
        draw.text("format", "prakerja-draw-1")
        self.wave, self.attempt = draw.number("wave", 0, 2**32 - 1), draw.number("attempt", 1, 2**32 - 1)
        self.quota, self.tickets, self.selected = draw.number("quota"), draw.number("tickets", 1), draw.number("selected")
        self.cap = None if draw.value["household_cap"] is None else draw.number("household_cap")
        self.list_sha256, self.root, self.result_sha256 = map(draw.hexadecimal, ("list_sha256", "root", "result_sha256"))
        self.commitment, self.secret, self.seed = map(draw.hexadecimal, ("commitment", "secret", "seed"))
        self.terms = draw.hexadecimal("terms")

        rooms = [
            (room.number("number", 1, MOST), room.number("seats"), room.text("name"))
            for room in draw.objects("rooms", "number name seats")
        ]
        self.rooms = {number: seats for number, seats, _ in rooms}
        demand(all(a[0] < b[0] for a, b in pairwise(rooms)), "draw.json: the rooms are not in order of number")
        demand(sum(self.rooms.values()) <= self.quota, "draw.json: the rooms have more seats than the quota")
        cut_offs = draw.objects("cut_offs", "room taken rank ticket")
        self.cut_offs = [
            (*map(cut.number, ("room", "taken", "rank")), cut.text("ticket", "[0-9a-f]{15}")) for cut in cut_offs
        ]

        beacon = Fields(draw.value["beacon"], "beacon", BEACON_MEMBERS)
        self.scheme = beacon.text("scheme", "|".join(SIZES))
        self.public_key, self.signature = map(beacon.hexadecimal, ("public_key", "signature"), SIZES[self.scheme])
        self.chain, self.randomness = beacon.hexadecimal("chain"), beacon.hexadecimal("randomness")
        self.round, period, genesis = beacon.number("round", 1), beacon.number("period", 1), beacon.number("genesis")
        self.is_quicknet = (self.chain, self.public_key, genesis, period) == QUICKNET
        demand(
            self.is_quicknet or self.chain != QUICKNET[0], "draw.json: quicknet's name, but not its key, genesis and period"
        )

        frozen, committed, drawn = map(draw.instant, ("frozen_at", "committed_at", "drawn_at"))
        published = genesis + (self.round - 1) * period
        demand(frozen <= committed, "draw.json: the commitment is older than the frozen list")
        demand(committed < published, f"draw.json: round {self.round} is not later than the commitment")
        demand(published <= drawn, f"draw.json: drawn before round {self.round} was published")
        self.annulled = draw.value["annulled"] is not None
        if self.annulled:
            annulled = Fields(draw.value["annulled"], "annulled", "at reason")
            annulled.text("reason")
            demand(drawn <= annulled.instant("at"), "draw.json: annulled before it was drawn")


def terms_of(draw: Draw) -> bytes:
    """What binds quota, cap and seats to the seed."""
    lines = [f"quota {draw.quota}", f"cap {'none' if draw.cap is None else draw.cap}"]
    lines += [f"room {number} {seats}" for number, seats in draw.rooms.items()]
    return sha256(b"prakerja-draw-1 terms", "".join(line + "\n" for line in lines).encode())


def parsed(content: bytes) -> object:
    """The JSON. A name that occurs twice, a fraction or a NaN is refused: two readers could read them differently."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a member occurs twice")
        return dict(pairs)

    def refuse(spelling: str) -> object:
        raise ValueError(f"{spelling[:20]} is no whole number")

    demand(len(content) <= LONGEST_JSON, f"draw.json: longer than {LONGEST_JSON} bytes")
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=once, parse_float=refuse, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Differs(f"draw.json: not the JSON of a draw: {ascii(str(error))[1:100]}") from None


def signed_by_beacon(draw: Draw) -> bool:
    """Whether the signature is that of the beacon's public key for the round."""
    try:
        if draw.scheme == "mock-ed25519":
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        else:
            from drand_verify import verify_quicknet
    except ImportError as missing:
        raise Unusable(f"--beacon needs a package for this draw's scheme: pip install {missing.name}") from None
    try:
        if draw.scheme == "mock-ed25519":
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(draw.public_key))
            key.verify(bytes.fromhex(draw.signature), sha256(draw.round.to_bytes(8, "big")))
        else:
            verify_quicknet(draw.round, draw.signature, draw.public_key)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # drand_verify panics at a key that is no point, and its panics are no Exceptions
        return False
    return True


# tickets.csv and result.csv


def lines(
    path: Path, header: bytes, form: re.Pattern[bytes], digest: hashlib._Hash
) -> Iterator[tuple[int, re.Match[bytes]]]:
    """The lines after the first one, matched, with their numbers in the file."""
    with path.open("rb") as file:
        first = file.readline(LONGEST_LINE)
        demand(first == header, f"{path.name}, line 1: it is not {header.decode().strip()}")
        digest.update(first)
        for place, line in enumerate(iter(partial(file.readline, LONGEST_LINE), b""), start=2):
            match = form.fullmatch(line)
            if not match:
                raise Differs(f"{path.name}, line {place}: not of the form {header.decode().strip()}")
            digest.update(line)
            yield place, match


class Tree:
    """RFC 6962's Merkle tree, leaf by leaf: it keeps one hash per level, and the path of the ticket that is watched."""

    def __init__(self, watched: str | None) -> None:
        self.ticket = (watched or "none").encode()
        self.leaves, self.line, self.above = 0, b"", -1  # `above`: which peak stands on the watched leaf
        self.peaks: list[bytes] = []
        self.path: list[bytes] = []

    def add(self, line: bytes) -> None:
        self.peaks.append(hashlib.sha256(b"\x00" + line).digest())
        if line.startswith(self.ticket):
            self.line, self.above = line, len(self.peaks) - 1
        self.leaves = full = self.leaves + 1
        while not full & 1:
            self.join()
            full >>= 1

    def join(self) -> None:
        right, left = self.peaks.pop(), self.peaks.pop()
        if self.above >= len(self.peaks):
            self.path.append(left if self.above > len(self.peaks) else right)
            self.above = len(self.peaks)
        self.peaks.append(hashlib.sha256(b"\x01" + left + right).digest())

    def root(self) -> bytes:
        while len(self.peaks) > 1:
            self.join()
        return self.peaks[0]


class Tickets:
    """tickets.csv in a few numbers per ticket: place i of `numbers`, `rooms` and `households` is the ticket with index i."""

    def __init__(self, path: Path, draw: Draw, watched: str | None) -> None:
        digest, self.tree, last = hashlib.sha256(), Tree(watched), -1
        self.numbers, self.rooms = array("Q"), array("I")
        members, names, befores = array("I"), array("Q"), array("I")  # of the tickets that have a household
        for place, match in lines(path, b"ticket,room,household,before\n", TICKET_LINE, digest):
            ticket, room, household, before = match.groups()
            number, room = int(ticket, 16), int(room)
            if number <= last:
                raise Differs(f"tickets.csv, line {place}: the tickets do not ascend here")
            if room and room not in draw.rooms:
                raise Differs(f"tickets.csv, line {place}: draw.json has no room {room}")
            if household is not None:
                members.append(len(self.numbers))
                names.append(int(household, 16))
                befores.append(int(before))
            elif before != b"0":
                raise Differs(f"tickets.csv, line {place}: no household, but recipients before")
            self.numbers.append(number)
            self.rooms.append(room)
            self.tree.add(match[0][:-1])
            last = number
        demand(self.tree.leaves > 0, "tickets.csv: the list has no ticket")
        if draw.cap is None and members:
            raise Differs(f"tickets.csv, line {members[0] + 2}: a household, although the wave has no cap")
        self.sha256, self.root = digest.hexdigest(), self.tree.root()
        self.number_households(members, names, befores)

    def number_households(self, members: array[int], names: array[int], befores: array[int]) -> None:
        """Give each household a small number from 1 (0: none), and `taken` its `before`."""
        distinct = array("Q", (name for name, _ in groupby(sorted(names))))
        self.households, self.taken, size = (
            array("I", bytes(4 * n)) for n in (len(self.numbers), len(distinct) + 1, len(distinct) + 1)
        )
        for index, name, before in zip(members, names, befores, strict=True):
            household = self.households[index] = bisect_left(distinct, name) + 1
            if size[household] and self.taken[household] != before:
                raise Differs(f"tickets.csv, line {index + 2}: not the `before` of the household's line above")
            self.taken[household] = before
            size[household] += 1
        for index in members:
            if size[self.households[index]] == 1 and not self.taken[self.households[index]]:
                raise Differs(f"tickets.csv, line {index + 2}: a household of one ticket and no recipient before")


def read_result(path: Path, numbers: array[int], seed: bytes, digest: hashlib._Hash) -> tuple[array[int], array[int]]:
    """The tickets' indices by rank, and the outcomes by rank.

    Keys that ascend strictly, each of a ticket of the list, as many as it has: that is the list in the only right order.
    """
    order, outcomes, last = array("I"), array("I"), (b"", -1)
    for place, match in lines(path, b"rank,ticket,outcome\n", RESULT_LINE, digest):
        rank, ticket, room = match.groups()
        if int(rank) != place - 1:
            raise Differs(f"result.csv, line {place}: the rank is not {place - 1}")
        number = int(ticket, 16)
        index = bisect_left(numbers, number)
        if index == len(numbers) or numbers[index] != number:
            raise Differs(f"result.csv, line {place}: ticket {ticket.decode()} is not in the list")
        here = (hashlib.sha256(seed + number.to_bytes(8, "big")).digest(), number)
        if here <= last:
            raise Differs(f"result.csv, line {place}: the keys do not ascend here")
        order.append(index)
        outcomes.append(RESERVE if room is None else int(room))
        last = here
    demand(len(order) == len(numbers), f"result.csv has {len(order)} tickets, the list has {len(numbers)}")
    return order, outcomes


def select(draw: Draw, tickets: Tickets, order: array[int]) -> tuple[array[int], dict[int, tuple[int, int]]]:
    """The outcomes by rank, and how many each room took, up to which rank: the page's selection."""
    households, taken = tickets.households, tickets.taken
    queues = {number: array("I") for number in draw.rooms}
    for place, index in enumerate(order):
        if tickets.rooms[index]:
            queues[tickets.rooms[index]].append(place)
    outcomes, cut_offs, left = array("I", [RESERVE]) * len(order), {}, draw.quota
    for room, seats in [*draw.rooms.items(), (0, draw.quota)]:
        free = here = min(seats, left)
        for place in queues[room] if room else range(len(order)):
            if not free:
                break
            household = households[order[place]]
            if outcomes[place] == RESERVE and (not household or draw.cap is None or taken[household] < draw.cap):
                outcomes[place] = room
                taken[household] += 1
                free -= 1
                cut_offs[room] = (here - free, place + 1)
        left -= here - free
    return outcomes, cut_offs


# The whole


def check(asked: argparse.Namespace) -> Iterator[str]:
    """Check everything; then say what was checked and what was not."""
    check_sums(asked.directory, asked.sha256)
    with (asked.directory / "draw.json").open("rb") as file:
        draw = Draw(file.read(LONGEST_JSON + 1))
    noted = {name: getattr(asked, name) for name in ("list_sha256", "root", "terms", "commitment", "round")}
    for name, value in noted.items():
        published = getattr(draw, name)
        demand(value in (None, published), f"draw.json: {name} is {published}; what you noted is {value}")
    demand(terms_of(draw).hex() == draw.terms, "draw.json: the terms are not those of quota, household cap and rooms")
    commitment, randomness = (
        sha256(b"prakerja-draw-1 commitment", bytes.fromhex(draw.secret)),
        sha256(bytes.fromhex(draw.signature)),
    )
    demand(commitment.hex() == draw.commitment, "draw.json: the secret is not the one that was committed to")
    demand(randomness.hex() == draw.randomness, "draw.json: the randomness is not the signature's SHA-256")
    demand(
        not asked.beacon or signed_by_beacon(draw), f"draw.json: the signature is not the beacon's for round {draw.round}"
    )

    tickets = Tickets(asked.directory / "tickets.csv", draw, asked.ticket)
    demand(tickets.sha256 == draw.list_sha256, "draw.json: list_sha256 is not that of tickets.csv")
    demand(tickets.root.hex() == draw.root, "draw.json: the root is not that of tickets.csv")
    demand(
        tickets.tree.leaves == draw.tickets, f"tickets.csv has {tickets.tree.leaves} tickets, draw.json says {draw.tickets}"
    )
    demand(asked.ticket is None or tickets.tree.line != b"", f"tickets.csv: ticket {asked.ticket} is not in the list")
    wave = draw.wave.to_bytes(4, "big") + draw.attempt.to_bytes(4, "big")
    seed = sha256(b"prakerja-draw-1 seed", tickets.root, terms_of(draw), bytes.fromhex(draw.secret), randomness, wave)
    demand(
        seed.hex() == draw.seed, "draw.json: the seed does not follow from root, terms, secret, randomness, wave and attempt"
    )

    digest = hashlib.sha256()
    order, outcomes = read_result(asked.directory / "result.csv", tickets.numbers, seed, digest)
    right, taken = select(draw, tickets, order)
    if outcomes != right:
        place = next(place for place, (said, due) in enumerate(zip(outcomes, right, strict=True)) if said != due)
        raise Differs(
            f"result.csv, line {place + 2}: the outcome is {spelled(outcomes[place])}, the rules say {spelled(right[place])}"
        )
    cut_offs = [(room, *taken[room], f"{tickets.numbers[order[taken[room][1] - 1]]:015x}") for room in sorted(taken)]
    demand(draw.cut_offs == cut_offs, "draw.json: the cut-offs are not those of the selection")
    selected = sum(count for count, _ in taken.values())
    demand(draw.selected == selected, f"draw.json: {draw.selected} selected, the rules select {selected}")
    demand(draw.result_sha256 == digest.hexdigest(), "draw.json: result_sha256 is not that of result.csv")

    yield "Every byte is as SHA256SUMS says."
    yield "All of this follows from the files: list, root, terms, commitment, randomness, seed, order, selection, cut-offs."
    yield f"wave        {draw.wave}, attempt {draw.attempt}" + (", ANNULLED" if draw.annulled else "")
    yield f"rules       quota {draw.quota}, household cap {draw.cap}, seats by room {draw.rooms}"
    yield f"tickets     {draw.tickets}"
    yield f"selected    {selected}"
    yield f"root        {draw.root}"
    yield f"terms       {draw.terms}"
    yield f"commitment  {draw.commitment}"
    yield f"beacon      round {draw.round} of {draw.chain}"
    yield f"seed        {draw.seed}"
    if asked.ticket is not None:
        index = bisect_left(tickets.numbers, int(asked.ticket, 16))
        place = order.index(index)
        yield f"ticket      {asked.ticket}: rank {place + 1}, outcome {spelled(right[place])}"
        yield f"  line      {tickets.tree.line.decode()}"
        yield f"  index     {index} of {draw.tickets}"
        yield from (f"  path      {sibling.hex()}" for sibling in tickets.tree.path)
    if draw.scheme == "mock-ed25519":
        yield "NO PUBLIC RANDOMNESS: the scheme is mock-ed25519, its operator knows every round beforehand. A demonstration."
    elif not draw.is_quicknet:
        yield "NOT QUICKNET: this program does not know whose the beacon's public key is. Find out before you believe the draw."
    if not asked.beacon:
        yield "Not checked: that the signature is the beacon's (--beacon does)."
    noted["sha256"] = asked.sha256
    if None in noted.values():
        missing = ", ".join(name for name, value in noted.items() if value is None)
        yield f"Not compared with what somebody noted when it was published: {missing}. Files alone cannot show that they are not new."


def spelled(outcome: int) -> str:
    return "R" if outcome == RESERVE else f"S{outcome}"


def hexadecimal(digits: int, text: str) -> str:
    if not re.fullmatch(f"[0-9a-f]{{{digits}}}", text):
        raise argparse.ArgumentTypeError(f"not {digits} hexadecimal digits, lower-case")
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check a published draw completely from its files.")
    parser.add_argument("directory", type=Path, help="where the draw's files are, and nothing else")
    parser.add_argument(
        "--sha256", metavar="HEX", type=partial(hexadecimal, 64), help="of SHA256SUMS, as the draw's page shows it"
    )
    for name in ("--root", "--terms", "--list-sha256", "--commitment"):
        parser.add_argument(name, metavar="HEX", type=partial(hexadecimal, 64), help="as noted when it was published")
    parser.add_argument("--round", metavar="N", type=int, help="the beacon's round, as noted when it was announced")
    parser.add_argument(
        "--ticket", metavar="HEX15", type=partial(hexadecimal, 15), help="also say its rank, outcome and path"
    )
    parser.add_argument("--beacon", action="store_true", help="also verify the beacon's signature (needs a package)")
    asked = parser.parse_args(arguments)
    try:
        print("\n".join(check(asked)))
    except Differs as difference:
        print(f"DIFFERS: {difference}", file=sys.stderr)
        return 1
    except (Unusable, OSError, MemoryError) as problem:
        print(f"Cannot check: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The draw of a wave: freeze, commit, draw, publish; `docs/draw.md` tells every byte of it.

Each step is one transaction: killed in the middle of it, it has not happened, and is done again. Who may do it, and that it
takes two people, is the business of `waves.acts`.
"""

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import IO, Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext as _

from foundation.pg import array
from foundation.sealing import seal, unseal
from registrations.models import Wave
from registrations.stages import Stage
from waves import lists, merkle, screening
from waves.models import Draw, ListKind, OrderBlock, PersonList, Place, Plan, Screening, Ticket
from waves.randomness import Chain
from waves.screening import NotNow

FORMAT = "prakerja-draw-1"
#: Places of a row of the order: few enough for PostgreSQL to keep a row in its page.
PLACES = 400
LIST_HEADER = b"ticket,room,household,before\n"
#: Of a draw with fewer tickets all are counted, where a guess will do for others.
SMALL = 200_000
#: No cap, where one is compared with.
NO_CAP = 32767
#: No ticket has a greater one.
LAST_KEY = b"\xff" * 32

#: A random number of 60 bits: the version's digit and the variant's of a random UUID are left out.
_RANDOM = "('x' || translate(left(id::text, 13), '-', '') || right(id::text, 3))::bit(60)::bigint"
#: A ticket's line of the list.
LINE = "lpad(to_hex(number), 15, '0') || ',' || room || ',' || coalesce(encode(household, 'hex'), '') || ',' || before"


class Room(NamedTuple):
    """Seats set apart for some: a plan's entry says for whom, `{"name": ..., "seats": ..., "list": "priority"}` or
    `{..., "province": 32}`.
    """

    number: int
    name: str
    seats: int
    #: Whether a registrant belongs to it, as SQL.
    condition: str
    #: The kind of list that says so, if one does.
    kind: ListKind | None = None

    @classmethod
    def of(cls, plan: Plan) -> list["Room"]:
        return [
            cls(number, str(entry["name"]), int(entry["seats"]), _condition(entry), _kind(entry))
            for number, entry in enumerate(plan.rooms, start=1)
        ]


def _condition(entry: dict[str, Any]) -> str:
    if "province" in entry:
        return f"registrant.province = {int(entry['province'])}"
    return f"registrant.id IN (SELECT registrant_id FROM listed WHERE kind = '{ListKind(entry['list']).value}')"


def _kind(entry: dict[str, Any]) -> ListKind | None:
    return ListKind(entry["list"]) if "list" in entry else None


def ticket_text(number: int) -> str:
    return f"{number:015x}"


# Freeze ---------------------------------------------------------------------------------------------------------------


def freeze(wave: Wave, *, at: datetime) -> Draw:
    """Give every eligible application a ticket, and write down the list, its hash and its root. Raises `NotNow`."""
    with transaction.atomic(), connection.cursor() as cursor:
        wave = Wave.objects.select_for_update().get(pk=wave.pk)
        screened = _ready_to_freeze(wave, at)
        plan = Plan.objects.select_related("rule_set").get(wave=wave)
        rooms, cap = Room.of(plan), plan.rule_set.household_cap
        looked_at = lists.newest({room.kind for room in rooms if room.kind})
        cursor.execute("SELECT nextval('waves_draw_id_seq')")
        [id] = cursor.fetchone()
        tickets = _give_tickets(cursor, id, wave, rooms, looked_at, with_households=cap is not None)
        _count_anew(cursor, "waves_ticket")
        if not tickets:
            raise NotNow(_("Nobody in wave %(wave)s is eligible.") % {"wave": wave.number})
        sink = _ListSink()
        _copy_out(cursor, f"SELECT {LINE} FROM waves_ticket WHERE draw_id = {id} ORDER BY position", sink)
        of_rooms = _of_rooms(cursor, id) if rooms else {0: tickets}
        draw = Draw.objects.create(
            id=id,
            wave=wave,
            attempt=wave.draws.count() + 1,
            screening=screened,
            quota=wave.quota or 0,
            household_cap=cap,
            rooms=[{"number": room.number, "name": room.name, "seats": room.seats} for room in rooms],
            frozen_at=at,
            tickets=tickets,
            list_sha256=sink.hash.digest(),
            root=sink.tree.root(),
            subtrees=b"".join(sink.tree.blocks),
            inclusion=inclusion(wave.quota or 0, {room.number: room.seats for room in rooms}, of_rooms),
        )
        draw.lists.set(looked_at)
        return draw


def inclusion(quota: int, seats: Mapping[int, int], tickets: Mapping[int, int]) -> list[dict[str, Any]]:
    """How likely a ticket of each room, or of none (0), is to be taken, before the seed is known; `seats` and `tickets` by room.

    There is one order. So a room's tickets are taken down to the rank at which its seats are used up, or down to that at which
    all seats are, whichever comes later: a room whose share of seats is larger than the share taken of all has that for its
    chance, and everybody else has one in common. That is exact but for strata of few tickets, and as long as no household cap
    keeps a ticket back. Given how many were taken of a stratum, each of its tickets was as likely as any other.
    """
    share = {room: min(seats.get(room, 0) / count, 1) for room, count in tickets.items()}
    richer: set[int] = set()
    while True:
        others = sum(count for room, count in tickets.items() if room not in richer)
        left = quota - sum(share[room] * tickets[room] for room in richer)
        common = min(left / others, 1) if others else 0
        more = {room for room in tickets if share[room] > common} - richer
        if not more:
            break
        richer |= more
    return [
        {"room": room, "tickets": count, "probability": share[room] if room in richer else common}
        for room, count in sorted(tickets.items())
    ]


def _of_rooms(cursor: CursorWrapper, draw_id: int) -> dict[int, int]:
    """How many tickets each room has, and none (0)."""
    cursor.execute("SELECT room, count(*) FROM waves_ticket WHERE draw_id = %s GROUP BY 1", [draw_id])
    return dict(cursor.fetchall())


def _count_anew(cursor: CursorWrapper, table: str) -> None:
    """Without statistics that know of this draw, PostgreSQL takes it for one row, and joins a million rows to it one by one."""
    cursor.execute(f"ANALYZE {table}")


def _ready_to_freeze(wave: Wave, at: datetime) -> Screening:
    if wave.closes_at is None or at < wave.closes_at:
        raise NotNow(_("Wave %(wave)s is not closed yet.") % {"wave": wave.number})
    if wave.draws.filter(annulled_at=None).exists():
        raise NotNow(_("The list of wave %(wave)s is frozen.") % {"wave": wave.number})
    if not wave.quota:
        raise NotNow(_("Wave %(wave)s has no quota.") % {"wave": wave.number})
    found = screening.current(wave)
    seats = sum(room.seats for room in Room.of(wave.plan))
    if seats > wave.quota:
        raise NotNow(_("The rooms of wave %(wave)s have more seats than its quota.") % {"wave": wave.number})
    return found


def _give_tickets(
    cursor: CursorWrapper, draw_id: int, wave: Wave, rooms: list[Room], looked_at: list[PersonList], *, with_households: bool
) -> int:
    belongs = " ".join(f"WHEN {room.condition} THEN {room.number}" for room in rooms)
    cursor.execute(
        f"""
        INSERT INTO waves_ticket (draw_id, position, number, registrant_id, room, household, before)
        WITH listed AS (
            SELECT owner.registrant_id, list.kind FROM waves_listentry entry
            JOIN waves_personlist list ON list.id = entry.list_id
            JOIN registrations_nikowner owner USING (digest) WHERE entry.list_id = ANY (%(lists)s::int[])
        ), recipients AS (
            SELECT owner.household, count(*) AS people
            FROM registrations_registrant recipient JOIN registrations_nikowner owner ON owner.registrant_id = recipient.id
            WHERE %(households)s AND recipient.selected_wave_id IS NOT NULL AND owner.household IS NOT NULL GROUP BY 1
        ), eligible AS MATERIALIZED (
            SELECT registrant.id AS registrant_id, CASE {belongs or "WHEN false THEN 0"} ELSE 0 END AS room,
                   {"owner.household" if with_households else "NULL::uuid AS household"}, gen_random_uuid() AS id
            FROM waves_application application
            JOIN registrations_registrant registrant ON registrant.id = application.registrant_id
            {"LEFT JOIN registrations_nikowner owner ON owner.registrant_id = registrant.id" if with_households else ""}
            WHERE application.wave_id = %(wave)s AND registrant.stage = {Stage.PHONE_VERIFIED}
              AND NOT EXISTS (
                  SELECT FROM waves_ineligible ineligible
                  WHERE ineligible.wave_id = %(wave)s AND ineligible.registrant_id = application.registrant_id)
        ), together AS (
            SELECT household, coalesce(recipients.people, 0) AS before FROM (
                SELECT household, count(*) AS people FROM eligible WHERE household IS NOT NULL GROUP BY 1
            ) here LEFT JOIN recipients USING (household) WHERE here.people > 1 OR recipients.people > 0
        ), numbered AS (
            SELECT registrant_id, room, {_RANDOM} AS number, together.before,
                   substring(sha256(%(salt)s || uuid_send(together.household)) FROM 1 FOR 8) AS household
            FROM eligible LEFT JOIN together USING (household)
        )
        SELECT %(draw)s, row_number() OVER (ORDER BY number) - 1, number, registrant_id, room, household, coalesce(before, 0)
        FROM numbered ORDER BY number
        """,
        # The salt is forgotten: who knows somebody's family card cannot find them in the list.
        {
            "draw": draw_id,
            "wave": wave.number,
            "salt": os.urandom(32),
            "households": with_households,
            "lists": [one.pk for one in looked_at],
        },
    )
    return int(cursor.rowcount)


class _ListSink:
    """Takes the list's lines as they come from the database."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256(LIST_HEADER)
        self.tree = merkle.Tree()
        self._rest = b""

    def write(self, data: bytes) -> None:
        self.hash.update(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        self.tree.add(lines)


def _copy_out(cursor: CursorWrapper, select: str, sink: Any) -> None:
    with cursor.db.wrap_database_errors:
        cursor.copy_expert(f"COPY ({select}) TO STDOUT", sink)


# Commit ---------------------------------------------------------------------------------------------------------------


def commit(draw: Draw, *, chain: Chain, round: int, at: datetime, token_bytes: Callable[[int], bytes] = os.urandom) -> None:
    """Make the secret, and announce the round whose randomness will count. Raises `NotNow`."""
    with _changing(draw):
        if draw.committed_at:
            raise NotNow(_("The draw is committed already."))
        if not chain.has(round):
            raise NotNow(_("There is no such round."))
        if chain.at(round) <= at:
            raise NotNow(_("Round %(round)s lies in the past: its randomness is known.") % {"round": round})
        secret = token_bytes(32)
        draw.committed_at, draw.commitment = at, commitment(secret)
        draw.secret = seal(secret, _place(draw))
        draw.chain, draw.round = vars_of(chain), round


def commitment(secret: bytes) -> bytes:
    return hashlib.sha256(b"prakerja-draw-1 commitment" + secret).digest()


def vars_of(chain: Chain) -> dict[str, Any]:
    return {name: getattr(chain, name) for name in Chain.__dataclass_fields__}


def chain_of(draw: Draw) -> Chain:
    return Chain(**(draw.chain or {}))


def secret_of(draw: Draw) -> bytes:
    return unseal(draw.secret or b"", _place(draw))


def _place(draw: Draw) -> bytes:
    return b"draw:%d" % draw.pk


@contextmanager
def _changing(draw: Draw) -> Iterator[None]:
    """The newest state of the draw, locked, and saved at the end. Raises `NotNow` when it was annulled."""
    with transaction.atomic():
        Draw.objects.select_for_update().get(pk=draw.pk)
        draw.refresh_from_db()
        if draw.annulled_at:
            raise NotNow(_("The draw was annulled."))
        yield
        draw.save()


# Draw -----------------------------------------------------------------------------------------------------------------


def terms_of(draw: Draw) -> bytes:
    """What quota, cap and rooms are bound by: part of the seed, so that nobody chooses them when that is known."""
    cap = "none" if draw.household_cap is None else draw.household_cap
    lines = [f"quota {draw.quota}", f"cap {cap}", *(f"room {room['number']} {room['seats']}" for room in draw.rooms)]
    return hashlib.sha256(b"prakerja-draw-1 terms" + "".join(f"{line}\n" for line in lines).encode()).digest()


def seed_of(draw: Draw, randomness: bytes) -> bytes:
    place = draw.wave_id.to_bytes(4, "big") + draw.attempt.to_bytes(4, "big")
    parts = [b"prakerja-draw-1 seed", bytes(draw.root), terms_of(draw), secret_of(draw), randomness, place]
    return hashlib.sha256(b"".join(parts)).digest()


def key_of(seed: bytes, number: int) -> bytes:
    return hashlib.sha256(seed + number.to_bytes(8, "big")).digest()


def run(draw: Draw, *, signature: bytes, at: datetime) -> None:
    """Order all tickets by the round's randomness, and take from them. Raises `NotNow` and `BadSignature`."""
    with _changing(draw):
        if not draw.committed_at:
            raise NotNow(_("The draw is not committed: there is no secret and no round."))
        if draw.drawn_at:
            raise NotNow(_("The draw has been made."))
        chain, round = chain_of(draw), draw.round or 0
        if at < chain.at(round):
            raise NotNow(_("Round %(round)s is not out yet.") % {"round": round})
        draw.seed = seed_of(draw, chain.verify(round, signature))
        draw.signature, draw.drawn_at = signature, at
        with _scratch() as order, connection.cursor() as cursor:
            cursor.execute("SET LOCAL work_mem = '512MB'")
            _put_in_order(cursor, draw, order)
            taken = _take(cursor, draw)
            _count_anew(cursor, "waves_place")
            draw.cut_offs, draw.selected = _cut_offs(cursor, draw), taken.total()
            draw.inclusion = [one | {"taken": taken[one["room"]]} for one in draw.inclusion]
            cursor.execute("DROP TABLE candidate")


def _scratch() -> IO[bytes]:
    """A file for some hundred megabytes: where the result will lie, for /tmp may be memory."""
    settings.PUBLISHED.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=settings.PUBLISHED)


def _put_in_order(cursor: CursorWrapper, draw: Draw, order: IO[bytes]) -> None:
    """Write the positions of all tickets by rank into the database, by way of the file `order`."""
    select = f"""
        SELECT position FROM waves_ticket WHERE draw_id = {draw.pk}
        ORDER BY sha256('\\x{bytes(draw.seed or b"").hex()}'::bytea || int8send(number)), number
    """
    _copy_out(cursor, select, order)
    order.seek(0)
    with _scratch() as blocks, cursor.db.wrap_database_errors:
        for block, lines in enumerate(_by_blocks(order)):
            # Lines of one position each become the elements of one array.
            blocks.write(b"%d\t%d\t{%b}\n" % (draw.pk, block, b"".join(lines)[:-1].replace(b"\n", b",")))
        blocks.seek(0)
        cursor.copy_expert("COPY waves_orderblock (draw_id, block, positions) FROM STDIN", blocks)


def _by_blocks(order: IO[bytes]) -> Iterator[list[bytes]]:
    while lines := list(islice(order, PLACES)):
        yield lines


def _take(cursor: CursorWrapper, draw: Draw) -> Counter[int]:
    """Take from the order, room by room and then among all, and write down who was taken.

    Return how many of the tickets of each room, and of none (0), were taken, wherever.
    """
    ranks = min(_ranks_needed(cursor, draw), draw.tickets)
    while (taken := _taken(cursor, draw, ranks)) is None:
        ranks = min(2 * ranks, draw.tickets)
    return taken


def _cut_offs(cursor: CursorWrapper, draw: Draw) -> list[dict[str, Any]]:
    """Of each room, and of all (0): how many were taken, and the last of them."""
    cursor.execute(
        """
        SELECT cut_off.room, cut_off.taken, cut_off.rank, ticket.number FROM (
            SELECT room, count(*) AS taken, max(rank) AS rank FROM waves_place WHERE draw_id = %(draw)s GROUP BY 1
        ) cut_off
        JOIN waves_place place ON place.draw_id = %(draw)s AND place.rank = cut_off.rank
        JOIN waves_ticket ticket ON ticket.draw_id = %(draw)s AND ticket.position = place.position
        ORDER BY 1
        """,
        {"draw": draw.pk},
    )
    return [
        {"room": room, "taken": taken, "rank": rank, "ticket": ticket_text(number)}
        for room, taken, rank, number in cursor.fetchall()
    ]


def _ranks_needed(cursor: CursorWrapper, draw: Draw) -> int:
    """About how far down the order seats will be filled: by the rooms' shares of the tickets, and a tenth more."""
    # A look at some pages is enough: if it misleads, more of the order is looked at later.
    sample = 100 if draw.tickets < SMALL else 1
    cursor.execute(
        "SELECT room, count(*) FROM waves_ticket TABLESAMPLE SYSTEM (%s) WHERE draw_id = %s GROUP BY 1", [sample, draw.pk]
    )
    seen = dict(cursor.fetchall())
    everybody = sum(seen.values())
    needed = [room["seats"] * everybody / seen[room["number"]] for room in draw.rooms if seen.get(room["number"])]
    return int(1.1 * max([draw.quota, *needed])) + 10 * PLACES


def _taken(cursor: CursorWrapper, draw: Draw, ranks: int) -> Counter[int] | None:
    """Take from the first so many ranks, and count; None when there are more, and these did not fill all seats."""
    cursor.execute("DROP TABLE IF EXISTS candidate")
    cursor.execute("DELETE FROM waves_place WHERE draw_id = %s", [draw.pk])
    cursor.execute(
        f"""
        CREATE TEMP TABLE candidate ON COMMIT DROP AS
        SELECT rank, position, registrant_id, room, household, before
        FROM (
            -- As tickets lie on the disk: one page after the other, and not each as often as the order comes by.
            SELECT (block * {PLACES} + nth)::int AS rank, position
            FROM waves_orderblock, unnest(positions) WITH ORDINALITY AS ordered (position, nth)
            WHERE draw_id = %(draw)s AND block <= %(ranks)s / {PLACES} ORDER BY position
        ) ordered
        JOIN waves_ticket ticket USING (position) WHERE ticket.draw_id = %(draw)s
        """,
        {"draw": draw.pk, "ranks": ranks},
    )
    cursor.execute("ANALYZE candidate")
    enough, taken = True, Counter[int]()
    for room, seats in [(room["number"], room["seats"]) for room in draw.rooms] + [(0, None)]:
        wanted = draw.quota - taken.total() if seats is None else seats
        cursor.execute(
            f"""
            WITH free AS (
                SELECT * FROM candidate
                WHERE {"room = %(room)s AND" if room else ""}
                    NOT EXISTS (SELECT FROM waves_place WHERE draw_id = %(draw)s AND waves_place.rank = candidate.rank)
            ), taken AS (
                SELECT household, count(*) AS people FROM candidate JOIN waves_place place USING (rank)
                WHERE place.draw_id = %(draw)s AND household IS NOT NULL GROUP BY 1
            ), of_households AS (
                SELECT rank, before + coalesce(taken.people, 0) + row_number() OVER (PARTITION BY household ORDER BY rank) AS nth
                FROM free LEFT JOIN taken USING (household) WHERE household IS NOT NULL
            ), now_taken AS MATERIALIZED (
                SELECT rank, position, registrant_id, room FROM free LEFT JOIN of_households USING (rank)
                WHERE household IS NULL OR nth <= %(cap)s
                ORDER BY rank LIMIT %(wanted)s
            ), written AS (
                INSERT INTO waves_place (draw_id, rank, position, registrant_id, room)
                SELECT %(draw)s, rank, position, registrant_id, %(room)s FROM now_taken
            )
            SELECT room, count(*) FROM now_taken GROUP BY 1
            """,
            {"draw": draw.pk, "room": room, "cap": draw.household_cap or NO_CAP, "wanted": wanted},
        )
        taken += (found := Counter(dict(cursor.fetchall())))
        enough = enough and found.total() == wanted
    return taken if enough or ranks == draw.tickets else None


# Publish, annul -------------------------------------------------------------------------------------------------------


def publish(draw: Draw, *, at: datetime) -> None:
    """From now on everybody sees secret, seed, order and outcome. Raises `NotNow`."""
    with _changing(draw):
        if not draw.drawn_at:
            raise NotNow(_("The draw has not been made."))
        draw.published_at = draw.published_at or at


def annul(draw: Draw, *, reason: str, at: datetime) -> None:
    """The draw does not count; it stays visible, with the reason, and the wave can be frozen anew. Raises `NotNow`.

    One that was drawn is published by it, if it was not before; and one whose round is out is drawn first, for who knows the secret
    knows its outcome. So nobody draws again until the outcome fits, and hides the others.
    """
    with _changing(draw):
        if draw.decrees.exists():
            raise NotNow(_("A decree names those who were drawn already."))
        if not reason.strip():
            raise NotNow(_("A draw is annulled for a reason, which is published."))
        if draw.committed_at and not draw.drawn_at and chain_of(draw).at(draw.round or 0) <= at:
            raise NotNow(
                _("Round %(round)s is out: the draw is made with it before it can be annulled.") % {"round": draw.round}
            )
        draw.annulled_at, draw.annulled_because = at, reason.strip()
        if draw.drawn_at:
            draw.published_at = draw.published_at or at


class Chance(NamedTuple):
    """How likely a ticket of one stratum was to be taken."""

    #: Of the room; empty for the tickets of none.
    name: str
    tickets: int
    probability: float
    #: How many were; None: not drawn yet.
    taken: int | None


def chances(draw: Draw) -> list[Chance]:
    """Of each stratum, the rooms first."""
    names = {room["number"]: room["name"] for room in draw.rooms}
    found = [
        Chance(names.get(one["room"], ""), one["tickets"], one["probability"], one.get("taken")) for one in draw.inclusion
    ]
    return sorted(found, key=lambda chance: not chance.name)


def kept_back(draw: Draw, ids: Sequence[int] | None = None) -> set[int]:
    """Who would have been taken but for the household cap: their turn came, and as many of their household had been taken before.

    `ids`: of these registrants only.
    """
    if draw.household_cap is None or draw.cut_offs is None:
        return set()
    turns = _turns(draw)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT registrant_id FROM waves_ticket ticket
            WHERE draw_id = %(draw)s AND household IS NOT NULL {"" if ids is None else "AND registrant_id = ANY (%(ids)s::bigint[])"}
              AND EXISTS (
                  SELECT FROM unnest(%(rooms)s::int[], %(keys)s::bytea[]) AS turn (room, key)
                  WHERE turn.room IN (0, ticket.room) AND sha256(%(seed)s || int8send(number)) <= turn.key)
              AND NOT EXISTS (SELECT FROM waves_place place WHERE place.draw_id = %(draw)s AND place.position = ticket.position)
            """,
            {
                "draw": draw.pk,
                "ids": array(ids or ()),
                "rooms": list(turns),
                "keys": list(turns.values()),
                "seed": bytes(draw.seed or b""),
            },
        )
        return {id for (id,) in cursor.fetchall()}


def _turns(draw: Draw) -> dict[int, bytes]:
    """Of each room, and of all (0): the key of the last ticket whose turn came. Where seats were left over, everybody's came."""
    cut_offs = draw.cut_offs or []
    turns = {cut_off["room"]: key_of(bytes(draw.seed or b""), int(cut_off["ticket"], 16)) for cut_off in cut_offs}
    taken = {cut_off["room"]: cut_off["taken"] for cut_off in cut_offs}
    turns |= {room["number"]: LAST_KEY for room in draw.rooms if taken.get(room["number"], 0) < room["seats"]}
    return turns | ({0: LAST_KEY} if (draw.selected or 0) < draw.quota else {})


# One ticket -----------------------------------------------------------------------------------------------------------


class Proof(NamedTuple):
    """That a line was in the list when it was frozen."""

    line: str
    #: Its place in the list, from 0, and how long the list is.
    position: int
    tickets: int
    path: list[bytes]


def proof(draw: Draw, position: int) -> Proof:
    """The proof for the ticket at this position."""
    block = position // merkle.BLOCK * merkle.BLOCK
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {LINE} FROM waves_ticket
            WHERE draw_id = %s AND position >= %s AND position < %s ORDER BY position
            """,
            [draw.pk, block, block + merkle.BLOCK],
        )
        lines = [line.encode() for (line,) in cursor.fetchall()]
    hashes = bytes(draw.subtrees)
    blocks = [hashes[start : start + 32] for start in range(0, len(hashes), 32)]
    return Proof(lines[position - block].decode(), position, draw.tickets, merkle.proof(blocks, lines, position))


def ticket_of(draw: Draw, registrant_id: int) -> Ticket | None:
    return Ticket.objects.filter(draw_id=draw.pk, registrant_id=registrant_id).first()


def find_ticket(draw: Draw, text: str) -> Ticket | None:
    """The ticket with this number, however it is written: with blanks or dashes, in capitals."""
    digits = "".join(text.split()).replace("-", "").lower()
    if len(digits) != 15 or not set(digits) <= set("0123456789abcdef"):
        return None
    return Ticket.objects.filter(draw_id=draw.pk, number=int(digits, 16)).first()


def rank_of(draw: Draw, ticket: Ticket) -> int:
    """The ticket's rank: found by halving, as the order is that of the keys."""
    wanted = _order_key(draw, ticket.number)
    low, high = 0, (draw.tickets - 1) // PLACES
    while low < high:
        middle = (low + high + 1) // 2
        if _order_key(draw, _numbers(draw, middle, first_only=True)[0]) <= wanted:
            low = middle
        else:
            high = middle - 1
    return low * PLACES + _numbers(draw, low).index(ticket.number) + 1


def _order_key(draw: Draw, number: int) -> tuple[bytes, int]:
    return key_of(bytes(draw.seed or b""), number), number


def _numbers(draw: Draw, block: int, *, first_only: bool = False) -> list[int]:
    """The numbers of the tickets of one block of the order, by rank."""
    positions = OrderBlock.objects.values_list("positions", flat=True).get(draw_id=draw.pk, block=block)
    wanted = positions[:1] if first_only else positions
    found = dict(Ticket.objects.filter(draw_id=draw.pk, position__in=wanted).values_list("position", "number"))
    return [found[position] for position in wanted]


def place_of(draw: Draw, ticket: Ticket) -> Place | None:
    """Where it was taken; None: in reserve."""
    return Place.objects.filter(draw_id=draw.pk, position=ticket.position).first()

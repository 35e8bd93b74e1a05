"""Free seats go to the next in reserve: by the order of the published draw, so that everybody can see whose turn it is.

A free seat of a room goes to the next of that room; when there is none left, and for all other seats, to the next of all.
Passed over is who has been selected elsewhere or is not eligible any more, and who would be one too many of a household.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Count, Max, Min, Q
from django.utils.translation import gettext as _

from foundation.pg import array, copy_in
from registrations.models import Wave
from registrations.stages import DropOff, Stage
from waves import naming, notices, seats
from waves.decrees import BLOCK, Named, Writer, named
from waves.draw import NO_CAP, PLACES, ticket_text
from waves.models import Called, Decree, Draw, Notice, OrderBlock
from waves.screening import NotNow

Outcome = Called.Outcome

#: Blocks of the order that are looked at together.
WINDOW = 100


class _Reserve(NamedTuple):
    """A ticket in reserve whose turn may have come."""

    rank: int
    registrant_id: int
    room: int
    #: Still to be selected: verified, and of a stage on which one waits.
    is_free: bool
    household: str | None
    #: Recipients of the household, now.
    recipients: int


def call(wave: Wave, count: int, *, by: str, at: datetime) -> Decree:
    """Name the next `count` in reserve in a decree; they are told at once. Fewer, if there are no more. Raises `NotNow`."""
    with transaction.atomic():
        draw = seats.decided(wave)
        _nobody_is_in_two(draw)
        free = seats.of(draw).free
        if not 0 < count <= free:
            raise NotNow(_("Wave %(wave)s has %(free)s free seats.") % {"wave": wave.number, "free": free})
        writer = Writer(Decree.Kind.RESERVES, draw, by=by, at=at)
        called = _turns(draw, count)
        _write_down(draw, writer.id, called)
        chosen = sorted(one.registrant_id for one, _, outcome in called if outcome is Outcome.NAMED)
        if not chosen:
            raise NotNow(_("Nobody is in reserve any more."))
        for people in _people(draw, writer.id):
            naming.make_recipients(writer, draw, people)
        decree = writer.finish(buy_by=naming.deadline(draw, at))
        for ids in notices.in_parcels(chosen):
            notices.post(decree, Notice.Kind.SELECTED, ids, at=at)
        return decree


def _nobody_is_in_two(draw: Draw) -> None:
    """Who is called may hold a ticket of a later wave: while that one is drawn, it must not lose anybody."""
    other = seats.being_drawn(besides=draw).first()
    if other:
        raise NotNow(
            _("Wave %(wave)s is being drawn: call reserves when its result is announced.") % {"wave": other.wave_id}
        )


def _turns(draw: Draw, count: int) -> list[tuple[_Reserve, int, Called.Outcome]]:
    """Who is named or passed over, with the room of the seat."""
    cap = draw.household_cap or NO_CAP
    called: dict[int, tuple[_Reserve, int, Called.Outcome]] = {}
    of_household = Counter[str]()
    rooms = _free_seats(draw)
    # The rooms first, and then all others, as in the draw.
    for room, seats_of_room in [*sorted(rooms.items()), (0, count)]:
        wanted = min(seats_of_room, count - _named(called))
        for one in _in_order(draw, room) if wanted > 0 else ():
            if one.rank in called:
                continue
            if not one.is_free:
                called[one.rank] = one, room, Outcome.GONE
            elif one.household and one.recipients + of_household[one.household] >= cap:
                called[one.rank] = one, room, Outcome.HOUSEHOLD
            else:
                called[one.rank] = one, room, Outcome.NAMED
                of_household[one.household or ""] += 1
                wanted -= 1
                if not wanted:
                    break
    return [called[rank] for rank in sorted(called)]


def _named(called: dict[int, tuple[_Reserve, int, Called.Outcome]]) -> int:
    return sum(outcome is Outcome.NAMED for _, _, outcome in called.values())


def _free_seats(draw: Draw) -> dict[int, int]:
    """Seats of each room whose people have ended, less those that reserves have taken since."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH seat AS (
                SELECT rank, room FROM waves_place WHERE draw_id = %(draw)s
                UNION ALL
                SELECT rank, room FROM waves_called WHERE draw_id = %(draw)s AND outcome = '{Outcome.NAMED}'
            )
            SELECT room, count(*) FILTER (WHERE ended_by IS NOT NULL) - (
                SELECT count(*) FROM waves_called called
                WHERE called.draw_id = %(draw)s AND called.room = seat.room AND outcome = '{Outcome.NAMED}'
            )
            FROM seat JOIN waves_recipient recipient USING (rank)
            WHERE room > 0 AND decree_id = ANY (SELECT id FROM waves_decree WHERE draw_id = %(draw)s) GROUP BY room
            """,
            {"draw": draw.pk},
        )
        return {room: free for room, free in cursor.fetchall() if free > 0}


def _in_order(draw: Draw, room: int) -> Iterator[_Reserve]:
    """The reserve by rank, of one room or (0) of all: who was neither taken nor called before."""
    last = (draw.tickets - 1) // PLACES
    for start in range(0, last + 1, WINDOW):
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT ordered.rank, ticket.registrant_id, ticket.room,
                       registrant.stage = {Stage.PHONE_VERIFIED} AND registrant.drop_off = ANY (%(waiting)s::int[]),
                       owner.household::text,
                       CASE WHEN owner.household IS NULL THEN 0 ELSE (
                           SELECT count(*) FROM registrations_nikowner other
                           JOIN registrations_registrant recipient ON recipient.id = other.registrant_id
                           WHERE other.household = owner.household AND recipient.selected_wave_id IS NOT NULL) END
                FROM (
                    SELECT (block * {PLACES} + nth)::int AS rank, position
                    FROM {OrderBlock._meta.db_table}, unnest(positions) WITH ORDINALITY AS ordered (position, nth)
                    WHERE draw_id = %(draw)s AND block BETWEEN %(start)s AND %(end)s
                ) ordered
                JOIN waves_ticket ticket ON ticket.draw_id = %(draw)s AND ticket.position = ordered.position
                JOIN registrations_registrant registrant ON registrant.id = ticket.registrant_id
                LEFT JOIN registrations_nikowner owner ON %(capped)s AND owner.registrant_id = ticket.registrant_id
                WHERE (%(room)s = 0 OR ticket.room = %(room)s)
                  AND NOT EXISTS (SELECT FROM waves_place WHERE draw_id = %(draw)s AND waves_place.rank = ordered.rank)
                  AND NOT EXISTS (SELECT FROM waves_called WHERE draw_id = %(draw)s AND waves_called.rank = ordered.rank)
                ORDER BY 1
                """,
                {
                    "draw": draw.pk,
                    "room": room,
                    "start": start,
                    "end": start + WINDOW - 1,
                    "capped": draw.household_cap is not None,
                    "waiting": array([DropOff.NONE, DropOff.NOT_DRAWN, DropOff.HOUSEHOLD_FULL]),
                },
            )
            yield from map(_Reserve._make, cursor.fetchall())


def _write_down(draw: Draw, decree_id: int, called: list[tuple[_Reserve, int, Called.Outcome]]) -> None:
    rows = (f"{draw.pk}\t{one.rank}\t{one.registrant_id}\t{decree_id}\t{room}\t{outcome}" for one, room, outcome in called)
    with connection.cursor() as cursor:
        copy_in(cursor, "waves_called", "draw_id, rank, registrant_id, decree_id, room, outcome", rows)


def _people(draw: Draw, decree_id: int) -> Iterator[list[Named]]:
    """Those named, by rank, some thousand at a time."""
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT called.registrant_id, called.rank, ticket.number, registrant.province, registrant.sex,
                       data.sealed, uuid_send(registrant.reference)
                FROM waves_called called
                JOIN waves_ticket ticket ON ticket.draw_id = called.draw_id AND ticket.registrant_id = called.registrant_id
                JOIN registrations_registrant registrant ON registrant.id = called.registrant_id
                JOIN registrations_personaldata data ON data.registrant_id = called.registrant_id
                WHERE called.decree_id = %s AND called.outcome = '{Outcome.NAMED}' AND called.rank > %s
                ORDER BY called.rank LIMIT {BLOCK}
                """,
                [decree_id, last],
            )
            rows = cursor.fetchall()
        if not rows:
            return
        yield named(rows)
        last = rows[-1][1]


def left(draw: Draw) -> int:
    """How many tickets have been neither taken nor called: the reserve of a draw that has been made."""
    return draw.tickets - (draw.selected or 0) - Called.objects.filter(draw_id=draw.pk).count()


class Summary(NamedTuple):
    """What came of one decree that called reserves."""

    decree: Decree
    named: int
    passed_over: int
    first: int
    last: int


def summary(draw: Draw) -> list[Summary]:
    """Each decree that called reserves, with how many it named and passed over, and the ranks that it looked at."""
    rows = (
        Called.objects.filter(draw_id=draw.pk)
        .values("decree_id")
        .annotate(
            named=Count("pk", filter=Q(outcome=Outcome.NAMED)),
            passed_over=Count("pk", filter=~Q(outcome=Outcome.NAMED)),
            first=Min("rank"),
            last=Max("rank"),
        )
        .order_by("decree_id")
    )
    of = Decree.objects.in_bulk([row["decree_id"] for row in rows])
    return [Summary(of[row["decree_id"]], row["named"], row["passed_over"], row["first"], row["last"]) for row in rows]


def lines(draw: Draw) -> Iterator[str]:
    """Whose turn came, by rank, as CSV."""
    yield "rank,ticket,outcome,decree\n"
    decrees = {decree.pk: decree for decree in draw.decrees.all()}
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            """
            SELECT called.rank, ticket.number, called.outcome, called.decree_id FROM waves_called called
            JOIN waves_ticket ticket ON ticket.draw_id = called.draw_id AND ticket.registrant_id = called.registrant_id
            WHERE called.draw_id = %s ORDER BY 1
            """,
            [draw.pk],
        )
        for rank, number, outcome, decree_id in cursor:
            yield f"{rank},{ticket_text(number)},{outcome},{decrees[decree_id].number}/{decrees[decree_id].year}\n"

"""Who has bought no training in time is warned, revoked, and named in a decree of revocation; the seat is free then."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils.translation import gettext as _

from foundation.pg import array
from registrations import ladder
from registrations.models import Wave
from registrations.stages import DropOff, Stage
from waves import notices, seats
from waves.decrees import BLOCK, Named, Writer, named
from waves.models import Decree, Draw, Notice, Recipient
from waves.screening import NotNow

Kind = Notice.Kind

#: Days before the end, the nearest first.
WARNINGS = {1: Kind.DAYS_1, 3: Kind.DAYS_3, 7: Kind.DAYS_7}
#: So many are revoked in one transaction.
BATCH = 5000


def warn(*, at: datetime) -> int:
    """Warn those whose time is running out, once for each of the warnings; return how many people are warned now.

    After a standstill the nearest end counts: nobody is told "seven days" when three are left.
    """
    warned = 0
    for decree in Decree.objects.filter(buy_by__gt=at, buy_by__lte=at + timedelta(days=max(WARNINGS))):
        kind = next(kind for days, kind in WARNINGS.items() if decree.buy_by - at <= timedelta(days=days))  # type: ignore[operator]
        with transaction.atomic():
            Decree.objects.select_for_update().get(pk=decree.pk)
            if decree.notices.filter(kind=kind).exists():
                continue
            people = _buying(decree)
            Notice.objects.create(decree=decree, kind=kind, at=at)
            for ids in notices.in_parcels(people):
                notices.post(decree, kind, ids, at=at)
                warned += len(ids)
    return warned


def _buying(decree: Decree) -> Iterator[int]:
    """Named by this decree, and nothing bought yet."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(_BUYING, [decree.pk, None])
        for (id,) in cursor:
            yield id


_BUYING = f"""
    SELECT recipient.registrant_id FROM waves_recipient recipient
    JOIN registrations_registrant registrant ON registrant.id = recipient.registrant_id
    WHERE recipient.decree_id = %s AND recipient.ended_at IS NULL AND registrant.stage = {Stage.SELECTED}
    ORDER BY 1 LIMIT %s
"""


def revoke(*, at: datetime, size: int = BATCH) -> int:
    """Revoke one batch of those whose time is over; return how many. Each batch is one short transaction: run it until 0."""
    for decree in Decree.objects.filter(buy_by__lte=at, lapsed_at=None):
        with transaction.atomic():
            if revoked := _revoke(decree, at=at, size=size):
                notices.post(decree, Kind.REVOKED, sorted(revoked), at=at)
                return len(revoked)
            Decree.objects.filter(pk=decree.pk).update(lapsed_at=at)
    return 0


def lapse(decree: Decree, *, buy_by: datetime, size: int = BATCH) -> int:
    """Revoke one batch of a decree that was not announced in earnest, and so has no end; return how many. Run it until 0.

    For simulations: those are revoked who have bought nothing before `buy_by`, at that instant, and nobody is written to. From
    the last batch on the decree's time is over, as `revoke` leaves it.
    """
    with transaction.atomic():
        revoked = _revoke(decree, at=buy_by, size=size)
        if not revoked:
            Decree.objects.filter(pk=decree.pk, lapsed_at=None).update(buy_by=buy_by, lapsed_at=buy_by)
    return len(revoked)


def _revoke(decree: Decree, *, at: datetime, size: int) -> set[int]:
    with connection.cursor() as cursor:
        # Whoever buys at this moment holds the registrant's row: one of the two comes first, and the other finds it done.
        cursor.execute(f"{_BUYING} FOR NO KEY UPDATE", [decree.pk, size])
        ids = [id for (id,) in cursor.fetchall()]
    revoked = ladder.drop_off(dict.fromkeys(ids, DropOff.REVOKED), dict.fromkeys(ids, at))
    _end(revoked, DropOff.REVOKED, at)
    return revoked


def _end(ids: set[int], because: DropOff, at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE waves_recipient SET ended_at = %s, ended_because = %s WHERE registrant_id = ANY (%s::bigint[])",
            [at, because, array(ids)],
        )


def issue(wave: Wave, *, by: str, at: datetime) -> Decree:
    """Name all of the wave who have been revoked and are in no decree of revocation yet. Raises `NotNow`."""
    with transaction.atomic(), connection.cursor() as cursor:
        draw = seats.decided(wave)
        writer = Writer(Decree.Kind.REVOCATION, draw, by=by, at=at)
        while people := _revoked(draw):
            writer.add("-", people)
            cursor.execute(
                "UPDATE waves_recipient SET ended_by = %s WHERE registrant_id = ANY (%s::bigint[])",
                [writer.id, array(one.registrant_id for one in people)],
            )
        decree = writer.finish()
        if not decree.names:
            raise NotNow(_("Nobody has been revoked who is not in a decree already."))
        return decree


def _revoked(draw: Draw) -> list[Named]:
    """The next of those revoked who are in no decree, with name and card."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT recipient.registrant_id, recipient.rank, ticket.number, registrant.province, registrant.sex,
                   data.sealed, uuid_send(registrant.reference), recipient.card
            FROM waves_recipient recipient
            JOIN registrations_registrant registrant ON registrant.id = recipient.registrant_id
            JOIN registrations_personaldata data ON data.registrant_id = recipient.registrant_id
            LEFT JOIN waves_ticket ticket ON ticket.draw_id = %(draw)s AND ticket.registrant_id = recipient.registrant_id
            WHERE recipient.decree_id = ANY (SELECT id FROM waves_decree WHERE draw_id = %(draw)s)
              AND recipient.ended_because = {DropOff.REVOKED} AND recipient.ended_by IS NULL
            ORDER BY recipient.rank, recipient.registrant_id LIMIT {BLOCK}
            """,
            {"draw": draw.pk},
        )
        rows = cursor.fetchall()
    people = named([row[:-1] for row in rows])
    return [one._replace(card=row[-1], reason="no training bought in time") for one, row in zip(people, rows, strict=True)]


def end(people: list[Named], because: DropOff, *, decree_id: int, at: datetime) -> None:
    """These few are recipients no more, as a decree that is being written says. Raises `NotNow` unless all of them were."""
    ids = {one.registrant_id for one in people}
    if ladder.drop_off(dict.fromkeys(ids, because), dict.fromkeys(ids, at)) != ids:
        raise NotNow(_("Somebody on the list has bought a training: that is settled first."))
    _end(ids, because, at)
    for one in people:
        Recipient.objects.filter(pk=one.registrant_id).update(ended_by=decree_id, reason=one.reason)

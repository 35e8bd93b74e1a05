"""Who was drawn is named in a decree, gets a card and stands on *selected*; with the announcement, everybody is told."""

from collections.abc import Container, Iterator, Sequence
from datetime import datetime, time, timedelta
from heapq import merge
from io import BytesIO
from operator import attrgetter

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext as _

from foundation.pg import array, copy_in
from foundation.processes import ahead
from registrations import ladder
from registrations.models import Wave
from registrations.regions import WIB
from registrations.stages import DropOff, Stage
from waves import cards, notices, screening
from waves import draw as drawing
from waves.decrees import Named, Row, Writer, named, rank_in
from waves.models import Decree, Draw, Notice, Plan, Recipient
from waves.screening import NotNow

#: So many are moved, or told why they are not, at a time.
BATCH = 20_000


def issue(draw: Draw, *, by: str, at: datetime, batch: int = BATCH) -> Decree:
    """Name all who were drawn: they are recipients, have a card, and stand on *selected*. One transaction. Raises `NotNow`."""
    with transaction.atomic():
        writer = Writer(Decree.Kind.RECIPIENTS, draw, by=by, at=at)
        draw = Draw.objects.select_for_update().get(pk=draw.pk)
        if draw.annulled_at:
            raise NotNow(_("The draw was annulled."))
        if not draw.published_at:
            raise NotNow(_("The draw is not published."))
        if draw.decrees.exists():
            raise NotNow(_("A decree names those who were drawn already."))
        parcels: list[bytes] = []
        for people in ahead(_open, _select_all(draw, at, batch)):
            recipients = _give_cards(writer, people)
            writer.count(recipients)
            # Lines wait here for their rank, a parcel in one piece: a string for each would take three times the memory.
            parcels.append(b"".join(one.line("+") for one in sorted(recipients, key=attrgetter("rank"))))
        if writer.names != draw.selected:
            raise _cannot()
        writer.write(merge(*map(BytesIO, parcels), key=rank_in))
        return writer.finish()


def make_recipients(writer: Writer, draw: Draw, people: Sequence[Named]) -> None:
    """Name these people in a decree that is being written. Raises `NotNow` unless all can be selected."""
    _select(draw, [one.registrant_id for one in people], writer.at)
    writer.add("+", _give_cards(writer, [one._replace(card=cards.random_card()) for one in people]))


def _select(draw: Draw, ids: Sequence[int], at: datetime) -> dict[int, ladder.Selected]:
    selected = ladder.select(draw.wave_id, ids, at)
    if len(selected) < len(ids):
        raise _cannot()
    return selected


def _cannot() -> NotNow:
    return NotNow(_("Somebody who was drawn cannot be selected any more: annul the draw."))


def _give_cards(writer: Writer, people: Sequence[Named]) -> list[Named]:
    """Make these people recipients, with the cards that they come with; with another one where somebody has it already."""
    recipients = list(people)
    with connection.cursor() as cursor:
        while places := cards.clashes(cursor, [one.card for one in recipients]):
            for i in places:
                recipients[i] = recipients[i]._replace(card=cards.random_card())
        rows = (f"{one.registrant_id}\t{one.card}\t{writer.id}\t{one.rank}" for one in recipients)
        copy_in(cursor, "waves_recipient", "registrant_id, card, decree_id, rank", rows)
    return recipients


def _select_all(draw: Draw, at: datetime, batch: int) -> Iterator[list[Row]]:
    """Select all who were drawn, in the order in which they lie on the disk; rows for `named`, so many at a time.

    They lie all over two large tables: by rank, each of them would cost a page of both, which is read and written again whenever
    the lot fell on somebody else in it.
    """
    with connection.chunked_cursor() as reading, connection.cursor() as cursor:
        reading.execute(
            """
            SELECT place.registrant_id, place.rank, ticket.number FROM waves_place place
            JOIN waves_ticket ticket ON ticket.draw_id = place.draw_id AND ticket.position = place.position
                AND ticket.registrant_id = place.registrant_id
            WHERE place.draw_id = %s ORDER BY 1
            """,
            [draw.pk],
        )
        while lots := reading.fetchmany(batch):
            ids = [id for id, *_ in lots]
            selected = _select(draw, ids, at)
            cursor.execute(
                "SELECT registrant_id, sealed FROM registrations_personaldata WHERE registrant_id = ANY (%s::bigint[])",
                [array(ids)],
            )
            sealed = dict(cursor.fetchall())
            if len(sealed) < len(ids):
                raise _cannot()
            yield [
                (id, rank, ticket, (who := selected[id]).province, who.sex, sealed[id], who.reference)
                for id, rank, ticket in lots
            ]


def _open(rows: Sequence[Row]) -> list[Named]:
    """Who they are, with random cards."""
    return [one._replace(card=cards.random_card()) for one in named(rows)]


def deadline(draw: Draw, at: datetime) -> datetime:
    """The end of the last day on which who is told `at` this instant may buy a training: midnight in Jakarta."""
    days = Plan.objects.select_related("rule_set").get(wave=draw.wave_id).rule_set.days_to_buy
    return datetime.combine(at.astimezone(WIB).date() + timedelta(days=days + 1), time(), WIB)


def announce(draw: Draw, *, at: datetime, in_earnest: bool = True) -> int:
    """Tell the result: who was not selected has the reason from now on, and may join another wave. Return how many that are.

    Who was selected has so many days from now on to buy a training. One transaction. Not `in_earnest`, in a simulation:
    nobody is written to, and no days are counted. Raises `NotNow`.
    """
    told = 0
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        draw = Draw.objects.select_for_update().get(pk=draw.pk)
        if draw.announced_at:
            raise NotNow(_("The result has been announced."))
        decree = draw.decrees.filter(kind=Decree.Kind.RECIPIENTS).first()
        if decree is None:
            raise NotNow(_("No decree names those who were drawn yet."))
        kept_back = drawing.kept_back(draw)
        for reasons in _not_selected(cursor, draw.wave_id, kept_back):
            told += len(ladder.drop_off(reasons, dict.fromkeys(reasons, at)))
            if in_earnest:
                notices.post(decree, Notice.Kind.NOT_SELECTED, list(reasons), at=at)
        Draw.objects.filter(pk=draw.pk).update(announced_at=at)
        if in_earnest:
            Decree.objects.filter(pk=decree.pk).update(buy_by=deadline(draw, at))
            recipients = Recipient.objects.filter(decree_id=decree.pk).order_by("registrant_id")
            for ids in notices.in_parcels(recipients.values_list("registrant_id", flat=True).iterator(BATCH)):
                notices.post(decree, Notice.Kind.SELECTED, ids, at=at)
    return told


def _not_selected(cursor: CursorWrapper, wave: int, kept_back: Container[int] = ()) -> Iterator[dict[int, DropOff]]:
    """The wave's applicants who wait for the result, each with the first reason, some thousand at a time."""
    cursor.execute(
        """
        SELECT application.registrant_id, coalesce(ineligible.reasons[1], 0)
        FROM waves_application application
        JOIN registrations_registrant registrant ON registrant.id = application.registrant_id
        LEFT JOIN waves_ineligible ineligible
            ON ineligible.registrant_id = application.registrant_id AND ineligible.wave_id = application.wave_id
        WHERE application.wave_id = %s AND registrant.stage = %s ORDER BY 1
        """,
        [wave, Stage.PHONE_VERIFIED],
    )
    while rows := cursor.fetchmany(BATCH):
        yield {
            id: DropOff(reason or (DropOff.HOUSEHOLD_FULL if id in kept_back else DropOff.NOT_DRAWN)) for id, reason in rows
        }


def announce_nobody(wave: Wave, *, at: datetime) -> int:
    """Tell the result of a wave in which nobody is eligible: it ends undrawn. Return how many are told why. Raises `NotNow`.

    All have the reason on their page from now on, and may join another wave. No letter goes out: those go with a decree.
    """
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        wave = Wave.objects.select_for_update().get(pk=wave.pk)
        if wave.draws.filter(annulled_at=None).exists():
            raise NotNow(_("The list of wave %(wave)s is frozen.") % {"wave": wave.number})
        found = screening.current(wave)
        if found.announced_at:
            raise NotNow(_("The result has been announced."))
        if not screening.keeps_all_out(wave):
            raise NotNow(_("The list of wave %(wave)s is not frozen.") % {"wave": wave.number})
        found.announced_at = at
        found.save(update_fields=["announced_at"])
        parcels = _not_selected(cursor, wave.number)
        return sum(len(ladder.drop_off(reasons, dict.fromkeys(reasons, at))) for reasons in parcels)

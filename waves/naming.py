"""Who was drawn is named in a decree, gets a card and stands on *selected*; with the announcement, everybody is told."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, time, timedelta

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext as _

from foundation.pg import copy_in
from registrations import ladder
from registrations.models import Wave
from registrations.regions import WIB
from registrations.stages import DropOff, Stage
from waves import cards, notices, screening
from waves.decrees import BLOCK, Named, Writer, named
from waves.models import Decree, Draw, Notice, Plan, Recipient
from waves.screening import NotNow

#: So many are moved, or told why they are not, at a time.
BATCH = 20_000


def issue(draw: Draw, *, by: str, at: datetime) -> Decree:
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
        with _drawn(draw):
            moved = sum(len(ladder.select(draw.wave_id, ids, at)) for ids in _ids())
            if moved != draw.selected:
                raise _cannot()
            for people in _by_rank():
                _name(writer, people)
        return writer.finish()


def make_recipients(writer: Writer, draw: Draw, people: Sequence[Named]) -> None:
    """Name these people in a decree that is being written. Raises `NotNow` unless all can be selected."""
    if len(ladder.select(draw.wave_id, [one.registrant_id for one in people], writer.at)) < len(people):
        raise _cannot()
    _name(writer, people)


def _name(writer: Writer, people: Sequence[Named]) -> None:
    """Give these people their cards, and a line each."""
    with connection.cursor() as cursor:
        with_cards = [one._replace(card=card) for one, card in zip(people, cards.new(cursor, len(people)), strict=True)]
        rows = (f"{one.registrant_id}\t{one.card}\t{writer.id}\t{one.rank}" for one in with_cards)
        copy_in(cursor, "waves_recipient", "registrant_id, card, decree_id, rank", rows)
    writer.add("+", with_cards)


def _cannot() -> NotNow:
    return NotNow(_("Somebody who was drawn cannot be selected any more: annul the draw."))


@contextmanager
def _drawn(draw: Draw) -> Iterator[None]:
    """With all who were drawn in a table of this transaction's own."""
    with connection.cursor() as cursor:
        # At once, for then several processes do it: people lie all over two large tables, and each costs a page of both.
        cursor.execute("SET LOCAL work_mem = '256MB'")
        cursor.execute(
            """
            CREATE TEMP TABLE drawn ON COMMIT DROP AS
            SELECT place.registrant_id, place.rank, ticket.number, registrant.province, registrant.sex,
                   data.sealed, uuid_send(registrant.reference)
            FROM waves_place place
            JOIN waves_ticket ticket ON ticket.draw_id = place.draw_id AND ticket.position = place.position
            JOIN registrations_registrant registrant ON registrant.id = place.registrant_id
            JOIN registrations_personaldata data ON data.registrant_id = place.registrant_id
            WHERE place.draw_id = %s
            """,
            [draw.pk],
        )
        yield
        cursor.execute("DROP TABLE drawn")


def _ids() -> Iterator[list[int]]:
    """In the order in which they lie on the disk: each page is written once, and not whenever the lot fell on somebody in it."""
    with connection.chunked_cursor() as reading:
        reading.execute("SELECT registrant_id FROM drawn ORDER BY 1")
        yield from iter(lambda: [id for (id,) in reading.fetchmany(BATCH)], [])


def _by_rank() -> Iterator[list[Named]]:
    """A block at a time."""
    with connection.chunked_cursor() as reading:
        reading.execute("SELECT * FROM drawn ORDER BY rank")
        while rows := reading.fetchmany(BLOCK):
            yield named(rows)


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
        for reasons in _not_selected(cursor, draw.wave_id):
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


def _not_selected(cursor: CursorWrapper, wave: int) -> Iterator[dict[int, DropOff]]:
    """The wave's applicants who wait for the result, each with the first reason, some thousand at a time."""
    cursor.execute(
        """
        SELECT application.registrant_id, coalesce(ineligible.reasons[1], %s)
        FROM waves_application application
        JOIN registrations_registrant registrant ON registrant.id = application.registrant_id
        LEFT JOIN waves_ineligible ineligible
            ON ineligible.registrant_id = application.registrant_id AND ineligible.wave_id = application.wave_id
        WHERE application.wave_id = %s AND registrant.stage = %s ORDER BY 1
        """,
        [DropOff.NOT_DRAWN, wave, Stage.PHONE_VERIFIED],
    )
    while rows := cursor.fetchmany(BATCH):
        yield {id: DropOff(reason) for id, reason in rows}


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

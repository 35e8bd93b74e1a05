"""A decree is never changed: a correction is a new decree that names the old one, with who is added, who removed, and why."""

import re
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext as _

from foundation.pg import array
from registrations.models import Registrant, Wave
from registrations.stages import DropOff, Stage
from waves import naming, notices, revocation, seats
from waves.decrees import Named, Writer, named
from waves.draw import NO_CAP, find_ticket, rank_of
from waves.models import Decree, Draw, Notice, Recipient, Ticket
from waves.screening import NotNow

#: More are another draw.
MOST = 1000


class Change(NamedTuple):
    """Somebody is added (`+`) or removed (`-`). By ticket; who has none, by the reference of the registration."""

    sign: str
    who: str
    reason: str


def read(text: str) -> list[Change]:
    """Changes, a line each: `+; ticket; reason`. Raises `NotNow` with the first line that says nothing."""
    found = []
    for number, line in enumerate(filter(str.strip, text.splitlines()), start=1):
        parts = [part.strip() for part in line.split(";", 2)]
        if len(parts) < 3 or parts[0] not in ("+", "-") or not parts[1] or not parts[2]:
            raise NotNow(_("Line %(line)s is not like “+; ticket; reason” or “-; ticket; reason”.") % {"line": number})
        found.append(Change(*parts))
    if not found:
        raise NotNow(_("A correction adds or removes somebody."))
    if len(found) > MOST:
        raise NotNow(_("A correction has %(most)s lines at most.") % {"most": MOST})
    if len({_key(change.who) for change in found}) < len(found):
        raise NotNow(_("Somebody stands in two lines."))
    return found


def _key(who: str) -> str:
    return re.sub(r"[\s-]", "", who).lower()


def issue(wave: Wave, changes: list[Change], *, by: str, at: datetime) -> Decree:
    """Add and remove these people. Who is added takes a free seat, those of the removed among them. Raises `NotNow`."""
    with transaction.atomic():
        draw = seats.decided(wave)
        others = list(seats.being_drawn(besides=draw)) if any(change.sign == "+" for change in changes) else []
        old = draw.decrees.get(kind=Decree.Kind.RECIPIENTS)
        writer = Writer(Decree.Kind.CORRECTION, draw, by=by, at=at, corrects=old)
        people = {change: _find(draw, change.who) for change in changes}
        removed = _removed(draw, [(change, people[change]) for change in changes if change.sign == "-"])
        added = _added(others, [(change, people[change]) for change in changes if change.sign == "+"])
        if removed:
            revocation.end(removed, DropOff.REMOVED, decree_id=writer.id, at=at)
            writer.add("-", removed)
        if len(added) > seats.of(draw).free:
            raise NotNow(_("Wave %(wave)s has %(free)s free seats.") % {"wave": wave.number, "free": seats.of(draw).free})
        if added:
            naming.make_recipients(writer, draw, added)
            _keep_cap(draw, added)
        decree = writer.finish(buy_by=naming.deadline(draw, at) if added else None)
        notices.post(decree, Notice.Kind.SELECTED, [one.registrant_id for one in added], at=at)
        notices.post(decree, Notice.Kind.REMOVED, [one.registrant_id for one in removed], at=at)
        return decree


def _find(draw: Draw, who: str) -> Named:
    ticket = find_ticket(draw, who)
    if ticket is None:
        try:
            registrant = Registrant.objects.filter(reference=UUID(who)).first()
        except ValueError:
            registrant = None
        if registrant is None:
            raise NotNow(_("There is no ticket and no registration %(who)s.") % {"who": who})
        id, ticket = registrant.pk, Ticket.objects.filter(draw_id=draw.pk, registrant_id=registrant.pk).first()
    else:
        id = ticket.registrant_id
    return _named(id, rank_of(draw, ticket) if ticket else 0, ticket)


def _named(id: int, rank: int, ticket: Ticket | None) -> Named:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT registrant.id, %s::int, %s::bigint, registrant.province, registrant.sex, data.sealed, uuid_send(registrant.reference)
            FROM registrations_registrant registrant JOIN registrations_personaldata data ON data.registrant_id = registrant.id
            WHERE registrant.id = %s
            """,
            [rank, ticket.number if ticket else None, id],
        )
        [one] = named(cursor.fetchall())
        return one


def _removed(draw: Draw, people: list[tuple[Change, Named]]) -> list[Named]:
    """With rank, card and reason. Raises `NotNow` unless all are recipients of this draw."""
    decrees = list(draw.decrees.values_list("pk", flat=True))
    ids = [one.registrant_id for _, one in people]
    recipients = Recipient.objects.filter(decree_id__in=decrees, ended_at=None).in_bulk(ids)
    found = []
    for change, one in people:
        recipient = recipients.get(one.registrant_id)
        if recipient is None:
            raise NotNow(_("%(who)s is no recipient of this wave.") % {"who": change.who})
        found.append(one._replace(rank=recipient.rank, card=recipient.card, reason=change.reason))
    return found


def _added(others: list[Draw], people: list[tuple[Change, Named]]) -> list[Named]:
    """With the reason. Raises `NotNow` unless all can be selected, and none holds a ticket of one of the other draws."""
    elsewhere = _tickets(others, [one.registrant_id for _, one in people])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM registrations_registrant WHERE id = ANY (%s::bigint[]) AND stage = %s FOR NO KEY UPDATE",
            [array(one.registrant_id for _, one in people), Stage.PHONE_VERIFIED],
        )
        ready = {id for (id,) in cursor.fetchall()}
    for change, one in people:
        if one.registrant_id not in ready:
            raise NotNow(_("%(who)s is not fully verified, or was selected before.") % {"who": change.who})
        if wave := elsewhere.get(one.registrant_id):
            raise NotNow(
                _("%(who)s holds a ticket of wave %(wave)s: add them when its result is announced.")
                % {"who": change.who, "wave": wave}
            )
    return [one._replace(reason=change.reason) for change, one in people]


def _keep_cap(draw: Draw, added: list[Named]) -> None:
    """Raises `NotNow` when one of the added is one too many of a household."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT owner.household FROM registrations_nikowner owner
            JOIN registrations_registrant recipient ON recipient.id = owner.registrant_id
            WHERE recipient.selected_wave_id IS NOT NULL
              AND owner.household IN (SELECT household FROM registrations_nikowner WHERE registrant_id = ANY (%s::bigint[]))
            GROUP BY 1 HAVING count(*) > %s
            """,
            [array(one.registrant_id for one in added), draw.household_cap or NO_CAP],
        )
        if cursor.rowcount:
            text = _("Of a household, more than %(cap)s would be recipients.")
            raise NotNow(text % {"cap": draw.household_cap})


def _tickets(draws: list[Draw], ids: list[int]) -> dict[int, int]:
    """Who holds a ticket of one of these draws, and of which wave."""
    waves = {draw.pk: draw.wave_id for draw in draws}
    found = Ticket.objects.filter(registrant_id__in=ids, draw_id__in=waves)
    return {ticket.registrant_id: waves[ticket.draw_id] for ticket in found}

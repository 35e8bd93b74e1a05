"""Messages to many: posted with what they tell of, in one transaction, and sent in claimed batches, each by its own reference.

A notice is one row, however many get it; who gets it waits in the queues `notice_email` and `notice_sms`. As a notice of a kind
is made once for each decree, nobody is told twice; asked again after a fault, a message has the same reference.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from django.db import connection
from django.db.models import F

from foundation import sms as texts
from foundation.email import Delivery, Email, Mail
from foundation.failover import Failover
from foundation.pg import array
from foundation.sms import Sms, SmsGateway
from foundation.work import Claim, Item, enqueue, work_off
from registrations import ladder
from registrations.stages import DropOff, Stage
from waves import letters
from waves.draw import kept_back
from waves.models import Decree, Ineligible, Notice, Recipient

Kind = Notice.Kind

#: What is sent by SMS as well: that somebody was not selected is told by mail, and on their page.
BY_SMS = frozenset(Kind) - {Kind.NOT_SELECTED}
#: What only they get who still have a training to buy.
WARNINGS = (Kind.DAYS_7, Kind.DAYS_3, Kind.DAYS_1)
#: So many people wait together. Few by SMS: who waits for a code uses the same gateway, and comes in between.
PARCEL, SMS_PARCEL = 5000, 500


def post(decree: Decree, kind: Notice.Kind, ids: Sequence[int], *, at: datetime) -> None:
    """Have these people told, when the caller's transaction commits. Who calls sees to it that nobody is named twice."""
    if not ids:
        return
    notice, _made = Notice.objects.get_or_create(decree=decree, kind=kind, defaults={"at": at})
    Notice.objects.filter(pk=notice.pk).update(people=F("people") + len(ids))
    channels = [("notice_email", PARCEL)] + [("notice_sms", SMS_PARCEL)] * (kind in BY_SMS)
    for queue, size in channels:
        for part in in_parcels(ids, size):
            enqueue(queue, part, notes=[notice.pk] * len(part))


def in_parcels(ids: Iterable[int], size: int = PARCEL) -> Iterator[list[int]]:
    rest = iter(ids)
    while part := list(islice(rest, size)):
        yield part


def send_emails(*, email: Email, size: int) -> int:
    """Mail one batch; return how many were in hand."""
    return work_off("notice_email", size=size, service="email", act=lambda claim: _mail(claim, email))


def _mail(claim: Claim, email: Email) -> int:
    written = list(_written(claim.items))

    # Asked outside any transaction: a slow mail server must not hold our rows.
    answers = email.send([Mail(letter.reference, letter.email, letter.subject, letter.text) for _, letter in written])

    with claim.settling():
        claim.again([item for (item, _), answer in zip(written, answers, strict=True) if answer is Delivery.UNKNOWN])
        taken = Counter(_notice(item) for (item, _), answer in zip(written, answers, strict=True) if answer is Delivery.SENT)
        unknown = Counter(
            _notice(item) for (item, _), answer in zip(written, answers, strict=True) if answer is Delivery.UNKNOWN
        )
        refused = Counter(_notice(item) for item, _ in written) - taken - unknown
        _count(taken, "mailed")
        _count(refused, "not_mailed")
    return len(written)


def send_texts(*, sms: SmsGateway, size: int) -> int:
    """Send one batch by SMS; return how many were in hand."""
    return work_off("notice_sms", size=min(size, SMS_PARCEL), service="sms", act=lambda claim: _text(claim, sms))


def _text(claim: Claim, sms: SmsGateway) -> int:
    written = list(_written(claim.items))
    messages = [Sms(letter.reference, letter.phone, letter.short) for _, letter in written]

    # Outside any transaction. Who may have sent it already, is asked before all others.
    if isinstance(sms, Failover):
        asked = {letter.reference: item.note[1] for item, letter in written if isinstance(item.note, list)}
        answers, carriers = sms.carry(messages, first=asked)
    else:
        answers, carriers = sms.send(messages), [0] * len(messages)

    with claim.settling():
        again, taken, refused = [], Counter[int](), Counter[int]()
        for (item, _), answer, carrier in zip(written, answers, carriers, strict=True):
            if answer is texts.Delivery.UNKNOWN:
                again.append(item._replace(note=[_notice(item), carrier] if carrier else _notice(item)))
            else:
                (taken if answer is texts.Delivery.ACCEPTED else refused)[_notice(item)] += 1
        claim.again(again)
        _count(taken, "texted")
        _count(refused, "not_texted")
    return len(written)


def _notice(item: Item) -> int:
    return int(item.note[0] if isinstance(item.note, list) else item.note)


def _count(told: Mapping[int, int], field: str) -> None:
    for notice, people in sorted(told.items()):
        Notice.objects.filter(pk=notice).update(**{field: F(field) + people})


def _written(items: Sequence[Item]) -> Iterator[tuple[Item, letters.Letter]]:
    """A letter for each item whose person it still concerns."""
    found = Notice.objects.select_related("decree__draw").in_bulk({_notice(item) for item in items})
    ids = [item.subject for item in items]
    people = ladder.standing(ids, Stage.PHONE_VERIFIED, or_above=True)
    kept_out = _kept_out(found.values(), ids)
    buying = _buying(ids) if any(notice.kind in WARNINGS for notice in found.values()) else set()
    for item in items:
        notice, standing = found[_notice(item)], people.get(item.subject)
        if standing is None or (notice.kind in WARNINGS and item.subject not in buying):
            continue
        reasons = kept_out.get((notice.decree.draw.wave_id, item.subject), ())
        yield item, letters.write(notice, item.subject, standing.open(), reasons)


def _kept_out(notices: Iterable[Notice], ids: Sequence[int]) -> dict[tuple[int, int], tuple[DropOff, ...]]:
    """The reasons for which somebody could not take part in a wave, or was kept back in its draw."""
    draws = {draw.wave_id: draw for notice in notices if notice.kind == Kind.NOT_SELECTED for draw in (notice.decree.draw,)}
    rows = Ineligible.objects.filter(wave__in=draws, registrant_id__in=ids) if draws else ()
    kept_out = {(row.wave_id, row.registrant_id): tuple(map(DropOff, row.reasons)) for row in rows}
    for wave, draw in draws.items():
        kept_out |= {(wave, id): (DropOff.HOUSEHOLD_FULL,) for id in kept_back(draw, ids)}
    return kept_out


def _buying(ids: Sequence[int]) -> set[int]:
    """Who is a recipient, and has bought nothing yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT registrant.id FROM registrations_registrant registrant
            JOIN {Recipient._meta.db_table} recipient ON recipient.registrant_id = registrant.id
            WHERE registrant.id = ANY (%s::bigint[]) AND registrant.stage = {Stage.SELECTED} AND recipient.ended_at IS NULL
            """,
            [array(ids)],
        )
        return {id for (id,) in cursor.fetchall()}

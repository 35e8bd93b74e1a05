"""What becomes of the SMS with a code: which provider has it, and what is known of its way to the phone.

A code's `delivery` is ten times the provider's number (1: the first or only one; 0: not known) plus what is known. Who has
not got the SMS and asks for a new code gets it from another provider. Nothing is written as long as there is one provider
and it sends no receipts.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction

from foundation.failover import RECEIPT_SECONDS, Count, Failover, tally
from foundation.pg import array
from foundation.sms import Delivery, Sms, SmsGateway
from verification.codes import LIFE
from verification.models import DeliveryState as State


def send(sms: SmsGateway, messages: Sequence[Sms]) -> tuple[list[Delivery], list[int]]:
    """Send codes; one outcome and one provider's number per message, in order. Raises `Unavailable`.

    Of whom a receipt tells that the provider has the message, nobody is asked.
    """
    if not (isinstance(sms, Failover) or settings.SMS_RECEIPT_SECRETS):
        return sms.send(messages), []
    known = _known(messages)
    to_send = [message for message in messages if known.get(message.reference, 0) % 10 < State.ACCEPTED]
    first = {reference: told // 10 for reference, told in known.items() if told % 10 == State.IN_DOUBT}
    last = {reference: told // 10 for reference, told in known.items() if told % 10 == State.NONE}
    if isinstance(sms, Failover):
        answers, carriers = sms.carry(to_send, first=first, last=last) if to_send else ([], [])
    else:
        answers, carriers = sms.send(to_send) if to_send else [], [1] * len(to_send)
    if len(to_send) < len(messages):
        outcome = {
            message.reference: (answer, carrier) for message, answer, carrier in zip(to_send, answers, carriers, strict=True)
        }
        told = [outcome.get(reference) or (Delivery.ACCEPTED, known[reference] // 10) for reference, *_ in messages]
        return [answer for answer, _ in told], [carrier for _, carrier in told]
    return answers, carriers


def _known(messages: Sequence[Sms]) -> dict[str, int]:
    """What is known of these messages, by reference, if anything."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT code.registrant_id || '.' || encode(uuid_send(code.challenge), 'hex'), code.delivery
            FROM unnest(%s::bigint[], %s::uuid[]) AS sent (id, challenge)
            JOIN verification_onetimecode code ON code.registrant_id = sent.id AND code.challenge = sent.challenge
            WHERE code.delivery > 0
            """,
            _keys([message.reference for message in messages]),
        )
        return dict(cursor.fetchall())


def note(messages: Sequence[Sms], answers: Sequence[Delivery], carriers: Sequence[int]) -> None:
    """Write down who has which message, as `send` has told; nothing without `carriers`."""
    noted = [
        (message.reference, carrier, int(answer is Delivery.ACCEPTED))
        for message, answer, carrier in zip(messages, answers, carriers, strict=False)
        if carrier and answer is not Delivery.NUMBER_DEAD
    ]
    if not noted:
        return
    references, numbers, accepted = zip(*noted, strict=True)
    with transaction.atomic(), connection.cursor() as cursor:
        # Receipts may have come before us. A second doubt about the same provider: another one is asked next.
        cursor.execute(
            f"""
            WITH told AS MATERIALIZED (
                SELECT code.registrant_id, code.expires_at, number, accepted = 1 AS accepted,
                       code.delivery AS before, code.delivery %% 10 AS known
                FROM unnest(%s::bigint[], %s::uuid[], %s::int[], %s::int[]) AS sent (id, challenge, number, accepted)
                JOIN verification_onetimecode code ON code.registrant_id = sent.id AND code.challenge = sent.challenge
                ORDER BY code.registrant_id
                FOR NO KEY UPDATE OF code
            ), noted AS (
                UPDATE verification_onetimecode code
                SET delivery = CASE
                    WHEN accepted THEN number * 10 + greatest(known, {State.ACCEPTED})
                    WHEN known >= {State.ACCEPTED} THEN before
                    WHEN before = number * 10 + {State.IN_DOUBT} THEN number * 10
                    ELSE number * 10 + {State.IN_DOUBT} END
                FROM told WHERE code.registrant_id = told.registrant_id
            )
            SELECT number, expires_at, known = {State.DELIVERED} FROM told
            WHERE accepted AND (before < 10 OR known < {State.ACCEPTED})
            """,
            [*_keys(references), array(numbers), array(accepted)],
        )
        tally([Count(number, expires_at - LIFE, 1, int(arrived)) for number, expires_at, arrived in cursor.fetchall()])


class Received(NamedTuple):
    """What receipts came to: told something new, nothing new, or of no message that we know."""

    applied: int
    repeated: int
    unknown: int


def receive(news: Mapping[str, State]) -> Received:
    """Raise what is known of these messages, by reference, to what receipts tell; never lower it.

    References are of our form. Known are those of each registrant's newest code.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # Not noted yet by whom it was sent: `note` will count it.
        cursor.execute(
            f"""
            WITH told AS MATERIALIZED (
                SELECT code.registrant_id, code.expires_at, state, code.delivery AS before, code.delivery %% 10 AS known
                FROM unnest(%s::bigint[], %s::uuid[], %s::int[]) AS news (id, challenge, state)
                JOIN verification_onetimecode code ON code.registrant_id = news.id AND code.challenge = news.challenge
                ORDER BY code.registrant_id
                FOR NO KEY UPDATE OF code
            ), raised AS (
                UPDATE verification_onetimecode code
                SET delivery = CASE WHEN known < {State.ACCEPTED} THEN state ELSE before - known + state END
                FROM told WHERE code.registrant_id = told.registrant_id AND state > known
            )
            SELECT before / 10, expires_at, known, state FROM told
            """,
            [*_keys(news), array(news.values())],
        )
        told = cursor.fetchall()
        tally(
            [
                Count(number, expires_at - LIFE, 0, 1)
                for number, expires_at, known, state in told
                if number and State.ACCEPTED <= known < state == State.DELIVERED
            ]
        )
    applied = sum(state > known for _, _, known, state in told)
    return Received(applied, len(told) - applied, len(news) - len(told))


class News(Enum):
    """What a registrant is told of the SMS with their code."""

    #: Nothing: there is no code to be typed, or no receipts come in.
    NONE = "none"
    WAITING = "waiting"
    ON_ITS_WAY = "on its way"
    #: Not delivered, as far as we know, two minutes after it was sent.
    OVERDUE = "overdue"
    FAILED = "failed"
    DELIVERED = "delivered"


def news(registrant_id: int) -> News:
    """What is known of the SMS with this registrant's live code."""
    if not settings.SMS_RECEIPT_SECRETS:
        return News.NONE
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT delivery %% 10, expires_at < clock_timestamp() + %s * interval '1 s'
            FROM verification_onetimecode
            WHERE registrant_id = %s AND mac IS NOT NULL AND expires_at > clock_timestamp()
            """,
            [LIFE.seconds - RECEIPT_SECONDS, registrant_id],
        )
        state, is_late = cursor.fetchone() or (None, False)
    match state:
        case None:
            return News.NONE
        case State.FAILED:
            return News.FAILED
        case State.DELIVERED:
            return News.DELIVERED
        case _ if is_late:
            return News.OVERDUE
        case State.NONE | State.IN_DOUBT:
            return News.WAITING
        case _:
            return News.ON_ITS_WAY


def _keys(references: Iterable[str]) -> list[str]:
    """Registrants and challenges, as arrays, out of references `registrant.challenge`."""
    pairs = [reference.split(".") for reference in references]
    return [array(int(registrant) for registrant, _ in pairs), array(challenge for _, challenge in pairs)]

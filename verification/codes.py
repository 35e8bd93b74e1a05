"""One-time codes: six digits, one live code per registrant, counted and compared in one row-locked statement.

Stored is an MAC of challenge and code: the code's life is short and its tries are few, so a slow hash would add nothing.
All clocks here are the database's. A new code has tries of its own; the counts by day and for life go on.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import Enum
from secrets import token_hex
from typing import NamedTuple

from django.db import connection

from foundation.pg import array
from foundation.sealing import mac
from verification.models import DeliveryState

DIGITS = 6
LIFE = timedelta(minutes=5)
TRIES_PER_CODE, TRIES_PER_DAY, TRIES_FOR_LIFE = 5, 15, 60
SENDS_PER_HOUR, SENDS_PER_DAY = 3, 5
#: Between two codes, doubled with each one of the last hour.
GAP = timedelta(seconds=30)

#: When the next code may be sent: after the gap, and when the third last is an hour and the fifth last a day old.
_NEXT_SEND = f"""
    greatest(
        code.sent_at[cardinality(code.sent_at)]
            + interval '{GAP.seconds} s'
                * 2 ^ (SELECT count(*) - 1 FROM unnest(code.sent_at) sent WHERE sent > clock_timestamp() - interval '1 h'),
        code.sent_at[cardinality(code.sent_at) - {SENDS_PER_HOUR - 1}] + interval '1 h',
        code.sent_at[cardinality(code.sent_at) - {SENDS_PER_DAY - 1}] + interval '1 day'
    )
"""

#: Most people type one code in their life.
_RECENT_TRIES = """
    CASE WHEN code.tried_at = '{}' THEN code.tried_at
    ELSE ARRAY(SELECT tried FROM unnest(code.tried_at) tried WHERE tried > clock_timestamp() - interval '1 day') END
"""


#: Of codes that were sent, those that are still the newest. Locked in one order by all: receipts come at the same time.
_NEWEST = """
    newest AS MATERIALIZED (
        SELECT code.registrant_id FROM unnest(%s::bigint[], %s::uuid[]) AS sent (id, challenge)
        JOIN verification_onetimecode code ON code.registrant_id = sent.id AND code.challenge = sent.challenge
        ORDER BY code.registrant_id FOR NO KEY UPDATE OF code
    )
"""


class Code(NamedTuple):
    #: 32 hexadecimal digits.
    challenge: str
    code: str


class Typed(NamedTuple):
    """What somebody typed."""

    registrant_id: int
    code: str


class Check(Enum):
    """What typing a code came to."""

    RIGHT = "right"
    WRONG = "wrong"
    #: Wrong, and that was the last try of this code.
    USED_UP = "used up"
    #: Expired, used, void, or never sent: compared with nothing.
    NOT_LIVE = "not live"
    #: Not compared: 15 in 24 hours, or 60 since the last right one.
    TOO_MANY = "too many"


def issue(registrant_ids: Sequence[int], *, randbelow: Callable[[int], int] = secrets.randbelow) -> dict[int, Code]:
    """A new code for each registrant who may be sent one now; the code of before no longer works."""
    codes = {id: Code(token_hex(16), f"{randbelow(10**DIGITS):0{DIGITS}}") for id in sorted(registrant_ids)}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO verification_onetimecode AS code (registrant_id, challenge, mac, expires_at, sent_at)
            SELECT id, challenge, mac, clock_timestamp() + %s * interval '1 s', ARRAY[clock_timestamp()]
            FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[]) AS new (id, challenge, mac)
            ON CONFLICT (registrant_id) DO UPDATE
            SET challenge = excluded.challenge, mac = excluded.mac, expires_at = excluded.expires_at, tries = 0,
                delivery = CASE WHEN code.delivery %% 10 = {DeliveryState.DELIVERED} THEN 0 ELSE code.delivery / 10 * 10 END,
                sent_at = code.sent_at[cardinality(code.sent_at) - {SENDS_PER_DAY - 2}:] || clock_timestamp()
            WHERE code.life_tries < {TRIES_FOR_LIFE} AND coalesce({_NEXT_SEND} <= clock_timestamp(), true)
            RETURNING registrant_id
            """,
            [LIFE.seconds, array(codes), array(code.challenge for code in codes.values()), array(map(_mac, codes.values()))],
        )
        return {id: codes[id] for (id,) in cursor.fetchall()}


def renew(sent: Sequence[tuple[int, str]]) -> set[int]:
    """Codes that are sent once more live anew; return the registrants whose code is still the one of that challenge."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH {_NEWEST}
            UPDATE verification_onetimecode code SET expires_at = clock_timestamp() + %s * interval '1 s'
            FROM newest WHERE code.registrant_id = newest.registrant_id AND code.mac IS NOT NULL
            RETURNING code.registrant_id
            """,
            [array(id for id, _ in sent), array(challenge for _, challenge in sent), LIFE.seconds],
        )
        return {id for (id,) in cursor.fetchall()}


def void(registrant_ids: Sequence[int]) -> None:
    """These registrants' codes no longer work, and what was sent is no longer of interest; their counts stay.

    Until the transaction ends they get no new ones, nor do those who have never had one: hence a row for them, too.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO verification_onetimecode (registrant_id, challenge, expires_at, sent_at)
            SELECT id, gen_random_uuid(), clock_timestamp(), '{}' FROM unnest(%s::bigint[]) AS id
            ON CONFLICT (registrant_id) DO UPDATE SET mac = NULL, challenge = excluded.challenge
            """,
            # Locked in one order by all.
            [array(sorted(set(registrant_ids)))],
        )


def void_sent(sent: Sequence[tuple[int, str]]) -> list[int]:
    """These codes no longer work, where they are still the newest; return the registrants for whom they were."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH {_NEWEST}
            UPDATE verification_onetimecode code SET mac = NULL
            FROM newest WHERE code.registrant_id = newest.registrant_id
            RETURNING code.registrant_id
            """,
            [array(id for id, _ in sent), array(challenge for _, challenge in sent)],
        )
        return [id for (id,) in cursor.fetchall()]


def check(typed: Sequence[Typed]) -> list[Check]:
    """Count and compare what was typed, at most one code per registrant; one outcome each, in order. A right code is used up.

    In the caller's transaction: the codes are locked, in the order of their registrants.
    """
    with connection.cursor() as cursor:
        ids = array(sorted(entry.registrant_id for entry in typed))
        cursor.execute(
            "SELECT registrant_id, encode(uuid_send(challenge), 'hex') FROM verification_onetimecode"
            " WHERE registrant_id = ANY (%s::bigint[]) ORDER BY registrant_id FOR NO KEY UPDATE",
            [ids],
        )
        challenges = dict(cursor.fetchall())
        guesses = {
            entry.registrant_id: Code(challenges[entry.registrant_id], entry.code)
            for entry in typed
            if entry.registrant_id in challenges
        }
        # Nobody without the key can tell what the mac of a guess will be: how long comparing two takes tells nothing.
        cursor.execute(
            f"""
            UPDATE verification_onetimecode code
            SET tries = tries + 1,
                tried_at = {_RECENT_TRIES} || clock_timestamp(),
                life_tries = CASE WHEN code.mac = guess.mac THEN 0 ELSE life_tries + 1 END,
                mac = CASE WHEN code.mac = guess.mac OR tries + 1 >= {TRIES_PER_CODE} THEN NULL ELSE code.mac END
            FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[]) AS guess (id, challenge, mac)
            WHERE code.registrant_id = guess.id AND code.challenge = guess.challenge
              AND code.mac IS NOT NULL AND expires_at > clock_timestamp() AND tries < {TRIES_PER_CODE}
              AND life_tries < {TRIES_FOR_LIFE} AND cardinality({_RECENT_TRIES}) < {TRIES_PER_DAY}
            RETURNING code.registrant_id, life_tries = 0, code.mac IS NULL
            """,
            [
                array(guesses),
                array(guess.challenge for guess in guesses.values()),
                array(map(_mac, guesses.values())),
            ],
        )
        outcomes = {
            id: Check.RIGHT if right else Check.USED_UP if gone else Check.WRONG for id, right, gone in cursor.fetchall()
        }
        cursor.execute(
            f"""
            SELECT registrant_id FROM verification_onetimecode code WHERE registrant_id = ANY (%s::bigint[])
            AND (life_tries >= {TRIES_FOR_LIFE} OR cardinality({_RECENT_TRIES}) >= {TRIES_PER_DAY})
            """,
            [array(id for id in guesses if id not in outcomes)],
        )
        outcomes |= {id: Check.TOO_MANY for (id,) in cursor.fetchall()}
        return [outcomes.get(entry.registrant_id, Check.NOT_LIVE) for entry in typed]


class Sendable(NamedTuple):
    """When the next code may be sent."""

    #: Seconds to wait; 0: now.
    wait: int
    #: No more by SMS: 60 wrong tries since the last right one.
    never: bool
    #: Whether there is a code to be typed now.
    live: bool = False


def sendable(registrant_id: int) -> Sendable:
    """When this registrant may be sent the next code."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT ceil(extract(epoch FROM {_NEXT_SEND} - clock_timestamp()))::int, life_tries >= {TRIES_FOR_LIFE},
                   mac IS NOT NULL AND expires_at > clock_timestamp()
            FROM verification_onetimecode code WHERE registrant_id = %s
            """,
            [registrant_id],
        )
        wait, never, live = cursor.fetchone() or (0, False, False)
        return Sendable(max(wait or 0, 0), never, live)


def _mac(code: Code) -> str:
    """128 bits, as a UUID's digits: PostgreSQL stores that in 16 bytes."""
    return mac("code", f"{code.challenge}{code.code}".encode()).hex()[:32]

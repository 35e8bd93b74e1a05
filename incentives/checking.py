"""Whether an account is fit to be paid into: its payer is asked, and asked again when somebody has put right what was wrong, or
when its answer is too old to be paid by."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from foundation.pg import array
from foundation.work import Claim, Item, work_off
from incentives import gating, terms
from incentives.gates import Gate
from incentives.linking import ITS_ACCOUNT, ask_payers
from incentives.models import UNPAID, State
from incentives.numbers import open_number
from incentives.payers import PAYERS, check_queue, service
from incentives.payout import Payer, Query, Verdict
from incentives.terms import ITEMS, LAST_ITEM
from registrations import ladder
from registrations.holding import hold
from registrations.stages import Stage

Clock = Callable[[], datetime]

#: A payer is asked again about an account no sooner than this.
PAUSE = timedelta(minutes=10)
#: For what is due within this time, an answer that counts no more is asked for anew.
AHEAD = timedelta(days=3)


def check_batch(code: str, *, payer: Payer, size: int, clock: Clock = timezone.now) -> int:
    """Ask a payer about one batch of accounts; return how many were in hand."""
    return work_off(check_queue(code), size=size, service=service(code), act=lambda claim: _check(claim, code, payer, clock))


def _check(claim: Claim, code: str, payer: Payer, clock: Clock) -> int:
    now, asked = clock(), _unchecked(code, claim.items)
    queries = _queries(code, asked, at=now)

    # Asked outside any transaction: a slow payer must not hold our rows.
    verdicts = payer.check(queries)

    with claim.settling():
        known = {int(query.reference): verdict for query, verdict in zip(queries, verdicts, strict=True)}
        said = {id: verdict for id, verdict in known.items() if verdict is not Verdict.UNKNOWN}
        # It lives from when it was asked for: what falls due until then was in the question.
        settle(said, at=now, asked={account.id: account.revision for account in asked})
        claim.again(claim.of({id for id, verdict in known.items() if verdict is Verdict.UNKNOWN}))
    return len(queries)


class _Account(NamedTuple):
    id: int
    revision: int
    registrant_id: int
    digest: str
    sealed: memoryview


def _unchecked(code: str, items: Sequence[Item]) -> list[_Account]:
    """Those of the accounts that are still linked, and still to be asked about."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, revision, registrant_id, encode(uuid_send(digest), 'hex'), sealed FROM incentives_account
            WHERE id = ANY (%s::bigint[]) AND payer = %s AND ended_at IS NULL AND checked_at IS NULL
            """,
            [array({item.subject for item in items}), code],
        )
        return [_Account._make(row) for row in cursor.fetchall()]


def _queries(code: str, accounts: Sequence[_Account], *, at: datetime) -> list[Query]:
    ids = [account.registrant_id for account in accounts]
    coming, people = _coming(ids, at), ladder.standing(ids, Stage.SELECTED, or_above=True)
    queries = []
    for id, _revision, registrant_id, digest, sealed in accounts:
        if registrant_id in people:
            person = people[registrant_id].open()
            number = open_number(sealed, payer=code, registrant_id=registrant_id, digest=digest)
            queries.append(Query(str(id), number, person.nik, person.phone, coming[registrant_id]))
    return queries


def _coming(registrant_ids: Sequence[int], at: datetime) -> dict[int, int]:
    """Rupiah that may come to these people while an answer of this instant counts: so much an account must hold."""
    until = at + terms.of(at).check_lives
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT person.id, person.training_completed_at, person.incentive_received_at, own.items, own.rupiah
            FROM registrations_registrant person CROSS JOIN LATERAL (
                SELECT array_agg(mod(id, {ITEMS})) AS items,
                       coalesce(sum(amount) FILTER (WHERE due_at < %s AND state <> {State.PAID}), 0)::bigint AS rupiah
                FROM incentives_obligation WHERE id BETWEEN person.id * {ITEMS} + 1 AND person.id * {ITEMS} + {LAST_ITEM}
            ) AS own
            WHERE person.id = ANY (%s::bigint[])
            """,
            [until, array(registrant_ids)],
        )
        rows = cursor.fetchall()
    coming = {}
    for id, completed_at, first_paid_at, items, rupiah in rows:
        # Who has completed nothing may do so at once, and who has received nothing be paid at once.
        rules, opened = terms.of(completed_at or at), items or []
        months = 0 if opened else rules.months_before(until, completed_at or at)
        surveys = rules.surveys_before(until, first_paid_at or at)
        unanswered = sum(terms.survey_item(survey) not in opened for survey in surveys)
        # Where nothing comes any more, a month's may come back.
        coming[id] = rupiah + months * rules.monthly + unanswered * rules.survey or rules.monthly
    return coming


def settle(verdicts: Mapping[int, Verdict], *, at: datetime, asked: Mapping[int, int]) -> set[int]:
    """Write down what payers have said of these accounts, as far as they are linked; return those. In a transaction.

    `asked`: the revision that each verdict is about. Of an account that is being asked about anew, as when the phone was changed
    meanwhile, it says nothing.
    """
    if not verdicts:
        return set()
    with connection.cursor() as cursor:
        cursor.execute("SELECT registrant_id FROM incentives_account WHERE id = ANY (%s::bigint[])", [array(verdicts)])
        held = hold(id for (id,) in cursor.fetchall())
        cursor.execute(
            """
            UPDATE incentives_account account SET checked_at = %s, gate = said.gate
            FROM unnest(%s::bigint[], %s::smallint[], %s::smallint[]) AS said (id, gate, revision)
            WHERE account.id = said.id AND account.revision = said.revision AND account.ended_at IS NULL RETURNING account.id
            """,
            [
                at,
                array(verdicts),
                array(verdict.gate for verdict in verdicts.values()),
                array(asked[id] for id in verdicts),
            ],
        )
        settled = {id for (id,) in cursor.fetchall()}
    gating.write(gating.gates_of(held), held, at=at)
    return settled


class Again(Enum):
    """What asking for another look came to."""

    ASKED = "asked"
    #: It is being asked about, or it is fit.
    NEEDLESS = "needless"
    #: Its payer was asked less than ten minutes ago.
    TOO_SOON = "too soon"
    NO_ACCOUNT = "no account"


def again(registrant_ids: Sequence[int], *, at: datetime) -> list[Again]:
    """These people say that their account is in order now: have their payers asked again; one outcome each, in order."""
    with transaction.atomic(), connection.cursor() as cursor:
        held = hold(registrant_ids)
        cursor.execute(
            """
            SELECT registrant_id, id, payer, gate, checked_at FROM incentives_account
            WHERE registrant_id = ANY (%s::bigint[]) AND ended_at IS NULL
            """,
            [array(registrant_ids)],
        )
        accounts = {row[0]: row[1:] for row in cursor.fetchall()}
        outcomes = {id: _again(accounts[id][2:], at) if id in accounts else Again.NO_ACCOUNT for id in registrant_ids}
        asked = [accounts[id] for id, outcome in outcomes.items() if outcome is Again.ASKED]
        reopen([(payer, id) for id, payer, *_ in asked])
        gating.write(gating.gates_of(held), held, at=at)
    return [outcomes[id] for id in registrant_ids]


def _again(account: tuple[int, datetime | None], at: datetime) -> Again:
    gate, checked_at = account
    if gate == Gate.NONE or checked_at is None:
        return Again.NEEDLESS
    return Again.TOO_SOON if at < checked_at + PAUSE else Again.ASKED


def reopen(accounts: Sequence[tuple[str, int]]) -> None:
    """Nothing is known of these accounts any more, pairs of payer and id, of persons in hand: their payers are asked."""
    if not accounts:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE incentives_account SET checked_at = NULL, gate = 0, revision = revision + 1
            WHERE id = ANY (%s::bigint[]) AND ended_at IS NULL RETURNING payer, id
            """,
            [array(id for _, id in accounts)],
        )
        ask_payers(cursor.fetchall())


def counts_since(at: datetime) -> datetime:
    """Later than this must a payer have said that an account is fit, for somebody to be paid into it at this instant."""
    return at - terms.of(at).check_lives


def recheck(*, at: datetime, size: int) -> int:
    """Have payers asked again about fit accounts of which they have said nothing for too long, and into which something is to be
    paid soon; return how many were looked at. Each run is one transaction: run it until 0.

    While a payer is asked, nothing is paid; no gate is written, for none was shut.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT account.registrant_id, account.id FROM incentives_obligation obligation {ITS_ACCOUNT}
            WHERE obligation.state IN ({", ".join(str(state.value) for state in UNPAID)}) AND obligation.gate = 0
              AND obligation.batch_id IS NULL AND obligation.due_at <= %s
              AND account.gate = 0 AND account.checked_at <= %s
            LIMIT %s
            """,
            [at + AHEAD, counts_since(at), size],
        )
        found = dict(cursor.fetchall())
        hold(found)
        cursor.execute(
            # Looked at once more, now that nobody else can ask.
            """
            SELECT payer, id FROM incentives_account
            WHERE id = ANY (%s::bigint[]) AND ended_at IS NULL AND gate = 0 AND checked_at <= %s
            """,
            [array(found.values()), counts_since(at)],
        )
        reopen(cursor.fetchall())
    return len(found)


class Told(NamedTuple):
    """A payer says of its own accord how an account is; `reference`: as it was asked."""

    reference: str
    verdict: Verdict


class Heard(Enum):
    NOTED = "noted"
    #: Not of this payer, or not linked any more.
    UNKNOWN = "unknown"


def told(said: Sequence[Told], *, payer: str, at: datetime) -> list[Heard]:
    """Write down what a payer tells of its accounts; one outcome each, in order. Of one told twice, the last word counts."""
    if payer not in PAYERS:
        return [Heard.UNKNOWN] * len(said)
    ids = [int(entry.reference) if _is_number(entry.reference) else 0 for entry in said]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, revision FROM incentives_account WHERE id = ANY (%s::bigint[]) AND payer = %s AND ended_at IS NULL",
            [array(ids), payer],
        )
        theirs: dict[int, int] = dict(cursor.fetchall())
        verdicts = {id: entry.verdict for id, entry in zip(ids, said, strict=True) if id in theirs}
        settled = settle(verdicts, at=at, asked=theirs)
    return [Heard.NOTED if id in settled else Heard.UNKNOWN for id in ids]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18

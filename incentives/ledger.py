"""The books of the incentives: obligations, rupiah and people by state and by gate; exact, and in a millisecond.

The database writes them by triggers (`migrations/0002_books.py`): raw movements, which are folded into some fifty cells, and a journal
in double entry that nothing changes. `recount` holds both against what is owed, row by row.
"""

from typing import NamedTuple

from django.db import connection, transaction

from incentives.gates import Gate
from incentives.models import State
from incentives.terms import ITEMS

FOLD_LOCK = 0x424F4F4B  # "BOOK"

#: In the books: people behind any gate, and people in any state.
ANY_GATE, ANY_STATE = 1, 0


class Sum(NamedTuple):
    """What stands in one state behind one gate."""

    obligations: int
    rupiah: int


class Books(NamedTuple):
    by_state_and_gate: dict[tuple[State, Gate], Sum]
    #: Each person once, however many obligations are in the state, or behind the gate.
    people_by_state: dict[State, int]
    people_by_gate: dict[Gate, int]

    @property
    def rupiah(self) -> int:
        """All that is or was owed: each rupiah is in exactly one state."""
        return sum(sum.rupiah for sum in self.by_state_and_gate.values())

    def of(self, state: State) -> Sum:
        found = [sum for (of, _), sum in self.by_state_and_gate.items() if of is state]
        return Sum(sum(each.obligations for each in found), sum(each.rupiah for each in found))

    def behind(self, gate: Gate) -> Sum:
        found = [sum for (_, of), sum in self.by_state_and_gate.items() if of is gate]
        return Sum(sum(each.obligations for each in found), sum(each.rupiah for each in found))


_ENTRIES = """
    SELECT state, gate, sum(obligations)::bigint AS obligations, sum(rupiah)::bigint AS rupiah, sum(people)::bigint AS people
    FROM (
        SELECT state, gate, obligations, rupiah, people FROM incentives_cell
        UNION ALL SELECT state, gate, obligations, rupiah, people FROM incentives_movement
    ) AS entries
    GROUP BY 1, 2 HAVING (sum(obligations), sum(rupiah), sum(people)) IS DISTINCT FROM (0, 0, 0)
"""


def read() -> Books:
    """The books, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_ENTRIES)
        rows = cursor.fetchall()
    return Books(
        {
            (State(state), Gate(gate)): Sum(obligations, rupiah)
            for state, gate, obligations, rupiah, _ in rows
            if state != ANY_STATE and gate != ANY_GATE
        },
        {State(state): people for state, gate, _, _, people in rows if gate == ANY_GATE},
        {Gate(gate): people for state, gate, _, _, people in rows if state == ANY_STATE},
    )


def fold() -> int:
    """Fold the raw movements into cells; return how many there were. Harmless to call at any time, from anywhere."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [FOLD_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(
            """
            WITH raw AS (
                DELETE FROM incentives_movement RETURNING *
            ), folded AS (
                INSERT INTO incentives_cell AS cell (state, gate, obligations, rupiah, people)
                SELECT state, gate, sum(obligations), sum(rupiah), sum(people) FROM raw GROUP BY 1, 2
                ON CONFLICT (state, gate) DO UPDATE SET
                    obligations = cell.obligations + excluded.obligations,
                    rupiah = cell.rupiah + excluded.rupiah,
                    people = cell.people + excluded.people
            )
            SELECT count(*) FROM raw
            """
        )
        return int(cursor.fetchone()[0])


class Difference(NamedTuple):
    """Where two books disagree: `books` with what is owed, `journal` with what is owed, or an obligation with its payouts."""

    what: str
    state: int
    gate: int
    here: int
    there: int


_RECOUNT = f"""
    WITH books AS ({_ENTRIES}), rows AS (
        SELECT state, gate, count(*) AS obligations, sum(amount)::bigint AS rupiah, 0 AS people
        FROM incentives_obligation GROUP BY 1, 2
        UNION ALL
        SELECT state, {ANY_GATE}, 0, 0, count(DISTINCT id / {ITEMS}) FROM incentives_obligation GROUP BY state
        UNION ALL
        SELECT {ANY_STATE}, gate, 0, 0, count(DISTINCT id / {ITEMS}) FROM incentives_obligation WHERE gate <> 0 GROUP BY gate
    ), both_sides AS (
        SELECT state, gate, coalesce(books.obligations, 0) AS book_obligations, coalesce(rows.obligations, 0) AS obligations,
               coalesce(books.rupiah, 0) AS book_rupiah, coalesce(rows.rupiah, 0) AS rupiah,
               coalesce(books.people, 0) AS book_people, coalesce(rows.people, 0) AS people
        FROM books FULL JOIN rows USING (state, gate)
    ), posted AS (
        SELECT state, gate, sum(rupiah)::bigint AS rupiah FROM (
            SELECT to_state AS state, to_gate AS gate, rupiah::bigint FROM incentives_journal
            UNION ALL SELECT from_state, from_gate, -rupiah::bigint FROM incentives_journal WHERE from_state <> 0
        ) AS legs GROUP BY 1, 2
    ), attempts AS (
        SELECT obligation.id, obligation.state, obligation.amount, count(payout.attempt) AS attempts, obligation.attempt,
               max(payout.attempt * 16 + payout.state) FILTER (WHERE payout.state < 11) % 16 AS sent,
               count(*) FILTER (WHERE payout.state IN (11, 12)) AS waiting,
               count(*) FILTER (WHERE payout.state = {State.PAID}) AS paid,
               count(*) FILTER (WHERE payout.amount <> obligation.amount) AS other_amounts
        FROM incentives_obligation obligation LEFT JOIN incentives_payout payout ON payout.obligation_id = obligation.id
        WHERE obligation.attempt > 0 GROUP BY obligation.id
    )
    SELECT 'obligations', state, gate, book_obligations, obligations FROM both_sides WHERE book_obligations <> obligations
    UNION ALL
    SELECT 'rupiah', state, gate, book_rupiah, rupiah FROM both_sides WHERE book_rupiah <> rupiah
    UNION ALL
    SELECT 'people', state, gate, book_people, people FROM both_sides WHERE book_people <> people
    UNION ALL
    SELECT 'journal', state, gate, coalesce(posted.rupiah, 0), coalesce(owed.rupiah, 0)
    FROM posted FULL JOIN (SELECT * FROM rows WHERE obligations > 0) AS owed USING (state, gate)
    WHERE coalesce(posted.rupiah, 0) <> coalesce(owed.rupiah, 0)
    UNION ALL
    -- An obligation is where its last attempt is that was sent, also while the next one waits or when that was taken back.
    SELECT 'payouts', state, 0, count(*), 0 FROM attempts
    WHERE attempts <> attempt OR other_amounts > 0 OR paid <> (state = {State.PAID})::int
       OR coalesce(sent, {State.OPEN}) <> state OR waiting > (state IN ({State.OPEN}, {State.REVERSED}, {State.FAILED}))::int
    GROUP BY state
    ORDER BY 1, 2, 3 LIMIT 1000
"""


def recount() -> list[Difference]:
    """Count everything anew from what is owed and hold it against books, journal and payouts: none, if all is well.

    One statement is one snapshot: it is consistent while others write.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RECOUNT)
        return [Difference._make(row) for row in cursor.fetchall()]

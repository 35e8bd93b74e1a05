"""Changing the account or the phone: with a code to the phone of before, or, when that is lost, after a time in which to object.

What a phone or a code proves is found out above us: a `proof` is called in the transaction, before the person is held, and says
whether it was right. So is what a code to a lost phone is worth: nothing, once another phone takes its place (`void`). Payouts that
are in a batch keep their account.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from enum import Enum
from typing import NamedTuple

import orjson
from django.db import connection, transaction

from foundation import allowance
from foundation.sealing import seal, unseal
from incentives import checking, gating, linking, notices, terms
from incentives.letters import Kind
from incentives.linking import Link
from incentives.models import Account, AccountChange, ChangeTries
from incentives.numbers import digest_of
from incentives.payers import PAYERS, tidy
from registrations import ladder
from registrations.holding import hold
from registrations.ladder import Standing
from registrations.models import PhoneOwner
from registrations.ownership import own, owner_of
from registrations.person import Person, phone_digest
from registrations.stages import Stage

Proof = Callable[[], bool]
Void = Callable[[Sequence[int]], None]

#: So many changes take effect in one transaction.
BATCH = 200


class Outcome(Enum):
    CHANGED = "changed"
    #: It will be, when the waiting time is over.
    ASKED = "asked"
    #: It is so already.
    ALREADY = "already"
    NOT_PROVEN = "not proven"
    #: Somebody else's.
    TAKEN = "taken"
    NOT_A_RECIPIENT = "not a recipient"
    UNKNOWN_PAYER = "unknown payer"
    BAD_NUMBER = "bad number"
    #: Another change waits: it takes effect, or is stopped, first.
    WAITS = "waits"
    #: Tried too often: later again.
    TOO_OFTEN = "too often"


_AS_LINKED = {
    linking.Outcome.LINKED: Outcome.CHANGED,
    linking.Outcome.ALREADY: Outcome.ALREADY,
    linking.Outcome.TAKEN: Outcome.TAKEN,
    linking.Outcome.NOT_A_RECIPIENT: Outcome.NOT_A_RECIPIENT,
    linking.Outcome.UNKNOWN_PAYER: Outcome.UNKNOWN_PAYER,
    linking.Outcome.BAD_NUMBER: Outcome.BAD_NUMBER,
}


def change(registrant_id: int, payer: str, number: str, *, proof: Proof, at: datetime) -> Outcome:
    """Put another account in the place of somebody's present one; `proof`: a fresh code to their phone was right."""
    with transaction.atomic():
        if not proof():
            return Outcome.NOT_PROVEN
        standing = _held(registrant_id)
        if standing is None:
            return Outcome.NOT_A_RECIPIENT
        outcome = _replace(Link(registrant_id, payer, number, at))
        if outcome is Outcome.CHANGED:
            notices.tell([(Kind.ACCOUNT_CHANGED, standing.open(), 0)], by_sms=True)
    return outcome


def _held(registrant_id: int) -> Standing | None:
    hold([registrant_id])
    return ladder.standing([registrant_id], Stage.SELECTED, or_above=True).get(registrant_id)


def _replace(wanted: Link) -> Outcome:
    """End the present account and link this one, of somebody in hand; nothing at all when it cannot be linked."""
    live = Account.objects.filter(registrant_id=wanted.registrant_id, ended_at=None)
    if live.filter(digest=digest_of(wanted.payer, tidy(wanted.number))).exists():
        return Outcome.ALREADY
    with transaction.atomic():
        live.update(ended_at=wanted.at)
        [outcome] = linking.link([wanted])
        if outcome is not linking.Outcome.LINKED:
            transaction.set_rollback(True)
    return _AS_LINKED[outcome]


def change_phone(registrant_id: int, phone: str, *, proof: Proof, at: datetime) -> Outcome:
    """Put another phone (E.164) in the place of somebody's present one; `proof`: codes to the present and to the new one were right."""
    with transaction.atomic():
        if not proof():
            return Outcome.NOT_PROVEN
        standing = _held(registrant_id)
        if standing is None:
            return Outcome.NOT_A_RECIPIENT
        before = standing.open()
        outcome = _change_phone(standing, before, phone, at=at)
        if outcome is Outcome.CHANGED:
            # To the old number, too.
            notices.tell([(Kind.PHONE_CHANGED, before, 0)], by_sms=True)
    return outcome


def _change_phone(standing: Standing, before: Person, phone: str, *, at: datetime) -> Outcome:
    if before.phone == phone:
        return Outcome.ALREADY
    if not own(PhoneOwner, [(standing.id, phone_digest(phone))]):
        return Outcome.TAKEN
    PhoneOwner.objects.filter(registrant_id=standing.id).exclude(digest=phone_digest(phone)).delete()
    ladder.rewrite(standing, before._replace(phone=phone))
    # An e-wallet must be registered with the phone that we know.
    wallets = [code for code, form in PAYERS.items() if form.is_wallet]
    live = Account.objects.filter(registrant_id=standing.id, ended_at=None, payer__in=wallets)
    checking.reopen(list(live.values_list("payer", "pk")))
    held = hold([standing.id])
    gating.write(gating.gates_of(held), held, at=at)
    return Outcome.CHANGED


class Identity(NamedTuple):
    """What somebody without their phone says of themselves: exactly what the civil registry has confirmed."""

    nik: str
    kk: str
    birth_date: date

    def __repr__(self) -> str:
        return "Identity()"  # none of it: this ends up in logs

    def is_of(self, person: Person) -> bool:
        return self == (person.nik, person.kk, person.birth_date)


class Wanted(NamedTuple):
    """The phone that takes the old one's place, and perhaps an account."""

    phone: str
    payer: str = ""
    number: str = ""

    def __repr__(self) -> str:
        return "Wanted()"


def ask(registrant_id: int, wanted: Wanted, *, identity: Identity, proof: Proof, at: datetime) -> Outcome:
    """Ask for a change without the phone of before; `proof`: a code to the new phone was right.

    It takes effect after a waiting time. All contacts of before are told now, and whoever has one of them can `cancel` it.
    """
    with transaction.atomic():
        seen = ladder.standing([registrant_id], Stage.SELECTED, or_above=True).get(registrant_id)
        if seen is None:
            return Outcome.NOT_A_RECIPIENT
        if not _may_try(registrant_id, at):
            return Outcome.TOO_OFTEN
        # A wrong guess counts, and is not told apart from a wrong code; it does not use the code up.
        if not identity.is_of(seen.open()) or not proof():
            return Outcome.NOT_PROVEN
        standing = _held(registrant_id)
        if standing is None:
            return Outcome.NOT_A_RECIPIENT
        person = standing.open()
        problem = _problem(registrant_id, wanted, person)
        if problem:
            return problem
        AccountChange.objects.create(
            registrant_id=registrant_id,
            asked_at=at,
            takes_effect_at=at + terms.of(at).change_waits,
            sealed=seal(orjson.dumps(tuple(wanted)), _place(registrant_id)),
        )
        notices.tell([(Kind.CHANGE_ASKED, person, 0)], by_sms=True)
    return Outcome.ASKED


def _problem(registrant_id: int, wanted: Wanted, person: Person) -> Outcome | None:
    if AccountChange.objects.filter(registrant_id=registrant_id, done_at=None, cancelled_at=None).exists():
        return Outcome.WAITS
    if wanted.phone == person.phone and not wanted.payer:
        return Outcome.ALREADY
    if owner_of(PhoneOwner, phone_digest(wanted.phone)) not in (None, registrant_id):
        return Outcome.TAKEN
    if not wanted.payer:
        return None
    if wanted.payer not in PAYERS:
        return Outcome.UNKNOWN_PAYER
    number = tidy(wanted.number)
    if not PAYERS[wanted.payer].well_formed(number):
        return Outcome.BAD_NUMBER
    others = Account.objects.filter(digest=digest_of(wanted.payer, number), ended_at=None)
    return Outcome.TAKEN if others.exclude(registrant_id=registrant_id).exists() else None


def _may_try(registrant_id: int, at: datetime) -> bool:
    # Held, so that two who guess at once are counted as two. Only who tries holds it, and before all else.
    tries, _made = ChangeTries.objects.select_for_update().get_or_create(pk=registrant_id)
    before = allowance.recent([datetime.fromisoformat(one) for one in tries.at], at)
    if allowance.wait(before, at):
        return False
    tries.at = [one.isoformat() for one in [*before, at]]
    tries.save(update_fields=["at"])
    return True


def _place(registrant_id: int) -> bytes:
    return b"account change:%d" % registrant_id


def cancel(registrant_id: int, *, at: datetime) -> bool:
    """Somebody with the phone or the mailbox of before objects: the change that waits does not take effect; whether one waited."""
    waiting = AccountChange.objects.filter(registrant_id=registrant_id, done_at=None, cancelled_at=None)
    return bool(waiting.update(cancelled_at=at))


def take_effect(*, at: datetime, void: Void, size: int = BATCH) -> int:
    """Make changes whose waiting time is over; return how many were looked at. Each run is one transaction: run it until 0.

    `void` is told first whose phones are about to change: from then on their codes are worth nothing, on whatever phone they are or
    on their way to it, and until the transaction ends these people get no new ones.
    """
    with transaction.atomic():
        due = _due(at, size)
        # The codes before the persons: whoever types one at this moment takes the two in the same order.
        void([registrant_id for _id, registrant_id, _sealed in due])
        for id, registrant_id, sealed in due:
            wanted = Wanted._make(orjson.loads(unseal(sealed, _place(registrant_id))))
            made = _make(registrant_id, wanted, at)
            AccountChange.objects.filter(pk=id).update(**{"done_at" if made else "cancelled_at": at})
    return len(due)


def _due(at: datetime, size: int) -> Sequence[tuple[int, int, memoryview]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, registrant_id, sealed FROM incentives_accountchange
            WHERE takes_effect_at <= %s AND done_at IS NULL AND cancelled_at IS NULL
            ORDER BY registrant_id LIMIT %s FOR UPDATE SKIP LOCKED
            """,
            [at, size],
        )
        rows: list[tuple[int, int, memoryview]] = cursor.fetchall()
        return rows


def _make(registrant_id: int, wanted: Wanted, at: datetime) -> bool:
    """Both phone and account, or neither: one of them may have become somebody else's meanwhile."""
    standing = _held(registrant_id)
    if standing is None:
        return False
    before = standing.open()
    with transaction.atomic():
        outcome = _change_phone(standing, before, wanted.phone, at=at)
        if outcome in (Outcome.CHANGED, Outcome.ALREADY) and wanted.payer:
            outcome = _replace(Link(registrant_id, wanted.payer, wanted.number, at))
        made = outcome in (Outcome.CHANGED, Outcome.ALREADY)
        if not made:
            transaction.set_rollback(True)
    if made:
        after = before._replace(phone=wanted.phone)
        notices.tell(
            [(Kind.CHANGE_DONE, person, 0) for person in {before.phone: before, after.phone: after}.values()], by_sms=True
        )
    return made

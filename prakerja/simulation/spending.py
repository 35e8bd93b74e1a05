"""What recipients do after the decree: they buy and complete trainings, link accounts and are paid, until the briefing.

As in `drive`, the state of a run is in the database, all of it as work. Who has something to do waits in parcels, one queue for
each of `recipients.ERAS`; and in the queue `office` stands the one step of `steps` that comes next. It is taken when the work of
its own queues is done, whoever does it, and puts the following one in its place. So any number of processes may go on with a run,
and each may be killed: a parcel's people have done everything or nothing, and a step that is taken twice does nothing twice.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import cached_property
from importlib import import_module
from itertools import groupby
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction

from foundation.pg import array
from foundation.processes import beside, for_batches
from foundation.work import Claim, enqueue, outstanding, work_off
from incentives import batching, checking, gating, ledger, linking, obligations, sending, surveys
from incentives.models import Batch
from incentives.payers import PAYERS, queue
from incentives.payout import MockPayer, Order, Outcome
from incentives.terms import ITEMS
from partners.models import Partner
from prakerja.models import Run
from prakerja.simulation import calls
from prakerja.simulation.calls import Astray
from prakerja.simulation.population import Population
from prakerja.simulation.programme import END, wib
from prakerja.simulation.recipients import (
    EARLY,
    ERAS,
    ONE_BY_API,
    PAYDAYS,
    Course,
    Life,
    RecipientPlan,
    Recipients,
    deadline,
)
from registrations import funnel
from registrations.models import Wave
from registrations.stages import Stage
from trainings import cancelling, catalogue, completing, purchasing, redeeming, reviewing
from waves import revocation
from waves.models import Decree
from waves.screening import NotNow

#: So many recipients wait in a parcel; several parcels, so many people at most, act at once; and when few are left, a share of
#: them, so that every process has something to do.
PARCEL, MOST, SHARE = 1000, 5000, 6
#: The same where partners call: one after the other, over HTTP.
CALLING, MOST_CALLING = 10, 150
#: So many payouts are sent at a time.
SENT = 5000
#: The funnel's ledger is folded every so many seconds, and progress is told.
TICK = 5.0
#: Who paid from the start; the others joined the programme later.
PAYING = ("bni", "ovo", "linkaja", "gopay")
MAKER, CHECKER = "simulasi-pembuat", "simulasi-pemeriksa"
SIGNER = "Direktur Eksekutif (simulasi)"

# Steps -----------------------------------------------------------------------------------------------------------------


class Deed(Enum):
    #: Everybody of an era acts.
    ACT = auto()
    #: Partners of some tell by the API what these buy and complete.
    CALL = auto()
    #: What follows for these.
    FOLLOW = auto()
    ANSWER = auto()
    #: One payer's payouts are put together and, but for the last ones, approved.
    PROPOSE = auto()
    SEND = auto()
    #: One wave's time to buy is over.
    REVOKE = auto()
    DECREE = auto()
    #: Those who have called the API call it no more.
    LEAVE = auto()


class Step(NamedTuple):
    deed: Deed
    era: int
    payer: str = ""
    wave: int = 0
    survey: int = 0

    @property
    def queues(self) -> list[str]:
        """What must be empty before it is taken."""
        match self.deed:
            case Deed.ACT:
                return [waiting(self.era, by_api=False)]
            case Deed.CALL:
                return [waiting(self.era, by_api=True)]
            case Deed.SEND:
                return [queue(payer) for payer in PAYING]
        return []


def waiting(era: int, *, by_api: bool) -> str:
    """Where those wait who do their last thing in this era."""
    return f"era_{era}_api" if by_api else f"era_{era}"


def called(era: int) -> str:
    """Where those wait of whom partners have told."""
    return f"era_{era}_called"


class Survey(NamedTuple):
    """One that is answered by one in so many of those whose first incentive was paid in these days. An assumption."""

    number: int
    paid_from: datetime
    paid_until: datetime
    at: datetime
    one_in: int


#: By the payday before which they are answered.
SURVEYS = {
    wib(7, 13, 10): Survey(1, wib(5, 1), wib(6, 7), wib(7, 8, 20), 2),
    wib(8, 10, 10): Survey(2, wib(5, 1), wib(6, 7), wib(8, 5, 20), 3),
}


def steps() -> Iterator[Step]:
    for era, at in enumerate(ERAS):
        yield Step(Deed.ACT, era)
        yield Step(Deed.CALL, era)
        yield Step(Deed.FOLLOW, era)
        if at in SURVEYS:
            yield Step(Deed.ANSWER, era)
        if at < END:
            for payer in PAYING:
                yield Step(Deed.PROPOSE, era, payer)
        if at in PAYDAYS:
            yield Step(Deed.SEND, era)
    for deed in (Deed.REVOKE, Deed.DECREE):
        for wave in EARLY:
            yield Step(deed, len(ERAS) - 1, wave=wave)
    yield Step(Deed.LEAVE, len(ERAS) - 1)


STEPS = tuple(steps())


# The run ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spending:
    """One run's recipients, and how they are sent through."""

    run: Run
    population: Population
    recipients: Recipients

    @property
    def goal(self) -> int:
        """How many climbs there are in all."""
        return sum(plan.bought + plan.completed + plan.received for plan in self.recipients.plans)

    @staticmethod
    def done() -> int:
        """How many of these have happened."""
        return sum(rung.people for rung in funnel.read().rungs if rung.stage > Stage.SELECTED)

    def drive(self, *, workers: int, tick: Callable[[], None]) -> None:
        """Go on until nothing is left to do, so many processes at once; `tick` is called every five seconds."""
        begin(self)
        import_module(settings.ROOT_URLCONF)  # all of them serve the site: what they share is loaded before
        with beside(_help, self, processes=workers - 1):
            ticked = time.monotonic()
            for _ in self.work():
                if time.monotonic() - ticked > TICK:
                    _fold()
                    tick()
                    ticked = time.monotonic()
        _fold()
        tick()

    def work(self) -> Iterator[None]:
        """Work parcel by parcel, pausing after each, until nothing is left to do."""
        for_batches()
        with calls.served() as port:
            partners = calls.ByApi(port)
            while (step := current()) is not None:
                if not self._go_on(step, partners):
                    time.sleep(0.02)
                yield

    def _go_on(self, step: Step, partners: calls.ByApi) -> bool:
        """Do something about this step, if there is anything left to take."""
        match step.deed:
            case Deed.ACT:
                [acting] = step.queues
                found = work_off(acting, size=_share(acting, PARCEL, MOST), service=None, act=self._act)
            case Deed.CALL:
                [calling] = step.queues
                size = _share(calling, CALLING, MOST_CALLING)
                found = work_off(calling, size=size, service=None, act=lambda claim: self._call(claim, step.era, partners))
            case Deed.SEND:
                at = ERAS[step.era]
                found = sum(
                    sending.send_batch(code, payer=Payer(code, partners, at), size=SENT, clock=_stopped(at))
                    for code in PAYING
                )
            case _:
                found = 0
        return bool(found) or (
            not outstanding(step.queues) and bool(work_off("office", size=1, service=None, act=self._take_step))
        )

    def _take_step(self, claim: Claim) -> int:
        [item] = claim.items
        step = STEPS[item.subject]
        # Another process may have taken the step before, and this one's work is not done yet.
        over = not outstanding(step.queues) and self._do(step)
        following = item.subject + over
        with claim.settling():
            if following < len(STEPS):
                enqueue("office", [following], hint=False)
        return 1

    def _do(self, step: Step) -> bool:
        """What the office does; whether that is all."""
        match step.deed:
            case Deed.FOLLOW:
                # By one process: others would find in the queues what is these people's.
                while work_off(called(step.era), size=MOST, service=None, act=lambda claim: self._follow(claim, step.era)):
                    pass
            case Deed.ANSWER:
                _answer(SURVEYS[ERAS[step.era]])
            case Deed.PROPOSE:
                return _propose(step.payer, at=ERAS[step.era], approve=step.era < len(PAYDAYS))
            case Deed.REVOKE:
                for decree in Decree.objects.filter(draw__wave=step.wave, kind=Decree.Kind.RECIPIENTS):
                    while revocation.lapse(decree, buy_by=deadline(step.wave)):
                        pass
            case Deed.LEAVE:
                calls.dismiss()
            case Deed.DECREE:
                for wave in Wave.objects.filter(pk=step.wave):
                    with suppress(NotNow):  # nobody is to be named, or this step was taken before
                        revocation.issue(wave, by=SIGNER, at=END - timedelta(hours=6))
        return True

    # People ------------------------------------------------------------------------------------------------------------

    def _act(self, claim: Claim) -> int:
        """Let a parcel of people do all that they do, in one transaction."""
        people = _People([item.subject for item in claim.items], self.recipients.lives([item.note for item in claim.items]))
        at = max(people.last_acts())
        with claim.settling():
            # An account that is known beforehand spares whoever is owed something three looks at their gates.
            self._link(people, at)
            self._study(people, now=at, through=DIRECTLY)
            self._become_payable(people, at)
        return len(claim.items)

    def _call(self, claim: Claim, era: int, partners: calls.ByApi) -> int:
        """Have partners tell of a parcel of people; it is harmless when they have before."""
        people = _People([item.subject for item in claim.items], self.recipients.lives([item.note for item in claim.items]))
        self._study(people, now=ERAS[era], through=partners)
        with claim.settling():
            notes = [[life.number, purchase] for life, (purchase, _) in zip(people.lives, people.purchases, strict=True)]
            enqueue(called(era), people.ids, notes=notes, hint=False)
        return len(claim.items)

    def _follow(self, claim: Claim, era: int) -> int:
        """What the people themselves do, of whom partners have told."""
        numbers, purchases = zip(*(item.note for item in claim.items), strict=True)
        people = _People([item.subject for item in claim.items], self.recipients.lives(numbers))
        people.purchases = [(purchase, "") for purchase in purchases]
        with claim.settling():
            self._link(people, ERAS[era])
            self._become_payable(people, ERAS[era])
        return len(claim.items)

    def _study(self, people: "_People", *, now: datetime, through: "Channel") -> None:
        """They buy, redeem, give back and complete."""
        offers = self.offers
        chosen = [offers[life.chance % len(offers)] for life in people.lives]
        for platform, some in _by(range(len(people.ids)), lambda i: chosen[i].platform):
            orders = [
                purchasing.Order(
                    people.ids[i], chosen[i].code, f"SIM-{people.lives[i].number}", _known(people.lives[i].bought_at)
                )
                for i in some
            ]
            for i, bought in zip(some, through.buy(orders, platform), strict=True):
                people.purchases[i] = bought
        for provider, some in _by(range(len(people.ids)), lambda i: chosen[i].provider):
            through.redeem(
                [redeeming.Use(people.purchases[i][1], at) for i in some if (at := people.lives[i].redeemed_at) is not None],
                provider,
            )
            through.complete([people.completion(i) for i in some if people.lives[i].completed_at], provider, now)
        for platform, some in _by(range(len(people.ids)), lambda i: chosen[i].platform):
            through.cancel(
                [
                    cancelling.Cancellation(people.purchases[i][1], at)
                    for i in some
                    if (at := people.lives[i].cancelled_at) is not None
                ],
                platform,
            )

    def _link(self, people: "_People", at: datetime) -> None:
        """They link accounts, and payers say how these are.

        In a transaction, as `_become_payable`: what waits in the queues is theirs, for what is others' is not there yet.
        """
        linking_now = [i for i, life in enumerate(people.lives) if life.linked_at]
        phones = self._phones([people.ids[i] for i in linking_now])
        expect(
            linking.link([people.link(i, phones[people.ids[i]]) for i in linking_now]),
            linking.Outcome.LINKED,
            linking.Outcome.ALREADY,
        )
        for payer in PAYING:
            while checking.check_batch(payer, payer=MockPayer(), size=MOST, clock=_stopped(at)):
                pass

    def _become_payable(self, people: "_People", at: datetime) -> None:
        """They say what they think of it, and what is owed to them is opened, as far as it is."""
        expect(
            reviewing.review([people.opinion(i) for i, life in enumerate(people.lives) if life.reviewed_at]),
            reviewing.Outcome.REVIEWED,
            reviewing.Outcome.ALREADY,
        )
        for look in (gating.refresh_batch, obligations.open_batch):
            while look(size=MOST, clock=_stopped(at)):
                pass

    def _phones(self, ids: Sequence[int]) -> dict[int, str]:
        """These people's numbers, E.164: who they are stands in their reference (`drive.sign_ups`)."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT id, ('x' || right(reference::text, 12))::bit(48)::bigint
                FROM registrations_registrant WHERE id = ANY (%s::bigint[])
                """,
                [array(ids)],
            )
            rows = cursor.fetchall()
        phones = self.population.phones([number for _, number in rows])
        return {id: phone for (id, _), phone in zip(rows, phones, strict=True)}

    @cached_property
    def offers(self) -> list["Offer"]:
        """What can be bought all the time by as many as want to."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT code, platform_id, provider_id FROM trainings_training
                WHERE seats IS NULL AND valid_from <= %s AND valid_until > %s ORDER BY id
                """,
                [PAYDAYS[0] - timedelta(days=20), END],
            )
            return [Offer._make(row) for row in cursor.fetchall()]


class Offer(NamedTuple):
    code: str
    platform: str
    provider: str


@dataclass
class _People:
    """Some who act together, and what they have bought: lists with an entry for each."""

    ids: list[int]
    lives: list[Life]

    def __post_init__(self) -> None:
        #: Id and redeem code.
        self.purchases = [(0, "")] * len(self.ids)

    def last_acts(self) -> Iterator[datetime]:
        for life in self.lives:
            yield max(at for at in life[2:8] if at)

    def completion(self, i: int) -> completing.Completion:
        life = self.lives[i]
        certificate = None
        if life.course is not Course.CERTIFICATE_MISSING:
            number = f"SIM-{life.number}"
            certificate = completing.Certificate(number, hashlib.sha256(number.encode()).digest())
        return completing.Completion(self.purchases[i][1], _known(life.completed_at), life.score, certificate)

    def opinion(self, i: int) -> reviewing.Opinion:
        life = self.lives[i]
        text = WORDS[life.rating][life.chance % len(WORDS[life.rating])]
        return reviewing.Opinion(self.ids[i], self.purchases[i][0], life.rating, text, _known(life.reviewed_at))

    def link(self, i: int, phone: str) -> linking.Link:
        """The account: one of those whose numbers say what is wrong with them (docs/mocks.md), or a good one."""
        life = self.lives[i]
        if (what := _WRONG.get(life.course)) is not None:
            payer = "ovo" if life.payer == "bni" else life.payer
            return linking.Link(self.ids[i], payer, f"0899{what}{life.number:08}", _known(life.linked_at))
        number = f"0{phone[3:]}" if PAYERS[life.payer].is_wallet else f"1{life.number:09}"
        return linking.Link(self.ids[i], life.payer, number, _known(life.linked_at))


#: Two digits of an account's number, by what its payer says of it.
_WRONG = {
    Course.ACCOUNT_OF_ANOTHER: 11,
    Course.ACCOUNT_INACTIVE: 12,
    Course.ACCOUNT_NOT_UPGRADED: 13,
    Course.ACCOUNT_PHONE_DIFFERS: 14,
    Course.ACCOUNT_FULL: 15,
}
#: What people write, by how many stars they give.
WORDS = {
    5: ("Materinya jelas dan langsung bisa dipakai.", "Pengajarnya sabar, contohnya banyak.", "Sangat membantu usaha saya."),
    4: ("Bagus, tetapi videonya agak panjang.", "Jelas, kuisnya perlu ditambah."),
    3: ("Cukup, sebagian sudah saya ketahui.", "Lumayan, suaranya kadang kecil."),
    2: ("Terlalu cepat untuk pemula.",),
    1: ("Tautannya sering tidak bisa dibuka.",),
}


# Through what they go --------------------------------------------------------------------------------------------------


class Channel(Protocol):
    """How partners tell of what recipients do. What has been told before is told again without harm."""

    def buy(self, orders: Sequence[purchasing.Order], platform: str) -> list[tuple[int, str]]:
        """Id and redeem code of each."""
        ...

    def redeem(self, uses: Sequence[redeeming.Use], provider: str) -> None: ...
    def complete(self, completions: Sequence[completing.Completion], provider: str, now: datetime) -> None: ...
    def cancel(self, cancellations: Sequence[cancelling.Cancellation], platform: str) -> None: ...


class Directly:
    """By the functions that the API calls."""

    def buy(self, orders: Sequence[purchasing.Order], platform: str) -> list[tuple[int, str]]:
        results = purchasing.buy(orders, platform=platform)
        expect((result.outcome for result in results), purchasing.Outcome.BOUGHT, purchasing.Outcome.ALREADY)
        return [(result.purchase_id or 0, result.redeem_code) for result in results]

    def redeem(self, uses: Sequence[redeeming.Use], provider: str) -> None:
        expect(redeeming.commit(uses, partner=provider), redeeming.Outcome.COMMITTED, redeeming.Outcome.ALREADY)

    def complete(self, completions: Sequence[completing.Completion], provider: str, now: datetime) -> None:
        outcomes = completing.complete(completions, partner=provider, now=now)
        expect(outcomes, completing.Outcome.COMPLETED, completing.Outcome.ALREADY)

    def cancel(self, cancellations: Sequence[cancelling.Cancellation], platform: str) -> None:
        outcomes = cancelling.cancel(cancellations, platform=platform)
        expect(outcomes, cancelling.Outcome.CANCELLED, cancelling.Outcome.ALREADY)


DIRECTLY = Directly()


class Payer(MockPayer):
    """The mock, which tells of one payout in so many by the API, before it has answered who has sent it."""

    def __init__(self, code: str, partners: calls.ByApi, at: datetime) -> None:
        self._code, self._partners, self._at = code, partners, at

    def _tell(self, orders: Sequence[Order]) -> None:
        self._partners.paid([order.reference for order in orders[::ONE_BY_API]], self._code, self._at)

    def pay(self, orders: Sequence[Order]) -> list[Outcome]:
        self._tell(orders)
        return super().pay(orders)

    def outcomes(self, orders: Sequence[Order]) -> list[Outcome]:
        self._tell(orders)
        return super().outcomes(orders)


def expect(outcomes: Iterable[Enum], *expected: Enum) -> None:
    """Raises `Astray` if any other outcome is among them."""
    if wrong := Counter(outcome.name for outcome in outcomes if outcome not in expected):
        raise Astray(", ".join(f"{count} times {name}" for name, count in wrong.items()))


# The office ------------------------------------------------------------------------------------------------------------


def current() -> Step | None:
    """The step that is to be taken next, or is being taken; None: all is done."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT subjects[1] FROM foundation_work WHERE queue = 'office'")
        found = cursor.fetchone()
    return STEPS[found[0]] if found else None


def begin(spending: Spending) -> None:
    """Let all who have something to do wait for their time, unless they do already. One transaction."""
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=spending.run.pk)
        if run.spending:
            return
        catalogue.load()
        for payer in PAYING:
            Partner.objects.get_or_create(pk=payer, defaults={"name": PAYERS[payer].name, "is_payer": True})
        calls.admit({*PAYING, *(partner for offer in spending.offers for partner in (offer.platform, offer.provider))})
        for name in (MAKER, CHECKER):
            User.objects.get_or_create(username=name, defaults={"is_active": False})
        recipients = spending.recipients
        ids = np.concatenate([np.zeros(0, np.int64), *(_named(plan, run.seed) for plan in recipients.plans)])
        numbers = np.arange(recipients.size)
        eras = np.concatenate(
            [
                np.zeros(0, np.int64),
                *(recipients.eras(block) for block in np.array_split(numbers, recipients.size // 100_000 + 1)),
            ]
        )
        for era in range(len(ERAS)):
            for by_api in (False, True):
                chosen = np.flatnonzero((eras == era) & (recipients.by_api(numbers) == by_api))
                size = CALLING if by_api else PARCEL
                for start in range(0, len(chosen), size):
                    some = chosen[start : start + size]
                    enqueue(waiting(era, by_api=by_api), ids[some].tolist(), notes=numbers[some].tolist(), hint=False)
        enqueue("office", [0], hint=False)
        Run.objects.filter(pk=run.pk).update(spending=True)


def _named(plan: RecipientPlan, seed: int) -> "np.typing.NDArray[np.int64]":
    """Whom the wave's decree names, in the order in which its places are dealt out: what looks like chance."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT recipient.registrant_id FROM waves_recipient recipient
            JOIN waves_decree decree ON decree.id = recipient.decree_id JOIN waves_draw draw ON draw.id = decree.draw_id
            JOIN registrations_registrant registrant ON registrant.id = recipient.registrant_id
            WHERE draw.wave_id = %s AND decree.kind = 'recipients'
            ORDER BY uuid_hash_extended(registrant.reference, %s)
            """,
            [plan.wave, seed],
        )
        found = np.array([id for (id,) in cursor.fetchall()], dtype=np.int64)
    if len(found) != plan.selected:
        raise Astray(f"the decree of wave {plan.wave} names {len(found)} instead of {plan.selected}")
    return found


def _propose(payer: str, *, at: datetime, approve: bool) -> bool:
    """Put together a batch of what is due then; whether that was all. With `approve`, what was proposed then is approved."""
    maker, checker = (User.objects.get(username=name) for name in (MAKER, CHECKER))
    try:
        batch = batching.propose(payer, by=maker, at=at)
    except NotNow:
        batch = None
    if approve:
        for waits in Batch.objects.filter(payer=payer, approved_at=None, withdrawn_at=None, made_at=at):
            batching.approve(waits, by=checker, sha256=bytes(waits.sha256).hex(), at=at)
    return batch is None or batch.payouts < batching.LARGEST


def _answer(survey: Survey) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT registrant.id FROM incentives_obligation obligation
            JOIN registrations_registrant registrant ON registrant.id = obligation.id / {ITEMS}
            WHERE obligation.paid_at >= %s AND obligation.paid_at < %s AND obligation.id %% {ITEMS} = 1
              AND uuid_hash_extended(registrant.reference, %s) %% %s = 0
            ORDER BY 1
            """,
            [survey.paid_from, survey.paid_until, survey.number, survey.one_in],
        )
        ids = [id for (id,) in cursor.fetchall()]
    for start in range(0, len(ids), MOST):
        answers = [surveys.Answer(id, survey.number, survey.at) for id in ids[start : start + MOST]]
        expect(surveys.answer(answers), surveys.Outcome.OPENED, surveys.Outcome.ALREADY)


def _fold() -> None:
    funnel.fold()
    ledger.fold()


# Small things ----------------------------------------------------------------------------------------------------------

T = TypeVar("T")


def _help(spending: Spending) -> None:
    """What a process beside the first one does."""
    for _ in spending.work():
        pass


def _share(queue: str, parcel: int, most: int) -> int:
    """How many of those who wait there are taken in hand at once."""
    return max(parcel, min(most, outstanding([queue]) // SHARE))


def _by(items: Iterable[int], key: Callable[[int], str]) -> Iterator[tuple[str, list[int]]]:
    for name, some in groupby(sorted(items, key=key), key=key):
        yield name, list(some)


def _stopped(at: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: at


def _known(at: datetime | None) -> datetime:
    assert at is not None  # noqa: S101
    return at

"""What recipients do after the decree: they buy and complete trainings, link accounts and are paid, until the briefing.

As in `drive`, the state of a run is in the database, all of it as work. Who has something to do waits in parcels, one queue for
each of `recipients.ERAS`; and in the queue `office` stands the one of `steps.STEPS` that comes next. It is taken when the work of
its own queues is done, whoever does it, and puts the following one in its place. So any number of processes may go on with a run,
and each may be killed: a parcel's people have done everything or nothing, and a step that is taken twice does nothing twice.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module

import numpy as np
from django.conf import settings
from django.db import connection, transaction

from foundation.processes import beside, for_batches
from foundation.work import Claim, enqueue, outstanding, work_off
from incentives import ledger
from incentives.payers import PAYERS
from partners.models import Partner
from prakerja.models import Run
from prakerja.simulation import calls, office
from prakerja.simulation.acting import MOST, Acting
from prakerja.simulation.calls import Astray
from prakerja.simulation.population import Population
from prakerja.simulation.programme import END
from prakerja.simulation.recipients import ERAS, RecipientPlan, Recipients
from prakerja.simulation.steps import PAYING, STEPS, Deed, Step, called, proposing, waiting
from registrations import funnel
from registrations.stages import Stage
from trainings import catalogue

#: So many recipients wait in a parcel; several parcels, `MOST` people at most, act at once; and when few are left, a share of
#: them, so that every process has something to do.
PARCEL, SHARE = 1000, 6
#: The same where partners call: one after the other, over HTTP.
CALLING, MOST_CALLING = 10, 150
#: The funnel's ledger is folded every so many seconds, and progress is told.
TICK = 5.0


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
        """Go on until nothing is left to do, so many processes at once.

        `tick` is called after the first parcel, and then every five seconds.
        """
        begin(self)
        import_module(settings.ROOT_URLCONF)  # all of them serve the site: what they share is loaded before
        with beside(_help, self, processes=workers - 1):
            ticked = -math.inf
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
                found = work_off(acting, size=_share(acting, PARCEL, MOST), service=None, act=self.acting.act)
            case Deed.CALL:
                [calling] = step.queues
                size = _share(calling, CALLING, MOST_CALLING)
                found = work_off(
                    calling, size=size, service=None, act=lambda claim: self.acting.call(claim, step.era, partners)
                )
            case Deed.PROPOSE:
                [payers] = step.queues
                found = work_off(payers, size=1, service=None, act=lambda claim: _propose(claim, step.era))
            case Deed.SEND:
                found = office.send(partners, ERAS[step.era])
            case _:
                found = 0
        return bool(found) or (
            not outstanding(step.queues)
            and bool(work_off("office", size=1, service=None, act=lambda claim: self._take_step(claim, partners)))
        )

    def _take_step(self, claim: Claim, partners: calls.ByApi) -> int:
        [item] = claim.items
        step = STEPS[item.subject]
        # Another process may have taken the step before, and this one's work is not done yet.
        over = not outstanding(step.queues) and self._do(step, partners)
        following = item.subject + over
        with claim.settling():
            if following < len(STEPS):
                enqueue("office", [following], hint=False)
        return 1

    def _do(self, step: Step, partners: calls.ByApi) -> bool:
        """Whether all of the step is done by this."""
        if step.deed is not Deed.FOLLOW:
            return office.do(step)
        # By one process: others would find in the queues what is these people's.
        follow = self.acting.follow
        while work_off(called(step.era), size=MOST, service=None, act=lambda claim: follow(claim, step.era, partners)):
            pass
        return True

    @cached_property
    def acting(self) -> Acting:
        return Acting(self.population, self.recipients)


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
        calls.admit(
            {*PAYING, *(partner for offer in spending.acting.offers for partner in (offer.platform, offer.provider))}
        )
        office.appoint()
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
                # Who buys the same waits together: what is told to a partner, and by it, is told of as many as can be at once.
                chosen = chosen[np.lexsort((ids[chosen], spending.acting.choices(chosen)))]
                size = CALLING if by_api else PARCEL
                for start in range(0, len(chosen), size):
                    some = chosen[start : start + size]
                    enqueue(waiting(era, by_api=by_api), ids[some].tolist(), notes=numbers[some].tolist(), hint=False)
        for era, at in enumerate(ERAS):
            for place in range(len(PAYING) if at < END else 0):
                enqueue(proposing(era), [place], hint=False)
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


def _propose(claim: Claim, era: int) -> int:
    """Put together the next batch of a payer's."""
    [item] = claim.items
    over = office.propose(PAYING[item.subject], era)
    with claim.settling():
        if not over:
            enqueue(proposing(era), [item.subject], hint=False)
    return 1


def _fold() -> None:
    funnel.fold()
    ledger.fold()


def _help(spending: Spending) -> None:
    """What a process beside the first one does."""
    for _ in spending.work():
        pass


def _share(queue: str, parcel: int, most: int) -> int:
    """How many of those who wait there are taken in hand at once."""
    return max(parcel, min(most, outstanding([queue]) // SHARE))

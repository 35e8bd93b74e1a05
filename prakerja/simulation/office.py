"""What the office and the payers do after the decree, step by step. A step that is taken twice does nothing twice."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import connection, transaction

from incentives import batching, checking, sending, surveys
from incentives.models import Batch
from incentives.payout import MockPayer, Order, Outcome
from incentives.terms import ITEMS
from prakerja.simulation import calls
from prakerja.simulation.acting import MOST, ask_payers, stopped
from prakerja.simulation.channels import expect
from prakerja.simulation.programme import END
from prakerja.simulation.recipients import ERAS, ONE_BY_API, PAYDAYS, deadline
from prakerja.simulation.steps import PAYING, SURVEYS, Deed, Step, Survey
from registrations.models import Wave
from waves import revocation
from waves.models import Decree
from waves.screening import NotNow

#: So many payouts are sent at a time.
SENT = 5000
MAKER, CHECKER = "simulasi-pembuat", "simulasi-pemeriksa"
SIGNER = "Direktur Eksekutif (simulasi)"


def appoint() -> None:
    """There are those who make and check batches; nobody can log in as them."""
    for name in (MAKER, CHECKER):
        User.objects.get_or_create(username=name, defaults={"is_active": False})


def do(step: Step) -> bool:
    """Take this step; whether that is all of it."""
    match step.deed:
        case Deed.ANSWER:
            _answer(SURVEYS[ERAS[step.era]])
        case Deed.RECHECK:
            return _recheck(at=ERAS[step.era])
        case Deed.REVOKE:
            for decree in Decree.objects.filter(draw__wave=step.wave, kind=Decree.Kind.RECIPIENTS):
                while revocation.lapse(decree, buy_by=deadline(step.wave)):
                    pass
        case Deed.DECREE:
            for wave in Wave.objects.filter(pk=step.wave):
                with suppress(NotNow):  # nobody is to be named, or this step was taken before
                    revocation.issue(wave, by=SIGNER, at=END - timedelta(hours=6))
        case Deed.LEAVE:
            calls.dismiss()
    return True


def send(partners: calls.ByApi, at: datetime) -> int:
    """Send what is approved, a batch of each payer; return how many payouts were in hand."""
    return sum(sending.send_batch(code, payer=Payer(code, partners, at), size=SENT, clock=stopped(at)) for code in PAYING)


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


def _recheck(*, at: datetime) -> bool:
    """Have payers asked again about some accounts, and answer; whether that was all.

    In one transaction: no worker asks about them by the clock of today.
    """
    with transaction.atomic():
        found = checking.recheck(at=at, size=MOST)
        ask_payers(at)
    return not found


def propose(payer: str, era: int) -> bool:
    """Put together a batch of what is due on a payday, and approve it unless it is the last one; whether that was all.

    Taken twice, it does nothing twice.
    """
    at = ERAS[era]
    maker, checker = (User.objects.get(username=name) for name in (MAKER, CHECKER))
    try:
        batch = batching.propose(payer, by=maker, at=at)
    except NotNow:
        batch = None
    if at in PAYDAYS:
        for waits in Batch.objects.filter(payer=payer, approved_at=None, withdrawn_at=None, made_at=at):
            with suppress(NotNow):  # a process whose lease ran out goes on, and may have approved it
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

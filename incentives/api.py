"""The payers' side of the API: what they are to pay, what became of it, and how accounts are. Each sees its own only."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from incentives import checking, results, serializers
from incentives.checking import Heard, Told
from incentives.models import Batch, Payout
from incentives.results import Applied, Key, Result
from incentives.serializers import OUTCOMES, STATES, VERDICTS
from partners import bulk, clock, paging
from partners.api import PartnerView
from partners.idempotency import idempotent
from partners.problems import Problem
from partners.scopes import Scope


def batches_of(payer: str) -> QuerySet[Batch]:
    """What a payer may see: nothing before it was approved."""
    return Batch.objects.filter(payer=payer, approved_at__isnull=False)


class PayoutBatches(PartnerView):
    """Batches of payouts that were approved for you to pay."""

    scopes = {"GET": Scope.PAYOUTS_READ}
    query = paging.PageQuery

    @extend_schema(responses=paging.answered(serializers.BatchOut))
    def get(self, request: Request) -> Response:
        """List your batches, the newest first."""
        found = paging.page(batches_of(self.partner.code), self.asked, by="-id")
        return Response(paging.listed(request, found, serializers.BatchOut))


class PayoutsOfABatch(PartnerView):
    """The payouts of one of your batches."""

    scopes = {"GET": Scope.PAYOUTS_READ}
    query = serializers.PayoutQuery

    @extend_schema(responses=paging.answered(serializers.PayoutOut))
    def get(self, request: Request, batch: int) -> Response:
        """List the payouts of a batch, with what became of them."""
        if not batches_of(self.partner.code).filter(pk=batch).exists():
            raise NotFound
        payouts = Payout.objects.filter(batch_id=batch)
        if state := self.asked.get("state"):
            payouts = payouts.filter(state=STATES[state])
        # In a batch, an obligation stands once.
        found = paging.page(payouts, self.asked, by="obligation_id")
        return Response(paging.listed(request, found, serializers.PayoutOut))


class OnePayout(PartnerView):
    """One of your payouts."""

    scopes = {"GET": Scope.PAYOUTS_READ}

    @extend_schema(responses=serializers.PayoutOut)
    def get(self, request: Request, reference: str) -> Response:
        """Tell what became of a payout."""
        key = Key.read(reference)
        payout = Payout.objects.filter(obligation_id=key.obligation_id, attempt=key.attempt).first() if key else None
        if payout is None or not batches_of(self.partner.code).filter(pk=payout.batch_id).exists():
            raise NotFound
        return Response(serializers.PayoutOut(payout).data)


class PayoutResults(PartnerView):
    """What became of your payouts."""

    scopes = {"POST": Scope.PAYOUTS_WRITE}

    @extend_schema(request=bulk.asked(serializers.ResultIn), responses=bulk.answered(serializers.ResultNoted))
    @idempotent
    def post(self, request: Request) -> Response:
        """Report results of payouts. They may come late, twice and in any order."""
        return bulk.each(request, serializers.ResultIn, self._apply)

    def _apply(self, rows: Sequence[dict[str, Any]]) -> list[bulk.Result]:
        said = [Result(row["reference"], OUTCOMES[row["status"]]) for row in rows]
        applied = results.apply(said, payer=self.partner.code, at=clock.now(self.request))
        return [_applied(result.reference, outcome) for result, outcome in zip(said, applied, strict=True)]


def _applied(reference: str, outcome: Applied) -> bulk.Result:
    if outcome is Applied.UNKNOWN_REFERENCE:
        return Problem("unknown-payout", 404, "You were not asked to pay this.")
    if outcome is Applied.CONTRADICTS:
        return Problem("payout-decided", 409, "This cannot be after what was said before.")
    return {"reference": reference, "known": outcome is Applied.KNOWN}


class AccountChecks(PartnerView):
    """How accounts are that you were asked about."""

    scopes = {"POST": Scope.ACCOUNTS_CHECK}

    @extend_schema(request=bulk.asked(serializers.CheckIn), responses=bulk.answered(serializers.Noted))
    @idempotent
    def post(self, request: Request) -> Response:
        """Tell how accounts are: answered later, or changed since, as when a wallet was upgraded."""
        return bulk.each(request, serializers.CheckIn, self._note)

    def _note(self, rows: Sequence[dict[str, Any]]) -> list[bulk.Result]:
        said = [Told(row["reference"], VERDICTS[row["verdict"]]) for row in rows]
        heard = checking.told(said, payer=self.partner.code, at=clock.now(self.request))
        return [
            {"reference": entry.reference}
            if outcome is Heard.NOTED
            else Problem("unknown-account", 404, "There is no such account of yours.")
            for entry, outcome in zip(said, heard, strict=True)
        ]

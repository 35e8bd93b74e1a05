"""What payers send and get over REST. Accounts show their last digits only, people nothing."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from incentives.gates import Gate
from incentives.models import Batch, Payout
from incentives.payout import Outcome, Verdict
from partners import closed, paging

LONGEST_REFERENCE = 40

#: In the words of payers; what is not approved is not told.
STATES = {
    "approved": Payout.State.APPROVED,
    "sending": Payout.State.SENDING,
    "unknown": Payout.State.UNKNOWN,
    "paid": Payout.State.PAID,
    "reversed": Payout.State.REVERSED,
    "failed": Payout.State.FAILED,
    "withdrawn": Payout.State.WITHDRAWN,
}
WORDS = {state: word for word, state in STATES.items()}
VERDICTS = {verdict.value: verdict for verdict in Verdict if verdict is not Verdict.UNKNOWN}
OUTCOMES = {outcome.value: outcome for outcome in Outcome if outcome.is_final or outcome is Outcome.PENDING}
REASONS = {Gate(verdict.gate): word for word, verdict in VERDICTS.items() if verdict.gate}


class PayoutQuery(paging.PageQuery):
    state = closed.Choice(list(STATES), required=False)


class BatchOut(serializers.Serializer[Batch]):
    """A batch of yours that was approved."""

    id = serializers.IntegerField()
    payouts = serializers.IntegerField()
    rupiah = serializers.IntegerField()
    sha256 = serializers.SerializerMethodField(help_text="Of what was approved.")
    approved_at = serializers.DateTimeField()

    def get_sha256(self, batch: Batch) -> str:
        return bytes(batch.sha256).hex()


class PayoutOut(serializers.Serializer[Payout]):
    """An order to pay, and what became of it."""

    reference = serializers.CharField()
    batch = serializers.IntegerField(source="batch_id")
    rupiah = serializers.IntegerField(source="amount")
    state = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField(help_text="Why it failed or was reversed; null: no reason, or none was told.")
    sent_at = serializers.DateTimeField(allow_null=True)
    settled_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(serializers.ChoiceField(list(STATES)))
    def get_state(self, payout: Payout) -> str:
        return WORDS[Payout.State(payout.state)]

    @extend_schema_field(serializers.ChoiceField(list(REASONS.values()), allow_null=True))
    def get_reason(self, payout: Payout) -> str | None:
        return REASONS.get(Gate(payout.reason))


class CheckIn(closed.Closed):
    """How an account is that you were asked about."""

    reference = closed.Text(max_length=LONGEST_REFERENCE, help_text="As you were asked.")
    verdict = closed.Choice(list(VERDICTS))


class ResultIn(closed.Closed):
    """What became of an order."""

    reference = closed.Text(max_length=LONGEST_REFERENCE)
    status = closed.Choice(list(OUTCOMES))


class Noted(serializers.Serializer[Any]):
    reference = serializers.CharField()


class ResultNoted(Noted):
    known = serializers.BooleanField(help_text="Whether it said nothing new.")

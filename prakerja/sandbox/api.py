"""The sandbox's own endpoint: every partner has people made up in any situation that its own calls have an answer to."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from partners import clock
from partners.api import PartnerView
from partners.auth import HasToken
from partners.closed import Choice, Closed, Whole, checked
from partners.idempotency import idempotent
from partners.problems import PREFIX
from prakerja.sandbox import situations
from prakerja.sandbox.situations import SITUATIONS, Situation

#: People of one call.
MOST = 100


class PeopleIn(Closed):
    """Whom you need."""

    situation = Choice(list(SITUATIONS), help_text="One of those that GET lists for you.")
    count = Whole(min_value=1, max_value=MOST, default=1)


class SituationOut(serializers.Serializer[Any]):
    situation = serializers.ChoiceField(list(SITUATIONS))
    about = serializers.CharField()
    call = serializers.CharField(help_text="What you may call then.")
    problem = serializers.CharField(allow_null=True, help_text="What it, or its row, is refused with; null: it is done.")
    state = serializers.CharField(allow_null=True, help_text="Of the purchase, the payout or the account.")


class MadeOut(serializers.Serializer[Any]):
    """A made-up person's part; null: no part of the situation."""

    card = serializers.CharField(allow_null=True)
    training = serializers.CharField(allow_null=True, help_text="The training's code.")
    purchase = serializers.IntegerField(allow_null=True)
    reference = serializers.CharField(allow_null=True, help_text="The purchase's.")
    redeem_code = serializers.CharField(allow_null=True)
    account = serializers.CharField(allow_null=True, help_text="The reference under which its payer is asked about it.")
    account_number = serializers.CharField(allow_null=True)
    payout = serializers.CharField(allow_null=True, help_text="The payout's reference.")
    batch = serializers.IntegerField(allow_null=True)


class SituationsOut(serializers.Serializer[Any]):
    items = SituationOut(many=True)


class PeopleOut(SituationOut):
    people = MadeOut(many=True)


class People(PartnerView):
    """Made-up people, in the situation that you want to try."""

    permission_classes = [HasToken]

    @extend_schema(responses=SituationsOut)
    def get(self, request: Request) -> Response:
        """List the situations of your parts, and what each of them makes the API answer."""
        return Response({"items": [_told(name, found) for name, found in situations.of(self.partner).items()]})

    @extend_schema(request=PeopleIn, responses={201: PeopleOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Have people made up who are in this situation, by the same acts as always."""
        asked = checked(PeopleIn, request.data)
        name = asked["situation"]
        made = situations.bring_about(name, self.partner, asked["count"], clock.now(request))
        return Response(_told(name, SITUATIONS[name]) | {"people": [one._asdict() for one in made]}, 201)


def _told(name: str, found: Situation) -> dict[str, Any]:
    problem = found.problem and PREFIX + found.problem
    return {"situation": name, "about": found.about, "call": found.call, "problem": problem, "state": found.state}

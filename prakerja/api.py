"""The funnel for partners and for the office's own programs: who may read it, and what it says of itself."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from partners.api import InEnglish
from partners.auth import Bearer, StaffOrScope
from partners.scopes import Scope
from registrations.api import FunnelView
from registrations.stages import DropOff, Stage


class FunnelQuery(serializers.Serializer[Any]):
    wave = serializers.CharField(required=False, allow_blank=True, help_text="Those who registered in this wave.")
    until_wave = serializers.CharField(
        required=False, allow_blank=True, help_text="Those who registered in waves 1 to this one."
    )
    selected_wave = serializers.CharField(required=False, allow_blank=True, help_text="Those whom this wave selected.")
    as_of = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="All that had happened before that full hour: ISO 8601; without a zone, WIB; a day means its end.",
    )


class LostOut(serializers.Serializer[Any]):
    reason = serializers.ChoiceField([reason.name.lower() for reason in DropOff])
    people = serializers.IntegerField()


class RungOut(serializers.Serializer[Any]):
    """A rung: who has reached it, and where those are who have not reached the next one."""

    stage = serializers.ChoiceField([stage.name.lower() for stage in Stage])
    people = serializers.IntegerField()
    share_of_above = serializers.FloatField(allow_null=True)
    share_of_all = serializers.FloatField(allow_null=True)
    waiting = serializers.IntegerField(help_text="On their way to the next one.")
    drop_offs = LostOut(many=True)


class FunnelOut(serializers.Serializer[Any]):
    wave = serializers.IntegerField(allow_null=True)
    until_wave = serializers.IntegerField(allow_null=True)
    selected_wave = serializers.IntegerField(allow_null=True)
    as_of = serializers.DateTimeField(allow_null=True)
    rungs = RungOut(many=True)


class ProgrammeFunnel(InEnglish, FunnelView):
    """How many people stand on each rung."""

    authentication_classes = [BasicAuthentication, SessionAuthentication, Bearer]
    permission_classes = [StaffOrScope]
    scopes = {"GET": Scope.FUNNEL_READ}
    query = FunnelQuery

    @extend_schema(responses=FunnelOut)
    def get(self, request: Request) -> Response:
        """How many people stand on each rung, and why the others do not."""
        return super().get(request)

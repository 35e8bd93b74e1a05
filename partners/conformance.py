"""The sandbox's page for those who write a program that signs: which text was expected to be signed, and what is wrong."""

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import FormParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from foundation import pg
from partners import closed, signature
from partners.api import PartnerView
from partners.parsing import StrictJSONParser
from partners.signature import Explanation, Given

#: What the official clients call.
USUAL_PATH = "/api/v1/integration/payment/redeem-code/commit"


class CallIn(closed.Closed):
    """A call as it was, or will be, made."""

    client_code = closed.Text(allow_blank=True, max_length=200)
    timestamp = closed.Text(allow_blank=True, max_length=200)
    signature = closed.Text(allow_blank=True, max_length=500)
    method = closed.Text(default="POST", max_length=10)
    path = closed.Text(default=USUAL_PATH, max_length=500)
    body = closed.Text(default="", allow_blank=True, trim_whitespace=False, max_length=100_000)


class ExplanationOut(serializers.Serializer[Any]):
    accepted = serializers.BooleanField()
    findings = serializers.ListField(child=serializers.CharField())
    expected = serializers.ListField(
        child=serializers.CharField(), help_text="Any of these is accepted; the usual one first."
    )


class Conformance(PartnerView):
    """Why a signature fits or not."""

    authentication_classes = []
    permission_classes = [AllowAny]
    parser_classes = [StrictJSONParser, FormParser]

    @extend_schema(responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        """The page to try it on."""
        return page(request._request, {"method": "POST", "path": USUAL_PATH, "body": '{"redeem_code":"code"}'}, None)

    @extend_schema(
        request={"application/json": CallIn},
        responses={(200, "application/json"): ExplanationOut, (200, "text/html"): OpenApiTypes.STR},
    )
    def post(self, request: Request) -> HttpResponse:
        """Explain a call: the one that is described in the body or, if it has signature headers, this very one."""
        own = signature.given(request._request)
        if own.client_code or own.timestamp or own.signature:
            return Response(signature.explain(own, now=pg.now())._asdict())
        is_form = isinstance(request.data, QueryDict)
        asked = closed.checked(CallIn, request.data)
        parts = asked | {"method": asked["method"].upper(), "body": asked["body"].encode(errors="replace")}
        found = signature.explain(Given(**parts), now=pg.now())
        return page(request._request, asked, found) if is_form else Response(found._asdict())


def page(request: HttpRequest, call: dict[str, Any], found: Explanation | None) -> HttpResponse:
    return render(request, "partners/conformance.html", {"call": call, "found": found})

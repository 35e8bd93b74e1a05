"""The endpoints of how we speak with each other; what about, the apps above say."""

from functools import cache
from typing import Any

from csp.constants import SELF
from csp.decorators import csp_update
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import get_urlconf
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, UnsupportedMediaType
from rest_framework.parsers import FormParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from foundation import pg
from partners import closed, inbox, keys, outside, paging, problems, schema, tokens, webhooks
from partners.api import PartnerView
from partners.idempotency import idempotent
from partners.models import Address, Event, Secret
from partners.problems import Problem
from partners.scopes import Scope


class OpenView(PartnerView):
    """An endpoint for whoever comes."""

    authentication_classes = []
    permission_classes = [AllowAny]


# Tokens


class TokenAsked(serializers.Serializer[Any]):
    grant_type = serializers.ChoiceField(["client_credentials"])
    scope = serializers.CharField(required=False, help_text="Parted by blanks; without, all that the client is allowed.")
    client_id = serializers.CharField(required=False, help_text="Or both as HTTP Basic, which is better.")
    client_secret = serializers.CharField(required=False)


class TokenAnswer(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")
    token_type = serializers.CharField(help_text="Bearer")
    scope = serializers.CharField()


class TokenRefused(serializers.Serializer[Any]):
    """As RFC 6749, 5.2, has it."""

    error = serializers.CharField()
    error_description = serializers.CharField(required=False)


class TokenView(OpenView):
    """Ask for a token."""

    parser_classes = [FormParser]

    @extend_schema(
        request=TokenAsked,
        responses={
            200: TokenAnswer,
            (400, "application/json"): TokenRefused,
            (400, problems.MEDIA_TYPE): schema.Problem,
            401: TokenRefused,
        },
    )
    def post(self, request: Request) -> HttpResponse:
        """Ask for a token with the client's credentials (RFC 6749, 4.4). It is good for an hour."""
        if request.content_type.partition(";")[0].strip().lower() != FormParser.media_type:
            raise UnsupportedMediaType(request.content_type)
        body, status, headers = tokens.answer(request._request)
        return HttpResponse(body, status=status, headers={"Content-Type": "application/json"} | headers)


# What a partner is told, and where


class EventOut(serializers.Serializer[Any]):
    """An event that a partner is told of."""

    id = serializers.IntegerField()
    webhook_id = serializers.SerializerMethodField(help_text="The same in every try: tell a repeated one by it.")
    type = serializers.CharField(source="kind")
    state = serializers.ChoiceField(Event.State.choices)
    attempts = serializers.IntegerField()
    at = serializers.DateTimeField()
    delivered_at = serializers.DateTimeField(allow_null=True)

    def get_webhook_id(self, event: Event) -> str:
        return webhooks.webhook_id(event)


class AttemptOut(serializers.Serializer[Any]):
    """One try to tell of an event."""

    at = serializers.DateTimeField()
    status = serializers.IntegerField(allow_null=True, help_text="Of your answer; null: there was none.")
    reason = serializers.CharField(help_text="Why there was no answer, in a word.")
    milliseconds = serializers.IntegerField()


class EventDetail(EventOut):
    """An event with what it says, and how each try went, the newest first."""

    data = serializers.SerializerMethodField()  # type: ignore[assignment]
    tries = serializers.SerializerMethodField()

    def get_data(self, event: Event) -> dict[str, Any]:
        told: dict[str, Any] = webhooks.payload(event)
        return told

    @extend_schema(responses=AttemptOut(many=True))
    def get_tries(self, event: Event) -> list[Any]:
        return list(AttemptOut(event.tries.order_by("-id")[:100], many=True).data)


class EventQuery(paging.PageQuery):
    state = serializers.ChoiceField(Event.State.choices, required=False)
    type = serializers.CharField(required=False, max_length=50)


class AddressIn(closed.Closed):
    url = closed.Text(max_length=outside.LONGEST_URL, help_text="https, without a password, on the public internet.")


class AddressOut(serializers.Serializer[Any]):
    """Where you are told of events."""

    url = serializers.CharField()
    failures = serializers.IntegerField(help_text="Bad answers in a row.")
    quiet_until = serializers.DateTimeField(allow_null=True, help_text="Until then nothing is tried.")


class SecretOut(serializers.Serializer[Any]):
    secret = serializers.CharField(help_text="What we sign with from now on, beside the one before. It is shown only here.")


class WebhookLog(PartnerView):
    """What you were told."""

    scopes = {"GET": Scope.WEBHOOKS_READ}
    query = EventQuery

    @extend_schema(responses=paging.answered(EventOut))
    def get(self, request: Request) -> Response:
        """What you were told, the newest first."""
        found = _events(self)
        if state := self.asked.get("state"):
            found = found.filter(state=state)
        if kind := self.asked.get("type"):
            found = found.filter(kind=kind)
        return Response(paging.listed(request, paging.page(found, self.asked, by="-id"), EventOut))


class WebhookEvent(PartnerView):
    """One event."""

    scopes = {"GET": Scope.WEBHOOKS_READ}

    @extend_schema(responses=EventDetail)
    def get(self, request: Request, event: int) -> Response:
        """One event, what it says, and how each try went."""
        found = _events(self).filter(pk=event).first()
        if found is None:
            raise NotFound
        return Response(EventDetail(found).data)


class WebhookReplay(PartnerView):
    """Have an event told again."""

    scopes = {"POST": Scope.WEBHOOKS_WRITE}

    @extend_schema(request=None, responses=EventOut)
    @idempotent
    def post(self, request: Request, event: int) -> Response:
        """Have an event told again, now and for another 24 hours. It keeps its id."""
        closed.checked(closed.Nothing, request.data)
        found = _events(self).select_for_update().filter(pk=event).first()
        if found is None:
            raise NotFound
        if found.state == Event.State.WAITING:
            raise Problem("still-waiting", 409, "The event is still on its way.")
        Address.objects.filter(pk=self.partner.pk).update(failures=0, quiet_until=None)
        webhooks.replay([found.pk])
        found.refresh_from_db()
        return Response(EventOut(found).data)


class WebhookAddress(PartnerView):
    """Where you are told."""

    scopes = {"GET": Scope.WEBHOOKS_READ, "PUT": Scope.WEBHOOKS_WRITE}

    @extend_schema(responses={200: AddressOut, 404: schema.Problem})
    def get(self, request: Request) -> Response:
        """Where you are told of events, and whether it answers."""
        found = Address.objects.filter(pk=self.partner.pk).first()
        if found is None:
            raise NotFound("You have set no address.")
        return Response(AddressOut(found).data)

    @extend_schema(request=AddressIn, responses=AddressOut)
    @idempotent
    def put(self, request: Request) -> Response:
        """Set where you are told of events from now on. Have a secret drawn before, or nothing is signed."""
        url = closed.checked(AddressIn, request.data)["url"]
        try:
            outside.inspect(url, sandbox=settings.SANDBOX)
        except outside.Undeliverable as error:
            raise serializers.ValidationError({"url": [f"We would not call this: {error}."]}) from None
        with transaction.atomic():
            if not keys.live(self.partner.pk, Secret.Use.OUT):
                raise Problem("no-secret", 409, "Have a secret drawn first: /api/v1/webhooks/secrets/rotate/")
            found, _made = Address.objects.update_or_create(
                partner=self.partner, defaults={"url": url, "failures": 0, "quiet_until": None}
            )
        return Response(AddressOut(found).data)


class WebhookSecret(PartnerView):
    """What we sign with."""

    scopes = {"POST": Scope.WEBHOOKS_WRITE}

    @extend_schema(request=None, responses=SecretOut)
    @idempotent
    def post(self, request: Request) -> Response:
        """Have a new secret drawn. Until the next time, every event is signed with it and with the one before."""
        closed.checked(closed.Nothing, request.data)
        return Response({"secret": keys.rotate(self.partner.pk, Secret.Use.OUT)})


def _events(view: PartnerView) -> QuerySet[Event]:
    return Event.objects.filter(partner=view.partner)


# What a partner tells us


class MessageIn(serializers.Serializer[Any]):
    """A message, in the form of Standard Webhooks."""

    type = serializers.CharField(max_length=inbox.LONGEST_KIND, help_text="E.g. payout.settled")
    timestamp = serializers.CharField(required=False)
    data = serializers.DictField()  # type: ignore[assignment]


class MessageTaken(serializers.Serializer[Any]):
    accepted = serializers.BooleanField()
    known = serializers.BooleanField(help_text="Whether this webhook-id had been told before; it is applied once.")


_HEADERS = [
    OpenApiParameter(name, str, OpenApiParameter.HEADER, description=said)
    for name, said in {
        "webhook-id": "Yours, the same when you tell it again.",
        "webhook-timestamp": "Unix seconds, of the last five minutes.",
        "webhook-signature": "As Standard Webhooks has it, with the secret that you got from us.",
    }.items()
]


class Inbox(OpenView):
    """Tell us something."""

    @extend_schema(parameters=_HEADERS, request=MessageIn, responses={200: MessageTaken, 401: schema.Problem})
    def post(self, request: Request, partner: str) -> Response:
        """Tell us something, signed. It is kept and answered at once, and applied soon after."""
        body = (request.stream.read(inbox.MAX_BYTES + 1) if request.stream else b"") or b""
        if len(body) > inbox.MAX_BYTES:
            raise problems.too_large()
        said = {name: request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")}
        try:
            new = inbox.take(
                partner,
                body,
                webhook_id=said["id"],
                timestamp=said["timestamp"],
                signatures=said["signature"],
                now=pg.now(),
            )
        except inbox.NotVerified:
            raise Problem(
                "not-verified", 401, "The message is not signed as it should be, or not of the last 5 min."
            ) from None
        except inbox.Malformed as error:
            raise Problem("malformed-message", 400, "The message is malformed.", detail=str(error)) from None
        return Response({"accepted": True, "known": not new})


# The API about itself


class SchemaView(OpenView):
    """The API's schema."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """This schema (OpenAPI 3)."""
        return Response(_schema(get_urlconf()))


@cache
def _schema(urlconf: str | None) -> dict[str, Any]:
    """Made once a process: it takes as long as a hundred calls."""
    found: dict[str, Any] = SchemaGenerator(urlconf=urlconf).get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return found


@require_safe
@csp_update({"img-src": [SELF, "data:"]})  # the pictures on its buttons
def docs(request: HttpRequest) -> HttpResponse:
    """The schema as pages to read and to try."""
    return render(request, "partners/docs.html")

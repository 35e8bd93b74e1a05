"""The programme office's pages of the partners: their parts, what their programs may do, and whether they hear what they are told."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe
from oauth2_provider.generators import generate_client_secret
from oauth2_provider.models import AccessToken

from partners import keys, webhooks
from partners.auth import scopes_of
from partners.models import Address, Attempt, Client, Event, Partner, Secret
from partners.scopes import Scope
from prakerja import deeds
from prakerja.dashboard import staff_only
from prakerja.deeds import Name
from prakerja.notes import leave_note, take_note, user_of
from waves.screening import NotNow

#: Events on a page: of those that failed, and of the newest.
SHOWN = 50

SCOPES = {
    Scope.TRAININGS_READ: gettext_lazy("Read its trainings"),
    Scope.TRAININGS_WRITE: gettext_lazy("Offer and change trainings"),
    Scope.PURCHASES_READ: gettext_lazy("Read purchases of its trainings"),
    Scope.PURCHASES_WRITE: gettext_lazy("Sell trainings, cancel purchases"),
    Scope.COMPLETIONS_WRITE: gettext_lazy("Report attendance, completions and certificates"),
    Scope.REVIEWS_READ: gettext_lazy("Read ratings and reviews of its trainings"),
    Scope.ACCOUNTS_CHECK: gettext_lazy("Say whether an account can be paid into"),
    Scope.PAYOUTS_READ: gettext_lazy("Read payout orders"),
    Scope.PAYOUTS_WRITE: gettext_lazy("Report the results of payouts"),
    Scope.FUNNEL_READ: gettext_lazy("Read the programme's funnel"),
    Scope.WEBHOOKS_READ: gettext_lazy("Read what it was told, and how it went"),
    Scope.WEBHOOKS_WRITE: gettext_lazy("Set the address, draw secrets, have events told again"),
}

USES = {
    Secret.Use.SIGN: gettext_lazy("Key with which it signs its calls (older form)"),
    Secret.Use.OUT: gettext_lazy("Secret with which we sign what it is told"),
    Secret.Use.IN: gettext_lazy("Secret with which it signs what it tells us"),
}

STATES = {
    Event.State.WAITING: gettext_lazy("On its way"),
    Event.State.DELIVERED: gettext_lazy("Taken"),
    Event.State.GIVEN_UP: gettext_lazy("Not taken within 24 hours"),
}

#: Why there was no answer: the words of `partners.outside`.
REASONS = {
    "malformed": gettext_lazy("not an address that may be called"),
    "not public": gettext_lazy("the address is not on the public internet"),
    "unknown host": gettext_lazy("no such host"),
    "no connection": gettext_lazy("no connection"),
    "timeout": gettext_lazy("no answer in time"),
    "tls": gettext_lazy("its certificate is not in order"),
    "no answer": gettext_lazy("the connection broke"),
}


class Row(NamedTuple):
    """A partner in the list."""

    partner: Partner
    parts: list[str]
    clients: int
    scopes: list[str]
    last_token: datetime | None
    address: Address | None
    host: str


class Program(NamedTuple):
    """One of its programs."""

    client: Client
    last_token: datetime | None


class Held(NamedTuple):
    """Secrets of one use: how many are live, and since when the newest is. Never what they are."""

    use: Secret.Use
    label: str
    live: int
    newest: datetime | None


class Told(NamedTuple):
    """An event of the log, and how the last try went."""

    event: Event
    state: str
    last: Attempt | None
    reason: str

    @property
    def may_be_replayed(self) -> bool:
        return self.event.state != Event.State.WAITING

    @property
    def status(self) -> str:
        return str(self.last.status) if self.last and self.last.status else ""


def about(code: str) -> str:
    """What the deeds call it."""
    return f"partner {code}"


def _parts(partner: Partner) -> list[str]:
    said = {
        _("sells trainings"): partner.is_platform,
        _("gives trainings"): partner.is_provider,
        _("pays incentives"): partner.is_payer,
    }
    return [label for label, has in said.items() if has]


def _last_tokens() -> dict[int, datetime]:
    """When each client last got a token; those that have expired are soon forgotten."""
    return dict(AccessToken.objects.values_list("application_id").annotate(Max("created")).order_by())


@require_safe
@staff_only
def partners_page(request: HttpRequest) -> HttpResponse:
    """All partners, with what their programs may do and when they last came; those that do not hear us first."""
    clients: dict[str, list[Client]] = {}
    for client in Client.objects.order_by("pk"):
        clients.setdefault(client.partner_id, []).append(client)
    tokens, addresses = _last_tokens(), Address.objects.in_bulk()
    rows = [
        _row(partner, clients.get(partner.pk, []), tokens, addresses.get(partner.pk)) for partner in Partner.objects.all()
    ]
    rows.sort(key=lambda row: not (row.address and row.address.failures))
    return render(request, "office/partners.html", {"rows": rows})


def _row(partner: Partner, clients: list[Client], tokens: dict[int, datetime], address: Address | None) -> Row:
    return Row(
        partner,
        _parts(partner),
        len(clients),
        sorted({scope for client in clients for scope in client.scopes}),
        max((tokens[client.pk] for client in clients if client.pk in tokens), default=None),
        address,
        urlsplit(address.url).hostname or "" if address else "",
    )


@require_safe
@staff_only
def partner_page(request: HttpRequest, code: str) -> HttpResponse:
    """One partner: its programs, which secrets are live, and what it was told, failures first."""
    partner, tokens = get_object_or_404(Partner, pk=code), _last_tokens()
    events = Event.objects.filter(partner=partner).order_by("-pk")
    failing = events.filter(Q(state=Event.State.GIVEN_UP) | Q(state=Event.State.WAITING, attempts__gt=0))
    failed = told_of(failing.order_by("-state", "-pk")[:SHOWN])
    context: dict[str, Any] = {
        "partner": partner,
        "parts": _parts(partner),
        "programs": [
            Program(client, tokens.get(client.pk)) for client in Client.objects.filter(partner=partner).order_by("pk")
        ],
        "scopes": [(scope.value, SCOPES[scope]) for scope in scopes_of(partner)],
        "held": _held(partner),
        "address": Address.objects.filter(pk=partner.pk).first(),
        "failed": failed,
        "again": [one.event.pk for one in failed if one.may_be_replayed],
        "newest": told_of(events[:SHOWN]),
        "once": {"client": uuid4(), "secret": uuid4()},
        "deeds": deeds.of(about(code)),
        "notice": take_note(request),
    }
    return render(request, "office/partner.html", context)


def _held(partner: Partner) -> list[Held]:
    found = Secret.objects.filter(partner=partner).values_list("use").annotate(Count("pk"), Max("at")).order_by()
    by_use = {use: (live, newest) for use, live, newest in found}
    return [Held(use, str(label), *by_use.get(use, (0, None))) for use, label in USES.items()]


def told_of(events: QuerySet[Event]) -> list[Told]:
    """These events, each with its last try, in two queries."""
    found = list(events)
    tries = Attempt.objects.filter(event__in=found).order_by("event_id", "-pk").distinct("event_id")
    last = {one.event_id: one for one in tries}
    return [Told(event, str(STATES[Event.State(event.state)]), one := last.get(event.pk), _reason(one)) for event in found]


def _reason(one: Attempt | None) -> str:
    return str(REASONS.get(one.reason, one.reason)) if one else ""


# What can be done: each is written down


def _sure(request: HttpRequest) -> None:
    if not request.POST.get("sure"):
        raise NotNow(_("Tick that you are sure."))


def _words(request: HttpRequest, field: str, missing: str) -> str:
    """What was typed, without what no screen shows. Raises `NotNow` when it is nothing."""
    words = " ".join("".join(char for char in request.POST.get(field, "") if char.isprintable()).split())[:200]
    if not words:
        raise NotNow(missing)
    return words


@require_POST
@staff_only
def make_client(request: HttpRequest, code: str) -> HttpResponse:
    """Credentials for a program of the partner's; the secret is on the answer's page, and nowhere else ever."""
    partner = get_object_or_404(Partner, pk=code)
    try:
        name = _words(request, "name", _("Say what the program is called."))
        scopes = sorted({scope for scope in request.POST.getlist("scopes") if scope in scopes_of(partner)})
        if not scopes:
            raise NotNow(_("Choose what the program may do."))
        _sure(request)
        secret = generate_client_secret()
        with transaction.atomic():
            told = f"{name}: {' '.join(scopes)}"
            deeds.note(Name.CLIENT_MADE, about(code), by=user_of(request), told=told, once=request.POST.get("once", ""))
            client = Client.objects.create(partner=partner, name=name, scopes=scopes, client_secret=secret)
    except deeds.DoneBefore:
        return _shown_before(request, code)
    except NotNow as refusal:
        leave_note(request, str(refusal), wrong=True)
        return redirect("office_partner", code)
    lines = [("client_id", client.client_id), ("client_secret", secret)]
    return _shown_once(request, partner, _("Credentials of %(name)s") % {"name": name}, lines)


@require_POST
@staff_only
def revoke_client(request: HttpRequest, code: str) -> HttpResponse:
    """No call of the program is taken any more: its credentials go, and its tokens with them."""
    partner = get_object_or_404(Partner, pk=code)
    try:
        reason = _words(request, "reason", _("Say why: it is kept."))
        _sure(request)
        with transaction.atomic():
            client = Client.objects.filter(partner=partner, client_id=request.POST.get("client", "")).first()
            if client is None:
                raise NotNow(_("These credentials have been revoked already."))
            deeds.note(Name.CLIENT_REVOKED, about(code), by=user_of(request), told=f"{client.name}: {reason}")
            client.delete()
        leave_note(request, _("Revoked: no call with them is taken any more."))
    except NotNow as refusal:
        leave_note(request, str(refusal), wrong=True)
    return redirect("office_partner", code)


@require_POST
@staff_only
def draw_secret(request: HttpRequest, code: str) -> HttpResponse:
    """A new secret, shown once; the one before it stays good until the next time."""
    partner = get_object_or_404(Partner, pk=code)
    try:
        asked = request.POST.get("use", "")
        if asked not in Secret.Use.values:
            raise NotNow(_("There is no such secret."))
        _sure(request)
        use = Secret.Use(asked)
        with transaction.atomic():
            once = request.POST.get("once", "")
            deeds.note(Name.SECRET_DRAWN, about(code), by=user_of(request), told=str(USES[use]), once=once)
            secret = keys.rotate(code, use)
    except deeds.DoneBefore:
        return _shown_before(request, code)
    except NotNow as refusal:
        leave_note(request, str(refusal), wrong=True)
        return redirect("office_partner", code)
    return _shown_once(request, partner, str(USES[use]), [(asked, secret)])


def _shown_once(request: HttpRequest, partner: Partner, title: str, lines: Iterable[tuple[str, str]]) -> HttpResponse:
    return render(request, "office/partner_secret.html", {"partner": partner, "title": title, "lines": list(lines)})


def _shown_before(request: HttpRequest, code: str) -> HttpResponse:
    leave_note(request, _("This was made before, and is shown once only. Make another one if it was lost."), wrong=True)
    return redirect("office_partner", code)


@require_POST
@staff_only
def replay(request: HttpRequest, code: str) -> HttpResponse:
    """Have events told again, now and for another 24 hours; each keeps its id."""
    partner = get_object_or_404(Partner, pk=code)
    asked = [int(event) for event in request.POST.getlist("event")[:SHOWN] if event.isascii() and event.isdecimal()]
    try:
        with transaction.atomic():
            if not Address.objects.filter(pk=partner.pk).update(failures=0, quiet_until=None):
                raise NotNow(_("It has set no address: it cannot be told anything."))
            found = Event.objects.select_for_update().filter(partner=partner, pk__in=asked)
            ids = list(found.exclude(state=Event.State.WAITING).order_by("pk").values_list("pk", flat=True))
            if not ids:
                raise NotNow(_("These are on their way already."))
            webhooks.replay(ids)
            told = ", ".join(f"evt_{id}" for id in ids)
            deeds.note(Name.EVENTS_REPLAYED, about(code), by=user_of(request), told=told)
        leave_note(request, _("They are being told again."))
    except NotNow as refusal:
        leave_note(request, str(refusal), wrong=True)
    return redirect("office_partner", code)

"""Who may do what at partners' own endpoints; other apps have a file of this name and form beside their tests.

A row is for one method of one address of the schema. `test_authorisation.py` asks as nobody, as a partner without the scope, as the
partner itself, as another partner, and for what does not exist; an endpoint without a row fails. `test_schemathesis.py` holds what
the partner itself is answered against the schema.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.utils import timezone

from partners import keys
from partners.models import Address, Attempt, Event, Partner, Secret
from partners.scopes import Scope
from partners.webhooks import sealed


class Row(NamedTuple):
    method: str
    #: As the schema writes it.
    path: str
    #: The scope that opens it; or "token": every token does, "signed": the older signature, "staff": the office may as well,
    #: "open": whoever comes.
    opened_by: Scope | str
    #: Makes what the call is about, for this partner, and returns the names by which path, body and items name it. It is called
    #: for two partners.
    own: Callable[[Partner], dict[str, Any]] = lambda partner: {}
    #: The names of what does not exist; none: neither path, body nor items name an object of a partner's.
    absent: dict[str, Any] = {}
    #: Where up to 10,000 items are taken: makes one about what these names name, in which every field stands that is an object.
    item: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    #: What is sent where no items are taken; where it names an object, it is made from what names it.
    body: Any = None
    #: Of a list: what each of its entries shows of itself; `own` returns the values for all that is the partner's, as "listed".
    shows: str = ""
    #: What the partner itself is answered.
    status: int = 200
    #: What it is answered when it asks for the same once more, under another key; none: as before.
    again: int | None = None
    #: What nobody is answered where it is open to whoever comes.
    open_status: int = 200
    #: Makes what there must be before.
    given: Callable[[Partner], Any] = lambda partner: None
    content_type: str = "application/json"

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def _event(partner: Partner) -> dict[str, Any]:
    """An event that was delivered at the second try, and an older one that is on its way."""
    waiting, event = (
        Event.objects.create(partner=partner, kind="test.happened", sealed=sealed(partner.pk, {"n": 1}), **said)
        for said in ({}, {"state": Event.State.DELIVERED, "attempts": 2, "delivered_at": timezone.now()})
    )
    for told in ({"status": None, "reason": "time-out"}, {"status": 204}):
        Attempt.objects.create(event=event, milliseconds=80, **told)
    return {"event": event.pk, "waiting": waiting.pk, "listed": [event.pk, waiting.pk]}


def _address(partner: Partner) -> dict[str, Any]:
    keys.rotate(partner.pk, Secret.Use.OUT)
    address = Address.objects.create(partner=partner, url=f"https://{partner.pk}.example/")
    return {"listed": [address.url]}


_NO_EVENT = {"event": 2**40}

ROWS = [
    Row("POST", "/api/v1/oauth/token", "open", open_status=400, content_type="application/x-www-form-urlencoded", body=""),
    Row("GET", "/api/v1/webhooks/", Scope.WEBHOOKS_READ, own=_event, shows="id"),
    Row("GET", "/api/v1/webhooks/{event}/", Scope.WEBHOOKS_READ, own=_event, absent=_NO_EVENT),
    Row("POST", "/api/v1/webhooks/{event}/replay/", Scope.WEBHOOKS_WRITE, own=_event, absent=_NO_EVENT, again=409),
    Row("GET", "/api/v1/webhooks/address/", Scope.WEBHOOKS_READ, own=_address, shows="url"),
    Row(
        "PUT",
        "/api/v1/webhooks/address/",
        Scope.WEBHOOKS_WRITE,
        given=lambda partner: keys.rotate(partner.pk, Secret.Use.OUT),
        body={"url": "https://partner.example/"},
    ),
    Row("POST", "/api/v1/webhooks/secrets/rotate/", Scope.WEBHOOKS_WRITE),
    Row("POST", "/api/v1/inbox/{partner}/", "open", own=lambda partner: {"partner": partner.pk}, open_status=401, body={}),
    Row("GET", "/api/v1/schema/", "open"),
    Row("GET", "/api/v1/sandbox/conformance/", "open"),
    Row("POST", "/api/v1/sandbox/conformance/", "open", open_status=400, body={}),
    Row("GET", "/api/v1/funnel/", "staff"),
]

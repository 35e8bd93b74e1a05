"""Who may do what at partners' own endpoints; other apps have a file of this name and form beside their tests.

A row is for one method of one address of the schema. `test_authorisation.py` asks as nobody, as a partner without the scope, as the
partner itself, as another partner, and for what does not exist; an endpoint without a row fails.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from partners import keys
from partners.models import Address, Event, Partner, Secret
from partners.scopes import Scope
from partners.webhooks import sealed


class Row(NamedTuple):
    method: str
    #: As the schema writes it.
    path: str
    #: The scope that opens it; or "token": every token does, "signed": the older signature, "staff": the office may as well,
    #: "open": whoever comes.
    opened_by: Scope | str
    #: Makes what the path is about, for this partner, and returns the path's parameters.
    own: Callable[[Partner], dict[str, Any]] = lambda partner: {}
    #: The parameters of what does not exist; none: the path has no object of a partner's.
    absent: dict[str, Any] = {}
    #: What is sent; may be made for the partner.
    body: Any = None
    #: What the partner itself is answered.
    status: int = 200
    #: What nobody is answered where it is open to whoever comes.
    open_status: int = 200
    #: Makes what there must be before.
    given: Callable[[Partner], Any] = lambda partner: None
    content_type: str = "application/json"


def _event(partner: Partner) -> dict[str, Any]:
    event = Event.objects.create(
        partner=partner, kind="test.happened", sealed=sealed(partner.pk, {}), state=Event.State.DELIVERED
    )
    return {"event": event.pk}


def _address(partner: Partner) -> None:
    keys.rotate(partner.pk, Secret.Use.OUT)
    Address.objects.create(partner=partner, url="https://partner.example/")


_NO_EVENT = {"event": 2**40}

ROWS = [
    Row("POST", "/api/v1/oauth/token", "open", open_status=400, content_type="application/x-www-form-urlencoded", body=""),
    Row("GET", "/api/v1/webhooks/", Scope.WEBHOOKS_READ),
    Row("GET", "/api/v1/webhooks/{event}/", Scope.WEBHOOKS_READ, own=_event, absent=_NO_EVENT),
    Row("POST", "/api/v1/webhooks/{event}/replay/", Scope.WEBHOOKS_WRITE, own=_event, absent=_NO_EVENT),
    Row("GET", "/api/v1/webhooks/address/", Scope.WEBHOOKS_READ, given=_address),
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

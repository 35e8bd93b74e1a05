"""Partners that call the API over HTTP, each with its own credentials, at simulated instants.

The server is the site itself, in threads of this process, on a port of this machine. Only it can set the clock by which a call
is taken (`partners.clock`): it believes a header that elsewhere is just a header.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from itertools import groupby
from threading import Thread
from time import time
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.db import connection

from foundation.pg import array
from foundation.sealing import digest
from foundation.services import Unavailable
from partners import keys, signature
from partners.clock import SIMULATED
from partners.models import Client, Partner, Secret
from partners.scopes import Scope
from registrations.regions import WIB
from trainings import cancelling, completing, purchasing, redeeming

COMMIT = "/api/v1/integration/payment/redeem-code/commit"
#: What the answer says of a redeem code that was used.
USED = 1
TOKEN = "/api/v1/oauth/token"  # noqa: S105 - where one is asked for
NAME = "simulasi"
SCOPES = (Scope.PURCHASES_WRITE, Scope.COMPLETIONS_WRITE, Scope.ACCOUNTS_CHECK, Scope.PAYOUTS_WRITE)

T = TypeVar("T")


class Astray(Exception):
    """Something else came of an act than what the simulation has planned."""


# Our side --------------------------------------------------------------------------------------------------------------


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits for an acknowledgement, 40 ms

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def served() -> Iterator[int]:
    """The site, at the port that is given."""
    site = get_wsgi_application()

    def simulated(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if said := environ.pop("HTTP_X_SIMULATED_AT", None):
            environ[SIMULATED] = datetime.fromisoformat(said)
        return site(environ, start)

    server = ThreadedWSGIServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.set_app(simulated)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


# Their side ------------------------------------------------------------------------------------------------------------


def admit(codes: Iterable[str]) -> None:
    """Give these partners what they need to call: a client, and a key to sign with."""
    for code in codes:
        partner = Partner.objects.get(pk=code)
        if not keys.live(code, Secret.Use.SIGN):
            keys.rotate(code, Secret.Use.SIGN)
        if not Client.objects.filter(partner=partner, name=NAME).exists():
            Client.objects.create(partner=partner, name=NAME, scopes=sorted(SCOPES), client_secret=_secret(code))


def dismiss() -> None:
    """The simulated programs go; with them, their tokens."""
    Client.objects.filter(name=NAME).delete()


def _secret(code: str) -> str:
    """What every process of a simulation knows, and nobody outside."""
    return digest("simulation.client", code)


class ByApi:
    """How partners tell of what recipients do, over HTTP. What has been told before is told again without harm."""

    def __init__(self, port: int) -> None:
        self._line = HTTPConnection("127.0.0.1", port, timeout=60)
        self._tokens: dict[str, str] = {}
        self._sign_keys: dict[str, bytes] = {}

    def buy(self, orders: Sequence[purchasing.Order], platform: str) -> list[tuple[int, str]]:
        """Orders of one day go together, at the instant of the first."""
        cards = _cards([order.registrant_id for order in orders])
        bought: dict[str, tuple[int, str]] = {}
        for at, some in _together(orders, lambda order: order.at):
            rows = [
                {"card": cards[order.registrant_id], "training": order.training, "reference": order.reference}
                for order in some
            ]
            for order, result in zip(some, self._tell(platform, "/api/v1/purchases/", rows, at), strict=True):
                bought[order.reference] = (result["purchase"], result["redeem_code"])
        return [bought[order.reference] for order in orders]

    def redeem(self, uses: Sequence[redeeming.Use], provider: str) -> None:
        """In the older form, signed, one by one."""
        for use in uses:
            body = json.dumps({"redeem_code": use.redeem_code}, separators=(",", ":")).encode()
            said = signature.Given(provider, str(int(time())), "", "POST", COMMIT, body)
            mac = signature.sign(self._sign_key(provider), signature.text(said, body))
            headers = {"client-code": provider, "timestamp": said.timestamp, "signature": mac}
            answer = self._post(COMMIT, body, headers, use.at, refused=409)
            # Who told it before, and died before the answer, is refused now: the data say that it was done.
            if not answer["success"] and answer["data"]["status"] != USED:
                raise Astray(f"{COMMIT}: {answer['message']}")

    def complete(self, completions: Sequence[completing.Completion], provider: str, now: datetime) -> None:
        rows = [
            {
                "redeem_code": each.redeem_code,
                "completed_at": each.completed_at.isoformat(),
                "score": each.score,
                "certificate": each.certificate
                and {"number": each.certificate.number, "sha256": each.certificate.sha256.hex()},
            }
            for each in completions
        ]
        if rows:
            self._tell(provider, "/api/v1/completions/", rows, now)

    def cancel(self, cancellations: Sequence[cancelling.Cancellation], platform: str) -> None:
        for at, some in _together(cancellations, lambda each: each.at):
            self._tell(platform, "/api/v1/cancellations/", [{"redeem_code": each.redeem_code} for each in some], at)

    def checked(self, accounts: Sequence[tuple[int, str]], payer: str, at: datetime) -> None:
        """A payer tells how these accounts are, pairs of id and verdict."""
        self._tell(
            payer,
            "/api/v1/account-checks/",
            [{"reference": str(id), "verdict": verdict} for id, verdict in accounts],
            at,
        )

    def paid(self, references: Sequence[str], payer: str, at: datetime) -> None:
        """A payer tells that it has paid these."""
        if references:
            rows = [{"reference": reference, "status": "paid"} for reference in references]
            self._tell(payer, "/api/v1/payout-results/", rows, at)

    def _tell(self, partner: str, path: str, rows: Sequence[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
        """Send rows, and return the result of each, in order. Raises `Astray` unless all are done."""
        body = json.dumps({"items": rows}).encode()
        headers = {
            "Authorization": f"Bearer {self._token(partner)}",
            # The same for the same, so that it is done once however often it is sent.
            "Idempotency-Key": hashlib.sha256(b"%s %s %s" % (path.encode(), at.isoformat().encode(), body)).hexdigest(),
        }
        results = self._post(path, body, headers, at)["results"]
        if refused := [result for result in results if result["outcome"] != "done"]:
            raise Astray(f"{path}: {refused[0]['problem'].get('type')}")
        return [result["result"] for result in results]

    def _post(
        self, path: str, body: bytes, headers: dict[str, str], at: datetime | None = None, *, refused: int | None = None
    ) -> Any:
        """The content of a good answer, or of one that refuses it in this way."""
        simulated = {"X-Simulated-At": at.isoformat()} if at else {}
        said = {"Content-Type": "application/json", "Accept": "application/json"} | simulated | headers
        try:
            self._line.request("POST", path, body, said)
            answer = self._line.getresponse()
            content = answer.read()
        except (HTTPException, OSError) as error:
            self._line.close()  # the next call opens it again
            raise Unavailable(type(error).__name__) from None
        # With a Retry-After it may go well later: the same call is being worked on, say (409).
        if answer.status in (401, 429) or answer.status >= 500 or "Retry-After" in answer.headers:
            self._tokens.clear()
            raise Unavailable(f"{path}: {answer.status}", retry_after=float(answer.headers.get("Retry-After", 1)))
        if answer.status >= 300 and answer.status != refused:
            raise Astray(f"{path}: {answer.status}")
        return json.loads(content)

    def _token(self, partner: str) -> str:
        if partner not in self._tokens:
            client = Client.objects.get(partner=partner, name=NAME)
            basic = base64.b64encode(f"{client.client_id}:{_secret(partner)}".encode()).decode()
            headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
            asked = urlencode({"grant_type": "client_credentials"}).encode()
            self._tokens[partner] = self._post(TOKEN, asked, headers)["access_token"]
        return self._tokens[partner]

    def _sign_key(self, partner: str) -> bytes:
        if partner not in self._sign_keys:
            self._sign_keys[partner] = keys.live(partner, Secret.Use.SIGN)[0]
        return self._sign_keys[partner]


def _cards(ids: Sequence[int]) -> dict[int, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT registrant_id, card FROM waves_recipient WHERE registrant_id = ANY (%s::bigint[])", [array(ids)]
        )
        return {id: f"{card:016}" for id, card in cursor.fetchall()}


def _together(items: Iterable[T], instant: Callable[[T], datetime]) -> Iterator[tuple[datetime, list[T]]]:
    """What is told at once: all of a day in Jakarta, with the first one's instant."""
    for _, some in groupby(sorted(items, key=instant), key=lambda item: instant(item).astimezone(WIB).date()):
        together = list(some)
        yield instant(together[0]), together

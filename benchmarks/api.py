"""The partners' API with fifty partners at once, against a bare view: signed commits; with a token, writes, reads and lists.

Each has keys, purchases and a connection of its own, and calls twice a second, 100 calls a second in all; the kinds take turns.
Then the same with calls that follow each other at once, which tells how much two cores can take, and how long one waits then. The
generator of load is a process of its own and shares the machine's cores with gunicorn and PostgreSQL.
"""

import json
import math
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from itertools import cycle, islice
from multiprocessing import get_context
from statistics import median
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from oauth2_provider.models import AccessToken, set_token_value

from benchmarks.clock import settle, watched
from benchmarks.load import ask_all
from benchmarks.signup import served
from partners import keys, signature
from partners.models import Client, Partner, Secret
from partners.scopes import Scope
from trainings.models import Purchase, Training

PARTNERS = 50
#: Purchases of each: enough for meetings that nobody has attended before.
LEAST_SOLD, MOST_SOLD = 60, 400
#: Seconds between two calls of one connection.
EVERY = 0.5
#: No connection is answered sooner on average when its calls follow each other: so many requests are ready.
LEAST = 0.02
#: So many rows has a list: with the usual hundred, a hundred lists a second would be all that two cores can do.
LISTED = 20
ROUNDS = 3
COMMIT = "/api/v1/integration/payment/redeem-code/commit"


def measure(seconds: float = 60) -> dict[str, float]:
    """Waits in milliseconds, measured for so many seconds in all; and calls per second. Uses the purchases that are there."""
    if Purchase.objects.count() < PARTNERS * LEAST_SOLD * 2:  # some are cancelled
        watched("simulate", "--registrants", "100000", "--seed", "1", "--reset")
    partners = _platforms()
    settle()
    calls = {
        "commit": [_commits(partner, _sign_key(partner)) for partner in partners],
        "write": [_writes(partner) for partner in partners],
        "read": [_reads(partner, _bearer(partner, Scope.PURCHASES_READ)) for partner in partners],
        "list": [_lists(_bearer(partner, Scope.PURCHASES_READ)) for partner in partners],
        "bare": [_reads(partner, "Accept: application/json") for partner in partners],
    }
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as generator,
        served("prakerja.wsgi", DJANGO_SETTINGS_MODULE="prakerja.settings", PARTNER_RATE="10000000") as site,
        served("django.core.wsgi:get_wsgi_application()", DJANGO_SETTINGS_MODULE="benchmarks.bare_api_settings") as bare,
    ):

        def ask(port: int, requests: Sequence[Iterator[bytes]], every: float, seconds: float) -> list[float]:
            each = [list(islice(of_one, math.ceil(seconds / (every or LEAST)))) for of_one in requests]
            return generator.submit(ask_all, port, each, every=every, seconds=seconds).result()

        ports = dict.fromkeys(calls, site) | {"bare": bare}
        waits: dict[str, list[float]] = {name: [] for name in calls}
        figures: dict[str, float] = {}
        for name in calls:
            ask(ports[name], calls[name], 0.1, 2)  # all processes are warm after that
        for _ in range(ROUNDS):
            for name in calls:
                waits[name] += ask(ports[name], calls[name], EVERY, seconds / ROUNDS / len(calls))
        for name in calls:
            figures[f"api_{name}_per_s"] = len(ask(ports[name], calls[name], 0, 5)) / 5
    p99 = {name: 1000 * sorted(found)[int(len(found) * 0.99)] for name, found in waits.items()}
    return {
        "api_p99_ms": max(found for name, found in p99.items() if name != "bare"),
        **{f"api_{name}_p99_ms": found for name, found in p99.items()},
        **{f"api_{name}_median_ms": 1000 * median(found) for name, found in waits.items()},
        **figures,
    }


def _platforms() -> list[Partner]:
    """As many platforms as there are connections, each with a training and an equal share of the purchases."""
    partners = [
        Partner(code=f"bench-{number}", name=f"Bench {number}", is_platform=True, is_provider=True)
        for number in range(PARTNERS)
    ]
    Partner.objects.bulk_create(partners)
    some = Training.objects.filter(seats=None)[0]
    trainings = [
        Training(
            platform=partner,
            provider_id=some.provider_id,
            code="BENCH",
            title=some.title,
            mode=some.mode,
            price=some.price,
            valid_from=some.valid_from,
            valid_until=some.valid_until,
        )
        for partner in partners
    ]
    Training.objects.bulk_create(trainings)
    found = Purchase.objects.exclude(state=Purchase.State.CANCELLED).values_list("pk", flat=True)
    ids = list(found[: PARTNERS * MOST_SOLD])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # a purchase never changes its training
        for number, training in enumerate(trainings):
            Purchase.objects.filter(pk__in=ids[number::PARTNERS]).update(training=training, platform=training.platform_id)
    return partners


def _sign_key(partner: Partner) -> bytes:
    keys.rotate(partner.pk, Secret.Use.SIGN)
    return keys.live(partner.pk, Secret.Use.SIGN)[0]


def _bearer(partner: Partner, scope: Scope) -> str:
    client = Client.objects.create(partner=partner, name="bench", scopes=[scope], client_secret="-")  # noqa: S106
    token = AccessToken(application=client, scope=scope, expires=timezone.now() + timedelta(hours=1))
    raw = secrets.token_urlsafe(20)
    set_token_value(token, raw)
    token.save()
    return f"Authorization: Bearer {raw}"


def _commits(partner: Partner, key: bytes) -> Iterator[bytes]:
    """Meetings attended, each once: a commit that writes."""
    for meeting in _meetings(partner, 0):
        body = json.dumps(meeting, separators=(",", ":")).encode()
        said = signature.Given(partner.pk, str(int(time.time())), "", "POST", COMMIT, body)
        mac = signature.sign(key, signature.text(said, body))
        yield _request(
            f"POST {COMMIT}",
            f"client-code: {partner.pk}",
            f"timestamp: {said.timestamp}",
            f"signature: {mac}",
            "Content-Type: application/json",
            body=body,
        )


def _writes(partner: Partner) -> Iterator[bytes]:
    """The same of other purchases with a token, each under a key of its own."""
    bearer = _bearer(partner, Scope.COMPLETIONS_WRITE)
    for meeting in _meetings(partner, 1):
        body = json.dumps({"items": [meeting]}).encode()
        key = f"Idempotency-Key: {secrets.token_hex(16)}"
        yield _request("POST /api/v1/attendances/", bearer, key, "Content-Type: application/json", body=body)


def _meetings(partner: Partner, half: int) -> Iterator[dict[str, Any]]:
    found = Purchase.objects.filter(training__platform=partner).exclude(state=Purchase.State.CANCELLED)
    codes = list(found.order_by("pk").values_list("redeem_code", flat=True))[half::2]
    for sequence in (*range(1, 11), 999):
        yield from ({"redeem_code": code, "sequence": sequence} for code in codes)


def _reads(partner: Partner, header: str) -> Iterator[bytes]:
    ids = Purchase.objects.filter(training__platform=partner).values_list("pk", flat=True)
    for id in cycle(list(ids)):
        yield _request(f"GET /api/v1/purchases/{id}/", header)


def _lists(header: str) -> Iterator[bytes]:
    """The newest of one's own purchases."""
    return cycle([_request(f"GET /api/v1/purchases/?limit={LISTED}", header)])


def _request(line: str, *headers: str, body: bytes = b"") -> bytes:
    lines = (f"{line} HTTP/1.1", "Host: 127.0.0.1", "Connection: keep-alive", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body

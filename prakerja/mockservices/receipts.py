"""Delivery receipts of the SMS gateway: posted, signed (Standard Webhooks), and with trouble of their own."""

import base64
import hashlib
import heapq
import hmac
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias
from uuid import uuid4

import requests

from prakerja.mockservices.knobs import knob, percent
from prakerja.mockservices.ledger import Ledger

MOST_A_CALL = 500
#: Seconds until the next attempt, after the first, the second, ... that was not answered 2xx; then the call is given up.
RETRIES = (1.0, 2.0, 4.0, 8.0, 16.0)
TIMEOUT = (2.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptFaults:
    """When receipts come, and what goes wrong with them."""

    sent_after_s: float = knob("`sent` so long after acceptance", unit="s", default=0.2, lasting=True)
    delivered_after_s: float = knob("`delivered` or `failed` so long after that", unit="s", default=1.0, lasting=True)
    failed_percent: float = percent("messages that fail")
    dropped_percent: float = percent("receipts that never come")
    doubled_percent: float = percent("receipts that come twice")
    late_percent: float = percent("receipts that are late")
    late_s: float = knob("late by up to", unit="s")
    out_of_order_percent: float = percent("messages whose end comes before `sent`")
    forged_percent: float = percent("messages with a forged receipt besides")
    unknown_percent: float = percent("messages with a receipt for a stranger besides")
    replayed_percent: float = percent("calls that come again, byte for byte")
    seed: int = knob("seed of the chances", default=0, lasting=True)


class Receipt(NamedTuple):
    """One receipt on its way."""

    reference: str
    status: str
    #: When it happened, and when it is posted: seconds after the message was accepted.
    happened: float
    due: float
    forged: bool = False


class Course(NamedTuple):
    """All that comes of one message."""

    end: str
    receipts: Sequence[Receipt]
    #: What was done to the receipts, for the ledger's sums.
    trouble: Sequence[str]

    def honest(self, reference: str) -> list[str]:
        """What true receipts tell of this message, in the order of their coming."""
        of = [receipt for receipt in self.receipts if receipt.reference == reference and not receipt.forged]
        return list(dict.fromkeys(receipt.status for receipt in sorted(of, key=lambda receipt: receipt.due)))


def course(reference: str, faults: ReceiptFaults) -> Course:
    """What comes of a message: a function of its reference, the seed and the faults."""
    chances = random.Random(f"{faults.seed} {reference}")
    # All are drawn, whatever comes of them: changing one fault leaves the others as they were.
    failed, swapped, forged, forged_due, unknown, stranger = (chances.random() for _ in range(6))
    trouble: list[str] = []

    def befalls(name: str, chance: float, percent: float) -> bool:
        if chance * 100 < percent:
            trouble.append(name)
            return True
        return False

    end = "failed" if failed * 100 < faults.failed_percent else "delivered"
    sent_at, end_at = faults.sent_after_s, faults.sent_after_s + faults.delivered_after_s
    dues = (end_at, sent_at) if befalls("out_of_order", swapped, faults.out_of_order_percent) else (sent_at, end_at)
    receipts: list[Receipt] = []
    for status, happened, due in (("sent", sent_at, dues[0]), (end, end_at, dues[1])):
        dropped, late, by, doubled, after = (chances.random() for _ in range(5))
        if befalls("dropped", dropped, faults.dropped_percent):
            continue
        if befalls("late", late, faults.late_percent):
            due += faults.late_s * by**3  # most by little, a few by nearly all of it
        receipts.append(Receipt(reference, status, happened, due))
        if befalls("doubled", doubled, faults.doubled_percent):
            receipts.append(Receipt(reference, status, happened, due + 0.1 + after))
    if befalls("forged", forged, faults.forged_percent):
        # A lie: whoever believes it holds the contrary of the truth.
        lie = "failed" if end == "delivered" else "delivered"
        receipts.append(Receipt(reference, lie, sent_at, sent_at + forged_due, forged=True))
    if befalls("unknown", unknown, faults.unknown_percent):
        receipts.append(Receipt(f"unknown-{int(stranger * 2**32):08x}", "delivered", end_at, end_at))
    return Course(end, receipts, trouble)


def secret_bytes(secret: str) -> bytes:
    """The secret out of its base64, with or without `whsec_`. Raises `ValueError`."""
    digits = secret.removeprefix("whsec_").rstrip("=")
    try:
        found = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        found = b""
    if not found:
        raise ValueError("the secret is not base64")
    return found


def sign(secret: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The signature of Standard Webhooks, as it stands in `webhook-signature`."""
    mac = hmac.digest(secret, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac).decode()}"


@dataclass(slots=True)
class _Post:
    """One call to the receiver."""

    receipts: Sequence[Receipt]
    body: bytes
    #: How it is forged; nothing: it is true.
    forgery: str = ""
    webhook_id: str = field(default_factory=lambda: f"msg_{uuid4().hex}")
    attempt: int = 1
    timestamp: int = 0
    replayed: bool = False

    @property
    def kind(self) -> str:
        return "forged" if self.forgery else "replayed" if self.replayed else "true"


#: From secret, id, time and body to the time and the signature that a forger puts on it; no signature, no header.
Forge: TypeAlias = Callable[[bytes, str, int, bytes], tuple[int, str]]
_FORGERIES: dict[str, Forge] = {
    "another secret": lambda secret, id, now, body: (now, sign(b"another " + secret, id, now, body)),
    "another body": lambda secret, id, now, body: (now, sign(secret, id, now, body + b" ")),
    "another id": lambda secret, id, now, body: (now, sign(secret, id + "0", now, body)),
    "no signature": lambda secret, id, now, body: (now, ""),
    "nonsense": lambda secret, id, now, body: (now, "v1,c2F5IHBsZWFzZQ=="),
    "an hour old": lambda secret, id, now, body: (now - 3600, sign(secret, id, now - 3600, body)),
}


class Receipts:
    """Posts the receipts of accepted messages to `url` from a thread of its own, between `start` and `stop`.

    `secret`: base64, with or without `whsec_`. Raises `ValueError` when it is not.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        faults: ReceiptFaults = ReceiptFaults(),
        *,
        ledger: Ledger,
        retries: Sequence[float] = RETRIES,
    ) -> None:
        self.url = url
        self.faults = faults
        self._secret = secret_bytes(secret)
        self._ledger = ledger
        self._retries = retries
        self._changed = threading.Condition()
        #: By the instant when it is due; the number keeps those of one instant in order.
        self._waiting: list[tuple[float, int, tuple[Receipt, float] | _Post]] = []
        self._number = 0
        self._busy = False
        self._stopping = False
        self._forged = self._taken = 0
        self._thread = threading.Thread(target=self._run, name="receipts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(sum(TIMEOUT))

    def accepted(self, references: Sequence[str]) -> None:
        """These messages were accepted just now."""
        accepted = time.time(), time.monotonic()
        for reference in references:
            planned = course(reference, self.faults)
            self._ledger.plan_receipts(reference, planned.end, planned.honest(reference), planned.trouble)
            with self._changed:
                for receipt in planned.receipts:
                    self._put(accepted[1] + receipt.due, (receipt, accepted[0] + receipt.happened))
        with self._changed:
            self._changed.notify_all()

    def outstanding(self) -> int:
        """Receipts that are still to be posted, and calls that are to be repeated or under way."""
        with self._changed:
            return len(self._waiting) + self._busy

    def send_now(self) -> None:
        """Whatever is still to come is due at once, in the order in which it would have come."""
        with self._changed:
            now = time.monotonic()
            self._waiting = [(now, number, what) for number, (_, _, what) in enumerate(sorted(self._waiting))]
            self._changed.notify_all()

    def _put(self, due: float, what: "tuple[Receipt, float] | _Post") -> None:
        self._number += 1
        heapq.heappush(self._waiting, (due, self._number, what))

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while (due := self._due()) is not None:
                for post in self._posts(due):
                    self._post(session, post)
                with self._changed:
                    self._busy = False

    def _due(self) -> "list[tuple[Receipt, float] | _Post] | None":
        """What is due now, and at most one call's worth; None when it is time to stop."""
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if self._waiting and self._waiting[0][0] <= now:
                    due: list[tuple[Receipt, float] | _Post] = []
                    while self._waiting and self._waiting[0][0] <= now and len(due) < MOST_A_CALL:
                        due.append(heapq.heappop(self._waiting)[2])
                    self._busy = True
                    return due
                self._changed.wait(min(self._waiting[0][0] - now, 60) if self._waiting else 60)
            return None

    def _posts(self, due: "Sequence[tuple[Receipt, float] | _Post]") -> list[_Post]:
        posts = [what for what in due if isinstance(what, _Post)]
        receipts = [what for what in due if not isinstance(what, _Post)]
        for forged in (False, True):
            if chosen := [(receipt, at) for receipt, at in receipts if receipt.forged is forged]:
                posts.append(
                    _Post([receipt for receipt, _ in chosen], _body(chosen), self._next_forgery() if forged else "")
                )
        return posts

    def _next_forgery(self) -> str:
        self._forged += 1
        return list(_FORGERIES)[(self._forged - 1) % len(_FORGERIES)]

    def _post(self, session: requests.Session, post: _Post) -> None:
        if not post.replayed:
            post.timestamp = int(time.time())
        timestamp, signature = post.timestamp, sign(self._secret, post.webhook_id, post.timestamp, post.body)
        if post.forgery:
            timestamp, signature = _FORGERIES[post.forgery](self._secret, post.webhook_id, timestamp, post.body)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": post.webhook_id,
            "webhook-timestamp": str(timestamp),
            **({"webhook-signature": signature} if signature else {}),
        }
        status = None
        with suppress(requests.RequestException, OSError):
            answer = session.post(self.url, data=post.body, headers=headers, timeout=TIMEOUT, allow_redirects=False)
            status = answer.status_code
        self._settle(post, status)

    def _settle(self, post: _Post, status: int | None) -> None:
        told = [(receipt.reference, receipt.status) for receipt in post.receipts]
        self._ledger.note_receipts(post.kind, post.webhook_id, post.attempt, status, told)
        if post.kind != "true":
            return
        if status is not None and 200 <= status < 300:
            self._taken += 1
            chance = random.Random(f"{self.faults.seed} replayed {self._taken}").uniform(0, 100)
            if chance < self.faults.replayed_percent:
                self._again(replace(post, replayed=True), 0.1)
        elif post.attempt > len(self._retries):
            self._ledger.count_receipts("given_up", len(post.receipts))
        else:
            self._again(replace(post, attempt=post.attempt + 1), self._retries[post.attempt - 1])

    def _again(self, post: _Post, after: float) -> None:
        with self._changed:
            self._put(time.monotonic() + after, post)


def _body(receipts: Sequence[tuple[Receipt, float]]) -> bytes:
    listed = [{"reference": receipt.reference, "status": receipt.status, "at": _iso(at)} for receipt, at in receipts]
    return json.dumps({"receipts": listed}).encode()


def _iso(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""How often a partner may call, and try to say who it is: so many times a minute, counted in Redis; without Redis each process
counts, and more strictly.

Nobody is let off because the broker is away, and nobody waits for it. What money or people's guesses hang on is bounded in
PostgreSQL, where the act itself is; partners' secrets are drawn, so what is bounded here is the work that guessing makes.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from foundation.sealing import digest

if TYPE_CHECKING:  # it reads the settings, which name what is here
    from rest_framework.views import APIView

log = logging.getLogger(__name__)

WINDOW = 60
#: How often a minute a client may fail to show who it is, from one address.
FAILURES = 10
#: What one process lets through while it counts alone: there are several.
ALONE = 4
#: How long Redis is left alone when it did not answer, in seconds.
PAUSE = 5.0

#: A window begins with the first call in it: to look (no calls) before that only puts it off.
_COUNT = """
local used = redis.call('INCRBY', KEYS[1], ARGV[2])
if used == tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {used, redis.call('PTTL', KEYS[1])}
"""


class Spent(NamedTuple):
    """What a caller has left, after this call."""

    limit: int
    used: int
    #: Seconds until all is given back.
    reset: int

    @property
    def allowed(self) -> bool:
        return self.used <= self.limit

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)

    def write(self, response: HttpResponse) -> None:
        """The headers that clients know (draft-ietf-httpapi-ratelimit-headers-07)."""
        response.headers["RateLimit-Policy"] = f"{self.limit};w={WINDOW}"
        response.headers["RateLimit-Limit"] = str(self.limit)
        response.headers["RateLimit-Remaining"] = str(self.left)
        response.headers["RateLimit-Reset"] = str(self.reset)


def spend(who: str, limit: int, *, calls: int = 1) -> Spent:
    """Count calls of this caller's; none: look at what is left."""
    return _counters().spend(who, limit, calls=calls)


class Counters:
    """Calls by caller, in windows of so many seconds; `clock` is that of a process that counts alone."""

    def __init__(self, client: "redis.Redis", *, window: float = WINDOW, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._count = client.register_script(_COUNT)
        self._lock = threading.Lock()
        self._alone_until = 0.0
        self._seconds, self._clock = window, clock
        self._window, self._used = 0, dict[str, int]()

    def spend(self, who: str, limit: int, *, calls: int = 1) -> Spent:
        if time.monotonic() >= self._alone_until:
            try:
                used, left = self._count(keys=[f"limit:{who}"], args=[round(self._seconds * 1000), calls])
                return Spent(limit, int(used), max(1, -(-int(left) // 1000)))
            except redis.RedisError as error:
                log.warning("counting calls alone: %s", type(error).__name__)
                self._alone_until = time.monotonic() + PAUSE
        return self._spend_alone(who, max(1, limit // ALONE), calls)

    def _spend_alone(self, who: str, limit: int, calls: int) -> Spent:
        now = self._clock()
        with self._lock:
            if self._window != now // self._seconds:
                self._window, self._used = int(now // self._seconds), {}
            self._used[who] = self._used.get(who, 0) + calls
            return Spent(limit, self._used[who], int(self._seconds - now % self._seconds) + 1)


@cache
def _counters() -> Counters:
    # Celery's name for a socket, and redis-py's.
    url = settings.REDIS_URL.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
    return Counters(redis.Redis.from_url(url, socket_timeout=0.25, socket_connect_timeout=0.25))


class PerCaller(BaseThrottle):
    """The throttle of every endpoint: by partner; by address for those who have not said who they are; staff freely."""

    _spent: Spent | None = None

    def allow_request(self, request: Request, view: "APIView") -> bool:
        partner = getattr(request.auth, "partner", None)
        if partner is None and request.user and request.user.is_authenticated:
            return True
        who = f"partner:{partner.pk}" if partner else f"address:{self.get_ident(request)}"
        self._spent = spend(who, settings.PARTNER_RATE if partner else settings.STRANGER_RATE)
        note(request._request, self._spent)
        return self._spent.allowed

    def wait(self) -> float | None:
        return float(self._spent.reset) if self._spent else None


class Tries:
    """Tries to be one of these clients, from where this call comes from: so many may fail in a minute.

    They are counted by client and address together: who guesses from elsewhere locks nobody out. Clients that do not exist are
    counted like those that do.
    """

    def __init__(self, request: HttpRequest, clients: Iterable[str]) -> None:
        address = PerCaller().get_ident(request)  # type: ignore[arg-type]
        self._request = request
        #: Under which names they are counted.
        self.counted = [f"failed:{digest('partners.failed', f'{address} {client}')}" for client in clients if client]

    def check(self) -> None:
        """Raises `Throttled` when too many have failed. It comes before the try, so that not even the right secret is told."""
        for who in self.counted:
            spent = spend(who, FAILURES, calls=0)
            if not spent.left:
                note(self._request, spent)
                raise Throttled(spent.reset, "Too many tries to say who you are have failed.")

    def failed(self) -> None:
        """Count one more."""
        for who in self.counted:
            spend(who, FAILURES)


def note(request: HttpRequest, spent: Spent) -> None:
    """Have the answer to this request say what is left (`partners.middleware`)."""
    request.META["prakerja.spent"] = spent


def noted(request: HttpRequest) -> Any:
    return request.META.get("prakerja.spent")

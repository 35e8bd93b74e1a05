"""How often a partner may call: so many times a minute, counted in Redis; without Redis each process counts, and more strictly.

Nobody is let off because the broker is away, and nobody waits for it. What money or guesses hang on is bounded in PostgreSQL,
where the act itself is.
"""

import logging
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

if TYPE_CHECKING:  # it reads the settings, which name what is here
    from rest_framework.views import APIView

log = logging.getLogger(__name__)

WINDOW = 60
#: What one process lets through while it counts alone: there are several.
ALONE = 4
#: How long Redis is left alone when it did not answer, in seconds.
PAUSE = 5.0

_COUNT = """
local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
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

    def write(self, response: HttpResponse) -> None:
        """The headers that clients know (draft-ietf-httpapi-ratelimit-headers-07)."""
        response.headers["RateLimit-Policy"] = f"{self.limit};w={WINDOW}"
        response.headers["RateLimit-Limit"] = str(self.limit)
        response.headers["RateLimit-Remaining"] = str(max(0, self.limit - self.used))
        response.headers["RateLimit-Reset"] = str(self.reset)


def spend(who: str, limit: int) -> Spent:
    """Count one call of this caller's."""
    return _counters().spend(who, limit)


class Counters:
    """Calls by caller, in windows of a minute."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._count = client.register_script(_COUNT)
        self._lock = threading.Lock()
        self._alone_until = 0.0
        self._window, self._used = 0, dict[str, int]()

    def spend(self, who: str, limit: int) -> Spent:
        if time.monotonic() >= self._alone_until:
            try:
                used, left = self._count(keys=[f"limit:{who}"], args=[WINDOW * 1000])
                return Spent(limit, int(used), max(1, -(-int(left) // 1000)))
            except redis.RedisError as error:
                log.warning("counting calls alone: %s", type(error).__name__)
                self._alone_until = time.monotonic() + PAUSE
        return self._spend_alone(who, max(1, limit // ALONE))

    def _spend_alone(self, who: str, limit: int) -> Spent:
        now = time.time()
        with self._lock:
            if self._window != now // WINDOW:
                self._window, self._used = int(now // WINDOW), {}
            self._used[who] = self._used.get(who, 0) + 1
            return Spent(limit, self._used[who], int(WINDOW - now % WINDOW) + 1)


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


def note(request: HttpRequest, spent: Spent) -> None:
    """Have the answer to this request say what is left (`partners.middleware`)."""
    request.META["prakerja.spent"] = spent


def noted(request: HttpRequest) -> Any:
    return request.META.get("prakerja.spent")

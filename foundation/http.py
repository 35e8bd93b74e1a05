"""JSON over HTTP, to services that may be slow, down, or talk nonsense.

Whatever goes wrong is `Unavailable`, with a reason that holds no personal data. An answer counts only for the record whose
reference it echoes, only once, and only in the form and the words agreed on: everything else is unknown, never a "no".
"""

import json
import logging
import re
import reprlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Protocol, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from foundation.services import Unavailable

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 5_000_000
#: Whatever the service says, we come back no sooner and no later than so many seconds from now.
RETRY_SOONEST, RETRY_LATEST = 1.0, 3600.0


class Refused(Unavailable):
    """The service is there and finds fault with this very request (400, 413, 422): some record in it may be the cause."""


class Asked(Protocol):
    """A record that a service is asked about."""

    @property
    def reference(self) -> str:
        """Echoed by the service; differs within a call and stays the same when asked again."""


Q = TypeVar("Q", bound=Asked)
A = TypeVar("A")


class JsonClient:
    """A client of one service: pooled connections, bounded in time, size and concurrency.

    Times are seconds: to connect; for one call as a whole; and for `ask`, after which no further call of a batch is begun
    (`patience` and one call together must stay below the lease). `ca`: a file with the authority that the service's
    certificate comes from, if it is not a public one. Proxies and passwords of the environment are not used.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        connect_timeout: float = 2.0,
        total_timeout: float = 10.0,
        patience: float = 15.0,
        concurrency: int = 8,
        ca: str = "",
    ) -> None:
        self._url = url.rstrip("/")
        self._connect_timeout = connect_timeout
        self._total_timeout = total_timeout
        self._patience = patience
        self._quiet_until = 0.0
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="service")
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ca or True
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=concurrency, max_retries=0))
        # Identity: what is unpacked on arrival has no size until it is too late.
        self._session.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def ask(
        self,
        items: Sequence[Q],
        *,
        chunk: int,
        call: Callable[[Sequence[Q]], Mapping[str, A]],
        unknown: A,
    ) -> list[A]:
        """Ask about all items, `chunk` a call, several calls at once; one answer per item, in order.

        `call` posts one chunk and returns its answers by reference. Raises `Unavailable` when no call brought anything.
        """
        if len({item.reference for item in items}) != len(items):
            raise ValueError("two records of one call have the same reference")
        last_start = time.monotonic() + self._patience

        def answers(part: Sequence[Q]) -> list[A] | Unavailable:
            if time.monotonic() > last_start:
                return Unavailable("no time left", untouched=True)
            try:
                found = call(part)
            except Unavailable as trouble:
                return trouble
            known = [found.get(item.reference, unknown) for item in part]
            return known if any(answer is not unknown for answer in known) else Unavailable("no usable answer")

        parts = [items[start : start + chunk] for start in range(0, len(items), chunk)]
        outcomes = list(map(answers, parts) if len(parts) == 1 else self._threads.map(answers, parts))
        troubles = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
        if troubles:
            log.warning("%s of %s calls failed, e.g.: %s", len(troubles), len(parts), troubles[0])
            if len(troubles) == len(parts) and not any(isinstance(trouble, Refused) for trouble in troubles):
                worst = max(troubles, key=lambda trouble: trouble.retry_after or 0)
                worst.untouched = all(trouble.untouched for trouble in troubles)
                raise worst
        return [
            answer
            for part, outcome in zip(parts, outcomes, strict=True)
            for answer in ([unknown] * len(part) if isinstance(outcome, Unavailable) else outcome)
        ]

    def post(self, path: str, body: Any) -> Any:
        """Post `body`, return the answer's JSON. Raises `Unavailable`, or `Refused` when the service dislikes the request.

        While the service has asked us to wait, it is not called at all.
        """
        wait = self._quiet_until - time.monotonic()
        if wait > 0:
            raise Unavailable("the service has asked us to wait", retry_after=wait, untouched=True)
        deadline = time.monotonic() + self._total_timeout
        try:
            with self._session.post(
                self._url + path,
                json=body,
                timeout=(self._connect_timeout, self._total_timeout),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _content(response, deadline)
        except (requests.RequestException, HTTPError, OSError) as error:
            # The type only: the text may quote the request.
            raise Unavailable(type(error).__name__, untouched=_never_connected(error)) from None
        return self._json(response, content)

    def _json(self, response: requests.Response, content: bytes) -> Any:
        status = response.status_code
        if status in (400, 413, 422):
            log.warning("refused with %s: %s", status, masked(content))
            raise Refused(f"status {status}")
        if status != 200:
            retry_after = _retry_after(response.headers.get("Retry-After")) if status in (429, 503) else None
            if retry_after:
                self._quiet_until = time.monotonic() + retry_after
            # A 502 or 504 is the word of somebody between us, who does not know what the service has done.
            untouched = 400 <= status < 600 and status not in (408, 502, 504)
            raise Unavailable(f"status {status}", retry_after=retry_after, untouched=untouched)
        if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            log.warning("not JSON: %s", masked(content))
            raise Unavailable("the answer is not JSON")
        try:
            return json.loads(content, object_pairs_hook=_object)
        except (ValueError, RecursionError):
            log.warning("not JSON: %s", masked(content))
            raise Unavailable("the answer is not JSON") from None


def echoed(answer: Any, *, under: str, reference: str, word: str, words: Mapping[str, A]) -> dict[str, A]:
    """The answers by reference, out of `{under: [{reference: "...", word: "..."}, ...]}`; `words` are all that may be said.

    What is doubled, or not exactly of this form, is left out. Raises `Unavailable` when the whole is of another form.
    """
    if not isinstance(answer, dict) or answer.keys() != {under} or not isinstance(answer[under], list):
        log.warning("another form: %s", _sample(answer))
        raise Unavailable("the answer has another form")
    found: dict[str, A] = {}
    spoiled: set[str] = set()
    wrong: list[Any] = []
    for entry in answer[under]:
        of = entry.get(reference) if isinstance(entry, dict) else None
        if not isinstance(of, str):
            wrong.append(entry)
            continue
        said = entry.get(word)
        if of in found or len(entry) != 2 or not isinstance(said, str) or said not in words:
            wrong.append(entry)
            spoiled.add(of)
        else:
            found[of] = words[said]
    if wrong:
        log.warning("%s of %s entries have another form, e.g.: %s", len(wrong), len(answer[under]), _sample(wrong[0]))
    return {of: said for of, said in found.items() if of not in spoiled}


def _sample(value: Any) -> str:
    """Of whatever the JSON was, a few levels, blotted out."""
    return masked(reprlib.repr(value).encode())


def masked(content: bytes) -> str:
    """The beginning of an answer with its letters and digits blotted out: its form can be logged, its content not."""
    return re.sub(r"\d", "9", re.sub(r"[^\W\d]", "x", content[:200].decode(errors="replace")))


def _content(response: requests.Response, deadline: float) -> bytes:
    parts, size = [], 0
    # `read1` returns what has come: a service that drips its answer cannot stretch the time, as it could with `read`.
    while part := response.raw.read1(65536):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise Unavailable("the answer is too large")
        if time.monotonic() > deadline:
            raise Unavailable("the answer took too long")
    return b"".join(parts)


def _never_connected(error: Exception) -> bool:
    """Whether there was no connection on which the service could have been asked anything."""
    cause = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError | ConnectTimeoutError)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice")
    return made


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a `Retry-After` header: a number or an HTTP date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        if re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
            seconds = float(value)
        else:
            date = parsedate_to_datetime(value)
            seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, RETRY_SOONEST), RETRY_LATEST)

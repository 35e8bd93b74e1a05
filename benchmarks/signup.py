"""The last page of the sign-up, which registers somebody, under load; against a bare Django view that inserts one row.

Both are served by gunicorn as in production, with two workers each, and take turns. The generator of load is a process of its
own and shares the machine's cores with them and with PostgreSQL. The same page once more, while a wave is joined at full speed:
what that takes away is the cores, for the two lock nothing in common (`tests/faults/test_joins_and_sign_up.py`).
"""

import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.utils import timezone

from benchmarks.load import Answered, Post, post_all
from foundation.models import MockMessage
from prakerja.simulation import drive, programme
from prakerja.simulation.population import Population, SimulatedPerson
from prakerja.simulation.programme import Fate
from registrations import drafts
from registrations.models import Draft, Registrant, Wave
from registrations.stages import DropOff, Stage
from registrations.views import COOKIE
from waves import joining

ROOT = Path(__file__).resolve().parent.parent

ROUNDS = 5
CONNECTIONS = 8
#: All processes are warm after so many.
WARM_UP = 200
#: So many people join in a transaction.
JOINING = 10_000

#: What a phone's browser sends.
HEAD = """\
POST {path} HTTP/1.1\r
Host: 127.0.0.1:{port}\r
Connection: keep-alive\r
Content-Length: {length}\r
Cache-Control: max-age=0\r
Origin: http://127.0.0.1:{port}\r
Content-Type: application/x-www-form-urlencoded\r
Upgrade-Insecure-Requests: 1\r
User-Agent: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36\r
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r
Referer: http://127.0.0.1:{port}{path}\r
Accept-Encoding: gzip, deflate, br\r
Accept-Language: id-ID,id;q=0.9,en-US;q=0.8,en;q=0.7\r
Cookie: {cookie}\r
\r
"""


def measure(seconds: float = 12.5, waiting: int = 200_000) -> dict[str, float]:
    """Requests per second, measured for so many seconds in all, with so many people who join beside; leaves nobody registered.

    Raises `WrongAnswer` for any answer but the right redirect, and `SystemExit` when not just those are registered who got it.
    """
    drive.forget_everything()
    now = timezone.now()
    rush = Rush(Wave.objects.create(number=1, opens_at=now - timedelta(days=1), closes_at=now + timedelta(days=1)), waiting)
    population = Population(1, programme.plan_registrants(1_000_000))
    people = (person for person in population.people() if person.fate is Fate.VERIFIED)
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as generator,
        # With a hint to the workers for each one, although none are there: that is how it is deployed.
        served("prakerja.wsgi", DJANGO_SETTINGS_MODULE="prakerja.settings", HINTS="1") as site,
        served("django.core.wsgi:get_wsgi_application()", DJANGO_SETTINGS_MODULE="benchmarks.bare_settings") as bare,
        # What part of the distance is not the sign-up's: sessions, CSRF, policies and languages stand before every page.
        served(
            "django.core.wsgi:get_wsgi_application()", DJANGO_SETTINGS_MODULE="benchmarks.bare_behind_settings"
        ) as behind,
    ):

        def heat(
            port: int,
            pages: Callable[[Sequence[SimulatedPerson], int], list[Post]],
            beside: Callable[[], AbstractContextManager[None]] = nullcontext,
        ) -> _Heat:
            def load(requests: int, seconds: float = math.inf) -> Answered:
                posts = pages(list(islice(people, requests)), port)
                with beside():
                    return generator.submit(post_all, port, posts, connections=CONNECTIONS, seconds=seconds).result()

            return _Heat(load)

        last_page, one_insert, behind_all, other_pages, in_the_rush = heats = [
            heat(site, _last_page),
            heat(bare, _one_insert),
            heat(behind, _one_insert),
            heat(site, _other_pages),
            heat(site, _last_page, rush.on),
        ]
        for _ in range(ROUNDS):
            for each in heats:
                each.run(seconds / ROUNDS / len(heats))

    registered, inserted = Registrant.objects.count() - waiting, MockMessage.objects.count()
    wanted = last_page.in_all + in_the_rush.in_all, one_insert.in_all + behind_all.in_all
    if (registered, inserted) != wanted:
        raise SystemExit(f"{registered} are registered of {wanted[0]}, and {inserted} inserted of {wanted[1]}")
    drive.forget_everything()
    return {
        "signup_per_s": last_page.per_s,
        "bare_per_s": one_insert.per_s,
        "signup_ratio": last_page.per_s / one_insert.per_s,
        "bare_behind_middleware_per_s": behind_all.per_s,
        "signup_step_per_s": other_pages.per_s,
        "signup_during_joins_per_s": in_the_rush.per_s,
        "signup_during_joins_ratio": in_the_rush.per_s / last_page.per_s,
        "joins_during_signup_per_s": rush.per_s,
    }


class Rush:
    """Verified people who were not drawn join the next wave: one connection, one full batch after the other, and then anew."""

    def __init__(self, wave: Wave, waiting: int) -> None:
        self._wave, self._joined, self._seconds = wave.number, 0, 0.0
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO registrations_registrant (
                    reference, registered_at, email_verified_at, identity_verified_at, phone_verified_at, drop_off_at, wave_id,
                    stage, drop_off, province, birth_year, sex, education, employment, consent, revision, citizen, studying)
                SELECT gen_random_uuid(), at, at, at, at, at, %s, %s, %s, 32, 1980, 1, 3, 1, 1, 0, true, false
                FROM generate_series(1, %s), LATERAL (SELECT now() - interval '2 days' AS at) moment
                """,
                [wave.number, Stage.PHONE_VERIFIED, DropOff.NOT_DRAWN, waiting],
            )
            cursor.execute("ANALYZE registrations_registrant")
        self._batches = self._of(list(Registrant.objects.order_by("pk").values_list("pk", flat=True)))

    @property
    def per_s(self) -> float:
        return self._joined / self._seconds

    @contextmanager
    def on(self) -> Iterator[None]:
        """They join until the block is done."""
        over = Event()
        with ThreadPoolExecutor(1) as pool:
            rushing = pool.submit(self._join, over)
            try:
                yield
            finally:
                over.set()
        rushing.result()

    def _join(self, over: Event) -> None:
        start = time.perf_counter()
        try:
            while not over.is_set():
                outcomes = joining.join(self._wave, next(self._batches))
                self._joined += outcomes.count(joining.Outcome.JOINED)
        finally:
            connection.close()
        self._seconds += time.perf_counter() - start

    def _of(self, ids: list[int]) -> Iterator[list[int]]:
        while True:
            yield from (ids[start : start + JOINING] for start in range(0, len(ids), JOINING))
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE waves_application")


@dataclass
class _Heat:
    """One of those measured: `load` sends so many requests, and no new one after so many seconds."""

    load: Callable[..., Answered]
    timed: list[Answered] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.warm_up = self.load(WARM_UP)

    def run(self, seconds: float) -> None:
        # More than are needed, so that they do not run out.
        self.timed.append(self.load(round(max(self.per_s, self.warm_up.per_s) * seconds * 1.5) + WARM_UP, seconds))

    @property
    def in_all(self) -> int:
        return sum(answered.right for answered in (self.warm_up, *self.timed))

    @property
    def per_s(self) -> float:
        timed = self.timed or [self.warm_up]
        return sum(answered.right for answered in timed) / sum(answered.seconds for answered in timed)


@contextmanager
def served(application: str, **environment: str) -> Iterator[int]:
    """The application, served by gunicorn on the port that is given."""
    arguments = ["--workers=2", "--worker-class=gthread", "--threads=4", "--log-level=warning"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", f"--bind=fd://{listener.fileno()}", *arguments, application],
            cwd=ROOT,
            env=os.environ | environment,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
        port: int = listener.getsockname()[1]
    try:
        yield port
    finally:
        process.terminate()  # it ends its workers, within its 30 seconds of grace
        process.wait(40)


def _last_page(people: Sequence[SimulatedPerson], port: int) -> list[Post]:
    """The last page of people who have answered the others."""
    begun = _begun(people, pages=3)
    return [_post(port, 4, person, "/daftar/surel/", draft) for person, draft in zip(people, begun, strict=True)]


def _one_insert(people: Sequence[SimulatedPerson], port: int) -> list[Post]:
    """The same for the bare view, which knows no drafts."""
    return [_post(port, 4, person, "/done/", Draft()) for person in people]


def _other_pages(people: Sequence[SimulatedPerson], port: int) -> list[Post]:
    """The pages before the last, as often each."""
    posts = []
    for page in (1, 2, 3):
        some = people[page - 1 :: 3]
        begun = _begun(some, pages=page - 1) if page > 1 else [None] * len(some)
        posts += [
            _post(port, page, person, f"/daftar/{page + 1}/", draft) for person, draft in zip(some, begun, strict=True)
        ]
    return posts


def _begun(people: Sequence[SimulatedPerson], *, pages: int) -> list[Draft]:
    """Sign-ups of these people, of which the first so many pages are answered."""
    return Draft.objects.bulk_create(
        drafts.begun(person.email, {name: value for page in _kept(person)[:pages] for name, value in page.items()})
        for person in people
    )


def _kept(person: SimulatedPerson) -> list[dict[str, Any]]:
    """What the first three pages keep of somebody."""
    return [
        {"email": person.email, "language": "id"},
        {
            "name": person.name,
            "nik": person.nik,
            "kk": person.kk,
            "birth_date": person.birth_date.isoformat(),
            "sex": person.sex,
        },
        {"phone": person.phone},
    ]


def _typed(person: SimulatedPerson, page: int) -> dict[str, Any]:
    """What somebody types there."""
    born = person.birth_date
    pages: list[dict[str, Any]] = [
        {"email": person.email},
        {
            "name": person.name,
            "nik": person.nik,
            "kk": person.kk,
            "birth_date_0": born.day,
            "birth_date_1": born.month,
            "birth_date_2": born.year,
            "sex": int(person.sex),
            "confirmed": "on",  # many a sub-district is made up
        },
        {"phone": person.phone},
        {
            "citizen": 1,
            "studying": int(person.studying),
            "education": int(person.education),
            "employment": int(person.employment),
            "province": int(person.province),
            "consent": "on",
        },
    ]
    return pages[page - 1]


def _post(port: int, page: int, person: SimulatedPerson, location: str, draft: Draft | None) -> Post:
    """The page as a browser sends it that has got this token and this cookie with the page."""
    visit = HttpRequest()
    body = urlencode({"csrfmiddlewaretoken": get_token(visit), **_typed(person, page)})
    cookie = f"csrftoken={visit.META['CSRF_COOKIE']}" + (f"; {COOKIE}={draft.pk}" if draft else "")
    path = "/daftar/" if page == 1 else f"/daftar/{page}/"
    head = HEAD.format(path=path, port=port, length=len(body), cookie=cookie)
    return Post((head + body).encode(), location.encode())

"""A write under a key happens once and is answered the same for ever, however often and however many at a time ask."""

import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.client import HTTPConnection, HTTPException

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from oauth2_provider.models import AccessToken

from foundation import pg
from foundation.models import SetAside
from partners.models import Call
from prakerja.celery import app
from tests.partners.cast import Api, api, make_partner, token_of
from tests.partners.matrix import World, by, each, everything, writes
from tests.processes import running, wait_until
from tests.proxy import proxied
from tests.waves.cast import put_the_databases_clock_on

ORDERS = "/api/v1/orders/"

pytestmark = pytest.mark.urls("tests.partners.shop")


@pytest.mark.django_db
def test_the_same_is_answered_the_same(caller):
    first = caller.write(ORDERS, {"subject": 5}, key="k")
    again = caller.write(ORDERS, {"subject": 5}, key="k")

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert first.headers["Location"] == again.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert SetAside.objects.count() == 1


@pytest.mark.django_db
def test_the_order_of_names_and_blanks_does_not_matter(caller):
    caller.post(ORDERS, b'{"subject": 5, "note": "x"}', content_type="application/json", HTTP_IDEMPOTENCY_KEY="k")
    again = caller.post(ORDERS, b'{"note":"x","subject":5}', content_type="application/json", HTTP_IDEMPOTENCY_KEY="k")

    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.django_db
def test_another_body_or_address_under_the_same_key_is_refused(caller):
    caller.write(ORDERS, {"subject": 5}, key="k")

    others = [
        caller.write(ORDERS, {"subject": 6}, key="k"),
        caller.write("/api/v1/orders/many/", {"subject": 5}, key="k"),
    ]

    assert {answer.status_code for answer in others} == {422}
    assert others[0].json()["type"] == "urn:prakerja:problem:idempotency-key-reused"
    assert SetAside.objects.count() == 1


def assert_kept(row, first, again, other):
    """The same body got the same answer, and another one none."""
    assert (first.status_code, again.status_code, other.status_code) == (row.status, row.status, 422)
    assert first.content == again.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.json()["type"] == "urn:prakerja:problem:idempotency-key-reused"


@pytest.mark.django_db
@pytest.mark.urls("prakerja.urls")
@each(writes("scope", "token"))
def test_of_every_write_it_is_so(row):
    world = World(row)
    caller, key = api(world.owner), {"HTTP_IDEMPOTENCY_KEY": "k"}
    first = world.ask(caller, world.own, **key)
    done = everything()

    again = world.ask(caller, world.own, **key)
    other = world.ask(caller, world.own, more={"note": "another"}, **key)

    assert_kept(row, first, again, other)
    assert everything() == done


def a_year_passes():
    """By the database's clock; and all that is done from time to time is done, whatever is forgotten by it."""
    put_the_databases_clock_on(timedelta(days=366))
    app.loader.import_default_modules()
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        app.tasks[entry["task"]]()
    assert not AccessToken.objects.exists()


@pytest.mark.django_db
@pytest.mark.urls("prakerja.urls")
@each(writes("scope", "token"))
def test_after_a_year_it_is_still_so(row):
    world, key = World(row), {"HTTP_IDEMPOTENCY_KEY": "k"}
    first = world.ask(api(world.owner), world.own, **key)

    a_year_passes()
    caller, done = Api(token_of(world.owner, seconds=2 * 366 * 86_400)), everything()
    again = world.ask(caller, world.own, **key)
    other = world.ask(caller, world.own, more={"note": "another"}, **key)

    assert_kept(row, first, again, other)
    assert everything() == done


@pytest.mark.django_db
@pytest.mark.urls("prakerja.urls")
@each(row for row in by("signed") if row.again == 409)
def test_what_was_used_by_a_signed_call_is_used_for_ever(row):
    world = World(row)
    first, second = (world.sign(world.owner, world.own) for _ in range(2))

    a_year_passes()
    again = world.sign(world.owner, world.own, at=int(pg.now().timestamp()))

    assert (first.status_code, second.status_code, again.status_code) == (row.status, row.again, row.again)
    assert first.json()["data"] == again.json()["data"]
    assert second.content == again.content


@pytest.mark.django_db
def test_another_partners_key_is_another_key(caller, other):
    caller.write(ORDERS, {"subject": 5}, key="k")
    theirs = api(other).write(ORDERS, {"subject": 6}, key="k")

    assert theirs.status_code == 201
    assert SetAside.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "with blank", "é", "x" * 256])
def test_a_key_is_needed_and_has_a_form(caller, key):
    answer = caller.write(ORDERS, {"subject": 5}, key=key)

    assert answer.status_code == 400
    assert "idempotency-key" in answer.json()["type"]
    assert not SetAside.objects.exists()


@pytest.mark.django_db
def test_a_refusal_undoes_what_was_written_and_stays(caller):
    first = caller.write(ORDERS, {"subject": 13}, key="k")
    again = caller.write(ORDERS, {"subject": 13}, key="k")

    assert first.status_code == again.status_code == 422
    assert first.json() == again.json()
    assert again.headers["Content-Type"] == "application/problem+json"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert not SetAside.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "status"), [({"subject": 14}, 409), ({"subject": 0}, 400), ({"subject": 15, "note": "x"}, 500)]
)
def test_what_may_go_well_the_next_time_is_not_kept(caller, body, status):
    caller.raise_request_exception = False

    assert caller.write(ORDERS, body, key="k").status_code == status
    assert not Call.objects.exists()
    assert not SetAside.objects.exists()
    assert caller.write(ORDERS, {"subject": 1}, key="k").status_code == 201


@pytest.mark.django_db
def test_files_count_by_what_is_in_them(caller):
    def send(content, key):
        file = SimpleUploadedFile("certificate.pdf", content)
        return caller.post("/api/v1/papers/", {"file": file}, format="multipart", HTTP_IDEMPOTENCY_KEY=key)

    first, again, other = send(b"abc", "k"), send(b"abc", "k"), send(b"abcd", "k")

    assert first.json() == again.json() == {"id": first.json()["id"], "subject": 3}
    assert other.status_code == 422


@pytest.mark.django_db
def test_what_is_kept_is_sealed_and_names_no_key(caller):
    caller.write(ORDERS, {"subject": 123456789}, key="the-partners-own-key")

    with connection.cursor() as cursor:
        cursor.execute("SELECT id::text || request::text || encode(answer, 'escape') FROM partners_call")
        kept = cursor.fetchone()[0]

    assert "123456789" not in kept
    assert "own-key" not in kept


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_are_one_act():
    token, start = token_of(make_partner()), threading.Barrier(50)

    def post(_number):
        start.wait()
        try:
            return Api(token).write(ORDERS, {"subject": 5, "slow": 0.05}, key="k")
        finally:
            connection.close()

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(post, range(50)))

    assert SetAside.objects.count() == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    made = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in made}) == 1
    in_flight = [answer for answer in answers if answer.status_code == 409]
    assert {answer.json()["type"] for answer in in_flight} <= {"urn:prakerja:problem:in-flight"}
    assert all(answer.headers["Retry-After"] == "1" for answer in in_flight)
    assert Api(token).write(ORDERS, {"subject": 5, "slow": 0.05}, key="k").content == made[0].content


@pytest.mark.django_db(transaction=True)
def test_fifty_keys_at_once_are_fifty_acts():
    token, start = token_of(make_partner()), threading.Barrier(50)

    def post(number):
        start.wait()
        try:
            return Api(token).write(ORDERS, {"subject": 5}, key=f"k{number}").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(50) as threads:
        assert set(threads.map(post, range(50))) == {201}

    assert SetAside.objects.count() == 50


@pytest.mark.django_db(transaction=True)
def test_whose_line_is_cut_after_the_act_gets_its_answer_by_asking_again(live_server):
    token, body = token_of(make_partner()), json.dumps({"subject": 5})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": "k"}

    with proxied((live_server.thread.host, live_server.thread.port)) as proxy, ThreadPoolExecutor(1) as thread:

        def post():
            line = HTTPConnection("127.0.0.1", proxy.port, timeout=60)
            line.request("POST", ORDERS, body, headers)
            answer = line.getresponse()
            return answer.status, answer.headers, answer.read()

        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE foundation_setaside IN SHARE MODE")
            first = thread.submit(post)
            wait_until(_somebody_waits, seconds=60, what="the act is under way")
            proxy.half_open()
        wait_until(Call.objects.exists, seconds=60, what="the act is done, and its answer swallowed")
        proxy.cut(reset=True)
        with pytest.raises((OSError, HTTPException)):
            first.result(60)

        status, told, content = post()

    assert (status, told["Idempotent-Replayed"], json.loads(content)["subject"]) == (201, "true", 5)
    assert SetAside.objects.count() == 1


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'foundation_setaside'::regclass AND NOT granted)"
        )
        return bool(cursor.fetchone()[0])


CALL = """
import django, sys
django.setup()
from django.conf import settings
settings.ROOT_URLCONF = "tests.partners.shop"
settings.ALLOWED_HOSTS = ["*"]
from tests.partners.cast import Api
Api(sys.argv[1]).write("/api/v1/orders/", {"subject": 5, "slow": 60}, key="k")
"""


@pytest.mark.django_db(transaction=True)
def test_a_process_that_dies_in_flight_has_done_nothing_and_the_next_one_acts(tmp_path):
    token = token_of(make_partner())

    with running("-c", CALL, token, log=tmp_path / "call.log") as process:
        wait_until(_somebody_acts, seconds=60, what="the call is in flight")
        meanwhile = Api(token).write(ORDERS, {"subject": 5, "slow": 60}, key="k")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    wait_until(lambda: not _somebody_acts(), seconds=20, what="the database has noticed")

    assert meanwhile.status_code == 409
    assert SetAside.objects.count() == 0
    after = Api(token).write(ORDERS, {"subject": 5}, key="k")
    assert after.status_code == 201
    assert json.loads(after.content)["subject"] == 5
    assert SetAside.objects.count() == 1


def _somebody_acts() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
            """
        )
        return bool(cursor.fetchone()[0])

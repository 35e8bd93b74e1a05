"""Whatever a service answers, trouble stays trouble: `Unavailable` or unknown, never a "no" and never a "yes"."""

import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from enum import Enum
from typing import Any, NamedTuple

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from foundation import email, sms
from foundation.email import HttpEmail, Mail
from foundation.http import JsonClient, echoed, masked
from foundation.services import Unavailable
from foundation.sms import HttpSms, Sms
from incentives.payout import HttpPayer, Order, Outcome, Query
from incentives.payout import Verdict as AccountVerdict
from prakerja.mockservices import Faults, serving
from tests.contracts.conftest import ScriptedServer, http
from verification.dukcapil import HttpDukcapil, Identity, Verdict

Records = list[dict[str, str]]


class Form(NamedTuple):
    """How one service is asked and answers."""

    under: str
    reference: str
    word: str
    yes: str
    no: str
    yes_means: Enum
    unknown: Enum
    ask: Callable[..., Sequence[Enum]]

    def answers(self, records: Records, said: str | None = None) -> Records:
        return [{self.reference: record[self.reference], self.word: said or self.no} for record in records]


def _match(url: str, n: int, **options: Any) -> Sequence[Enum]:
    return HttpDukcapil(url, **options).match([Identity(str(i), "1", "2", date(1990, 1, 1)) for i in range(n)])


def _mail(url: str, n: int, **options: Any) -> Sequence[Enum]:
    return HttpEmail(url, **options).send([Mail(str(i), "a@b.example", "s", "t") for i in range(n)])


def _text(url: str, n: int, **options: Any) -> Sequence[Enum]:
    return HttpSms(url, **options).send([Sms(str(i), "+628", "t") for i in range(n)])


def _check(url: str, n: int, **options: Any) -> Sequence[Enum]:
    return HttpPayer(url, **options).check([Query(str(i), "1", "2", "+628", 600_000) for i in range(n)])


def _orders(n: int) -> list[Order]:
    return [Order(str(i), "1", "2", 600_000) for i in range(n)]


def _pay(url: str, n: int, **options: Any) -> Sequence[Enum]:
    return HttpPayer(url, **options).pay(_orders(n))


def _outcomes(url: str, n: int, **options: Any) -> Sequence[Enum]:
    return HttpPayer(url, **options).outcomes(_orders(n))


FORMS = {
    "dukcapil": Form("answers", "id", "verdict", "match", "nik_unknown", Verdict.MATCH, Verdict.UNKNOWN, _match),
    "email": Form(
        "results", "reference", "status", "sent", "address_unknown", email.Delivery.SENT, email.Delivery.UNKNOWN, _mail
    ),
    "sms": Form(
        "results", "reference", "status", "accepted", "number_dead", sms.Delivery.ACCEPTED, sms.Delivery.UNKNOWN, _text
    ),
    "account check": Form(
        "results", "reference", "verdict", "fit", "inactive", AccountVerdict.FIT, AccountVerdict.UNKNOWN, _check
    ),
    "payout": Form("results", "reference", "status", "paid", "failed_full", Outcome.PAID, Outcome.UNKNOWN, _pay),
    "payout outcome": Form("results", "reference", "status", "paid", "not_found", Outcome.PAID, Outcome.UNKNOWN, _outcomes),
}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    return FORMS[request.param]


#: From a form and the records asked about to an answer that is worth nothing.
NONSENSE: dict[str, Callable[[Form, Records], bytes | None]] = {
    "hangs up": lambda form, records: None,
    "not HTTP": lambda form, records: b"SSH-2.0-OpenSSH\r\n",
    "half an answer": lambda form, records: http({form.under: form.answers(records)})[:-3],
    "500 with an answer in due form": lambda form, records: http(
        {form.under: form.answers(records)}, status="500 Internal Server Error"
    ),
    "404": lambda form, records: http({}, status="404 Not Found"),
    "401": lambda form, records: http({"error": "key"}, status="401 Unauthorized"),
    "201 with an answer in due form": lambda form, records: http({form.under: form.answers(records)}, status="201 Created"),
    "204": lambda form, records: http(b"", status="204 No Content"),
    "a redirect": lambda form, records: http(
        {form.under: form.answers(records)}, status="307 Temporary Redirect", headers="Location: /elsewhere\r\n"
    ),
    "HTML": lambda form, records: http(b"<html>Login</html>", content_type="text/html"),
    "HTML that says it is JSON": lambda form, records: http(b"<html>Login</html>"),
    "JSON that says it is HTML": lambda form, records: http({form.under: form.answers(records)}, content_type="text/html"),
    "nothing": lambda form, records: http(b""),
    "truncated JSON": lambda form, records: http(json.dumps({form.under: form.answers(records)}).encode()[:-4]),
    "two JSON values": lambda form, records: http(json.dumps({form.under: form.answers(records)}).encode() * 2),
    "not UTF-8": lambda form, records: http(b'{"' + form.under.encode() + b'": "\xff\xfe\xfa"}'),
    "packed": lambda form, records: http(
        gzip.compress(json.dumps({form.under: form.answers(records)}).encode()), headers="Content-Encoding: gzip\r\n"
    ),
    "a thousand brackets and more": lambda form, records: http(b"[" * 200_000),
    "null": lambda form, records: http(None),
    "a bare list": lambda form, records: http(form.answers(records)),
    "a number": lambda form, records: http(17),
    "an error with status 200": lambda form, records: http({"error": "try again"}),
    "an answer and an error": lambda form, records: http({form.under: form.answers(records), "error": "partial"}),
    "the list twice": lambda form, records: http(
        f'{{"{form.under}": [], "{form.under}": {json.dumps(form.answers(records))}}}'.encode()
    ),
    "no list": lambda form, records: http({form.under: {"0": form.no}}),
    "no answers": lambda form, records: http({form.under: []}),
    "answers without a reference": lambda form, records: http({form.under: [{form.word: form.no} for _ in records]}),
    "answers to others": lambda form, records: http(
        {form.under: [{**answer, form.reference: "x" + answer[form.reference]} for answer in form.answers(records)]}
    ),
    "references that are numbers": lambda form, records: http(
        {form.under: [{**answer, form.reference: int(answer[form.reference])} for answer in form.answers(records)]}
    ),
    "every answer twice": lambda form, records: http({form.under: form.answers(records) * 2}),
    "a yes and a no to all": lambda form, records: http(
        {form.under: form.answers(records, form.yes) + form.answers(records, form.no)}
    ),
    "words never agreed on": lambda form, records: http({form.under: form.answers(records, "probably")}),
    "our own word for unknown": lambda form, records: http({form.under: form.answers(records, "unknown")}),
    "words in capitals": lambda form, records: http({form.under: form.answers(records, form.no.upper())}),
    "words that are lists": lambda form, records: http(
        {form.under: [{**answer, form.word: [form.no]} for answer in form.answers(records)]}
    ),
    "a word that is null": lambda form, records: http(
        {form.under: [{**answer, form.word: None} for answer in form.answers(records)]}
    ),
    "no word": lambda form, records: http({form.under: [{form.reference: record[form.reference]} for record in records]}),
    "more fields than agreed on": lambda form, records: http(
        {form.under: [{**answer, "score": 0.4} for answer in form.answers(records)]}
    ),
    "an answer of 6 MB": lambda form, records: http({form.under: form.answers(records), "x": "x" * 6_000_000}),
    "white space without end": lambda form, records: (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b" " * 6_000_000
    ),
    "headers without end": lambda form, records: b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n{}",
}


@pytest.mark.parametrize("shape", NONSENSE)
def test_nonsense_is_unavailable(form: Form, scripted: ScriptedServer, shape: str):
    scripted.script = lambda records: NONSENSE[shape](form, records)

    with pytest.raises(Unavailable):
        form.ask(scripted.url, 3)


@pytest.mark.parametrize("shape", NONSENSE)
def test_nonsense_about_one_part_leaves_the_answers_to_the_others(form: Form, scripted: ScriptedServer, shape: str):
    def script(records: Records) -> bytes | None:
        if any(record[form.reference] == "2" for record in records):
            return NONSENSE[shape](form, records)
        return http({form.under: form.answers(records, form.yes)})

    scripted.script = script

    assert form.ask(scripted.url, 6, chunk=2) == [form.yes_means] * 2 + [form.unknown] * 2 + [form.yes_means] * 2


#: From the answers in due form to answers that are worth nothing where record 1 is concerned.
ONE_SPOILED: dict[str, Callable[[Form, Records], Any]] = {
    "missing": lambda form, answers: [answers[0], answers[2]],
    "doubled": lambda form, answers: [*answers, answers[1]],
    "contradicted": lambda form, answers: [*answers, {**answers[1], form.word: form.no}],
    "contradicted in another form": lambda form, answers: [*answers, {form.reference: "1", "error": "sorry"}],
    "echoed wrongly": lambda form, answers: [answers[0], {**answers[1], form.reference: "7"}, answers[2]],
    "swapped for nothing": lambda form, answers: [answers[0], None, answers[2]],
    "a list": lambda form, answers: [answers[0], ["1", form.no], answers[2]],
    "another word": lambda form, answers: [answers[0], {**answers[1], form.word: "deceased"}, answers[2]],
    "one field more": lambda form, answers: [answers[0], {**answers[1], "nik": "1"}, answers[2]],
}


@pytest.mark.parametrize("shape", ONE_SPOILED)
def test_one_spoiled_answer_leaves_the_others(form: Form, scripted: ScriptedServer, shape: str):
    scripted.script = lambda records: http({form.under: ONE_SPOILED[shape](form, form.answers(records, form.yes))})

    assert form.ask(scripted.url, 3) == [form.yes_means, form.unknown, form.yes_means]


def test_answers_in_another_order_find_their_records(form: Form, scripted: ScriptedServer):
    def script(records: Records) -> bytes:
        answers = [
            {form.reference: record[form.reference], form.word: form.no if record[form.reference] == "0" else form.yes}
            for record in records
        ]
        return http({form.under: answers[::-1]})

    scripted.script = script

    outcomes = form.ask(scripted.url, 3)

    assert outcomes[0] not in (form.yes_means, form.unknown)
    assert outcomes[1:] == [form.yes_means] * 2


def test_an_answer_about_another_call_does_not_count(form: Form, scripted: ScriptedServer):
    everybody = [{form.reference: str(n), form.word: form.no} for n in range(4)]
    scripted.script = lambda records: (
        http({form.under: everybody})
        if records[0][form.reference] == "0"
        else http({form.under: form.answers(records, form.yes)})
    )

    assert form.ask(scripted.url, 4, chunk=2)[2:] == [form.yes_means] * 2


def test_a_refused_request_is_unknown_but_the_service_is_there(form: Form, scripted: ScriptedServer):
    scripted.script = lambda records: http({"error": "malformed"}, status="422 Unprocessable Content")

    assert form.ask(scripted.url, 3) == [form.unknown] * 3


@pytest.mark.parametrize("adapter", [HttpDukcapil, HttpEmail, HttpSms, HttpPayer])
def test_who_sets_no_times_waits_2_s_for_a_connection_and_10_for_an_answer(adapter: Callable[[str], Any]):
    client = adapter("http://127.0.0.1")._client

    assert (client._connect_timeout, client._total_timeout) == (2.0, 10.0)


def test_a_slow_answer_is_unavailable_in_time(form: Form, scripted: ScriptedServer):
    scripted.script = lambda records: time.sleep(3)
    began = time.monotonic()

    with pytest.raises(Unavailable):
        form.ask(scripted.url, 3, total_timeout=0.3)
    assert time.monotonic() - began < 1.5


def test_an_answer_in_drips_is_unavailable_in_time(form: Form, dripping: str):
    began = time.monotonic()

    with pytest.raises(Unavailable):
        form.ask(dripping, 1, total_timeout=0.5)
    assert time.monotonic() - began < 2


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server that says one byte every 50 ms, for as long as somebody listens."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
            while True:
                connection.sendall(b" ")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield "http://{}:{}".format(*listening.getsockname())
        thread.join(5)


def test_nobody_listening_is_unavailable(form: Form):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    with pytest.raises(Unavailable):
        form.ask(f"http://127.0.0.1:{port}", 1)


def test_the_reason_holds_nothing_personal(scripted: ScriptedServer):
    scripted.script = lambda records: http({"error": "siti@warga.example"}, status="500 Oops siti@warga.example")

    with pytest.raises(Unavailable) as trouble:
        HttpEmail(scripted.url).send([Mail("1", "siti@warga.example", "s", "t")])

    assert "siti" not in str(trouble.value)


@pytest.mark.parametrize("shape", ["HTML", "truncated JSON", "another form", "a foreign field", "refused"])
def test_of_a_wrong_answer_a_sample_is_logged_that_holds_nothing_personal(
    scripted: ScriptedServer, caplog: pytest.LogCaptureFixture, shape: str
):
    personal = {"nik": "3175031234560000", "nama": "Siti Rahayu", "surel": "siti@warga.example"}
    entry = {"id": "0", "verdict": "match"}
    scripted.script = lambda records: {
        "HTML": http(f"<b>{personal}</b>".encode(), content_type="text/html"),
        "truncated JSON": http(json.dumps({"answers": [personal]}).encode()[:-2]),
        "another form": http({"answers": [entry]} | personal),
        "a foreign field": http({"answers": [entry | personal]}),
        "refused": http(personal, status="422 Unprocessable Content"),
    }[shape]

    with suppress(Unavailable):
        _match(scripted.url, 1)

    assert "xxxx" in caplog.text, "its form is kept"
    assert "9999" in caplog.text
    assert not re.search(r"siti|rahayu|warga|3175", caplog.text, re.IGNORECASE)


def test_what_is_logged_of_an_answer_keeps_its_form_only():
    assert masked(b'{"nik": "3175031234560000", "nama": "Siti"}') == '{"xxx": "9999999999999999", "xxxx": "xxxx"}'


# Waiting


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        (lambda: "7", 7, 7),
        (lambda: in_seconds(60), 55, 61),
        (lambda: "0", 1, 1),
        (lambda: in_seconds(-60), 1, 1),
        (lambda: "999999", 3600, 3600),
    ],
)
def test_the_service_says_when_to_come_back(
    scripted: ScriptedServer, status: str, value: Callable[[], str], least: float, most: float
):
    scripted.script = lambda records: http({}, status=status, headers=f"Retry-After: {value()}\r\n")

    with pytest.raises(Unavailable) as trouble:
        _match(scripted.url, 1)

    assert least <= (trouble.value.retry_after or 0) <= most


@pytest.mark.parametrize("value", ["", "soon", "-5", "1e9", "Thu, 99 Foo 2020", "²"])
def test_a_nonsense_time_is_no_time(scripted: ScriptedServer, value: str):
    scripted.script = lambda records: http({}, status="429 Too Many Requests", headers=f"Retry-After: {value}\r\n")

    with pytest.raises(Unavailable) as trouble:
        _match(scripted.url, 1)

    assert trouble.value.retry_after is None


def test_a_service_that_asks_us_to_wait_is_left_alone(scripted: ScriptedServer):
    scripted.script = lambda records: http({}, status="429 Too Many Requests", headers="Retry-After: 30\r\n")
    dukcapil = HttpDukcapil(scripted.url, chunk=1, concurrency=1)
    asked = [Identity(str(n), "1", "2", date(1990, 1, 1)) for n in range(5)]

    for _ in range(2):
        with pytest.raises(Unavailable) as trouble:
            dukcapil.match(asked)
        assert 29 < (trouble.value.retry_after or 0) <= 30

    assert len(scripted.calls) == 1


def test_a_batch_that_takes_too_long_is_asked_about_no_further(scripted: ScriptedServer):
    def script(records: Records) -> bytes:
        time.sleep(0.2)
        return http({"answers": FORMS["dukcapil"].answers(records, "match")})

    scripted.script = script

    verdicts = _match(scripted.url, 10, chunk=1, concurrency=2, patience=0.3)

    assert verdicts[:2] == [Verdict.MATCH] * 2
    assert verdicts[-2:] == [Verdict.UNKNOWN] * 2


# What goes out


def test_every_record_goes_out_once_with_the_key(form: Form, scripted: ScriptedServer):
    scripted.script = lambda records: http({form.under: form.answers(records, form.yes)})

    form.ask(scripted.url, 10, chunk=4, key="secret")

    assert sorted(record[form.reference] for _, _, records in scripted.calls for record in records) == list("0123456789")
    assert all(headers["authorization"] == "Bearer secret" for _, headers, _ in scripted.calls)
    assert len({path for path, _, _ in scripted.calls}) == 1


def test_two_records_with_one_reference_are_an_error_of_ours_and_nothing_goes_out(scripted: ScriptedServer):
    with pytest.raises(ValueError, match="same reference"):
        HttpSms(scripted.url).send([Sms("a", "+628", "t"), Sms("a", "+629", "t")])

    assert scripted.calls == []


def test_an_answer_is_read_up_to_5_mb_only(scripted: ScriptedServer):
    scripted.script = lambda records: http(["x" * int(records[0]["size"])])
    client = JsonClient(scripted.url)

    assert len(client.post("/", {"records": [{"size": "4900000"}]})[0]) == 4_900_000
    with pytest.raises(Unavailable, match="too large"):
        client.post("/", {"records": [{"size": "5000000"}]})


def test_a_redirect_is_not_followed(scripted: ScriptedServer):
    scripted.script = lambda records: http({}, status="307 Temporary Redirect", headers=f"Location: {scripted.url}/x\r\n")

    with pytest.raises(Unavailable, match="307"):
        JsonClient(scripted.url).post("/", {"records": []})

    assert [path for path, _, _ in scripted.calls] == ["/"]


def test_cookies_are_not_kept(scripted: ScriptedServer):
    scripted.script = lambda records: http({}, headers="Set-Cookie: who=you\r\n")
    client = JsonClient(scripted.url)

    client.post("/", {"records": []})
    client.post("/", {"records": []})

    assert all("cookie" not in headers for _, headers, _ in scripted.calls)


# All answers there are

_references = st.sampled_from(["0", "1", "2", "3"])
_entries = st.one_of(
    st.fixed_dictionaries({"id": _references, "verdict": st.sampled_from(["yes", "no", "maybe"])}),
    st.dictionaries(
        st.sampled_from(["id", "verdict", "x"]), st.one_of(_references, st.just("yes"), st.integers(), st.none())
    ),
    st.one_of(st.none(), st.integers(), st.text(max_size=3), st.lists(st.text(max_size=2), max_size=2)),
)


@given(st.lists(_entries, max_size=8))
def test_only_what_is_said_once_and_in_due_form_counts(entries: list[Any]):
    found = echoed({"answers": entries}, under="answers", reference="id", word="verdict", words={"yes": True, "no": False})

    for reference in "0123":
        about = [entry for entry in entries if isinstance(entry, dict) and entry.get("id") == reference]
        fair = len(about) == 1 and len(about[0]) == 2 and about[0].get("verdict") in ("yes", "no")
        assert found.get(reference) is (about[0]["verdict"] == "yes" if fair else None)


# The mock services' own trouble


def _asked_until_known(url: str, n: int) -> list[Enum]:
    """As the pipeline asks: whoever is unknown is asked about again."""
    verdicts: dict[str, Verdict] = {}
    dukcapil = HttpDukcapil(url, chunk=5, concurrency=2)
    everybody = [Identity(str(i), "1", "2", date(1990, 1, 1)) for i in range(n)]
    while asked := [identity for identity in everybody if identity.reference not in verdicts]:
        try:
            answers = dukcapil.match(asked)
        except Unavailable as trouble:
            time.sleep(trouble.retry_after or 0)
            continue
        pairs = zip(asked, answers, strict=True)
        verdicts |= {identity.reference: verdict for identity, verdict in pairs if verdict is not Verdict.UNKNOWN}
    return list(verdicts.values())


@pytest.mark.parametrize(
    "faults",
    [
        Faults(fail_percent=40, seed=1),
        Faults(wrong_schema_percent=40, seed=2),
        Faults(too_many_percent=8, fail_percent=30, wrong_schema_percent=5, latency_ms=2, seed=3),
        Faults(outages=[(0, 1.2)]),
    ],
    ids=["5xx", "wrong schema", "everything", "outage"],
)
def test_through_all_trouble_everybody_gets_their_own_verdict(faults: Faults):
    with serving(faults) as server:
        assert _asked_until_known(server.url, 100) == [Verdict.NIK_UNKNOWN] * 100


def test_an_outage_ends_when_it_says():
    with serving(Faults(outages=[(0, 1)])) as server:
        answer = requests.post(server.url + "/dukcapil/v1/match", json={"requests": []}, timeout=5)

        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"requests": [1]}', b'{"requests": [{"id": "1"}]}', b"\xff"])
def test_a_malformed_request_is_refused(body: bytes):
    with serving() as server:
        assert requests.post(server.url + "/dukcapil/v1/match", data=body, timeout=5).status_code == 400


def test_what_was_delivered_can_be_looked_at():
    with serving() as server:
        HttpEmail(server.url).send([Mail("1", "siti@warga.example", "Halo", "Apa kabar?")])
        HttpSms(server.url).send([Sms("a", "+6281234567890", "123456")])

        assert requests.get(server.url + "/healthz", timeout=5).json() == {"status": "ok"}
        assert requests.get(server.url + "/mailbox", timeout=5).json() == {
            "messages": [{"reference": "1", "to": "siti@warga.example", "subject": "Halo", "text": "Apa kabar?"}]
        }
        assert [sms["text"] for sms in requests.get(server.url + "/phone", timeout=5).json()["messages"]] == ["123456"]

"""The whole API is asked whatever its schema allows, and more: nothing undocumented comes back, and no error of ours."""

import io
import secrets

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from foundation.pg import now
from partners import limits
from prakerja.wsgi import application
from tests.partners.cast import COMMIT, an_address, make_partner, signed, token_of
from tests.partners.matrix import ROWS, World, by, each

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.missing_required_header,
    checks.ignored_auth,  # of signatures; it knows no OAuth 2.0, and `test_authorisation.py` asks without tokens
    checks.unsupported_method,
    checks.allow_header_conformance,
]
TOKEN = "/api/v1/oauth/token"
#: Of each endpoint, beside those that cover its parameters one by one.
EXAMPLES = 5

pytestmark = pytest.mark.django_db


#: What a call says in place of a token or a signature: they are put in as it is sent.
OURS = "of-the-one-whose-world-it-is"


class Ours:
    """Has calls say that they are from the one whose world it is."""

    def get(self, case, context):
        if "/integration/" in case.operation.path:
            return {"client_code": "mandiri", "timestamp": "0", "signature": OURS}
        return {"Authorization": f"Bearer {OURS}"}

    def set(self, case, data, context):
        case.headers.update(data)


def as_a_partner(environ, start_response):
    """The site, to the one whose world it is: it has a token, and signs where that is wanted.

    Each call is from another address: those that show what a wrong token or signature is answered are not held against it.
    """
    environ["REMOTE_ADDR"] = an_address()
    if environ.get("HTTP_SIGNATURE") == OURS:
        partner = make_partner("mandiri")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        environ |= signed(partner, environ["REQUEST_METHOD"], path, body, at=int(now().timestamp()))
    if environ.get("HTTP_AUTHORIZATION") == f"Bearer {OURS}":
        environ["HTTP_AUTHORIZATION"] = f"Bearer {token_of(make_partner('mandiri'))}"
    key = environ.get("HTTP_IDEMPOTENCY_KEY", "")
    if 1 <= len(key) <= 255 and all("!" <= sign <= "~" for sign in key):
        # The same key for all that is sent would have nothing done.
        environ["HTTP_IDEMPOTENCY_KEY"] = secrets.token_hex(8)
    return application(environ, start_response)


@pytest.fixture(autouse=True)
def _one_connection(db):
    """All calls of a test are in its transaction: a call's end must not close the connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def world(request, db):
    """What the partner has that the endpoint is about."""
    [row] = [row for row in ROWS if row.name == request.node.operation_label]
    return World(row)


def has_rows(case):
    """A bad row is told in its place, and the call as a whole is well."""
    return isinstance(case.body, dict) and "items" in case.body


def about_ones_own(case, names):
    """The same call about the partner's own: path, body or first item name it; none: they name nothing."""
    path, body = _named(case.path_parameters, names), _named(case.body, names)
    if has_rows(case) and isinstance(case.body["items"], list):
        first, others = case.body["items"][:1], case.body["items"][1:]
        body = case.body | {"items": [_named(item, names) for item in first] + others}
    if (path, body) == (case.path_parameters, case.body):
        return None
    own = case.derive(keep_auth=True)
    own.path_parameters, own.body = path, body
    return own


def _named(said, names):
    return said | {name: names[name] for name in names.keys() & said.keys()} if isinstance(said, dict) else said


def bounded(examples):
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )


to_a_partner = schemathesis.openapi.from_wsgi("/api/v1/schema/", as_a_partner)
to_a_partner.auth()(Ours)
rejection = to_a_partner.config.checks.negative_data_rejection
rejection.expected_statuses = [*rejection.expected_statuses, "413"]  # what is too large is rejected as well
to_a_stranger = schemathesis.openapi.from_wsgi("/api/v1/schema/", application)
to_a_stranger.config.phases.coverage.enabled = False  # who is not known does not get as far as the parameters


@to_a_partner.parametrize()
@bounded(EXAMPLES)
def test_a_partner_is_answered_as_documented(case, world):
    own = about_ones_own(case, world.names)

    # Each row has a result of its own: the others are asked beside the one that is about one's own.
    if not (own and has_rows(case)):
        case.call_and_validate(checks=CHECKS, excluded_checks=[checks.negative_data_rejection] if has_rows(case) else [])
    if own:
        # What was wrong with the call may be right now.
        own.call_and_validate(checks=CHECKS, excluded_checks=[checks.negative_data_rejection])


@each(by("scope", "token", "signed"))
def test_what_is_right_and_about_ones_own_is_answered_as_documented_and_so_is_its_repetition(row):
    world = World(row)
    body, sent = world.body(), {}
    if body is not None:
        read = {name: value.read() if hasattr(value, "read") else value for name, value in body.items()}
        sent = {"body": read, "media_type": row.content_type}
    names = {name: value for name, value in world.names.items() if f"{{{name}}}" in row.path}
    case = to_a_partner[row.path][row.method].Case(path_parameters=names, headers={"Idempotency-Key": "k"}, **sent)

    answers = [case.call_and_validate(checks=CHECKS, headers=Ours().get(case, None)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [row.status, row.again or row.status]
    assert '"refused"' not in answers[0].text


@to_a_stranger.parametrize()
@bounded(3)
def test_a_stranger_is_answered_as_documented(case):
    case.call_and_validate(checks=CHECKS)


def wrong_secret():
    form = {"grant_type": "client_credentials", "client_id": secrets.token_hex(8), "client_secret": "wrong"}
    return to_a_stranger[TOKEN]["POST"].Case(body=form, media_type="application/x-www-form-urlencoded")


def wrong_signature():
    headers = {"client-code": secrets.token_hex(8), "timestamp": str(int(now().timestamp())), "signature": "0" * 40}
    return to_a_stranger[COMMIT]["POST"].Case(headers=headers, body={"redeem_code": "A"}, media_type="application/json")


@pytest.mark.parametrize("wrong", [wrong_secret, wrong_signature])
def test_who_has_failed_too_often_is_answered_as_documented(wrong):
    case = wrong()

    answers = [case.call_and_validate(checks=CHECKS) for _ in range(limits.FAILURES + 1)]

    assert [answer.status_code for answer in answers] == [401] * limits.FAILURES + [429]

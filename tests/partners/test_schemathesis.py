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
from prakerja.wsgi import application
from tests.partners.cast import make_partner, signed, token_of

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.allow_header_conformance,
]
#: Of each endpoint, beside those that cover its parameters one by one.
EXAMPLES = 5

pytestmark = pytest.mark.django_db


def as_a_partner(environ, start_response):
    """The site, to somebody who has a token and signs where that is wanted."""
    if environ["PATH_INFO"] == "/api/v1/schema/":
        return application(environ, start_response)
    partner = make_partner(platform=True, provider=True, payer=True)
    if "/integration/" in environ["PATH_INFO"]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        environ |= signed(partner, environ["REQUEST_METHOD"], path, body, at=int(now().timestamp()))
    else:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {token_of(partner)}"
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


def has_rows(case):
    """A bad row is told in its place, and the call as a whole is well."""
    return isinstance(case.body, dict) and "items" in case.body


def bounded(examples):
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )


to_a_partner = schemathesis.openapi.from_wsgi("/api/v1/schema/", as_a_partner)
to_a_stranger = schemathesis.openapi.from_wsgi("/api/v1/schema/", application)
to_a_stranger.config.phases.coverage.enabled = False  # who is not known does not get as far as the parameters


@to_a_partner.parametrize()
@bounded(EXAMPLES)
def test_a_partner_is_answered_as_documented(case):
    case.call_and_validate(checks=CHECKS, excluded_checks=[checks.negative_data_rejection] if has_rows(case) else [])


@to_a_stranger.parametrize()
@bounded(3)
def test_a_stranger_is_answered_as_documented(case):
    case.call_and_validate(checks=CHECKS)

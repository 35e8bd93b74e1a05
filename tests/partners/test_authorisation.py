"""The whole API, by its schema: who may do what, to whose; an endpoint that nobody has thought about fails here.

Rows come from `tests/<app>/authorisation.py`.
"""

import json
from importlib import import_module
from importlib.util import find_spec

import pytest
from django.apps import apps
from drf_spectacular.generators import SchemaGenerator

from partners.scopes import Scope
from tests.partners.authorisation import Row
from tests.partners.cast import Api, api, make_partner, signed

pytestmark = pytest.mark.django_db

ROWS: list[Row] = [
    row
    for app in sorted(config.label for config in apps.get_app_configs())
    if find_spec(f"tests.{app}") and find_spec(f"tests.{app}.authorisation")
    for row in import_module(f"tests.{app}.authorisation").ROWS
]
METHODS = ("get", "post", "put", "patch", "delete")


def named(row):
    return f"{row.method} {row.path}"


def endpoints():
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return [
        (method.upper(), path, operation)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        if method in METHODS
    ]


def test_every_endpoint_of_the_schema_has_a_row_and_every_row_an_endpoint():
    asked = {f"{method} {path}" for method, path, _ in endpoints()}
    known = [named(row) for row in ROWS]

    assert asked - set(known) == set(), "say who may do this: in tests/<app>/authorisation.py"
    assert set(known) - asked == set()
    assert len(known) == len(set(known))


def test_the_schema_names_the_scope_that_the_row_names():
    rows = {named(row): row for row in ROWS}
    for method, path, operation in endpoints():
        row = rows[f"{method} {path}"]
        needed = [scope for way in operation.get("security", []) for scope in way.get("token", [])]
        if isinstance(row.opened_by, Scope):
            assert needed == [row.opened_by], named(row)
        elif row.opened_by in ("open", "signed", "token"):
            assert needed == [], named(row)


# Asking


class World:
    """A partner whose object it is, and one who has nothing to do with it."""

    def __init__(self, row):
        self.owner = make_partner("tokopedia", platform=True, provider=True, payer=True)
        self.stranger = make_partner("bukalapak", platform=True, provider=True, payer=True)
        self.row = row
        for partner in (self.owner, self.stranger):
            row.given(partner)
        self.params = row.own(self.owner)
        self.own = self.address(self.params)

    def address(self, params):
        return self.row.path.format(**params)

    def ask(self, caller, address, partner=None):
        body = self.row.body(partner or self.owner) if callable(self.row.body) else self.row.body
        if self.row.method == "GET":
            return caller.get(address)
        if self.row.content_type != "application/json":
            if isinstance(body, dict):
                return caller.generic(self.row.method, address, *_multipart(body))
            return caller.generic(self.row.method, address, body or "", self.row.content_type)
        return caller.generic(self.row.method, address, "" if body is None else json.dumps(body), "application/json")

    def sign(self, partner, address):
        body = self.row.body(partner) if callable(self.row.body) else self.row.body
        caller = Api()
        content = json.dumps(body)
        return caller.generic(
            "POST", address, content, "application/json", **signed(partner, "POST", address, content.encode())
        )


def _multipart(body):
    from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

    return encode_multipart(BOUNDARY, body), MULTIPART_CONTENT


def by(*kinds):
    return [row for row in ROWS if ("scope" if isinstance(row.opened_by, Scope) else row.opened_by) in kinds]


def each(rows):
    return pytest.mark.parametrize("row", [pytest.param(row, id=named(row)) for row in rows])


@each(by("scope", "token", "staff", "signed"))
def test_nobody_is_told_nothing(row):
    world = World(row)

    answers = [world.ask(Api(), world.own), world.ask(Api("made-up"), world.own)]

    assert {answer.status_code for answer in answers} == {401}
    assert all("items" not in answer.json() for answer in answers)


@each(by("scope"))
def test_every_other_scope_is_not_enough(row):
    world = World(row)
    others = [scope for scope in Scope if scope != row.opened_by]

    assert world.ask(api(world.owner, *others), world.own).status_code == 403


@each(by("scope"))
def test_the_scope_alone_is_enough_for_ones_own(row):
    world = World(row)

    assert world.ask(api(world.owner, row.opened_by), world.own).status_code == row.status


@each(by("token"))
def test_any_token_of_a_partners_is_enough(row):
    world = World(row)

    for scope in Scope:
        assert world.ask(api(world.owner, scope), world.own).status_code == row.status


@each([row for row in by("scope") if row.absent])
def test_anothers_and_what_is_not_there_are_the_same(row):
    world = World(row)

    theirs = world.ask(api(world.stranger), world.own, world.stranger)
    absent = world.ask(api(world.owner), world.address(row.absent))

    assert theirs.status_code == absent.status_code == 404
    assert theirs.json() == absent.json()


@each([row for row in by("scope", "token") if row.method == "GET" and not row.absent])
def test_a_list_holds_nothing_of_anothers(row):
    world = World(row)

    theirs = world.ask(api(world.stranger), world.own).json()

    assert str(world.owner.pk) not in json.dumps(theirs)


def test_a_row_about_an_object_says_which_one_is_absent():
    assert [named(row) for row in ROWS if "{" in row.path and not row.absent and row.opened_by != "open"] == []


@each(by("signed"))
def test_a_signed_call_is_answered_and_a_token_is_none(row):
    world = World(row)

    assert world.sign(world.owner, world.own).status_code == row.status
    assert world.ask(api(world.owner), world.own).status_code == 401


@each(by("open"))
def test_what_is_open_is_answered_to_whoever_comes(row):
    world = World(row)

    assert world.ask(Api(), world.own).status_code == row.open_status


def test_the_funnel_is_for_staff_and_for_its_scope(admin_client, client, django_user_model):
    url, partner = "/api/v1/funnel/", make_partner()
    client.force_login(django_user_model.objects.create_user("warga"))

    assert admin_client.get(url).status_code == 200
    assert client.get(url).status_code == 403
    assert api(partner, Scope.FUNNEL_READ).get(url).status_code == 200
    assert api(partner, Scope.WEBHOOKS_READ).get(url).status_code == 403
    assert Api().get(url).status_code == 401


@each(by("scope", "token", "signed"))
def test_staff_are_not_partners(row, admin_client):
    world = World(row)

    assert world.ask(admin_client, world.own).status_code == 401


@each(by("scope", "token"))
def test_every_write_needs_a_key(row):
    if row.method == "GET":
        return
    world = World(row)
    caller = api(world.owner, row.opened_by)
    caller.defaults["HTTP_IDEMPOTENCY_KEY"] = ""

    answer = caller.generic(row.method, world.own, "{}", row.content_type, HTTP_IDEMPOTENCY_KEY="")

    assert answer.status_code == 400
    assert answer.json()["type"] in ("urn:prakerja:problem:idempotency-key-missing", "urn:prakerja:problem:bad-request")


@each(by("scope", "token"))
def test_an_unknown_parameter_is_refused(row):
    world = World(row)

    answer = world.ask(api(world.owner, row.opened_by), f"{world.own}?is_admin=1")

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["is_admin"]


@each(
    [
        row
        for row in by("scope", "token")
        if isinstance(row.body, dict) and "items" not in row.body and row.content_type == "application/json"
    ]
)
def test_fields_that_are_not_the_callers_to_set_are_refused(row):
    world = World(row)
    model_fields = {field.name for app in ("partners", "trainings", "incentives") for field in _fields(app)}
    extra = sorted(model_fields - set(row.body))
    body = row.body | dict.fromkeys(extra, 1)

    answer = api(world.owner, row.opened_by).generic(row.method, world.own, json.dumps(body), "application/json")

    assert answer.status_code == 400
    # Whether what it does take is right or wrong there: nothing else is taken silently.
    assert {"is_active", "partner", "state"} - set(row.body) <= set(answer.json()["errors"])


def _fields(app):
    return [field for model in apps.get_app_config(app).get_models() for field in model._meta.fields]

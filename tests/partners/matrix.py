"""The rows of all apps, and asking as they say: who may do what, to whose."""

import json
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from drf_spectacular.generators import SchemaGenerator

from partners.scopes import Scope
from tests.partners.authorisation import Row
from tests.partners.cast import Api, make_partner, signed

ROWS: list[Row] = [
    row
    for app in sorted(config.label for config in apps.get_app_configs())
    if find_spec(f"tests.{app}") and find_spec(f"tests.{app}.authorisation")
    for row in import_module(f"tests.{app}.authorisation").ROWS
]
PARTS = ("platform", "provider", "payer")
METHODS = ("get", "post", "put", "patch", "delete")


def by(*kinds):
    """The rows that are opened in one of these ways: "scope" is any scope."""
    return [row for row in ROWS if ("scope" if isinstance(row.opened_by, Scope) else row.opened_by) in kinds]


def writes(*kinds):
    return [row for row in by(*kinds) if row.method != "GET"]


def with_items():
    return [row for row in ROWS if row.item]


def with_a_body_about_something():
    return [row for row in ROWS if callable(row.body)]


def lists():
    return [row for row in ROWS if row.shows]


def each(rows):
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows])


class World:
    """A partner whose object it is, in these parts of the programme, and one who has nothing to do with it, in all."""

    def __init__(self, row: Row, parts: Sequence[str] = PARTS) -> None:
        self.owner = make_partner("mandiri", **{part: part in parts for part in PARTS})
        self.stranger = make_partner("linkaja", **dict.fromkeys(PARTS, True))
        self.row = row
        for partner in (self.owner, self.stranger):
            row.given(partner)
        self.names = row.own(self.owner)
        self.own = self.address(self.names)

    def address(self, names):
        return self.row.path.format(**names)

    def body(self, names: dict[str, Any] | None = None) -> Any:
        """What is sent about what these names name; without any, the owner's object."""
        if self.row.item:
            return {"items": [self.row.item(names or self.names)]}
        return self.row.body(names or self.names) if callable(self.row.body) else self.row.body

    def ask(self, caller, address, names=None, *, more=None, **headers):
        """`more`: what is sent beside what the body says."""
        method, form = self.row.method, self.row.content_type
        if method == "GET":
            return caller.get(address)
        body = self.body(names)
        if more:
            body = (body or {}) | more
        if form == "application/json":
            return caller.generic(method, address, "" if body is None else json.dumps(body), form, **headers)
        if isinstance(body, dict):
            return caller.generic(method, address, encode_multipart(BOUNDARY, body), MULTIPART_CONTENT, **headers)
        return caller.generic(method, address, body, form, **headers)

    def sign(self, partner, address, names=None, *, at=0):
        """`at`: when, in Unix seconds; 0: now."""
        content = json.dumps(self.body(names))
        headers = signed(partner, "POST", address, content.encode(), at=at)
        return Api().generic("POST", address, content, "application/json", **headers)


def everything():
    """All rows of all tables, as text."""
    with connection.cursor() as cursor:
        found = set()
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT row::text FROM {connection.ops.quote_name(table)} row")
            found |= {(table, text) for (text,) in cursor.fetchall()}
        return found


# What the schema says


class Endpoint:
    """A method of an address, as the schema has it."""

    def __init__(self, method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
        self.name, self.operation, self._schemas = f"{method.upper()} {path}", operation, schemas

    @property
    def scopes(self) -> list[str]:
        return [scope for way in self.operation.get("security", []) for scope in way.get("token", [])]

    @property
    def needed_headers(self) -> set[str]:
        said = self.operation.get("parameters", [])
        return {parameter["name"] for parameter in said if parameter["in"] == "header" and parameter.get("required")}

    @property
    def fields(self) -> dict[str, Any]:
        """Of what is sent, in whatever form."""
        forms = [said["schema"] for said in self.operation.get("requestBody", {}).get("content", {}).values()]
        return {name: field for form in forms for name, field in self._of(form).get("properties", {}).items()}

    @property
    def item(self) -> dict[str, Any] | None:
        """The form of its items; none: it takes none."""
        items = self.fields.get("items", {})
        return self._of(items["items"]) if items.get("type") == "array" else None

    def objects(self, form: dict[str, Any], place: tuple[str, ...] = ()) -> dict[tuple[str, ...], set[str]]:
        """Where in a value of this form objects stand, itself one, and the names of their fields."""
        fields = {name: self._of(field) for name, field in form.get("properties", {}).items()}
        if not fields:
            return {}
        found = {place: set(fields)}
        for name, field in fields.items():
            found |= self.objects(field, (*place, name))
        return found

    def _of(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A schema, wherever it stands; where there may be nothing, that of what may be there."""
        for choice in (*schema.get("allOf", []), *schema.get("oneOf", []), *schema.get("anyOf", [])):
            if "$ref" in choice:
                schema = choice
        if "$ref" in schema:
            return self._of(self._schemas[schema["$ref"].rpartition("/")[2]])
        return schema


def endpoints(urlconf: str | None = None) -> dict[str, Endpoint]:
    """All of them, by name; `urlconf`: another site's."""
    schema = SchemaGenerator(urlconf=urlconf).get_schema(request=None, public=True)
    found = [
        Endpoint(method, path, operation, schema["components"]["schemas"])
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        if method in METHODS
    ]
    return {endpoint.name: endpoint for endpoint in found}

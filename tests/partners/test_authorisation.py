"""The whole API, by its schema: who may do what, to whose; an endpoint that nobody has thought about fails here.

Rows come from `tests/<app>/authorisation.py`.
"""

import json
import re

import pytest
from django.apps import apps
from rest_framework.test import APIClient

from partners.scopes import Scope
from tests.conftest import ROOT
from tests.partners.cast import Api, api, make_partner, token_of
from tests.partners.matrix import (
    PARTS,
    ROWS,
    World,
    by,
    each,
    endpoints,
    everything,
    lists,
    with_a_body_about_something,
    with_items,
    writes,
)

pytestmark = pytest.mark.django_db


def without_a_row(asked):
    return set(asked) - {row.name for row in ROWS}


def test_every_endpoint_of_the_schema_has_a_row_and_every_row_an_endpoint():
    known = [row.name for row in ROWS]

    assert without_a_row(endpoints()) == set(), "say who may do this: in tests/<app>/authorisation.py"
    assert set(known) - endpoints().keys() == set()
    assert len(known) == len(set(known))


def test_an_endpoint_that_nobody_has_thought_about_is_found():
    with_a_shop = endpoints("tests.partners.shop")

    assert without_a_row(with_a_shop) == {
        "GET /api/v1/orders/",
        "POST /api/v1/orders/",
        "POST /api/v1/orders/many/",
        "POST /api/v1/papers/",
        "GET /api/v1/forgotten/",
    }
    assert {name for name, endpoint in with_a_shop.items() if endpoint.item} - {row.name for row in with_items()} == {
        "POST /api/v1/orders/many/"
    }


def test_every_endpoint_that_takes_items_says_what_they_are_about():
    taking = {name for name, endpoint in endpoints().items() if endpoint.item}

    assert taking == {row.name for row in with_items()}, "say what an item names: `own`, `absent`, `item`"
    assert [row.name for row in with_items() if not row.absent or row.body is not None] == []


def test_every_body_that_names_an_object_says_which_one_is_absent():
    naming = {name for row in ROWS for name in row.absent}
    found = {name for name, endpoint in endpoints().items() if naming & endpoint.fields.keys()}

    assert found == {row.name for row in with_a_body_about_something()}, "say what the body names: `own`, `absent`, `body`"
    assert [row.name for row in with_a_body_about_something() if not row.absent] == []


def test_every_list_says_what_it_shows():
    known = [row for row in by("scope", "token") if row.method == "GET" and not row.path.endswith("}/")]

    assert known == lists(), "say what stands in the list: `shows`, and in `own`, `listed`"


def test_the_schema_names_the_scope_that_the_row_names():
    found = endpoints()
    for row in ROWS:
        if isinstance(row.opened_by, Scope):
            assert found[row.name].scopes == [row.opened_by], row.name
        elif row.opened_by in ("open", "signed", "token"):
            assert found[row.name].scopes == [], row.name


# Asking


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


def parts_of_scopes():
    """Who may be allowed what, as docs/partners.md tells partners."""
    table = (ROOT / "docs/partners.md").read_text().split("\n| scope | for |")[1].split("\n\n")[0]
    found = {}
    for line in table.splitlines()[2:]:
        scopes, parts, _ = line.strip("| ").split(" | ")
        of = PARTS if parts == "all" else tuple(part.removesuffix("s") for part in parts.split(", "))
        found |= dict.fromkeys(re.findall("`(.+?)`", scopes), of)
    return found


def test_of_every_scope_it_is_told_for_whom_it_is():
    assert parts_of_scopes() == {scope: tuple(part.removeprefix("is_") for part in scope.parts) for scope in Scope}


@pytest.mark.parametrize("part", PARTS)
@each(by("scope"))
def test_a_scope_opens_what_is_of_the_partners_part_and_nothing_else(row, part):
    world = World(row, [part])
    answer = world.ask(api(world.owner), world.own)

    assert answer.status_code == (row.status if part in parts_of_scopes()[row.opened_by] else 403)


@each(by("token"))
def test_any_token_of_a_partners_is_enough(row):
    world = World(row)

    for scope in Scope:
        assert world.ask(api(world.owner, scope), world.own).status_code == row.status


@each([row for row in by("scope") if "{" in row.path])
def test_anothers_and_what_is_not_there_are_the_same(row):
    world = World(row)

    theirs = world.ask(api(world.stranger), world.own)
    absent = world.ask(api(world.owner), world.address(row.absent))

    assert theirs.status_code == absent.status_code == 404
    assert theirs.json() == absent.json()


@each(lists())
def test_a_list_holds_all_of_ones_own_and_nothing_of_anothers(row):
    world = World(row)
    caller, other = api(world.owner), api(world.stranger)

    alone = world.ask(caller, world.own).json()
    names = row.own(world.stranger)
    mine = world.ask(caller, world.own).json()
    theirs = world.ask(other, world.address(names)).json()

    assert alone == mine
    for told, listed in ((mine, world.names["listed"]), (theirs, names["listed"])):
        entries = [entry[row.shows] for entry in told.get("items", [told])]
        assert entries
        assert sorted(entries) == sorted(listed)


@each(with_items())
def test_in_items_anothers_and_what_is_not_there_are_the_same_and_nothing_of_anothers_changes(row):
    world = World(row)
    before = everything()
    theirs = row.own(world.stranger)
    of_theirs = everything() - before
    assert of_theirs

    items = [row.item(names) for names in (theirs, world.names | row.absent, world.names)]
    answer = api(world.owner, row.opened_by).post(row.path, {"items": items})

    anothers, absent, own = answer.json()["results"]
    assert (own["outcome"], anothers["outcome"], anothers["problem"]["status"]) == ("done", "refused", 404)
    assert anothers | {"index": 1} == absent
    after = everything()
    assert of_theirs <= after
    assert [added for added in after - before - of_theirs if world.stranger.pk in added[1]] == []


@each(with_a_body_about_something())
def test_in_a_body_anothers_and_what_is_not_there_are_the_same_and_nothing_changes(row):
    world = World(row)
    theirs, caller = row.own(world.stranger), api(world.owner)
    before = everything()

    def ask(names):
        if row.opened_by == "signed":
            return world.sign(world.owner, world.own, names)
        return world.ask(caller, world.own, names)

    anothers, absent = ask(theirs), ask(world.names | row.absent)
    changed = {table for table, _ in before ^ everything()}
    own = ask(world.names)

    assert (anothers.status_code, absent.status_code, own.status_code) == (404, 404, row.status)
    assert anothers.content == absent.content
    assert changed <= {"partners_call"}


def test_a_row_about_an_object_says_which_one_is_absent():
    assert [row.name for row in ROWS if "{" in row.path and not row.absent and row.opened_by != "open"] == []


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


@each(writes("scope", "token"))
def test_every_write_needs_a_key_before_anything_is_looked_at_or_done(row):
    world = World(row)
    caller = APIClient(HTTP_AUTHORIZATION=f"Bearer {token_of(world.owner)}")
    before = everything()

    answers = [world.ask(caller, world.own), caller.generic(row.method, world.own, "{", row.content_type)]

    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["type"] == "urn:prakerja:problem:idempotency-key-missing"
    assert everything() == before


def test_the_schema_says_of_every_write_with_a_token_that_it_needs_a_key():
    needing = {name for name, endpoint in endpoints().items() if "Idempotency-Key" in endpoint.needed_headers}

    assert needing == {row.name for row in writes("scope", "token")}


@each(by("scope", "token"))
def test_an_unknown_parameter_is_refused(row):
    world = World(row)

    answer = world.ask(api(world.owner, row.opened_by), f"{world.own}?is_admin=1")

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["is_admin"]


@each([row for row in by("scope", "token") if row.content_type == "application/json" and (row.item or row.body)])
def test_fields_that_are_not_the_callers_to_set_are_refused(row):
    world = World(row)
    body = world.body()
    content = json.dumps(body | not_to_be_set(body))

    answer = api(world.owner, row.opened_by).generic(row.method, world.own, content, "application/json")

    assert answer.status_code == 400
    # Whether what it does take is right or wrong there: nothing else is taken silently.
    assert {"is_active", "partner", "state"} - set(body) <= set(answer.json()["errors"])


@each(with_items())
def test_fields_that_are_not_the_callers_to_set_are_refused_in_each_object_of_an_item(row):
    world, endpoint = World(row), endpoints()[row.name]
    places = endpoint.objects(endpoint.item)
    assert () in places

    for place, known in places.items():
        item, extra = row.item(world.names), not_to_be_set(known)
        there = item
        for name in place:
            there[name] = dict(there[name])
            there = there[name]
        there |= extra
        [result] = api(world.owner, row.opened_by).post(row.path, {"items": [item]}).json()["results"]

        assert result["outcome"] == "refused", place
        assert result["problem"]["status"] == 400
        assert result["problem"]["errors"] == {".".join((*place, name)): ["Unknown field."] for name in extra}
    assert world.ask(api(world.owner, row.opened_by), world.own).json()["results"][0]["outcome"] == "done"


def not_to_be_set(known):
    """The fields of all models that this is about, but for those which are known there."""
    models = [model for app in ("partners", "trainings", "incentives") for model in apps.get_app_config(app).get_models()]
    return dict.fromkeys({field.name for model in models for field in model._meta.fields} - set(known), 1)

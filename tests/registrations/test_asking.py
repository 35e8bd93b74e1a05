"""The funnel as it is asked for: the same words on the command line, in the API and on the office's screen."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection

from registrations import ladder
from registrations.models import Wave
from registrations.stages import DropOff, Stage
from tests.people import START, make_registrants

pytestmark = pytest.mark.django_db


@pytest.fixture
def people():
    Wave.objects.create(number=1, opens_at=START - timedelta(days=1), closes_at=START + timedelta(days=1))
    Wave.objects.create(number=2, opens_at=START + timedelta(days=1), closes_at=START + timedelta(days=9))
    make_registrants(3, first=1)
    [id, *_] = make_registrants(2, first=11, at=START + timedelta(days=2), stage=Stage.EMAIL_VERIFIED)
    ladder.drop_off({id: DropOff.KK_MISMATCH}, {id: START + timedelta(days=3)})


@pytest.fixture
def staff(client):
    user = get_user_model().objects.create_user("petugas", password="a long password", is_staff=True)
    client.force_login(user)
    return client


def run(command, *arguments):
    output = StringIO()
    call_command(command, *arguments, stdout=output)
    return output.getvalue()


def test_the_api_and_the_command_give_the_same(people, staff):
    for query, arguments in {
        "": [],
        "?wave=2": ["--wave=2"],
        "?until_wave=1": ["--until-wave=1"],
        "?as_of=2020-04-13": ["--as-of=2020-04-13"],
        "?as_of=2020-04-13T09:00&wave=2": ["--as-of=2020-04-13T09:00", "--wave=2"],
    }.items():
        assert staff.get(f"/api/v1/funnel/{query}").json() == json.loads(run("funnel", "--json", *arguments)), query


@pytest.mark.parametrize(
    ("query", "selected", "registered"),
    [
        ({}, 5, 9),
        ({"wave": 1}, 3, 4),
        ({"wave": 2}, 2, 5),
        ({"until_wave": 1}, 3, 4),
        ({"until_wave": 2}, 5, 9),
        ({"selected_wave": 1}, 1, 1),
        ({"selected_wave": 2}, 4, 4),
        ({"selected_wave": 2, "as_of": "2020-04-21"}, 1, 4),
        ({"wave": 1, "as_of": "2020-04-21"}, 2, 4),
    ],
)
def test_who_was_selected_is_counted_by_the_wave_of_selection_and_by_that_of_registration(
    staff, query, selected, registered
):
    for number in (1, 2):
        day = timedelta(days=7 * (number - 1))
        Wave.objects.create(
            number=number, opens_at=START - timedelta(days=1) + day, closes_at=START + timedelta(days=1) + day
        )
    first = make_registrants(4, first=1, stage=Stage.PHONE_VERIFIED)
    second = make_registrants(5, first=11, at=START + timedelta(days=7), stage=Stage.PHONE_VERIFIED)
    # One of those who registered in the first wave was selected by it; two more, and two of the second, by the second one.
    for wave, ids, on in ((1, first[:1], 2), (2, first[1:2], 9), (2, [first[2], *second[:2]], 12)):
        ladder.select(wave, ids, START + timedelta(days=on))

    answer = staff.get("/api/v1/funnel/", query).json()
    options = [f"--{name.replace('_', '-')}={value}" for name, value in query.items()]
    screen = staff.get("/pmo/", query).context["funnel"]

    assert [rung["people"] for rung in answer["rungs"]][4:5] == [selected]
    assert answer["rungs"][0]["people"] == registered
    assert json.loads(run("funnel", "--json", *options)) == answer
    assert [rung.people for rung in screen["rungs"]] == [rung["people"] for rung in answer["rungs"]]


def test_the_api_tells_the_rungs_and_the_reasons(people, staff):
    found = staff.get("/api/v1/funnel/").json()

    assert [rung["people"] for rung in found["rungs"]] == [5, 2, 0, 0, 0, 0, 0, 0]
    assert found["rungs"][0] == {
        "stage": "registered",
        "people": 5,
        "share_of_above": None,
        "share_of_all": 1.0,
        "waiting": 3,
        "drop_offs": [],
    }
    assert found["rungs"][1]["drop_offs"] == [{"reason": "kk_mismatch", "people": 1}]
    assert found["rungs"][1]["share_of_above"] == 0.4


def test_the_api_is_for_staff(client):
    stranger = client.get("/api/v1/funnel/")
    assert stranger.status_code == 401
    assert stranger.json()["detail"] == "Authentication credentials were not provided."
    user = get_user_model().objects.create_user("siapa", password="a long password")
    client.force_login(user)
    assert client.get("/api/v1/funnel/").status_code == 403


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("wave=0", "wave"),
        ("wave=999", "wave"),
        ("wave=-1", "wave"),
        ("wave=satu", "wave"),
        ("wave=1e3", "wave"),
        ("wave=٣", "wave"),
        ("wave=1&until_wave=2", "until_wave"),
        ("as_of=2099-01-01", "as_of"),
        ("as_of=2019-01-01", "as_of"),
        ("as_of=2020-02-31", "as_of"),
        ("as_of=kemarin", "as_of"),
        ("as_of=2020-04-16T25:00", "as_of"),
        ("as_of=0001-01-01T00:00", "as_of"),
        ("as_of=9999-12-31T23:59", "as_of"),
        ("as_of=%00", "as_of"),
        ("gelombang=1", "gelombang"),
    ],
)
def test_a_bad_question_is_told_in_plain_words(people, staff, query, field):
    answer = staff.get(f"/api/v1/funnel/?{query}")

    assert answer.status_code == 400
    errors = answer.json()["errors"]
    assert list(errors) == [field]
    assert len(str(errors[field])) > 10

    if field != "gelombang":
        screen = staff.get(f"/pmo/?{query}")
        assert screen.status_code == (200 if "until_wave" in query else 422), "of two wave filters the screen has one"
        assert screen.status_code == 200 or b'role="alert"' in screen.content


@pytest.mark.parametrize("wave", ["-1", "0", "x", "1.5", "٣", "100000"])
@pytest.mark.parametrize("field", ["wave", "until_wave", "selected_wave"])
def test_what_is_no_number_of_a_wave_is_told_where_they_begin(staff, field, wave):
    errors = staff.get("/api/v1/funnel/", {field: wave}).json()["errors"]

    assert errors == {field: [f"Waves are numbered from 1 on, for example 3; this is not one: {wave}"]}


@pytest.mark.parametrize(
    "moment", ["2020-04-13T09:00+07:00", "2020-04-13T02:00Z", "2020-04-13T09:00", "2020-04-13 09:00", "2020-04-13T09:59:59"]
)
def test_moments_are_read_in_any_zone_and_rounded_down(people, staff, moment):
    found = staff.get("/api/v1/funnel/", {"as_of": moment}).json()

    assert datetime.fromisoformat(found["as_of"]) == datetime(2020, 4, 13, 2, tzinfo=UTC)


def test_a_plus_that_became_a_blank_is_still_a_plus(people, staff):
    assert staff.get("/api/v1/funnel/?as_of=2020-04-13T09:00+07:00").status_code == 200


@pytest.mark.parametrize(
    "arguments", [["--wave=0"], ["--wave=999"], ["--as-of=2099-01-01"], ["--as-of=2019-12-31"], ["--as-of=x"], ["--wave=x"]]
)
def test_the_command_says_what_is_wrong(people, arguments):
    with pytest.raises(CommandError, match=r"\w+ \w+"):
        run("funnel", *arguments)


def test_the_command_prints_a_funnel(people):
    printed = run("funnel", "--until-wave=2")

    assert "1 sampai 2" in printed
    assert "40,0 %" in printed


def test_the_commands_shares_are_rounded_not_cut_off():
    ids = make_registrants(3)
    ladder.climb(Stage.EMAIL_VERIFIED, dict.fromkeys(ids[:2], START))

    assert "66,7 %" in run("funnel")


def test_recount_agrees_and_shows_what_does_not(people):
    assert "agrees" in run("recount")
    assert json.loads(run("recount", "--json"))["differences"] == []

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE registrations_movement SET people = people + 1 WHERE id = (SELECT min(id) FROM registrations_movement)"
        )
    with pytest.raises(SystemExit) as ended:
        run("recount", "--json")

    assert ended.value.code == 1


def test_the_offices_screen_asks_to_sign_in_and_shows_the_funnel(people, client):
    asked = client.get("/pmo/?wave=1")
    assert asked["Location"].startswith("/pmo/masuk/?next=")

    user = get_user_model().objects.create_user("petugas", password="a long password", is_staff=True)
    client.force_login(user)
    content = client.get("/pmo/?scope=wave&wave=2").content.decode()
    fragment = client.get("/pmo/?scope=wave&wave=2", headers={"HX-Request": "true"}).content.decode()

    assert "<table" in content
    assert "hx-get" in content
    assert "<html" not in fragment
    assert "/api/v1/funnel/?wave=2" in content


def test_the_screen_is_not_for_others(client):
    client.force_login(get_user_model().objects.create_user("siapa", password="a long password"))

    assert client.get("/pmo/").status_code == 403

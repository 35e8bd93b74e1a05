"""Tokens: got with a client's credentials only, for what it is allowed, for an hour; nothing of them is kept in the clear."""

import base64
from io import StringIO
from urllib.parse import urlencode

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from oauth2_provider.models import AccessToken

from partners import tokens
from partners.models import Client, Partner, Secret
from tests.partners.cast import Api, api, make_partner, token_of

URL = "/api/v1/oauth/token"
LOG = "/api/v1/webhooks/"

pytestmark = pytest.mark.django_db


def said(command, *arguments, **options):
    out = StringIO()
    call_command(command, *arguments, stdout=out, **options)
    return dict(line.split(": ", 1) for line in out.getvalue().splitlines() if ": " in line)


def credentials(*scopes):
    make_partner()
    shown = said("add_client", "tokopedia", "--scopes", *scopes)
    return shown["client_id"], shown["client_secret (shown once)"]


def ask(client, id, secret, **asked):
    basic = base64.b64encode(f"{id}:{secret}".encode()).decode()
    form = {"grant_type": "client_credentials"} | asked
    return send(client, form, HTTP_AUTHORIZATION=f"Basic {basic}")


def send(client, form, url=URL, **headers):
    return client.post(url, urlencode(form), content_type="application/x-www-form-urlencoded", **headers)


def test_credentials_give_a_token_and_the_token_opens_what_it_is_for(client):
    id, secret = credentials("webhooks:read", "purchases:read")

    answer = ask(client, id, secret)
    opened = Api(answer.json()["access_token"]).get(LOG)

    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 3600
    assert set(answer.json()["scope"].split()) == {"webhooks:read", "purchases:read"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert opened.status_code == 200


def test_credentials_may_come_in_the_form_and_ask_for_less(client):
    id, secret = credentials("webhooks:read", "purchases:read")

    form = {"grant_type": "client_credentials", "client_id": id, "client_secret": secret, "scope": "purchases:read"}
    answer = send(client, form)

    assert answer.json()["scope"] == "purchases:read"
    assert Api(answer.json()["access_token"]).get(LOG).status_code == 403


def test_what_a_client_is_not_allowed_it_does_not_get(client):
    id, secret = credentials("purchases:read")

    answer = ask(client, id, secret, scope="purchases:read payouts:write")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize("secret", ["", "wrong", "\0", "é"])
def test_a_wrong_secret_gives_nothing(client, secret):
    id, _ = credentials("purchases:read")

    answer = ask(client, id, secret)

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("id", ["nobody", "\0", "x" * 5000])
def test_an_unknown_client_gets_nothing(client, id):
    assert ask(client, id, "secret").status_code == 401


@pytest.mark.parametrize("header", ["Basic", "Basic ", "Basic é", "Basic !", "Basic b25seQ==", "Basic /w==", "Bearer x"])
def test_a_header_that_says_no_client_is_none(client, header):
    answer = send(client, {"grant_type": "client_credentials"}, HTTP_AUTHORIZATION=header)

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_no_other_way_leads_to_a_token(client):
    id, secret = credentials("purchases:read")

    for grant in ("password", "authorization_code", "refresh_token", "implicit", ""):
        answer = ask(client, id, secret, grant_type=grant, username="petugas", password="x", code="x", refresh_token="x")
        assert answer.status_code == 400, grant
    assert AccessToken.objects.count() == 0


def test_a_form_is_wanted_and_nothing_in_the_address(client):
    json = client.post(URL, {"grant_type": "client_credentials"}, content_type="application/json")
    query = send(client, {"grant_type": "client_credentials"}, f"{URL}?client_secret=x")
    got = client.get(URL)

    assert [json.status_code, query.status_code, got.status_code] == [415, 400, 405]
    assert {answer.headers["Content-Type"] for answer in (json, query, got)} == {"application/problem+json"}


def test_the_database_holds_no_secret_and_no_token(client):
    id, secret = credentials("purchases:read")
    token = ask(client, id, secret).json()["access_token"]

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT token || token_checksum || c.client_secret FROM oauth2_provider_accesstoken, partners_client c"
        )
        kept = cursor.fetchone()[0]

    assert secret not in kept
    assert token not in kept
    assert kept.count("drawn$") == 1


def test_an_expired_token_opens_nothing_and_is_forgotten(partner):
    old = token_of(partner, seconds=-1)
    fresh = token_of(partner)

    assert [Api(token).get(LOG).status_code for token in (old, fresh, "made-up", "")] == [401, 200, 401, 401]
    assert tokens.forget() == 1
    assert AccessToken.objects.count() == 1


def test_who_has_left_gets_no_token_and_the_one_in_hand_opens_nothing(client):
    id, secret = credentials("webhooks:read")
    token = ask(client, id, secret).json()["access_token"]

    Partner.objects.update(is_active=False)

    assert Api(token).get(LOG).status_code == 401
    assert ask(client, id, secret).status_code == 401


def test_a_token_in_the_address_is_none(partner, client):
    assert client.get(f"{LOG}?access_token={token_of(partner)}").status_code == 401


def test_the_database_refuses_a_client_that_gets_its_tokens_in_another_way(partner):
    for changed in ({"authorization_grant_type": "password"}, {"client_type": "public"}, {"hash_client_secret": False}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Client.objects.create(partner=partner, scopes=[], **changed)


@pytest.mark.urls("tests.partners.shop")
def test_an_endpoint_that_says_nothing_is_open_to_nobody(partner, admin_client):
    assert api(partner).get("/api/v1/forgotten/").status_code == 403
    assert admin_client.get("/api/v1/forgotten/").status_code == 401


def test_a_new_platform_gets_a_sign_key_once():
    first = said("add_partner", "tokopedia", "--name", "Tokopedia", "--platform")
    again = said("add_partner", "tokopedia", "--name", "Tokopedia Academy", "--platform", "--provider")

    assert len(first["sign key (shown once)"]) >= 40
    assert again == {}
    assert Secret.objects.count() == 1
    assert Partner.objects.get().name == "Tokopedia Academy"


def test_the_commands_say_what_is_wrong():
    for arguments in (
        ["add_partner", "tokopedia", "--name", "Tokopedia"],
        ["add_partner", "Toko pedia", "--name", "Tokopedia", "--platform"],
        ["add_client", "nobody", "--scopes", "purchases:read"],
        ["rotate_secret", "nobody", "in"],
    ):
        with pytest.raises(CommandError, match=r"\w+ \w+"):
            call_command(*arguments)
    make_partner()
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("add_client", "tokopedia", "--scopes", "everything")
    with pytest.raises(CommandError, match=r"not of tokopedia's part: payouts:read$"):
        call_command("add_client", "tokopedia", "--scopes", "purchases:read", "payouts:read")
    assert not Client.objects.exists()

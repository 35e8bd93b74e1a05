"""The office's pages of the partners: what is shown of them, what never is, and that what is done with keys is written down."""

from datetime import timedelta
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.conf import settings
from oauth2_provider.models import AccessToken

from foundation import pg
from foundation.models import Work
from partners import keys, webhooks
from partners.models import Address, Attempt, Client, Event, Partner, Secret
from prakerja.models import Deed
from tests.incentives.cast import clerk
from tests.partners.cast import SIGN_KEY, make_partner, token_of
from tests.prakerja.test_money_pages import said, text_of

pytestmark = pytest.mark.django_db

PAGE = "/pmo/mitra/tokopedia/"
SURE = {"sure": "1"}


@pytest.fixture
def ani(client):
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    client.force_login(clerk("ani"))
    return client


@pytest.fixture
def partner():
    return make_partner()


def make_client(who, **told):
    form = {"name": "Kasir", "scopes": ["purchases:read", "purchases:write"], "once": uuid4(), **SURE, **told}
    return who.post(f"{PAGE}kunci/", form, follow=True)


def tell(partner, count=1):
    """So many events of which the partner is to be told."""
    Address.objects.get_or_create(partner=partner, defaults={"url": "https://hooks.example/"})
    webhooks.emit("purchase.created", {partner.pk: [{"number": number} for number in range(count)]})
    return list(Event.objects.filter(partner=partner).order_by("pk"))


def test_the_list_tells_parts_scopes_last_use_and_who_does_not_hear_us_first(ani, partner):
    make_partner("bni", platform=False, payer=True)
    Partner.objects.filter(pk="bni").update(is_active=False)
    Address.objects.create(partner=partner, url="https://user.tokopedia.example/x", failures=3)
    token_of(partner, "funnel:read")
    Client.objects.update(scopes=["funnel:read", "payouts:read"])

    page = text_of(ani.get("/pmo/mitra/"))

    assert page.index("Tokopedia") < page.index("Bni"), "though b comes before t"
    assert "Bni Off pays incentives" in page
    assert "sells trainings user.tokopedia.example 3 bad answers in a row 1" in page
    assert "funnel:read, payouts:read" in page


def test_no_secret_is_ever_on_the_page(ani, partner):
    drawn = keys.rotate(partner.pk, Secret.Use.OUT)
    token = token_of(partner)

    page = ani.get(PAGE).content.decode()

    hashed = Client.objects.get().client_secret
    for secret in (drawn, drawn.removeprefix("whsec_"), SIGN_KEY.decode(), token, hashed):
        assert secret not in page
    assert "Secret with which we sign what it is told" in page


def test_credentials_are_made_once_shown_once_and_written_down(ani, partner):
    once = uuid4()

    first, second = make_client(ani, once=once), make_client(ani, once=once)

    client, page = Client.objects.get(), text_of(first)
    assert client.client_id in page
    secret = first.context["lines"][1][1]
    assert (first["Cache-Control"].count("no-store"), len(secret) > 40) == (1, True)
    assert client.scopes == ["purchases:read", "purchases:write"]
    assert said(second).startswith("This was made before")
    deed = Deed.objects.get()
    assert (deed.name, deed.by.username, deed.about, deed.told) == (
        "client_made",
        "ani",
        "partner tokopedia",
        "Kasir: purchases:read purchases:write",
    )
    asked = urlencode({"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": secret})
    answer = ani.post("/api/v1/oauth/token", asked, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 200, "what was shown is what works"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"name": " \x07 "}, "Say what the program is called."),
        ({"scopes": []}, "Choose what the program may do."),
        ({"scopes": ["everything"]}, "Choose what the program may do."),
        ({"scopes": ["payouts:read"]}, "Choose what the program may do."),
        ({"sure": ""}, "Tick that you are sure."),
    ],
)
def test_what_is_not_said_makes_no_credentials(ani, partner, told, says):
    assert said(make_client(ani, **told)) == says

    assert not Client.objects.exists()
    assert not Deed.objects.exists()


def test_revoked_credentials_and_their_tokens_are_gone_and_nobody_elses_are(ani, partner):
    other = make_partner("pintaria")
    token_of(partner)
    token_of(other)
    mine, theirs = (Client.objects.get(partner=one) for one in (partner, other))

    def revoked(client, reason="Lost"):
        return said(ani.post(f"{PAGE}kunci/cabut/", {"client": client.client_id, "reason": reason, **SURE}, follow=True))

    assert revoked(theirs) == "These credentials have been revoked already."
    assert revoked(mine, reason=" ") == "Say why: it is kept."
    assert revoked(mine).startswith("Revoked")
    assert revoked(mine) == "These credentials have been revoked already."

    assert list(Client.objects.all()) == [theirs]
    assert AccessToken.objects.count() == 1
    assert Deed.objects.get(name="client_revoked").told == "test: Lost"


def test_a_new_secret_is_shown_once_and_takes_the_oldest_ones_place(ani, partner):
    before = keys.live(partner.pk, Secret.Use.SIGN)
    once = uuid4()

    def drawn(**told):
        return ani.post(f"{PAGE}rahasia/", {"use": "sign", "once": once, **SURE, **told}, follow=True)

    [(_, secret)] = drawn().context["lines"]
    assert keys.live(partner.pk, Secret.Use.SIGN) == [secret.encode(), *before]
    assert said(drawn()).startswith("This was made before")
    assert said(drawn(use="all", once="no")) == "There is no such secret."
    assert said(drawn(sure="")) == "Tick that you are sure."

    assert Secret.objects.filter(partner=partner).count() == 2
    assert secret not in Deed.objects.get().told


def test_what_was_not_taken_comes_first_with_the_last_answer(ani, partner):
    taken, waits, failed = tell(partner, 3)
    Event.objects.filter(pk=taken.pk).update(state=Event.State.DELIVERED, attempts=1)
    Event.objects.filter(pk=failed.pk).update(state=Event.State.GIVEN_UP, attempts=9)
    Attempt.objects.create(event=failed, status=500, milliseconds=80)
    Attempt.objects.create(event=failed, reason="timeout", milliseconds=8000)
    Attempt.objects.create(event=taken, status=204, milliseconds=20)

    answer = ani.get(PAGE)

    assert [one.event.pk for one in answer.context["failed"]] == [failed.pk]
    assert [one.event.pk for one in answer.context["newest"]] == [failed.pk, waits.pk, taken.pk]
    assert "Not taken within 24 hours no answer in time 8,000 ms" in text_of(answer)


def test_events_are_told_again_if_they_are_the_partners_own_and_not_on_their_way(ani, partner):
    taken, waits = tell(partner, 2)
    [foreign] = tell(make_partner("pintaria"))
    Event.objects.filter(pk__in=[taken.pk, foreign.pk]).update(state=Event.State.GIVEN_UP, attempts=9)
    Address.objects.update(failures=5, quiet_until=pg.now() + timedelta(hours=1))
    Work.objects.all().delete()

    def again(*events):
        return said(ani.post(f"{PAGE}kabar/", {"event": events}, follow=True))

    assert again(waits.pk, foreign.pk, "x", "9" * 30) == "These are on their way already."
    assert again() == "These are on their way already."
    assert again(taken.pk, foreign.pk) == "They are being told again."
    assert again(taken.pk) == "These are on their way already."

    states = dict(Event.objects.values_list("pk", "state"))
    assert (states[taken.pk], states[foreign.pk]) == ("waiting", "given_up")
    assert Work.objects.filter(queue="webhooks").count() == 1
    own = Address.objects.get(pk=partner.pk)
    assert (own.failures, own.quiet_until) == (0, None)
    assert Deed.objects.get().told == f"evt_{taken.pk}"


def test_who_has_no_address_can_be_told_nothing(ani, partner):
    [event] = tell(partner)
    Event.objects.update(state=Event.State.GIVEN_UP)
    Address.objects.all().delete()

    answer = ani.post(f"{PAGE}kabar/", {"event": event.pk}, follow=True)

    assert said(answer) == "It has set no address: it cannot be told anything."
    assert not Deed.objects.exists()

"""What others do at the press of a button at /mock/, for whoever walks the whole way by hand: by real acts, exact, and refused in words."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from foundation import mockworld, pg, work
from foundation.email import Mail
from incentives import figures, ledger, statement
from incentives.models import Batch, Obligation, State, number
from partners.scopes import Scope
from prakerja import credentials, walk
from prakerja.models import Deed
from prakerja.walk import Step
from registrations import funnel
from registrations.models import Registrant, Wave
from registrations.regions import WIB
from registrations.stages import DropOff, Stage
from tests.conftest import ROOT
from tests.incentives.cast import check, link, open_all, plain, send
from tests.incentives.cast import make_payable_now as make_payable
from tests.partners.cast import COMMIT, Api, signed
from tests.people import make_person, make_registrants
from tests.waves.cast import by_force
from trainings import accounts, reviewing
from trainings.models import Purchase, Training
from trainings.purchasing import Order, buy
from waves import decrees, joining, publishing, state
from waves.models import Act, Application, Decree, Recipient
from waves.screening import NotNow

pytestmark = pytest.mark.django_db

PAGE, STEP = "/mock/", "/mock/langkah/"


@pytest.fixture
def player(client):
    """A browser that reads English."""
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return client


def make_walkers(count=1, *, first=1, **changes):
    """People with a verified phone and a mailbox at /mock/."""
    ids = make_registrants(count, stage=Stage.PHONE_VERIFIED, first=first, **changes)
    mails = [Mail(str(id), make_person(first + place).email, "Halo", "…") for place, id in enumerate(ids)]
    mockworld.deliver("email", mails)
    return ids


def make_open_wave():
    walk.open_next_wave(pg.now())
    return state.open_wave(pg.now())


def press(player, step, id):
    """What the page says after the button."""
    answer = player.post(STEP, {"step": step, "id": id}, follow=True)
    assert answer.status_code == 200
    return answer.context["notice"]["text"]


def offers(player):
    """What the page offers, by person."""
    return {walker.registrant.pk: [offer.step for offer in walker.offers] for walker in player.get(PAGE).context["walkers"]}


def text_of(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def nothing_differs():
    return not funnel.recount().differences and ledger.recount() == [] and accounts.recount() == []


def registrant(id):
    return Registrant.objects.get(pk=id)


# The office names a recipient


def test_who_is_verified_becomes_a_recipient_by_a_wave_that_two_clerks_close_draw_decree_and_announce(player):
    [id] = make_walkers()
    wave = make_open_wave()
    assert offers(player) == {id: [Step.SELECT]}

    said = press(player, Step.SELECT, id)

    found, now = registrant(id), pg.now()
    assert (found.stage, found.selected_wave_id, found.wave_id) == (Stage.SELECTED, wave.number, 1)
    recipient = Recipient.objects.get(pk=id)
    decree = Decree.objects.get(pk=recipient.decree_id)
    assert decree.last_moment.astimezone(WIB).date() == now.astimezone(WIB).date() + timedelta(days=30)
    assert re.search(r"card 8020 \d{4} \d{4} \d{4}", said)
    done = Act.objects.filter(wave=wave)
    assert [act.name for act in done] == ["screen", "freeze", "commit", "draw", "publish", "decree", "announce"]
    assert {(act.maker.username, act.checker.username) for act in done if act.name not in ("screen", "draw")} == {
        walk.CLERKS
    }
    assert [change.field for change in wave.changes.all()] == ["closes_at"]
    assert state.open_wave(now).number == wave.number + 1, "the next player is not kept waiting"
    assert work.outstanding(["notice_email"]) == work.outstanding(["notice_sms"]) == 1, "they are told by the workers"
    assert decrees.faults(decree) == []
    assert nothing_differs()


def test_a_draw_waits_for_the_round_that_was_announced_and_anybody_can_run_it_again(tmp_path):
    ids = make_walkers(3)
    wave = make_open_wave()
    joining.join(wave.number, ids)

    walk.select(ids[0])

    draw = wave.draws.get()
    published = walk.MockBeacon(period=1).chain.at(draw.round)
    assert draw.committed_at < published <= draw.drawn_at
    publishing.write(draw, tmp_path)
    told = subprocess.run(
        [sys.executable, ROOT / "tools" / "verify_draw.py", tmp_path], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_all_who_have_joined_are_named_and_nobody_else_is_touched(player):
    one, two, other = make_walkers(3)
    wave = make_open_wave()
    joining.join(wave.number, [two])
    before = funnel.read(funnel.View(selected_wave=1))

    press(player, Step.SELECT, one)

    assert [registrant(id).stage for id in (one, two, other)] == [Stage.SELECTED, Stage.SELECTED, Stage.PHONE_VERIFIED]
    assert registrant(other).drop_off == DropOff.NONE
    assert funnel.read(funnel.View(selected_wave=1)) == before
    assert nothing_differs()


def test_a_wave_that_is_over_and_was_not_drawn_is_drawn_for_who_had_joined_it(player):
    [id] = make_walkers()
    wave = make_open_wave()
    joining.join(wave.number, [id])
    over = pg.now() - timedelta(microseconds=1)
    Wave.objects.filter(pk=wave.pk).update(closes_at=over)
    assert offers(player) == {id: [Step.SELECT]}

    press(player, Step.SELECT, id)

    assert registrant(id).selected_wave_id == wave.number
    assert not wave.changes.exists(), "it had closed by itself"


def test_whom_the_rules_keep_out_is_told_why_and_nothing_has_happened(player):
    [id] = make_walkers(studying=True)
    wave = make_open_wave()

    said = press(player, Step.SELECT, id)

    assert said == (
        "The rules are against it, so nothing was drawn. Pupils and students in formal education cannot take part."
    )
    assert state.open_wave(pg.now()) == wave
    assert not Application.objects.exists()
    assert not Act.objects.exists()


def test_when_no_wave_is_open_the_page_says_what_to_wait_for(player):
    [id] = make_walkers()

    assert offers(player) == {id: []}
    assert "No wave is open. The demo opens one when its made-up people are through" in text_of(player.get(PAGE))
    assert "not possible now" in press(player, Step.SELECT, id)


def test_a_draw_that_the_office_has_begun_is_left_to_it(player):
    [id] = make_walkers()
    wave = make_open_wave()
    joining.join(wave.number, [id])
    Wave.objects.filter(pk=wave.pk).update(closes_at=pg.now() - timedelta(microseconds=1))
    wave.refresh_from_db()
    maker, _ = walk.clerks()
    for name in (Act.Name.SCREEN, Act.Name.FREEZE):
        act = walk.acts.ask(wave, name, by=maker)
        Act.objects.filter(pk=act.pk).update(checker=walk.clerks()[1])
        walk.acts.carry_out(act, beacon=walk.MockBeacon(), at=pg.now())

    said = press(player, Step.SELECT, id)

    assert said == f"The office has begun to draw wave {wave.number}: go on with it on the office's pages."


def test_the_people_of_the_simulation_are_not_walked_with(player):
    [inhabitant] = make_registrants(1, stage=Stage.PHONE_VERIFIED, email="siti@warga.example")
    mockworld.deliver("email", [Mail("1", "siti@warga.example", "Halo", "https://prakerja.example/")])
    make_open_wave()

    assert offers(player) == {}
    assert "not possible now" in press(player, Step.SELECT, inhabitant)
    assert registrant(inhabitant).stage == Stage.PHONE_VERIFIED


@pytest.mark.parametrize(("step", "id"), [("", ""), ("fly", "1"), ("select", "x"), ("select", "9" * 30), ("pay", "-1")])
def test_nonsense_is_refused_in_words(player, step, id):
    make_walkers()
    make_open_wave()

    assert "not possible now" in press(player, step, id)


def test_a_button_of_the_page_carries_a_number_as_programs_write_it(player):
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('registrations_registrant_id_seq', 12345)")
    make_walkers()
    make_open_wave()
    form = re.search(r'name="id" value="([^"]*)"><button name="step" value="([^"]*)"', player.get(PAGE).content.decode())

    said = press(player, form[2], form[1])

    assert form[1] == "12346"
    assert "announced" in said


def test_the_page_is_read_and_the_step_is_posted(player):
    assert player.post(PAGE).status_code == 405
    assert player.get(STEP).status_code == 405
    assert Client(enforce_csrf_checks=True).post(STEP, {"step": "select", "id": "1"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_two_who_press_at_once_become_recipients_of_two_waves(player):
    one, two = make_walkers(2)
    make_open_wave()
    walk.clerks()

    def press_it(id):
        try:
            return walk.take(Step.SELECT, id)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(press_it, [one, two]))

    assert {registrant(id).stage for id in (one, two)} == {Stage.SELECTED}
    assert registrant(one).selected_wave_id != registrant(two).selected_wave_id
    assert nothing_differs()


@pytest.mark.django_db(transaction=True)
def test_two_presses_of_one_person_name_them_once(player):
    [id] = make_walkers()
    make_open_wave()
    walk.clerks()

    def press_it(_):
        try:
            return walk.take(Step.SELECT, id)
        except NotNow as refusal:
            return str(refusal)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(press_it, range(2)))

    assert Recipient.objects.count() == 1
    assert nothing_differs()


# Platform and provider


def make_buyer(player):
    """Somebody who has just bought a training of the demo's catalogue."""
    [id] = make_walkers(first=500)
    make_open_wave()
    said = press(player, Step.SELECT, id)
    assert registrant(id).stage == Stage.SELECTED, said
    credentials.load()
    training = Training.objects.get(code="TOK-101")
    # The balance of a year is spent by its 15 December: whenever this test runs, that is to come.
    with by_force():
        Decree.objects.filter(draw__wave__gt=1).update(year=pg.now().year + 1)
    [bought] = buy([Order(id, training.code, "R1", pg.now())], platform="tokopedia")
    return id, Purchase.objects.get(pk=bought.purchase_id)


def test_platform_and_provider_take_one_step_after_the_other(player):
    id, purchase = make_buyer(player)

    for step, state_then in {
        Step.REDEEM: Purchase.State.REDEEMED,
        Step.COMPLETE: Purchase.State.COMPLETED,
        Step.CERTIFY: Purchase.State.COMPLETED,
    }.items():
        assert offers(player) == {id: [step]}
        press(player, step, purchase.pk)
        purchase.refresh_from_db()
        assert purchase.state == state_then
        assert "not possible now" in press(player, step, purchase.pk)

    assert offers(player) == {id: []}
    assert purchase.certificate_number == f"lembaga-01/{purchase.pk:06}"
    assert registrant(id).stage == Stage.TRAINING_COMPLETED
    assert nothing_differs()


def test_the_page_names_who_acts_and_what_the_person_does_next(player):
    make_buyer(player)

    said = text_of(player.get(PAGE))

    assert "Tokopedia redeems the code of “Dasar pemasaran digital”" in said
    assert "Siti Rahmawati 500, signed in Redeem the code of “Dasar pemasaran digital” at Tokopedia." in said


# The office pays


def make_payable_walker(player):
    id, purchase = make_buyer(player)
    for step in (Step.REDEEM, Step.COMPLETE, Step.CERTIFY):
        press(player, step, purchase.pk)
    reviewing.review([reviewing.Opinion(id, purchase.pk, 5, "Berguna.", pg.now())])
    link([id], numbers=[plain(id)], at=pg.now())
    check(at=pg.now())
    open_all()
    return id


def test_the_office_pays_what_is_due_by_two_clerks_and_workers_send_it(player):
    id = make_payable_walker(player)
    assert offers(player) == {id: [Step.PAY]}

    said = press(player, Step.PAY, id)
    send(at=pg.now())

    batch = Batch.objects.get()
    assert said.replace("\u00a0", " ") == (
        f"Batch {batch.pk}, Rp600,000 to BNI, was proposed and approved: a worker sends it in a moment."
    )
    assert (batch.maker.username, batch.checker.username, batch.payouts) == (*walk.CLERKS, 1)
    assert [(deed.name, deed.by.username) for deed in Deed.objects.order_by("pk")] == [
        ("batch_proposed", "petugas"),
        ("batch_approved", "pemeriksa"),
    ]
    assert statement.of(id).lines[0].state == State.PAID
    assert registrant(id).stage == Stage.INCENTIVE_RECEIVED
    assert offers(player) == {id: []}
    assert "Received so far Rp600,000" in text_of(player.get(PAGE))
    assert nothing_differs()


def test_what_was_due_to_others_before_waits_for_the_office_and_is_not_paid(player):
    others = make_payable(3, first=2000)
    id = make_payable_walker(player)
    before = {line.state: line.people for line in figures.states()}

    press(player, Step.PAY, id)
    while send(at=pg.now()):
        pass

    waiting, approved = Batch.objects.order_by("pk")
    assert waiting.approved_at is None
    assert set(Obligation.objects.filter(batch_id=waiting.pk).values_list("pk", flat=True)) >= {
        number(other, 1) for other in others
    }
    assert (approved.payouts, registrant(id).stage) == (1, Stage.INCENTIVE_RECEIVED)
    assert {registrant(other).stage for other in others} == {Stage.TRAINING_COMPLETED}
    assert before.get(State.PAID, 0) + 1 == {line.state: line.people for line in figures.states()}[State.PAID]
    assert nothing_differs()


# What the demo comes with


def test_the_demos_partners_get_tokens_and_sign_with_what_the_page_shows(player):
    call_command("demo_partners")
    call_command("demo_partners")

    page = text_of(player.get(PAGE))
    for one in credentials.CREDENTIALS:
        assert one.client_id in page
        assert one.client_secret in page
        assert one.sign_key in page
        asked = {"grant_type": "client_credentials", "client_id": one.client_id, "client_secret": one.client_secret}
        answer = Client().post("/api/v1/oauth/token", urlencode(asked), content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 200, answer.content
        token = answer.json()
        assert set(token["scope"].split()) == set(one.scopes)
        assert Api(token["access_token"]).get("/api/v1/webhooks/").status_code == 200
    platform, body = credentials.CREDENTIALS[0], b'{"redeem_code":"AAAAAAAAAAAAAAAA"}'
    headers = signed(platform.partner, body=body, key=platform.sign_key.encode())
    answer = Client().post(COMMIT, body, content_type="application/json", **headers)
    assert answer.status_code == 404, "signed well, and unknown"


def test_the_catalogue_of_the_demo_is_on_sale_today_as_it_ships():
    credentials.load()

    now = pg.now()
    assert Training.objects.filter(valid_from__lte=now, valid_until__gt=now).count() == 32


def test_the_demos_commands_refuse_where_there_is_no_demo(settings):
    settings.DEMO = False

    for command in ("demo_staff", "demo_wave", "demo_partners"):
        with pytest.raises(CommandError, match="This is not a demo"):
            call_command(command)


def test_no_partner_of_the_demo_may_do_what_is_not_its_part():
    parts = {one.part: set(one.scopes) for one in credentials.CREDENTIALS}

    assert Scope.PURCHASES_WRITE not in parts["is_provider"] | parts["is_payer"]
    assert not {Scope.PAYOUTS_READ, Scope.ACCOUNTS_CHECK} & (parts["is_platform"] | parts["is_provider"])

"""The office's pages of the waves: what each step shows before it is asked for, and what a wrong request gets."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.template.loader import render_to_string
from django.utils import timezone

from foundation.services import Unavailable
from prakerja.templatetags.numbers import moment
from registrations.models import Registrant, Wave
from registrations.stages import DropOff, Stage
from tests.faults.test_steps_killed import outcome, rows
from tests.people import make_registrant
from tests.prakerja.test_person_pages import looked_up, permit
from tests.waves.cast import (
    AFTER,
    BEACON,
    CLOSES,
    OPENS,
    TOLD,
    by_force,
    make_announced,
    make_applicants,
    make_committed,
    make_drawn,
    make_frozen,
    make_published,
    make_wave,
    put_the_databases_clock_on,
)
from tests.waves.test_decrees import drawn_in_wave_2
from tests.waves.test_pages import text_of
from tests.waves.test_reserves import make_free
from tests.waves.test_revocation import buy, revoke_all
from tests.waves.test_screening import put_on_list
from waves import acts, naming, planning, preview, programme, rules, screening, seats
from waves import draw as drawing
from waves.models import Act, Change, Decree, Draw, ListCopy, ListKind, Plan, Recipient, RuleSet

pytestmark = pytest.mark.django_db

PAGE = "/pmo/gelombang/1/"
SURE = {"sure": "1"}


@pytest.fixture
def office(client):
    """A member of staff who reads English."""
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    client.force_login(User.objects.create_user("ani", is_staff=True))
    return client


def asked(office, **told):
    """What the page says after a step was asked for by somebody who has looked at its numbers."""
    wave = Wave.objects.get(pk=1)
    seen = preview.as_text(preview.of(Act.Name(told["name"]), wave, acts.live_draw(wave)))
    answer = office.post(f"{PAGE}minta/", {"seen": seen} | told, follow=True)
    return answer.context["notice"]["text"]


def closed():
    wave = make_wave(quota=5)
    make_applicants(wave, 12)
    return wave


@pytest.mark.parametrize(
    "path",
    ["/pmo/gelombang/", PAGE, f"{PAGE}minta/", f"{PAGE}ubah/", f"{PAGE}aturan/", f"{PAGE}putuskan/1/", "/pmo/sk/1/daftar/"],
)
def test_nobody_but_staff_gets_in(client, path):
    make_announced(count=4)
    session = client.session
    session["registrant"] = make_registrant(number=900).pk
    session.save()

    for answer in (client.get(path), client.post(path)):
        assert answer.status_code in (302, 405)
        assert answer.status_code == 405 or answer["Location"].startswith("/pmo/masuk/")
    assert not Act.objects.exists()
    assert not ListCopy.objects.exists()


def test_each_step_shows_its_numbers_before_it_is_asked_for(office):
    wave = closed()
    assert "Next: Screen the applications" in text_of(office.get(PAGE))
    screening.screen(wave, at=AFTER)
    assert "Tickets 12 Seats 5 I have looked" in text_of(office.get(PAGE))


def test_what_was_screened_can_be_screened_again_until_it_is_frozen(office):
    wave = closed()
    assert "Screen again" not in text_of(office.get(PAGE))
    screening.screen(wave, at=AFTER)

    page = text_of(office.get(PAGE))
    assert "Next: Freeze the list" in page
    assert "Screen again" in page
    assert asked(office, name="screen", **SURE) == "It is being done."
    assert acts.carry_out_waiting(beacon=BEACON, clock=lambda: AFTER) == 1
    assert wave.screenings.count() == 2
    drawing.freeze(wave, at=AFTER)
    assert "Screen again" not in text_of(office.get(PAGE))


def test_the_page_tells_why_people_are_not_eligible_and_which_lists_decided(office, english):
    wave = make_wave(quota=5, rooms=[{"name": "priority", "seats": 2, "list": "priority"}])
    make_applicants(wave, 12)
    for kind, *numbers in ((ListKind.ASN, 1, 2), (ListKind.SOCIAL_AID, 2), (ListKind.PRIORITY, 3)):
        put_on_list(kind, *numbers)
    screening.screen(wave, at=AFTER)
    drawing.freeze(wave, at=AFTER)

    page = text_of(office.get(PAGE))

    assert f"{DropOff.EXCLUDED_PROFESSION.label} 2 {DropOff.SOCIAL_AID.label} 1" in page
    assert "Not eligible, for one reason or more 2 Eligible 10" in page
    decided, set_apart = page.split("Lists that decided")[1].split("Lists by which seats are set apart")
    assert "Recipients of social aid (PKH, BPNT, BSU, BPUM): BKN, April 1, 2020, 1 ·" in decided
    assert "Civil servants (ASN): BKN, April 1, 2020, 2 ·" in decided
    assert "Workers with priority" not in decided
    assert "Workers with priority: BKN, April 1, 2020, 1 ·" in set_apart


def test_each_rule_in_force_stands_there_with_its_article(office, english):
    make_wave(rule_set="2021-03")

    page = text_of(office.get(PAGE)).partition("Rules in force")[2]

    assert "Rule set 2021-03 In force from March 25, 2021 " in page
    codes = RuleSet.objects.get(name="2021-03").rules
    assert len(codes) > 5
    for code in codes:
        assert f"{rules.RULES[code].says} {rules.RULES[code].source}" in page


def test_other_rules_are_tried_out_on_the_page_and_nothing_is_changed(office, english):
    wave = closed()
    for kind, *numbers in ((ListKind.ASN, 1, 2), (ListKind.SOCIAL_AID, 2, 3)):
        put_on_list(kind, *numbers)
    RuleSet.objects.create(
        name="without-aid",
        in_force_from=date(2023, 1, 1),
        rules=["excluded_profession"],
        days_to_buy=30,
        package=0,
        sources="tirto.id",
    )
    screening.screen(wave, at=AFTER)

    pages = {name: text_of(office.get(PAGE, {"try": name})) for name in ("2020-04", "without-aid", "none")}

    assert "By 2020-04, 9 would be eligible. Nothing was changed." in pages["2020-04"]
    assert "By without-aid, 10 would be eligible. Nothing was changed." in pages["without-aid"]
    assert f"Nothing was changed. {DropOff.EXCLUDED_PROFESSION.label}: 2 Change quota" in pages["without-aid"]
    assert "would be eligible" not in pages["none"]
    assert all("Not eligible, for one reason or more 3 Eligible 9" in page for page in pages.values())
    assert (wave.screenings.count(), Plan.objects.get().rule_set_id) == (1, "2020-04")
    assert not Change.objects.exists()


def test_the_page_of_one_person_tells_which_lists_kept_them_out_of_which_wave(office, english):
    wave = make_wave(quota=5)
    ids = make_applicants(wave, 2)
    for kind in (ListKind.ASN, ListKind.SOCIAL_AID):
        put_on_list(kind, 1)
    screening.screen(wave, at=AFTER)
    permit("ani", "look_up_people")

    pages = [text_of(looked_up(office, "registrant", id)) for id in ids]

    told = pages[0].split("Why not eligible")[1]
    assert f"Wave 1 {DropOff.EXCLUDED_PROFESSION.label}; {DropOff.SOCIAL_AID.label}" in told
    for kind in (ListKind.ASN, ListKind.SOCIAL_AID):
        assert f"{kind.label}: BKN, April 1, 2020, 1 · 0000000000000000…" in told
    assert "Why not eligible" not in pages[1]


def test_where_nobody_is_eligible_the_announcement_is_next_and_ends_the_wave(office):
    wave = make_wave(quota=5)
    make_applicants(wave, 2)
    put_on_list(ListKind.ASN, 1, 2)
    screening.screen(wave, at=AFTER)

    page = text_of(office.get(PAGE))
    assert "Next: Announce the result Nobody is eligible: there is nothing to draw." in page
    assert "Screen again" in page
    assert asked(office, name="announce", **SURE) == "Asked for. Another person confirms it."
    acts.confirm(Act.objects.get(), by=User.objects.create_user("budi", is_staff=True))
    assert acts.carry_out_waiting(beacon=BEACON, clock=lambda: AFTER) == 1

    page = text_of(office.get(PAGE))
    assert "Next:" not in page
    assert "Change quota" not in page
    assert "Nobody in wave 1 is eligible." in text_of(office.get("/undian/1/"))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (make_frozen, r"Round \d+ is published on \d+ \w+ \d+ "),
        (make_drawn, "Tickets 12 Seats 5 Drawn 5 I have looked"),
        (make_published, "Tickets 12 Seats 5 Drawn 5 I have looked"),
    ],
)
def test_each_step_of_a_draw_shows_its_numbers_before_it_is_asked_for(office, make, says):
    make(count=12, quota=5)

    assert re.search(says, text_of(office.get(PAGE)))


def test_the_announcement_shows_how_many_are_told_what(office):
    naming.issue(make_published(count=12, quota=5), by="Denni", at=TOLD)

    assert "Drawn 5 Told why they were not selected 7 I have looked" in text_of(office.get(PAGE))


def test_the_page_tells_the_window_in_three_zones_and_the_steps_that_nobody_asked_for(office):
    make_drawn(count=12, quota=5)

    page = text_of(office.get(PAGE))

    assert "Closes 16 Apr 2020 08:00 WIB, 09:00 WITA, 10:00 WIT" in page
    assert "This draw used the mock beacon of a demonstration: it proves nothing." in page
    for step in ("Freeze the list", "Fix the secret and the round", "Enter the randomness and draw"):
        assert f"{step} by itself –" in page


def test_a_changed_quota_stands_there_with_its_reason(office):
    wave = make_wave(quota=164_000)
    planning.change_quota(wave, 200_000, by=User.objects.get(), reason="Raised by decision.", at=AFTER)

    assert "Seats: 164,000 → 200,000. Raised by decision. ani" in text_of(office.get(PAGE))


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"name": "freeze"}, "Tick that you have looked at the numbers."),
        ({"name": "commit", "round": "1", **SURE}, "is not frozen"),
        ({"name": "draw", "signature": "ab", **SURE}, "is not frozen"),
        ({"name": "decree", "signer": "Denni", **SURE}, "is not frozen"),
        ({"name": "revoke", "signer": "Denni", **SURE}, "is not frozen"),
    ],
)
def test_a_step_whose_turn_has_not_come_is_refused(office, told, says):
    closed()

    assert says in asked(office, **told)
    assert not Act.objects.exists()


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"name": "commit", "round": "-1"}, "no such round"),
        ({"name": "commit", "round": "1e9"}, "no such round"),
        ({"name": "commit"}, "no such round"),
        ({"name": "commit", "round": str(10**11)}, "no such round"),
        ({"name": "commit", "round": "9" * 5000}, "no such round"),
        ({"name": "commit", "round": "٣٣٣٣٣٣٣٣"}, "no such round"),
        ({"name": "draw", "signature": "no digits"}, "hexadecimal"),
        ({"name": "annul", "reason": " "}, "reason"),
        ({"name": "decree", "signer": " "}, "who signs it"),
        ({"name": "correct", "signer": "Denni", "changes": "nonsense"}, "Line 1"),
        ({"name": "reserves", "signer": "Denni", "seats": "-3"}, "whole number above 0"),
        ({"name": "reserves", "signer": "Denni", "seats": "9" * 30}, "whole number above 0"),
        ({"name": "reserves", "signer": "Denni", "seats": "9" * 5000}, "whole number above 0"),
        ({"name": "reserves", "signer": "Denni", "seats": "1.5"}, "whole number above 0"),
        ({"name": "move", "seats": "1", "to": "2"}, "reason"),
        ({"name": "move", "seats": "1", "to": "x", "reason": "y"}, "whole number above 0"),
    ],
)
def test_what_says_nothing_is_refused_and_nothing_is_asked_for(office, told, says):
    make_frozen(count=4)

    assert says in asked(office, **told, **SURE)
    assert not Act.objects.exists()


class Unreachable:
    """The mock's chain; but nobody answers."""

    chain = BEACON.chain

    def signature(self, round):
        raise Unavailable("no way there")


def test_a_round_that_is_entered_by_hand_draws_where_the_beacon_is_not_reached(office):
    draw = make_committed(count=12, quota=5)
    assert acts.reveal(beacon=Unreachable(), at=TOLD) == 0
    assert "Signature of the round" in text_of(office.get(PAGE))

    wrong = BEACON.signature(draw.round + 1).hex()
    for signature in (wrong, BEACON.signature(draw.round).hex()):
        assert asked(office, name="draw", signature=signature, **SURE) == "It is being done."
        acts.carry_out_waiting(beacon=Unreachable(), clock=lambda: TOLD)
        draw.refresh_from_db()
        if signature == wrong:
            assert f"not the signature of round {draw.round}" in text_of(office.get(PAGE))
            assert draw.drawn_at is None
            acts.withdraw(Act.objects.get())

    assert (draw.selected, draw.drawn_at) == (5, TOLD)


def test_a_step_that_nobody_knows_does_nothing(office):
    make_frozen(count=4)

    assert office.post(f"{PAGE}minta/", {"name": "win", **SURE}).status_code == 302
    assert office.post("/pmo/gelombang/77/minta/", {"name": "freeze", **SURE}).status_code == 404
    assert not Act.objects.exists()


@pytest.mark.parametrize("quota", ["0", "-5", "1.5", "8.00.000", ".500", "500.", "x", "9" * 30, "9" * 5000])
def test_a_quota_that_is_no_number_of_seats_is_refused(office, quota):
    make_wave(quota=10)

    answer = office.post(f"{PAGE}ubah/", {"quota": quota, "reason": "x"}, follow=True)

    assert answer.context["notice"]["wrong"]
    assert Wave.objects.get().quota == 10
    assert not Change.objects.exists()


@pytest.mark.parametrize("quota", ["800000", "800.000", "800,000", "800 000"])
def test_a_quota_is_taken_as_people_write_it(office, quota):
    make_wave(quota=10)

    answer = office.post(f"{PAGE}ubah/", {"quota": quota, "reason": "Raised"}, follow=True)

    assert answer.context["notice"]["text"] == "Changed."
    assert Wave.objects.get().quota == 800_000


def open_now():
    wave, now = make_wave(quota=10), timezone.now()
    Wave.objects.update(opens_at=now - timedelta(days=1), closes_at=now + timedelta(days=1))
    return wave


def test_quota_and_closing_time_are_changed_together(office):
    open_now()

    office.post(f"{PAGE}ubah/", {"quota": "800.000", "closes_at": "2131-05-06T07:08", "reason": "Both"})

    wave = Wave.objects.get()
    assert (wave.quota, wave.closes_at.isoformat()) == (800_000, "2131-05-06T00:08:00+00:00")
    assert [(trace.field, trace.reason) for trace in Change.objects.all()] == [("quota", "Both"), ("closes_at", "Both")]


@pytest.mark.parametrize(
    "told", [{"quota": "20", "closes_at": "2020-01-01T00:00"}, {"quota": "x", "closes_at": "2131-05-06T07:08"}]
)
def test_if_one_of_both_is_refused_nothing_is_changed(office, told):
    open_now()
    before = Wave.objects.values().get()

    answer = office.post(f"{PAGE}ubah/", {**told, "reason": "Both"}, follow=True)

    assert answer.context["notice"]["wrong"]
    assert Wave.objects.values().get() == before
    assert not Change.objects.exists()


def screened():
    wave = closed()
    screening.screen(wave, at=AFTER)
    return {}


def annulled():
    drawing.annul(make_drawn(count=12, quota=5), reason="a wrong list", at=TOLD)
    return {}


def committed_far_ahead():
    drawing.commit(make_frozen(count=4), chain=BEACON.chain, round=10**8, at=AFTER)


def frozen():
    make_frozen(count=12, quota=5)
    return {"round": str(BEACON.chain.first_after(timezone.now() + timedelta(hours=1)))}


def drawn():
    make_drawn(count=12, quota=5)
    return {"reason": "a wrong list"}


def published():
    make_published(count=12, quota=5)
    return {"signer": "Denni"}


def decreed():
    naming.issue(make_published(count=12, quota=5), by="Denni", at=TOLD)
    return {}


def announced():
    draw = make_announced(count=12, quota=5)
    ticket = drawing.ticket_of(draw, Recipient.objects.first().pk)
    return {"changes": f"-; {ticket.number:015x}; an ASN since March", "signer": "Denni"}


def revoked():
    make_announced(count=12, quota=5)
    buy(2)
    revoke_all()
    return {"signer": "Denni"}


def free():
    make_free(count=12, quota=5, bought=2)
    make_wave(2, quota=100)
    return {"signer": "Denni", "seats": "3", "to": "2", "reason": "revoked seats"}


#: Each step that takes two: how it comes to its turn, and the numbers that are looked at then.
IN_TWOS = {
    "freeze": (Act.Name.FREEZE, screened, "Tickets 12 Seats 5"),
    "redraw": (Act.Name.FREEZE, annulled, "Tickets 12 Seats 5"),
    "commit": (Act.Name.COMMIT, frozen, "Tickets 12 Seats 5"),
    "publish": (Act.Name.PUBLISH, drawn, "Tickets 12 Seats 5 Drawn 5"),
    "annul": (Act.Name.ANNUL, drawn, "Tickets 12 Seats 5 Drawn 5"),
    "decree": (Act.Name.DECREE, published, "Tickets 12 Seats 5 Drawn 5"),
    "announce": (Act.Name.ANNOUNCE, decreed, "Drawn 5 Told why they were not selected 7"),
    "correct": (
        Act.Name.CORRECT,
        announced,
        "Recipients now 5 Revoked, and in no decree yet 0 Free seats 0 In reserve 7 People to be added 0 People to be removed 1",
    ),
    "revoke": (Act.Name.REVOKE, revoked, "Recipients now 2 Revoked, and in no decree yet 3 Free seats 0 In reserve 7"),
    "reserves": (
        Act.Name.RESERVES,
        free,
        "Recipients now 2 Revoked, and in no decree yet 0 Free seats 3 In reserve 7 Reserves to be called 3",
    ),
    "move": (
        Act.Name.MOVE,
        free,
        "Recipients now 2 Revoked, and in no decree yet 0 Free seats 3 In reserve 7"
        " Seats to be given away 3 Seats of the later wave now 100",
    ),
}


def test_all_steps_that_take_two_are_looked_at():
    assert {name for name, *_ in IN_TWOS.values()} == {name for name in Act.Name if name.takes_two}


@pytest.fixture
def budi(client):
    """The second person of the office."""
    other = client.__class__()
    other.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    other.force_login(User.objects.create_user("budi", is_staff=True))
    return other


def seen_by(reader):
    """What the form sends back with the yes of whoever has the page before them."""
    form = reader.get(PAGE).content.decode().partition("/putuskan/")[2]
    return {"seen": re.search('name="seen" value="([^"]*)"', form)[1]}


def decided(reader, act, **told):
    reader.post(f"{PAGE}putuskan/{act.pk}/", {"confirm": "", **told})
    act.refresh_from_db()
    return reader.session["notice"]["text"]


@pytest.mark.parametrize("step", IN_TWOS)
def test_whoever_asked_cannot_confirm_and_somebody_else_ticks_that_they_have_looked(office, budi, step):
    name, prepare, _ = IN_TWOS[step]
    assert asked(office, **prepare(), name=name, **SURE) == "Asked for. Another person confirms it."
    act, seen = Act.objects.get(), seen_by(budi)

    assert 'name="confirm"' not in office.get(PAGE).content.decode()
    assert "Two people are needed" in decided(office, act, **seen, **SURE)
    assert decided(budi, act, **seen) == "Tick that you have looked at the numbers."
    assert "look at them again" in decided(budi, act, seen="tickets=0", **SURE)
    with pytest.raises(IntegrityError), transaction.atomic():
        Act.objects.update(checker=act.maker)
    assert act.checker is None
    assert acts.carry_out_waiting(beacon=BEACON, clock=timezone.now) == 0
    assert decided(budi, act, **seen, **SURE) == "Confirmed. It is being done."
    assert acts.carry_out_waiting(beacon=BEACON, clock=timezone.now) == 1


@pytest.mark.parametrize("step", IN_TWOS)
def test_the_second_person_sees_the_numbers_of_the_step_and_which_have_changed_since_it_was_asked_for(office, budi, step):
    name, prepare, numbers = IN_TWOS[step]
    asked(office, **prepare(), name=name, **SURE)
    assert f"{numbers} I have looked at the numbers on this page." in text_of(budi.get(PAGE))
    assert "have changed" not in text_of(budi.get(PAGE))
    act = Act.objects.get()
    then = act.details["numbers"]
    [*_, last] = preview.of(name, act.wave, acts.live_draw(act.wave), act.details)
    then[last] += 1000
    act.save()

    page = text_of(budi.get(PAGE))

    assert "These numbers have changed since it was asked for." in page
    assert f"{numbers} {then[last]:,} when it was asked for I have looked" in page


def test_numbers_that_change_between_look_and_yes_are_looked_at_again(office, budi):
    screened()
    wave = Wave.objects.get()
    old = {"seen": "tickets=12 seats=5"}
    raise_quota = {"by": User.objects.first(), "reason": "Raised", "at": AFTER}
    planning.change_quota(wave, 6, **raise_quota)
    assert "look at them again" in asked(office, name="freeze", **old, **SURE)
    assert not Act.objects.exists()
    asked(office, name="freeze", **SURE)
    seen = seen_by(budi)
    planning.change_quota(wave, 7, **raise_quota)

    assert "look at them again" in decided(budi, Act.objects.get(), **seen, **SURE)

    assert "Tickets 12 Seats 7 6 when it was asked for" in text_of(budi.get(PAGE))
    assert decided(budi, Act.objects.get(), **seen_by(budi), **SURE) == "Confirmed. It is being done."


def in_twos(name, *, at, **details):
    """One of the office asks for it, another one confirms it, and it is done at this instant."""
    ani, budi = (User.objects.get_or_create(username=username, is_staff=True)[0] for username in ("ani", "budi"))
    acts.confirm(acts.ask(Wave.objects.get(pk=1), name, by=ani, **details), by=budi)
    assert acts.carry_out_waiting(beacon=BEACON, clock=lambda: at) == 1


def test_each_state_stands_there_with_who_and_when(office, english):
    hours = [AFTER + timedelta(hours=hour) for hour in range(8)]
    programme.load_rule_sets()
    planning.plan(
        opens_at=OPENS,
        closes_at=CLOSES,
        quota=5,
        rule_set=RuleSet.objects.get(name="2020-04"),
        by=User.objects.get(username="ani"),
        reason="Budget of 2020",
        at=OPENS - timedelta(days=9),
    )
    make_applicants(Wave.objects.get(), 12)
    screening.screen(Wave.objects.get(), at=AFTER)
    assert [state.at for state in office.get(PAGE).context["states"][3:]] == [None] * 4
    in_twos(Act.Name.FREEZE, at=hours[1])
    in_twos(Act.Name.COMMIT, at=hours[2], round=BEACON.chain.first_after(hours[3]))
    acts.reveal(beacon=BEACON, at=hours[4])
    in_twos(Act.Name.PUBLISH, at=hours[5])
    in_twos(Act.Name.DECREE, at=hours[6], signer="Denni")
    in_twos(Act.Name.ANNOUNCE, at=hours[7])

    answer = office.get(PAGE)

    assert [(one.state, one.at, one.who, one.is_past) for one in answer.context["states"]] == [
        ("planned", OPENS - timedelta(days=9), "ani", True),
        ("open", OPENS, "by itself", True),
        ("closed", CLOSES, "by itself", True),
        ("frozen", hours[1], "ani, budi", True),
        ("drawn", hours[4], "by itself", True),
        ("decreed", hours[6], "ani, budi", True),
        ("announced", hours[7], "ani, budi", True),
    ]
    page = text_of(answer)
    assert f"Decreed {moment(hours[6])} ani, budi Announced".replace("\u00a0", " ") in page
    assert "In reserve 7" in page
    assert office.get("/pmo/gelombang/1/").content.decode().count('aria-current="step"') == 1


def test_a_wave_that_is_to_come_tells_when_it_will_open(office):
    office.get("/pmo/gelombang/")
    office.post("/pmo/gelombang/rencana/", PLANNED)

    planned, opens, *_ = office.get(PAGE).context["states"]

    assert (planned.who, planned.is_past) == ("ani", True)
    assert (opens.at.isoformat(), opens.is_past) == ("2031-01-02T01:00:00+00:00", False)


def test_the_waves_of_2020_say_where_they_come_from(office):
    programme.load_waves()

    page = text_of(office.get(PAGE))

    assert "Planned – with the waves of 2020 Open 11 Apr 2020 00:00 WIB by itself" in page
    assert "Seats: 164,000 → 200,000. Kuota dinaikkan (mistar.id, 16 April 2020) – – 16 Apr 2020 16:00 WIB" in page


def test_another_closing_time_stands_there_as_it_was_before_and_is_now(office):
    open_now()
    Wave.objects.update(closes_at=datetime(2131, 5, 1, tzinfo=UTC))

    office.post(f"{PAGE}ubah/", {"closes_at": "2131-05-06T07:08", "reason": "Many could not join"})

    said = "Closes: 1 May 2131 07:00 WIB → 6 May 2131 07:08 WIB. Many could not join ani"
    assert said in text_of(office.get(PAGE))


def test_seats_given_to_a_later_wave_stand_on_both_pages_with_both_people(office, english):
    free()

    in_twos(Act.Name.MOVE, at=TOLD + timedelta(days=40), seats=3, to=2, reason="Revoked seats")

    instant = moment(TOLD + timedelta(days=40)).replace("\u00a0", " ")
    earlier, later = (text_of(office.get(f"/pmo/gelombang/{number}/")) for number in (1, 2))
    assert f"Seats given to wave 2 3, {instant}, ani, budi: Revoked seats" in earlier
    assert f"Give seats to a later wave: 3 → Wave 2. Revoked seats ani budi {instant}" in earlier
    assert f"Seats: 100 → 103. Revoked seats (from wave 1) ani budi {instant}" in later


def test_seats_that_two_waves_give_to_one_at_the_same_instant_are_told_apart(office, english):
    make_announced(count=4, quota=7)
    of_2 = drawn_in_wave_2(quota=8)
    naming.issue(of_2, by="Denni", at=TOLD + timedelta(days=7))
    naming.announce(of_2, at=TOLD + timedelta(days=7))
    make_wave(3, quota=100)
    for number, count, checker in ((1, 3, "budi"), (2, 2, "citra")):
        act = acts.ask(
            Wave.objects.get(pk=number), Act.Name.MOVE, by=User.objects.first(), seats=count, to=3, reason="Revoked seats"
        )
        acts.confirm(act, by=User.objects.create_user(checker, is_staff=True))

    assert acts.carry_out_waiting(beacon=BEACON, clock=lambda: TOLD + timedelta(days=40)) == 2

    page = text_of(office.get("/pmo/gelombang/3/"))
    assert "Seats: 100 → 103. Revoked seats (from wave 1) ani budi" in page
    assert "Seats: 103 → 105. Revoked seats (from wave 2) ani citra" in page


def still_open():
    open_now()
    make_applicants(make_wave(2), 3)


def not_screened():
    closed()


def without_seats():
    screened()
    Wave.objects.update(quota=None)


SIGNED = {"signer": "Denni"}
#: A step whose turn has not come or is over, and why it cannot be done.
OUT_OF_TURN = {
    "screen while open": (still_open, "screen", {}, "Wave 1 is not closed yet."),
    "freeze while open": (still_open, "freeze", {}, "Wave 1 is not closed yet."),
    "freeze before the screening": (not_screened, "freeze", {}, "have not been screened"),
    "freeze without seats": (without_seats, "freeze", {}, "Wave 1 has no quota."),
    "draw before the secret": (frozen, "draw", {"signature": "ab"}, "The draw is not committed"),
    "draw before the round": (committed_far_ahead, "draw", {"signature": "ab"}, "Round 100000000 is not out yet."),
    "annul when the round is out": (
        lambda: make_committed(count=4),
        "annul",
        {"reason": "x"},
        "is out: the draw is made with it before it can be annulled",
    ),
    "publish before the draw": (lambda: make_committed(count=4), "publish", {}, "The draw has not been made."),
    "decree before the draw": (lambda: make_committed(count=4), "decree", SIGNED, "The draw is not published."),
    "decree before the publication": (drawn, "decree", SIGNED, "The draw is not published."),
    "announce before the decree": (published, "announce", {}, "No decree names those who were drawn yet."),
    "annul after the decree": (decreed, "annul", {"reason": "x"}, "A decree names those who were drawn already."),
    "revoke before the announcement": (decreed, "revoke", SIGNED, "has not been announced"),
    "revoke nobody": (announced, "revoke", SIGNED, "Nobody has been revoked"),
    "call reserves without seats": (announced, "reserves", {**SIGNED, "seats": "1"}, "0 free seats"),
    "move seats to no wave": (free, "move", {"seats": "1", "to": "9", "reason": "x"}, "There is no wave 9"),
}


@pytest.mark.parametrize("step", OUT_OF_TURN)
def test_a_step_out_of_turn_is_refused_with_its_reason_and_nothing_is_half_done(office, english, step):
    prepare, name, details, says = OUT_OF_TURN[step]
    prepare()
    before = outcome(), list(Draw.objects.values()), list(Wave.objects.values()), rows()
    asked(office, name=name, **details, **SURE)
    act = Act.objects.get()
    if act.checker is None:
        acts.confirm(act, by=User.objects.create_user("budi", is_staff=True))

    assert acts.carry_out_waiting(beacon=BEACON, clock=timezone.now) == 0

    page = text_of(office.get(PAGE))
    assert "This could not be done: " in page
    assert says in page.partition("This could not be done: ")[2]
    office.post(f"{PAGE}putuskan/{act.pk}/", {"withdraw": ""})
    assert (outcome(), list(Draw.objects.values()), list(Wave.objects.values()), rows()) == before


def test_a_wave_whose_draw_was_annulled_is_closed_and_can_be_frozen_again(office):
    draw = make_drawn(count=12, quota=5)
    in_twos(Act.Name.ANNUL, at=TOLD, reason="The list of officials was the wrong one.")

    answer = office.get(PAGE)

    page = text_of(answer)
    assert answer.context["state"] == "closed"
    assert "Annul the draw. The list of officials was the wrong one. ani budi" in page
    assert "Next: Freeze the list" in page
    assert [one.at for one in answer.context["states"][3:]] == [None] * 4
    assert set(Registrant.objects.values_list("stage", "drop_off", "selected_wave")) == {(Stage.PHONE_VERIFIED, 0, None)}
    in_twos(Act.Name.FREEZE, at=TOLD)
    again = acts.live_draw(draw.wave)
    assert (again.attempt, again.tickets, again.drawn_at) == (2, 12, None)
    assert office.get(PAGE).context["state"] == "frozen"


def test_a_list_is_taken_for_a_reason_that_is_kept(office):
    make_announced(count=10, quota=3)
    decree = Decree.objects.get()
    answer = office.post(f"/pmo/sk/{decree.pk}/daftar/", {"reason": " "}, follow=True)
    assert "it holds names" in answer.context["notice"]["text"]
    assert not ListCopy.objects.exists()

    answer = office.post(f"/pmo/sk/{decree.pk}/daftar/", {"reason": "Asked for by the auditors."})

    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert answer["Content-Disposition"] == 'attachment; filename="sk-1-2020.csv"'
    assert len(lines) == 4
    assert ListCopy.objects.get().reason == "Asked for by the auditors."
    assert "ani, " in text_of(office.get(PAGE))
    with by_force():
        Decree.objects.update(sha256=b"x" * 32)
    answer = office.post(f"/pmo/sk/{decree.pk}/daftar/", {"reason": "again"}, follow=True)
    assert "not as it was signed" in answer.context["notice"]["text"]
    assert ListCopy.objects.count() == 1, "a list that is not what was signed is given to nobody"


def test_recipients_revoked_free_seats_and_what_goes_back_to_the_treasury_are_told(office):
    make_announced(count=20, quota=6)
    buy(2)
    revoke_all()

    page = text_of(office.get(PAGE))

    assert "Named 6 Revoked 4 Recipients now 2 Free seats 0" in page
    assert "Revoked, and in no decree yet 4" in page
    assert "Back to the treasury for those revoked Rp14,200,000 (4 × Rp3,550,000)" in page
    assert "4 people who have bought no training in time are named." in page


def test_the_figure_of_september_2020_is_told_to_the_rupiah(office):
    draw = make_free(count=8, quota=4, bought=0)
    found = seats.of(draw)._replace(revoked=189_436)

    page = render_to_string("office/_recipients.html", {"wave": draw.wave, "draw": draw, "after": {"seats": found}})

    assert "Rp672.497.800.000" in page
    assert "(189.436 × Rp3.550.000)" in page


PLANNED = {
    "opens_at": "2031-01-02T08:00",
    "closes_at": "2031-01-06T23:59",
    "quota": "600.000",
    "priority_seats": "1000",
    "provinces": "Jawa Barat; 5.000\r\n\r\n 91;250",
    "rule_set": "2021-03",
    "reason": "Budget of 2031",
}


def test_the_next_wave_is_planned_in_the_office(office):
    page = text_of(office.get("/pmo/gelombang/"))
    assert "2020-04, in force from April 11, 2020" in page
    assert "2021-03: As 2020-04; at most two NIK per KK" in page

    answer = office.post("/pmo/gelombang/rencana/", PLANNED, follow=True)

    assert answer.context["notice"]["text"] == "Wave 1 is planned."
    wave = Wave.objects.get()
    assert (wave.quota, wave.opens_at.isoformat()) == (600_000, "2031-01-02T01:00:00+00:00")
    assert [(room["name"], room["seats"]) for room in wave.plan.rooms] == [
        ("priority", 1000),
        ("Jawa Barat", 5000),
        ("Papua", 250),
    ]
    assert "Set apart: – → priority 1000, Jawa Barat 5000, Papua 250. Budget of 2031 ani" in text_of(office.get(PAGE))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"opens_at": ""}, "date and time"),
        ({"closes_at": "2031-13-40T99:00"}, "date and time"),
        ({"quota": "-5"}, "whole number"),
        ({"quota": "1e9"}, "whole number"),
        ({"rule_set": "none"}, "Choose the rules"),
        ({"reason": ""}, "reason"),
        ({"closes_at": "2031-01-01T00:00"}, "after it has opened"),
        ({"priority_seats": "-1"}, "A number of seats set apart is a whole number, 0 or more."),
        ({"quota": "0"}, "A number of seats is a whole number above 0."),
        ({"priority_seats": "600001", "provinces": ""}, "600,001 of 600,000"),
        ({"provinces": "Jawa Barat 5"}, "Line 1 is not like"),
        ({"provinces": "Bali; 5\nJawa; 5"}, "Line 2: there is no province “Jawa”"),
        ({"provinces": "Bali; -5"}, "Line 1: a number of seats"),
        ({"provinces": "Bali; 0"}, "Line 1: a number of seats"),
        ({"provinces": "Bali;"}, "Line 1: a number of seats"),
        ({"provinces": "Bali; 5\nbali; 6"}, "Bali stands in two lines"),
        ({"provinces": "51; 5\nBali; 6"}, "Bali stands in two lines"),
        ({"provinces": "Bali; " + "9" * 5000}, "Line 1: a number of seats"),
        ({"provinces": "Bali; 599.001"}, "600,001 of 600,000"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_and_what_was_typed_is_kept(office, changes, says):
    office.get("/pmo/gelombang/")

    answer = office.post("/pmo/gelombang/rencana/", PLANNED | changes)

    page = answer.content.decode()
    assert answer.status_code == 422
    assert says in page
    assert not Wave.objects.exists()
    assert 'value="2031-01-02T08:00"' in page or "opens_at" in changes
    assert "91;250</textarea>" in page or "provinces" in changes


RULES = {"rule_set": "2021-03", "priority_seats": "2", "provinces": "Papua; 3", "reason": "By decision"}


def test_rules_and_seats_set_apart_are_changed_in_the_office_while_the_wave_is_open(office):
    open_now()

    answer = office.post(f"{PAGE}aturan/", RULES, follow=True)

    page = text_of(answer)
    assert answer.context["notice"]["text"] == "Changed."
    assert "Rule set: 2020-04 → 2021-03. By decision ani" in page
    assert "Set apart: – → priority 2, Papua 3. By decision ani" in page
    form = answer.content.decode().partition("/aturan/")[2]
    assert '<option value="2021-03" selected>' in form
    assert 'name="priority_seats" inputmode="numeric" value="2"' in form
    assert ">Papua; 3</textarea>" in form


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"provinces": "Papua; 9"}, "More seats are set apart than there are: 11 of 10."),
        ({"provinces": "Atlantis; 1"}, "there is no province “Atlantis”"),
        ({"rule_set": "none"}, "Choose the rules"),
        ({"reason": ""}, "reason"),
    ],
)
def test_rules_that_cannot_be_are_refused_and_what_was_typed_is_kept(office, changes, says):
    open_now()

    answer = office.post(f"{PAGE}aturan/", RULES | changes)

    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert f">{(RULES | changes)['provinces']}</textarea>" in answer.content.decode()
    assert not Change.objects.exists()


def test_rules_and_seats_set_apart_are_fixed_from_the_close_on(office):
    closed()
    assert "Change rules or seats set apart" not in text_of(office.get(PAGE))

    answer = office.post(f"{PAGE}aturan/", RULES)

    assert "Wave 1 is closed." in answer.content.decode()
    assert not Change.objects.exists()


def test_that_a_wave_has_closed_the_databases_clock_says_to_the_office_too(office):
    wave = closed()
    wave.closes_at = timezone.now() + timedelta(minutes=5)
    wave.save()
    put_the_databases_clock_on(timedelta(minutes=10))

    page, answer = text_of(office.get(PAGE)), office.post(f"{PAGE}aturan/", RULES)

    assert "Change rules or seats set apart" not in page
    assert "Wave 1 is closed." in answer.content.decode()
    assert not Change.objects.exists()

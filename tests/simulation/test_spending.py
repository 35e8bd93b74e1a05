"""What recipients do until the briefing, lived through: the figures are exact, in every view and in every book."""

import re
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.core.signals import request_started
from django.db import connection
from django.db.models import Count, F, Sum

from foundation.models import SetAside, Work
from incentives import batching, figures, ledger, terms
from incentives.gates import Gate
from incentives.models import Account, Batch, Obligation, Payout, State
from incentives.payers import queue
from partners import idempotency
from partners.models import Call, Client
from prakerja.models import Run
from prakerja.simulation import calls, office, programme, recipients, spending
from prakerja.simulation.population import Population
from prakerja.simulation.programme import END
from prakerja.simulation.recipients import ERAS, Course, Recipients
from prakerja.simulation.spending import Spending
from registrations import funnel
from registrations.funnel import WIB, View
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from tests.clock import fall_due
from tests.incentives.cast import make_payable
from tests.waves.cast import at_the_same_time
from trainings import accounts
from trainings.models import Purchase, Review
from waves import decrees, revocation, seats
from waves.models import Decree, Notice, Recipient

pytestmark = pytest.mark.django_db(transaction=True)


def simulate(*arguments):
    output = StringIO()
    call_command("simulate", *arguments, "--workers", "1", stdout=output)
    return output.getvalue()


def rungs(view=View()):
    return [rung.people for rung in funnel.read(view).rungs]


def assert_as_planned(plans):
    """Each wave's recipients, in all books, which agree."""
    for plan in plans:
        found = funnel.read(View(selected_wave=plan.wave)).rungs
        assert [rung.people for rung in found[4:]] == [plan.selected, plan.bought, plan.completed, plan.received]
        lost = {entry.reason: entry.people for rung in found for entry in rung.lost}
        expected = {course.drop_off: plan.courses[course] for course in Course if course.drop_off}
        assert lost == {reason: people for reason, people in {**expected, DropOff.REVOKED: plan.revoked}.items() if people}
    assert funnel.recount().differences == []
    assert accounts.recount() == []
    assert ledger.recount() == []
    assert not Work.objects.exists()
    assert not SetAside.objects.exists()


def test_the_programme_at_a_thousandth_ends_on_the_eight_figures(capsys):
    with _signed_calls() as signed:
        printed = simulate("--scale", "0.001")

    told = capsys.readouterr().err
    for goal, unit in ((66_561, "climbs"), (64_150, "steps"), (6_400, "climbs")):
        lines = re.findall(rf"(\d+)/{goal} \[\d\d:\d\d<\d\d:\d\d, +[\d.]+ {unit}/s\]", told)
        assert int(lines[-1]) == goal
        assert 0 < int(lines[0]) < goal, "how fast, and for how long, is told on the way"
    assert "23.171 / 18.000 / 13.400 / 11.990 / 3.881 / 3.200 / 2.000 / 1.200" in printed
    assert rungs() == rungs(View(as_of=datetime(2020, 9, 16, tzinfo=WIB)))
    plans = recipients.plan("0.001")
    assert_as_planned(plans)
    assert rungs(View(as_of=datetime(2020, 5, 20, tzinfo=WIB)))[4:] == [681, 530, 350, 300]
    assert rungs(View(selected_wave=4, as_of=recipients.TOLD[4]))[5:] == [0, 0, 0], "nobody buys before they are told"

    # Revoked, by decree, and nobody was written to.
    assert Recipient.objects.filter(ended_because=DropOff.REVOKED).count() == 87 == sum(plan.revoked for plan in plans)
    revoked = Decree.objects.filter(kind=Decree.Kind.REVOCATION)
    assert [decree.names for decree in revoked] == [plan.revoked for plan in plans[:3]]
    assert all(decrees.faults(decree) == [] for decree in revoked)
    assert sum(seats.of(decree.draw).returned for decree in revoked) == 87 * 3_550_000
    assert not Notice.objects.exists()
    assert revocation.revoke(at=datetime(2027, 1, 1, tzinfo=UTC)) == 0, "nobody else is, whatever the clock says"

    # What is owed.
    blocked = {entry.gate: (entry.people, entry.rupiah) for entry in figures.blocked()}
    held_up = {
        Gate(course.drop_off): sum(plan.courses[course] for plan in plans) for course in recipients.UNPAID if course.drop_off
    }
    assert blocked == {gate: (people, people * 4 * 600_000) for gate, people in held_up.items()}
    states = {entry.state: entry for entry in figures.states()}
    assert states[State.PAID].people == 1200
    assert 1.55e9 < states[State.PAID].rupiah < 1.65e9, "about a thousandth of Rp1.6 trillion"
    assert states[State.PAID].rupiah == Obligation.objects.filter(state=State.PAID).aggregate(sum=Sum("amount"))["sum"]
    waiting = Batch.objects.filter(approved_at=None)
    under_way = Obligation.objects.filter(batch_id__in=waiting.values("pk"), id__in=_firsts())
    assert under_way.count() == sum(plan.courses[Course.UNDER_WAY] for plan in plans)
    assert not Obligation.objects.filter(paid_at__gt=END).exists()
    again = Account.objects.filter(revision__gt=0, checked_at__gt=F("linked_at") + terms.TERMS[0].check_lives)
    assert again.count() > 400, "before the third month, payers were asked again"
    surveys = Obligation.objects.filter(amount=50_000).values("state").annotate(count=Count("pk"))
    assert list(surveys) == [{"state": State.PAID, "count": surveys[0]["count"]}]
    assert surveys[0]["count"] > 100

    # By the API went one in a hundred at least, of what each kind of partner tells; and what they called with is gone.
    bought = Purchase.objects.all()
    happened = {
        "purchases": bought,
        calls.COMMIT: bought.exclude(redeemed_at=None),
        "completions": bought.exclude(completed_at=None),
        "account checks": Account.objects.exclude(checked_at=None),
        "payout results": Payout.objects.exclude(sent_at=None),
    }
    told = _rows_told() | signed
    assert {what: told[what] for what, rows in happened.items() if told[what] < rows.count() / 100} == {}
    assert set(Call.objects.filter(partner__is_payer=True).values_list("partner", flat=True)) == set(spending.PAYING)
    assert not Client.objects.exists()

    assert Account.objects.filter(ended_at=None).count() == _linking(plans)
    assert Review.objects.count() == 2000 - sum(
        plan.courses[course] for plan in plans for course in (Course.CERTIFICATE_MISSING, Course.NOT_REVIEWED)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM registrations_registrant WHERE stage >= %s AND greatest(
                drop_off_at, training_bought_at, training_completed_at, incentive_received_at) > %s
            """,
            [Stage.SELECTED, END],
        )
        assert cursor.fetchone() == (0,), "nothing happens after the briefing"
    assert simulate("--scale", "0.001") == printed, "nothing is left to do"
    shown = re.findall(r"(\d+/\d+) \[", capsys.readouterr().err)
    assert list(dict.fromkeys(shown)) == ["66561/66561", "64150/64150", "6400/6400"]


def _firsts():
    """The first months' incentives."""
    return Obligation.objects.annotate(item_number=F("id") % 16).filter(item_number=1).values("pk")


@contextmanager
def _signed_calls():
    """How often each of the older, signed calls comes over HTTP."""
    came = Counter()

    def note(environ, **_):
        came[environ["PATH_INFO"]] += environ["PATH_INFO"] == calls.COMMIT

    request_started.connect(note)
    try:
        yield came
    finally:
        request_started.disconnect(note)


#: What a row is about, by what is answered of it.
ROWS = {
    ("platform", "purchase", "redeem_code", "before"): "purchases",
    ("platform", "redeem_code", "before"): "cancellations",
    ("provider", "redeem_code", "before"): "completions",
    ("payer", "reference"): "account checks",
    ("payer", "reference", "known"): "payout results",
}


def _rows_told():
    """So many rows partners have told over HTTP with a token."""
    told = Counter()
    for call in Call.objects.select_related("partner"):
        [part] = [part for part in ("platform", "provider", "payer") if getattr(call.partner, f"is_{part}")]
        answer = idempotency._opened(call.pk, idempotency.Known(call.request, call.answer))
        told.update(ROWS[part, *row["result"]] for row in answer.data["results"] if row["outcome"] == "done")
    return told


def _linking(plans):
    without = {Course.CERTIFICATE_MISSING, Course.NOT_REVIEWED, Course.NO_ACCOUNT}
    return sum(plan.completed - sum(plan.courses[course] for course in without) for plan in plans)


class Stopped(Exception):
    pass


def test_who_is_stopped_again_and_again_ends_on_the_same_figures():
    people = 2500
    scale = Fraction(people, programme.REGISTERED)
    simulate("--registrants", str(people), "--without-spending")
    plans = recipients.plan(scale)
    run = Run.objects.get()
    assert not run.spending
    stops = 0

    def go_on():
        nonlocal stops
        them = Spending(run, Population(run.seed, programme.plan(scale)), Recipients(run.seed, plans))
        spending.begin(them)
        for step, _ in enumerate(them.work()):
            if step == 7:
                stops += 1
                raise Stopped

    for _ in range(200):
        # What was in hand comes back when its lease ends.
        fall_due()
        try:
            go_on()
            break
        except Stopped:
            continue

    assert stops > 10
    funnel.fold()
    ledger.fold()
    assert_as_planned(plans)
    assert rungs()[4:] == [programme.half_up(figure * scale) for figure in (3_880_918, 3_200_000, 2_000_000, 1_200_000)]


def test_a_batch_that_another_process_approves_meanwhile_is_approved_once():
    make_payable()
    office.appoint()
    maker, checker = (User.objects.get(username=name) for name in (office.MAKER, office.CHECKER))
    batch = batching.propose("bni", by=maker, at=ERAS[0])

    with at_the_same_time(lambda: office.propose("bni", 0)) as other:
        batching.approve(batch, by=checker, sha256=bytes(batch.sha256).hex(), at=ERAS[0])

    assert (other.waited, other.error, other.outcome) == (True, None, True)
    assert Work.objects.filter(queue=queue("bni")).count() == 1, "and waits once to be sent"


def test_some_waves_only_and_another_seed():
    simulate("--registrants", "9000", "--waves", "1-2", "--seed", "7")

    plans = recipients.plan(Fraction(9000, programme.REGISTERED), [1, 2])
    assert_as_planned(plans)
    assert Registrant.objects.filter(stage__gte=Stage.TRAINING_BOUGHT).count() == sum(plan.bought for plan in plans)


def test_without_spending_nobody_buys():
    assert simulate("--registrants", "900", "--without-spending").count("/") == 4
    assert not Purchase.objects.exists()
    assert not Run.objects.get().spending


def test_a_decree_that_names_others_than_planned_is_said():
    simulate("--registrants", "2000", "--waves", "1", "--without-spending")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM waves_recipient WHERE rank = 1")

    with pytest.raises(CommandError, match="names"):
        simulate("--registrants", "2000", "--waves", "1")
    assert not Run.objects.get().spending

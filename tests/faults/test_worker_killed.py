"""A worker killed with -9 in the middle of a batch: nobody lost, nobody twice, done within the lease and a minute."""

import time
from typing import NamedTuple

import pytest

from foundation.models import MockMessage, SetAside, Work
from foundation.work import enqueue, outstanding, sweep
from prakerja.simulation import drive, programme
from registrations import funnel
from registrations.intake import register
from registrations.models import EmailOwner, NikOwner, PhoneOwner, Registrant
from registrations.stages import Stage
from tests.clock import fall_due
from tests.faults.test_steps_killed import nobody_else_is_at_it, nobody_writes, somebody_waits_for
from tests.people import make_registrants, make_sign_up
from tests.processes import kill, running, wait_until, worker_arguments
from verification import tasks

LEASE = 5.0


@pytest.fixture(autouse=True)
def hints(settings):
    """What this process sweeps up reaches the workers, as the beat's sweeper does."""
    settings.HINTS = True


@pytest.mark.django_db(transaction=True)
def test_nobody_is_lost_and_nobody_moves_twice_when_workers_are_killed(tmp_path):
    """The simulated programme through real workers, two of which are killed while people are in their hands."""
    scale = programme.Fraction(1500, programme.REGISTERED)
    simulation = drive.begin(programme.plan_registrants(1500), scale=scale, seed=7, batch=100)
    environment = {"LEASE_SECONDS": str(LEASE), "BATCH_SIZE": "100", "HINTS": "1"}
    with (
        running(*worker_arguments("first"), log=tmp_path / "first.log", **environment) as first,
        running(*worker_arguments("second"), log=tmp_path / "second.log", **environment) as second,
    ):
        victims = [first, second]
        started = time.monotonic()

        def progress():
            sweep()
            assert funnel.recount().differences == [], "also while the workers write"
            in_hand = Work.objects.exclude(token=None).filter(queue__in=drive.PIPELINE).exists()
            if victims and in_hand and simulation.done() > simulation.goal * (0.2, 0.5)[2 - len(victims)]:
                kill(victims.pop(0))
                replacements.append(replacements_stack.pop(0))
                replacements[-1].__enter__()
            assert time.monotonic() - started < LEASE + 60 + 60, (tmp_path / "first.log").read_text()[-2000:]

        replacements_stack = [
            running(*worker_arguments(name), log=tmp_path / f"{name}.log", **environment) for name in ("third", "fourth")
        ]
        replacements = []
        try:
            for _ in simulation.work(batch=100, pipeline=False):
                progress()
        finally:
            for replacement in replacements:
                replacement.__exit__(None, None, None)
        assert victims == [], "both workers were killed"

    for plan in simulation.plans:
        rungs = [rung.people for rung in funnel.read(funnel.View(wave=plan.number)).rungs[:4]]
        assert rungs == [plan.registered, plan.email_verified, plan.identity_verified, plan.phone_verified]
    assert funnel.recount().differences == []
    assert not SetAside.objects.exists()
    counts = [owner.objects.count() for owner in (EmailOwner, NikOwner, PhoneOwner)]
    assert counts == [rung.people for rung in funnel.read().rungs[1:4]], "one owner each, and no more"


@pytest.mark.django_db(transaction=True)
def test_a_batch_in_the_hand_of_a_killed_worker_is_done_within_lease_and_a_minute(tmp_path):
    slow = tmp_path / "slow.log"
    slow.touch()
    environment = {
        "LEASE_SECONDS": str(LEASE),
        "HINTS": "1",
        "SLOW_EMAIL_LOG": str(slow),
        "SLOW_EMAIL_SECONDS": "3",
        "DJANGO_SETTINGS_MODULE": "tests.faults.slow_settings",
    }
    ids = list(register([make_sign_up(number) for number in range(1, 301)]).values())

    with running(*worker_arguments("first"), log=tmp_path / "first.log", **environment) as first:
        sweep()
        wait_until(lambda: slow.read_text() != "", seconds=60, what="the worker begins")
        kill(first)
    killed_at = time.monotonic()
    assert not MockMessage.objects.exists(), "killed in the middle"
    with running(*worker_arguments("second"), log=tmp_path / "second.log", **environment):

        def done():
            sweep()
            return outstanding(["email"]) == 0

        wait_until(done, seconds=LEASE + 60, what="the batch is done by another worker")

    assert time.monotonic() - killed_at <= LEASE + 60
    assert MockMessage.objects.filter(channel="email").count() == len(ids), "everybody was written to, once"
    assert Registrant.objects.filter(stage=Stage.REGISTERED, drop_off=0).count() == len(ids)
    assert funnel.recount().differences == []


class Step(NamedTuple):
    """One step of the pipeline: its queue, its task, on which rung it finds people, and on which it leaves them."""

    queue: str
    task: str
    before: Stage
    after: Stage
    #: Where their work goes on by itself, if it does.
    next: str | None = None


@pytest.mark.parametrize(
    "step",
    [
        Step("email", "send_links", Stage.REGISTERED, Stage.REGISTERED),
        Step("identity", "check_identities", Stage.EMAIL_VERIFIED, Stage.IDENTITY_VERIFIED, next="phone"),
        Step("phone", "send_codes", Stage.IDENTITY_VERIFIED, Stage.IDENTITY_VERIFIED),
    ],
    ids=lambda step: step.queue,
)
@pytest.mark.django_db(transaction=True)
def test_killed_after_the_call_a_batch_is_done_again_under_the_same_references_and_after_the_commit_it_is_done(
    tmp_path, step
):
    people = 30
    ids = make_registrants(people, stage=step.before)
    if not outstanding([step.queue]):
        enqueue(step.queue, ids)
    done, may_answer = tmp_path / "done", tmp_path / "may answer"
    environment = {"WATCHED": str(tmp_path), "DJANGO_SETTINGS_MODULE": "tests.faults.watched_settings", "HINTS": "0"}
    batch = (
        "-c",
        "import django, time; django.setup(); from verification import tasks;"
        f"tasks.{step.task}(); print('done', flush=True); time.sleep(600)",
    )

    with running(*batch, log=tmp_path / "first.log", **environment) as first:
        wait_until(lambda: done.exists() and done.read_text().count("\n") == people, seconds=60, what="the service is asked")
        with nobody_writes("foundation_work"):
            may_answer.touch()
            wait_until(lambda: somebody_waits_for("foundation_work"), seconds=30, what="it has its answers and would settle")
            kill(first)
    wait_until(nobody_else_is_at_it, seconds=30, what="PostgreSQL has noticed")
    assert Registrant.objects.filter(pk__in=ids, stage=step.before).count() == outstanding([step.queue]) == people
    fall_due()  # the lease is over
    with running(*batch, log=tmp_path / "second.log", **environment) as second:
        wait_until(lambda: "done" in (tmp_path / "second.log").read_text(), seconds=60, what="it is committed")
        kill(second)
    wait_until(nobody_else_is_at_it, seconds=30, what="PostgreSQL has noticed")
    fall_due()
    assert getattr(tasks, step.task)() == 0, "nothing is left of what was committed"

    asked = done.read_text().splitlines()
    assert sorted(asked[:people]) == sorted(asked[people:]), "the same again, word for word: it is in effect once"
    assert len(set(asked)) == people
    assert Registrant.objects.filter(pk__in=ids, stage=step.after, drop_off=0).count() == people, "nobody is lost"
    assert outstanding([step.queue]) == 0
    assert step.next is None or outstanding([step.next]) == people, "and each goes on once"
    assert funnel.recount().differences == [], "nobody has climbed twice"

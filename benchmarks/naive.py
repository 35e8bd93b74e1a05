"""(c) What many would write: one Celery task for each registrant and step, with the ORM, through a real broker.

The same people, the same sealing, the same mock registry, the same tables and triggers. The inhabitants open their mail and
type their code at once, inside the task.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from uuid import uuid4

from celery import Celery, shared_task
from django.conf import settings
from django.db import IntegrityError, transaction

from foundation import services
from prakerja.simulation import drive, programme
from prakerja.simulation.population import Population
from registrations.models import EmailOwner, NikOwner, Owner, PersonalData, PhoneOwner, Registrant
from registrations.person import Person, email_digest, nik_digest, phone_digest
from registrations.stages import Stage
from verification.codes import TRIES_PER_CODE
from verification.dukcapil import Identity, Verdict

PEOPLE = 2000
SEED = 1
QUEUE = "naive"

app = Celery("naive")
app.config_from_object("django.conf:settings", namespace="CELERY")

# Made beforehand: the simulation makes people in blocks, and what is measured here is the chain.
_people = list(Population(SEED, programme.plan_registrants(PEOPLE)).people())
_sign_ups = drive.sign_ups(_people, SEED)


def measure() -> dict[str, float]:
    """So many people through it, with two worker processes, from the first message until all is done."""
    drive.forget_everything()
    plans = programme.plan_registrants(PEOPLE)
    drive.begin(plans, scale=Fraction(PEOPLE, programme.REGISTERED), seed=SEED, batch=PEOPLE)
    goal = sum(plan.phone_verified for plan in plans)
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "benchmarks.naive_worker", "worker", "-Q", QUEUE, "-c", "2", "-l", "ERROR"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until(lambda: bool(app.control.ping(timeout=1)))
        start = time.perf_counter()
        for number in range(PEOPLE):
            sign_up.apply_async((number,), queue=QUEUE)
        _until(lambda: Registrant.objects.filter(stage=Stage.PHONE_VERIFIED).count() >= goal)
        wall = time.perf_counter() - start
    finally:
        worker.terminate()
        worker.wait(30)
    drive.forget_everything()
    return {"naive_per_s": PEOPLE / wall}


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the naive chain does not come to its end")
        time.sleep(0.1)


@shared_task(name="naive.sign_up")
def sign_up(number: int) -> None:
    made = _sign_ups[number]
    with transaction.atomic():
        registrant = Registrant.objects.create(
            reference=uuid4(),
            registered_at=made.registered_at,
            wave_id=_people[number].wave,
            province=made.province,
            birth_year=made.person.birth_date.year,
            sex=made.sex,
            education=made.education,
            employment=made.employment,
            consent=made.consent,
            citizen=made.citizen,
            studying=made.studying,
        )
        PersonalData.objects.create(registrant=registrant, sealed=made.person.seal(registrant.reference))
    verify_email.apply_async((registrant.pk, number), queue=QUEUE)


@shared_task(name="naive.verify_email")
def verify_email(id: int, number: int) -> None:
    opened = _people[number].opens_mail_at
    if opened and _climb(id, Stage.EMAIL_VERIFIED, opened, EmailOwner, lambda person: email_digest(person.email)):
        check_identity.apply_async((id, number), queue=QUEUE)


@shared_task(name="naive.check_identity")
def check_identity(id: int, number: int) -> None:
    person = _open(Registrant.objects.select_related("personal_data").get(pk=id))
    identity = Identity(str(id), person.nik, person.kk, person.birth_date)
    [verdict] = services.build(settings.SERVICES["dukcapil"]).match([identity])
    opened = _people[number].opens_mail_at
    if (
        verdict is Verdict.MATCH
        and opened
        and _climb(id, Stage.IDENTITY_VERIFIED, opened, NikOwner, lambda person: nik_digest(person.nik))
    ):
        verify_phone.apply_async((id, number), queue=QUEUE)


@shared_task(name="naive.verify_phone")
def verify_phone(id: int, number: int) -> None:
    person = _people[number]
    if person.types_code_at and person.wrong_codes < TRIES_PER_CODE:
        _climb(id, Stage.PHONE_VERIFIED, person.types_code_at, PhoneOwner, lambda person: phone_digest(person.phone))


def _open(registrant: Registrant) -> Person:
    return Person.open(registrant.personal_data.sealed, registrant.reference.bytes)


def _climb(id: int, to: Stage, at: datetime, owner: type[Owner], digest: Callable[[Person], str]) -> bool:
    with transaction.atomic():
        registrant = Registrant.objects.select_for_update(of=["self"]).select_related("personal_data").get(pk=id)
        try:
            with transaction.atomic():
                owner._default_manager.create(digest=digest(_open(registrant)), registrant_id=id)
        except IntegrityError:
            return False
        registrant.stage = to
        setattr(registrant, to.timestamp, max(at, getattr(registrant, to.below.timestamp)))
        registrant.save()
    return True

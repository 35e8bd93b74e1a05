"""The second step: NIK, KK number and birth date must be exactly those that Dukcapil, the civil registry, holds."""

from collections.abc import Sequence
from datetime import date

from django.utils import timezone

from foundation.work import Claim, enqueue, enqueue_items, work_off
from registrations import ladder
from registrations.models import Registrant, Sex
from registrations.ownership import prove
from registrations.person import Person, kk_digest, nik_digest
from registrations.stages import DropOff, Stage
from verification.clock import Clock, instants
from verification.dukcapil import Dukcapil, Identity, Verdict

_REFUSED = {
    Verdict.NIK_UNKNOWN: DropOff.NIK_UNKNOWN,
    Verdict.KK_MISMATCH: DropOff.KK_MISMATCH,
    Verdict.BIRTH_DATE_MISMATCH: DropOff.BIRTH_DATE_MISMATCH,
}


def check_batch(*, dukcapil: Dukcapil, size: int, clock: Clock = timezone.now) -> int:
    """Ask Dukcapil about one batch and move the matches up; return how many were in hand."""
    return work_off(
        "identity", size=size, service="dukcapil", act=lambda claim: _check(claim, dukcapil, clock), set_aside=_set_aside
    )


def _check(claim: Claim, dukcapil: Dukcapil, clock: Clock) -> int:
    asked_of = ladder.standing([item.subject for item in claim.items], Stage.EMAIL_VERIFIED)
    asked = claim.of(asked_of)
    people = {id: standing.open() for id, standing in asked_of.items()}

    # Asked outside any transaction: a slow registry must not hold our rows.
    verdicts = dukcapil.match([_identity(item.subject, people[item.subject]) for item in asked])

    with claim.settling():
        # Who has been corrected in the meantime stays: the correction has put its own work into the queue.
        at = instants(asked, clock)
        matched, households, refused, unknown = {}, {}, {}, []
        for item, verdict in zip(asked, verdicts, strict=True):
            if verdict is Verdict.MATCH:
                person = people[item.subject]
                matched[item.subject], households[item.subject] = nik_digest(person.nik), kk_digest(person.kk)
            elif verdict is Verdict.UNKNOWN:
                unknown.append(item)
            else:
                refused[item.subject] = _REFUSED[verdict]
        climbed, _ = prove(Stage.IDENTITY_VERIFIED, matched, at, seen=asked_of, households=households)
        ladder.drop_off(refused, at, seen=asked_of)
        enqueue_items("phone", [item for item in asked if item.subject in climbed])
        claim.again(unknown)
    return len(asked)


def _identity(id: int, person: Person) -> Identity:
    return Identity(reference=str(id), nik=person.nik, kk=person.kk, birth_date=person.birth_date)


def correct(
    registrant_id: int, *, name: str, nik: str, kk: str, birth_date: date, sex: Sex, clock: Clock = timezone.now
) -> bool:
    """Replace who somebody says they are and ask Dukcapil anew; False when the identity is verified already."""
    with ladder.correcting(registrant_id, Stage.EMAIL_VERIFIED, at=clock()) as standing:
        if standing is None:
            return False
        ladder.rewrite(standing, standing.open()._replace(name=name, nik=nik, kk=kk, birth_date=birth_date))
        Registrant.objects.filter(pk=registrant_id).update(birth_year=birth_date.year, sex=sex)
        enqueue("identity", [registrant_id])
    return True


def _set_aside(subjects: Sequence[int]) -> None:
    now = timezone.now()
    ladder.drop_off(dict.fromkeys(subjects, DropOff.IDENTITY_REVIEW), dict.fromkeys(subjects, now))

"""The second step: NIK, KK number and birth date must be exactly those that Dukcapil, the civil registry, holds."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from django.utils import timezone

from foundation.work import Claim, enqueue, enqueue_items, work_off
from registrations import ladder
from registrations.models import NikOwner, Registrant, Sex
from registrations.ownership import own
from registrations.person import Person, nik_digest
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
        still = ladder.standing([item.subject for item in asked], Stage.EMAIL_VERIFIED, lock=True)
        at = instants(asked, clock)
        matched, refused, unknown = [], {}, []
        for item, verdict in zip(asked, verdicts, strict=True):
            id = item.subject
            if id not in still or still[id].revision != asked_of[id].revision:
                continue  # corrected in the meantime: the correction has put its own work into the queue
            if verdict is Verdict.MATCH:
                matched.append(item)
            elif verdict is Verdict.UNKNOWN:
                unknown.append(item)
            else:
                refused[id] = _REFUSED[verdict]
        owners = own(NikOwner, [(item.subject, nik_digest(people[item.subject].nik)) for item in matched])
        refused |= {item.subject: DropOff.NIK_TAKEN for item in matched if item.subject not in owners}
        climbing = [item for item in matched if item.subject in owners]
        ladder.climb(Stage.IDENTITY_VERIFIED, {item.subject: at[item.subject] for item in climbing})
        ladder.drop_off(refused, at)
        enqueue_items("phone", climbing)
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
        ladder.rewrite(standing, replace(standing.open(), name=name, nik=nik, kk=kk, birth_date=birth_date))
        Registrant.objects.filter(pk=registrant_id).update(birth_year=birth_date.year, sex=sex)
        enqueue("identity", [registrant_id])
    return True


def _set_aside(subjects: Sequence[int]) -> None:
    now = timezone.now()
    ladder.drop_off(dict.fromkeys(subjects, DropOff.IDENTITY_REVIEW), dict.fromkeys(subjects, now))

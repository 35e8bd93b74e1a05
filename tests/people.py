"""The cast of the tests: people whom the mock registry knows, and how they get onto a rung."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from registrations import ladder
from registrations.intake import SignUp, register
from registrations.models import Education, EmailOwner, Employment, NikOwner, PhoneOwner, Registrant, Sex, Wave
from registrations.ownership import own
from registrations.person import Person, email_digest, kk_digest, nik_digest, phone_digest
from registrations.regions import Province
from registrations.stages import Stage
from verification import synthetic

START = datetime(2020, 4, 11, 1, 0, tzinfo=UTC)


def make_person(number: int = 1, **changes: Any) -> Person:
    """A person whom the mock registry knows; each number is somebody else."""
    born = date(1980, 1, 1) + timedelta(days=number % 7000)
    nik = synthetic.make_nik(3273, 1 + number // 7000 % 80, born, Sex.FEMALE)
    person = Person(
        name=f"Siti Rahmawati {number}",
        email=f"siti.{number}@surel.example",
        nik=nik,
        kk=synthetic.kk_of(nik),
        birth_date=born,
        phone=f"+62812{34000000 + number:08}",
    )
    return person._replace(**changes)


def make_sign_up(number: int = 1, *, at: datetime = START, reference: UUID | None = None, **changes: Any) -> SignUp:
    options = {name: changes.pop(name) for name in ("province", "studying") if name in changes}
    return SignUp(
        reference=reference or uuid4(),
        person=make_person(number, **changes),
        sex=Sex.FEMALE,
        province=options.get("province", Province(32)),
        education=Education.SENIOR,
        employment=Employment.JOB_SEEKER,
        citizen=True,
        studying=options.get("studying", False),
        registered_at=at,
    )


def make_registrants(
    count: int, *, stage: Stage = Stage.REGISTERED, at: datetime = START, first: int = 1, **changes: Any
) -> list[int]:
    """So many registrants on a rung, put there by the same acts as always; their ids in order."""
    Wave.objects.get_or_create(
        number=1, defaults={"opens_at": START - timedelta(days=1), "closes_at": START + timedelta(days=5)}
    )
    sign_ups = [make_sign_up(number, at=at, **changes) for number in range(first, first + count)]
    new = register(sign_ups)
    people = {new[sign_up.reference]: sign_up.person for sign_up in sign_ups}
    ids = list(people)
    if stage >= Stage.EMAIL_VERIFIED:
        own(EmailOwner, [(id, email_digest(person.email)) for id, person in people.items()])
        ladder.climb(Stage.EMAIL_VERIFIED, dict.fromkeys(ids, at))
    if stage >= Stage.IDENTITY_VERIFIED:
        households = {id: kk_digest(person.kk) for id, person in people.items()}
        own(NikOwner, [(id, nik_digest(person.nik)) for id, person in people.items()], households=households)
        ladder.climb(Stage.IDENTITY_VERIFIED, dict.fromkeys(ids, at))
    if stage >= Stage.PHONE_VERIFIED:
        own(PhoneOwner, [(id, phone_digest(person.phone)) for id, person in people.items()])
        ladder.climb(Stage.PHONE_VERIFIED, dict.fromkeys(ids, at))
    return ids


def make_registrant(*, stage: Stage = Stage.REGISTERED, number: int = 1, **changes: Any) -> Registrant:
    [id] = make_registrants(1, stage=stage, first=number, **changes)
    return Registrant.objects.get(pk=id)

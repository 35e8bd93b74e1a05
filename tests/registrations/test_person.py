"""Personal data is the same when it has been sealed and opened, and opens nowhere else."""

from datetime import date
from uuid import UUID

import orjson
import pytest

from foundation.sealing import SealBroken, seal
from registrations.person import Person

REFERENCE = UUID("0b6c3e9e-6c1d-4a56-9d0e-3a7f5b1c2d4e")
PEOPLE = [
    Person("Siti", "siti@example.com", "3171014107900001", "3171010101100002", date(1990, 7, 1), "+6281234567890"),
    Person(
        "I Gusti Ngurah Å.", "i+gusti@contoh.id", "1101010101000001", "0000000000000007", date(1931, 1, 31), "+62811", "en"
    ),
]


@pytest.mark.parametrize("person", PEOPLE)
def test_what_was_sealed_opens_as_it_was(person):
    assert Person.open(person.seal(REFERENCE), REFERENCE.bytes) == person


@pytest.mark.parametrize("person", PEOPLE)
def test_what_was_sealed_by_the_release_before_opens(person):
    as_before = seal(orjson.dumps(tuple(person)), b"person:" + REFERENCE.bytes)

    assert Person.open(as_before, REFERENCE.bytes) == person


def test_it_opens_for_no_other_registration():
    with pytest.raises(SealBroken):
        Person.open(PEOPLE[0].seal(REFERENCE), UUID(int=1).bytes)

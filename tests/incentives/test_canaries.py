"""What is linked and paid leaves no account number, NIK or phone in the clear: neither in the database nor in logs."""

import subprocess

import pytest

from incentives.models import Account, Obligation, State
from tests.conftest import database_arguments
from tests.incentives.cast import check, link, make_owed, pay, plain
from tests.people import make_person

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = 8_100


def test_account_numbers_show_up_nowhere(caplog, postgres):
    caplog.set_level("DEBUG")
    ids = make_owed(4, first=FIRST)
    numbers = [plain(7_654_321 + place) for place in range(4)]
    link(ids, numbers=numbers)
    check()

    pay()

    assert Obligation.objects.filter(state=State.PAID).count() == 4
    assert Account.objects.count() == 4
    dump = subprocess.run(
        [str(postgres.bin / "pg_dump"), *database_arguments()], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    assert "COPY public.incentives_account" in dump
    people = [make_person(FIRST + place) for place in range(4)]
    for trace in [*numbers, *(text for person in people for text in (person.nik, person.kk, person.phone[3:], person.name))]:
        assert trace not in dump
        assert trace not in caplog.text

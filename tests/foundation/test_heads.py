"""The heads of queues: what tells work that nobody takes from a backlog."""

import pytest

from foundation.work import Claim, enqueue, heads

pytestmark = pytest.mark.django_db


def test_an_empty_queue_has_no_head_and_neither_has_one_whose_work_is_not_due():
    enqueue("later", [1], wait=60)

    found = heads(["later", "empty"])

    assert found == {}


def test_the_head_is_another_one_when_somebody_has_taken_it():
    for subject in (1, 2, 3):
        enqueue("email", [subject])
    enqueue("phone", [4])
    before = heads(["email", "phone"])

    Claim.take("email", size=1)

    after = heads(["email", "phone"])
    assert after["email"].id > before["email"].id
    assert after["phone"].id == before["phone"].id
    assert after["phone"].due_for >= before["phone"].due_for >= 0

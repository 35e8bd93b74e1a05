"""The one next thing on the status page of a recipient, rung by rung."""

from datetime import timedelta

import pytest
from django.utils import timezone

from incentives import checking, gating, linking, obligations
from incentives.payout import MockPayer
from registrations import ladder
from registrations.stages import DropOff
from tests.incentives.cast import make_batch, send
from tests.recipients import (
    buy_now,
    complete_now,
    make_completed_now,
    make_recipients_now,
    make_training_now,
    redeem_now,
    signed_in,
)
from trainings import cancelling
from trainings.models import Purchase
from waves.models import Decree, Recipient

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("english")]


def next_thing(id):
    """What the page says, and where its one button leads."""
    context = signed_in(id).get("/status/").context
    step = context["next_step"]
    return (str(step.text), step.href) if step else None


def test_who_is_selected_is_told_how_many_days_are_left_to_buy():
    [me] = make_recipients_now(days=5)

    assert next_thing(me) == (
        "You were selected. You have 5 days left to buy your first training: without one, your membership is revoked.",
        "/pelatihan/",
    )
    Decree.objects.update(buy_by=None)
    assert next_thing(me)[0] == "You were selected. Choose your first training: the programme pays for it."


def test_on_the_last_day_it_is_told_so():
    [me] = make_recipients_now()
    Decree.objects.update(buy_by=timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1))

    assert "Today is the last day" in next_thing(me)[0]


def test_a_training_is_redeemed_and_then_taken_to_its_end():
    [me] = make_recipients_now()
    purchase = buy_now(me, make_training_now())

    bought = next_thing(me)
    redeem_now(purchase)

    assert bought == (
        "Redeem the code of “Dasar pemasaran digital” at Tokopedia. Then the training begins.",
        f"/pelatihan/saya/{purchase.pk}/",
    )
    assert next_thing(me)[0].startswith("Take “Dasar pemasaran digital” at Tokopedia to its end.")


def test_who_has_cancelled_chooses_another_training():
    [me] = make_recipients_now()
    purchase = buy_now(me, make_training_now())
    cancelling.cancel([cancelling.Cancellation(purchase.redeem_code, timezone.now())], platform="tokopedia")

    assert next_thing(me)[1] == "/pelatihan/"


def work():
    obligations.open_batch(size=100)
    gating.refresh_batch(size=100)
    checking.check_batch("bni", payer=MockPayer(), size=100)


def link(id, number):
    linking.link([linking.Link(id, "bni", number, timezone.now())])
    work()


@pytest.mark.parametrize("has_worked", [False, True])
def test_a_review_comes_first_whether_or_not_the_certificate_is_there(has_worked):
    me = make_completed_now(certified=False, reviewed=False)
    if has_worked:
        work()

    assert next_thing(me)[1] == f"/pelatihan/saya/{Purchase.objects.get().pk}/ulasan/"


def test_a_missing_certificate_is_waited_for_and_names_who_sends_it():
    me = make_completed_now(certified=False)
    work()

    text, href = next_thing(me)

    assert "ask your training provider" in text
    assert href == f"/pelatihan/saya/{Purchase.objects.get().pk}/"


def test_then_an_account_is_linked_mended_and_paid_into():
    me = make_completed_now(days_ago=3)
    work()

    unlinked = next_thing(me)
    link(me, "9912000001")
    inactive = next_thing(me)
    assert unlinked[1] == inactive[1] == "/rekening/"
    assert "own name" in unlinked[0]


def test_who_has_done_everything_sees_when_the_money_comes_and_then_that_it_came():
    me = make_completed_now(days_ago=3)
    link(me, "1000000001")

    waiting = next_thing(me)
    make_batch(at=timezone.now())
    while send(at=timezone.now()):
        pass

    assert waiting == (
        "You have done everything. When your first incentive comes stands on the page of your incentives.",
        "/insentif/",
    )
    assert next_thing(me)[1] == "/insentif/"
    assert "month by month" in next_thing(me)[0]


def test_the_last_day_to_buy_is_no_longer_told_to_who_has_bought():
    [me] = make_recipients_now()
    client = signed_in(me)
    before = client.get("/status/").content.decode()
    purchase = buy_now(me, make_training_now())
    redeem_now(purchase)
    complete_now(purchase)

    assert "Buy your first training by" in before
    assert "Buy your first training by" not in client.get("/status/").content.decode()


def test_who_is_out_has_nothing_left_to_do():
    [me] = make_recipients_now()
    now = timezone.now()
    ladder.drop_off({me: DropOff.REVOKED}, {me: now})
    Recipient.objects.filter(pk=me).update(ended_at=now, ended_because=DropOff.REVOKED)

    assert next_thing(me) is None

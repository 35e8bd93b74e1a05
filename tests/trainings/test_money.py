"""The database keeps the money itself: no hand in a table makes a rupiah of a purchase go missing."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from partners.models import Partner
from prakerja.simulation import drive
from registrations.stages import Stage
from tests.people import make_registrants
from tests.trainings.cast import (
    BUYS,
    COMPLETES,
    LATER,
    buy,
    by_code,
    cancel,
    complete,
    make_buyers,
    make_completed,
    make_recipients,
    make_training,
    redeem,
)
from trainings import accounts, catalogue, statement
from trainings.models import Purchase, Training, Transfer

pytestmark = pytest.mark.django_db

REFUSED = {
    "a transfer changed": "UPDATE trainings_transfer SET amount = amount + 1",
    "a transfer deleted": "DELETE FROM trainings_transfer",
    "a refund by hand": "INSERT INTO trainings_transfer (at, debit, credit, purchase_id, amount, kind) "
    "SELECT now(), -training_id, registrant_id, id, 1, 3 FROM trainings_purchase",
    "a second grant": "INSERT INTO trainings_transfer (at, debit, credit, amount, kind) "
    "SELECT now(), 0, registrant_id, 1, 1 FROM trainings_purchase",
    "a grant to nobody": "INSERT INTO trainings_transfer (at, debit, credit, amount, kind) VALUES (now(), 0, -1, 1, 1)",
    "a return above the balance": "INSERT INTO trainings_transfer (at, debit, credit, amount, kind) "
    "SELECT now(), registrant_id, 0, 600001, 4 FROM trainings_purchase",
    "a return to somebody": "INSERT INTO trainings_transfer (at, debit, credit, amount, kind) "
    "SELECT now(), registrant_id, 1, 1, 4 FROM trainings_purchase",
    "a balance changed": "UPDATE trainings_balance SET balance = 5",
    "a balance deleted": "DELETE FROM trainings_balance",
    "a balance made up": "INSERT INTO trainings_balance VALUES (1, 1)",
    "a purchase deleted": "DELETE FROM trainings_purchase",
    "another price": "UPDATE trainings_purchase SET price = 1",
    "another owner": "UPDATE trainings_purchase SET registrant_id = 1",
    "another code": "UPDATE trainings_purchase SET redeem_code = 'A'",
    "back to bought": "UPDATE trainings_purchase SET state = 1, redeemed_at = NULL",
    "completed without an instant": "UPDATE trainings_purchase SET state = 4",
    "completed and cancelled": "UPDATE trainings_purchase SET state = 5, completed_at = now(), cancelled_at = now()",
    "first without completing": "UPDATE trainings_purchase SET is_first = true",
    "a certificate too early": "UPDATE trainings_purchase SET certificate_number = '1', certificate_sha256 = '', certified_at = now()",
    "a score of 101": f"UPDATE trainings_purchase SET state = 4, completed_at = '{LATER}', score = 101",
    "redeemed before it was bought": "UPDATE trainings_purchase SET redeemed_at = bought_at - interval '1 s'",
    "attended no meeting": f"UPDATE trainings_purchase SET state = 3, attended_at = '{LATER}'",
    "above the balance": "INSERT INTO trainings_purchase (registrant_id, training_id, price, bought_at, redeem_code, platform,"
    " reference, state, is_first, meetings) SELECT registrant_id, training_id, 600001, bought_at, 'B', platform, 'B', 1, false, 0"
    " FROM trainings_purchase",
    "bought as completed": "INSERT INTO trainings_purchase (registrant_id, training_id, price, bought_at, redeem_code, platform,"
    " reference, state, is_first, meetings, redeemed_at, completed_at) SELECT registrant_id, training_id, 1, bought_at, 'B',"
    " platform, 'B', 4, false, 0, redeemed_at, redeemed_at FROM trainings_purchase",
    "a seat too many": "UPDATE trainings_training SET seats = 0",
    "a seat given up": "UPDATE trainings_training SET taken = 0",
    "limited no more": "UPDATE trainings_training SET seats = NULL, taken = 0",
    "sold by another": "UPDATE trainings_training SET platform_id = 'nusa'",
    "a training for nothing": "UPDATE trainings_training SET price = 0",
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_hand_in_the_tables_is_refused(what):
    make_training(seats=5)
    [code] = make_buyers(1)
    redeem([code])

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(REFUSED[what])

    assert accounts.recount() == []


def test_what_is_completed_stays_as_it_is():
    make_completed(1, certified=True)

    for change in (
        "completed_at = completed_at + interval '1 s'",
        "is_first = false",
        "certificate_number = 'OTHER'",
        "certified_at = NULL, certificate_number = NULL, certificate_sha256 = NULL",
        "state = 5, completed_at = NULL, cancelled_at = now(), is_first = false, score = NULL, certified_at = NULL",
    ):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE trainings_purchase SET {change}")


def test_a_purchase_by_hand_is_paid_and_cancelled_by_hand_is_paid_back():
    training = make_training(seats=5, price=250_000)
    [id] = make_recipients(1)
    Transfer.objects.create(at=BUYS, debit=0, credit=id, amount=1_000_000, kind=Transfer.Kind.GRANT)

    purchase = Purchase.objects.create(
        registrant_id=id,
        training=training,
        price=250_000,
        bought_at=BUYS,
        redeem_code="X",
        platform="tokopedia",
        reference="X",
    )
    assert accounts.totals() == accounts.Totals(1_000_000, 750_000, 0, {"tokopedia": 250_000})
    Purchase.objects.filter(pk=purchase.pk).update(state=Purchase.State.CANCELLED, cancelled_at=LATER)

    assert accounts.totals() == accounts.Totals(1_000_000, 1_000_000, 0, {"tokopedia": 0})
    assert Training.objects.get().taken == 0
    assert accounts.recount() == []


def test_the_recount_sees_what_got_past_the_triggers():
    make_training(seats=5)
    [code, other] = make_buyers(2)
    cancel([other])
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE trainings_balance SET balance = balance + 1 WHERE balance < 1000000")
        cursor.execute("DELETE FROM trainings_transfer WHERE kind = 3")
        cursor.execute("UPDATE trainings_purchase SET price = price + 1 WHERE redeem_code = %s", [code])
        cursor.execute("UPDATE trainings_training SET taken = 3")
        cursor.execute("SET session_replication_role = origin")

    assert {difference.what for difference in accounts.recount()} == {"balance", "paid", "paid back", "takings", "seats"}


@pytest.mark.django_db(transaction=True)
def test_who_forgets_everybody_gives_their_seats_back():
    training = make_training(seats=5)
    buy(make_recipients(2))
    training.refresh_from_db()
    assert training.taken == 2

    drive.forget_everything()

    training.refresh_from_db()
    assert training.taken == 0
    assert accounts.recount() == []


@pytest.mark.django_db(transaction=True)
def test_the_triggers_go_and_come_back():
    make_completed(2)

    call_command("migrate", "trainings", "0001", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'trainings_%'")
        assert cursor.fetchone() == (0,)
    call_command("migrate", verbosity=0)

    assert accounts.recount() == []


def test_the_statement_tells_where_the_balance_went():
    make_training()
    make_training("TOK-2", price=250_000)
    [id] = make_recipients(1)
    before = statement.of(id)
    assert (before.balance, before.granted, before.transfers, before.purchases) == (1_000_000, 1_000_000, [], [])
    [first] = buy([id])
    [second] = buy([id], "TOK-2", at=BUYS.replace(hour=23))
    cancel([second.redeem_code])

    found = statement.of(id)

    assert [(line.kind, line.amount, line.balance) for line in found.transfers] == [
        (Transfer.Kind.GRANT, 1_000_000, 1_000_000),
        (Transfer.Kind.PURCHASE, -400_000, 600_000),
        (Transfer.Kind.PURCHASE, -250_000, 350_000),
        (Transfer.Kind.REFUND, 250_000, 600_000),
    ]
    assert (found.balance, found.spent) == (600_000, 400_000)
    assert [purchase.pk for purchase in found.purchases] == [second.purchase_id, first.purchase_id]
    assert found.use_by.isoformat() == "2020-12-16T00:00:00+07:00"


def test_who_was_named_in_no_decree_has_no_statement():
    [id] = make_registrants(1, stage=Stage.PHONE_VERIFIED)

    assert statement.of(id) is None


def test_a_completed_training_stands_on_the_statement_with_its_review():
    [id] = make_completed(1, certified=True, reviewed=True)

    found = statement.of(id)

    assert found.purchases[0].completed_at == COMPLETES
    assert found.reviews[found.purchases[0].pk].rating == 5


def test_the_catalogue_is_added_once():
    Partner.objects.create(code="tokopedia", name="Toko", is_platform=True)

    call_command("load_trainings", verbosity=0)
    assert catalogue.load() == (0, 0)

    assert Partner.objects.filter(is_platform=True).count() == 8
    assert Partner.objects.filter(is_provider=True).count() == 12
    assert Partner.objects.get(pk="tokopedia").name == "Toko", "what is there stays as it is"
    assert Training.objects.count() == 32
    assert {training.sources.split(":")[0] for training in Training.objects.all()} == {"Synthetic"}
    [id] = make_recipients(1)
    assert buy([id], "TOK-101")[0].outcome.value == "bought"
    assert by_code(Purchase.objects.get().redeem_code).platform == "tokopedia"
    assert complete(["A" * 16])[0].value == "unknown"

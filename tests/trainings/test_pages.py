"""The recipients' pages of trainings: what they find, what a purchase shows, and every refusal in plain words."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from tests.people import make_registrant
from tests.recipients import (
    buy_now,
    complete_now,
    make_completed_now,
    make_recipients_now,
    make_training_now,
    redeem_now,
    signed_in,
)
from tests.trainings.cast import cancel
from tests.waves.cast import by_force
from trainings import accounts, cancelling, tasks
from trainings.models import Balance, Purchase, Review, Training
from waves.models import Decree

pytestmark = pytest.mark.django_db


@pytest.fixture
def me():
    [id] = make_recipients_now()
    return id


def page(client, path, status=200):
    answer = client.get(path)
    assert answer.status_code == status
    return text_of(answer)


def text_of(answer):
    text = re.sub(r"<[^>]+>", " ", answer.content.decode())
    return re.sub(r"\s+", " ", text.replace("\u00a0", " ").replace("&#x27;", "'"))


def form_of(client, training):
    """What the page of the confirmation would send."""
    content = client.get(f"/pelatihan/{training.pk}/beli/").content.decode()
    return {name: re.search(rf'name="{name}" value="([^"]+)"', content)[1] for name in ("order", "price")}


def send(client, training, form):
    return client.post(f"/pelatihan/{training.pk}/beli/", form)


def test_the_catalogue_is_narrowed_by_words_way_price_balance_and_platform(me):
    make_training_now("A", title="Barista kopi", price=300_000, mode=Training.Mode.CLASSROOM)
    make_training_now("B", title="Menjahit dasar", price=1_000_000, platform="bukalapak")
    make_training_now("C", title="Kopi dan usaha", price=600_000)
    make_training_now("D", title="Sudah lewat", valid_until=timezone.now() - timedelta(days=1))
    client = signed_in(me)
    buy_now(me, Training.objects.get(code="C"))

    def found(query):
        return re.findall(r'<h2><a href="/pelatihan/\d+/">([^<]+)<', client.get(f"/pelatihan/?{query}").content.decode())

    assert found("") == ["Barista kopi", "Kopi dan usaha", "Menjahit dasar"]
    assert found("q=KOPI") == ["Barista kopi", "Kopi dan usaha"]
    assert found("q=kopi+usaha") == ["Kopi dan usaha"]
    assert found("mode=3") == ["Barista kopi"]
    assert found("price=750000") == ["Barista kopi", "Kopi dan usaha"]
    assert found("price=saldo") == ["Barista kopi"]
    assert found("platform=bukalapak") == ["Menjahit dasar"]
    assert found("q=nothing+of+the+kind") == []
    assert found("q=%00&mode=77&price=cheap&platform=nobody&page=zero") == [
        "Barista kopi",
        "Kopi dan usaha",
        "Menjahit dasar",
    ]


def test_what_is_sold_out_comes_last_and_says_so(me):
    make_training_now("A", title="Aaa", seats=1)
    make_training_now("B", title="Bbb", seats=2)
    [other] = make_recipients_now(first=2000)
    buy_now(other, Training.objects.get(code="A"))

    text = page(signed_in(me), "/pelatihan/")

    assert text.index("Bbb") < text.index("Aaa")
    assert "2 seats left" in text
    assert "Sold out" in text


def test_a_long_catalogue_comes_in_pages_that_keep_what_was_asked_for(me):
    for number in range(14):
        make_training_now(f"T-{number}", title=f"Kursus {number:02}")

    first = signed_in(me).get("/pelatihan/?q=kursus").content.decode()

    assert first.count("<h2><a") == 12
    assert "?q=kursus&amp;page=2" in first


def test_buying_shows_the_price_and_the_balance_before_and_after_and_then_the_code(me):
    training = make_training_now(price=350_000)
    client = signed_in(me)

    before = page(client, f"/pelatihan/{training.pk}/beli/")
    answer = send(client, training, form_of(client, training))

    assert "Balance now Rp1,000,000 Price −Rp350,000 Balance afterwards Rp650,000" in before
    bought = Purchase.objects.get()
    assert answer.url == f"/pelatihan/saya/{bought.pk}/"
    assert bought.redeem_code in page(client, answer.url)
    assert Balance.objects.get().balance == 650_000
    assert Registrant.objects.get(pk=me).stage == Stage.TRAINING_BOUGHT


def test_a_double_click_the_back_button_and_two_tabs_buy_once(me):
    training = make_training_now()
    one, other = signed_in(me), signed_in(me)
    first, second = form_of(one, training), form_of(other, training)

    answers = [send(one, training, first), send(one, training, first), send(other, training, second)]

    bought = Purchase.objects.get()
    assert {answer.url for answer in answers} == {f"/pelatihan/saya/{bought.pk}/"}
    assert one.get(f"/pelatihan/{training.pk}/beli/").url == f"/pelatihan/saya/{bought.pk}/"
    assert accounts.recount() == []


def test_an_order_that_was_cancelled_is_not_bought_again_by_its_old_page(me):
    training = make_training_now()
    client = signed_in(me)
    old = form_of(client, training)
    send(client, training, old)
    bought = Purchase.objects.get()
    client.post(f"/pelatihan/saya/{bought.pk}/batal/")

    again = send(client, training, old)

    assert again.url == f"/pelatihan/saya/{bought.pk}/"
    assert Purchase.objects.count() == 1
    send(client, training, form_of(client, training))
    assert sorted(Purchase.objects.values_list("state", flat=True)) == [Purchase.State.ISSUED, Purchase.State.CANCELLED]


@pytest.mark.parametrize("form", [{}, {"order": "KP-OF-MY-OWN", "price": "400000"}, {"order": "\0", "price": "400000"}])
def test_a_form_that_is_not_ours_buys_nothing(me, form):
    training = make_training_now()

    answer = send(signed_in(me), training, form)

    assert answer.status_code == 409
    assert "Nothing has been bought" in text_of(answer)
    assert not Purchase.objects.exists()


def test_a_price_that_is_no_number_buys_nothing(me):
    training = make_training_now()
    client = signed_in(me)

    answer = send(client, training, form_of(client, training) | {"price": "-1"})

    assert answer.status_code == 409
    assert not Purchase.objects.exists()


def make_poor(me, training):
    buy_now(me, make_training_now("DEAR", price=900_000))


def make_sold_out(me, training):
    [other] = make_recipients_now(first=2000)
    buy_now(other, training)


def make_dearer(me, training):
    Training.objects.filter(pk=training.pk).update(price=450_000)


def make_over(me, training):
    Training.objects.filter(pk=training.pk).update(valid_until=timezone.now() - timedelta(minutes=1))


def make_late(me, training):
    Decree.objects.update(buy_by=timezone.now() - timedelta(minutes=1))


def make_expired(me, training):
    with by_force():
        Decree.objects.update(year=2020, buy_by=None)


REFUSALS = [
    (make_poor, "It costs Rp400,000, and your balance is Rp100,000", "Trainings within my balance"),
    (make_sold_out, "All seats of this training are taken", "Other trainings"),
    (make_dearer, "it is Rp450,000 now", "Buy for Rp450,000"),
    (make_over, "not sold at this time", "Other trainings"),
    (make_late, "The last day to buy a first training was", "See my status"),
    (make_expired, "The balance could be spent before 16 Dec 2020", "See what I have bought"),
]


@pytest.mark.parametrize(("happens", "why", "way_out"), REFUSALS)
def test_a_refusal_while_the_page_was_open_says_why_and_what_to_do(me, happens, why, way_out):
    training = make_training_now(seats=1)
    client = signed_in(me)
    form = form_of(client, training)
    happens(me, training)

    answer = send(client, training, form)

    text = text_of(answer)
    assert answer.status_code == 409
    assert "Nothing has been bought" in text
    assert why in text
    assert way_out in text
    assert not Purchase.objects.filter(registrant_id=me, training=training).exists()
    assert accounts.recount() == []


@pytest.mark.parametrize(("happens", "why", "way_out"), [each for each in REFUSALS if each[0] is not make_dearer])
def test_what_cannot_be_bought_shows_no_button_that_would_be_pressed_in_vain(me, happens, why, way_out):
    training = make_training_now(seats=1)
    happens(me, training)

    content = signed_in(me).get(f"/pelatihan/{training.pk}/").content.decode()

    assert why in re.sub(r"\s+", " ", content.replace("\u00a0", " "))
    assert "/beli/" not in content


def test_who_is_not_selected_may_look_but_not_buy():
    verified = make_registrant(stage=Stage.PHONE_VERIFIED, number=77)
    training = make_training_now()
    client = signed_in(verified.pk)

    assert "Who is selected in a draw chooses a training" in page(client, "/pelatihan/")
    assert "Only who was selected in a draw can buy" in page(client, f"/pelatihan/{training.pk}/")
    assert client.get("/pelatihan/saya/").url == "/status/"
    assert "Only who was selected" in page(client, f"/pelatihan/{training.pk}/beli/")


def test_nobody_sees_or_touches_what_another_person_has_bought(me):
    [other] = make_recipients_now(first=2000)
    theirs = buy_now(other, make_training_now())
    client = signed_in(me)

    for path in ("", "batal/", "ulasan/"):
        assert client.get(f"/pelatihan/saya/{theirs.pk}/{path}").status_code == 404
        assert client.post(f"/pelatihan/saya/{theirs.pk}/{path}").status_code in (404, 405)
    theirs.refresh_from_db()
    assert theirs.state == Purchase.State.ISSUED


def test_without_a_session_every_page_leads_to_sign_in(client):
    training = make_training_now()

    for path in ("", "saya/", "saya/1/", "saya/1/batal/", "saya/1/ulasan/", f"{training.pk}/", f"{training.pk}/beli/"):
        assert client.get(f"/pelatihan/{path}").url == "/masuk/"
    assert signed_in(make_recipients_now()[0]).get("/pelatihan/99999/").status_code == 404


def test_cancelling_asks_once_shows_what_comes_back_and_gives_it_back(me):
    purchase = buy_now(me, make_training_now(price=400_000))
    client = signed_in(me)

    asked = page(client, f"/pelatihan/saya/{purchase.pk}/batal/")
    for _ in range(2):
        assert client.post(f"/pelatihan/saya/{purchase.pk}/batal/").url == f"/pelatihan/saya/{purchase.pk}/"

    assert "Balance now Rp600,000 Comes back +Rp400,000 Balance afterwards Rp1,000,000" in asked
    assert "Rp400,000 went back to your balance" in page(client, f"/pelatihan/saya/{purchase.pk}/")
    assert Registrant.objects.get(pk=me).drop_off == DropOff.PURCHASE_CANCELLED
    statement = page(client, "/pelatihan/saya/")
    assert "−Rp400,000 Rp600,000" in statement
    assert "+Rp400,000 Rp1,000,000" in statement


def test_what_was_not_spent_in_time_stands_there_as_gone_back(me):
    buy_now(me, make_training_now(price=400_000))
    make_expired(me, None)
    tasks.give_back()

    statement = page(signed_in(me), "/pelatihan/saya/")

    assert "Spent so far Rp400,000 of Rp1,000,000 Back to the treasury Rp600,000" in statement
    assert "−Rp600,000 Rp0" in statement


def test_what_is_completed_meanwhile_is_not_cancelled(me):
    purchase = buy_now(me, make_training_now())
    client = signed_in(me)
    client.get(f"/pelatihan/saya/{purchase.pk}/batal/")
    redeem_now(purchase)
    complete_now(purchase)

    answer = client.post(f"/pelatihan/saya/{purchase.pk}/batal/")

    assert answer.status_code == 409
    assert "can no longer be cancelled" in text_of(answer)
    assert "Cancel this training" not in page(client, f"/pelatihan/saya/{purchase.pk}/")


def test_whose_code_is_used_cannot_be_cancelled_by_the_recipient_but_by_the_platform(me):
    purchase = buy_now(me, make_training_now())
    client = signed_in(me)
    client.get(f"/pelatihan/saya/{purchase.pk}/batal/")
    redeem_now(purchase)

    answer = client.post(f"/pelatihan/saya/{purchase.pk}/batal/")

    assert answer.status_code == 409
    assert "Its code has been used. If you cannot take the training, write to Tokopedia." in text_of(answer)
    assert "Cancel this training" not in page(client, f"/pelatihan/saya/{purchase.pk}/")
    assert cancel([purchase.redeem_code], at=timezone.now()) == [cancelling.Outcome.CANCELLED]


def test_a_purchase_shows_how_far_it_is_its_score_and_its_certificate():
    me = make_completed_now(reviewed=False)
    purchase = Purchase.objects.get()

    text = page(signed_in(me), f"/pelatihan/saya/{purchase.pk}/")

    assert "88 of 100" in text
    assert purchase.certificate_number in text
    assert "Rate this training" in text


def test_a_review_is_asked_for_in_plain_words_kept_as_typed_and_written_once():
    me = make_completed_now(reviewed=False)
    purchase = Purchase.objects.get()
    client, path = signed_in(me), f"/pelatihan/saya/{purchase.pk}/ulasan/"

    empty = client.post(path, {"text": "  "})
    unrated = client.post(path, {"text": "Bagus sekali"})
    wrong = client.post(path, {"rating": "6", "text": "Bagus sekali"})
    long = client.post(path, {"rating": "4", "text": "a" * 2001})
    nul = client.post(path, {"rating": "4", "text": "Bagus\0"})
    assert not Review.objects.exists()
    client.post(path, {"rating": "4", "text": "Bagus sekali"})
    again = client.post(path, {"rating": "1", "text": "Lain"})

    assert "Choose a rating from 1 to 5." in text_of(empty)
    assert "Write a review" in text_of(empty)
    assert {answer.status_code for answer in (empty, unrated, wrong, long, nul)} == {422}
    assert "Bagus sekali</textarea>" in unrated.content.decode()
    assert "at most 2000 characters; this one has 2001" in text_of(long)
    assert again.url == f"/pelatihan/saya/{purchase.pk}/"
    review = Review.objects.get()
    assert (review.rating, review.text) == (4, "Bagus sekali")
    assert "My rating 4 of 5" in page(client, again.url)


def test_a_training_that_is_not_completed_is_not_rated(me):
    purchase = buy_now(me, make_training_now())

    answer = signed_in(me).post(f"/pelatihan/saya/{purchase.pk}/ulasan/", {"rating": "5", "text": "Bagus"})

    assert answer.url == f"/pelatihan/saya/{purchase.pk}/"
    assert not Review.objects.exists()


@pytest.mark.parametrize(("days", "said"), [(7, "Only 7 days left"), (1, "Only 1 day left"), (12, "")])
def test_the_last_days_are_told_on_top(me, days, said):
    Decree.objects.update(buy_by=timezone.now() + timedelta(days=days))

    text = page(signed_in(me), "/pelatihan/saya/")

    assert (said in text) if said else ("Only" not in text)

"""The sign-up, page by page: nothing typed is lost, nobody learns who is registered."""

import re
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from foundation.models import Work
from foundation.outbox import send_batch as send_messages
from registrations import drafts
from registrations.forms import StatementForm
from registrations.models import Draft, Registrant, Wave
from registrations.stages import Stage
from registrations.views import COOKIE
from tests.people import make_person, make_registrant, make_sign_up

pytestmark = pytest.mark.django_db


def answers(number=1, **changes):
    """What somebody types, page by page."""
    person = make_person(number, **changes)
    born = person.birth_date
    return [
        {"email": person.email},
        {
            "name": person.name,
            "nik": person.nik,
            "kk": person.kk,
            "birth_date_0": born.day,
            "birth_date_1": born.month,
            "birth_date_2": born.year,
            "sex": 2,
        },
        {"phone": person.phone},
        {"citizen": "1", "studying": "0", "education": "3", "employment": "1", "province": "32", "consent": "on"},
    ]


def page(step):
    return "/daftar/" if step == 1 else f"/daftar/{step}/"


def send(client, step, data):
    return client.post(page(step), data)


def sign_up(client, number=1, **changes):
    for step, data in enumerate(answers(number, **changes), start=1):
        response = send(client, step, data)
        assert response.status_code == 302, re.sub(r"\s+", " ", response.content.decode())
    return response


def test_four_pages_make_a_registrant(client):
    response = sign_up(client)

    assert response["Location"] == "/daftar/surel/"
    registrant = Registrant.objects.get()
    assert (registrant.stage, registrant.province, registrant.birth_year) == (
        Stage.REGISTERED,
        32,
        make_person(1).birth_date.year,
    )
    assert Work.objects.get().subjects == [registrant.pk]
    assert registrant.reference == UUID(client.cookies[COOKIE].value)


def test_nobody_gets_ahead_of_the_first_unanswered_page(client):
    assert client.get("/daftar/3/")["Location"] == "/daftar/"
    send(client, 1, answers()[0])
    assert client.get("/daftar/4/")["Location"] == "/daftar/2/"


def test_going_back_shows_what_was_typed(client):
    for step, data in enumerate(answers()[:2], start=1):
        send(client, step, data)

    content = client.get("/daftar/2/").content.decode()

    assert make_person(1).nik in content
    assert 'value="1980"' in content


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_second_click_changes_nothing(client, step):
    pages = answers()
    for number, data in enumerate(pages[:step], start=1):
        send(client, number, data)

    again = send(client, step, pages[step - 1])
    for number, data in enumerate(pages[step:], start=step + 1):
        send(client, number, data)

    assert again.status_code == 302
    assert Registrant.objects.count() == 1


def test_after_sending_the_back_button_leads_to_the_mailbox_page(client):
    sign_up(client)

    assert client.get("/daftar/4/")["Location"] == "/daftar/surel/"
    assert send(client, 4, answers()[3])["Location"] == "/daftar/surel/"
    assert Registrant.objects.count() == 1


def test_a_taken_address_gets_the_same_page_and_its_mailbox_the_news(client, mailbox):
    make_registrant(number=1, stage=Stage.EMAIL_VERIFIED)
    stranger = Client()

    sign_up(client, 1)
    sign_up(stranger, 2)
    Work.objects.filter(queue="email").delete()
    taken, free = client.get("/daftar/surel/"), stranger.get("/daftar/surel/")

    assert taken.status_code == free.status_code == 200
    assert _without_what_differs(taken) == _without_what_differs(free)
    assert Registrant.objects.count() == 2, "nobody was registered with the taken address"
    send_messages(email=mailbox.email, size=9)
    assert [mail.to for mail in mailbox.mails] == [make_person(1).email]
    assert "sudah terdaftar" in mailbox.mails[0].subject


def _without_what_differs(response):
    return re.sub(r'value="[^"]+"|s\S+@s\S+', "", response.content.decode())


def test_one_address_is_not_mailed_without_end(client, mailbox):
    for number in range(1, 9):
        sign_up(Client(), number, email="sama@surel.example")

    assert Registrant.objects.count() == 5
    assert Draft.objects.filter(finished=True).count() == 8


def test_the_last_page_asks_little_of_the_database(client):
    Wave.objects.create(number=1)
    for step, data in enumerate(answers()[:3], start=1):
        send(client, step, data)

    with CaptureQueriesContext(connection) as asked:
        send(client, 4, answers()[3])

    statements = [query["sql"] for query in asked if "SAVEPOINT" not in query["sql"]]
    # The draft, and once more, locked; the waves, the registrant, the work; the draft.
    assert len(statements) <= 6, statements


def test_two_pages_sent_at_the_same_moment_are_both_kept():
    draft = drafts.start("siti@surel.example", {"language": "id"})
    first, second = drafts.find(draft.pk), drafts.find(draft.pk)

    drafts.keep(first, {"phone": "+6281234000001"})
    drafts.keep(second, {"name": "Siti"})

    assert drafts.answers(drafts.find(draft.pk)) == {
        "email": "siti@surel.example",
        "language": "id",
        "phone": "+6281234000001",
        "name": "Siti",
    }


def test_a_page_that_comes_after_the_last_one_changes_nothing(client):
    for step, data in enumerate(answers()[:3], start=1):
        send(client, step, data)
    late = Draft.objects.get()
    send(client, 4, answers()[3])

    drafts.keep(late, {"name": "Somebody else"})

    kept = drafts.answers(Draft.objects.get())
    assert (kept["name"], kept["province"]) == (make_person(1).name, 32)


def test_sent_twice_at_the_same_moment_it_counts_once():
    sign_up = make_sign_up()
    draft = drafts.start(sign_up.person.email, {"language": "id"})
    sign_up = sign_up._replace(reference=draft.pk)
    first, second = drafts.find(draft.pk), drafts.find(draft.pk)

    drafts.finish(first, sign_up)
    drafts.finish(second, sign_up)

    draft.refresh_from_db()
    assert draft.registrant_id == Registrant.objects.get().pk
    assert Work.objects.count() == len(draft.mailed_at) == 1


def test_what_one_form_does_to_its_fields_is_nothing_to_the_next():
    form = StatementForm()
    form.fields["province"].required = False
    form.fields["province"].error_messages["required"] = "?"
    form.fields["province"].widget.is_required = False

    errors = StatementForm({}).errors.as_data()

    assert str(errors["province"][0].message) != "?"
    assert StatementForm().fields["province"].widget.is_required


# What bad input gets


@pytest.mark.parametrize(
    ("step", "wrong", "message"),
    [
        (1, {"email": "siti"}, "e-mail|surel"),
        (1, {"email": "siti\x00@surel.example"}, "karakter"),
        (2, {"nik": "327301570880000"}, "16"),
        (2, {"nik": "3273017208800000"}, "7-8|tanggal|hari"),
        (2, {"nik": "3273013102800000"}, "tanggal"),
        (2, {"nik": "0073014101800000"}, "provinsi"),
        (2, {"nik": "3.2E+15"}, "spreadsheet|lembar"),
        (2, {"kk": "3273O10101990000"}, "angka|huruf"),
        (2, {"birth_date_2": "2093"}, "belum terjadi"),
        (2, {"birth_date_0": "31", "birth_date_1": "2"}, "tanggal"),
        (2, {"birth_date_1": "12"}, "NIK"),
        (2, {"sex": "1"}, "NIK"),
        (2, {"name": "A" * 200}, "150"),
        (2, {"name": "Si\x00ti"}, "karakter"),
        (2, {"name": "Siti\u202e"}, "karakter"),
        (2, {"name": "Si\u200bti"}, "karakter"),
        (3, {"phone": "021 5551234"}, "seluler|ponsel|HP"),
        (3, {"phone": "+65 8123 4567"}, "Indonesia"),
        (3, {"phone": "halo"}, "angka"),
        (4, {"consent": ""}, "persetujuan"),
        (4, {"province": "99"}, ""),
    ],
)
def test_bad_input_is_told_in_plain_words_and_loses_nothing(client, step, wrong, message):
    pages = answers()
    for number, data in enumerate(pages[: step - 1], start=1):
        send(client, number, data)

    response = send(client, step, {**pages[step - 1], **wrong})

    content = response.content.decode()
    assert response.status_code == 422
    assert 'role="alert"' in content or "error-summary" in content
    errors = " ".join(str(error) for messages in response.context["form"].errors.values() for error in messages)
    assert errors
    assert re.search(message, errors), errors
    for name, value in pages[step - 1].items():
        if name not in wrong and name not in (
            "sex",
            "citizen",
            "studying",
            "education",
            "employment",
            "province",
            "consent",
        ):
            assert str(value) in content, f"{name} was lost"
    assert not Registrant.objects.exists()


def test_one_letter_names_are_names(client):
    pages = answers()
    send(client, 1, pages[0])

    assert send(client, 2, {**pages[1], "name": "O"}).status_code == 302


def test_an_unknown_region_is_a_warning_only(client):
    pages = answers()
    send(client, 1, pages[0])
    strange = {**pages[1], "nik": pages[1]["nik"].replace("3273", "3299", 1)}

    asked = send(client, 2, strange)
    confirmed = send(client, 2, {**strange, "confirmed": "yes"})

    assert asked.status_code == 422
    assert 'name="confirmed"' in asked.content.decode()
    assert confirmed.status_code == 302


def test_a_likely_slip_in_the_address_is_asked_about_once(client):
    asked = send(client, 1, {"email": "siti@gmial.com"})

    assert "siti@gmail.com" in asked.content.decode() or "gmail.com" in asked.content.decode()
    assert send(client, 1, {"email": "siti@gmial.com", "confirmed": "yes"}).status_code == 302


@pytest.mark.parametrize("cookie", ["x", "", "00000000-0000-0000-0000-000000000000", "a" * 5000])
def test_a_strange_cookie_is_a_new_sign_up(client, cookie):
    client.cookies[COOKIE] = cookie

    assert client.get("/daftar/").status_code == 200
    assert client.get("/daftar/surel/")["Location"] == "/daftar/"


def test_pages_are_indonesian_first_and_english_by_choice(client):
    indonesian = client.get("/", headers={"accept-language": "en-US"}).content.decode()
    client.post("/bahasa/setlang/", {"language": "en", "next": "/"})
    english = client.get("/").content.decode()

    assert '<html lang="id">' in indonesian
    assert '<html lang="en">' in english
    assert "Sign up" in english
    assert "Daftar" in indonesian

"""Lists of people that others provide."""

import hashlib
from datetime import date

import pytest
from django.core.management import CommandError, call_command

from foundation.csvfile import BadFile
from registrations.person import nik_digest
from tests.people import make_person
from waves.lists import import_list
from waves.models import ListEntry, ListKind, PersonList

pytestmark = pytest.mark.django_db

NIKS = [make_person(number).nik for number in range(1, 6)]
DATED = date(2020, 4, 1)


@pytest.fixture
def file(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "asn.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def take(path, kind=ListKind.ASN):
    return import_list(kind, path, provider="BKN", dated=DATED)


def digests(people_list):
    return {entry.digest.hex for entry in ListEntry.objects.filter(list_id=people_list.pk)}


def test_of_a_list_the_digests_are_kept_and_where_it_comes_from(file):
    path = file("nik\n" + "\n".join(NIKS) + "\n")

    found = take(path)

    assert digests(found.list) == {nik_digest(nik) for nik in NIKS}
    assert (found.people, found.doubled, found.wrong) == (5, 0, 0)
    kept = PersonList.objects.get()
    assert (kept.provider, kept.dated, kept.file, kept.people) == ("BKN", DATED, "asn.csv", 5)
    assert kept.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_who_stands_in_it_twice_is_on_it_once(file):
    found = take(file("nik\n" + "\n".join([*NIKS, NIKS[0], NIKS[0]])))

    assert (found.people, found.doubled) == (5, 2)


def test_lines_without_a_nik_are_left_out_and_named(file):
    found = take(file(f"nik\n{NIKS[0]}\n3.2E+15\n\n{NIKS[1]}\n12345\n١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦\n"))

    assert (found.people, found.wrong, list(found.wrong_lines)) == (2, 3, [3, 6, 7])


def test_a_newer_list_takes_the_place_of_the_one_before(file):
    old = take(file(f"nik\n{NIKS[0]}\n")).list
    other = take(file(f"nik\n{NIKS[0]}\n"), ListKind.TNI).list

    new = take(file(f"nik\n{NIKS[1]}\n")).list

    old.refresh_from_db()
    assert old.replaced_by == new
    assert (digests(old), digests(new)) == (set(), {nik_digest(NIKS[1])})
    assert digests(other) == {nik_digest(NIKS[0])}, "a list of another kind"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("nik\n", "no rows"),
        ("nik\n3.2E+15\n", "no NIK"),
        ("nik,name\n1,Siti\n", "no column"),
        ("name\nSiti\n", "does not name the columns"),
        ('nik\n"3273\n', "quote"),
        ("nik\x00\n", "NUL"),
    ],
)
def test_a_bad_file_is_refused_and_the_list_before_stays(file, text, message):
    old = take(file(f"nik\n{NIKS[0]}\n")).list

    with pytest.raises(BadFile, match=message):
        take(file(text))

    assert PersonList.objects.get() == old
    assert digests(old) == {nik_digest(NIKS[0])}


def test_a_spreadsheets_own_encodings_are_told_apart(file):
    with pytest.raises(BadFile, match="UTF-16"):
        take(file("nik\n3273\n", "utf-16"))
    assert take(file("\ufeffNIK;\r\n".replace(";", "") + NIKS[0] + "\r\n")).people == 1


def test_the_command_says_what_came_of_it(file, capsys):
    path = file("nik\n" + f"{NIKS[0]}\n" * 1200 + f"{NIKS[1]}\n {NIKS[1]} \nx\n")

    with pytest.raises(SystemExit) as left:
        call_command("import_list", "social_aid", str(path), "--provider", "Kemensos", "--dated", "2020-04-01")

    assert left.value.code == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "People on the list: 2",
        "Twice in the file; counted once: 1,200",
        "Lines without a NIK (16 digits); left out: 1",
    ]
    assert "Lines: 1204\n" in printed.err
    with pytest.raises(CommandError):
        call_command("import_list", "asn", "/no/such/file", "--provider", "x", "--dated", "2020-04-01")

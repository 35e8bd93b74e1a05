"""Bulk intake: a file of people, as a ministry hands it in; and the files that go wrong on the way."""

import csv
import os
import re
import resource
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path

import psycopg2
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils.timezone import localdate
from hypothesis import given
from hypothesis import strategies as st

from foundation import csvfile
from foundation.work import outstanding
from registrations import bulk, funnel, rows
from registrations.inputs import InputError, clean_birth_date
from registrations.intake import SignUp
from registrations.models import Education, Employment, PersonalData, Registrant, Sex, Wave
from registrations.nik import FEMALE, MALE, contradictions, parse_nik
from registrations.person import Person
from registrations.regions import Province
from tests.people import make_person, make_registrant
from tests.processes import output_of, running, wait_until
from verification.synthetic import make_nik

pytestmark = pytest.mark.usefixtures("english")

COLUMNS = rows.TEMPLATE[0].split(",")
AT = datetime(2020, 4, 12, 3, 0, tzinfo=UTC)


def row(number: int = 1, **changes: str) -> dict[str, str]:
    person = make_person(number)
    return {
        "name": person.name,
        "email": person.email,
        "nik": person.nik,
        "kk": person.kk,
        "birth_date": person.birth_date.isoformat(),
        "phone": "0" + person.phone[3:],
        "sex": "perempuan",
        "province": "Jawa Barat",
        "education": "sma",
        "employment": "mencari kerja",
        "citizen": "ya",
        "studying": "tidak",
        "consent": "ya",
    } | changes


def read_one(fields: list[str]):
    """What a row with these fields comes to."""
    [outcome] = rows.read(COLUMNS, [fields], at=AT)
    return outcome


def text_of(rows: list[dict[str, str]], *, delimiter: str = ",", end: str = "\n") -> str:
    text = StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.fixture
def file(tmp_path):
    """A function that writes a file of these rows, texts or bytes, and returns its path."""

    def write(content, name="people.csv"):
        if isinstance(content, list):
            content = text_of(content)
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def intake(path, *options):
    """The exit code, and what was said."""
    said = StringIO()
    try:
        call_command("intake", str(path), "--workers", "1", *map(str, options), stdout=said, stderr=said)
    except SystemExit as error:
        return error.code, said.getvalue()
    return 0, said.getvalue()


def refused(path, *options):
    """Why the command does not take the file, or stops."""
    with pytest.raises(CommandError) as caught:
        intake(path, *options)
    assert caught.value.returncode == 2
    return str(caught.value)


def read_errors(path):
    with path.open(newline="") as lines:
        header, *rows = csv.reader(lines)
    assert header == ["line", "field", "reason"]
    return [tuple(fields) for fields in rows]


# What goes well


@pytest.mark.django_db
def test_the_people_of_a_file_are_registered_and_written_to(file):
    code, said = intake(file([row(number) for number in range(1, 31)]))

    assert code == 0
    assert "Rows: 30\nRegistered: 30\n" in said
    assert Registrant.objects.count() == outstanding(["email"]) == 30
    assert funnel.recount().differences == []


@pytest.mark.django_db
def test_a_row_becomes_the_registrant_that_it_describes(file):
    intake(file([row(7)]))

    registrant = Registrant.objects.get()
    assert (registrant.sex, registrant.province) == (Sex.FEMALE, Province.JAWA_BARAT)
    assert (registrant.education, registrant.employment) == (Education.SENIOR, Employment.JOB_SEEKER)
    assert (registrant.citizen, registrant.studying, registrant.consent) == (True, False, 1)
    assert Person.open(PersonalData.objects.get().sealed, registrant.reference.bytes) == make_person(7)


@pytest.mark.django_db
def test_taken_in_twice_nobody_is_doubled(file):
    path = file([row(number) for number in range(1, 301)])
    intake(path)

    code, said = intake(path)

    assert code == 0
    assert "Registered: 0\nRegistered already, or twice in the file; left as they are: 300\n" in said
    assert Registrant.objects.count() == PersonalData.objects.count() == outstanding(["email"]) == 300


@pytest.mark.django_db
def test_when_some_of_a_file_are_registered_the_others_follow(file):
    intake(file([row(number) for number in range(1, 301, 2)]))

    code, said = intake(file([row(number) for number in range(1, 301)]))

    assert code == 0
    assert "Registered: 150\nRegistered already, or twice in the file; left as they are: 150\n" in said
    assert Registrant.objects.count() == PersonalData.objects.count() == outstanding(["email"]) == 300
    assert funnel.recount().differences == []


@pytest.mark.django_db
def test_who_stands_twice_in_a_file_and_in_another_is_registered_once(file):
    first = file([row(1), row(2), row(1, name="Siti R.", nik=" ".join(make_person(1).nik))])
    second = file([row(3), row(2, email="lain@surel.example")], "second.csv")

    said = intake(first)[1] + intake(second)[1]

    assert said.count("Registered already, or twice in the file; left as they are: 1\n") == 2
    assert Registrant.objects.count() == PersonalData.objects.count() == 3
    assert funnel.recount().differences == []


@pytest.mark.django_db
def test_who_signed_up_on_the_pages_is_not_touched_by_a_file(file):
    registrant = make_registrant(number=1)

    code, _said = intake(file([row(1)]))

    registrant.refresh_from_db()
    assert code == 0
    assert registrant.stage == 1
    assert Registrant.objects.count() == 2, "whose NIK it is, is decided when the identity is verified"


@pytest.mark.django_db
def test_a_dry_run_looks_at_every_row_and_registers_nobody(file):
    code, said = intake(file([row(1), row(2, phone="021 5201 234"), row(3)]), "--dry-run")

    assert code == 1
    assert "Rows: 3\nRight; nobody was registered (--dry-run): 2\nWrong, not registered: 1\n" in said
    assert not Registrant.objects.exists()


@pytest.mark.django_db
def test_the_template_is_a_file_that_is_taken(file, capsys):
    call_command("intake", "--template")

    assert intake(file(capsys.readouterr().out))[0] == 0
    assert Registrant.objects.count() == 1


@pytest.mark.parametrize(
    "content",
    [
        text_of([row(1), row(2)], delimiter=";"),
        text_of([row(1), row(2)], delimiter="\t"),
        text_of([row(1), row(2)], end="\r\n"),
        text_of([row(1), row(2)]).encode("utf-8-sig"),
        text_of([row(1), row(2)]).rstrip("\n"),
        text_of([row(1), row(2)]).replace("\n", "\n\n,,,,\n", 2) + "\n\n",
        text_of([dict(reversed(row(number).items())) for number in (1, 2)]),
        "\n".join(line if at else line.upper() for at, line in enumerate(text_of([row(1), row(2)]).split("\n"))),
        text_of([{name: f" {value}" for name, value in row(number).items()} for number in (1, 2)]),
        text_of([row(1, name='Siti, "Ti"'), row(2)]),
    ],
    ids=["semicolon", "tab", "crlf", "bom", "no-last-end", "blank-lines", "other-order", "upper-case", "spaces", "quotes"],
)
@pytest.mark.django_db
def test_a_file_is_understood_however_a_spreadsheet_writes_it(file, content):
    assert intake(file(content)) == (
        0,
        "Rows: 2\nRegistered: 2\nRegistered already, or twice in the file; left as they are: 0\nWrong, not registered: 0\n",
    )


@pytest.mark.parametrize(
    ("field", "written", "attribute", "meant"),
    [
        ("education", "SD", "education", Education.PRIMARY),
        ("education", "junior", "education", Education.JUNIOR),
        ("education", "SMK", "education", Education.SENIOR),
        ("education", "D3", "education", Education.DIPLOMA),
        ("education", "Sarjana", "education", Education.DEGREE),
        ("employment", "job_seeker", "employment", Employment.JOB_SEEKER),
        ("employment", "PHK", "employment", Employment.LAID_OFF),
        ("employment", "Dirumahkan", "employment", Employment.FURLOUGHED),
        ("employment", "usaha  sendiri", "employment", Employment.INFORMAL),
        ("employment", "bekerja", "employment", Employment.EMPLOYED),
        ("sex", "P", "sex", Sex.FEMALE),
        ("sex", "female", "sex", Sex.FEMALE),
        ("sex", "", "sex", Sex.FEMALE),
        ("province", "51", "province", Province.BALI),
        ("province", "di yogyakarta", "province", Province.DI_YOGYAKARTA),
        ("province", "DKI-Jakarta", "province", Province.DKI_JAKARTA),
        ("province", "", "province", Province.JAWA_BARAT),
        ("citizen", "TIDAK", "citizen", False),
        ("studying", "yes", "studying", True),
        ("studying", "1", "studying", True),
    ],
)
def test_values_are_understood_in_indonesian_and_english(field, written, attribute, meant):
    sign_up = read_one(list(row(1, **{field: written}).values()))

    assert isinstance(sign_up, SignUp)
    assert getattr(sign_up, attribute) == meant


@pytest.mark.parametrize("written", ["1980-01-02", "02-01-1980", "2/1/1980", "02.01.1980", " 1980-1-2 "])
def test_a_birth_date_is_understood_as_iso_or_with_the_day_first(written):
    sign_up = read_one(list(row(1, birth_date=written).values()))

    assert isinstance(sign_up, SignUp)
    assert sign_up.person == make_person(1)


@pytest.mark.django_db
def test_sex_and_province_may_be_missing_as_the_nik_tells_them(file):
    person = row(1)
    del person["sex"], person["province"]

    assert intake(file([person]))[0] == 0

    registrant = Registrant.objects.get()
    assert (registrant.sex, registrant.province) == (Sex.FEMALE, Province.JAWA_BARAT)


# Rows that are wrong

WRONG = [
    ({"name": "12345"}, "name", "A name has at least one letter."),
    ({"name": "A" * 20_000}, "name", "A name has at most 150 characters; this one has 20000."),
    ({"name": ""}, "name", "Please type your name."),
    ({"email": "siti.example"}, "email", "An e-mail address has one @, as in nama@contoh.id."),
    ({"nik": "3.2E+15"}, "nik", "This looks like a number that a spreadsheet has shortened."),
    ({"nik": "3,27302E+15"}, "nik", "This looks like a number that a spreadsheet has shortened."),
    ({"nik": "327301"}, "nik", "A NIK has 16 digits; this one has 6."),
    ({"nik": "9973015708950000"}, "nik", "No NIK begins with these two digits: there is no such province."),
    ({"nik": "3273013908950000"}, "nik", "Digits 7-8 of a NIK are the day of birth: 01-31, or 41-71 for a woman."),
    ({"nik": "3273013102950000"}, "nik", "Digits 7-12 of a NIK are the birth date. These are none."),
    ({"kk": "3.27E+15"}, "kk", "This looks like a number that a spreadsheet has shortened."),
    ({"kk": make_person(1).nik}, "kk", "Digits 7-12 of a KK number are the date of the card"),
    ({"birth_date": "1981-01-02"}, "nik", "Digits 7-12 of the NIK say another birth date than this row."),
    ({"birth_date": "31-02-1980"}, "birth_date", "There is no such date: check day, month and year."),
    ({"birth_date": "2/1/80"}, "birth_date", "Write the birth date as 1995-08-17 or 17-08-1995."),
    ({"birth_date": "2980-01-02"}, "birth_date", "This birth date is in the future."),
    ({"birth_date": "1780-01-02"}, "birth_date", "This birth date is more than 120 years ago."),
    ({"sex": "laki-laki"}, "nik", "Digits 7-8 of the NIK say another sex than this row."),
    ({"sex": "?"}, "sex", "Write laki-laki or perempuan."),
    ({"phone": "021 5201 234"}, "phone", "This is a landline: it gets no SMS. Please give a mobile number."),
    ({"province": "Batavia"}, "province", "Write the name of a province, or the two digits of its code."),
    ({"education": "TK"}, "education", "Write sd, smp, sma, diploma or sarjana."),
    ({"employment": ""}, "employment", "Write mencari kerja, phk, dirumahkan, usaha sendiri or bekerja."),
    ({"citizen": "WNI"}, "citizen", "Write ya or tidak."),
    ({"studying": ""}, "studying", "Write ya or tidak."),
    ({"consent": "tidak"}, "consent", "Without their consent nobody is registered."),
    ({"consent": ""}, "consent", "Write ya or tidak."),
]


@pytest.mark.parametrize(("changes", "field", "reason"), WRONG)
@pytest.mark.django_db
def test_a_wrong_row_is_told_of_and_the_others_are_registered(file, tmp_path, changes, field, reason):
    errors = tmp_path / "errors.csv"

    code, said = intake(file([row(3), row(1, **changes), row(2)]), "--errors", errors)

    assert code == 1
    assert "Registered: 2\n" in said
    assert "Wrong, not registered: 1\n" in said
    assert {(line, name) for line, name, _reason in read_errors(errors)} >= {("3", field)}
    assert any(told.startswith(reason) for _line, _name, told in read_errors(errors))
    assert Registrant.objects.count() == 2


def test_what_is_wrong_is_said_without_the_value_that_is_wrong(file, tmp_path):
    errors = tmp_path / "errors.csv"

    intake(file([row(1, **changes) for changes, _field, _reason in WRONG]), "--dry-run", "--errors", errors)

    noted = errors.read_text()
    rows = [row(1) | changes for changes, *_ in WRONG]
    values = {person[name] for person in rows for name in ("name", "email", "nik", "kk", "birth_date", "phone")}
    assert len(read_errors(errors)) >= len(WRONG)
    assert not [value for value in values - {""} if value in noted]
    assert not [digits for digits in ("020180", "420180", "02-01", "990", "9973") if digits in noted]


def test_a_row_with_too_few_or_too_many_fields_is_wrong_by_itself(file, tmp_path):
    lines = text_of([row(1), row(2), row(3)]).splitlines()
    path = file("\n".join([lines[0], lines[1].rpartition(",")[0], lines[2] + ",", lines[3]]))

    code, said = intake(path, "--dry-run", "--errors", tmp_path / "errors.csv")

    assert (code, "(--dry-run): 1\n" in said) == (1, True)
    assert read_errors(tmp_path / "errors.csv") == [
        ("2", "", "The row has 12 columns instead of 13."),
        ("3", "", "The row has 14 columns instead of 13."),
    ]


def test_all_that_is_wrong_with_a_row_is_told_at_once_and_lines_are_in_order(file, tmp_path):
    path = file([row(1, name="", phone="1"), row(2), row(3, consent="no", citizen="")])

    intake(path, "--dry-run", "--errors", tmp_path / "errors.csv")

    found = [(line, field) for line, field, _reason in read_errors(tmp_path / "errors.csv")]
    assert found == [("2", "name"), ("2", "phone"), ("4", "citizen"), ("4", "consent")]


def test_without_an_error_file_the_first_faults_are_shown(file):
    code, said = intake(file([row(number, phone="1") for number in range(1, 31)]), "--dry-run")

    assert code == 1
    assert "Line 2, phone: This is not a mobile number." in said
    assert said.count("phone:") == 20
    assert "and 10 more: --errors FILE writes them all." in said


@given(st.lists(st.text(max_size=30), max_size=15))
def test_whatever_stands_in_a_row_it_is_a_sign_up_or_told_why(fields):
    match read_one(fields):
        case SignUp():
            pass
        case faults:
            assert faults
            assert all(field in ("", *COLUMNS) and reason for field, reason in faults)


@given(
    st.dates(date(1895, 1, 1), date(2025, 1, 1)),
    st.sampled_from([-36525, -1, 0, 0, 0, 0, 1, 36525]),
    st.sampled_from(["", "perempuan", "laki-laki"]),
    st.booleans(),
    st.booleans(),
)
def test_a_row_is_wrong_where_the_rules_say_so_and_nowhere_else(born, days, sex, woman, same):
    """Of most rows a few looks take the rules' place."""
    said = born + timedelta(days)
    nik = parse_nik(make_nik(3273, 1, born, FEMALE if woman else MALE))
    changes = {"nik": nik.text, "birth_date": said.isoformat(), "sex": sex} | ({"kk": nik.text} if same else {})
    doubts = contradictions(nik, said, {"perempuan": FEMALE, "laki-laki": MALE}.get(sex))
    try:
        clean_birth_date(said, localdate(AT))
        wrong = same or any(doubt.blocking for doubt in doubts)
    except InputError:
        wrong = True

    outcome = read_one(list(row(**changes).values()))

    assert isinstance(outcome, SignUp) == (not wrong)


# Files that cannot be taken

GOOD = text_of([row(1), row(2), row(3)])
LINES = GOOD.splitlines()


def with_line(number: int, line: str | bytes) -> bytes:
    lines = [text.encode() for text in LINES]
    lines[number - 1] = line if isinstance(line, bytes) else line.encode()
    return b"\n".join(lines) + b"\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "The file is empty."),
        (b"\xef\xbb\xbf", "The first line does not name the columns."),
        (b"\n\n", "The first line does not name the columns."),
        (LINES[0], "The file has a header and no rows."),
        (LINES[0] + "\n\n,,,\n", "The file has a header and no rows."),
        ("\n".join(LINES[1:]), "The first line does not name the columns."),
        (GOOD.encode("utf-16"), "The file is UTF-16. Save it as CSV UTF-8."),
        (GOOD.encode("utf-16-be"), "The file is UTF-16. Save it as CSV UTF-8."),
        (b"PK\x03\x04" + bytes(100), "The file is a spreadsheet. Save it as CSV UTF-8."),
        (with_line(4, LINES[3].replace("Siti", "Si\0ti")), "Line 4 holds a NUL byte"),
        (with_line(4, LINES[3].replace("Siti", "Café").encode("cp1252")), "Line 4 is not UTF-8."),
        (with_line(3, '"' + LINES[2]), "Line 3: a quote is opened there and not closed on the same line."),
        (with_line(4, '"' + LINES[3]), "Line 4: a quote is opened there and not closed on the same line."),
        (with_line(3, LINES[2].replace("Siti", '"Siti\nRahma"')), "Line 3: a quote is opened there and not closed"),
        (with_line(3, '"Si"ti' + LINES[2]), "Line 3: after a closing quote comes the next column, and nothing else."),
        (GOOD + '"' + "x\n" * 100_000, "Line 5: a quote is opened there and not closed on the same line."),
        (GOOD + "x\n" * 30_000 + '"x\n', "Line 30005: a quote is opened there and not closed on the same line."),
        (with_line(3, LINES[2] + "x" * 70_000), "Line 3 is longer than 65536 bytes."),
        (GOOD.replace("\n", "\r"), "Line 1 ends with CR alone."),
        (with_line(1, LINES[0].replace("phone", "telepon\x1b,gaji")), "There is no column “telepon?”, “gaji”."),
        (with_line(1, LINES[0].replace("kk,", "")), "The file lacks the column “kk”."),
        (with_line(1, LINES[0].replace("kk", "nik")), "More than one column is called “nik”."),
        (with_line(1, LINES[0].replace(",consent", ",")), "There is no column “”."),
    ],
)
@pytest.mark.django_db
def test_of_a_broken_file_nobody_is_registered_and_it_is_told_why(file, tmp_path, content, told):
    assert refused(file(content), "--errors", tmp_path / "errors.csv").startswith(told)
    assert not Registrant.objects.exists()
    assert not (tmp_path / "errors.csv").exists()


def test_a_header_that_is_somebodys_data_is_not_repeated(file):
    told = refused(file("\n".join(LINES[1:])))

    assert make_person(1).nik not in told
    assert make_person(1).name not in told


def test_what_is_no_file_is_told(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert refused(tmp_path / "missing.csv").startswith("There is no file")
    assert "is not a file" in refused(tmp_path)
    assert "is not a file" in refused(tmp_path / "pipe"), "and nobody waits for its other end"
    assert "is not a file" in refused(Path("/dev/zero"))
    assert "cannot be read" in refused(tmp_path / ("x" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(file):
    path = file(GOOD)
    path.chmod(0)

    assert "cannot be read" in refused(path)


@pytest.mark.django_db
def test_the_error_file_never_takes_the_place_of_another_file(file, tmp_path):
    path = file(GOOD)

    assert "already: name a new one" in refused(path, "--errors", path)
    assert "cannot be written" in refused(path, "--errors", tmp_path / "nowhere" / "errors.csv")
    assert "cannot be written" in refused(path, "--errors", path / "errors.csv")
    assert path.read_text() == GOOD
    assert not Registrant.objects.exists()


@pytest.mark.django_db
def test_where_the_error_file_has_no_room_nobody_is_registered(file, tmp_path):
    path = file(GOOD)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # a file may be made, and not a byte be written into it
    try:
        told = refused(path, "--errors", tmp_path / "errors.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert "errors.csv cannot be written: File too large" in told
    assert not Registrant.objects.exists()
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.django_db(transaction=True)
def test_a_file_that_comes_while_the_intake_runs_is_not_overwritten(file, tmp_path):
    path, errors = file([row(1), row(2, phone="1")]), tmp_path / "errors.csv"
    Wave.objects.create(number=1)  # planned: else it waits for whoever plans it

    with (
        table_held() as release,
        running("manage.py", "intake", str(path), "--errors", str(errors), "--workers", "1", log=tmp_path / "log") as run,
    ):
        wait_until(lambda: waiting_for_registrants() == 1, seconds=60, what="it is about to write")
        errors.write_text("somebody else's")
        release()
        code = run.wait(60)

    assert code == 2, (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert errors.read_text() == "somebody else's"
    assert Registrant.objects.count() == 1
    assert sorted(os.listdir(tmp_path)) == ["errors.csv", "log", path.name]


@pytest.mark.django_db
def test_a_file_that_changes_while_it_is_read_is_not_taken_further(file):
    path = file(GOOD)
    survey = bulk.survey(path)
    path.write_text(GOOD + LINES[1] + "\n")

    with pytest.raises(csvfile.BadFile, match="The file has changed while it was read"):
        bulk.take_in(survey.form, survey.blocks[0], at=AT)
    assert not Registrant.objects.exists()


# Large files

# Of this process alone: getrusage() on Linux begins with the size of the process that started it.
PEAK = """
import re, resource, sys
from pathlib import Path
from contextlib import suppress
import django; django.setup()
from django.core.management import call_command
with suppress(SystemExit):  # some rows are wrong
    call_command("intake", *sys.argv[1:], "--workers", "1", stdout=open("/dev/null", "w"))
status = Path("/proc/self/status")
if status.exists():
    print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1]) * 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_of(path, *options):
    """The most memory (bytes) that an intake of this file has had."""
    return int(output_of(PEAK, str(path), *options))


@pytest.mark.parametrize(
    ("lines", "times", "blocks"),
    [
        (f"{LINES[1]}\n", 12_345, 2),
        ("x\n", 25_000, 3),
        ("\r\n", 25_000, 3),
        ("x\n", 2 * csvfile.LINES - 1, 2),
        ("x\n", 2 * csvfile.LINES, 3),
        (f"{LINES[1]}\n" + "x\n" * 9, 2_500, 3),
        ("x" * 60_000 + "\n" + "x\n" * 499, 50, 3),
    ],
    ids=["people", "short", "blank", "to-the-line", "a-line-more", "mixed", "long-and-short"],
)
def test_a_file_is_cut_into_blocks_that_hold_each_row_once(file, lines, times, blocks):
    path = file(f"{LINES[0]}\n" + lines * times + LINES[1])

    survey = bulk.survey(path)
    read = [list(csvfile.rows_of(survey.form, block)) for block in survey.blocks]

    assert len(survey.blocks) == blocks
    assert max(map(len, read)) <= csvfile.LINES
    assert [line for block in read for line, _row in block] == list(range(2, lines.count("\n") * times + 3))
    assert read[-1][-1][1] == list(row(1).values())


@pytest.fixture(scope="module")
def many():
    """The lines of a file of two blocks, the header being the first."""
    return text_of([row(number) for number in range(1, 12_346)]).encode().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda line: line.replace(b"Siti", b"Si\0ti"), "Line 12000 holds a NUL byte"),
        (lambda line: b'"' + line, "Line 12000: a quote is opened there and not closed on the same line."),
        (lambda line: line.replace(b"Siti", "Café".encode("cp1252")), "Line 12000 is not UTF-8."),
    ],
    ids=["nul", "quote", "not-utf-8"],
)
@pytest.mark.django_db
def test_of_a_file_that_is_broken_far_from_its_beginning_nobody_is_registered(file, tmp_path, many, spoil, told):
    path = file(b"".join([*many[:11_999], spoil(many[11_999]), *many[12_000:]]))

    assert refused(path, "--workers", "2", "--errors", tmp_path / "errors.csv").startswith(told)
    assert path.stat().st_size - len(b"".join(many[11_999:])) > csvfile.BLOCK, "it is beyond the first block"
    assert not Registrant.objects.exists()
    assert not (tmp_path / "errors.csv").exists()


@pytest.mark.django_db(transaction=True)
def test_who_stands_in_two_blocks_is_registered_once_and_a_wrong_row_is_told_of_by_its_line(file, tmp_path):
    rows = [row(1 + number % 500) for number in range(12_345)]
    rows[11_998] |= {"phone": "1"}

    code, said = intake(file(rows), "--workers", "2", "--errors", tmp_path / "errors.csv")

    assert code == 1
    assert "Rows: 12,345\nRegistered: 500\nRegistered already, or twice in the file; left as they are: 11,844\n" in said
    assert [(line, field) for line, field, _reason in read_errors(tmp_path / "errors.csv")] == [("12000", "phone")]
    assert Registrant.objects.count() == PersonalData.objects.count() == outstanding(["email"]) == 500
    assert funnel.recount().differences == []


@pytest.mark.django_db(transaction=True)
def test_what_is_wrong_in_many_blocks_is_noted_in_the_order_of_lines(file, tmp_path):
    path = file(text_of([row(1), row(2)]) + "x\n" * 35_000)

    code, _said = intake(path, "--workers", "2", "--errors", tmp_path / "errors.csv")

    assert code == 1
    reason = "The row has 1 columns instead of 13."
    assert read_errors(tmp_path / "errors.csv") == [(str(line), "", reason) for line in range(4, 35_004)]
    assert Registrant.objects.count() == 2


@contextmanager
def table_held():
    """While the body runs, nobody writes registrants, until it calls what it is given."""
    with closing(psycopg2.connect(**connection.get_connection_params())) as held:
        held.cursor().execute(
            "SET idle_in_transaction_session_timeout = 0; LOCK TABLE registrations_registrant IN EXCLUSIVE MODE"
        )
        yield held.rollback


def waiting_for_registrants():
    """How many wait for a lock on the table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'registrations_registrant'::regclass")
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_of_two_intakes_at_once_each_says_whom_it_has_registered_and_nobody_is_doubled(file, tmp_path, many):
    paths = [file(b"".join(many)), file(b"".join([many[0], *reversed(many[1:])]), "reversed.csv")]
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    Wave.objects.create(number=1)  # planned: else all wait for whoever plans it

    with ExitStack() as stack:
        release = stack.enter_context(table_held())
        intakes = [
            stack.enter_context(running("manage.py", "intake", str(path), "--workers", "2", log=log))
            for path, log in zip(paths, logs, strict=True)
        ]
        wait_until(lambda: waiting_for_registrants() == 4, seconds=60, what="both workers of each are about to write")
        release()
        codes = [process.wait(60) for process in intakes]

    assert codes == [0, 0], [log.read_text() for log in logs]
    said = [dict(re.findall(r"^([A-Z][^:]+): ([\d.]+)$", log.read_text(), re.MULTILINE)) for log in logs]
    rows, new, old, wrong = ([int(each[name].replace(".", "")) for each in said] for name in said[0])
    assert rows == [12_345, 12_345]
    assert sum(new) == 12_345
    assert [some + others for some, others in zip(new, old, strict=True)] == rows
    assert wrong == [0, 0]
    assert Registrant.objects.count() == PersonalData.objects.count() == outstanding(["email"]) == 12_345
    assert funnel.recount().differences == []


@pytest.mark.parametrize(
    ("line", "count", "more"),
    [(None, 150_000, 5_000_000), ("x\n", 200_000, 5_000_000), (",,,,,,,,,,,,x\n", 40_000, 20_000_000)],
    ids=["people", "too-short", "all-wrong"],
)
@pytest.mark.django_db
def test_memory_stays_the_same_however_long_the_file_is_and_whatever_stands_in_it(file, many, line, count, more):
    people = b"".join(many[1:5001])
    short = file(many[0] + people * 4, "short.csv")
    long = file(many[0] + (line.encode() * count if line else people * (count // 5000)), "long.csv")

    peaks = [peak_of(path, "--dry-run") for path in (short, long)]

    assert peaks[1] - peaks[0] < more, "bytes, than for 20,000 people"


@pytest.mark.django_db(transaction=True)
def test_memory_stays_the_same_however_many_people_are_registered(file):
    people = [row(number) for number in range(1, 80_001)]
    files = [file(people[:15_000], "short.csv"), file(people[15_000:], "long.csv")]

    peaks = [peak_of(path) for path in files]

    assert peaks[1] - peaks[0] < 5_000_000, "bytes, for 50,000 people more"
    assert Registrant.objects.count() == 80_000

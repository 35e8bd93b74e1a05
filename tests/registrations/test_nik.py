"""NIK and KK numbers as people type them. All are made up: no issuer uses serial 0000."""

import random
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrations import nik as rules
from registrations.nik import FEMALE, MALE, NikError, kk_guard, parse_kk, parse_nik, typo_guard
from registrations.regions import LAST_SUB_DISTRICT, REGENCIES, Province

pytestmark = pytest.mark.usefixtures("english")

TODAY = date(2020, 9, 15)
MAN = "3171011708900000"
WOMAN = "3171015708900000"

#: Digits and what is mistaken for them, so that Hypothesis comes near a NIK now and then.
NEARLY = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="0123456789 .-'eE+٣３", max_size=24),
    st.from_regex(r"[1-9][0-9]{5}[0-7][0-9][01][0-9]{3}0000", fullmatch=True),
)


def assert_told_why(error: NikError) -> None:
    assert error.code
    assert str(error.message)


def test_a_nik_is_taken_apart():
    nik = parse_nik(WOMAN)

    assert nik.text == WOMAN
    assert nik.province is Province.DKI_JAKARTA
    assert (nik.regency, nik.sub_district, nik.serial) == (3171, 1, 0)
    assert nik.birth[:4] == (17, 8, 90, FEMALE)
    assert parse_nik(MAN).sex == MALE


@pytest.mark.parametrize(
    "typed",
    [
        " 3171011708900000\n",
        "3171 0117 0890 0000",
        "317101.170890.0000",
        "3171-0117-0890-0000",
        "317101–170890–0000",
        "'3171011708900000",
        "3171\u00a00117\u00a00890\u00a00000",
        "３１７１０１１７０８９０００００",
        "٣١٧١٠١١٧٠٨٩٠٠٠٠٠",
    ],
)
def test_spaces_dots_dashes_and_other_digits_are_understood(typed):
    assert parse_nik(typed).text == MAN


@pytest.mark.parametrize(
    ("typed", "code", "says"),
    [
        ("", "empty", "16 digits on your KTP"),
        (" - ", "empty", "16 digits on your KTP"),
        ("317101170890000", "length", "this one has 15"),
        ("31710117089000000", "length", "this one has 17"),
        ("3171011708900000.0", "length", "this one has 17"),
        ("3.17101E+15", "shortened", "spreadsheet has shortened"),
        ("3,17E+15", "shortened", "spreadsheet has shortened"),
        ("3e15", "shortened", "spreadsheet has shortened"),
        ("317101170890OOOO", "letters", "digits only"),
        ("3171011708900000\x00", "letters", "digits only"),
        ("３１７１０１１７０８９０００²０", "letters", "digits only"),
        ("+3171011708900000", "letters", "digits only"),
        ("0071011708900000", "province", "begins with 00"),
        ("9371011708900000", "province", "begins with 93"),
        ("9671011708900000", "province", "begins with 96"),
        ("3171010008900000", "day", "Yours are 00"),
        ("3171013208900000", "day", "Yours are 32"),
        ("3171014008900000", "day", "Yours are 40"),
        ("3171017208900000", "day", "Yours are 72"),
        ("3171019908900000", "day", "Yours are 99"),
        ("3171013102900000", "date", "no day 31-02-90"),
        ("3171011700900000", "date", "no day 17-00-90"),
        ("3171011713900000", "date", "no day 17-13-90"),
        ("3171012902010000", "date", "no day 29-02-01"),
        ("3171016902010000", "date", "no day 29-02-01"),
    ],
)
def test_what_cannot_be_a_nik_is_told_why(typed, code, says):
    with pytest.raises(NikError) as refused:
        parse_nik(typed)

    assert refused.value.code == code
    assert says in str(refused.value.message)


@pytest.mark.parametrize("province", Province.values)
def test_every_province_issues_niks(province):
    assert parse_nik(f"{province}01011708900000").province == province


@pytest.mark.parametrize("typed", ["3171012902960000", "3171016902000000", "3171017112900000"])
def test_leap_days_and_last_days_are_days(typed):
    assert parse_nik(typed).text == typed


@pytest.mark.parametrize(
    ("digits", "typed", "born"),
    [
        ("170890", None, date(1990, 8, 17)),
        ("170802", None, date(2002, 8, 17)),
        ("150920", None, date(2020, 9, 15)),
        ("160920", None, date(1920, 9, 16)),
        ("170805", date(1905, 8, 17), date(1905, 8, 17)),
        ("170805", date(1905, 8, 18), date(2005, 8, 17)),
        ("290200", None, date(2000, 2, 29)),
    ],
)
def test_the_century_is_that_of_the_birth_date_given_else_the_later_one(digits, typed, born):
    assert parse_nik(f"317101{digits}0000").birth_date(today=TODAY, typed=typed) == born


def test_a_nik_that_agrees_raises_no_doubt():
    assert typo_guard(parse_nik(MAN), date(1990, 8, 17), MALE) == []
    assert typo_guard(parse_nik(WOMAN), date(1990, 8, 17), FEMALE) == []
    assert typo_guard(parse_nik(WOMAN), date(1990, 8, 17)) == []


@pytest.mark.parametrize(
    ("born", "positions", "says"),
    [
        (date(1990, 3, 17), (10,), "say 17-08-1990; you typed 17-03-1990"),
        (date(1990, 8, 27), (7,), "say 17-08-1990; you typed 27-08-1990"),
        (date(1989, 8, 17), (11, 12), "say 17-08-1990; you typed 17-08-1989"),
        (date(2002, 12, 1), (7, 8, 9, 10, 11, 12), "say 17-08-1990; you typed 01-12-2002"),
        (date(1890, 8, 17), (7, 8, 9, 10, 11, 12), "say 17-08-1990; you typed 17-08-1890"),
    ],
)
def test_another_birth_date_than_the_nik_says_blocks_and_points_at_the_digits(born, positions, says):
    (doubt,) = typo_guard(parse_nik(MAN), born)

    assert doubt.blocking
    assert (doubt.code, doubt.field, doubt.positions) == ("birth_date", "nik", positions)
    assert says in str(doubt.message)


def test_another_sex_than_the_nik_says_blocks():
    (doubt,) = typo_guard(parse_nik(WOMAN), date(1990, 8, 17), MALE)

    assert doubt.blocking
    assert (doubt.code, doubt.positions) == ("sex", (7, 8))


@pytest.mark.parametrize(
    ("nik", "code", "positions"),
    [
        ("3199011708900000", "regency", (3, 4)),
        ("3171991708900000", "sub_district", (5, 6)),
        ("3171001708900000", "sub_district", (5, 6)),
    ],
)
def test_a_region_that_we_do_not_know_is_a_warning_only(nik, code, positions):
    (doubt,) = typo_guard(parse_nik(nik), date(1990, 8, 17))

    assert not doubt.blocking
    assert (doubt.code, doubt.positions) == (code, positions)


def made_up(rng: random.Random) -> tuple[str, date]:
    born = date(1960, 1, 1) + timedelta(rng.randrange(45 * 365))
    regency = rng.choice(sorted(REGENCIES))
    sub_district = rng.randint(1, LAST_SUB_DISTRICT[regency])
    return f"{regency}{sub_district:02}{born.day + rng.choice((0, 40)):02}{born:%m%y}0000", born


def wrong_digit(nik: str, rng: random.Random) -> str:
    at = rng.randrange(16)
    return nik[:at] + rng.choice([digit for digit in "0123456789" if digit != nik[at]]) + nik[at + 1 :]


def swapped(nik: str, rng: random.Random) -> str:
    at = rng.choice([at for at in range(15) if nik[at] != nik[at + 1]])
    return nik[:at] + nik[at + 1] + nik[at] + nik[at + 2 :]


@pytest.mark.parametrize(("slip", "share"), [(wrong_digit, 0.58), (swapped, 0.90)])
def test_most_slips_are_caught_before_dukcapil_is_asked(slip, share):
    rng = random.Random(2020)
    caught = 0

    for _ in range(20_000):
        nik, born = made_up(rng)
        try:
            caught += bool(typo_guard(parse_nik(slip(nik, rng)), born))
        except NikError:
            caught += 1

    assert caught / 20_000 >= share


@pytest.mark.parametrize("typed", ["3171011204150000", " 3171 0112 0415 0000", "３１７１０１１２０４１５００００"])
def test_a_kk_number_is_16_digits(typed):
    assert parse_kk(typed) == "3171011204150000"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "empty"),
        ("317101120415000", "length"),
        ("3171O11204150000", "letters"),
        ("3.2E+15", "shortened"),
        ("3171015204150000", "date"),
        ("3171013102150000", "date"),
    ],
)
def test_what_cannot_be_a_kk_number_is_told_why(typed, code):
    with pytest.raises(NikError) as refused:
        parse_kk(typed)

    assert refused.value.code == code


def test_a_kk_of_an_unknown_region_is_a_warning_only():
    (doubt,) = kk_guard(parse_kk("9999011204150000"), parse_nik(MAN))

    assert (doubt.code, doubt.field, doubt.blocking) == ("kk_regency", "kk", False)
    assert kk_guard("3171011204150000", parse_nik(MAN)) == []


def test_the_nik_typed_in_place_of_the_kk_is_noticed():
    (doubt,) = kk_guard(parse_kk(MAN), parse_nik(MAN))

    assert (doubt.code, doubt.blocking) == ("kk_is_nik", True)


def test_neither_a_nik_nor_a_doubt_shows_personal_data_in_a_log():
    nik = parse_nik(MAN)

    assert "170890" not in repr(nik)
    assert "1990" not in repr(typo_guard(nik, date(1991, 8, 17)))


@given(NEARLY)
def test_whatever_is_typed_is_a_nik_or_a_nik_error(typed):
    try:
        nik = parse_nik(typed)
    except NikError as refused:
        assert_told_why(refused)
    else:
        assert parse_nik(nik.text) == nik
        assert nik.text.isascii()
        assert len(nik.text) == 16


@given(NEARLY)
def test_whatever_is_typed_is_a_kk_or_a_nik_error(typed):
    try:
        kk = parse_kk(typed)
    except NikError as refused:
        assert_told_why(refused)
    else:
        assert parse_kk(kk) == kk


@given(NEARLY, st.dates(), st.sampled_from([None, MALE, FEMALE]))
def test_the_typo_guard_never_stumbles(typed, born, sex):
    try:
        nik = parse_nik(typed)
    except NikError:
        return
    for doubt in typo_guard(nik, born, sex) + kk_guard(nik.text, nik):
        assert str(doubt.message)
        assert all(1 <= position <= 16 for position in doubt.positions)
    assert nik.birth_date(today=born) is not None


@given(st.from_regex(rules._SIXTEEN, fullmatch=True))
def test_sixteen_digits_that_pass_at_once_are_those_that_a_close_look_finds(digits):
    assert rules._nik_digits(digits) == rules._kk_digits(digits) == digits

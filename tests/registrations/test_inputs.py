"""Names, addresses, phones and dates as people type them, and as those type them who wish us ill."""

import random
import sys
import unicodedata
from datetime import date

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrations import inputs
from registrations.inputs import (
    InputError,
    clean_birth_date,
    clean_email,
    clean_name,
    clean_phone,
    email_hint,
    mask_email,
    mask_name,
    mask_nik,
    mask_phone,
    operator,
)

pytestmark = pytest.mark.usefixtures("english")


def refused(clean, *typed) -> InputError:
    with pytest.raises(InputError) as caught:
        clean(*typed)
    return caught.value


def assert_told_why(error: InputError) -> None:
    assert error.code
    assert str(error.message)


# Names


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Siti Rahmawati", "Siti Rahmawati"),
        ("  Siti \t\n", "Siti"),
        ("Siti   Rahmawati", "Siti Rahmawati"),
        ("Siti\u00a0\u2003Rahmawati", "Siti Rahmawati"),
        ("O", "O"),
        ("Moh. Nur'aini, S.Pd.", "Moh. Nur'aini, S.Pd."),
        ("Cafe\u0301", "Café"),
        ("Ida 𐑖𐑳 Ayu", "Ida 𐑖𐑳 Ayu"),
        ("𝒜", "𝒜"),
        ("می‌خواهم", "می‌خواهم"),
        ("=HYPERLINK(1)", "=HYPERLINK(1)"),
        ("A" * 150, "A" * 150),
        ("𐑖" * 150, "𐑖" * 150),
    ],
)
def test_a_name_is_kept_as_its_owner_writes_it(typed, name):
    assert clean_name(typed) == name


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "empty"),
        (" \u00a0 ", "empty"),
        ("12345", "no_letter"),
        ("...", "no_letter"),
        ("🙂", "no_letter"),
        ("Siti\x00", "unseen_character"),
        ("Si\x00ti", "unseen_character"),
        ("Siti\nRahma", "unseen_character"),
        ("Siti\x7f", "unseen_character"),
        ("\u202eitiS", "unseen_character"),
        ("Siti\u2066", "unseen_character"),
        ("Si\u200bti", "unseen_character"),
        ("Si\u200dti", "unseen_character"),
        ("\u200cSiti", "unseen_character"),
        ("Si\ufeffti", "unseen_character"),
        ("Si\u00adti", "unseen_character"),
        ("Siti\u2028Rahma", "unseen_character"),
        ("Siti\ud800", "unseen_character"),
        ("\u3164", "unseen_character"),
        ("Siti\ufffe", "unseen_character"),
        ("A" * 151, "too_long"),
    ],
)
def test_a_name_that_cannot_be_taken_is_told_why(typed, code):
    assert refused(clean_name, typed).code == code


def test_too_long_a_name_is_told_how_long_it_may_be():
    assert str(refused(clean_name, "A" * 200).message) == "A name has at most 150 characters; this one has 200."


HOSTILE = st.text(
    alphabet=st.one_of(
        st.characters(),
        st.sampled_from("aé \u0301\u0338\u00a0\u2003\u2028\x00\t\n\u200c\u200d\u202e\u2066\u3164=+-@'\ud800𐑖می"),
    ),
    max_size=200,
)


@given(HOSTILE)
def test_whatever_is_typed_is_a_name_or_an_input_error(typed):
    try:
        name = clean_name(typed)
    except InputError as error:
        assert_told_why(error)
    else:
        assert clean_name(name) == name
        assert unicodedata.is_normalized("NFC", name)
        assert 1 <= len(name) <= 150
        assert name.encode().decode() == name


def test_a_hundred_thousand_hostile_names_do_no_harm():
    rng = random.Random(41)
    odd = "\x00\u202e\u200b\u200d\ud800\u3164\ufeff =+-@"
    for _ in range(100_000):
        typed = "".join(
            rng.choice(odd) if rng.random() < 0.1 else chr(rng.randrange(rng.choice((0x80, 0x3000, sys.maxunicode + 1))))
            for _ in range(rng.choice((1, 3, 8)))
        )
        try:
            name = clean_name(typed)
        except InputError:
            continue
        assert clean_name(name) == name
        assert name.encode().decode() == name


# E-mail


@pytest.mark.parametrize(
    ("typed", "email"),
    [
        ("siti@gmail.com", "siti@gmail.com"),
        (" Siti.R+1@GMail.COM\n", "Siti.R+1@gmail.com"),
        ("o'neil@kemnaker.go.id", "o'neil@kemnaker.go.id"),
        ("a@b.co", "a@b.co"),
        ("siti@münchen.de", "siti@xn--mnchen-3ya.de"),
    ],
)
def test_an_address_keeps_its_local_part_and_gets_a_plain_domain(typed, email):
    assert clean_email(typed) == email


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "empty"),
        ("siti", "no_at"),
        ("siti@@gmail.com", "no_at"),
        ("siti@gmail.com, budi@gmail.com", "space"),
        ("siti @gmail.com", "space"),
        ("siti@gmail\u00a0.com", "space"),
        ("siti\x00@gmail.com", "unseen_character"),
        ("siti@gmail.com\nBcc:x@y.id", "unseen_character"),
        ("siti\u200d@gmail.com", "unseen_character"),
        ("\u202esiti@gmail.com", "unseen_character"),
        ("@gmail.com", "invalid"),
        ("siti@", "invalid"),
        ("siti@gmail", "invalid"),
        ("siti@localhost", "invalid"),
        ("siti@[10.0.0.1]", "invalid"),
        ("siti@gmail,com", "invalid"),
        ("siti@gmail..com", "invalid"),
        ("siti.@gmail.com", "invalid"),
        ('"si"@gmail.com', "invalid"),
        ("siti\u212a@gmail.com", "invalid"),
        ("s" * 65 + "@gmail.com", "invalid"),
        ("siti@" + "a." * 130 + "id", "too_long"),
    ],
)
def test_what_is_no_address_is_told_why(typed, code):
    assert refused(clean_email, typed).code == code


@given(
    st.one_of(
        HOSTILE, st.emails(), st.from_regex(r"[a-zA-Z'.+\u212a]{0,9}@[A-Za-zü.\-ı]{0,20}\.(com|co\.id)", fullmatch=True)
    )
)
def test_whatever_is_typed_is_an_address_or_an_input_error(typed):
    try:
        email = clean_email(typed)
    except InputError as error:
        assert_told_why(error)
    else:
        assert clean_email(email) == email
        assert email.isascii()
        assert len(email) <= 254
        email_hint(email)
        mask_email(email)


@pytest.mark.parametrize(
    ("email", "meant"),
    [
        ("siti@gmial.com", "siti@gmail.com"),
        ("siti@gmal.com", "siti@gmail.com"),
        ("siti@gmaill.com", "siti@gmail.com"),
        ("siti@gmail.con", "siti@gmail.com"),
        ("siti@gmail.co", "siti@gmail.com"),
        ("siti@gmail.co.id", "siti@gmail.com"),
        ("siti@yaho.com", "siti@yahoo.com"),
        ("siti@yahoo.co.di", "siti@yahoo.co.id"),
        ("Siti@hotmial.con", "Siti@hotmail.com"),
        ("siti@outlok.com", "siti@outlook.com"),
    ],
)
def test_a_slip_in_a_usual_domain_is_noticed(email, meant):
    assert email_hint(email) == meant


@pytest.mark.parametrize(
    "domain",
    [
        "gmail.com",
        "yahoo.co.id",
        "ymail.com",
        "mail.com",
        "email.com",
        "gmx.com",
        "live.com",
        "kemnaker.go.id",
        "ugm.ac.id",
        "warga.example",
    ],
)
def test_a_right_domain_is_left_in_peace(domain):
    assert email_hint(f"siti@{domain}") is None


# Phones


@pytest.mark.parametrize(
    "typed",
    [
        "081234567890",
        "0812 3456 7890",
        "0812-3456-7890",
        "(0812) 3456.7890",
        "6281234567890",
        "+6281234567890",
        "+62 812 3456 7890",
        "+62 0812 3456 7890",
        "006281234567890",
        "81234567890",
        "０８１２３４５６７８９０",
    ],
)
def test_a_mobile_number_is_understood_however_it_is_written(typed):
    assert clean_phone(typed) == "+6281234567890"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "empty"),
        ("8.12E+10", "shortened"),
        ("0812PRAKERJA", "not_a_number"),
        ("0812345678x1", "not_a_number"),
        ("0812345\x00678", "not_a_number"),
        ("081234567890;ext=1", "not_a_number"),
        ("+", "not_a_number"),
        ("+6591234567", "foreign"),
        ("+12025550123", "foreign"),
        ("021 5201 234", "landline"),
        ("+62 21 5201234", "landline"),
        ("08123", "too_short"),
        ("08123456", "too_short"),
        ("08123456789012", "too_long"),
        ("0812345678901234567890", "too_long"),
        ("0842345678901", "invalid"),
        ("0", "invalid"),
        ("1" * 5000, "invalid"),
    ],
)
def test_what_is_no_mobile_number_is_told_why(typed, code):
    assert refused(clean_phone, typed).code == code


@given(
    st.one_of(
        HOSTILE,
        st.text(alphabet="0123456789+- ().６", max_size=24),
        st.from_regex(r"(0|62|\+62)8[0-9]{5,13}", fullmatch=True),
    )
)
def test_whatever_is_typed_is_a_mobile_number_or_an_input_error(typed):
    try:
        phone = clean_phone(typed)
    except InputError as error:
        assert_told_why(error)
    else:
        assert clean_phone(phone) == phone
        assert phone.startswith("+628")


def test_628_without_a_plus_is_a_mobile_number_not_the_town_with_area_code_0628():
    assert clean_phone("62810023456") == "+62810023456"


@pytest.mark.parametrize("start", ["+62", "0", ""])
def test_a_number_is_a_mobile_number_exactly_when_the_library_says_so(start):
    for prefix in range(100, 1000):
        for length in range(4, 12):
            digits = f"{prefix}{'023456789123'[:length]}"
            try:
                phone = phonenumbers.parse(start + digits, "ID")
                mobile = phonenumbers.is_valid_number_for_region(phone, "ID")
                mobile = mobile and phonenumbers.number_type(phone) == phonenumbers.PhoneNumberType.MOBILE
            except phonenumbers.NumberParseException:
                mobile = False
            if mobile:
                assert clean_phone(start + digits) == phonenumbers.format_number(phone, phonenumbers.PhoneNumberFormat.E164)
            else:
                assert_told_why(refused(clean_phone, start + digits))


def test_the_operator_of_a_number_is_known():
    assert operator("+6281234567890") == "Telkomsel"
    assert operator("+6285934567890") == "XL"
    assert operator("+6288834567890") == "Smartfren"
    assert operator("+6284034567890") == ""


# Dates


TODAY = date(2020, 9, 15)


@pytest.mark.parametrize("born", [TODAY, date(2002, 9, 16), date(1900, 9, 15), date(1904, 2, 29)])
def test_whoever_can_be_alive_has_a_birth_date(born):
    assert clean_birth_date(born, TODAY) == born


@pytest.mark.parametrize(
    ("born", "code"), [(date(2020, 9, 16), "future"), (date(1900, 9, 14), "too_old"), (date(1, 1, 1), "too_old")]
)
def test_an_impossible_birth_date_is_told_why(born, code):
    assert refused(clean_birth_date, born, TODAY).code == code


@given(st.dates(), st.dates())
def test_any_two_dates_are_cleaned_or_refused(born, today):
    try:
        assert clean_birth_date(born, today) == born
    except InputError as error:
        assert_told_why(error)


# Masks


@pytest.mark.parametrize(
    ("email", "masked"),
    [
        ("siti@gmail.com", "s***i@g***.com"),
        ("ab@yahoo.co.id", "a***@y***.id"),
        ("a@b.co", "a***@b***.co"),
        ("nonsense", "***"),
        ("", "***"),
    ],
)
def test_an_address_is_masked(email, masked):
    assert mask_email(email) == masked


def test_numbers_are_masked():
    assert mask_phone("+6281234567890") == "+62812******90"
    assert mask_nik("3171011708900000") == "317101********00"
    assert mask_name("Siti Rahmawati") == "S*** R***"
    assert mask_phone("12") == mask_nik("317101") == "***"


# What passes at once


@given(
    st.one_of(
        st.from_regex(inputs._PLAIN_NAME, fullmatch=True),
        st.text(alphabet="aZ .-'1~!\x7f\t\né", max_size=12),
        st.from_regex(r"[A-Za-z]{148,152}", fullmatch=True),
    )
)
def test_a_name_that_passes_at_once_is_one_that_the_rules_leave_as_it_is(name):
    if len(name) <= inputs.NAME_LENGTH and inputs._PLAIN_NAME.fullmatch(name):
        assert inputs._examined_name(name) == name
        assert clean_name(name) == name


@given(
    st.one_of(
        st.from_regex(inputs._PLAIN_EMAIL, fullmatch=True),
        st.from_regex(r"[a-z.+\-_]{60,66}@[a-z]{1,3}\.id", fullmatch=True),
        st.from_regex(r"s@([a-z0-9-]{1,65}\.){1,4}[a-z0-9-]{1,65}", fullmatch=True),
        st.text(alphabet="aZ0.-_+@ ", max_size=20),
    )
)
def test_an_address_that_passes_at_once_is_one_that_the_rules_leave_as_it_is(email):
    if len(email) <= inputs.EMAIL_LENGTH and inputs._PLAIN_EMAIL.fullmatch(email):
        assert inputs._examined_email(email) == email
        assert clean_email(email) == email

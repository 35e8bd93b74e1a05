"""The simulated people: as many as planned, each one somebody else; the mock registry says of them what their fate says."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise

import pytest

from prakerja.simulation import names
from prakerja.simulation.population import ATTEMPTS, BLOCK, CAPACITY, Conduct, Population, SimulatedPerson
from prakerja.simulation.programme import END, OPENINGS, Fate, Snapshot, WavePlan, half_up, plan, plan_registrants
from registrations.inputs import clean_email, clean_name, clean_phone, operator
from registrations.models import Education, Employment, Sex
from registrations.nik import FEMALE, MALE, parse_kk, parse_nik
from registrations.regions import REGENCIES, WIB, Province
from registrations.stages import Stage
from verification.synthetic import birth_date_of, kk_of, known, make_nik

PEOPLE = 200_000


@pytest.fixture(scope="module")
def plans() -> list[WavePlan]:
    return plan_registrants(PEOPLE)


@pytest.fixture(scope="module")
def population(plans) -> Population:
    return Population(2020, plans)


@pytest.fixture(scope="module")
def people(population) -> list[SimulatedPerson]:
    return list(population.people())


def standing(people: list[SimulatedPerson], instant: datetime) -> Snapshot:
    """How many have climbed to each rung before an instant, if every service answers at once."""

    def count(stage: Stage, acts: str) -> int:
        return sum(
            person.fate.stage >= stage and (at := getattr(person, acts)) is not None and at < instant for person in people
        )

    return Snapshot(
        count(Stage.EMAIL_VERIFIED, "opens_mail_at"),
        count(Stage.IDENTITY_VERIFIED, "opens_mail_at"),
        count(Stage.PHONE_VERIFIED, "types_code_at"),
    )


# As many as planned


def test_everybody_is_there_once(population, people):
    assert population.size == len(people) == PEOPLE
    assert [person.number for person in people] == list(range(PEOPLE))


def test_every_wave_has_exactly_the_planned_fates(plans, people):
    for each in plans:
        fates = Counter(person.fate for person in people if person.wave == each.number)
        assert {fate: fates[fate] for fate in Fate} == each.fates


@pytest.mark.parametrize("count", [1, 2, 7, 100, 1234])
def test_a_handful_of_people_has_the_planned_fates(count):
    plans = plan_registrants(count)
    people = list(Population(1, plans).people())

    for each in plans:
        fates = Counter(person.fate for person in people if person.wave == each.number)
        assert {fate: fates[fate] for fate in Fate} == each.fates


def test_as_of_each_published_instant_so_many_have_registered(people):
    def registered_by(month: int, day: int, hour: int) -> int:
        instant = datetime(2020, month, day, tzinfo=WIB) + timedelta(hours=hour)
        return sum(person.registered_at < instant for person in people)

    scale = Fraction(PEOPLE, 23_171_233)
    assert registered_by(4, 16, 16) == half_up(5_965_048 * scale)
    assert registered_by(4, 28, 24) == half_up(8_600_000 * scale)
    assert registered_by(5, 19, 24) == half_up(10_400_000 * scale)
    assert registered_by(9, 15, 0) == PEOPLE


def test_wave_1_stands_where_it_stood_when_it_closed(people):
    scale = Fraction(PEOPLE, 23_171_233)

    snapshot = standing([person for person in people if person.wave == 1], OPENINGS[1].closes_at)

    assert snapshot == Snapshot(*(half_up(figure * scale) for figure in (4_428_000, 3_290_000, 2_078_026)))


def test_at_the_end_everybody_stands_where_planned(plans, people):
    assert standing(people, END) == Snapshot(
        sum(each.email_verified for each in plans),
        sum(each.identity_verified for each in plans),
        sum(each.phone_verified for each in plans),
    )


# When


def test_everybody_belongs_to_the_first_wave_that_closes_after_they_registered(people):
    for person in people:
        open_waves = [number for number, opening in OPENINGS.items() if opening.closes_at > person.registered_at]
        assert min(open_waves) == person.wave
        assert person.registered_at >= OPENINGS[person.wave].registers_from


def test_people_are_numbered_in_the_order_in_which_they_register(people):
    assert all(earlier.registered_at <= later.registered_at for earlier, later in pairwise(people))


def test_everybody_registers_then_opens_their_mail_then_types_the_code(people):
    for person in people:
        instants = [person.registered_at, person.opens_mail_at, person.types_code_at, END]
        happened = [instant for instant in instants if instant is not None]
        assert all(earlier < later for earlier, later in pairwise(happened))
        assert (person.opens_mail_at is not None) == (person.fate.stage > Stage.REGISTERED)
        types = person.fate in (Fate.VERIFIED, Fate.ATTEMPTS_USED_UP, Fate.NIK_TAKEN)
        assert (person.types_code_at is not None) == types


def test_nights_are_quiet(people):
    hours = Counter(person.registered_at.astimezone(WIB).hour for person in people)

    assert hours[3] * 5 < hours[10]


def test_wrong_codes_are_few_but_for_those_who_use_them_up(people):
    assert {person.wrong_codes for person in people if person.fate is Fate.ATTEMPTS_USED_UP} == {ATTEMPTS}
    assert {person.wrong_codes for person in people if person.fate is Fate.VERIFIED} == {0, 1, 2}
    assert {person.wrong_codes for person in people if person.types_code_at is None} == {0}


# Who


def test_all_who_register_once_have_numbers_and_addresses_of_their_own(people):
    once = [person for person in people if person.fate is not Fate.NIK_TAKEN]
    # Those whom the registry does not know may be unknown under the same number.
    niks = [person.nik for person in once if person.fate is not Fate.NIK_UNKNOWN]

    assert len({person.email for person in people}) == PEOPLE
    assert len({person.phone for person in once}) == len(once)
    assert len(set(niks)) == len(niks)


def test_numbers_stay_different_at_full_scale():
    population = Population(2020, plan("1"))
    niks, phones, count = set(), set(), 0

    for start in (0, 9_990_000, 19_990_000, 23_150_000):
        for person in population.people(start, start + 20_000):
            if person.fate is not Fate.NIK_TAKEN:
                phones.add(person.phone)
                niks.add(person.nik if person.fate is not Fate.NIK_UNKNOWN else person.number)
                count += 1

    assert len(niks) == len(phones) == count


def test_whoever_registers_twice_is_somebody_who_gets_verified(people):
    by_nik = {person.nik: person for person in people if person.fate is Fate.VERIFIED}
    twice = [person for person in people if person.fate is Fate.NIK_TAKEN]

    assert len(twice) > 1000
    assert len({person.nik for person in twice}) == len(twice)
    for again in twice:
        first = by_nik[again.nik]
        assert first.number != again.number
        assert first.email != again.email
        assert first.wave == again.wave
        # Whoever of the two comes first, the figures are the same at every instant.
        assert first[10:14] == again[10:14]
        assert first[15:] == again[15:]
        for same in ("name", "kk", "birth_date", "phone", "province"):
            assert getattr(first, same) == getattr(again, same)


def test_the_mock_registry_says_what_the_fate_says(people):
    for person in people:
        if person.fate is Fate.NIK_UNKNOWN:
            assert not known(person.nik)
            continue
        assert known(person.nik)
        assert (person.kk == kk_of(person.nik)) == (person.fate is not Fate.KK_MISMATCH)
        assert (person.birth_date == birth_date_of(person.nik)) == (person.fate is not Fate.BIRTH_DATE_MISMATCH)


def test_what_people_type_is_well_formed(people):
    for person in people[::20]:
        nik = parse_nik(person.nik)
        assert nik.regency in REGENCIES
        assert nik.sex == person.sex
        assert nik.serial == 0
        assert parse_kk(person.kk) == person.kk
        assert person.kk.endswith("0000")
        assert clean_name(person.name) == person.name
        assert clean_email(person.email) == person.email
        assert clean_phone(person.phone) == person.phone
        assert operator(person.phone)
        if person.fate not in (Fate.NIK_UNKNOWN, Fate.BIRTH_DATE_MISMATCH):
            sub_district = int(person.nik[4:6])
            assert make_nik(nik.regency, sub_district, person.birth_date, person.sex) == person.nik


def test_every_fate_that_hangs_on_a_service_shows_in_the_address_or_number(people):
    domains = {Fate.MAILBOX_FULL: "penuh.example", Fate.ADDRESS_UNKNOWN: "hilang.example"}
    for person in people:
        assert person.email.partition("@")[2] == domains.get(person.fate, "warga.example")
        assert person.phone[6] == "0"
        assert (int(person.phone[7:]) >= 90_000_000) == (person.fate is Fate.NUMBER_DEAD)


def test_the_people_are_like_those_of_the_country(people):
    men = sum(person.sex == MALE for person in people) / PEOPLE
    java = sum(person.province in (31, 32, 33, 34, 35, 36) for person in people) / PEOPLE
    moved = sum(person.province != int(person.nik[:2]) for person in people) / PEOPLE
    ages = [2020 - person.birth_date.year for person in people]

    assert men == pytest.approx(0.61, abs=0.02)
    assert java == pytest.approx(0.56, abs=0.03)
    assert moved == pytest.approx(0.07, abs=0.01)
    assert {person.province for person in people} == set(Province.values)
    assert {person.sex for person in people} == {MALE, FEMALE}
    assert 0 < sum(age < 18 for age in ages) / PEOPLE < 0.02
    assert max(ages) <= 61
    assert {person.education for person in people} == {1, 2, 3, 4, 5}
    assert {person.employment for person in people} == {1, 2, 3, 4, 5}
    assert 0.02 < sum(person.studying for person in people) / PEOPLE < 0.05


def test_there_are_names_enough():
    for given in (names.MEN, names.WOMEN, names.LAST_OF_MEN, names.LAST_OF_WOMEN):
        assert len({name for name in given if name}) >= 80


# Found again


def test_inhabitants_are_recognised_by_their_address_and_number(population, people):
    for person in people[::7]:
        assert population.number_of_email(person.email) == person.number
        owner = people[population.number_of_phone(person.phone)]
        assert owner.phone == person.phone
        assert owner.number == person.number or (person.fate is Fate.NIK_TAKEN and owner.fate is Fate.VERIFIED)


def test_inhabitants_are_recognised_at_full_scale():
    population = Population(7, plan("1"))

    for number in range(0, population.size, 9_973):
        person = population.person(number)
        assert population.number_of_email(person.email) == number
        assert population.person(population.number_of_phone(person.phone)).phone == person.phone


@pytest.mark.parametrize(
    "email", ["siti@gmail.com", "siti.000001@gmail.com", "siti@warga.example", "siti.zzzzzz@warga.example", ""]
)
def test_others_are_not_taken_for_inhabitants_by_their_address(population, email):
    with pytest.raises(ValueError, match=r"not|invalid"):
        population.number_of_email(email)


@pytest.mark.parametrize("phone", ["+6281234567890", "+62812012345678", "+6281201234567", "+62840012345678", "+65", ""])
def test_others_are_not_taken_for_inhabitants_by_their_number(population, phone):
    with pytest.raises(ValueError, match="not an inhabitant"):
        population.number_of_phone(phone)


# Always the same


def test_the_same_seed_is_the_same_country(plans, people):
    again = Population(2020, plans)

    assert [again.person(number) for number in range(0, PEOPLE, 997)] == people[::997]
    assert list(again.people(500, 600)) == people[500:600]
    assert again.of_wave(2, 5) == people[plans[0].registered + 5]


GOLDEN = {
    (2020, "1"): (
        "65bd4e35437470ee6330494aadd39aa31f81373381bfd0153d4886c92a2c43b3",
        "54dfdd40f5caaf1d1891e66caaef1b3186e3a8d89a1f9b97dd2ea6543f59cd9e",
    ),
    (2020, "0.01"): (
        "2968439aebebd9781542c60e81b697148dacd9e6c6f173596e1bad8df701a537",
        "e03ff7c6ab09634b520180be94ac895bf89d2bffc7a8f2cce105f74e0cbff53a",
    ),
    (7, "1"): (
        "10dfc694c2b2a33987ce4d7c158f0403217e28d882e5e6eb591128a29d98f3b8",
        "0d0ec692802e4e23a384f41f373774f19aba8d94b21040e0b22b7fe58e174fae",
    ),
    (7, "0.01"): (
        "b20913ad23fc186b1291086201276a45f511b0fcf5f02c7ece00b14dc79fd812",
        "dfca750650a8441d92bb390097dfbed5443e2a1841024850962a786146cbb155",
    ),
}


def fingerprint(rows: Iterable[SimulatedPerson | Conduct]) -> str:
    """One number for all that is known of them, however the enums of a Python version are shown."""
    digest = sha256()
    for row in rows:
        digest.update(repr([int(field) if isinstance(field, int) else str(field) for field in row]).encode())
    return digest.hexdigest()


@pytest.mark.parametrize(("seed", "scale"), GOLDEN)
def test_whole_countries_stay_the_same_from_one_version_to_the_next(seed, scale):
    population = Population(seed, plan(scale))
    blocks = [range(start, start + 2000) for start in range(0, population.size - 2000, population.size // 10)]

    people = [person for block in blocks for person in population.people(block.start, block.stop)]
    conducts = [conduct for block in blocks for conduct in population.conducts(block)]

    assert len(people) == 20_000
    assert (fingerprint(people), fingerprint(conducts)) == GOLDEN[seed, scale]


def test_people_are_the_same_in_a_block_and_alone(population, people):
    numbers = [*range(0, PEOPLE, 997), PEOPLE - 1, 5, 5]

    assert [population.person(number) for number in numbers] == [people[number] for number in numbers]
    assert list(population.people(3, 4 + 3 * BLOCK)) == people[3 : 4 + 3 * BLOCK]
    assert list(population.people(PEOPLE - 1, PEOPLE + 5)) == people[-1:]
    assert list(population.people(7, 7)) == []


def test_conducts_are_what_people_do_in_whatever_order_one_asks(population, people):
    numbers = [*range(PEOPLE - 1, 0, -97), 3, 3]

    conducts = population.conducts(numbers)

    assert conducts == [
        (person.fate, person.opens_mail_at, person.types_code_at, person.wrong_codes)
        for person in (people[number] for number in numbers)
    ]
    assert population.conducts([]) == []


def test_people_are_made_of_python_alone(population):
    """No number of numpy's slips out: JSON, COPY and the database's adapters would not know it."""
    own = {Fate, Province, Sex, Education, Employment, str, int, bool, date, datetime, type(None)}

    for person in population.people(0, 5000):
        assert {type(field) for field in person} <= own
    for conduct in population.conducts(range(5000)):
        assert {type(field) for field in conduct} <= own


def test_a_person_stays_who_they_are_from_one_version_to_the_next():
    person = Population(2020, plan("1")).person(1_000_000)

    assert person.fate is Fate.NIK_UNKNOWN
    assert (person.name, person.nik, person.phone) == ("Fajar Permana", "3510982805870000", "+62878061000000")
    assert person.email == "fajar.permana.00lfls@warga.example"
    assert person.registered_at == datetime(2020, 4, 11, 15, 0, 22, 383098, tzinfo=UTC)


def test_another_seed_is_another_country(plans, people):
    other = Population(2021, plans)

    same = sum(other.person(number).nik == people[number].nik for number in range(0, PEOPLE, 997))
    assert same < 5


def test_some_waves_alone_are_numbered_from_0():
    population = Population(1, plan("0.0001", waves=[3, 8]))

    people = list(population.people())

    assert [person.number for person in people] == list(range(180 + 317))
    assert {person.wave for person in people} == {3, 8}
    assert population.of_wave(8, 0) == population.person(180)


def test_nobody_has_a_number_beyond_the_last(population):
    for number in (-1, PEOPLE):
        with pytest.raises(IndexError):
            population.person(number)
        with pytest.raises(IndexError):
            population.conducts([0, number])
    with pytest.raises(IndexError):
        population.of_wave(1, 23_000_000)


def test_more_people_than_there_are_numbers_are_refused():
    with pytest.raises(ValueError, match="at most"):
        Population(1, plan_registrants(CAPACITY + 1))


def test_a_person_in_a_log_shows_no_personal_data(people):
    assert repr(people[0]) == "SimulatedPerson(0)"


def test_the_registry_knows_nobody_real():
    assert known("3171011708900000")
    for nik in (
        "3171011708900001",
        "9371011708900000",
        "3171001708900000",
        "3171901708900000",
        "3171013102900000",
        "",
        "x" * 16,
    ):
        assert not known(nik)
    assert not known("٣١٧١٠١١٧٠٨٩٠0000")
    assert birth_date_of("3171015708100000").year == 2010
    assert birth_date_of("3171015708110000").year == 1911
    with pytest.raises(ValueError, match="no birth date"):
        birth_date_of("3171013102900000")

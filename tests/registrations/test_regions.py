"""The table of provinces and regencies against Permendagri 72/2019."""

import hashlib

from registrations.regions import LAST_SUB_DISTRICT, REGENCIES, WIB, WIT, WITA, Province


def test_there_are_the_34_provinces_of_2020():
    codes = [11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 31, 32, 33, 34, 35, 36, 51, 52, 53, 61, 62, 63, 64, 65]
    codes += [71, 72, 73, 74, 75, 76, 81, 82, 91, 92]

    assert Province.values == codes


def test_provinces_founded_in_2022_do_not_exist_yet():
    assert not {93, 94, 95, 96} & set(Province.values)


def test_the_514_regency_codes_are_those_of_the_regulation():
    codes = [code for province in Province for code in province.regencies]

    assert len(codes) == 514
    assert set(codes) == REGENCIES
    # Of the codes in the ministry's list, in order, as one line.
    assert (
        hashlib.sha256(" ".join(map(str, codes)).encode()).hexdigest()
        == "82b121ebfa44e15562de4ec9c11fad5a8a35d0fbb94fa7e3cfa4dbc2512f8692"
    )


def test_every_regency_belongs_to_the_province_of_its_first_two_digits():
    assert all(code // 100 == province for province in Province for code in province.regencies)


def test_every_regency_has_sub_districts():
    assert set(LAST_SUB_DISTRICT) == REGENCIES
    assert LAST_SUB_DISTRICT[3171] == 8
    assert LAST_SUB_DISTRICT[9102] == 68
    assert min(LAST_SUB_DISTRICT.values()) == 2


def test_the_country_has_three_clocks():
    assert Province.DKI_JAKARTA.time_zone is WIB
    assert Province.KALIMANTAN_TENGAH.time_zone is WIB
    assert Province.KALIMANTAN_SELATAN.time_zone is WITA
    assert Province.BALI.time_zone is WITA
    assert Province.PAPUA_BARAT.time_zone is WIT
    assert sum(province.time_zone is WIB for province in Province) == 18
    assert sum(province.time_zone is WITA for province in Province) == 12
    assert sum(province.time_zone is WIT for province in Province) == 4

"""The provinces and regencies of 2020, as the Ministry of Home Affairs numbers them.

Source: Permendagri 72/2019, in force during the programme's waves of 2020: 34 provinces, 514 regencies (kabupaten and
kota). Provinces 93-96 exist only since 2022, so no number of 2020 begins with them.
"""

from zoneinfo import ZoneInfo

from django.db.models import IntegerChoices

#: The three clocks of Indonesia.
WIB = ZoneInfo("Asia/Jakarta")
WITA = ZoneInfo("Asia/Makassar")
WIT = ZoneInfo("Asia/Jayapura")


class Province(IntegerChoices):
    """A province; its value is its code, the first two digits of the NIKs issued there."""

    # Names of places are the same in every language of the screens, so they are not translated.
    ACEH = 11, "Aceh"
    SUMATERA_UTARA = 12, "Sumatera Utara"
    SUMATERA_BARAT = 13, "Sumatera Barat"
    RIAU = 14, "Riau"
    JAMBI = 15, "Jambi"
    SUMATERA_SELATAN = 16, "Sumatera Selatan"
    BENGKULU = 17, "Bengkulu"
    LAMPUNG = 18, "Lampung"
    KEPULAUAN_BANGKA_BELITUNG = 19, "Kepulauan Bangka Belitung"
    KEPULAUAN_RIAU = 21, "Kepulauan Riau"
    DKI_JAKARTA = 31, "DKI Jakarta"
    JAWA_BARAT = 32, "Jawa Barat"
    JAWA_TENGAH = 33, "Jawa Tengah"
    DI_YOGYAKARTA = 34, "DI Yogyakarta"
    JAWA_TIMUR = 35, "Jawa Timur"
    BANTEN = 36, "Banten"
    BALI = 51, "Bali"
    NUSA_TENGGARA_BARAT = 52, "Nusa Tenggara Barat"
    NUSA_TENGGARA_TIMUR = 53, "Nusa Tenggara Timur"
    KALIMANTAN_BARAT = 61, "Kalimantan Barat"
    KALIMANTAN_TENGAH = 62, "Kalimantan Tengah"
    KALIMANTAN_SELATAN = 63, "Kalimantan Selatan"
    KALIMANTAN_TIMUR = 64, "Kalimantan Timur"
    KALIMANTAN_UTARA = 65, "Kalimantan Utara"
    SULAWESI_UTARA = 71, "Sulawesi Utara"
    SULAWESI_TENGAH = 72, "Sulawesi Tengah"
    SULAWESI_SELATAN = 73, "Sulawesi Selatan"
    SULAWESI_TENGGARA = 74, "Sulawesi Tenggara"
    GORONTALO = 75, "Gorontalo"
    SULAWESI_BARAT = 76, "Sulawesi Barat"
    MALUKU = 81, "Maluku"
    MALUKU_UTARA = 82, "Maluku Utara"
    PAPUA = 91, "Papua"
    PAPUA_BARAT = 92, "Papua Barat"

    @property
    def time_zone(self) -> ZoneInfo:
        """The clock by which people there live."""
        if self in _WIT:
            return WIT
        return WITA if self in _WITA else WIB

    @property
    def regencies(self) -> tuple[int, ...]:
        """Codes of its kabupaten and kota, four digits each, in order."""
        return _REGENCIES[self]


_WIT = {81, 82, 91, 92}
_WITA = {51, 52, 53, 63, 64, 65, 71, 72, 73, 74, 75, 76}


def _codes(province: int, ranges: str) -> tuple[int, ...]:
    """The regency codes that the last two digits in `ranges` ("01-18 71-75") stand for."""
    codes: list[int] = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        codes.extend(range(province * 100 + int(first), province * 100 + int(last or first) + 1))
    return tuple(codes)


#: Kabupaten count from 01, kota from 71; gaps are regencies that went to a younger province.
_REGENCIES = {
    province: _codes(province, ranges)
    for province, ranges in {
        11: "01-18 71-75",
        12: "01-25 71-78",
        13: "01-12 71-77",
        14: "01-10 71-72",
        15: "01-09 71-72",
        16: "01-13 71-74",
        17: "01-09 71",
        18: "01-13 71-72",
        19: "01-06 71",
        21: "01-05 71-72",
        31: "01 71-75",
        32: "01-18 71-79",
        33: "01-29 71-76",
        34: "01-04 71",
        35: "01-29 71-79",
        36: "01-04 71-74",
        51: "01-08 71",
        52: "01-08 71-72",
        53: "01-21 71",
        61: "01-12 71-72",
        62: "01-13 71",
        63: "01-11 71-72",
        64: "01-03 07-09 11 71-72 74",
        65: "01-04 71",
        71: "01-11 71-74",
        72: "01-12 71",
        73: "01-18 22 24 26 71-73",
        74: "01-15 71-72",
        75: "01-05 71",
        76: "01-06",
        81: "01-09 71-72",
        82: "01-08 71-72",
        91: "01-28 71",
        92: "01-12 71",
    }.items()
}

#: Codes of all 514 regencies.
REGENCIES = frozenset(code for codes in _REGENCIES.values() for code in codes)

#: The highest sub-district (kecamatan) number of each regency; nearly all numbers below are in use.
LAST_SUB_DISTRICT = {
    regency: int(last)
    for province, numbers in {
        11: "18 16 24 21 12 23 31 27 10 16 17 9 11 9 10 12 10 8 9 2 4 5 5",
        12: "20 15 32 35 23 17 33 32 32 20 15 24 23 35 8 10 9 17 12 12 12 5 8 11 8 21 8 4 6 5 5 6 6",
        13: "15 19 10 14 17 16 13 19 10 11 7 11 11 2 4 2 3 5 4",
        14: "21 14 16 20 12 16 18 14 15 9 12 7",
        15: "21 24 10 8 11 13 11 17 12 11 8",
        16: "32 24 27 31 21 15 21 20 19 16 10 5 7 18 5 8 6",
        17: "11 24 25 15 14 15 12 8 11 9",
        18: "24 28 23 23 30 28 24 14 11 9 7 9 11 20 5",
        19: "8 5 8 6 6 7 7",
        21: "15 12 22 13 9 12 4",
        31: "2 8 6 8 10 10",
        32: "40 47 32 46 42 39 37 32 40 26 26 31 30 17 30 23 16 10 6 7 30 5 12 11 3 10 4",
        33: "24 27 18 20 26 16 15 21 22 26 12 25 17 20 19 16 14 21 9 16 14 20 20 20 15 19 14 18 17 3 5 4 16 4 4",
        34: "12 17 18 17 14",
        35: "12 21 14 19 22 26 33 21 31 25 23 17 24 24 18 18 21 20 15 18 19 28 20 27 18 18 14 13 27 3 3 5 5 4 3 3 31 3",
        36: "35 28 33 35 13 8 6 7",
        51: "5 10 6 7 4 4 8 9 4",
        52: "15 12 21 29 8 18 8 5 6 5",
        53: "30 32 24 23 17 19 21 21 20 18 22 18 9 10 12 7 5 11 9 6 12 6",
        61: "19 18 21 25 21 23 17 13 7 11 6 9 6 5",
        62: "6 17 17 6 9 13 10 5 8 12 8 10 10 5",
        63: "11 21 20 17 12 11 11 10 12 10 8 5 6",
        64: "10 18 13 20 18 4 5 6 10 3",
        65: "10 15 19 5 4",
        71: "35 25 25 19 23 10 12 6 10 7 7 11 8 5 4",
        72: "23 27 31 10 11 18 19 23 12 15 7 10 8",
        73: "11 10 8 11 10 18 9 27 14 13 7 8 14 11 12 12 22 38 15 11 21 15 4 9",
        74: "27 41 37 29 25 22 8 15 13 6 12 7 11 7 7 10 8",
        75: "24 7 18 13 11 9",
        76: "12 16 17 16 8 5",
        81: "26 19 18 15 15 11 10 17 6 5 5",
        82: "9 10 22 30 18 10 5 8 8 8",
        91: "20 68 19 25 16 21 34 34 18 15 11 34 53 47 15 20 15 19 5 8 5 5 39 32 25 10 8 5 5",
        92: "55 21 17 26 25 24 13 7 29 24 6 10 10",
    }.items()
    for regency, last in zip(_REGENCIES[province], numbers.split(), strict=True)
}

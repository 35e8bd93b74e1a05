"""Numbers, shares and moments as Indonesians, and readers of English, write them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template
from django.utils.translation import override

from prakerja.templatetags.numbers import bar, clock, day, moment, number, percent, rupiah, zones

BRIEFING = datetime(2020, 9, 15, 11, 35, 7, tzinfo=UTC)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(("language", "written"), [("id", "23.171.233"), ("en", "23,171,233")])
def test_a_number_is_grouped_by_the_language(language: str, written: str) -> None:
    with override(language):
        assert number(23_171_233) == written


@pytest.mark.parametrize(("value", "written"), [(0, "0"), (999, "999"), (1_000, "1.000"), (-5_000, "-5.000")])
def test_small_and_negative_numbers(value: int, written: str) -> None:
    with override("id"):
        assert number(value) == written


@pytest.mark.parametrize(("language", "written"), [("id", "77,7 %"), ("en", "77.7 %")])
def test_a_share_is_a_percentage_with_one_decimal(language: str, written: str) -> None:
    with override(language):
        assert plain(percent(18_000_000 / 23_171_233)) == written


@pytest.mark.parametrize(
    ("share", "written"),
    [(0, "0,0 %"), (1, "100,0 %"), (0.3237, "32,4 %"), (0.00001, "0,0 %"), (12.5, "1.250,0 %")],
)
def test_a_share_is_rounded_and_not_cut_off(share: float, written: str) -> None:
    with override("id"):
        assert plain(percent(share)).replace(".", "") == written.replace(".", "")


@pytest.mark.parametrize(("language", "written"), [("id", "15 Sep 2020 18.35 WIB"), ("en", "15 Sep 2020 18:35 WIB")])
def test_a_moment_is_told_in_jakarta_by_default(language: str, written: str) -> None:
    with override(language):
        assert plain(moment(BRIEFING)) == written


@pytest.mark.parametrize(
    ("zone", "written"),
    [("Asia/Makassar", "15 Sep 2020 19.35 WITA"), ("Asia/Jayapura", "15 Sep 2020 20.35 WIT")],
)
def test_a_moment_is_told_in_the_other_zones_on_request(zone: str, written: str) -> None:
    with override("id"):
        assert plain(moment(BRIEFING, zone)) == written


@pytest.mark.parametrize(
    ("instant", "written"),
    [
        (datetime(2020, 4, 16, 9, 0, tzinfo=UTC), "16 Apr 2020 16.00 WIB, 17.00 WITA, 18.00 WIT"),
        (datetime(2020, 4, 16, 15, 30, tzinfo=UTC), "16 Apr 2020 22.30 WIB, 23.30 WITA, 17 Apr 2020 00.30 WIT"),
        (None, ""),
    ],
)
def test_an_instant_is_told_in_all_three_zones(instant, written) -> None:
    with override("id"):
        assert plain(zones(instant)) == written


@pytest.mark.parametrize(
    ("language", "amount", "written"),
    [
        ("id", 600_000, "Rp600.000"),
        ("en", 600_000, "Rp600,000"),
        ("id", -350_000, "−Rp350.000"),
        ("id", 0, "Rp0"),
        ("id", None, ""),
        ("id", "", ""),
    ],
)
def test_money_is_written_as_the_language_does(language, amount, written) -> None:
    with override(language):
        assert rupiah(amount) == written


@pytest.mark.parametrize(
    ("instant", "written"),
    [
        (datetime(2020, 12, 15, 16, 59, tzinfo=UTC), "15 Des 2020"),
        (datetime(2020, 12, 15, 17, 0, tzinfo=UTC), "16 Des 2020"),
        (None, ""),
    ],
)
def test_a_day_is_the_one_in_jakarta(instant, written) -> None:
    with override("id"):
        assert plain(day(instant)) == written


@pytest.mark.parametrize(("month", "name"), [(5, "Mei"), (8, "Agu"), (10, "Okt"), (12, "Des")])
def test_months_carry_their_indonesian_names(month: int, name: str) -> None:
    with override("id"):
        assert name in moment(BRIEFING.replace(month=month))


def test_midnight_in_jakarta_belongs_to_the_next_day() -> None:
    with override("id"):
        assert plain(moment(datetime(2020, 8, 12, 17, 0, tzinfo=UTC))) == "13 Agu 2020 00.00 WIB"


@pytest.mark.parametrize(("language", "written"), [("id", "18.35.07 WIB"), ("en", "18:35:07 WIB")])
def test_the_clock_shows_seconds(language: str, written: str) -> None:
    with override(language):
        assert plain(clock(BRIEFING + timedelta(microseconds=999))) == written


@pytest.mark.parametrize(
    ("people", "top", "width"),
    [
        (23_171_233, 23_171_233, "100.00%"),
        (18_000_000, 23_171_233, "77.68%"),
        (0, 10, "0%"),
        (5, 0, "0%"),
        (9, 3, "100.00%"),
    ],
)
def test_a_bar_has_a_width_that_svg_reads_in_every_language(people: int, top: int, width: str) -> None:
    with override("id"):
        assert bar(people, top) == width


@pytest.mark.parametrize("asked", ["number", "percent", "moment", "clock"])
def test_what_is_missing_is_written_as_nothing(asked: str) -> None:
    template = Template(f"{{% load numbers %}}[{{{{ none|{asked} }}}}{{{{ nowhere|{asked} }}}}]")

    assert template.render(Context({"none": None})) == "[]"

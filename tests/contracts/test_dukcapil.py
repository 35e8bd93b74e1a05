"""What every adapter of Dukcapil must do."""

from collections.abc import Callable
from datetime import date

import pytest

from prakerja.mockservices import Server
from verification.dukcapil import Dukcapil, HttpDukcapil, Identity, MockDukcapil, Verdict
from verification.synthetic import kk_of, make_nik

Adapter = Callable[[], Dukcapil]

BIRTH_DATE = date(1991, 7, 23)
NIK = make_nik(3175, 3, BIRTH_DATE, 0)


@pytest.fixture(params=["mock", "http", "http, chunks of 3"])
def dukcapil(request: pytest.FixtureRequest, mock_services: Server) -> Dukcapil:
    match request.param:
        case "mock":
            return MockDukcapil()
        case "http":
            return HttpDukcapil(mock_services.url, key="k")
        case _:
            return HttpDukcapil(mock_services.url + "/", chunk=3)


def identity(reference: str = "1", nik: str = NIK, kk: str = "", birth_date: date = BIRTH_DATE) -> Identity:
    return Identity(reference, nik, kk or kk_of(nik), birth_date)


def test_who_gives_what_the_registry_holds_is_a_match(dukcapil: Dukcapil):
    assert dukcapil.match([identity()]) == [Verdict.MATCH]


@pytest.mark.parametrize("nik", [NIK[:12] + "0001", "99" + NIK[2:], NIK[:4] + "90" + NIK[6:], NIK[:6] + "310291" + "0000"])
def test_a_nik_that_was_never_issued_is_unknown_to_the_registry(dukcapil: Dukcapil, nik: str):
    assert dukcapil.match([identity(nik=nik, kk="1")]) == [Verdict.NIK_UNKNOWN]


def test_another_kk_is_a_mismatch(dukcapil: Dukcapil):
    assert dukcapil.match([identity(kk=kk_of(NIK)[:-1] + "9")]) == [Verdict.KK_MISMATCH]


def test_another_birth_date_is_a_mismatch(dukcapil: Dukcapil):
    assert dukcapil.match([identity(birth_date=date(1991, 7, 24))]) == [Verdict.BIRTH_DATE_MISMATCH]


def test_the_first_of_several_faults_is_told(dukcapil: Dukcapil):
    other = date(1999, 1, 1)

    verdicts = dukcapil.match([Identity("1", "1", "1", other), Identity("2", NIK, "1", other)])

    assert verdicts == [Verdict.NIK_UNKNOWN, Verdict.KK_MISMATCH]


def test_verdicts_come_one_each_and_in_order(dukcapil: Dukcapil):
    asked = [identity(str(n), kk="1" if n % 3 == 0 else "") for n in range(40)]

    assert dukcapil.match(asked) == [Verdict.KK_MISMATCH if n % 3 == 0 else Verdict.MATCH for n in range(40)]


def test_nobody_asked_about_is_no_verdict(dukcapil: Dukcapil):
    assert dukcapil.match([]) == []


def test_asked_again_it_says_the_same(dukcapil: Dukcapil):
    asked = [identity("1"), identity("2", kk="1")]

    assert dukcapil.match(asked) == dukcapil.match(asked)


def test_an_identity_shows_nothing_personal():
    assert repr(identity("17")) == "Identity(17)"

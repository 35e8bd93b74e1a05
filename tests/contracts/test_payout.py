"""What every payer must do: say of an account whether it is fit, pay a reference once, and tell what became of it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from foundation.services import build
from incentives.gates import Gate
from incentives.payers import PAYERS, service
from incentives.payout import HttpPayer, Order, Outcome, Payer, Query, Verdict
from prakerja.mockservices import Server, serving
from prakerja.mockservices.bank import Bank
from tests.processes import output_of

PHONE = "+6281234567890"
NIK = "3175032307910000"

ASK = "import json; from prakerja.settings import SERVICES; print(json.dumps(SERVICES))"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def mock_services(server: Server) -> Server:
    """One server for all tests, whose banks begin anew with each."""
    server.services.bank = Bank()
    return server


@pytest.fixture(scope="module")
def addressed(server: Server) -> dict[str, Any]:
    """The services as they are configured where each payer has an address."""
    urls = {f"PAYOUT_{code.upper()}_URL": f"{server.url}/{code}" for code in PAYERS}
    keys = {f"PAYOUT_{code.upper()}_KEY": f"key of {code}" for code in PAYERS}
    found: dict[str, Any] = json.loads(output_of(ASK, **urls, **keys))
    return found


@pytest.fixture(params=[*(f"{code}, {how}" for code in PAYERS for how in ("mock", "http")), "http, chunks of 3"])
def payer(request: pytest.FixtureRequest, mock_services: Server) -> Payer:
    code, _, how = request.param.partition(", ")
    if how == "chunks of 3":
        return HttpPayer(mock_services.url + "/", chunk=3)
    configured = settings.SERVICES if how == "mock" else request.getfixturevalue("addressed")
    payer: Payer = build(configured[service(code)])
    return payer


def query(reference: str = "1", account: str = "1234567890", phone: str = PHONE) -> Query:
    return Query(reference, account, NIK, phone, 600_000)


def order(reference: str = "17-1", account: str = "1234567890", amount: int = 600_000) -> Order:
    return Order(reference, account, NIK, amount)


# Accounts


@pytest.mark.parametrize(
    ("account", "verdict"),
    [
        ("1234567890", Verdict.FIT),
        ("9911000000", Verdict.OF_ANOTHER),
        ("9912000000", Verdict.INACTIVE),
        ("9913000000", Verdict.NOT_UPGRADED),
        ("9914000000", Verdict.PHONE_DIFFERS),
        ("9915000000", Verdict.FULL),
        ("9921000000", Verdict.FIT),
        ("081234567890", Verdict.FIT),
        ("081234567891", Verdict.PHONE_DIFFERS),
        ("08991100000", Verdict.OF_ANOTHER),
        ("08992100000", Verdict.FIT),
    ],
)
def test_an_account_is_fit_or_not_and_why(payer: Payer, account: str, verdict: Verdict):
    assert payer.check([query(account=account)]) == [verdict]


def test_verdicts_come_one_each_and_in_order_and_what_is_not_said_is_unknown(payer: Payer):
    accounts = ["1234567890", "9916000000", "9912000000"]
    asked = [query(str(n), accounts[n % 3]) for n in range(12)]

    assert payer.check(asked) == [Verdict.FIT, Verdict.UNKNOWN, Verdict.INACTIVE] * 4


def test_nobody_asked_about_is_no_answer(payer: Payer):
    assert payer.check([]) == []
    assert payer.pay([]) == []
    assert payer.outcomes([]) == []


# Orders


@pytest.mark.parametrize(
    ("account", "first", "then"),
    [
        ("1234567890", Outcome.PAID, Outcome.PAID),
        ("9921000000", Outcome.PENDING, Outcome.PAID),
        ("9923000000", Outcome.FAILED_INACTIVE, Outcome.FAILED_INACTIVE),
        ("9924000000", Outcome.FAILED_FULL, Outcome.FAILED_FULL),
        ("9925000000", Outcome.FAILED_NOT_UPGRADED, Outcome.FAILED_NOT_UPGRADED),
        ("9926000000", Outcome.FAILED, Outcome.FAILED),
        ("9927000000", Outcome.FAILED_OF_ANOTHER, Outcome.FAILED_OF_ANOTHER),
        ("9928000000", Outcome.FAILED_PHONE_DIFFERS, Outcome.FAILED_PHONE_DIFFERS),
        ("9931000000", Outcome.PAID, Outcome.REVERSED_INACTIVE),
        ("9932000000", Outcome.PAID, Outcome.REVERSED),
        ("9933000000", Outcome.PENDING, Outcome.FAILED_INACTIVE),
        ("9934000000", Outcome.PENDING, Outcome.PENDING),
        ("9936000000", Outcome.PAID, Outcome.REVERSED_OF_ANOTHER),
        ("9937000000", Outcome.PAID, Outcome.REVERSED_NOT_UPGRADED),
        ("9938000000", Outcome.PAID, Outcome.REVERSED_PHONE_DIFFERS),
        ("9939000000", Outcome.PAID, Outcome.REVERSED_FULL),
        ("08992100000", Outcome.PENDING, Outcome.PAID),
    ],
)
def test_an_order_is_paid_or_not_and_asked_for_later(payer: Payer, account: str, first: Outcome, then: Outcome):
    assert payer.pay([order(account=account)]) == [first]
    assert payer.outcomes([order(account=account)]) == [then]


@pytest.mark.parametrize("code", [23, 24, 25, 26, 27, 28, 31, 32, 33, 36, 37, 38, 39])
def test_the_trouble_of_an_account_ends_with_the_first_attempt(payer: Payer, code: int):
    account = f"99{code}000000"
    payer.pay([order("17-1", account)])

    assert payer.pay([order("17-2", account)]) == [Outcome.PAID]
    assert payer.outcomes([order("17-2", account)]) == [Outcome.PAID]


def test_outcomes_come_one_each_and_in_order_and_a_time_out_after_success_is_unknown_at_first(payer: Payer):
    accounts = ["1234567890", "9922000000", "9923000000"]
    orders = [order(f"{n}-1", accounts[n % 3]) for n in range(12)]

    first = payer.pay(orders)
    then = payer.outcomes(orders)

    assert first == [Outcome.PAID, Outcome.UNKNOWN, Outcome.FAILED_INACTIVE] * 4
    assert then == [Outcome.PAID, Outcome.PAID, Outcome.FAILED_INACTIVE] * 4


def test_an_order_of_which_nothing_is_said_stays_unknown_and_holds_up_no_other(payer: Payer):
    orders = [order("17-1", "9935000000"), order("18-1"), order("19-1", "9934000000")]

    for asked in (payer.pay, payer.outcomes, payer.outcomes):
        assert asked(orders) == [Outcome.UNKNOWN, Outcome.PAID, Outcome.PENDING]


def test_the_same_reference_is_the_same_payment(payer: Payer):
    asked = [order("17-1"), order("18-1", "9923000000")]

    assert payer.pay(asked) == payer.pay(asked) == [Outcome.PAID, Outcome.FAILED_INACTIVE]


# The bank's own ledger


def payments(server: Server) -> dict[str, dict[str, object]]:
    return {str(line["reference"]): line for line in server.services.bank.payments()}


def test_each_payer_is_asked_at_its_own_address_with_its_own_key(mock_services: Server, addressed: dict[str, Any]):
    for code in PAYERS:
        assert build(addressed[service(code)]).pay([order(f"17-{code}")]) == [Outcome.PAID]

    assert [(line["payer"], line["reference"]) for line in payments(mock_services).values()] == [
        (code, f"17-{code}") for code in PAYERS
    ]
    assert [addressed[service(code)]["OPTIONS"]["key"] for code in PAYERS] == [f"key of {code}" for code in PAYERS]


def test_a_bank_credits_a_reference_once_however_often_and_with_whatever_it_comes(mock_services: Server):
    payer = HttpPayer(mock_services.url + "/bni")

    payer.pay([order("17-1"), order("18-1", "9922000000")])
    payer.pay([order("17-1", amount=999), order("18-1", "9922000000"), order("19-1")])

    found = payments(mock_services)
    assert [(line["rupiah"], line["credited"], line["debited"]) for line in found.values()] == [(600_000, 1, 0)] * 3
    assert found["17-1"]["asked"] == 2


def test_what_a_bank_never_heard_of_is_not_found_and_then_may_be_paid(mock_services: Server):
    payer = HttpPayer(mock_services.url)

    assert payer.outcomes([order("17-1")]) == [Outcome.NOT_FOUND]
    assert payments(mock_services) == {}
    assert payer.pay([order("17-1")]) == [Outcome.PAID]
    assert payer.outcomes([order("17-1")]) == [Outcome.PAID]


def test_what_is_given_back_is_credited_and_debited(mock_services: Server):
    HttpPayer(mock_services.url).pay([order("17-1", "9931000000"), order("18-1", "9923000000")])

    found = payments(mock_services)
    assert [(line["credited"], line["debited"]) for line in found.values()] == [(1, 1), (0, 0)]


@pytest.mark.parametrize("amount", [0, -1, 1.5, "600000", None, True])
def test_a_bank_takes_whole_rupiah_only(mock_services: Server, amount: object):
    payer = HttpPayer(mock_services.url)

    assert payer.pay([order(amount=amount)]) == [Outcome.UNKNOWN]  # type: ignore[arg-type]

    assert payments(mock_services) == {}


# In our words


def test_each_failure_and_return_names_its_gate():
    causes = {outcome: outcome.gate for outcome in Outcome if outcome.is_failed or outcome.is_reversed}

    assert causes.pop(Outcome.FAILED) == causes.pop(Outcome.REVERSED) == Gate.NONE
    assert all(gate.is_of_the_account for gate in causes.values())
    assert {outcome.gate for outcome in Outcome} - set(causes.values()) == {Gate.NONE}
    assert [outcome for outcome in Outcome if not outcome.is_final] == [Outcome.PENDING, Outcome.NOT_FOUND, Outcome.UNKNOWN]


def test_orders_and_queries_show_nothing_personal():
    assert repr(query("17")) == "Query(17)"
    assert repr(order("17-1")) == "Order(17-1)"

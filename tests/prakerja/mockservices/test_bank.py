"""The payers' own ledger: what was credited and given back, and the file that they send at the end of the day."""

import json
from datetime import datetime

import pytest
import requests

from foundation.services import Unavailable
from incentives.payout import HttpPayer, Order
from prakerja.mockservices import Faults, serving
from registrations.regions import WIB


def orders(*accounts: str) -> list[Order]:
    return [Order(f"{17 + n}-1", account, "3175032307910000", 600_000) for n, account in enumerate(accounts)]


def test_the_ledger_and_the_daily_file_tell_of_each_payer_what_it_did():
    with serving() as server:
        HttpPayer(server.url + "/bni").pay(orders("1234567890", "9931000000", "9923000000", "9934000000"))
        HttpPayer(server.url + "/bri").pay([Order("99-1", "123456789012345", "1", 50_000)])
        day = datetime.now(WIB).date().isoformat()

        lines = [json.loads(line) for line in requests.get(server.url + "/payouts", timeout=5).text.splitlines()]
        statement = requests.get(server.url + "/payouts/statement", params={"payer": "bni", "day": day}, timeout=5).text

    assert [(line["payer"], line["reference"], line["credited"], line["debited"]) for line in lines] == [
        ("bni", "17-1", 1, 0),
        ("bni", "18-1", 1, 1),
        ("bni", "19-1", 0, 0),
        ("bni", "20-1", 0, 0),  # not decided: it stands in no statement
        ("bri", "99-1", 1, 0),
    ]
    rows = statement.splitlines()
    assert rows[:3] == ["payer,day,lines,rupiah", f"bni,{day},4,2400000", "reference,status,rupiah,at"]
    assert [row.rpartition(",")[0] for row in rows[3:]] == [
        "17-1,paid,600000",
        "18-1,paid,600000",
        "18-1,reversed_inactive,600000",
        "19-1,failed_inactive,600000",
    ]


def test_a_line_that_is_cut_after_payment_is_in_the_ledger_once():
    with serving({"payout": Faults(hang_up_percent=100)}) as server:
        payer = HttpPayer(server.url + "/bni")
        for _ in range(3):
            with pytest.raises(Unavailable):
                payer.pay(orders("1234567890"))

        [line] = server.services.bank.payments()

    assert (line["asked"], line["credited"]) == (3, 1)

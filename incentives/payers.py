"""The banks and e-wallets that pay: each is a service and a queue of its own, so that a slow one holds up no other."""

import re
from typing import NamedTuple


class Form(NamedTuple):
    """What an account of this payer looks like."""

    name: str
    #: How many digits a number has, least and most. An e-wallet's is the phone number, as it is dialled: 08...
    digits: tuple[int, int]
    is_wallet: bool = False

    def well_formed(self, number: str) -> bool:
        least, most = self.digits
        return (
            bool(_DIGITS.fullmatch(number)) and least <= len(number) <= most and (not self.is_wallet or number[:2] == "08")
        )


_DIGITS = re.compile("[0-9]+")

#: By the partner's code.
PAYERS = {
    "bni": Form("BNI", (10, 10)),
    "bri": Form("BRI", (15, 15)),
    "mandiri": Form("Mandiri", (13, 13)),
    "ovo": Form("OVO", (10, 14), is_wallet=True),
    "linkaja": Form("LinkAja", (10, 14), is_wallet=True),
    "gopay": Form("GoPay", (10, 14), is_wallet=True),
    "dana": Form("DANA", (10, 14), is_wallet=True),
}


def service(code: str) -> str:
    """The name under which a payer stands in `settings.SERVICES`."""
    return f"payout_{code}"


def queue(code: str) -> str:
    """Where payouts wait for it."""
    return f"payout_{code}"


def check_queue(code: str) -> str:
    """Where accounts wait for its word."""
    return f"check_{code}"


def tidy(number: str) -> str:
    """A number as people write it, without the spaces, dots and dashes between."""
    return re.sub(r"[\s.\-]", "", number)


def masked(number: str) -> str:
    """What is shown of an account's number."""
    return f"•••{number[-4:]}"

"""Public randomness: a beacon publishes a signature at fixed times, which nobody can know before or choose.

Source: drand's documentation (https://docs.drand.love), scheme `bls-unchained-g1-rfc9380`: round r is signed at
`genesis + (r - 1) * period`, and its randomness is SHA-256 of the signature.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, Protocol

import drand_verify
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.sealing import mac
from foundation.services import Unavailable

QUICKNET_SCHEME, MOCK_SCHEME = "bls-unchained-g1-rfc9380", "mock-ed25519"
CONNECT_SECONDS, READ_SECONDS = 2.0, 10.0
#: Unix time of the year 9999: calendars end with it.
_LAST = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())


class BadSignature(ValueError):
    """This is not what the chain has signed for this round."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A beacon's chain, as everybody knows it."""

    #: Its hash, by which it is named.
    chain: str
    scheme: str
    #: Hexadecimal.
    public_key: str
    #: Unix time of round 1, and seconds between rounds.
    genesis: int
    period: int

    @property
    def is_public(self) -> bool:
        """Whether nobody knows its rounds beforehand."""
        return self.scheme != MOCK_SCHEME

    def has(self, round: int) -> bool:
        """Whether there is such a round, with an instant that a calendar knows in every zone."""
        return 0 < round <= (_LAST - self.genesis) // self.period

    def at(self, round: int) -> datetime:
        """When this round is published."""
        return datetime.fromtimestamp(self.genesis + (round - 1) * self.period, UTC)

    def first_after(self, instant: datetime) -> int:
        """The first round that is published later than this instant."""
        return max(1, (int(instant.timestamp()) - self.genesis) // self.period + 2)

    def verify(self, round: int, signature: bytes) -> bytes:
        """The randomness of the round, 32 bytes. Raises `BadSignature`."""
        try:
            if self.scheme == QUICKNET_SCHEME:
                drand_verify.verify_quicknet(round, signature.hex(), self.public_key)
            elif self.scheme == MOCK_SCHEME:
                key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
                key.verify(signature, _message(round))
            else:
                raise BadSignature(f"no scheme {self.scheme}")
        except (ValueError, InvalidSignature, OverflowError) as error:
            raise BadSignature(f"not the signature of round {round}") from error
        return hashlib.sha256(signature).digest()


class Beacon(Protocol):
    """A service of kind `randomness`."""

    @property
    def chain(self) -> Chain: ...

    def signature(self, round: int) -> bytes | None:
        """What was signed for the round; None when it is not published yet. Raises `Unavailable`."""


#: The League of Entropy's chain of a round every three seconds.
QUICKNET = Chain(
    chain="52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",
    scheme=QUICKNET_SCHEME,
    public_key=(
        "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
        "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
    ),
    genesis=1692803367,
    period=3,
)


class Drand:
    """drand's quicknet, over HTTP: any of its relays will do, for what they say is verified."""

    chain = QUICKNET

    def __init__(self, url: str = "https://api.drand.sh") -> None:
        self.url = url.rstrip("/")

    def signature(self, round: int) -> bytes | None:
        try:
            answer = requests.get(
                f"{self.url}/{self.chain.chain}/public/{round}",
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
            )
            if answer.status_code in (404, 425):
                return None
            if answer.status_code != 200:
                raise ValueError(f"status {answer.status_code}")
            told: Any = answer.json()
            if told["round"] != round:
                raise ValueError("another round")
            return bytes.fromhex(told["signature"])
        except (requests.RequestException, ValueError, TypeError, KeyError) as error:
            raise Unavailable(type(error).__qualname__) from error


class MockBeacon:
    """A beacon for demonstrations and simulations: **no public randomness**, for who runs it can work out every round."""

    mock: ClassVar = True

    def __init__(self, genesis: int = 1577811600, period: int = 30) -> None:
        self._genesis, self._period = genesis, period

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(mac("mock beacon", b""))

    @cached_property
    def chain(self) -> Chain:
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        name = hashlib.sha256(b"mock beacon " + public).hexdigest()
        return Chain(name, MOCK_SCHEME, public.hex(), self._genesis, self._period)

    def signature(self, round: int) -> bytes | None:
        return self._key.sign(_message(round))


def _message(round: int) -> bytes:
    return hashlib.sha256(round.to_bytes(8, "big")).digest()

"""Dukcapil, the civil registry: are these NIK, KK number and birth date exactly those that it holds?"""

from collections.abc import Sequence
from datetime import date
from enum import Enum
from typing import Any, ClassVar, NamedTuple, Protocol

from foundation.http import JsonClient, echoed
from verification.synthetic import birth_date_of, kk_of, known


class Identity(NamedTuple):
    """What somebody says of themselves."""

    #: Ours; differs within a batch and stays the same when asked again.
    reference: str
    nik: str
    kk: str
    birth_date: date

    def __repr__(self) -> str:
        return f"Identity({self.reference})"  # never a NIK: this ends up in logs


class Verdict(Enum):
    """What the registry says of an identity, in the words of the wire; `UNKNOWN` whenever it says nothing in due form."""

    MATCH = "match"
    NIK_UNKNOWN = "nik_unknown"
    KK_MISMATCH = "kk_mismatch"
    BIRTH_DATE_MISMATCH = "birth_date_mismatch"
    UNKNOWN = "unknown"


class Dukcapil(Protocol):
    def match(self, identities: Sequence[Identity]) -> list[Verdict]:
        """One verdict per identity, in order. Raises `Unavailable` when nothing is known of any."""


class MockDukcapil:
    """A registry that is a pure function of the NIK and knows synthetic people only (docs/mocks.md)."""

    mock: ClassVar = True

    def match(self, identities: Sequence[Identity]) -> list[Verdict]:
        return [_verdict(nik, kk, birth_date) for _, nik, kk, birth_date in identities]


def _verdict(nik: str, kk: str, birth_date: date) -> Verdict:
    if not known(nik):
        return Verdict.NIK_UNKNOWN
    if kk != kk_of(nik):
        return Verdict.KK_MISMATCH
    if birth_date != birth_date_of(nik):
        return Verdict.BIRTH_DATE_MISMATCH
    return Verdict.MATCH


class HttpDukcapil:
    """A registry that is asked in JSON (docs/services.md); `client`: options of `JsonClient`."""

    def __init__(self, url: str, *, key: str = "", chunk: int = 200, **client: Any) -> None:
        self._client = JsonClient(url, key=key, **client)
        self._chunk = chunk

    def match(self, identities: Sequence[Identity]) -> list[Verdict]:
        return self._client.ask(identities, chunk=self._chunk, call=self._call, unknown=Verdict.UNKNOWN)

    def _call(self, identities: Sequence[Identity]) -> dict[str, Verdict]:
        requests = [
            {"id": reference, "nik": nik, "kk": kk, "birth_date": birth_date.isoformat()}
            for reference, nik, kk, birth_date in identities
        ]
        answer = self._client.post("/dukcapil/v1/match", {"requests": requests})
        return echoed(answer, under="answers", reference="id", word="verdict", words=_WORDS)


_WORDS = {verdict.value: verdict for verdict in Verdict if verdict is not Verdict.UNKNOWN}

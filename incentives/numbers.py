"""Account numbers at rest: sealed for one person and one digest, so that a value moved to another row does not open."""

from foundation.sealing import SealBroken, digest, seal, unseal


def digest_of(payer: str, number: str) -> str:
    return digest("account", f"{payer}:{number}")


def seal_number(number: str, *, registrant_id: int, digest: str) -> bytes:
    return seal(number.encode(), _place(registrant_id, digest))


def open_number(sealed: bytes | memoryview, *, payer: str, registrant_id: int, digest: str) -> str:
    """The number; `digest` in 32 hexadecimal digits. Raises `SealBroken`, too when it is not the number of that digest."""
    number = unseal(sealed, _place(registrant_id, digest)).decode()
    if digest_of(payer, number) != digest:
        raise SealBroken
    return number


def _place(registrant_id: int, digest: str) -> bytes:
    return b"account:%d:" % registrant_id + digest.encode()

"""Personal data at rest: sealed with AES-256-GCM, looked up by keyed digest.

A sealed value is `key id (1 byte) | nonce (12 bytes) | ciphertext and tag`. It is bound to its place by the `aad` (table and
row), so that a value moved to another row does not open. The ring holds every key that may still be needed; the first one
seals. Digests and codes have a key each, derived from `DIGEST_KEY` by name, so that one field's digest says nothing of another's.
"""

import base64
import os
from functools import cache
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value does not open: wrong key, wrong row, or a changed byte."""


@cache
def _ring() -> dict[int, AESGCM]:
    """The key ring written as `id:base64,id:base64`, ids 1 to 255, 32 bytes each; the first one seals."""
    ring = {}
    for part in settings.SEALING_KEYS.split(","):
        key_id, _, key = part.strip().partition(":")
        ring[int(key_id)] = AESGCM(base64.b64decode(key, validate=True))
    return ring


@cache
def _newest() -> tuple[bytes, AESGCM]:
    """The key that seals, and its id."""
    key_id, key = next(iter(_ring().items()))
    return bytes((key_id,)), key


def seal(plain: bytes, aad: bytes) -> bytes:
    key_id, key = _newest()
    nonce = os.urandom(NONCE_BYTES)
    return key_id + nonce + key.encrypt(nonce, plain, aad)


def unseal(sealed: bytes | memoryview, aad: bytes) -> bytes:
    """Open what `seal` made with the same `aad`. Raises `SealBroken`."""
    value = bytes(sealed)
    try:
        key = _ring()[value[0]]
        return key.decrypt(value[1 : 1 + NONCE_BYTES], value[1 + NONCE_BYTES :], aad)
    except (KeyError, IndexError, InvalidTag, ValueError) as error:
        raise SealBroken from error


@cache
def _keyed(purpose: str) -> blake2b:
    """The hash that has taken in the key of this purpose: copying it is a third quicker than keying one for each value."""
    key = blake2b(purpose.encode(), key=base64.b64decode(settings.DIGEST_KEY)).digest()
    return blake2b(digest_size=32, key=key)


@receiver(setting_changed)
def _forget_keys(**_: object) -> None:
    _ring.cache_clear()
    _newest.cache_clear()
    _keyed.cache_clear()


def mac(purpose: str, data: bytes) -> bytes:
    """A MAC of `data` under the key of this purpose, 32 bytes: keyed BLAKE2b (RFC 7693)."""
    keyed = _keyed(purpose).copy()
    keyed.update(data)
    return keyed.digest()


def digest(field: str, value: str) -> str:
    """What a value is looked up by: a keyed digest of 128 bits, as a UUID's digits: PostgreSQL stores that in 16 bytes."""
    return mac(f"digest:{field}", value.encode()).hex()[:32]

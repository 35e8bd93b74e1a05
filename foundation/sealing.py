"""Personal data at rest: sealed with AES-256-GCM, looked up by keyed digest.

A sealed value is `key id (1 byte) | nonce (12 bytes) | ciphertext and tag`. It is bound to its place by the `aad` (table and
row), so that a value moved to another row does not open. The ring holds every key that may still be needed; the first one
seals. Digests and codes have a key each, derived from `DIGEST_KEY` by name, so that one field's digest says nothing of another's.
"""

import base64
import hashlib
import hmac
import os
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value does not open: wrong key, wrong row, or a changed byte."""


@lru_cache(maxsize=4)
def _ring(keys: str) -> dict[int, AESGCM]:
    """The key ring written as `id:base64,id:base64`, ids 1 to 255, 32 bytes each; the first one seals."""
    ring = {}
    for part in keys.split(","):
        key_id, _, key = part.strip().partition(":")
        ring[int(key_id)] = AESGCM(base64.b64decode(key, validate=True))
    return ring


def seal(plain: bytes, aad: bytes) -> bytes:
    key_id, key = next(iter(_ring(settings.SEALING_KEYS).items()))
    nonce = os.urandom(NONCE_BYTES)
    return bytes((key_id,)) + nonce + key.encrypt(nonce, plain, aad)


def unseal(sealed: bytes | memoryview, aad: bytes) -> bytes:
    """Open what `seal` made with the same `aad`. Raises `SealBroken`."""
    value = bytes(sealed)
    try:
        key = _ring(settings.SEALING_KEYS)[value[0]]
        return key.decrypt(value[1 : 1 + NONCE_BYTES], value[1 + NONCE_BYTES :], aad)
    except (KeyError, IndexError, InvalidTag, ValueError) as error:
        raise SealBroken from error


@lru_cache(maxsize=32)
def _keyed(key: str, purpose: str) -> "hmac.HMAC":
    derived = hmac.digest(base64.b64decode(key), purpose.encode(), hashlib.sha256)
    return hmac.new(derived, digestmod=hashlib.sha256)


def mac(purpose: str, data: bytes) -> bytes:
    """HMAC-SHA-256 of `data` under the key of this purpose; 32 bytes."""
    keyed = _keyed(settings.DIGEST_KEY, purpose).copy()
    keyed.update(data)
    return keyed.digest()


def digest(field: str, value: str) -> UUID:
    """What a value is looked up by: a keyed digest of 128 bits, a UUID because PostgreSQL stores that in 16 bytes."""
    return UUID(bytes=mac(f"digest:{field}", value.encode())[:16])

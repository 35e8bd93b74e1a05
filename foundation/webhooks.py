"""Signatures of calls that others make to us, in the form of Standard Webhooks (standardwebhooks.com)."""

import base64
import hashlib
import hmac
from collections.abc import Sequence

#: A call is taken for a replay or for ill-timed when its time is further from ours than this, in seconds.
TOLERANCE = 300
FEWEST_SECRET_BYTES = 24


def secret_bytes(secret: str) -> bytes:
    """The secret out of its base64, with or without `whsec_`. Raises `ValueError`, which does not quote it."""
    digits = secret.strip().removeprefix("whsec_").rstrip("=")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        raise ValueError("the secret is not base64") from None


def sign(secret: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """One signature as it stands in the header `webhook-signature`."""
    mac = hmac.digest(secret, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac).decode()}"


def is_signed(
    body: bytes, *, webhook_id: str, timestamp: str, signatures: str, secrets: Sequence[bytes], now: float
) -> bool:
    """Whether one of the `signatures` (parted by spaces) is that of one of the `secrets`, on these bytes, within five minutes.

    `webhook_id`, `timestamp` (Unix seconds) and `signatures` are the headers as they came; `now` is in Unix seconds.
    """
    if not (webhook_id and timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return False
    if abs(now - int(timestamp)) > TOLERANCE:
        return False
    given = [signature.encode() for signature in signatures.split(" ") if signature]
    right = [sign(secret, webhook_id, int(timestamp), body).encode() for secret in secrets]
    return any(hmac.compare_digest(one, other) for one in given for other in right)

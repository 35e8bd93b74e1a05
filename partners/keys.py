"""Secrets that a partner and we both know: drawn here, shown once, kept sealed, two of a use live at a time."""

import base64
import secrets

from django.db import transaction

from foundation.sealing import seal, unseal
from partners.models import Partner, Secret

LIVE = 2


def live(partner: str, use: Secret.Use) -> list[bytes]:
    """The live secrets of this partner for this use, the newest first."""
    rows = Secret.objects.filter(partner=partner, use=use).order_by("-id")[:LIVE]
    return [opened(row.partner_id, use, row.sealed) for row in rows]


def opened(partner: str, use: Secret.Use, sealed: bytes | memoryview) -> bytes:
    return unseal(sealed, _place(partner, use))


def keep(partner: str, use: Secret.Use, secret: bytes) -> None:
    """From now on this secret is live, with the one before it; older ones go."""
    with transaction.atomic():
        Partner.objects.select_for_update().get(pk=partner)
        Secret.objects.create(partner_id=partner, use=use, sealed=seal(secret, _place(partner, use)))
        kept = Secret.objects.filter(partner=partner, use=use).order_by("-id").values_list("pk", flat=True)[:LIVE]
        Secret.objects.filter(partner=partner, use=use).exclude(pk__in=list(kept)).delete()


def rotate(partner: str, use: Secret.Use) -> str:
    """Draw a new secret, and return it as the partner is to write it: a text key to sign calls, else `whsec_` and base64."""
    if use is Secret.Use.SIGN:
        text = secrets.token_urlsafe(32)
        keep(partner, use, text.encode())
        return text
    drawn = secrets.token_bytes(32)
    keep(partner, use, drawn)
    return f"whsec_{base64.b64encode(drawn).decode()}"


def _place(partner: str, use: str) -> bytes:
    return f"partners_secret:{partner}:{use}".encode()

"""Who may do what at the sandbox's endpoints: see `tests/partners/authorisation.py`."""

from typing import Any

from django.utils import timezone

from partners.models import Partner
from prakerja.sandbox import situations
from tests.partners.authorisation import Row


def _situations(partner: Partner) -> dict[str, Any]:
    """Whoever was made up stands in no list."""
    situations.bring_about("issued", partner, 2, timezone.now())
    return {"listed": list(situations.of(partner))}


ROWS = [
    Row("GET", "/api/v1/sandbox/people/", "token", own=_situations, shows="situation"),
    Row("POST", "/api/v1/sandbox/people/", "token", body={"situation": "buyer", "count": 2}, status=201),
]

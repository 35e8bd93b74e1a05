"""Who may do what at the sandbox's endpoints: see `tests/partners/authorisation.py`."""

from tests.partners.authorisation import Row

ROWS = [
    Row("GET", "/api/v1/sandbox/people/", "token"),
    Row("POST", "/api/v1/sandbox/people/", "token", body={"situation": "buyer", "count": 2}, status=201),
]

"""Without a database the pages say so, and when to try again."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT, project_environment

ASK = """
import django, sys
django.setup()
from django.test import Client
client = Client(raise_request_exception=False, SERVER_NAME="127.0.0.1")
client.cookies["sessionid"] = "x" * 32
for path in ("/", "/status/", "/healthz", "/pmo/", "/api/v1/funnel/"):
    headers = {"authorization": "Basic cGV0dWdhczp4"} if "api" in path else {}
    answer = client.get(path, headers=headers)
    print(path, answer.status_code, answer.get("Retry-After"))
"""


@pytest.mark.django_db
def test_pages_answer_503_with_a_time_to_come_back():
    environment = project_environment() | {"DATABASE_URL": "postgres://prakerja@//nowhere/prakerja"}

    asked = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    lines = asked.stdout.splitlines()
    assert len(lines) == 5, asked.stderr
    assert all(line.endswith("503 5") for line in lines), lines

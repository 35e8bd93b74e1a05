"""The worked example of docs/partners.md, typed line by line into a shell, as a partner does it."""

import os
import re
import subprocess

import pytest

from partners.models import Client
from partners.scopes import Scope
from tests.conftest import ROOT
from tests.partners.cast import make_partner

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "s" * 32


def example():
    """The commands of the section, each with what its answer holds."""
    section = (ROOT / "docs/partners.md").read_text().split("\n## The sandbox\n")[1].split("\n## ")[0]
    lines = [line[4:] for line in section.split("To start one")[0].splitlines() if line.startswith("    ")]
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith("# "):
            found[-1][1].append(line[2:])
        else:
            found.append((line, []))
    return found


def make_program(code, **parts):
    partner = make_partner(code, **parts)
    return Client.objects.create(partner=partner, name="docs", scopes=list(Scope), client_secret=SECRET).client_id


def test_every_line_of_the_worked_example_does_what_it_says(live_server, settings, tmp_path):
    settings.PARTNER_RATE = settings.STRANGER_RATE = 1_000_000
    commands = example()
    environment = {
        "PATH": os.environ["PATH"],
        "PRAKERJA": live_server.url,
        "CLIENT_ID": make_program("tokopedia", platform=True),
        "CLIENT_SECRET": SECRET,
        "PAYER_ID": make_program("bni", platform=False, payer=True),
        "PAYER_SECRET": SECRET,
        "no_proxy": "*",
    }
    script = "\n".join(f"{command}\nprintf '\\n<end %d>\\n' {place}" for place, (command, _) in enumerate(commands))

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    outputs = re.split(r"\n<end \d+>\n", done.stdout)
    told = [(command, text, output) for (command, texts), output in zip(commands, outputs, strict=False) for text in texts]
    assert [(command, text, output) for command, text, output in told if text not in output] == []
    assert len(told) >= 14

"""Everything is killed while the services misbehave, and nobody is lost, moved twice, turned away or told a lie."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PEOPLE = 5000
#: So many of them are in a worker's hand at once.
BATCH = PEOPLE // 50


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
def test_the_programme_outlives_its_processes(tmp_path):
    report = tmp_path / "chaos.json"
    run = [
        sys.executable,
        "-m",
        "chaos",
        "--people",
        str(PEOPLE),
        "--only",
        "chaos",
        "--lease",
        "5",
        "--report",
        str(report),
    ]

    with (tmp_path / "log").open("wb") as log:
        subprocess.run(run, cwd=ROOT, env=dict(os.environ), stdout=log, stderr=log, timeout=400, check=False)

    told = json.loads(report.read_text())
    assert told["broken"] == [], told["examples"]
    assert (told["kills"]["worker"], told["kills"]["broker"], told["kills"]["database"], told["kills"]["beat"]) == (
        20,
        4,
        2,
        1,
    )
    assert told["recounts"] == 50
    assert told["dukcapil"]["calls_by_ending"]["refused"] > 0, "the registry did misbehave"
    assert told["climbs"] > PEOPLE, "PostgreSQL wrote down what was climbed, for it to be held against the people"
    assert told["retaken"]["parcels"] > 0, "somebody had to take up what the killed had left"
    assert told["longest_wait_s"] < 60
    kills = told["kills"]["worker"] + told["kills"]["database"]
    assert sum(gateway["done_again"] for gateway in told["sms"]) <= kills * BATCH, "no more than what the killed had in hand"

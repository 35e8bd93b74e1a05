"""Everything is killed while the services misbehave, and nobody is lost, moved twice, turned away or told a lie; and without
all that, nobody is written to twice.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")


def rehearse(folder, run, people):
    """The report of one run, with leases of 5 s; no promise is broken."""
    report = folder / "chaos.json"
    command = ["-m", "chaos", "--people", str(people), "--only", run, "--lease", "5", "--report", str(report)]
    with (folder / "log").open("wb") as log:
        subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=dict(os.environ), stdout=log, stderr=log, timeout=400, check=False
        )
    told = json.loads(report.read_text())
    assert told["broken"] == [], told["examples"]
    return told


def test_the_programme_outlives_its_processes(tmp_path):
    told = rehearse(tmp_path, "chaos", people=5000)

    assert (told["kills"]["worker"], told["kills"]["broker"], told["kills"]["database"], told["kills"]["beat"]) == (
        20,
        4,
        2,
        1,
    )
    assert told["recounts"] == 50
    assert told["dukcapil"]["quota_left"] < told["quota"] / 2, "it was used up: to stay below it took something"
    for service in (told["dukcapil"], told["sms"][0]):
        assert service["calls_by_ending"]["refused"] > 0, "registry and gateway did misbehave"
    assert told["dukcapil"]["calls_by_ending"]["bent"] > 0
    assert told["climbs"] > 5000, "PostgreSQL wrote down what was climbed, for it to be held against the people"
    assert told["retaken"]["parcels"] > 0, "somebody had to take up what the killed had left"
    assert max(told["longest_wait_s"].values()) < 60


def test_the_programme_outlives_its_services_alone(tmp_path):
    told = rehearse(tmp_path, "trouble", people=1000)

    assert not {"worker", "broker", "database", "beat"} & told["kills"].keys()
    assert told["downtime_s"]["dukcapil"] == 10
    assert told["recounts"] == 50


def test_when_all_is_well_nobody_is_written_to_twice(tmp_path):
    told = rehearse(tmp_path, "calm", people=1000)

    assert told["kills"] == {}
    assert told["email"]["records"] == 1000
    assert sum(service["done_again"] for service in (told["email"], *told["sms"])) == 0

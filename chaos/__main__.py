"""`python -m chaos --people N`: the simulated programme through real processes, all of which are killed on the way.

Three runs of the same seed: a calm one, in which nothing goes wrong; one in which Dukcapil and the first SMS gateway misbehave and
are down for a while; and one in which, besides, workers, broker, PostgreSQL and beat are killed -9 at seeded points. Afterwards
everybody must stand where they would have stood anyway. Prints a report, writes it to `build/chaos.json`, and exits with 1 when a
promise was not kept.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from chaos.rig import Rig
from prakerja.embedded.servers import PROJECT

BUILD = PROJECT / "build"
RUNS = ("calm", "trouble", "chaos")
#: How many times as long as calm a run in trouble may take.
SLOWER_AT_MOST = 1.5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--people", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lease", type=float, default=30.0, help="seconds of a lease (default 30, as in production)")
    parser.add_argument("--only", choices=RUNS, help="only this run")
    parser.add_argument("--report", type=Path, default=BUILD / "chaos.json")
    options = parser.parse_args()
    report = one(options) if options.only else every(options)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(json.dumps(report, indent=2) + "\n")
    if not options.only:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    sys.exit(1 if report["broken"] else 0)


def one(options: argparse.Namespace) -> dict[str, Any]:
    """One run, in this process."""
    batch = max(50, min(1000, options.people // 50))
    with (
        tempfile.TemporaryDirectory(prefix="prakerja-chaos-") as state,
        Rig(Path(state), lease=options.lease, batch=batch, people=options.people) as rig,
    ):
        import django

        django.setup()
        from chaos.run import live

        return live(
            rig,
            people=options.people,
            seed=options.seed,
            batch=batch,
            trouble=options.only != "calm",
            kills=options.only == "chaos",
        )


def every(options: argparse.Namespace) -> dict[str, Any]:
    """All runs, each in a process of its own: settings are read once a process."""
    reports: dict[str, Any] = {"people": options.people, "seed": options.seed, "broken": []}
    for name in RUNS:
        path = options.report.with_suffix(f".{name}.json")
        path.unlink(missing_ok=True)  # a run that breaks off leaves none
        same = ["--people", str(options.people), "--seed", str(options.seed), "--lease", str(options.lease)]
        subprocess.run([sys.executable, "-m", "chaos", *same, "--only", name, "--report", str(path)], cwd=PROJECT)
        if not path.exists():
            sys.exit(f"the run {name} did not come to its end")
        reports[name] = json.loads(path.read_text())
        reports["broken"] += [f"{name}: {promise}" for promise in reports[name]["broken"]]
    calm, trouble = reports["calm"]["wall_s"], reports["trouble"]
    # Without the outage of Dukcapil, about which no programme can do anything.
    reports["trouble_ratio"] = (trouble["wall_s"] - trouble["downtime_s"]["dukcapil"]) / calm
    if reports["trouble_ratio"] > SLOWER_AT_MOST:
        reports["broken"].append(f"trouble: {reports['trouble_ratio']:.2f} times as long as without")
    return reports


if __name__ == "__main__":
    main()

"""Measure the chain on this machine, each figure against something in the same run: `python -m benchmarks [--people N]`.

Runs on servers of its own, which are thrown away. Prints a table and writes `build/bench.json`. `--only chain ends floor` leaves
out all that is not about the chain and its end state; of the file, what else was measured of as many people stays.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from prakerja.embedded.servers import Servers

FILE = Path(__file__).resolve().parent.parent / "build" / "bench.json"

Figures = dict[str, float]

#: What every whole run has measured, of however many people.
PROMISED = (
    *("people", "pipeline_per_s", "floor_per_s", "floor_ratio", "naive_per_s", "naive_ratio", "growth_ratio"),
    *("funnel_read_ms_p99", "recount_s", "intake_ratio", "signup_ratio", "worker_rss_mb", "bytes_per_registrant"),
    *("list_import_s", "screening_s", "signup_during_joins_ratio", "draw_s", "draw_ratio", "draw_verified_s", "decree_s"),
    *("spending_per_s", "api_p99_ms"),
)
#: The parts that look at what the chain has left.
AFTER_THE_CHAIN = {"ends", "migration", "floor"}


def parts(people: int) -> Iterator[tuple[str, Callable[[], Figures]]]:
    """What is measured, in order: some of it looks at what the chain has left."""
    from benchmarks import (
        api,
        batch,
        chain,
        costs,
        decree,
        draw,
        ends,
        floor,
        intake,
        migration,
        naive,
        screening,
        signup,
        spending,
        worker,
    )

    yield "generator", chain.generator
    yield "chain", lambda: chain.measure(people)
    yield "ends", ends.measure
    yield "migration", migration.measure
    yield "floor", lambda: floor.measure(people)
    yield "decree", lambda: decree.measure(people)
    yield "intake", lambda: intake.measure(min(people, 5_000_000))
    yield "naive", naive.measure
    yield "costs", lambda: costs.measure(min(people, 200_000))
    yield "worker", lambda: worker.measure(min(people, 100_000))
    yield "signup", signup.measure
    yield "spending", lambda: spending.measure(people)
    yield "api", api.measure
    yield "batch", batch.measure
    yield "screening", lambda: screening.measure(5 * min(people, 1_000_000))
    yield "draw", lambda: draw.measure(12 * min(people, 1_000_000))


def ratios(figures: Figures) -> Figures:
    """What the figures of one run are worth against each other, as far as it has measured them."""
    pairs = {
        # The chain's wall time in floors, and its speed in naive chains.
        "floor_ratio": ("floor_per_s", "pipeline_per_s"),
        "naive_ratio": ("pipeline_per_s", "naive_per_s"),
        "growth_ratio": ("pipeline_per_s", "smaller_pipeline_per_s"),
    }
    return {
        name: figures[upper] / figures[lower]
        for name, (upper, lower) in pairs.items()
        if upper in figures and lower in figures
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="PART",
        help="only these parts: generator chain ends migration floor decree intake naive costs worker signup spending api batch "
        "screening draw",
    )
    arguments = parser.parse_args()
    if arguments.only and "chain" not in arguments.only and AFTER_THE_CHAIN & set(arguments.only):
        parser.error("ends, migration and floor look at what the chain has left: measure it as well")
    with tempfile.TemporaryDirectory(prefix="prakerja-bench-") as state:
        servers = Servers(Path(state))
        endpoints = servers.start()
        os.environ.update(
            DATABASE_URL=endpoints.database_url,
            REDIS_URL=endpoints.redis_url,
            PRAKERJA_STATE=state,
            HINTS="0",
            DJANGO_SETTINGS_MODULE="prakerja.settings",
        )
        try:
            figures = measure(arguments.people, arguments.only)
        finally:
            servers.destroy()
    keep(FILE, figures, whole=not arguments.only)


def keep(file: Path, figures: Figures, *, whole: bool) -> None:
    """Write these figures down. Of a run that was not `whole`, what else was measured before of as many people stays.

    Figures of other people go: they are no part of the same table. Raises `SystemExit` when a whole run lacks one that is promised.
    """
    before: Figures = json.loads(file.read_text()) if file.exists() and not whole else {}
    if before.get("people") != figures["people"]:
        before = {}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(before | figures, indent=2) + "\n")
    if whole and (missing := [name for name in PROMISED if name not in figures]):
        raise SystemExit(f"not measured: {', '.join(missing)}")


def measure(people: int, only: list[str] | None) -> Figures:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    figures: Figures = {"people": people}
    for name, part in parts(people):
        if only is None or name in only:
            show(measured := part())
            figures |= measured
    show(ratios(figures))
    return figures | ratios(figures)


def show(figures: Figures) -> None:
    for name, value in figures.items():
        print(f"{name:<28} {value:>16,.2f}", flush=True)


if __name__ == "__main__":
    main()

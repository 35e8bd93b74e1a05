"""Measure the chain on this machine, each figure against something in the same run: `python -m benchmarks [--people N]`.

Runs on servers of its own, which are thrown away. Prints a table and writes `build/bench.json`. `--only chain` leaves out all
that is not about the chain and its end state.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from prakerja.embedded.servers import Servers

BUILD = Path(__file__).resolve().parent.parent / "build"

Figures = dict[str, float]


def parts(people: int) -> Iterator[tuple[str, Callable[[], Figures]]]:
    """What is measured, in order: some of it looks at what the part before has left."""
    from benchmarks import api, chain, decree, draw, ends, floor, intake, migration, naive, screening, signup, spending

    yield "generator", chain.generator
    yield "chain", lambda: chain.measure(people)
    yield "ends", ends.measure
    yield "migration", migration.measure
    yield "floor", lambda: floor.measure(people)
    yield "decree", lambda: decree.measure(people)
    yield "intake", lambda: intake.measure(min(people, 5_000_000))
    yield "naive", naive.measure
    yield "signup", signup.measure
    yield "spending", lambda: spending.measure(people)
    yield "api", api.measure
    yield "screening", lambda: screening.measure(5 * min(people, 1_000_000))
    yield "draw", lambda: draw.measure(12 * min(people, 1_000_000))


def ratios(figures: Figures) -> Figures:
    """What the figures are worth against each other, as far as they have been measured."""
    pairs = {
        # The chain's wall time in floors, and its speed in naive chains.
        "floor_ratio": ("floor_per_s", "pipeline_per_s"),
        "naive_ratio": ("pipeline_per_s", "naive_per_s"),
        "growth_ratio": ("pipeline_per_s", "pipeline_at_500k_per_s"),
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
        help="only these parts: generator chain ends migration floor decree intake naive signup spending api screening draw",
    )
    arguments = parser.parse_args()
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
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps(figures, indent=2) + "\n")


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

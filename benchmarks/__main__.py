"""Measure the chain on this machine, each figure against something in the same run: `python -m benchmarks [--people N]`.

Runs on servers of its own, which are thrown away. Prints a table and writes `build/bench.json`.
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from io import StringIO
from pathlib import Path

from prakerja.embedded.servers import Servers

BUILD = Path(__file__).resolve().parent.parent / "build"


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def median_ms(act: Callable[[], object], times: int = 50) -> float:
    return 1000 * statistics.median(seconds(act) for _ in range(times))


def measure(people: int) -> dict[str, float]:
    import django

    django.setup()

    from django.core.management import call_command
    from django.db import connection

    from prakerja.simulation import drive, programme
    from prakerja.simulation.population import Population
    from registrations import funnel
    from registrations.intake import register

    call_command("migrate", verbosity=0)
    plans = programme.plan_registrants(people)
    scale = Fraction(people, programme.REGISTERED)

    sample = list(Population(1, plans).people(stop=min(people, 20_000)))
    generator = len(sample) / seconds(lambda: list(Population(1, plans).people(stop=len(sample))))

    # The registrants alone, through the intake, against COPY of the same rows into the same tables.
    sign_ups = [drive.sign_up_of(person, seed=9) for person in sample]
    intake = seconds(lambda: [register(sign_ups[at : at + 2000], instants=True) for at in range(0, len(sign_ups), 2000)])
    copied = _copy_again()
    drive.forget_everything()

    simulation = drive.begin(plans, scale=scale, seed=1)
    chain = seconds(lambda: simulation.drive(batch=5000, pipeline=True, progress=lambda: None))

    def group_by() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT wave_id, stage, drop_off, count(*) FROM registrations_registrant GROUP BY 1, 2, 3")
            cursor.fetchall()

    now = funnel.View()
    as_of = funnel.View(as_of=programme.OPENINGS[7].closes_at)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        size = cursor.fetchone()[0]
    read, exact = median_ms(lambda: funnel.read(now)), median_ms(group_by, 5)
    return {
        "people": people,
        "generator_per_s": generator,
        "pipeline_per_s": people / chain,
        "intake_per_s": len(sample) / intake,
        "intake_ratio": copied / intake,
        "funnel_read_ms": read,
        "funnel_read_past_hour_ms": median_ms(lambda: funnel.read(as_of)),
        "group_by_ms": exact,
        "group_by_to_read_ratio": exact / read,
        "recount_s": seconds(funnel.recount),
        "bytes_per_registrant": size / people,
        "process_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _copy_again() -> float:
    """Seconds of PostgreSQL's own COPY of the rows that stand in the registrants' tables, into the same indexes and triggers."""
    from django.db import connection as database

    tables = ("registrations_registrant", "registrations_personaldata")
    with database.cursor() as cursor:
        files = {table: StringIO() for table in tables}
        for table, file in files.items():
            cursor.copy_expert(f"COPY {table} TO STDOUT", file)
            file.seek(0)
        cursor.execute(f"TRUNCATE {', '.join(tables)}")
        return sum(seconds(partial(cursor.copy_expert, f"COPY {table} FROM STDIN", files[table])) for table in tables)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    people: int = parser.parse_args().people
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
            figures = measure(people)
        finally:
            servers.destroy()
    for name, value in figures.items():
        print(f"{name:<28} {value:>16,.2f}")
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

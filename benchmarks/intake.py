"""(e) `manage.py intake` of a file, against PostgreSQL's own COPY of the same rows into the same tables, indexes and triggers."""

import tempfile
from functools import partial
from pathlib import Path

from django.db import connection

from benchmarks.clock import checkpoint, seconds, watched
from prakerja.simulation import drive, programme
from prakerja.simulation.population import Population
from registrations.models import Registrant

TABLES = ("registrations_registrant", "registrations_personaldata")


def measure(people: int) -> dict[str, float]:
    """The whole command, start and check of the file included."""
    drive.forget_everything()
    with tempfile.TemporaryDirectory(prefix="prakerja-intake-") as folder:
        path = Path(folder) / "people.csv"
        _write(path, people)
        checkpoint()
        size = path.stat().st_size
        run = watched("intake", str(path))
        if Registrant.objects.count() != people:
            raise SystemExit("not everybody of the file has been taken in")
        copied = _copy_again(Path(folder))
    drive.forget_everything()
    return {
        "intake_people": people,
        "intake_file_mb": size / 2**20,
        "intake_per_s": people / run.seconds,
        "copy_per_s": people / copied,
        "intake_ratio": copied / run.seconds,
        "intake_rss_mb": max(run.memory),
    }


def _write(path: Path, people: int) -> None:
    """A file of made-up people, each with a NIK of their own and no slips in it."""
    population = Population(1, programme.plan_registrants(min(2 * people + people // 10, programme.REGISTERED)))
    written = 0
    with path.open("w") as file:
        file.write("name,email,nik,kk,birth_date,phone,education,employment,citizen,studying,consent\n")
        for person in population.people():
            if person.fate is not programme.Fate.VERIFIED or written == people:
                continue
            written += 1
            file.write(
                f"{person.name},{person.email},{person.nik},{person.kk},{person.birth_date},{person.phone},"
                "sma,mencari kerja,ya,tidak,ya\n"
            )
    if written < people:
        raise SystemExit("too few people without slips")


def _copy_again(folder: Path) -> float:
    """Seconds of COPY, by one connection, of the rows that stand in the tables."""
    with connection.cursor() as cursor:
        for table in TABLES:
            with (folder / table).open("wb") as file:
                cursor.copy_expert(f"COPY {table} TO STDOUT", file)
        cursor.execute(f"TRUNCATE {', '.join(TABLES)}")
        checkpoint()
        total = 0.0
        for table in TABLES:
            with (folder / table).open("rb") as file:
                total += seconds(partial(cursor.copy_expert, f"COPY {table} FROM STDIN", file))
        return total

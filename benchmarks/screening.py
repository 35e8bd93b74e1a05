"""A list of people taken in, and a wave screened: five million applications, and ten million people on a list, at a million people."""

import tempfile
from datetime import timedelta
from pathlib import Path

from django.db import connection
from django.utils import timezone

from benchmarks.clock import seconds, watched
from prakerja.simulation import drive
from registrations.models import Wave
from waves import programme, screening
from waves.models import ListKind, Plan

WAVE = 1


def measure(applications: int) -> dict[str, float]:
    """Leaves so many verified people who have joined a wave that is over."""
    now = timezone.now()
    drive.forget_everything()
    programme.load_rule_sets()
    wave = Wave.objects.create(number=WAVE, opens_at=now - timedelta(days=5), closes_at=now - timedelta(days=1), quota=1)
    Plan.objects.create(wave=wave, rule_set_id="2021-03")
    _apply(applications)
    listed = 2 * applications
    with tempfile.TemporaryDirectory(prefix="prakerja-list-") as folder:
        path = Path(folder) / "list.csv"
        with path.open("w") as file:
            file.write("nik\n")
            file.writelines(f"{3273010000000000 + number}\n" for number in range(listed))
        told = ("--provider", "bench", "--dated", now.date().isoformat())
        run = watched("import_list", ListKind.SOCIAL_AID.value, str(path), *told)
    # One in ten applicants is on it.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE registrations_nikowner owner SET digest = listed.digest
            FROM (SELECT digest, row_number() OVER () AS nth FROM waves_listentry LIMIT %s) listed
            WHERE owner.registrant_id = 10 * listed.nth
            """,
            [applications // 10],
        )
        cursor.execute("ANALYZE registrations_nikowner, waves_application, registrations_registrant, waves_listentry")
    wall = seconds(lambda: screening.screen(wave, at=now))
    found = wave.screenings.get()
    if (found.applications, found.ineligible) != (applications, applications // 10):
        raise SystemExit(f"the screening found {found.ineligible} of {found.applications}")
    return {
        "list_people": listed,
        "list_import_s": run.seconds,
        "list_import_rss_mb": max(run.memory),
        "screening_applications": applications,
        "screening_s": wall,
    }


def _apply(applications: int) -> None:
    """Verified people, made by the database, who have joined: two share a family card."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO registrations_registrant (
                id, reference, registered_at, email_verified_at, identity_verified_at, phone_verified_at, wave_id, stage, drop_off,
                province, birth_year, sex, education, employment, consent, revision, citizen, studying)
            SELECT id, gen_random_uuid(), at, at, at, at, %s, 4, 0, 32, 1980, 1, 3, 1, 1, 0, true, false
            FROM generate_series(1, %s) AS id, LATERAL (SELECT now() - interval '2 days' AS at) moment
            """,
            [WAVE, applications],
        )
        cursor.execute(
            """
            INSERT INTO registrations_nikowner (digest, registrant_id, household)
            SELECT gen_random_uuid(), id, md5((id / 2)::text)::uuid FROM generate_series(1, %s) AS id
            """,
            [applications],
        )
        cursor.execute(
            "INSERT INTO waves_application (registrant_id, wave_id, joined_at) SELECT id, %s, now() FROM generate_series(1, %s) AS id",
            [WAVE, applications],
        )

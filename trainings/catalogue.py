"""The catalogue that comes with the project: the platforms of 2020, with made-up providers and trainings."""

import json
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from django.db import transaction

from partners.models import Partner
from trainings.models import Training

DATA = Path(__file__).parent / "data" / "catalogue.json"


class Added(NamedTuple):
    partners: int
    trainings: int


@transaction.atomic
def load() -> Added:
    """Add the platforms, providers and trainings that come with the project and are missing; what is there stays as it is."""
    data = json.loads(DATA.read_text())
    partners, trainings = Partner.objects.count(), Training.objects.count()
    organisations = [
        Partner(code=row["code"], name=row["name"], **{part: True})
        for part, rows in (("is_platform", data["platforms"]), ("is_provider", data["providers"]))
        for row in rows
    ]
    Partner.objects.bulk_create(organisations, ignore_conflicts=True)
    window = {name: datetime.fromisoformat(data[name]) for name in ("valid_from", "valid_until")}
    rows = [
        Training(platform_id=row.pop("platform"), provider_id=row.pop("provider"), sources=data["sources"], **row, **window)
        for row in data["trainings"]
    ]
    Training.objects.bulk_create(rows, ignore_conflicts=True)
    return Added(Partner.objects.count() - partners, Training.objects.count() - trainings)

"""The Celery application: workers and beat."""

import os

from celery import Celery, signals
from django.core.management import CommandError, call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "prakerja.settings")

app = Celery("prakerja")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.celeryd_init.connect
@signals.beat_init.connect
def refuse_to_start_unready(**_: object) -> None:
    """Celery runs Django's checks but does not mind what they find: production must not start with mocks or made-up keys."""
    try:
        call_command("check", "--deploy", "--fail-level", "ERROR", verbosity=0)
    except CommandError as error:
        raise SystemExit(str(error)) from error

"""Production must not start with mock services or made-up keys: neither gunicorn nor Celery minds what Django's checks find."""

from django.conf import settings
from django.core.management import CommandError, call_command


def refuse_to_start_unready() -> None:
    """In production, run Django's deployment checks and ours; raise `SystemExit` with what they find."""
    if not settings.PRODUCTION:
        return
    try:
        call_command("check", "--deploy", "--fail-level", "ERROR", verbosity=0)
    except CommandError as error:
        raise SystemExit(str(error)) from error

"""Production is no sandbox."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error


def production_is_no_sandbox(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The sandbox tells strangers what should have been signed, and lets webhooks go to this machine."""
    if settings.PRODUCTION and settings.SANDBOX_WANTED:
        return [
            Error("A sandbox is asked for in production.", hint="Take SANDBOX out of the environment.", id="partners.E001")
        ]
    return []

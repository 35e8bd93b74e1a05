from django.apps import AppConfig
from django.core.checks import register


class FoundationConfig(AppConfig):
    name = "foundation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from foundation import checks

        register(checks.services_are_real, checks.PRODUCTION)
        register(checks.keys_are_real, checks.PRODUCTION)

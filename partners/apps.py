from django.apps import AppConfig
from django.core.checks import register


class PartnersConfig(AppConfig):
    """Platforms, training providers and payers, and how they speak with us."""

    name = "partners"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from partners import checks

        register(checks.production_is_no_sandbox)

from django.apps import AppConfig


class PartnersConfig(AppConfig):
    """Platforms, training providers and payers, and how they speak with us."""

    name = "partners"
    default_auto_field = "django.db.models.BigAutoField"

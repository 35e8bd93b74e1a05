from django.apps import AppConfig


class IncentivesConfig(AppConfig):
    """Trainings, payout accounts and incentives: what comes after the decree."""

    name = "incentives"
    default_auto_field = "django.db.models.BigAutoField"

from django.apps import AppConfig


class IncentivesConfig(AppConfig):
    """Payout accounts, incentives, and how they are paid."""

    name = "incentives"
    default_auto_field = "django.db.models.BigAutoField"

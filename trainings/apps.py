from django.apps import AppConfig


class TrainingsConfig(AppConfig):
    """Trainings, the balance that buys them, and what becomes of a purchase."""

    name = "trainings"
    default_auto_field = "django.db.models.BigAutoField"

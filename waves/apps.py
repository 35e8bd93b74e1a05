from django.apps import AppConfig


class WavesConfig(AppConfig):
    name = "waves"
    default_auto_field = "django.db.models.BigAutoField"

from django.apps import AppConfig

from prakerja.celery import app as celery_app

__all__ = ["PrakerjaConfig", "celery_app"]  # imported here, so that every Django process sends its hints through it


class PrakerjaConfig(AppConfig):
    name = "prakerja"

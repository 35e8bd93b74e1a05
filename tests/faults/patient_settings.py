"""The project's settings, with a civil registry whose calls are never given up: whoever waits for it waits until it answers."""

from prakerja.settings import *  # noqa: F403

SERVICES["dukcapil"]["OPTIONS"]["total_timeout"] = 600.0  # noqa: F405

"""The project's settings, with the slow mail server plugged in."""

from prakerja.settings import *  # noqa: F403

SERVICES["email"] = {"BACKEND": "tests.faults.slow.SlowEmail"}  # noqa: F405

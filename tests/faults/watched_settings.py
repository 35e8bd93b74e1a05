"""The project's settings, with services plugged in that a test watches."""

from prakerja.settings import *  # noqa: F403

SERVICES |= {  # noqa: F405
    "email": {"BACKEND": "tests.faults.watched.WatchedEmail"},
    "dukcapil": {"BACKEND": "tests.faults.watched.WatchedDukcapil"},
    "sms": {"BACKEND": "tests.faults.watched.WatchedSms"},
}

"""Processes beside this one: what they inherit of it must not keep them from ending."""

import signal
import time

import pytest

from foundation.processes import beside


def sleep_long(seconds):
    time.sleep(seconds)


def test_helpers_end_when_they_are_told_to_whatever_this_process_would_do():
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    start = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt), beside(sleep_long, 600, processes=2):
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGTERM, before)

    assert time.monotonic() - start < 60

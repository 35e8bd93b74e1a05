"""Processes beside this one: what they inherit of it must not keep them from ending."""

import signal
import time

import pytest

from foundation.processes import ahead, beside


def sleep_long(seconds):
    time.sleep(seconds)


def test_helpers_end_when_they_are_told_to_whatever_this_process_would_do():
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    start = time.monotonic()
    try:
        for _ in range(20):  # told at once: some have hardly begun
            with pytest.raises(KeyboardInterrupt), beside(sleep_long, 60, processes=2):
                raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGTERM, before)

    assert time.monotonic() - start < 60


def test_the_thread_ahead_is_one_item_ahead_and_keeps_the_order():
    taken = []

    def items():
        for item in range(4):
            taken.append(item)
            yield item

    found = [(result, taken[-1]) for result in ahead(lambda item: item * item, items())]

    assert found == [(0, 1), (1, 2), (4, 3), (9, 3)]


def test_what_goes_wrong_in_the_thread_ahead_goes_wrong_here():
    with pytest.raises(ZeroDivisionError):
        list(ahead(lambda item: 1 / item, [1, 0, 1]))

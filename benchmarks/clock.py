"""How long something takes."""

import time
from collections.abc import Callable


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start

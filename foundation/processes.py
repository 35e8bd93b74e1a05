"""Work spread over processes, each with Django set up and a database connection of its own; and over a thread beside."""

import gc
import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.util import Finalize
from threading import Thread
from typing import TypeVar

import django
from django.db import connections
from django.utils import translation

from foundation import hints

#: A forked process has at once all that this one has loaded; macOS's own libraries do not stand it.
CONTEXT: ForkContext | SpawnContext = get_context("fork") if sys.platform == "linux" else get_context("spawn")

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(act: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """`act` on each item, in so many processes at once; the results in the order of the items.

    With one worker all is done in this process; with more, `items` must not ask the database. No more than a few items are in
    hand at any time. When the caller stops early (Ctrl-C, an error), what is in hand is finished, and no more. Raises
    `BrokenProcessPool` when a process dies, and whatever `act` raises.
    """
    if workers == 1:
        yield from map(act, items)
        return
    connections.close_all()  # a copy of this process would share them
    pool = ProcessPoolExecutor(workers, CONTEXT, _begin, (translation.get_language(),))
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(_submit(pool, act, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def ahead(act: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`act` on each item, in a thread that is one item ahead: it works while this one waits for the database.

    So `act` must not ask the database. Raises whatever it raises.
    """
    with ThreadPoolExecutor(1) as pool:
        before: Future[Result] | None = None
        for item in items:
            begun = pool.submit(act, item)
            if before:
                yield before.result()
            before = begun
        if before:
            yield before.result()


@contextmanager
def beside(act: Callable[[Item], None], item: Item, *, processes: int) -> Iterator[None]:
    """While the body runs, so many processes do `act` on the item beside it; its end waits for theirs.

    When the body is stopped (Ctrl-C, an error), they are ended. Raises `ProcessDied` at the end when one of them failed.
    """
    # Unpickled when Django is set up there, for it may hold models.
    task = pickle.dumps((act, item))
    helpers = [CONTEXT.Process(target=_act_beside, args=(task,), daemon=True) for _ in range(processes)]
    if helpers:
        connections.close_all()  # a copy of this process would share them
    with _for_helpers():
        for helper in helpers:
            helper.start()
    try:
        yield
        for helper in helpers:
            helper.join()
    finally:
        for helper in helpers:
            helper.terminate()
            helper.join()
    if failed := [helper for helper in helpers if helper.exitcode]:
        raise ProcessDied(f"{len(failed)} of {processes} processes failed")


class ProcessDied(Exception):
    """A process that worked beside this one did not come to its end."""


def _act_beside(task: bytes) -> None:
    _begin(None)
    act, item = pickle.loads(task)  # noqa: S301 - our own
    act(item)


def for_batches() -> None:
    """Make this process one that works in batches.

    A batch makes hundreds of thousands of small objects, hardly any of them in a cycle: looking for cycles as often as Python
    does would take a sixth of the time.
    """
    gc.freeze()
    gc.set_threshold(1_000_000, 10, 10)


def _submit(pool: ProcessPoolExecutor, act: Callable[[Item], Result], item: Item) -> "Future[Result]":
    with _for_helpers():
        return pool.submit(act, item)


@contextmanager
def _for_helpers() -> Iterator[None]:
    """A process that begins meanwhile keeps the mask: the terminal's Ctrl-C reaches us only, and we let it finish. And whoever tells
    it to end while it still does then what we do (it may be nothing) is heard in `_begin`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(language: str | None) -> None:
    # Of a forked process these are its parent's: what to do when it is told to end, and at its end.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    Finalize(None, hints.drain, exitpriority=1)
    Thread(target=_end_with_the_parent, daemon=True).start()
    django.setup()
    for_batches()
    if language:
        translation.activate(language)


def _end_with_the_parent() -> None:
    """A parent that is killed says nothing; its end of a pipe closes."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

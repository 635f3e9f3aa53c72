"""SIGINT and SIGTERM while a load runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _do_nothing() -> None:
    pass


class Interrupts:
    """Whether a signal came, and what then ends the load.

    It is noted and acted on, because what a handler raises is lost where it interrupts a
    callback of the garbage collector.
    """

    def __init__(self) -> None:
        self.came = False
        self.then: Callable[[], object] = _do_nothing

    def __call__(self, *_: object) -> None:
        self.came = True
        with suppress(RuntimeError):  # its loop is closed
            self.then()


@contextmanager
def note_interrupts() -> Iterator[Interrupts]:
    """Note signals, and leave their handlers as they were."""
    interrupts, handlers = Interrupts(), {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.signal(number, interrupts) for number in SIGNALS}
    try:
        yield interrupts
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

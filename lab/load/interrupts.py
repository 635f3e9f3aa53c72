"""SIGINT, SIGTERM and SIGHUP while a load runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    """Note signals, and leave their handlers as they were. What nohup ignores stays ignored."""
    interrupts, handlers = Interrupts(), {}
    if threading.current_thread() is threading.main_thread():
        heard = [one for one in SIGNALS if signal.getsignal(one) != signal.SIG_IGN]
        handlers = {number: signal.signal(number, interrupts) for number in heard}
    try:
        yield interrupts
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

"""What goes on, on stderr."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any

from lab.facts.text import duration
from lab.load.tally import Counts

SILENT_S = 3.0  # nothing may move on stderr for so long


class Progress:
    """A line that changes on a terminal; and elsewhere a line of its own where nothing else
    would come for three seconds.
    """

    def __init__(self, total: int = 0, quiet: bool = False) -> None:
        is_terminal = sys.stderr.isatty()
        self.in_lines = not quiet and not is_terminal
        self.said_s = time.monotonic()
        self.text = ""
        self.bar = _make_bar(total) if is_terminal and not quiet else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    @property
    def is_due(self) -> bool:
        """Whether something should be written now."""
        if self.in_lines:
            return time.monotonic() >= self.said_s + SILENT_S
        return self.bar is not None

    def say(self, text: str, steps: int = 0, takes_s: float = 0.0) -> None:
        """Say what comes next, which completes so many steps, and may hold all up for so long."""
        self.text = text
        self.said_s -= takes_s
        if self.bar is not None:
            self.bar.set_description_str(text)
            self.bar.update(steps)
        self.remind()

    def remind(self, *_: object) -> None:
        """Say on which of the lines it still is, where nothing else has come."""
        if self.in_lines and self.is_due:
            self.said_s = time.monotonic()
            with suppress(OSError):  # nobody reads it, which is no reason to measure nothing
                print(self.text, file=sys.stderr, flush=True)

    def show_counts(self, counts: Counts | None, elapsed_s: float) -> None:
        """Elapsed, requests/s, p50, p99 and errors of a run so far."""
        if counts is None:
            self.remind()
        elif self.is_due:
            p50, p99 = (counts.histograms.latency_s.percentile_s(p) for p in (50, 99))
            self.say(
                f"{elapsed_s:5.1f} s  {counts.ok / max(elapsed_s, 1e-9):8.0f} requests/s  "
                f"p50 {duration(p50)}  p99 {duration(p99)}  {counts.failed} errors"
            )


def _make_bar(total: int) -> Any:
    from tqdm import tqdm  # which is needed on a terminal only

    form = "{desc}  {bar:20}  {remaining} left" if total else "{desc}"
    return tqdm(total=total or None, bar_format=form, leave=False)

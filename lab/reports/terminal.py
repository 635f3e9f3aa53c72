"""What the commands share at the terminal: their parser, printing, and where a record goes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from lab.facts.form import write
from lab.facts.records import Run
from lab.facts.results import Result
from lab.facts.text import WIDTH, harmless


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as all errors of this project are, and whose
    help keeps to the width.
    """

    def __init__(self, **options: Any) -> None:
        form = partial(argparse.RawDescriptionHelpFormatter, width=WIDTH)
        super().__init__(allow_abbrev=False, formatter_class=form, **options)

    def error(self, message: str) -> NoReturn:
        said = harmless(message).replace("\n", "\\n")
        self.exit(2, f"{self.prog}: {said}; --help shows how\n")


class Output:
    """Where a record goes: a file, standard output ("-") or nowhere (""). Made before anything
    is measured, so that a file that cannot be written is an error then.

    Of two runs with the same file the last that ends has it, whole; it is noted that it took
    the place of what another wrote meanwhile.
    """

    def __init__(self, name: str) -> None:
        self.is_stdout = name == "-"
        self.path = Path(name).resolve() if name and not self.is_stdout else None
        if self.path and (self.path.is_dir() or not os.access(self.path.parent, os.W_OK)):
            raise argparse.ArgumentTypeError(f"{name} cannot be written: name a file in a folder")
        self.left = self._identify()  # the file as it was when this last looked
        self.has_replaced = False  # whether another program had written it since

    def write(self, record: Run | Result) -> None:
        if self.path:
            self.has_replaced |= self._identify() != self.left
            write(record, self.path)
            self.left = self._identify()
        elif self.is_stdout:
            show(json.dumps(record.to_json()))

    def _identify(self) -> tuple[int, int] | None:
        """Which file it is now, and when it was written; None where there is none to lose."""
        if not self.path or not self.path.is_file():
            return None
        found = self.path.stat()
        return found.st_ino, found.st_mtime_ns


def show(text: str) -> None:
    """Print, for as long as somebody reads."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

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
    """

    def __init__(self, name: str) -> None:
        self.is_stdout = name == "-"
        self.path = Path(name).resolve() if name and not self.is_stdout else None
        if self.path and (self.path.is_dir() or not os.access(self.path.parent, os.W_OK)):
            raise argparse.ArgumentTypeError(f"{name} cannot be written: name a file in a folder")

    def write(self, record: Run | Result) -> None:
        if self.path:
            write(record, self.path)
        elif self.is_stdout:
            show(json.dumps(record.to_json()))


def show(text: str) -> None:
    """Print, for as long as somebody reads."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

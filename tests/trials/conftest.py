"""A folder with the lab, the door to it, a server and an experiment of the tests' own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"


class Folder:
    """A bare copy, as a reader may make it, and what is run in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.copytree(ROOT / "lab", path / "lab", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "experiments" / "harness.py", path)
        for program in PROGRAMS.glob("*.py"):
            shutil.copy(program, path)

    def start(
        self, *options: str, script: str = "99_slow.py", **environment: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.path / script), *options],
            cwd="/",
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *options: str, script: str = "99_slow.py", **environment: str
    ) -> tuple[int, str, str]:
        """The exit status, and what was printed on both streams."""
        process = self.start(*options, script=script, **environment)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def processes(self) -> list[psutil.Process]:
        """Those that run in it."""
        found = []
        for process in psutil.process_iter():
            try:
                is_here = Path(process.cwd()) == self.path
                if is_here and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)

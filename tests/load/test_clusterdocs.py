"""What docs/loadgen.md says of two machines works when pasted: here the other one is a folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from driving import ROOT, slow
from servers import Server, delayed, free_port, installed

pytest.importorskip("distributed")
TEXT = (ROOT / "docs" / "loadgen.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.S)
SSH = """#!/bin/sh
while [ "$1" != there ]; do shift; done
cd "$THERE" && exec sh -c "$2"
"""
SCP = """#!/bin/sh
cp -r "$2" "$THERE/loadgen/"
"""
PYTHON = """#!/bin/sh
exec {python} "$@"
"""


def make_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@contextmanager
def two_machines(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a shell in which `here` and `there` are folders of this machine."""
    here, there, programs = folder / "here", folder / "there", folder / "bin"
    for place in (here, there / "loadgen"):
        place.mkdir(parents=True)
        for name in ("lab", "loadgen.py"):
            (place / name).symlink_to(ROOT / name)
    make_program(programs / "ssh", SSH)
    make_program(programs / "scp", SCP)
    make_program(programs / "python", PYTHON.format(python=sys.executable))
    make_program(there / "loadgen/.venv/bin/python", PYTHON.format(python=sys.executable))
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    yield {**os.environ, "PATH": path, "THERE": str(there)}


@slow
@pytest.mark.parametrize("number", [0, 1], ids=["SSH", "TLS"])
def test_two_machines_as_the_reference_says(number: int, tmp_path: Path) -> None:
    installed("openssl")
    *lines, load = BLOCKS[number].splitlines()
    lines = [line for line in lines if "pip install" not in line]
    port, worker_port = str(free_port()), str(free_port())
    with Server(delayed(0.005)) as server, two_machines(tmp_path) as environment:
        load += " -n 101 -o run.json"
        again = f"for _ in 1 2 3 4 5 6 7 8; do {load} && exit; sleep 1; done; exit 1"
        script = "\n".join([*lines, again])  # until the worker is there
        script = script.replace("8786", port).replace("8790", worker_port)
        script = script.replace("here:", "127.0.0.1:").replace("t127.0.0.1:", "there:")
        script = script.replace("http://server.example/", server.url)
        shell = subprocess.Popen(
            ["sh", "-c", script], cwd=tmp_path / "here", env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            assert shell.wait(60) == 0
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
            said = shell.stdout.read() if shell.stdout else ""
        assert len(server.requests) == 101, said
    assert "101 ok" in said

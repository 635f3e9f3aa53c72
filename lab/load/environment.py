"""What a figure depends on besides the load: machine, versions, command and commit."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from lab.facts.records import Environment
from lab.facts.secrets import hide_in_command

CLIENT_PACKAGES = ("aiohttp", "httptools", "uvloop")


def environment_of(packages: Sequence[str] = CLIENT_PACKAGES) -> Environment:
    """Where this process runs, with the versions of these packages, if they are installed."""
    return replace(
        _read_lasting(),
        packages=dict(_read_versions(tuple(packages))),
        load_average=os.getloadavg()[0],
    )


@cache
def _read_lasting() -> Environment:
    """What does not change while this process lives."""
    words = [Path(sys.argv[0]).name, *hide_in_command(sys.argv[1:])]
    return Environment(
        cpu=_read_cpu(),
        cores=os.cpu_count(),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        command=shlex.join(["python", *words]),
        commit=_read_commit(),
    )


def _read_cpu() -> str:
    with suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def _read_commit() -> str | None:
    """The commit of this code, where it lies in a repository and git is there."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    with suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None
    return None


@cache
def _read_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of those packages that are installed, by the names of their folders.

    importlib.metadata parses a file for each and is slow to import; it is asked for the rest.
    """
    found = dict(_list_installed())
    versions = {name: found.get(_normalize(name)) or _ask_version(name) for name in packages}
    return {name: version for name, version in versions.items() if version}


def _list_installed() -> Iterator[tuple[str, str]]:
    """Name and version of each package; the first on the path comes last, and so counts."""
    for folder in reversed(sys.path):
        with suppress(OSError):
            for entry in os.scandir(folder or "."):
                found = re.fullmatch(r"(.+)-(.+)\.dist-info", entry.name)
                if found:
                    yield _normalize(found[1]), found[2]


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _ask_version(name: str) -> str | None:
    import importlib.metadata

    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None

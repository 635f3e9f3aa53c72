"""Keeps the versions that `uv run` installs for a script those of requirements.txt.

    python -m lab.trials.pins            write the PEP 723 block of every experiment
    python -m lab.trials.pins --check    only name those that are out of step: exit status 1

The names of what is under test are the script's own; what the lab needs, `--plot` and
`--client aiohttp` too, is in every block.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from lab.trials.script import CLIENT_PACKAGES

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"# dependencies = \[(.*?)\]$\n", re.S | re.M)
PYTHON = '# requires-python = ">=3.11"\n'
WIDTH = 88


def read_pins(requirements: str) -> dict[str, str]:
    """{name: "name[extras]==version"} of the lines of requirements.txt."""
    lines = re.findall(r"^([\w.-]+)(\S*==\S+)", requirements, re.M)
    return {name: name + rest for name, rest in lines}


def pin(script: str, pins: Mapping[str, str]) -> str:
    """The script with each name of its block at its version. Raises ValueError for a name that
    requirements.txt does not have, and where there is no block.
    """
    found = BLOCK.search(script)
    if not found:
        raise ValueError("it has no PEP 723 block with dependencies")
    names = set(re.findall(r'"([\w.-]+)', found[1])) | CLIENT_PACKAGES
    if unknown := sorted(names - set(pins)):
        raise ValueError(f"not in requirements.txt: {', '.join(unknown)}")
    quoted = ", ".join(f'"{pins[name]}"' for name in sorted(names))
    lines = textwrap.wrap(
        f"{quoted},", WIDTH, initial_indent="#   ", subsequent_indent="#   ",
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
    block = "\n".join(["# dependencies = [", *lines, "# ]", ""])
    return script[: found.start()] + block + script[found.end() :]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.trials.pins", allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    pins = read_pins((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    wrong = 0
    for path in sorted((ROOT / "experiments").glob("[0-9]*.py")):
        text = path.read_text(encoding="utf-8")
        try:
            pinned = pin(text, pins)
        except ValueError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            wrong += 1
            continue
        if pinned != text:
            print(f"{path.name}: {'out of step' if check else 'written'}")
            wrong += check
            if not check:
                path.write_text(pinned, encoding="utf-8")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())

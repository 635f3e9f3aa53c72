"""How a result was made: source, versions, load, rounds, margins and commands."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Mapping
from itertools import pairwise

from lab.facts.results import THEN, Arm, Evidence, Result
from lab.facts.text import count_of, duration, percent, wrapped
from lab.reports.arms import BODY
from lab.reports.report import describe_environment, describe_load, list_versions
from lab.reports.table import keep_together

LABEL = 10  # columns
LEAST_OVER_S = 5.0  # below, it is no more than a round that took a little longer
LEAST_MARGIN = 0.005  # below, it changes no digit that is shown
PORT = re.compile(r"((?:--port[ =]|127\.0\.0\.1:))\d+")


def list_circumstances(result: Result) -> list[str]:
    """A line or more for each thing that a figure depends on, and the commands."""
    known = {label: keep_together(text) for label, text in describe_made(result).items()}
    lines = [wrapped(label, text, LABEL, BODY) for label, text in known.items()]
    for command in list_commands(result):
        pieces = textwrap.wrap(command, BODY - 6, break_long_words=False, break_on_hyphens=False)
        lines.append("$ " + " \\\n    ".join(pieces))
    return lines


def describe_made(result: Result) -> dict[str, str]:
    """What a figure depends on, by a label each."""
    facts = {
        "source": result.source,
        "versions": describe_environment(result.environment),
        "load": describe_load(result.load) if result.load else "",
        "rounds": _describe_rounds(result),
        "noise": _describe_noise(result),
        "queue": _describe_queues(result.arms),
        "beside": "; ".join(f"{name}: {told}" for name, told in result.services.items()),
        "rule": result.rule,
        "then": _describe_old_versions(result),
    }
    return {label: text for label, text in facts.items() if text}


def _describe_rounds(result: Result) -> str:
    if not result.load:
        return ""
    text = str(result.load.rounds or 1)
    launches = result.load.launches or 1
    if launches > 1:
        text += f" in {count_of(launches, 'launch')} of each server"
    text += f", order from seed {result.load.seed}"
    if result.repeated:
        text += f"; {count_of(result.repeated, 'disturbed round')} repeated"
    if result.shortened < 1:
        text += f"; shortened to {percent(result.shortened)} of their length at last"
    if result.over_s >= LEAST_OVER_S:
        text += f"; it took {duration(result.over_s)} more than its budget, for a third launch"
    return text


def _describe_noise(result: Result) -> str:
    """By how much what disturbed the machine can have moved the ratios."""
    margin = max((ratio.margin for ratio in result.ratios), default=0.0)
    if margin < LEAST_MARGIN:
        return ""
    return (
        f"what else ran on this machine can have moved a ratio by up to {percent(margin)}: the "
        "verdict allows for that"
    )


def _describe_queues(arms: Mapping[str, Arm]) -> str:
    """How many new connections may wait, where that is not the same for all arms."""
    names: dict[int, list[str]] = {}
    for name, arm in arms.items():
        if arm.backlog:
            names.setdefault(arm.backlog, []).append(name)
    if len(names) < 2:
        return ""
    queues = [f"{backlog} for {' · '.join(found)}" for backlog, found in names.items()]
    return "room for new connections: " + "; ".join(queues)


# ---- Commands --------------------------------------------------------------------------
def _is_old(name: str, asked: Arm | Evidence) -> bool:
    return name.endswith(THEN) or asked.command.startswith("uv run ")


def _list_asked(result: Result) -> list[tuple[str, Arm | Evidence]]:
    return [*((asked.arm, asked) for asked in result.evidence), *result.arms.items()]


def list_commands(result: Result) -> list[str]:
    """Every command of today once, with one port for all: they differ in nothing else."""
    today = [asked for name, asked in _list_asked(result) if not _is_old(name, asked)]
    return list(dict.fromkeys(filter(None, map(_simplify, today))))


def _simplify(asked: Arm | Evidence) -> str:
    command = PORT.sub(r"\g<1>8000", asked.command)
    if asked.port:
        command = command.replace(str(asked.port), "8000")
    return " ".join(command.split())


def _describe_old_versions(result: Result) -> str:
    """What the arms on old versions were run with, in a line."""
    found: dict[str, None] = {}
    for name, asked in _list_asked(result):
        if _is_old(name, asked):
            pins = _read_pins(asked.command)
            found[pins or list_versions(asked.versions)] = None
    known = [pins for pins in found if pins]
    return f"old versions by uv run: {'; '.join(known)}" if known else ""


def _read_pins(command: str) -> str:
    """What `uv run` is told to install: "Python 3.11, flask==1.1.2, …"."""
    try:
        parts = shlex.split(command)
    except ValueError:
        return ""
    pairs = list(pairwise(parts))
    python = [f"Python {value}" for flag, value in pairs if flag == "--python"]
    return ", ".join([*python, *(value for flag, value in pairs if flag == "--with")])

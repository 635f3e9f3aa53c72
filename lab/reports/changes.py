"""Two recorded results of one experiment: did the verdict change, and what else did."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lab.facts.errors import Unreadable
from lab.facts.records import Environment, Run
from lab.facts.results import Metric, Result
from lab.facts.text import wrapped
from lab.reports.arms import BODY
from lab.reports.finding import METRICS, interval_of, key_of, times_of
from lab.reports.result import make_title
from lab.reports.safe import make_safe
from lab.reports.table import INDENT, Block, render

DAY, SECOND = 10, 19  # characters of a time stamp
OF_EACH_RUN = {"url", "name", "pid"}  # another each time
PORT = re.compile(r"(?<!\d)\d{4,5}(?!\d)")


def report_changes(old: Result, new: Result, markdown: bool = False) -> str:
    """Two recorded results of one experiment: did the verdict change, and what else did."""
    old, new = make_safe(old), make_safe(new)
    digits = SECOND if old.started[:DAY] == new.started[:DAY] else DAY
    days = old.started[:digits], new.started[:digits]
    lines, apart = _compare_ratios(old, new, days)
    answers = find_differences(_read_statuses(old), _read_statuses(new))
    differs = {
        "versions": find_differences(_read_versions(old), _read_versions(new)),
        "machine": find_differences(_read_machine(old), _read_machine(new)),
        "load": find_differences(_read_loads(old), _read_loads(new)),
        "commands": find_differences(_read_commands(old), _read_commands(new)),
        "scripts": find_differences(_read_commit(old), _read_commit(new)),
    }
    shown = {"answers": answers, **differs} if new.evidence else differs
    rows = [
        wrapped(what, "; ".join(found) or "the same", 10, BODY) for what, found in shown.items()
    ]
    sentence = "The verdict is the same."
    if old.verdict != new.verdict:
        sentence = "The verdict changed."
    elif apart:
        sentence = "The verdict is the same, but ratios differ."
    if old.verdict != new.verdict or apart or answers:
        sentence += f" {_blame({what for what, found in differs.items() if found})}"
    number = new.name.split("_")[0]
    title = make_title(number, new.title, markdown)
    verdicts = [f"{days[0]}  {old.verdict}", f"{days[1]}  {new.verdict}"]
    blocks: list[Block] = [textwrap.wrap(sentence, BODY), verdicts, lines, rows]
    return f"{title}\n{render(blocks, markdown, INDENT)}"


def _compare_ratios(old: Result, new: Result, days: tuple[str, str]) -> tuple[list[str], list[str]]:
    """Each ratio that both have, twice; and the names of those whose intervals lie apart."""
    lines, apart = [], []
    before = {key_of(ratio): ratio for ratio in old.ratios}
    for ratio in new.ratios:
        was = before.get(key_of(ratio))
        if not was:
            continue
        metric = "" if ratio.metric == Metric.THROUGHPUT else f", {METRICS[ratio.metric]}"
        name = f"{ratio.over} against {ratio.under}{metric}"
        said = "the intervals overlap"
        if was.low > ratio.high or ratio.low > was.high:
            said = "the intervals do not overlap"
            apart.append(name)
        both = zip(days, (was, ratio), strict=True)
        ratios = [f"  {day}  {times_of(each)} ({interval_of(each)})" for day, each in both]
        lines += [*textwrap.wrap(name, BODY), *ratios, f"  {said}"]
    return lines, apart


def _blame(differs: set[str]) -> str:
    """Whether it was the versions, as far as two records can tell."""
    others = " and ".join(f"the {what}" for what in sorted(differs - {"versions"}))
    if not differs:
        return "Nothing else that is recorded differs, so it is noise: use --full."
    if "versions" not in differs:
        return f"The versions are the same, so they are not the reason: look at {others}."
    if not others:
        return "Only the versions differ, so they are the reason."
    return (
        f"The versions may be the reason, but {others} changed with them: to tell, run the old "
        "versions again as the new ones were run."
    )


# ---- What may differ -------------------------------------------------------------------
Facts = Mapping[str, Any]


def find_differences(old: Facts, new: Facts) -> list[str]:
    """What differs, as "key: old, now new"; unknown is not different."""
    known = [key for key in new if None not in (old.get(key), new.get(key))]
    return [f"{key}: {old[key]}, now {new[key]}" for key in known if old[key] != new[key]]


def check_same_machine(runs: Sequence[Run]) -> None:
    """Raises Unreadable where the runs, which are to be compared, are of several machines."""
    for run in runs[1:]:
        first, other = runs[0].environment, run.environment
        if found := find_differences(_describe_machine(first), _describe_machine(other)):
            raise Unreadable(
                f"{runs[0].name} and {run.name} were measured on different machines "
                f"({'; '.join(found)}): measure both on one, or add --across-machines"
            )


def _describe_machine(environment: Environment) -> Facts:
    known = {"cpu": environment.cpu or None, "cores": environment.cores}
    return known | {"kernel": environment.kernel or None}


def _read_machine(result: Result) -> Facts:
    return _describe_machine(result.environment)


def _read_commit(result: Result) -> Facts:
    return {"commit": result.environment.commit}


def _read_statuses(result: Result) -> Facts:
    return {asked.arm: asked.status for asked in result.evidence}


def _read_loads(result: Result) -> Facts:
    """What was asked for, of all arms and of those that differ from that."""
    common = asdict(result.load) if result.load else {}
    found = {key: value for key, value in common.items() if key not in OF_EACH_RUN}
    for name, arm in result.arms.items():
        for key, value in asdict(arm.run.load).items():
            if key not in OF_EACH_RUN and found.get(key) != value:
                found[f"{key} of {name}"] = value
    return found


def _read_versions(result: Result) -> Facts:
    """All versions that a result was made with; those inside an arm with its name."""
    found = {**result.environment.packages, "Python": result.environment.python}
    for name, arm in result.arms.items():
        found |= {f"{package} of {name}": version for package, version in arm.versions.items()}
    return found


def _read_commands(result: Result) -> Facts:
    """The command of each arm, without the port, which is another each time."""
    asked = {asked.arm: asked.command for asked in result.evidence}
    asked |= {name: arm.command for name, arm in result.arms.items()}
    return {name: PORT.sub("{port}", command) for name, command in asked.items()}

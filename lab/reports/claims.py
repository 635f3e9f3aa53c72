"""The table of claims: a row for each recorded experiment, and whether a page shows it."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lab.facts.errors import Unreadable
from lab.facts.records import Result
from lab.facts.text import WIDTH
from lab.reports.chart import Table
from lab.reports.report import describe_machine
from lab.reports.result import describe_interval, name_ratio

BEGIN = "<!-- made by: python summarize.py --claims results -->"
END = "<!-- end of claims -->"
COLUMNS = ["", "claim", "source", "now", "then", "measured", "cause", "recorded"]


def tabulate_claims(results: Sequence[Result]) -> str:
    """The Markdown table of recorded results, one row for each, and under it the versions and
    the machine of all; what a row has of its own stands in the row.
    """
    made = Counter(item for result in results for item in _list_circumstances(result).items())
    usual: dict[str, str] = {}
    for (what, value), _ in made.most_common():
        usual.setdefault(what, value)
    rows = [COLUMNS, *(_make_row(result, usual) for result in results)]
    table = "\n".join(Table(rows, "<" * len(COLUMNS)).to_markdown())
    versions = sorted(usual.items(), key=lambda item: (item[0] in ("Python", "machine"), item))
    recorded = ", ".join(value for _, value in versions)
    below = textwrap.wrap(f"Recorded with {recorded}, unless a row says otherwise.", WIDTH)
    return "\n".join([table, "", *below])


def is_stale(page: Path, table: str) -> bool:
    """Whether the table between the marks of a page differs from `table`."""
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise Unreadable(f"{page}: no table between {BEGIN!r} and {END!r}")
    return text.split(BEGIN)[1].split(END)[0].strip() != table.strip()


def _make_row(result: Result, usual: dict[str, str]) -> list[str]:
    number = f"[{result.name.split('_')[0]}](experiments/{result.name}.py)"
    circumstances = _list_circumstances(result)
    own = [value for what, value in circumstances.items() if value != usual[what]]
    cause = "; ".join(re.sub(r"( is in doubt): .*", r"\1", said) for said in result.cause)
    then = re.match(r"[A-Z ]*[A-Z](?: × [^)]*\))*", result.then)
    verdicts = [f"**{result.verdict}**", then[0] if then else "-"]
    recorded = ", ".join([result.started[:10], *own])
    claim = [number, result.claim, result.source]
    return [*claim, *verdicts, _describe_measured(result), cause, recorded]


def _list_circumstances(result: Result) -> dict[str, str]:
    """The versions and the machine of a result: what of, and in words."""
    environment = result.environment
    versions = {**environment.packages, "Python": environment.python}
    words = {name: f"{name} {version}" for name, version in versions.items()}
    return words | {"machine": describe_machine(environment)}


def _describe_measured(result: Result) -> str:
    """What a verdict rests on: the answers, the ratios of the claim, what was found, or the
    columns that its experiment added.
    """
    if result.evidence:
        return "; ".join(f"{asked.arm}: {asked.status}" for asked in result.evidence)
    claimed = [ratio for ratio in result.ratios if ratio.claim] or result.ratios[:1]
    ratios = [f"{name_ratio(ratio)} {describe_interval(ratio.interval)}" for ratio in claimed]
    columns = [
        f"{name}: {', '.join(f'{title} {value}' for title, value in arm.columns.items())}"
        for name, arm in result.arms.items()
        if arm.columns
    ]
    return "; ".join(ratios or result.findings or columns)

"""What README.md shows of the records: the answer, the tables of claims, one run in full."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.facts.errors import Unreadable
from lab.facts.results import Result
from lab.facts.text import WIDTH
from lab.reports.answer import answer_of
from lab.reports.finding import Finding, claimed_of, count_words, interval_of, order, times_of
from lab.reports.report import describe_machine
from lab.reports.result import describe_behaviour, describe_then_word, report_result
from lab.reports.safe import make_safe
from lab.reports.table import escape

SHOWN = "03"  # the run that is shown in full
WIDEST_CELL = 120  # characters
COLUMNS = ("", "claim", "verdict", "measured")
ADDRESS = re.compile(r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:)\]]|\bgithub\.com/[\w./-]*\w")
MARK = "<!-- {name}: made by python summarize.py --readme README.md results -->"
END = "<!-- end of {name} -->"


def write_readme(page: Path, results: Sequence[Result]) -> None:
    """Put what the records say between the marks of a page."""
    page.write_text(_fill(page, results), encoding="utf-8")


def is_stale(page: Path, results: Sequence[Result]) -> bool:
    """Whether a page says anything else than the records between its marks."""
    return _fill(page, results) != page.read_text(encoding="utf-8")


def _fill(page: Path, results: Sequence[Result]) -> str:
    """The text of a page with every block made anew. Raises Unreadable without its marks."""
    text = page.read_text(encoding="utf-8")
    for name, block in make_blocks([make_safe(result) for result in results]).items():
        begin, end = MARK.format(name=name), END.format(name=name)
        if begin not in text:
            continue
        before, _, rest = text.partition(begin)
        if end not in rest:
            raise Unreadable(f"{page}: no {end!r} after {begin!r}")
        text = f"{before}{begin}\n\n{block}\n\n{end}{rest.partition(end)[2]}"
    return text


def make_blocks(results: Sequence[Result]) -> dict[str, str]:
    """What can stand between marks, by their names."""
    findings = [Finding(result) for result in results]
    return {
        "the answer": _write_answer(results),
        "the count": _count_verdicts(findings),
        "the claims": tabulate_claims(findings),
        "a run": _show_run(results),
        "the versions": _list_versions(results),
    }


# ---- The answer ------------------------------------------------------------------------
def _write_answer(results: Sequence[Result]) -> str:
    """A paragraph, and a table of a few rows."""
    answer = answer_of(results)
    if answer is None:
        return "There is no record of experiment 24 yet."
    scripts = {Finding(result).number: f"experiments/{result.name}.py" for result in results}
    rows = [[*row[:-1], _link(row[-1], scripts.get(row[-1], ""))] for row in answer.rows]
    table = _draw_table(answer.header, rows)
    return "\n\n".join(["\n".join(textwrap.wrap(answer.text, WIDTH)), table])


def _count_verdicts(findings: Sequence[Finding]) -> str:
    counts = count_words(findings)
    said = [f"{count} {word}" for word, count in counts.items()]
    return f"Of {len(findings)} claims: {', '.join(said)}."


# ---- The claims ------------------------------------------------------------------------
def tabulate_claims(findings: Sequence[Finding]) -> str:
    """A table for each question, and below all of them the addresses of the sources."""
    sources = [find_address(finding) for finding in findings]
    numbers = {address: n for n, address in enumerate(dict.fromkeys(filter(None, sources)), 1)}
    parts = []
    for group, found in order(findings):
        rows = [_make_row(each, numbers) for each in sorted(found, key=lambda each: each.number)]
        parts.append(f"### {group}\n\n{_draw_table(COLUMNS, rows)}")
    addresses = "\n".join(f"[s{n}]: {address}" for address, n in numbers.items())
    return "\n\n".join(filter(None, [*parts, addresses]))


def _make_row(finding: Finding, numbers: Mapping[str, int]) -> list[str]:
    result = finding.result
    claim = escape(result.title)
    address = find_address(finding)
    if address:
        claim += f" ([source][s{numbers[address]}])"
    verdict = f"**{result.verdict}**"
    if result.another_reason:
        verdict += ", for another reason"
    then = describe_then_word(result)
    if then and then != result.verdict:
        verdict += f"; then {then}"
    number = _link(finding.number, f"experiments/{result.name}.py")
    return [number, _fit(claim), _fit(verdict), _fit(_describe_measured(finding))]


def find_address(finding: Finding) -> str:
    """Where the claim was made, if its script gives an address."""
    found = ADDRESS.search(finding.result.source)
    if not found:
        return ""
    return found[0] if "://" in found[0] else f"https://{found[0]}"


def _describe_measured(finding: Finding) -> str:
    """The ratio beside the claimed one; of a claim about behaviour, what was seen."""
    if not finding.headline:
        return escape("; ".join(describe_behaviour(finding.result) or finding.result.reasons[:1]))
    ratio = finding.headline
    text = f"{times_of(ratio)} ({interval_of(ratio)})"
    claimed = claimed_of(ratio)
    return f"claimed {claimed}, measured {text}" if claimed else text


def _fit(text: str) -> str:
    return text if len(text) <= WIDEST_CELL else f"{text[: WIDEST_CELL - 2].rsplit(' ', 1)[0]} …"


# ---- One run, and what all were made with ----------------------------------------------
def _show_run(results: Sequence[Result]) -> str:
    """A result as its script prints it, up to where it says how it was made."""
    shown = [result for result in results if result.name.startswith(f"{SHOWN}_")]
    if not shown:
        return f"There is no record of experiment {SHOWN} yet."
    text = report_result(shown[0]).partition("\n\n    source ")[0]
    command = f"$ python experiments/{shown[0].name}.py --full"
    return f"```text\n{command}\n{text}\n```"


def _list_versions(results: Sequence[Result]) -> str:
    """The versions and the machine that most records were made with."""
    made = Counter(item for result in results for item in _list_circumstances(result).items())
    usual: dict[str, str] = {}
    for (what, value), _ in made.most_common():
        usual.setdefault(what, value)
    last = {what: usual.pop(what) for what in ("Python", "machine") if what in usual}
    said = ", ".join([*(usual[what] for what in sorted(usual)), *last.values()])
    return "\n".join(textwrap.wrap(f"Recorded with {said}.", WIDTH, break_on_hyphens=False))


def _list_circumstances(result: Result) -> Mapping[str, str]:
    environment = result.environment
    versions = {**environment.packages, "Python": environment.python}
    words = {name: f"{name} {version}" for name, version in versions.items()}
    return words | {"machine": describe_machine(environment)}


# ---- Markdown --------------------------------------------------------------------------
def _link(text: str, address: str) -> str:
    return f"[{text}]({address})" if address else text


def _draw_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells that are Markdown already."""
    lines = [header, ["---" for _ in header], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

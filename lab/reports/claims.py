"""What README.md shows of the records: the answer, the tables of claims, one run in full."""

from __future__ import annotations

import re
import statistics
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.facts.errors import Unreadable
from lab.facts.results import Metric, Result
from lab.facts.text import WIDTH, count_of, three_digits
from lab.reports.answer import answer_of
from lab.reports.finding import (
    METRICS,
    Finding,
    claimed_of,
    count_words,
    interval_of,
    order,
    times_of,
)
from lab.reports.report import describe_machine
from lab.reports.result import describe_behaviour, describe_then_word, report_result
from lab.reports.safe import make_safe
from lab.reports.table import escape

SHOWN = "03"  # the run that is shown in full
WIDEST_CELL, LONGEST_SEEN, LONGEST_SOURCE = 120, 50, 20  # characters
COLUMNS = ("", "claim, with its source", "verdict", "claimed → measured (95 % CI)")
ADDRESS = re.compile(r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:)\]]|\bgithub\.com/[\w./-]*\w")
MARK = "<!-- {name}: summarize.py --readme -->"
CI = "95 % CI "
GENERATORS, PLAIN = "22", ", GET"  # what compares load generators, and its plain load
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
        "the claims": "\n\n".join(
            [_count_verdicts(findings), tabulate_claims(findings), _list_machines(results)]
        ),
        "a run": _show_run(results),
        "the trust": "\n".join(f"- {reason}" for reason in _list_reasons(findings)),
    }


# ---- The answer ------------------------------------------------------------------------
def _write_answer(results: Sequence[Result]) -> str:
    """A paragraph, and a table of a few rows."""
    answer = answer_of(results)
    if answer is None:
        return "There is no record of experiment 24 yet."
    rows = [[*row[:-1], f"[{row[-1]}]"] for row in answer.rows]
    table = _draw_table(answer.header, rows)
    return "\n\n".join(["\n".join(textwrap.wrap(answer.text, WIDTH)), table])


def _count_verdicts(findings: Sequence[Finding]) -> str:
    counts = count_words(findings)
    said = [f"{count} {word}" for word, count in counts.items()]
    return f"Of {len(findings)} claims: {', '.join(said)}."


# ---- The claims ------------------------------------------------------------------------
def tabulate_claims(findings: Sequence[Finding]) -> str:
    """A row for each claim, under its question; and below the address of each script, which any
    text of the page can name as [03], and those that stand for several claims or are too long for
    a cell.
    """
    uses = Counter(map(find_address, findings))
    below = [
        address
        for finding in findings
        if (address := find_address(finding))
        and (uses[address] > 1 or len(_write_title(finding)) + len(address) > WIDEST_CELL - 4)
    ]
    shared = {address: n for n, address in enumerate(dict.fromkeys(below), 1)}
    rows: list[list[str]] = []
    for group, found in order(findings):
        rows.append(["", f"**{group}**", "", ""])
        rows += [_make_row(each, shared) for each in sorted(found, key=lambda each: each.number)]
    addresses = [f"[{each.number}]: experiments/{each.result.name}.py" for each in findings]
    addresses += [f"[s{n}]: {address}" for address, n in shared.items()]
    return "\n\n".join([_draw_table(COLUMNS, rows), "\n".join(addresses)])


def _make_row(finding: Finding, shared: Mapping[str, int]) -> list[str]:
    result = finding.result
    verdict = str(result.verdict)
    if result.another_reason:
        verdict += ", for another reason"
    then = describe_then_word(result)
    if then and then != result.verdict:
        verdict += f"; then {then}"
    return [f"[{finding.number}]", _write_claim(finding, shared), _fit(verdict), _measured(finding)]


def _write_title(finding: Finding) -> str:
    return _fit(escape(finding.result.title), WIDEST_CELL - LONGEST_SOURCE)


def _write_claim(finding: Finding, shared: Mapping[str, int]) -> str:
    """The claim as a link to its source, or with the name of one that has no address."""
    title, address = _write_title(finding), find_address(finding)
    if address in shared:
        return f"[{title}][s{shared[address]}]"
    if address:
        return f"[{title}]({address})"
    name = re.split("[,:]", finding.result.source)[0]
    is_ours = name.lower().startswith("this project")
    is_named = not is_ours and len(name) <= LONGEST_SOURCE - 3
    return f"{title} ({escape(name)})" if is_named else title


def find_address(finding: Finding) -> str:
    """Where the claim was made, if its script gives an address."""
    found = ADDRESS.search(finding.result.source)
    if not found:
        return ""
    return found[0] if "://" in found[0] else f"https://{found[0]}"


def _measured(finding: Finding) -> str:
    """The claimed ratio and the measured one; of a claim about behaviour, what was seen."""
    if not finding.headline:
        seen = describe_behaviour(finding.result) or finding.result.reasons
        return escape(_fit(seen[0] if seen else "", LONGEST_SEEN))
    ratio = finding.headline
    text = f"{times_of(ratio)} ({interval_of(ratio).removeprefix(CI)})"
    if ratio.metric != Metric.THROUGHPUT:
        text += f", {METRICS[ratio.metric]}"
    claimed = claimed_of(ratio)
    return f"{claimed} → {text}" if claimed else text


def _fit(text: str, width: int = WIDEST_CELL) -> str:
    return text if len(text) <= width else f"{text[: width - 2].rsplit(' ', 1)[0]} …"


# ---- Why to trust it -------------------------------------------------------------------
def _list_reasons(findings: Sequence[Finding]) -> list[str]:
    """What stands behind the verdicts, with the figures of the records."""
    runs = [arm.run for finding in findings for arm in finding.result.arms.values()]
    answers = sum(run.ok for run in runs) / 1e6
    loads = [finding.result.load for finding in findings if finding.claims and finding.result.load]
    rounds = statistics.median([load.rounds or 1 for load in loads] or [0])
    launches = statistics.median([load.launches or 1 for load in loads] or [0])
    repeated = sum(finding.result.repeated for finding in findings)
    return [
        f"Every answer is checked, not only timed: {three_digits(answers)} million in these "
        "records. Failed requests are not counted as throughput.",
        "Arms are loaded in turn and compared within each round, on servers that are started "
        f"anew: {rounds:.0f} rounds in {launches:.0f} launches decided a typical claim.",
        "The interval is valid however often one looks: at most 5 % of them miss the truth "
        "([simulations](docs/method.md)).",
        "What disturbs the machine widens the interval; "
        f"{count_of(repeated, 'disturbed round')} had to be repeated.",
        _describe_generators(findings),
    ]


def _describe_generators(findings: Sequence[Finding]) -> str:
    """What each load generator costs, which is why it is not what is measured."""
    found = [finding.result for finding in findings if finding.number == GENERATORS]
    if not found:
        return f"There is no record of experiment {GENERATORS} yet."
    costs = {
        name.removesuffix(PLAIN): arm.run.client.cpu_us_per_request
        for name, arm in found[0].arms.items()
        if ", " not in name or name.endswith(PLAIN)
    }
    said = " · ".join(f"{name} {three_digits(cost_us)}" for name, cost_us in costs.items())
    return (
        f"The load generator, `wire`, is no bottleneck: CPU µs per request of {said} "
        f"[{GENERATORS}]. It never retries."
    )


# ---- One run, and what all were made with ----------------------------------------------
def _show_run(results: Sequence[Result]) -> str:
    """The beginning of what a script prints: the answer, and expected beside measured."""
    shown = [result for result in results if result.name.startswith(f"{SHOWN}_")]
    if not shown:
        return f"There is no record of experiment {SHOWN} yet."
    text = report_result(shown[0]).partition("\n\n    CPU µs is ")[0]
    command = f"$ python experiments/{shown[0].name}.py --full"
    return f"```text\n{command}\n{text}\n```"


def _list_machines(results: Sequence[Result]) -> str:
    """What most records were made on, and when."""
    made = Counter(
        f"Python {result.environment.python}, {describe_machine(result.environment)}"
        for result in results
    )
    days = sorted(result.started[:10] for result in results)
    span = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    usual = made.most_common(1)[0][0]
    return f"Recorded {span} with the versions in requirements.txt, {usual}."


# ---- Markdown --------------------------------------------------------------------------
def _draw_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells that are Markdown already."""
    lines = [header, ["---" for _ in header], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

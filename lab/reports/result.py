"""A comparison in rounds, or an experiment with its verdict, as text: the answer first."""

from __future__ import annotations

import re
import textwrap

from lab.facts.ratio import NOT_ENOUGH, compared, times
from lab.facts.results import THEN, MeasuredRatio, Metric, Result
from lab.facts.text import WIDTH, duration, percent, wrapped
from lab.reports.arms import BODY, describe_table, tabulate_answers, tabulate_arms
from lab.reports.chart import draw_histograms
from lab.reports.finding import METRICS, Finding, claimed_of, interval_of, sentence_of, times_of
from lab.reports.made import LABEL, LEAST_MARGIN, list_circumstances
from lab.reports.parts import tabulate_curve
from lab.reports.safe import make_safe
from lab.reports.table import INDENT, Block, escape, keep_together, render

FEWEST_ROUNDS = 7  # with fewer there is no interval
WIDEST_LABEL = 16  # columns; a longer one has a line of its own
MOST_FOUND = 2  # sentences in the head of what was found without a ratio
NOTHING = "nothing could be compared"
WORSE = 1.05  # times as long a p99, to be worth a line


def report_result(result: Result, markdown: bool = False) -> str:
    """A comparison or an experiment: the answer, expected beside measured, how it was made."""
    result = make_safe(result)
    finding = Finding(result)
    number = finding.number if result.claim else ""
    expected = [wrapped("expected", result.expect, LABEL, BODY)] if result.expect else []
    blocks: list[Block] = [_list_answer(finding), expected]
    if result.evidence:
        blocks.append(tabulate_answers(result.evidence))
    if result.arms:
        table = tabulate_arms(result, markdown)
        notes = textwrap.wrap(describe_table(table, result), BODY)
        blocks += [table, notes, _list_histograms(finding)]
    if result.claim:
        blocks += [_list_under("also", _list_besides(finding))]
        blocks += [_list_under("control arms", _list_controls(finding))]
    for name, arm in result.arms.items():
        if arm.curve:
            blocks += [textwrap.wrap(f"{name}, in an open loop", BODY), tabulate_curve(arm.curve)]
    blocks.append(list_circumstances(result))
    return f"{make_title(number, result.title, markdown)}\n{render(blocks, markdown, INDENT)}"


def make_title(number: str, title: str, markdown: bool) -> str:
    """The first line: a heading in Markdown, else beside the number."""
    if markdown:
        return f"### {number} {escape(title)}\n" if number else f"### {escape(title)}\n"
    return wrapped(number, title, INDENT) if number else "\n".join(textwrap.wrap(title, WIDTH))


# ---- The answer ------------------------------------------------------------------------
def _list_answer(finding: Finding) -> list[str]:
    """Word, ratio beside the claimed one, and why: what there is to know in a few lines."""
    result = finding.result
    rows = _answer_claim(finding) if result.claim else _answer_comparison(result)
    labels = [len(label) for label, _ in rows if len(label) < WIDEST_LABEL]
    indent = max(labels, default=0) + 3
    return [wrapped(label, keep_together(text), indent, BODY) for label, text in rows]


def _answer_claim(finding: Finding) -> list[tuple[str, str]]:
    result = finding.result
    word = result.verdict
    if result.another_reason:
        word += ", for another reason"
    found = [describe_claim(ratio) for ratio in finding.claims] or describe_behaviour(result)
    rows = [(word, found[0] if found else NOTHING), *(("", text) for text in found[1:])]
    rows += [("but", text) for ratio in finding.claims if (text := describe_p99(result, ratio))]
    if result.by_cpu:
        costs = [ratio for ratio in result.ratios if ratio.word and not ratio.claim]
        said = " · ".join(sentence_of(ratio) for ratio in costs)
        rows.append(("by CPU time", f"{result.by_cpu}: {said}" if said else result.by_cpu))
    reasons = result.reasons or [result.why or (result.cause[0] if result.cause else "")]
    rows += [("why" if n == 0 else "", reason) for n, reason in enumerate(reasons) if reason]
    if result.mode == "quick":
        rows.append(("quick", "the rounds are too short to quote: leave out --quick for that"))
    if result.then:
        rows.append(("then", _describe_then(finding)))
    return rows


def _answer_comparison(result: Result) -> list[tuple[str, str]]:
    rows = []
    for ratio in result.ratios:
        word = compared(ratio.judged, ratio.metric)
        if ratio.metric == Metric.SERVER_CPU:
            word = "by CPU time"
        elif result.reasons and word != NOT_ENOUGH:
            word += ", but in doubt"
        rows.append((word, describe_claim(ratio)))
        rows.append(("but", describe_p99(result, ratio)))
    if not result.ratios and len(result.arms) > 1 and not result.reasons:
        rows.append((NOT_ENOUGH, _advise(result)))
    rows += [("why" if n == 0 else "", reason) for n, reason in enumerate(result.reasons)]
    return [(label, text) for label, text in rows if text]


def _advise(result: Result) -> str:
    """What a comparison that has no interval needs: rounds, or launches of its own servers."""
    if any(arm.command for arm in result.arms.values()):
        return "an interval takes three launches: use a longer --budget, or more --rounds"
    rounds = max(len(arm.rounds) for arm in result.arms.values())
    return f"use --rounds {FEWEST_ROUNDS} or more" if rounds < FEWEST_ROUNDS else ""


def describe_claim(ratio: MeasuredRatio) -> str:
    """What was measured of a claim, with what was claimed beside it."""
    interval = interval_of(ratio)
    if ratio.margin >= LEAST_MARGIN:
        interval += f", ± {percent(ratio.margin)} for noise"
    claimed = claimed_of(ratio)
    if not claimed:
        return f"{sentence_of(ratio)} ({interval})"
    over, under = ratio.over.removesuffix(THEN), ratio.under.removesuffix(THEN)
    pair = f"{over} against {under}"
    if ratio.metric != Metric.THROUGHPUT:
        pair += f", {METRICS[ratio.metric]}"
    return f"{pair}: claimed {claimed}, measured {times_of(ratio)} ({interval})"


def describe_p99(result: Result, ratio: MeasuredRatio) -> str:
    """That the arm with more requests/s has the longer p99, where it has."""
    if ratio.metric != Metric.THROUGHPUT or not {ratio.over, ratio.under} <= set(result.arms):
        return ""
    winner, loser = ratio.over, ratio.under
    if ratio.estimate < 1:
        winner, loser = loser, winner
    longer_s, shorter_s = (result.arms[name].run.latency_s["p99"] for name in (winner, loser))
    if longer_s is None or shorter_s is None or longer_s <= WORSE * shorter_s:
        return ""
    factor = times(longer_s / shorter_s)
    spans = f"{duration(longer_s)} against {duration(shorter_s)}"
    return f"the p99 of {winner} is {factor} as long as that of {loser}: {spans}"


def describe_behaviour(result: Result) -> list[str]:
    """What was seen of a claim that is not about a ratio."""
    if result.evidence:
        names: dict[int, list[str]] = {}
        for asked in result.evidence:
            if not asked.arm.endswith(THEN):
                names.setdefault(asked.status, []).append(asked.arm)
        return ["; ".join(f"{status} from {' · '.join(who)}" for status, who in names.items())]
    if result.findings:
        return result.findings[:MOST_FOUND]
    if result.reasons:  # which say more of an open claim than its columns do
        return []
    columns = dict.fromkeys(title for arm in result.arms.values() for title in arm.columns)
    for title in columns:
        seen = [(name, arm.columns.get(title, "-")) for name, arm in result.arms.items()]
        return [f"{title}: " + " · ".join(f"{name} {value}" for name, value in seen)]
    return []


def describe_then_word(result: Result) -> str:
    """The verdict on the versions that the claim was made about."""
    said = re.match(r"[A-Z][A-Z ]*[A-Z]", result.then)
    return said[0] if said else result.then


def _describe_then(finding: Finding) -> str:
    """The verdict on old versions, with their ratio where the claim is about one."""
    word = describe_then_word(finding.result)
    ratios = [found for ratio in finding.claims if (found := finding.then_of(ratio))]
    measured = " · ".join(f"{times_of(ratio)} ({interval_of(ratio)})" for ratio in ratios)
    where = "with the versions the claim was made about"
    return f"{word} {where}: {measured}" if measured else f"{word} {where}"


# ---- What else was seen ----------------------------------------------------------------
def _list_histograms(finding: Finding) -> list[str]:
    """The response times of the claim's two arms."""
    arms = finding.result.arms
    shown = list(arms)[:2]
    ratio = finding.headline or next(iter(finding.result.ratios), None)
    if ratio:
        shown = [ratio.under, ratio.over]
    return draw_histograms({name: arms[name].run.histogram for name in shown})


def _list_under(title: str, sentences: list[str]) -> list[str]:
    """Sentences as a list under a title."""
    return (
        [title, *(wrapped("-", keep_together(said), 2, BODY) for said in sentences)]
        if sentences
        else []
    )


def _list_besides(finding: Finding) -> list[str]:
    """The other reasons, and what was found beside the ratios."""
    result = finding.result
    told = [] if result.reasons else [result.why or next(iter(result.cause), "")]
    if not finding.claims and not result.evidence:
        told += result.findings[:MOST_FOUND]
    return [said for said in [*result.cause, *result.findings] if said not in told]


def _list_controls(finding: Finding) -> list[str]:
    """What the control arms measured."""
    lines = []
    for ratio in finding.controls:
        said, p99 = describe_claim(ratio), describe_p99(finding.result, ratio)
        lines.append(f"{said}, but {p99}" if p99 else said)
    return lines

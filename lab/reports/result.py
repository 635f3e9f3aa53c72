"""A comparison in rounds, or an experiment with its verdict, as text."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping

from lab.facts.interval import Interval
from lab.facts.records import Arm, Evidence, MeasuredRatio, Metric, Result, Run
from lab.facts.text import WIDTH, count_of, three_digits, unit_of, wrapped
from lab.reports.chart import INDENT, Block, Table, draw_histograms, format_cells, render
from lab.reports.report import describe_environment, describe_load, list_versions, tabulate_curve

BODY = WIDTH - INDENT
NOT_ENOUGH = "not enough data"
FEWEST_ROUNDS = 6  # below, there is no 95 % interval of a median
LONGEST_ANSWER = 300  # characters
SHORTEST_NAME = 16  # to which the names of arms are cut for the columns beside them
METRICS = {
    Metric.THROUGHPUT: "",
    Metric.P50: " p50",
    Metric.P99: " p99",
    Metric.SERVER_CPU: " CPU µs a request",
    Metric.CLIENT_CPU: " client CPU µs",
    Metric.ELAPSED: " time",
}


def report_result(result: Result, markdown: bool = False) -> str:
    """A comparison or an experiment with its verdict."""
    number = result.name.split("_")[0] if result.claim else ""
    blocks: list[Block] = [_list_head(result), _list_answers(result)]
    if result.arms:
        blocks += [tabulate_arms(result.arms), _list_shared(result), _list_histograms(result)]
    for name, arm in result.arms.items():
        if arm.curve:
            blocks += [textwrap.wrap(f"{name}, in an open loop", BODY), tabulate_curve(arm.curve)]
    blocks.append([wrapped("-", sentence, 2, BODY) for sentence in result.findings])
    blocks.append(_list_verdict(result))
    title = wrapped(number, result.title, 4)
    if markdown:
        title = f"### {number} {result.title}" if number else f"### {result.title}"
    return f"{title}\n{render(blocks, markdown, INDENT)}"


def name_ratio(ratio: MeasuredRatio) -> str:
    """What is divided by what: "threads / gevent p99"."""
    return f"{ratio.over} / {ratio.under}{METRICS[ratio.metric]}"


def describe_interval(interval: Interval) -> str:
    """A ratio with its interval: "× 9.1 (9.0 to 9.3 at 95.0 %, 9 rounds)"."""
    low, high = three_digits(interval.low), three_digits(interval.high)
    over = f"{interval.rounds} rounds"
    if interval.launches:
        over = f"{interval.launches} unlike launches"
    covers = f"{100 * interval.confidence:.1f} %"
    return f"× {three_digits(interval.estimate)} ({low} to {high} at {covers}, {over})"


def _word(interval: Interval) -> str:
    """What a ratio of throughputs says of the first against the second."""
    if interval.low >= 0.95 and interval.high <= 1.05:
        return "no difference"
    if interval.low > 1:
        return "faster"
    return "slower" if interval.high < 1 else NOT_ENOUGH


# ---- The parts of a result -------------------------------------------------------------
def _list_head(result: Result) -> list[str]:
    facts = {
        "expect": result.expect,
        "with": describe_environment(result.environment),
        "then": _list_old_versions(result),
        "load": _describe_load(result),
        "queue": _describe_queues(result.arms),
        "mode": "",
    }
    if result.mode == "quick":
        facts["mode"] = "--quick: a smoke verdict, with rounds too short to quote"
    lines = [wrapped(label, text, 9, BODY) for label, text in facts.items() if text]
    return [*textwrap.wrap(result.source, BODY), *lines, *_list_commands(result)]


def _list_asked(result: Result) -> list[Arm | Evidence]:
    return [*result.evidence, *result.arms.values()]


def _list_old_versions(result: Result) -> str:
    old = [list_versions(asked.versions) for asked in _list_asked(result) if asked.versions]
    return "; ".join(dict.fromkeys(old))


def _describe_load(result: Result) -> str:
    if not result.load:
        return ""
    rounds = count_of(result.load.rounds or 1, "round")
    text = f"{describe_load(result.load)}, {rounds}, seed {result.load.seed}"
    launches = result.load.launches or 1
    return text if launches == 1 else f"{text}, each server launched {launches} times"


def _describe_queues(arms: Mapping[str, Arm]) -> str:
    """How many new connections may wait, where that is not the same for all arms."""
    names: dict[int, list[str]] = {}
    for name, arm in arms.items():
        if arm.backlog:
            names.setdefault(arm.backlog, []).append(name)
    if len(names) < 2:
        return ""
    queues = [f"{backlog} {', '.join(found)}" for backlog, found in names.items()]
    return "of new connections: " + "; ".join(queues)


def _list_commands(result: Result) -> list[str]:
    """Every command once, with one port for all: they differ in nothing else."""
    commands: dict[str, None] = {}
    for asked in _list_asked(result):
        command = asked.command.replace(str(asked.port or "{}"), "8000")
        commands[" ".join(command.split())] = None
    lines = []
    for command in filter(None, commands):
        pieces = textwrap.wrap(command, BODY - 6, break_long_words=False, break_on_hyphens=False)
        lines.append("$ " + " \\\n    ".join(pieces))
    return lines


def _list_answers(result: Result) -> list[str]:
    """What each request was answered."""
    if not result.evidence:
        return []
    room = max(len(asked.arm) for asked in result.evidence) + 2
    lines = [f"{'asked':<{room}}status  answer"]
    for asked in result.evidence:
        lead = f"{asked.arm:<{room}}{asked.status:>6}"
        lines.append(wrapped(lead, asked.answer[:LONGEST_ANSWER], room + 8, BODY))
    return lines


def _list_shared(result: Result) -> list[str]:
    shared = [name for name, arm in result.arms.items() if arm.workers > 1]
    if not shared:
        return []
    text = f"{', '.join(shared)}: several workers, on the same cores as the client"
    return textwrap.wrap(text, BODY)


def _list_histograms(result: Result) -> list[str]:
    """The response times of the two arms that the first ratio is about."""
    shown = list(result.arms)[:4]
    if result.ratios:
        shown = [result.ratios[0].under, result.ratios[0].over]
    return draw_histograms({name: result.arms[name].run.histogram for name in shown})


def tabulate_arms(arms: Mapping[str, Arm]) -> Table:
    """A row of figures for each arm; one unit a column, requests/s the median of the rounds."""
    runs = [arm.run for arm in arms.values()]
    times = [(run.latency_s["p50"], run.latency_s["p99"]) for run in runs]
    unit_s, unit = unit_of(time_s for pair in times for time_s in pair)
    rates = [statistics.median(round.throughput for round in arm.rounds) for arm in arms.values()]
    columns = [
        ["arm", *arms],
        ["requests/s", *format_cells(rates)],
        [f"p50 {unit}", *format_cells((p50_s for p50_s, _ in times), unit_s)],
        [f"p99 {unit}", *format_cells((p99_s for _, p99_s in times), unit_s)],
        ["failed", *(str(run.failed) for run in runs)],
    ]
    costs = _tabulate_costs(runs)
    own = [
        [title, *(arm.columns.get(title, "-") for arm in arms.values())]
        for title in dict.fromkeys(title for arm in arms.values() for title in arm.columns)
    ]
    while True:  # what the script adds goes last, and costs go first
        shown = [*columns, *costs, *own]
        room = BODY - sum(max(map(len, column)) + 2 for column in shown[1:])
        if room >= min(SHORTEST_NAME, max(map(len, shown[0]))) or len(shown) < 4:
            break
        (costs or own or columns).pop()
    shown[0] = [name[:room] for name in shown[0]]
    return Table([list(row) for row in zip(*shown, strict=True)], "<" + ">" * len(shown))


def _tabulate_costs(runs: list[Run]) -> list[list[str]]:
    servers = [run.server for run in runs if run.server]
    if len(servers) < len(runs):
        return []
    cpu_us = format_cells(server.cpu_us_per_request for server in servers)
    memory = format_cells((server.rss_bytes for server in servers), 1e6)
    return [["CPU µs/req", *cpu_us], ["RSS MB", *memory]]


def _list_verdict(result: Result) -> list[str]:
    """Each ratio, the rule, the verdict or why there is none, and the cause."""
    rows = {name_ratio(ratio): _describe_ratio(ratio, result) for ratio in result.ratios}
    rows |= {"rule": result.rule} if result.rule else {}
    indent = min(max(map(len, rows), default=0) + 2, BODY // 2)
    lines = [wrapped(label, text, indent, BODY) for label, text in rows.items()]
    rounds = max((len(arm.rounds) for arm in result.arms.values()), default=0)
    is_weighed = result.claim or result.cause or rounds >= FEWEST_ROUNDS
    if len(result.arms) > 1 and not is_weighed:
        lines.append(f"{NOT_ENOUGH}: use --rounds {FEWEST_ROUNDS} or more")
    if result.verdict:
        smoke = " (smoke)" if result.mode == "quick" else ""
        lines.append(f"{result.verdict}{smoke}")
    lines += [wrapped("  -", reason, 4, BODY) for reason in result.reasons]
    lines += [wrapped("then", result.then, 8, BODY)] if result.then else []
    label = "cause" if result.claim else "ratio"
    return lines + [wrapped(label, cause, 8, BODY) for cause in result.cause]


def _describe_ratio(ratio: MeasuredRatio, result: Result) -> str:
    text = describe_interval(ratio.interval)
    if result.claim:
        return text
    word = _word(ratio.interval)
    if result.reasons and word != NOT_ENOUGH:
        word += ", but in doubt"
    return f"{text}, {word}"

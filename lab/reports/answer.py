"""The answer to the question of the README and of the page, from the record that asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lab.facts.ratio import faster, measure
from lab.facts.results import Arm, MeasuredRatio, Result
from lab.facts.text import duration, three_digits
from lab.reports.finding import interval_of

QUESTION = "24_"  # how the name of the record begins
ROWS = {
    "hello": "a JSON greeting",
    "validated": "a validated body",
    "5 ms of CPU": "5 ms of computing",
    "waits": "0.1 s of waiting",
}
HEADER = ["the endpoint does", "FastAPI against Flask", "p99, ms", "CPU µs a request", "evidence"]
SMALL = 0.05  # a share below which a difference no longer matters


@dataclass(frozen=True)
class Answer:
    """A paragraph, and a table of a few rows."""

    text: str
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def answer_of(results: Sequence[Result]) -> Answer | None:
    """The answer, if its experiment is among the records."""
    found = [result for result in results if result.name.startswith(QUESTION)]
    if not found:
        return None
    arms, number = found[0].arms, found[0].name.partition("_")[0]
    pairs = {row: (f"FastAPI, {row}", f"Flask, {row}") for row in ROWS}
    if not {name for pair in pairs.values() for name in pair} <= set(arms):
        return None
    ratios = {row: measure(arms, over, under) for row, (over, under) in pairs.items()}
    rows = [
        _make_row(ROWS[row], ratios[row], arms[over], arms[under], number)
        for row, (over, under) in pairs.items()
    ]
    return Answer(" ".join(_list_sentences(ratios, arms)), HEADER, rows)


def _make_row(
    endpoint: str, ratio: MeasuredRatio | None, over: Arm, under: Arm, number: str
) -> list[str]:
    said = f"{_compare(ratio)} ({interval_of(ratio)})" if ratio else "not measured"
    p99s = [arm.run.latency_s.get("p99") for arm in (over, under)]
    costs = [arm.run.server_cpu_us for arm in (over, under)]
    p99 = " against ".join(three_digits(time_s * 1e3) for time_s in p99s if time_s is not None)
    if None in p99s:
        p99 = "too few answers"
    cost = " against ".join("–" if cost_us is None else three_digits(cost_us) for cost_us in costs)
    return [endpoint, said, p99, cost, number]


def _list_sentences(
    ratios: Mapping[str, MeasuredRatio | None], arms: Mapping[str, Arm]
) -> list[str]:
    """Four sentences: with nothing to do, what that saves, with work, and with waiting."""
    words = {row: _compare(ratio) for row, ratio in ratios.items() if ratio}
    said = []
    if "hello" in words:
        said.append(
            f"With one process each and an endpoint that does nothing, FastAPI on uvicorn is "
            f"{_against(words['hello'])} Flask on gunicorn."
        )
    flask_us = arms["Flask, hello"].run.server_cpu_us
    fastapi_us = arms["FastAPI, hello"].run.server_cpu_us
    if flask_us and fastapi_us and flask_us > fastapi_us:
        saved_us = flask_us - fastapi_us
        enough_s = (saved_us / SMALL - fastapi_us) / 1e6
        said.append(
            f"That saves {saved_us:.0f} µs of CPU time a request, which is less than 5 % of it "
            f"once the endpoint itself computes for {duration(enough_s)}."
        )
    if "5 ms of CPU" in words:
        said.append(f"With 5 ms of computing, FastAPI is {_against(words['5 ms of CPU'])} Flask.")
    if "waits" in words:
        said.append(
            f"Where requests wait, it is {_against(words['waits'])} Flask with a thread for each "
            "client: what counts there is how many can wait at once, not the framework."
        )
    return said


def _compare(ratio: MeasuredRatio) -> str:
    """The ratio in words; where its interval holds 1, no side is called faster."""
    words = faster(ratio.interval)
    if ratio.low <= 1 <= ratio.high and not words.startswith("as fast"):
        return f"not clearly faster or slower ({ratio.estimate:.2f}×)"
    return words


def _against(words: str) -> str:
    return f"{words} as" if "as fast" in words else f"{words} than"

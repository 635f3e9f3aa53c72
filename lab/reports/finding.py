"""What was found of a claim, as the table, the forest and the page need it: which ratio it is
about, what was claimed, what old versions do, and which control arm says why.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.facts.ratio import faster, times
from lab.facts.results import PERCENTILES, THEN, MeasuredRatio, Metric, Result
from lab.facts.text import three_digits
from lab.facts.verdict import Word

GROUPS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("FastAPI or Flask?", (24, 5, 6, 4, 11, 2, 19, 20, 14, 25)),
    ("Async and threads", (3, 8, 9, 10, 16, 21, 26, 33, 35, 36)),
    ("Servers and settings", (7, 15, 17, 18, 30, 31, 32, 34)),
    ("Features and what they cost", (1, 12, 13, 27, 28, 29, 37)),
    ("Load generators and clients", (22, 23, 38)),
)
OTHERS = "Other claims"
UNMARKED = re.compile("[<>] |inside |outside |overlaps ")  # rules of records before the mark
FRAMEWORKS = {
    "flask": "Flask", "fastapi": "FastAPI", "quart": "Quart", "starlette": "Starlette",
    "uvicorn": "uvicorn", "gunicorn": "gunicorn", "granian": "Granian", "hypercorn": "Hypercorn",
    "waitress": "Waitress", "gevent": "gevent", "asgiref": "asgiref", "a2wsgi": "a2wsgi",
    "pydantic": "pydantic", "httpx": "httpx", "aiohttp": "aiohttp", "asyncpg": "asyncpg",
    "psycopg": "psycopg",
}  # fmt: skip
METRICS = {
    Metric.THROUGHPUT: "requests/s",
    Metric.P50: "p50",
    Metric.P90: "p90",
    Metric.P95: "p95",
    Metric.P99: "p99",
    Metric.SERVER_CPU: "CPU µs/request",
    Metric.CLIENT_CPU: "client CPU µs/request",
    Metric.ELAPSED: "time for all",
}


@dataclass(frozen=True)
class Finding:
    """The record of an experiment, and what stands out in it."""

    result: Result

    @property
    def number(self) -> str:
        """The number of the experiment: "03"; of another record what its name begins with. It
        becomes a part of addresses and ids, so it holds nothing but letters and digits.
        """
        return re.sub(r"[^0-9A-Za-z-]", "", self.result.name.split("_")[0]) or "0"

    @property
    def word(self) -> Word | None:
        """The verdict, if it is one of the five."""
        return Word(self.result.verdict) if self.result.verdict in set(Word) else None

    @property
    def group(self) -> str:
        number = int(self.number) if self.number.isdigit() else 0
        return next((group for group, numbers in GROUPS if number in numbers), OTHERS)

    @property
    def frameworks(self) -> list[str]:
        """What of the frameworks and servers it tries, by the names they give themselves."""
        packages = self.result.environment.packages
        return [name for package, name in FRAMEWORKS.items() if package in packages]

    @cached_property
    def claims(self) -> list[MeasuredRatio]:
        """The ratios that the claim is about; none where it is about behaviour."""
        ratios = [ratio for ratio in self.result.ratios if 0 < ratio.estimate < math.inf]
        marked = [ratio for ratio in ratios if ratio.claim]
        return marked or (ratios[:1] if UNMARKED.match(self.result.rule) else [])

    @property
    def headline(self) -> MeasuredRatio | None:
        """The ratio that stands for the claim: of several the smallest effect, since all of
        them are claimed.
        """
        return min(self.claims, key=lambda ratio: ratio.estimate, default=None)

    def then_of(self, ratio: MeasuredRatio) -> MeasuredRatio | None:
        """The same ratio on the versions that the claim was made about."""
        wanted = (ratio.over + THEN, ratio.under + THEN, ratio.metric)
        return next((r for r in self.result.ratios if key_of(r) == wanted), None)

    @cached_property
    def controls(self) -> list[MeasuredRatio]:
        """The ratios that say why, in the script's order."""
        claims = {key_of(ratio) for ratio in self.claims}
        swapped = {(under, over) for over, under, _ in claims}  # their price in CPU time
        return [
            ratio
            for ratio in self.result.ratios
            if key_of(ratio) not in claims
            and not ratio.over.endswith(THEN)
            and (ratio.over, ratio.under) not in swapped
        ]

    @property
    def shown_arms(self) -> list[str]:
        """The claim's two arms, and one control: what a small picture has room for."""
        ratios = [ratio for ratio in [self.headline, *self.controls[:1]] if ratio]
        names = [name for ratio in ratios for name in (ratio.over, ratio.under)]
        own = [name for name in self.result.arms if not name.endswith(THEN)]
        found = [name for name in dict.fromkeys(names) if name in self.result.arms]
        return (found or own)[:3]


def key_of(ratio: MeasuredRatio) -> tuple[str, str, Metric]:
    return ratio.over, ratio.under, ratio.metric


def claimed_of(ratio: MeasuredRatio) -> str:
    """What the source says: "48×", "1.05–1.5×"; nothing where it gives no figure."""
    if ratio.claimed is None:
        return ""
    if isinstance(ratio.claimed, tuple):
        low, high = ratio.claimed
        return f"{low:g}–{high:g}×"
    return f"{ratio.claimed:.3g}×"


def is_turned(ratio: MeasuredRatio) -> bool:
    """Whether it is said the other way round: "1.6× slower"."""
    return ratio.estimate < 1


def bound_of(ratio: MeasuredRatio) -> str:
    """What to say before a ratio that something else limited."""
    if ratio.at_least == ratio.at_most:
        return ""
    return "at least " if ratio.at_least != is_turned(ratio) else "at most "


def interval_of(ratio: MeasuredRatio) -> str:
    """The interval, the way round in which the ratio is said: "95 % CI 4.9–6.4"."""
    ends = [ratio.low, ratio.high]
    if is_turned(ratio):
        ends = [1 / end if end else math.inf for end in (ratio.high, ratio.low)]
    low, high = map(three_digits, ends)
    return f"95 % CI {low}–{high}"


def sentence_of(ratio: MeasuredRatio) -> str:
    """A ratio in words: "asyncio.sleep is 19.8× faster than time.sleep"."""
    over, under = ratio.over.removesuffix(THEN), ratio.under.removesuffix(THEN)
    said = bound_of(ratio) + faster(ratio.interval, ratio.metric)
    link = "as" if " as " in f" {said}" else "than"
    if ratio.metric == Metric.THROUGHPUT:
        return f"{over} is {said} {link} {under}"
    if ratio.metric in (Metric.SERVER_CPU, Metric.CLIENT_CPU):
        return f"{over} needs {said} {link} {under}"
    verb = "takes" if ratio.estimate >= 1 else "is"
    where = f" at {METRICS[ratio.metric]}" if ratio.metric in PERCENTILES else ""
    return f"{over} {verb} {said} {link} {under}{where}"


def times_of(ratio: MeasuredRatio) -> str:
    """A ratio in short, in the direction of the claim: "5.5×", "≥ 2.3×", "1.7× slower"."""
    bound = {"at least ": "≥ ", "at most ": "≤ "}.get(bound_of(ratio), "")
    if faster(ratio.interval, ratio.metric).startswith("as fast"):
        return f"{bound}{ratio.estimate:.2f}×"
    said = f"{bound}{times(ratio.estimate)}"
    if not is_turned(ratio):
        return said
    return f"{said} slower" if ratio.metric == Metric.THROUGHPUT else f"{said} less"


def order(findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """The findings by group, in each the largest effect first, and behaviour last."""
    by_group: dict[str, list[Finding]] = {group: [] for group, _ in GROUPS}
    by_group[OTHERS] = []
    for finding in findings:
        by_group[finding.group].append(finding)
    for found in by_group.values():
        found.sort(key=lambda each: (-_effect(each), each.number))
    return [(group, found) for group, found in by_group.items() if found]


def count_words(findings: Sequence[Finding]) -> dict[str, int]:
    """How many claims have each verdict, in the order of the words."""
    counts = Counter(finding.result.verdict for finding in findings)
    return {word: counts[word] for word in Word if counts[word]}


def _effect(finding: Finding) -> float:
    return finding.headline.estimate if finding.headline else 0.0

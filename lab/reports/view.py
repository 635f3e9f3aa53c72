"""What the page says of each claim: records turned into the texts and tables of its template."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lab.facts.results import THEN, Arm, Evidence, Result
from lab.facts.text import unit_of
from lab.facts.verdict import Word
from lab.reports.claims import ADDRESS
from lab.reports.finding import Finding, claimed_of, times_of
from lab.reports.made import describe_made, list_commands
from lab.reports.result import (
    describe_behaviour,
    describe_claim,
    describe_p99,
    describe_then_word,
)
from lab.reports.source import Source
from lab.reports.table import format_cells

MARKS = {
    Word.REPRODUCED: "✓",
    Word.EXAGGERATED: "▾",
    Word.UNDERSTATED: "▴",
    Word.NOT_REPRODUCED: "✗",
    Word.INCONCLUSIVE: "?",
}
LONGEST_ANSWER = 200  # characters


@dataclass(frozen=True)
class Piece:
    """A part of a text: plain, or the text of a link."""

    text: str
    address: str = ""


@dataclass(frozen=True)
class Column:
    """A column of figures. Those of every claim have a style, which names them on a phone."""

    title: str
    cells: list[str]
    style: str = ""


@dataclass(frozen=True)
class Grid:
    """A table of arms."""

    names: list[str]
    columns: list[Column]
    unit: str  # of its times, as a style


@dataclass(frozen=True)
class AnswerCell:
    """What one request was answered, in one era."""

    mark: str  # ✓ or ✗
    status: int
    answer: str


@dataclass(frozen=True)
class AnswerRow:
    """A request, and what it was answered today and on old versions."""

    arm: str
    expected: str
    now: AnswerCell | None
    then: AnswerCell | None


@dataclass(frozen=True)
class ClaimView:
    """A claim as the page shows it."""

    finding: Finding
    source: Source
    record: str  # address of the record, from the page
    script: str  # and of the script
    figures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def number(self) -> str:
        return self.finding.number

    @property
    def result(self) -> Result:
        return self.finding.result

    @property
    def id(self) -> str:
        return f"claim-{self.number}"

    @property
    def word(self) -> str:
        return self.result.verdict

    @property
    def kind(self) -> str:
        """The verdict as the name of a style."""
        return (self.finding.word or "no verdict").lower().replace(" ", "-")

    @property
    def mark(self) -> str:
        return MARKS[self.finding.word or Word.INCONCLUSIVE]

    @property
    def measured(self) -> str:
        return times_of(self.finding.headline) if self.finding.headline else ""

    @property
    def claimed(self) -> str:
        return claimed_of(self.finding.headline) if self.finding.headline else ""

    @property
    def effect(self) -> float:
        """By what the table is sorted."""
        return self.finding.headline.estimate if self.finding.headline else 0.0

    @property
    def sentences(self) -> list[str]:
        """What was measured of what is claimed, or seen where that is no ratio."""
        found = [describe_claim(ratio) for ratio in self.finding.claims]
        return found or describe_behaviour(self.result)

    @property
    def limits(self) -> list[str]:
        """What to know beside it: a longer p99, and the word by CPU time."""
        found = [describe_p99(self.result, ratio) for ratio in self.finding.claims]
        if self.result.by_cpu:
            found.append(f"by the CPU time of a request it is {self.result.by_cpu}")
        return [text for text in found if text]

    @property
    def why(self) -> str:
        """The first reason, for the head."""
        return self.result.why or next(iter(self.result.cause), "")

    @property
    def causes(self) -> list[str]:
        """What else the control arms show."""
        return [cause for cause in self.result.cause if cause != self.why]

    @property
    def findings(self) -> list[str]:
        return [said for said in self.result.findings if said not in self.sentences]

    @property
    def sources(self) -> list[Piece]:
        return part_links(self.result.source)

    # ---- Tables ------------------------------------------------------------------------
    @cached_property
    def arms(self) -> Grid | None:
        """Every arm: what was expected, and what was measured."""
        arms = self.result.arms
        if not arms:
            return None
        times = [arm.run.latency_s.get(key) for arm in arms.values() for key in ("p50", "p99")]
        unit_s, unit = unit_of(times)
        own = dict.fromkeys(title for arm in arms.values() for title in arm.columns)
        columns = [
            Column("expected", [arm.expected for arm in arms.values()], "e"),
            *_figure_columns(list(arms.values()), unit_s, unit),
            *(
                Column(title, [arm.columns.get(title, "") for arm in arms.values()])
                for title in own
            ),
        ]
        shown = [column for column in columns if any(column.cells)]
        return Grid(list(arms), shown, f"u-{unit.replace('µ', 'u')}")

    @cached_property
    def answers(self) -> list[AnswerRow]:
        """The answers of a claim about behaviour, of both eras side by side."""
        by_arm: dict[str, dict[bool, Evidence]] = {}
        for asked in self.result.evidence:
            by_arm.setdefault(asked.arm.removesuffix(THEN), {})[asked.then] = asked
        return [
            AnswerRow(
                arm,
                next((each.expected for each in asked.values() if each.expected), ""),
                _answer(asked.get(False)),
                _answer(asked.get(True)),
            )
            for arm, asked in by_arm.items()
        ]

    @property
    def has_old_answers(self) -> bool:
        return any(row.then for row in self.answers)

    @property
    def has_expected_answers(self) -> bool:
        return any(row.expected for row in self.answers)

    # ---- Then and now ------------------------------------------------------------------
    @property
    def then(self) -> str:
        """The verdict on old versions."""
        return describe_then_word(self.result)

    @property
    def then_ratios(self) -> list[str]:
        found = [self.finding.then_of(ratio) for ratio in self.finding.claims]
        return [describe_claim(ratio) for ratio in found if ratio]

    # ---- How it was made ---------------------------------------------------------------
    @property
    def made(self) -> dict[str, str]:
        """What the figures depend on, but for what the page says elsewhere."""
        facts = describe_made(self.result)
        recorded = {"recorded": self.result.started[:10]}
        return {k: v for k, v in facts.items() if k not in ("source", "rule")} | recorded

    @property
    def run(self) -> str:
        return f"python experiments/{self.result.name}.py"

    @property
    def commands(self) -> list[str]:
        """The commands that started today's servers, each once."""
        return list_commands(self.result)

    @property
    def runs_then(self) -> bool:
        """Whether --then puts the claim to old versions."""
        asked: list[Arm | Evidence] = [*self.result.evidence, *self.result.arms.values()]
        return any(each.versions for each in asked)


def _figure_columns(arms: Sequence[Arm], unit_s: float, unit: str) -> list[Column]:
    """Requests/s, response times in one unit, failures and CPU time of each arm."""
    rates = [statistics.median(each.throughput for each in arm.rounds) for arm in arms]
    p50s, p99s = ([arm.run.latency_s.get(key) for arm in arms] for key in ("p50", "p99"))
    failed = [str(arm.run.failed) for arm in arms]
    return [
        Column("requests/s", _cells(rates), "q"),
        Column(f"p50 {unit}", _cells(p50s, unit_s), "p"),
        Column(f"p99 {unit}", _cells(p99s, unit_s), "l"),
        Column("failed", failed if any(arm.run.failed for arm in arms) else [], "f"),
        Column("CPU µs/request", _cells([arm.run.server_cpu_us for arm in arms]), "c"),
    ]


def _cells(values: Sequence[float | None], unit: float = 1.0) -> list[str]:
    """Figures of a column; none at all where not one of them is known."""
    if all(value is None for value in values):
        return []
    return ["" if cell == "-" else cell for cell in format_cells(values, unit)]


def _answer(asked: Evidence | None) -> AnswerCell | None:
    """What came back, and whether it is an answer: a page that is not there or a server that
    broke is none.
    """
    if asked is None:
        return None
    is_answered = 0 < asked.status < 500 and asked.status != 404
    text = " ".join(asked.answer.split())
    cut = text if len(text) <= LONGEST_ANSWER else f"{text[:LONGEST_ANSWER]}…"
    return AnswerCell("✓" if is_answered else "✗", asked.status, cut)


def part_links(text: str) -> list[Piece]:
    """A text with the addresses in it made into links: those of the web, and no others."""
    pieces, begin = [], 0
    for found in ADDRESS.finditer(text):
        address = found[0]
        whole = address if address.startswith("http") else f"https://{address}"
        pieces += [Piece(text[begin : found.start()]), Piece(address, whole)]
        begin = found.end()
    return [piece for piece in [*pieces, Piece(text[begin:])] if piece.text]


def count_options(views: Sequence[ClaimView]) -> Mapping[str, list[str]]:
    """What the table can be filtered by, each value that there is once."""
    frameworks = dict.fromkeys(name for view in views for name in view.finding.frameworks)
    topics = dict.fromkeys(view.finding.group for view in views)
    words = {view.word for view in views}
    verdicts = [word for word in Word if word in words]
    return {
        "framework": sorted(frameworks, key=str.lower),
        "topic": list(topics),
        "verdict": [str(word) for word in verdicts],
    }

"""The verdict: what an interval says of a claim, and what control arms say of its reason."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import StrEnum

from lab.facts.interval import Interval
from lab.facts.ratio import (
    FEW,
    LEAST,
    NOT_ENOUGH,
    Arms,
    faster,
    find_disturbed,
    find_faults,
    find_missing,
    find_topics,
    measure,
    times,
)
from lab.facts.records import Topic
from lab.facts.results import THEN, Arm, MeasuredRatio, Metric
from lab.facts.text import count_of, three_digits

IDLE = 0.15  # a server that is idle for more of the time is not bound by CPU time


class Word(StrEnum):
    """What was found of a claim."""

    REPRODUCED = "REPRODUCED"
    EXAGGERATED = "EXAGGERATED"
    UNDERSTATED = "UNDERSTATED"
    NOT_REPRODUCED = "NOT REPRODUCED"
    INCONCLUSIVE = "INCONCLUSIVE"


WEAKEST_FIRST = (
    Word.NOT_REPRODUCED,  # one that is settles the claim, whatever becomes of the others
    Word.INCONCLUSIVE,
    Word.EXAGGERATED,
    Word.REPRODUCED,
    Word.UNDERSTATED,
)


@dataclass(frozen=True)
class Zone:
    """Ratios for which the word is the same."""

    low: float
    high: float
    word: Word

    def holds(self, interval: Interval) -> bool:
        return self.low <= interval.low and interval.high <= self.high


# ---- What a script claims ----------------------------------------------------------------
@dataclass(frozen=True)
class Ratio:
    """A claim about speed: by how much `over` exceeds `under`, in each round.

    `claimed` is the figure of its source, written so that it is above 1; or a range for a word,
    where 0.8 to 1.25 means "the same". Without it `least` is the least effect that counts.
    Raises ValueError for what cannot be claimed.
    """

    over: str
    under: str
    claimed: float | tuple[float, float] | None = None
    least: float | None = None
    metric: Metric | str = Metric.THROUGHPUT

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", Metric(self.metric))
        if self.claimed is not None and self.least is not None:
            raise ValueError("claimed and least: a claim has a figure, or it has none")
        if isinstance(self.claimed, tuple):
            low, high = self.claimed
            if not 0 < low < high:
                raise ValueError(f"claimed {low:g} to {high:g}: write the lower one first")
        elif self.claimed is not None and self.claimed <= LEAST:
            raise ValueError(
                f"claimed {self.claimed:g}: write the ratio the way round that is above "
                f"{LEAST:g}, or a range that has 1 in it for no difference"
            )

    @property
    def floor(self) -> float:
        """The least effect that counts, where the claim has no figure."""
        return LEAST if self.least is None else self.least

    @property
    def expected(self) -> tuple[float, float]:
        """From where to where it counts as the effect claimed: half to twice the gain."""
        if self.claimed is None:
            return self.floor, math.inf
        if isinstance(self.claimed, tuple):
            return self.claimed
        gain = self.claimed - 1
        return max(LEAST, 1 + gain / 2), 1 + 2 * gain

    @property
    def zones(self) -> tuple[Zone, ...]:
        """The words from ratio 0 to infinity, in order and without a gap."""
        low, high = self.expected
        if self.claimed is None:
            return Zone(0, low, Word.NOT_REPRODUCED), Zone(low, math.inf, Word.REPRODUCED)
        if low < 1:  # who claims that there is no difference has understated none
            same = Zone(low, high, Word.REPRODUCED)
            return (
                Zone(0, low, Word.NOT_REPRODUCED), same, Zone(high, math.inf, Word.NOT_REPRODUCED)
            )  # fmt: skip
        least = min(LEAST, low)
        found = [Zone(0, least, Word.NOT_REPRODUCED), Zone(least, low, Word.EXAGGERATED)]
        found += [Zone(low, high, Word.REPRODUCED), Zone(high, math.inf, Word.UNDERSTATED)]
        return tuple(zone for zone in found if zone.low < zone.high)

    @property
    def rule(self) -> str:
        """The zones in a sentence."""
        return ", ".join(f"{zone.word} {_range(zone)}" for zone in self.zones)

    def word(self, interval: Interval) -> Word:
        """The word of the zone that the whole interval lies in."""
        found = (zone.word for zone in self.zones if zone.holds(interval))
        return next(found, Word.INCONCLUSIVE)

    def of(self, era: str) -> Ratio:
        """The same ratio between the arms of an era: "" is today, or THEN."""
        return replace(self, over=self.over + era, under=self.under + era)


def _range(zone: Zone) -> str:
    if zone.high == math.inf:
        return f"from {zone.low:.3g}"
    return f"below {zone.high:.3g}" if zone.low == 0 else f"{zone.low:.3g} to {zone.high:.3g}"


@dataclass(frozen=True)
class Outcome:
    """A claim about what the arms did, each side of it a question to {name: arm}."""

    rule: str
    reproduced: Callable[[Arms], bool]
    not_reproduced: Callable[[Arms], bool]

    def word(self, arms: Arms) -> Word:
        if self.reproduced(arms):
            return Word.REPRODUCED
        return Word.NOT_REPRODUCED if self.not_reproduced(arms) else Word.INCONCLUSIVE


@dataclass(frozen=True)
class Cause:
    """What a control arm shows: `then` where the whole interval of over / under lies above
    `above` and below `below`, `otherwise` where all of it lies outside.

    With `another_reason`, `then` means that the effect has not the reason that its source
    gives: a control arm without that reason has it still, or one without something else has
    lost it. In the texts {ratio} is "2.1×", {faster} "2.1× faster" or "no faster (1.01×)".
    """

    over: str
    under: str
    _: KW_ONLY
    then: str
    otherwise: str
    above: float = 0.0
    below: float = math.inf
    metric: Metric | str = Metric.THROUGHPUT
    another_reason: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", Metric(self.metric))
        if self.above == 0 and self.below == math.inf:
            raise ValueError("a Cause needs above, below or both")

    def holds(self, interval: Interval) -> bool | None:
        """Whether `then` is so; None where the interval does not tell."""
        if self.above <= interval.low and interval.high <= self.below:
            return True
        is_outside = interval.high <= self.above or interval.low >= self.below
        return False if is_outside else None


Claim = Ratio | Sequence[Ratio] | Outcome


def ratios_of(claim: Claim, era: str = "") -> list[Ratio]:
    """The ratios that a claim is about, between the arms of one era."""
    if isinstance(claim, Outcome):
        return []
    ratios = [claim] if isinstance(claim, Ratio) else claim
    return [ratio.of(era) for ratio in ratios]


def rule_of(claim: Claim) -> str:
    """The rule of a claim, in words; of several ratios each with its arms."""
    if isinstance(claim, Ratio | Outcome):
        return claim.rule
    return "; ".join(f"{ratio.over} / {ratio.under}: {ratio.rule}" for ratio in claim)


# ---- The verdict -------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found of a claim, or why nothing was."""

    word: Word
    reasons: list[str] = field(default_factory=list)  # why it is INCONCLUSIVE
    ratios: list[MeasuredRatio] = field(default_factory=list)
    by_cpu: str = ""  # the word by CPU time a request, where something else was the limit
    waits_for: str = ""  # what would decide it, where more rounds may

    def __str__(self) -> str:
        texts = [
            f"{times(r.estimate)} (95 % CI {three_digits(r.low)}–{three_digits(r.high)})"
            for r in self.ratios
            if r.metric != Metric.SERVER_CPU or r.claim
        ]
        return " ".join([self.word, *texts, "; ".join(self.reasons)]).strip()


def decide(arms: Arms, claim: Claim, subject: Sequence[str] = (), era: str = "") -> Verdict:
    """The verdict by the rule of a claim. Of several ratios the weakest word counts: all of
    them are claimed, so that one that is not reproduced settles it.

    `subject` names what is studied and so no reason for doubt. The arms of an era stand in an
    outcome for those of today.
    """
    if isinstance(claim, Outcome):
        return _decide_outcome(arms, claim, subject, era)
    ratios = ratios_of(claim, era)
    names = [name for ratio in ratios for name in (ratio.over, ratio.under)]
    if faults := find_faults(arms, names, subject):
        return Verdict(word=Word.INCONCLUSIVE, reasons=faults)
    words: list[Word] = []
    cpu_words: list[Word] = []
    waits: list[str] = []
    measured: list[MeasuredRatio] = []
    for ratio in ratios:
        found = measure(arms, ratio.over, ratio.under, ratio.metric, subject)
        if found is None:
            few = _too_few(arms, ratio)
            return Verdict(word=Word.INCONCLUSIVE, reasons=[few], ratios=measured, waits_for=few)
        word = ratio.word(found.judged)
        by_cpu = _cost(arms, ratio, found, subject)
        if by_cpu:
            measured.append(by_cpu)
            cpu_words.append(Word(by_cpu.word))
            if word == Word.INCONCLUSIVE:
                word = Word(by_cpu.word)
        measured.append(_claimed(found, ratio, word, era))
        words.append(word)
        if word == Word.INCONCLUSIVE:
            waits.append(_needs(found, ratio))
    word = min(words, key=WEAKEST_FIRST.index)
    undecided = waits if word == Word.INCONCLUSIVE else []
    return Verdict(
        word=word,
        reasons=undecided,
        ratios=sorted(measured, key=lambda each: not each.claim),
        by_cpu=min(cpu_words, key=WEAKEST_FIRST.index, default=""),
        waits_for="; ".join(undecided),
    )


def _too_few(arms: Arms, ratio: Ratio) -> str:
    """Why there is no interval: rounds without the figure or disturbed, or not enough of them."""
    names, metric = (ratio.over, ratio.under), Metric(ratio.metric)
    missing = find_missing(arms, names, metric) or find_disturbed(arms, *names, metric)
    if missing:
        return missing
    rounds = arms[ratio.over].rounds
    launches = count_of(len({each.launch for each in rounds}), "launch")
    return f"too few rounds for an interval: {count_of(len(rounds), 'round')} in {launches}"


def _claimed(found: MeasuredRatio, ratio: Ratio, word: Word, era: str) -> MeasuredRatio:
    """The ratio as measured, with what was claimed of it."""
    least = ratio.floor if ratio.claimed is None else None
    return replace(found, claim=not era, claimed=ratio.claimed, least=least, word=word)


def _cost(
    arms: Arms, ratio: Ratio, found: MeasuredRatio, subject: Sequence[str]
) -> MeasuredRatio | None:
    """Where noise or a limit made the throughput uncertain, and CPU time can stand for it: what
    a request costs the lower side, in the CPU time that it costs the upper one.

    It can where both sides have as many workers, and what kept them from more was the want of
    CPU time or a load generator at the end of its core: a server that runs or waits for a core
    all the time serves as many requests as its CPU time allows, and one that answers faster than
    it can be asked would. Idle connections alone say nothing of the kind: the server may sleep.
    """
    is_certain = not (found.margin or found.at_least or found.at_most)
    if is_certain or ratio.metric != Metric.THROUGHPUT:
        return None
    sides = arms[ratio.over], arms[ratio.under]
    if sides[0].workers != sides[1].workers:
        return None
    if not all(_is_outrun(arm, subject) or _is_bound_by_cpu(arm) for arm in sides):
        return None
    cost = measure(arms, ratio.under, ratio.over, Metric.SERVER_CPU, subject)
    return cost and replace(cost, word=ratio.word(cost.judged))


def _is_outrun(arm: Arm, subject: Sequence[str]) -> bool:
    """Whether the load generator was at the end of its core in more than a few rounds."""
    found = find_topics(arm.rounds, subject).get(Topic.CLIENT, [])
    return len(found) > len(arm.rounds) // FEW


def _is_bound_by_cpu(arm: Arm) -> bool:
    idle = [each.idle for each in arm.rounds if each.idle is not None]
    return bool(idle) and statistics.median(idle) <= IDLE


def _decide_outcome(arms: Arms, claim: Outcome, subject: Sequence[str], era: str) -> Verdict:
    today = {name: arm for name, arm in arms.items() if not name.endswith(THEN)}
    old = {n.removesuffix(THEN): arm for n, arm in arms.items() if n.endswith(THEN)}
    asked = today | old if era else today
    if faults := find_faults(asked, asked, subject):
        return Verdict(word=Word.INCONCLUSIVE, reasons=faults)
    reasons = [
        f"{name}, {len(said)} of {len(arm.rounds)} rounds: {said[0]}"
        for name, arm in asked.items()
        for said in find_topics(arm.rounds, subject).values()
        if len(said) > len(arm.rounds) // FEW
    ]  # an outcome has no interval that could be widened
    word = claim.word(asked)
    if word == Word.INCONCLUSIVE:
        reasons.append("what was seen decides neither way: is the rule complete?")
    word = Word.INCONCLUSIVE if reasons else word
    return Verdict(word=word, reasons=reasons, waits_for="; ".join(reasons))


def _needs(found: MeasuredRatio, ratio: Ratio) -> str:
    """What keeps an interval from a verdict: "interval 1.2–1.6, needs to be below 1.41"."""
    judged = found.judged
    text = f"interval {three_digits(judged.low)}–{three_digits(judged.high)}"
    zone = next(zone for zone in ratio.zones if zone.low <= found.estimate <= zone.high)
    return f"{text}, needs to be {_place(zone)}"


def _place(zone: Zone) -> str:
    if zone.low == 0:
        return f"below {zone.high:.3g}"
    if zone.high == math.inf:
        return f"above {zone.low:.3g}"
    return f"within {zone.low:.3g}–{zone.high:.3g}"


def more_s(verdict: Verdict, claim: Claim, spent_s: float) -> float:
    """About how much longer it takes until the intervals are as narrow as they need to be: a
    width shrinks as the square root of the time. Infinite where a margin is what is too wide.
    """
    wanted = [spent_s]
    for ratio, found in ((r, m) for r in ratios_of(claim) for m in verdict.ratios if m.claim):
        if (found.over, found.under) != (ratio.over, ratio.under) or found.word != "INCONCLUSIVE":
            continue
        estimate = math.log(found.estimate)
        zone = next(zone for zone in ratio.zones if zone.low <= found.estimate <= zone.high)
        down = estimate - (math.log(zone.low) if zone.low else -math.inf)
        up = (math.log(zone.high) if zone.high < math.inf else math.inf) - estimate
        margin = -math.log1p(-min(found.margin, 1 - 1e-9))
        room = min(down, up) - margin
        half = max(estimate - math.log(found.low), math.log(found.high) - estimate)
        wanted.append(spent_s * (half / room) ** 2 if room > 0 else math.inf)
    return max(wanted) - spent_s


# ---- The reason --------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Reason:
    """What a control arm showed."""

    sentence: str
    ratio: MeasuredRatio | None = None
    holds: bool | None = None  # None: it did not tell
    is_another: bool = False  # than the source gives
    waits_for: str = ""  # what would make it tell, where more rounds may


def explain(arms: Arms, cause: Cause, subject: Sequence[str] = ()) -> Reason | None:
    """What a control arm shows, or why it shows nothing; None where it was not run."""
    if not {cause.over, cause.under} <= set(arms):
        return None
    pair = f"{cause.over} against {cause.under}"
    if faults := find_faults(arms, (cause.over, cause.under), subject):
        return Reason(sentence=f"{pair} cannot be compared: {faults[0]}")
    metric = Metric(cause.metric)
    found = measure(arms, cause.over, cause.under, metric, subject)
    if found is None:
        return Reason(sentence=f"{pair}: {NOT_ENOUGH}", waits_for=f"{pair}: too few rounds")
    holds = cause.holds(found.judged)
    said = faster(found.interval, metric)
    if holds is None:
        low, high = three_digits(found.judged.low), three_digits(found.judged.high)
        sentence = f"{pair} is undecided: {said}, interval {low}–{high}"
        return Reason(sentence=sentence, ratio=found, waits_for=sentence)
    text = cause.then if holds else cause.otherwise
    more = said.replace("as fast", "no faster")  # which may be followed by "than"
    sentence = text.format(ratio=times(found.estimate), faster=more)
    is_another = holds and cause.another_reason
    return Reason(sentence=sentence, ratio=found, holds=holds, is_another=is_another)

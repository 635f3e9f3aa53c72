"""What the script of an experiment sets, before anything is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.facts.ratio import Arms
from lab.facts.records import Topic
from lab.facts.results import Arm
from lab.facts.verdict import Cause, Claim, Ratio, Word
from lab.trials.arms import AGAIN, Setup, Setups
from lab.trials.servers import Answer, Service

NO_DIFFERENCE = (0.95, 1.05)  # of an arm that is compared with itself

SayOfArms = Callable[[Arms], str]


class Each(dict[str, Any]):
    """What to expect of each arm, by name, where they do not all answer alike."""


@dataclass(frozen=True)
class Answers:
    """A claim about behaviour: `holds` is asked once with the Answer of each probe by name,
    and `causes` for the sentences that follow from what today's probes answered.
    """

    rule: str
    holds: Callable[[Mapping[str, Answer]], bool]
    causes: Callable[[Mapping[str, Answer]], Sequence[str]] = lambda answers: ()

    def word(self, answers: Mapping[str, Answer]) -> Word:
        return Word.REPRODUCED if self.holds(answers) else Word.NOT_REPRODUCED


@dataclass(frozen=True, kw_only=True)
class Dials:
    """What the script of an experiment sets: see experiment()."""

    arms: Setups
    claim: Claim | Answers
    connections: int
    quick_connections: int
    expect: object
    duration_s: float
    requests: int | None
    rounds: int
    quick_share: float
    causes: Sequence[Cause | SayOfArms]
    probes: Setups
    then: Setups
    subject: tuple[Topic, ...]
    needs: Sequence[str] | Mapping[str, str]
    services: Mapping[str, Service]
    ask_after: str
    log_counts: Mapping[str, str]
    shares: Sequence[float]
    columns: Mapping[str, Callable[[Arm], str]]
    findings: Callable[[Arms], Sequence[str]]

    @property
    def everything(self) -> dict[str, Setup]:
        """All that can be served, by name."""
        return {**self.probes, **self.arms, **self.then}


def set_against_itself(dials: Dials, name: str) -> Dials:
    """The experiment whether an arm differs from itself."""
    name = name or next(iter(dials.arms))
    return replace(
        dials,
        arms={name: dials.arms[name], name + AGAIN: dials.arms[name]},
        claim=Ratio(name + AGAIN, name, claimed=NO_DIFFERENCE),
        causes=(),
        then={},
        shares=(),
        findings=lambda arms: (),
    )

"""What the script of an experiment sets, before anything is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.facts.ratio import Arms
from lab.facts.records import Topic
from lab.facts.results import Arm
from lab.facts.verdict import Cause, Claim, Outcome, Ratio, Word
from lab.trials.arms import AGAIN, Setup, Setups
from lab.trials.servers import Answer, Service

__all__ = ["Answers", "Cause", "Dials", "Each", "Outcome", "Ratio", "set_against_itself"]

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
    """What the script of an experiment sets.

    Beside the rounds, more is seen of each arm and kept in its record: what it answers at
    `ask_after` (arm.said), how many lines of its output match `log_counts` (arm.log), what it
    holds before any load (arm.idle), and open loops at `shares` of its own requests/s
    (arm.curve). It is shown where `columns` or `findings` say so.
    """

    arms: Setups  # commands are literal, with {port} and {host}, and run in the script's folder
    claim: Claim | Answers
    connections: int
    quick_connections: int  # with --quick; 0: as many
    expect: object  # a JSON value or a text, which each arm must answer before any timing
    duration_s: float  # of each arm in a round
    requests: int | None  # in place of a duration
    rounds: int  # in each launch of the servers
    quick_share: float  # of durations and requests, with --quick
    causes: Sequence[Cause | SayOfArms]  # what control arms show
    probes: Setups  # are asked once, for Answers
    then: Setups  # arms or probes again, with commands for the versions of the claim
    subject: tuple[Topic, ...]  # what is studied, and so no reason for doubt
    needs: Sequence[str] | Mapping[str, str]  # programs; {program: package} where these differ
    shared: bool  # arms with one command share a server: fewer to start, so more launches
    in_turns: bool  # the two of a claim, half a load each time; for many short requests
    services: Mapping[str, Service]  # what has to run beside the servers, such as a database
    ask_after: str  # a path, at the end of a launch
    log_counts: Mapping[str, str]  # {what: pattern}
    shares: Sequence[float]
    columns: Mapping[str, Callable[[Arm], str]]  # {title: text of an arm}
    findings: Callable[[Arms], Sequence[str]]  # sentences

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
        shared=False,
        then={},
        shares=(),
        findings=lambda arms: (),
    )

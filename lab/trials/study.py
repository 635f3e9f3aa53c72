"""A study: one run of an experiment, from what its script sets to its result."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from lab.facts.errors import CannotRun
from lab.facts.ratio import Arms
from lab.facts.records import Asked
from lab.facts.results import PERCENTILES, THEN, Arm, Evidence, Result
from lab.facts.verdict import (
    Cause,
    Claim,
    Outcome,
    Verdict,
    Word,
    decide,
    explain,
    more_s,
    ratios_of,
    rule_of,
)
from lab.load.clusterchecks import find_own_address
from lab.load.environment import environment_of
from lab.load.expectation import Expectation
from lab.load.load import Load
from lab.load.run import allow_files
from lab.load.schedule import LAUNCHES, Amount, Schedule
from lab.trials.arms import AGAIN, Dose, Setup, Setups
from lab.trials.dials import Answers, Dials, Each, set_against_itself
from lab.trials.options import Options
from lab.trials.script import Script
from lab.trials.servers import (
    CORES,
    HOST,
    Answer,
    Server,
    run_servers,
    run_services,
    stay_on,
    versions_of,
)
from lab.trials.trial import Plan, Trial

WARMUP_S, QUICK_WARMUP_S = 0.5, 0.1
QUICK_ROUNDS = 7  # of one launch: the fewest that have an interval
QUICK_LOAD_S, QUICK_S = 8.0, 40.0  # a quick run loads all arms for so long; no repeats after


class Study:
    """One run of an experiment, for its result."""

    def __init__(self, script: Script, dials: Dials, options: Options) -> None:
        self.script, self.options = script, options
        self.dials = dials
        if options.against_itself is not None:
            self.dials = set_against_itself(dials, options.against_itself)
        self.then = self.dials.then if options.then else {}
        sentences, self.expected = script.expected()
        self.expected |= {
            name: self.expected.get(name.removesuffix(THEN), "")
            for name in self.then
            if name not in self.expected
        }
        self.dose = self._dose()
        self.latest = Verdict(word=Word.INCONCLUSIVE)  # of today's versions, at the last look
        self.result = Result(
            name=script.path.stem,
            title=script.title,
            claim=script.text("Claim"),
            source=script.text("Source"),
            expect=sentences,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            mode=options.mode,
            budget_s=options.budget_s or None,
            environment=environment_of(sorted(script.packages)),
            services={name: service.command for name, service in dials.services.items()},
        )
        if options.against_itself is not None:
            self.result = replace(
                self.result,
                title=f"{next(iter(self.dials.arms))} against itself",
                claim="A server that is started twice is as fast as itself.",
                source="--aa, a test of this machine and its noise",
                expect="1×",
            )

    def _dose(self) -> Dose:
        """How much load every arm gets in a round."""
        dials, options = self.dials, self.options
        fewer = dials.quick_connections if options.is_quick else 0
        share = self._quick_share() if options.is_quick else 1.0
        load = Load(
            url=f"http://{HOST}/",
            connections=options.connections or fewer or dials.connections,
            client=options.client,
            cluster=options.cluster,
            requests=dials.requests,
            duration_s=None if dials.requests else dials.duration_s,
        )
        dose = Dose(load=load).cut(share)
        if options.duration_s:
            asked = replace(dose.load, requests=None, duration_s=options.duration_s)
            dose = replace(dose, load=asked)
        return dose

    def _quick_share(self) -> float:
        """How much shorter loads are with --quick: the more arms there are, the shorter."""
        dials = self.dials
        arms = len(dials.arms) + len(self.then)
        if self._needs_answers or dials.quick_share == 1:  # it would show something else
            return dials.quick_share
        full_s = dials.duration_s * max(arms, 1) * QUICK_ROUNDS
        return min(dials.quick_share, QUICK_LOAD_S / full_s)

    @property
    def _needs_answers(self) -> bool:
        """Whether a percentile decides: in a round there must be enough answers for it."""
        claim = self.dials.claim
        ratios = [] if isinstance(claim, Answers) else ratios_of(claim)
        return any(ratio.metric in PERCENTILES for ratio in ratios)

    def _schedule(self, setups: Setups) -> Schedule:
        """Rounds are shortened at most as with --quick: not at all where the user said how long,
        or where a percentile decides.
        """
        dials, options = self.dials, self.options
        curves_s = len(setups) * len(dials.shares) * dials.duration_s
        is_fixed = options.is_quick or options.duration_s or self._needs_answers
        return Schedule(
            budget_s=QUICK_S if options.is_quick else max(0.0, options.budget_s - curves_s),
            full=Amount(options.rounds or self._rounds()),
            least_share=1.0 if is_fixed else dials.quick_share,
            launches=1 if options.is_quick else LAUNCHES,
        )

    def run(self) -> Result:
        """Measure until it is decided. Raises CannotRun, and KeyboardInterrupt."""
        began_s, claim = time.monotonic(), self.dials.claim
        with run_services(self.dials.services, self.script.path.parent) as environment:
            if isinstance(claim, Answers):
                self._observe(claim, environment)
                arms = self._measure(self.dials.arms, environment) if self.dials.arms else {}
            else:
                arms = self._measure({**self.dials.arms, **self.then}, environment)
                self._conclude(claim, arms)
        self._explain(arms)
        return replace(self.result, elapsed_s=time.monotonic() - began_s)

    # ---- Answers
    def _observe(self, claim: Answers, environment: Mapping[str, str]) -> None:
        """Decide by what the probes answer, those of today and, where asked for, the old ones."""
        evidence: list[Evidence] = []
        causes: Sequence[str] = ()
        words: list[str] = []
        for era, probes in (("", self.dials.probes), (THEN, self.then)):
            answers = {}
            for name, server, answer in self._ask(probes, environment):
                answers[name.removesuffix(THEN)] = answer
                evidence.append(self._note_answer(name, server, answer, probes[name]))
            words.append(claim.word(answers) if probes else "")
            if not era:
                causes = claim.causes(answers)
        verdict, then = words
        self.result = replace(
            self.result,
            rule=claim.rule,
            evidence=evidence,
            verdict=verdict,
            then=then,
            cause=list(causes),
        )

    def _note_answer(self, name: str, server: Server, answer: Answer, probe: Setup) -> Evidence:
        return Evidence(
            arm=name,
            then=name.endswith(THEN),
            command=server.command,
            port=server.port,
            path=probe.path,
            expected=self.expected.get(name, ""),
            versions=versions_of(probe.command, self.script.packages, self.script.path.parent),
            status=answer.status,
            answer=_spaced(answer.text),
        )

    def _ask(
        self, probes: Setups, environment: Mapping[str, str]
    ) -> Iterator[tuple[str, Server, Answer]]:
        """Ask each probe once: name, Server and Answer. Those of one command share a server."""
        for command in dict.fromkeys(probe.command for probe in probes.values()):
            print(f"asking $ {command}"[:79], file=sys.stderr)
            alike = {name: probe for name, probe in probes.items() if probe.command == command}
            name, first = next(iter(alike.items()))
            folder = self.script.path.parent
            with run_servers({name: (command, first.path)}, folder, environment) as started:
                (server,) = started.values()
                for name, probe in alike.items():
                    said = len(server.output())
                    answer = server.ask(self.dose.of(probe, name, server.url, server.pid))
                    if answer.status >= 500:
                        answer = replace(answer, text=server.last_error(said))
                    yield name, server, answer

    # ---- Rounds
    def _list_claimed(self) -> list[tuple[str, str]]:
        """The arms of each ratio that is claimed, today's and those of then."""
        claim = self.dials.claim
        if isinstance(claim, Answers):
            return []
        ratios = [ratio for era in ("", THEN) for ratio in ratios_of(claim, era)]
        return [(ratio.over, ratio.under) for ratio in ratios]

    def _list_compared(self) -> list[tuple[str, str]]:
        """All arms that are compared with one another, those of the claim first."""
        causes = [cause for cause in self.dials.causes if isinstance(cause, Cause)]
        return [*self._list_claimed(), *((cause.over, cause.under) for cause in causes)]

    def _measure(self, setups: Setups, environment: Mapping[str, str]) -> dict[str, Arm]:
        dials, options = self.dials, self.options
        allow_files(self.dose.load.connections)
        trial = Trial(
            Plan(
                setups=setups,
                folder=self.script.path.parent,
                dose=self.dose,
                schedule=self._schedule(setups),
                warmup_s=self._warmup_s(),
                is_quick=options.is_quick,
                seed=options.seed,
                host=options.host or find_own_address(options.cluster),
                packages=self.script.packages,
                expected=self.expected,
                environment=environment,
                shared=dials.shared,
                in_turns=self._list_claimed() if dials.in_turns else [],
                compared=self._list_compared(),
                ask_after=dials.ask_after,
                log_counts=dials.log_counts,
                shares=dials.shares,
            ),
            check=partial(_checked, dials.expect),
            look=self._waits_for,
            more_s=self._more_s,
        )
        try:
            arms = trial.measure()
        finally:
            stay_on(CORES)
        arms = {
            name: replace(arm, columns={t: text(arm) for t, text in dials.columns.items()})
            for name, arm in arms.items()
        }
        steal = max(arm.run.environment.steal for arm in arms.values())
        self.result = replace(
            self.result,
            load=self._common_load(arms),
            arms=arms,
            findings=list(dials.findings(arms)),
            repeated=trial.repeated,
            shortened=trial.amount.share,
            over_s=0.0 if options.is_quick else trial.over_s,
            environment=replace(self.result.environment, steal=steal),
        )
        return arms

    def _warmup_s(self) -> float:
        """No longer than a round: what is not counted leaves less time for launches."""
        if self.options.is_quick:
            return QUICK_WARMUP_S
        return min(WARMUP_S, self.dose.load.duration_s or WARMUP_S)

    def _rounds(self) -> int:
        """In a launch; an outcome, which has no interval, needs no more than with others."""
        has_interval = not isinstance(self.dials.claim, Outcome)
        return QUICK_ROUNDS if self.options.is_quick and has_interval else self.dials.rounds

    def _common_load(self, arms: Arms) -> Asked:
        """What all arms were asked alike."""
        first, *others = (arm.run.load for arm in arms.values())
        alike = {
            key: value
            for key, value in vars(first).items()
            if all(getattr(other, key) == value for other in others)
        }
        numbers = next(iter(arms.values())).launches
        asked = replace(self.dose.load.to_asked(), **alike)
        return replace(
            asked, rounds=len(numbers), launches=len(set(numbers)), seed=self.options.seed
        )

    def _waits_for(self, arms: Arms) -> str:
        """What is not decided yet: the verdict, today's and then's, and its reason."""
        claim, waits = self.dials.claim, []
        if not isinstance(claim, Answers):
            self.latest = decide(arms, claim, self.dials.subject)
            waits.append(self.latest.waits_for)
            if _has_then(arms, claim):
                waits.append(decide(arms, claim, self.dials.subject, THEN).waits_for)
        for cause in self.dials.causes:
            if isinstance(cause, Cause) and cause.another_reason:
                reason = explain(arms, cause, self.dials.subject)
                waits.append(reason.waits_for if reason else "")
        return next(filter(None, waits), "")

    def _more_s(self, spent_s: float) -> float:
        claim = self.dials.claim
        return spent_s if isinstance(claim, Answers) else more_s(self.latest, claim, spent_s)

    # ---- The verdict
    def _conclude(self, claim: Claim, arms: Arms) -> None:
        """Reach the verdict, for today's versions and for the old ones where they were run."""
        verdict = decide(arms, claim, self.dials.subject)
        ratios, then = verdict.ratios, ""
        if _has_then(arms, claim):
            old = decide(arms, claim, self.dials.subject, THEN)
            ratios, then = ratios + old.ratios, str(old)
        self.result = replace(
            self.result,
            rule=rule_of(claim),
            verdict=verdict.word,
            reasons=self._remedied(verdict),
            ratios=ratios,
            then=then,
            by_cpu=verdict.by_cpu,
        )

    def _remedied(self, verdict: Verdict) -> list[str]:
        """Why it is inconclusive, with what to do about it."""
        if not verdict.waits_for or isinstance(self.dials.claim, Outcome):  # they say it
            return verdict.reasons
        remedy = f"use --budget {math.ceil(2 * self.options.budget_s / 60)}m"
        if self.options.mode != "full":
            remedy = "leave out --quick" if self.options.is_quick else "use --full"
        return [f"{reason}: {remedy}" for reason in verdict.reasons]

    def _explain(self, arms: Arms) -> None:
        """What the control arms show, and whether the claim holds for another reason."""
        sentences, ratios = list(self.result.cause), list(self.result.ratios)
        why, another = "", False
        for cause in self.dials.causes:
            if not isinstance(cause, Cause):
                sentences.append(cause(arms))
                continue
            reason = explain(arms, cause, self.dials.subject)
            if reason is None:
                continue
            sentences.append(reason.sentence)
            ratios += [reason.ratio] if reason.ratio else []
            if reason.is_another and not another:
                why, another = reason.sentence, True
        holds = self.result.verdict not in (Word.NOT_REPRODUCED, Word.INCONCLUSIVE)
        self.result = replace(
            self.result,
            cause=sentences,
            ratios=ratios,
            why=why or next(iter(sentences), ""),
            another_reason=another and holds,
        )


def _has_then(arms: Arms, claim: Claim) -> bool:
    """Whether the old arms were run that a claim takes: both of each ratio, or any."""
    if isinstance(claim, Outcome):
        return any(name.endswith(THEN) for name in arms)
    return all({r.over, r.under} <= set(arms) for r in ratios_of(claim, THEN))


def _checked(expect: object, load: Load, server: Server) -> Load:
    """The load of an arm that answers as it should, to expect that of every answer.

    Any other arm stops the experiment before any timing.
    """
    answer = server.ask(load)
    if isinstance(expect, Each):
        expect = expect[load.name.removesuffix(THEN).removesuffix(AGAIN)]
    expectation = Expectation(load.expect)
    expectation.begin()
    expectation.take(answer.text.encode())
    text = expect if isinstance(expect, str) else answer.text
    is_right = text in answer.text if text is expect else expect == answer.value()
    if expectation.find_error(answer.status) or not is_right:
        wanted = f"{load.expect or 200} {expect!r}"
        what = f"answered {answer.status} {answer.text[:60]!r}, not {wanted}"
        raise CannotRun(server.describe(what))
    return load if load.expect or text.isdigit() else replace(load, expect=text or None)


def _spaced(text: str) -> str:
    """JSON with spaces where a line may break; any other text as it is."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return text

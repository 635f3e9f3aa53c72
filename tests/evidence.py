"""How far verdicts can be trusted: experiments on servers of which the truth is known.

    python tests/evidence.py --minutes 20               as many trials as fit, of all kinds
    python tests/evidence.py                            all of them, about 3 hours
    python tests/evidence.py --trials 2 --only 500      two of one kind, to look at
    python tests/evidence.py --table --page docs/method.md      run nothing: write the table

Every trial is an experiment of two arms as a reader would run it, from a bare copy, with a
server whose faults are chosen; on Linux. It is added to the record as soon as it is done, and
what is there already is not run again: so it can be stopped and taken up at any time. The kinds
take turns, each in proportion to its trials. Prints a table in Markdown, and how many trials a
minute there were. Exit status 1 where a bar is missed, which stderr then says.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lab.facts.results import Result  # noqa: E402

PROGRAMS = ROOT / "tests" / "trials" / "programs"
RECORD = ROOT / "results" / "evidence.ndjson"
BEGIN = "<!-- the evidence: python tests/evidence.py --table --page docs/method.md -->"
END = "<!-- end of the evidence -->"
SERVICE_MS = 2.0
ROUNDS = 1  # in a launch: as many launches in as little time as can be
COVERAGE, POWER, ERRORS = 0.93, {1.1: 0.9, 2.0: 0.95}, 0.05  # the bars


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What else goes on meanwhile."""

    what: str
    share: float = 0.0  # of a core, taken by a neighbour
    comes_and_goes: bool = False


CONDITIONS = {
    "quiet": Condition(what="quiet"),
    "10": Condition(what="a neighbour takes 10 % of a core", share=0.1),
    "30": Condition(what="a neighbour takes 30 %", share=0.3),
    "60": Condition(what="a neighbour takes 60 %", share=0.6),
    "comes": Condition(what="one of 60 % comes and goes", share=0.6, comes_and_goes=True),
}


def server(**told: float) -> str:
    """The command line of a server that does as it is told."""
    options = " ".join(f"--{key.replace('_', '-')} {value:g}" for key, value in told.items())
    return f"python told.py {{port}} {options}".strip()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of trial: what is done to the second of two arms, and what must be said of it.

    `truth` is the ratio that must be found. It is None where there must be no verdict, and
    `says` stands in a reason or on stderr instead; or, with `or_by_cpu`, where CPU time decides.
    """

    what: str
    other: str
    base: str = server(service_ms=SERVICE_MS)
    truth: float | None = None
    says: str = ""
    trials: int = 6  # in each condition
    conditions: tuple[str, ...] = ("quiet",)
    budget_s: int = 15  # enough for eight launches: what is not decided by then is inconclusive
    rounds: int = ROUNDS
    connections: int = 8
    load: dict[str, Any] = field(default_factory=dict)
    has_slow_client: bool = False
    or_by_cpu: bool = False


def slowed(ratio: float, trials: int, conditions: tuple[str, ...], budget_s: int) -> Kind:
    other = server(service_ms=SERVICE_MS * ratio)
    return Kind(
        what=f"takes {ratio:g} times as long", other=other, truth=ratio, trials=trials,
        conditions=conditions, budget_s=budget_s,
    )  # fmt: skip


WELL = server(service_ms=SERVICE_MS)
KINDS = {
    "same": Kind(
        what="the same", other=WELL, truth=1.0, trials=100, conditions=tuple(CONDITIONS),
    ),
    "1.1": slowed(1.1, 40, ("quiet", "30"), 30),
    "2": slowed(2.0, 40, ("quiet", "60", "comes"), 15),
    "client": Kind(
        what="slower, but the load generator limits both", base=server(),
        other=server(service_ms=0.2), says="used", has_slow_client=True, or_by_cpu=True,
    ),
    "overflow": Kind(
        what="its listen queue overflows", other=server(backlog=4, service_ms=1),
        says="queue of new connections was full", connections=40, load={"keepalive": False},
    ),
    "500": Kind(
        what="answers 500 to 1 %", other=server(service_ms=1, fail_every=100),
        says="status): look at",
    ),
    "restart": Kind(
        what="restarts", other=server(restart_every=1.5, service_ms=1), says="processes ended",
        rounds=5,  # which last for as long as it takes to restart
    ),
    "wrong": Kind(
        what="answers 1 % wrongly", other=server(service_ms=1, wrong_every=100),
        says="body): look at",
    ),
    "all wrong": Kind(
        what="answers all wrongly", other=server(service_ms=1, wrong_every=1),
        says="server of arm 'other' answered 200 'wrong'",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of one."""

    kind: str
    condition: str
    number: int
    status: int  # exit status of the experiment
    verdict: str
    by_cpu: str  # the word by CPU time, where something blurred the throughput
    reasons: list[str]
    ratio: list[float]  # estimate, low and high of the widened interval that decided; or nothing
    launches: int
    repeated: int
    stderr: str
    took_s: float

    @property
    def differs(self) -> bool:
        """Whether it says that the servers differ: that the interval holds no 1."""
        return bool(self.ratio) and not self.ratio[1] <= 1 <= self.ratio[2]

    def holds(self, truth: float) -> bool:
        return self.ratio[1] <= truth <= self.ratio[2]

    def names(self, kind: Kind) -> bool:
        """Whether it says what must be said."""
        is_said = kind.says in " ".join([*self.reasons, self.stderr])
        return is_said or (kind.or_by_cpu and bool(self.by_cpu))


@contextmanager
def meanwhile(condition: Condition, number: int) -> Iterator[None]:
    """A neighbour, if there is one."""
    if not condition.share:
        yield
        return
    command = [sys.executable, str(PROGRAMS / "neighbour.py"), str(condition.share)]
    command += [str(number)] if condition.comes_and_goes else []
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()


def make_folder(under: Path, kind: Kind) -> Path:
    """A bare copy of what an experiment takes. All trials of a kind share it, compiled."""
    folder = under / ("slow client" if kind.has_slow_client else "plain")
    if folder.exists():
        return folder
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "lab", folder / "lab", ignore=ignored)
    for path in (ROOT / "experiments" / "harness.py", *PROGRAMS.glob("*.py")):
        shutil.copy(path, folder)
    if kind.has_slow_client:
        wire = folder / "lab" / "load" / "wire.py"
        wire.write_text(wire.read_text() + (PROGRAMS / "slow_client.py").read_text())
    return folder


def run_trial(name: str, condition: str, number: int, duration_s: float, under: Path) -> Trial:
    """Run one experiment, from a copy under a folder, and return what it said."""
    kind, folder, began_s = KINDS[name], make_folder(under, KINDS[name]), time.monotonic()
    with meanwhile(CONDITIONS[condition], number):
        arms = {"base": (kind.base, "/", kind.load), "other": (kind.other, "/", kind.load)}
        told = {"arms": arms, "connections": kind.connections, "duration_s": duration_s}
        options = ["--save", "--seed", str(number), "--budget", f"{kind.budget_s}s"]
        options += ["--rounds", str(kind.rounds)]
        saved = folder / "99_trial.json"
        saved.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "99_trial.py", *options],
            cwd=folder,
            env={**os.environ, "TRIAL": json.dumps(told)},
            capture_output=True,
            text=True,
            check=False,
        )
        result = Result.from_json(json.loads(saved.read_text())) if saved.exists() else None
    trial = Trial(
        kind=name, condition=condition, number=number, status=done.returncode, verdict="",
        by_cpu="", reasons=[], ratio=[], launches=0, repeated=0, stderr=done.stderr[-500:],
        took_s=round(time.monotonic() - began_s, 1),
    )  # fmt: skip
    return trial if result is None else with_result(trial, result)


def with_result(trial: Trial, result: Result) -> Trial:
    """The ratio that decided is the claim's own, or that of CPU time where it stood in."""
    own = [ratio for ratio in result.ratios if ratio.claim]
    cost = [ratio for ratio in result.ratios if not ratio.claim]
    stood_in = cost and own and own[0].word != "INCONCLUSIVE" and result.by_cpu == own[0].word
    ends = [ratio.judged for ratio in (cost if stood_in else own)]
    launches = result.load.launches if result.load and result.load.launches else 0
    return Trial(
        **{
            **asdict(trial),
            "verdict": result.verdict,
            "by_cpu": result.by_cpu,
            "reasons": result.reasons,
            "ratio": [ends[0].estimate, ends[0].low, min(ends[0].high, 1e9)] if ends else [],
            "launches": launches,
            "repeated": result.repeated,
        }
    )


# ---- What they show --------------------------------------------------------------------
Trials = Mapping[tuple[str, str], Sequence[Trial]]  # by kind and condition

HEAD = (
    "second server", "meanwhile", "trials", "said to differ", "said to be alike", "no verdict",
    "for the right reason", "interval holds the truth", "median time",
)  # fmt: skip


def make_table(trials: Trials) -> list[str]:
    """The table in Markdown, a row for each kind of trial in each condition."""
    rows = ["| " + " | ".join(HEAD) + " |", "| --- | --- |" + " --: |" * (len(HEAD) - 2)]
    for (name, condition), those in trials.items():
        kind, n = KINDS[name], len(those)
        right = holds = "–"
        if kind.truth is None:
            right = str(sum(one.names(kind) for one in those))
        else:
            known = [one for one in those if one.ratio]
            holds = f"{sum(one.holds(kind.truth) for one in known)} of {len(known)}"
        alike = sum(one.verdict == "REPRODUCED" for one in those)
        counts = [
            n,
            sum(one.differs for one in those),
            alike,
            sum(one.status != 0 for one in those),
        ]
        took = f"{statistics.median(one.took_s for one in those):.0f} s"
        cells = [kind.what, CONDITIONS[condition].what, *map(str, counts), right, holds, took]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def find_missed(trials: Trials) -> Iterator[str]:
    """A sentence for each bar that is not kept."""
    for (name, condition), those in trials.items():
        kind, n = KINDS[name], len(those)
        where = f"{kind.what}, {CONDITIONS[condition].what}"
        if kind.truth is None:
            if (right := sum(one.names(kind) for one in those)) < n:
                yield f"{where}: named in {right} of {n}"
            if alike := sum(one.status == 0 and not one.differs for one in those):
                yield f"{where}: said to be alike in {alike} of {n}"
            continue
        known = [one for one in those if one.ratio]
        if (held := sum(one.holds(kind.truth) for one in known)) < COVERAGE * len(known):
            yield f"{where}: the interval holds the truth in {held} of {len(known)}"
        found = sum(one.differs and one.status == 0 for one in those)
        wrong = sum(one.differs and (one.ratio[0] < 1) != (kind.truth < 1) for one in those)
        if kind.truth == 1 and sum(one.differs for one in those) > ERRORS * n:
            yield f"{where}: said to differ in {sum(one.differs for one in those)} of {n}"
        if kind.truth != 1 and wrong:
            yield f"{where}: the wrong way round in {wrong} of {n}"
        if found < POWER.get(kind.truth, 0) * n and (kind.truth > 1.5 or condition == "quiet"):
            yield f"{where}: found in {found} of {n}"


# ---- The record ------------------------------------------------------------------------
def read_record(path: Path) -> list[Trial]:
    if not path.exists():
        return []
    return [Trial(**json.loads(line)) for line in path.read_text().splitlines()]


def group(trials: Sequence[Trial]) -> dict[tuple[str, str], list[Trial]]:
    """By kind and condition, in the order of KINDS."""
    keys = [(name, c) for name, kind in KINDS.items() for c in kind.conditions]
    found = {key: [t for t in trials if (t.kind, t.condition) == key] for key in keys}
    return {key: those for key, those in found.items() if those}


Key = tuple[str, str, int]  # kind, condition and number of a trial


def list_wanted(only: Sequence[str], trials: int | None) -> list[Key]:
    """All trials, each kind in proportion to its number, so that the hour of the day is no cause
    and whoever stops early has some of each.
    """
    wanted = [
        (number / most, name, condition, number)
        for name in only
        for most in [trials or KINDS[name].trials]
        for condition in KINDS[name].conditions
        for number in range(1, most + 1)
    ]
    return [(name, condition, n) for _, name, condition, n in sorted(wanted, key=lambda w: w[0])]


def run_trials(known: list[Trial], options: argparse.Namespace) -> None:
    """Run what is wanted and not known yet; adds it to `known` and to the record."""
    done = {(one.kind, one.condition, one.number) for one in known}
    wanted = [key for key in list_wanted(options.only, options.trials) if key not in done]
    began_s, count = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as there:
        for key in wanted:
            if time.monotonic() - began_s > 60 * options.minutes:
                break
            count += 1
            print(f"{count} of {len(wanted)}: {' · '.join(map(str, key))}", file=sys.stderr)
            trial = run_trial(*key, options.duration, Path(there))
            known.append(trial)
            with options.output.open("a", encoding="utf-8") as record:
                record.write(json.dumps(asdict(trial)) + "\n")
    took_min = (time.monotonic() - began_s) / 60
    rate = count / max(took_min, 1e-9)
    print(f"{count} trials in {took_min:.1f} minutes: {rate:.1f} a minute", file=sys.stderr)


def write_page(page: Path, table: str) -> None:
    """Put the table between its marks."""
    text = page.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise SystemExit(f"{page}: no place for the table: write {BEGIN} and {END}")
    page.write_text(f"{head}{begin}\n{table}\n{end}{tail}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="How far verdicts can be trusted.")
    add = parser.add_argument
    add("--trials", type=int, metavar="N", help="of each kind in each condition (6 to 100)")
    kinds = ", ".join(KINDS)
    add("--only", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND", help=kinds)
    add("--duration", type=float, default=0.2, metavar="S", help="of an arm in a round (0.2)")
    add("-o", "--output", type=Path, default=RECORD, metavar="FILE", help="the record")
    add("--table", action="store_true", help="run nothing: the table of the record")
    add("--minutes", type=float, default=math.inf, metavar="N", help="begin no trial after these")
    add("--page", type=Path, metavar="FILE", help="write the table there, between its marks")
    options = parser.parse_args()
    known = read_record(options.output)
    if not options.table:
        run_trials(known, options)
    trials = group(known)
    table = "\n".join(make_table(trials))
    print(table)
    if options.page:
        write_page(options.page, table)
    missed = list(find_missed(trials))
    for sentence in missed:
        print(f"evidence.py: missed: {sentence}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

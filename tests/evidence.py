"""How far verdicts can be trusted: experiments on servers of which the truth is known.

    python tests/evidence.py -o results/evidence.json    35 minutes; let nothing else run
    python tests/evidence.py --trials 2 --only 500       one kind, to look at
    python tests/evidence.py --of results/evidence.json  only the table

Every trial is an experiment of two arms as a reader would run it, in a folder of its own, with
a server whose faults are chosen; on Linux. Prints a table in Markdown, for the README; -o keeps
every trial. Exit status 1 where a bar is missed, which stderr then says.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
SHARED = [ROOT / "experiments" / "harness.py", ROOT / "loadgen.py", ROOT / "summarize.py"]
SERVICE_MS = 2.0

Trial = Mapping[str, Any]  # status, verdict, reasons, ratio, stderr and took_s of one

SERVER = '''
"""A server of one process that does as it is told; `--service-ms` is what an answer takes."""
import argparse, asyncio, os, signal, socket, sys, time

add = (parser := argparse.ArgumentParser()).add_argument
add("port", type=int)
add("--service-ms", type=float, default=0.0)
add("--backlog", type=int, default=2048)
add("--fail-every", type=int, default=0)
add("--wrong-every", type=int, default=0)
add("--restart-every", type=float, default=0.0)
told = parser.parse_args()
listener = socket.create_server(("127.0.0.1", told.port), backlog=told.backlog)


class Answers(asyncio.Protocol):
    count, due = 0, 0.0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        Answers.count += 1
        # busy until this answer is due, so many ms after the last, so that overheads are in that
        # time; or after now, where there was nothing to do
        now, service_s = time.perf_counter(), told.service_ms / 1000
        Answers.due = (Answers.due if now < Answers.due + service_s / 2 else now) + service_s
        while time.perf_counter() < Answers.due:
            pass
        every = lambda n: n and not Answers.count % n
        status = "500 Oh" if every(told.fail_every) else "200 OK"
        body = "wrong" if every(told.wrong_every) else "hello"
        self.transport.write(f"HTTP/1.1 {status}\\r\\nContent-Length: 5\\r\\n\\r\\n{body}".encode())
        if b"Connection: close" in data:
            self.transport.close()


async def serve():
    server = await asyncio.get_running_loop().create_server(
        Answers, sock=listener, backlog=told.backlog
    )
    if told.restart_every:  # as where a worker is replaced: it stops listening, and then ends
        await asyncio.sleep(told.restart_every)
        server.close()
        await asyncio.sleep(0.3)
        sys.exit()
    await asyncio.Event().wait()


while told.restart_every and (child := os.fork()):
    signal.signal(signal.SIGTERM, lambda *_: (os.kill(child, signal.SIGKILL), os._exit(0)))
    os.waitpid(child, 0)
asyncio.run(serve())
'''

EXPERIMENT = '''
# /// script
# dependencies = ["numpy"]
# ///
"""99: one server against another

Claim      One is not as fast as the other.
Source     tests/evidence.py
Expect     What this trial did to it.
Run        python 99_trial.py
Not shown  Anything else.
"""
import json
import os

TRIAL = json.loads(os.environ.get("TRIAL", "{}"))
ARMS = {name: tuple(arm) for name, arm in TRIAL.get("arms", {}).items()}

async def app(scope, receive, send):
    if scope["type"] == "http":
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

if __name__ == "__main__":
    from harness import Ratio, experiment

    experiment(
        ARMS, connections=TRIAL["connections"], expect="hello", duration_s=TRIAL["duration_s"],
        claim=Ratio("other", "base", "> 1 or < 1", "holds 1 inside 0.95 to 1.05"),
    )
'''

# What is put at the end of a copy of loadgen.py: a client that takes so long for each answer.
SLOW_CLIENT = """
_received = Wire.data_received


def _slowly(self, data):
    ends = perf_counter_ns() + 1_000_000
    while perf_counter_ns() < ends:
        pass
    _received(self, data)


Wire.data_received = _slowly
"""

SPIN = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
UVICORN = "uvicorn 99_trial:app --no-access-log --port {port}"


def server(**told: float) -> str:
    """The command line of a server that does as it is told."""
    options = " ".join(f"--{key.replace('_', '-')} {value:g}" for key, value in told.items())
    return f"python server.py {{port}} {options}".strip()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of trial: what is done to the second of two arms, and what must be said of it.

    `truth` is the ratio that it must find, None where there must be none and `says` stands in
    a reason or on stderr instead.
    """

    what: str
    other: str
    base: str = server(service_ms=SERVICE_MS)
    truth: float | None = None
    says: str = ""
    trials: int = 6
    connections: int = 8
    load: dict[str, Any] = field(default_factory=dict)
    slow_client: bool = False
    neighbour: bool = False


def slowed(share: float) -> Kind:
    other = server(service_ms=SERVICE_MS * (1 + share))
    what = f"slowed by {100 * share:.0f} %"
    return Kind(what=what, other=other, truth=1 / (1 + share), trials=15)


WELL, BUSY = server(service_ms=SERVICE_MS), "used"
KINDS = {
    "same": Kind(what="the same (uvicorn)", base=UVICORN, other=UVICORN, truth=1.0, trials=40),
    "3": slowed(0.03),
    "5": slowed(0.05),
    "10": slowed(0.10),
    "20": slowed(0.20),
    "neighbour": Kind(
        what="as fast, beside another process", other=WELL, says="close python", neighbour=True,
        trials=15,
    ),
    "quiet": Kind(what="as fast, without it", other=WELL, truth=1.0, trials=15),
    "client": Kind(
        what="slower, but the client limits both", base=server(), other=server(service_ms=0.2),
        says="load generator used", slow_client=True,
    ),
    "overflow": Kind(
        what="its listen queue overflows", other=server(backlog=4, service_ms=1),
        says="queue of new connections was full", connections=40, load={"keepalive": False},
    ),
    "500": Kind(what="answers 500 to 1 %", other=server(service_ms=1, fail_every=100),
        says="status): look at"),
    "restart": Kind(what="restarts", other=server(restart_every=1.5, service_ms=1),
        says="processes ended"),
    "wrong": Kind(what="answers 1 % wrongly", other=server(service_ms=1, wrong_every=100),
        says="body): look at"),
    "all wrong": Kind(what="answers all wrongly", other=server(service_ms=1, wrong_every=1),
        says="server of arm 'other' answered 200 'wrong'"),
}  # fmt: skip


@contextmanager
def neighbour(wanted: bool) -> Iterator[None]:
    """A process that uses all of the first core meanwhile."""
    if not wanted:
        yield
        return
    core = min(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", SPIN, str(core)]) as process:
        try:
            yield
        finally:
            process.kill()


def trial(kind: Kind, number: int, options: argparse.Namespace) -> Trial:
    """Run one experiment, and return what it said."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, neighbour(kind.neighbour):
        folder = Path(name)
        for path in SHARED:
            shutil.copy(path, folder)
        if kind.slow_client:
            module = folder / "loadgen.py"
            head, guard, tail = module.read_text().rpartition('\nif __name__ == "__main__":')
            module.write_text(head + SLOW_CLIENT + guard + tail)
        (folder / "server.py").write_text(SERVER)
        (folder / "99_trial.py").write_text(EXPERIMENT)
        arms = {"base": (kind.base, "/", kind.load), "other": (kind.other, "/", kind.load)}
        told = {"arms": arms, "connections": kind.connections, "duration_s": options.duration}
        command = [sys.executable, "99_trial.py", "--save", "--seed", str(number)]
        done = subprocess.run(
            command + ["--full"] * options.full,
            cwd=folder,
            env=os.environ | {"TRIAL": json.dumps(told)},
            capture_output=True,
            text=True,
            check=False,
        )
        saved = folder / "99_trial.json"
        result = json.loads(saved.read_text()) if saved.exists() else {}
    ratios = [r for r in result.get("ratios", []) if r["metric"] == "throughput"]
    return {
        "status": done.returncode,
        "verdict": result.get("verdict", ""),
        "reasons": result.get("reasons", []),
        "cause": result.get("cause", []),
        "ratio": ratios[0] if ratios else None,
        "stderr": done.stderr,
        "took_s": time.monotonic() - began,
    }


def differs(one: Trial) -> bool:
    """Whether a trial says that there is a difference."""
    return bool(one["verdict"] == "REPRODUCED")


def backwards(truth: float, one: Trial) -> bool:
    """Whether it says so of the wrong one of the two."""
    return differs(one) and (one["ratio"]["estimate"] < 1) != (truth < 1)


def covers(truth: float, one: Trial) -> bool:
    return bool(one["ratio"]["low"] <= truth <= one["ratio"]["high"])


def doubted(one: Trial) -> bool:
    """Whether a gate was closed, and not the interval too wide."""
    return not all(reason.startswith("the interval") for reason in one["reasons"])


def named(kind: Kind, one: Trial) -> bool:
    return kind.says in " ".join([*one["reasons"], one["stderr"]])


HEAD = (
    "second server", "trials", "said to differ", "said to be alike", "no verdict",
    "for the right reason", "interval holds the truth",
)  # fmt: skip


def table(trials: Mapping[str, Sequence[Trial]]) -> list[str]:
    """The table in Markdown, a row for each kind of trial."""
    rows = ["| " + " | ".join(HEAD) + " |", "| --- |" + " --: |" * (len(HEAD) - 1)]
    for name, those in trials.items():
        kind = KINDS[name]
        alike = sum(one["verdict"] == "NOT REPRODUCED" for one in those)
        said, undecided = sum(map(differs, those)), sum(one["status"] != 0 for one in those)
        right = holds = "-"
        if kind.truth is None:
            right = str(sum(named(kind, one) for one in those))
        else:
            ratios = [one for one in those if one["ratio"]]
            holds = f"{sum(covers(kind.truth, one) for one in ratios)} of {len(ratios)}"
        cells = [kind.what, *map(str, (len(those), said, alike, undecided)), right, holds]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def missed(trials: Mapping[str, Sequence[Trial]]) -> Iterator[str]:
    """A sentence for each bar that is not kept.

    Coverage is judged over all trials of which the truth is known, and the power to find a
    difference over those in which no gate was closed.
    """
    inside: list[bool] = []
    for name, those in trials.items():
        kind, n = KINDS[name], len(those)
        if kind.truth is None:
            if (right := sum(named(kind, one) for one in those)) < n:
                yield f"{kind.what}: named in {right} of {n}"
            if verdicts := sum(one["status"] == 0 for one in those):
                yield f"{kind.what}: a verdict all the same in {verdicts} of {n}"
            continue
        truth, clear = kind.truth, [one for one in those if not doubted(one)]
        inside += [covers(truth, one) for one in those if one["ratio"]]
        said = sum(map(differs, those))
        if truth == 1 and said > 0.05 * n:
            yield f"{kind.what}: said to differ in {said} of {n}"
        if truth < 0.92 and sum(map(differs, clear)) < 0.95 * len(clear):
            yield f"{kind.what}: found in {sum(map(differs, clear))} of {len(clear)}"
        if truth != 1 and (wrong := sum(backwards(truth, one) for one in those)):
            yield f"{kind.what}: the wrong way round in {wrong} of {n}"
    if sum(inside) < 0.93 * len(inside):
        yield f"the interval holds the truth in {sum(inside)} of {len(inside)}"


def main() -> int:
    parser = argparse.ArgumentParser(description="How far verdicts can be trusted.")
    add = parser.add_argument
    add("--trials", type=int, metavar="N", help="of each kind (6 to 40)")
    add(
        "--only",
        nargs="+",
        choices=KINDS,
        default=list(KINDS),
        metavar="KIND",
        help="of " + ", ".join(KINDS),
    )
    add(
        "--duration",
        type=float,
        default=0.5,
        metavar="S",
        help="seconds of an arm in a round (0.5)",
    )
    add("--full", action="store_true", help="15 rounds in three launches, not 6")
    add("-o", "--output", type=Path, metavar="FILE", help="keep every trial, as JSON")
    add("--of", type=Path, metavar="FILE", help="run nothing: the table of what -o kept")
    options = parser.parse_args()
    trials = json.loads(options.of.read_text()) if options.of else made(options)
    if options.output:
        one_a_line = {name: list(map(json.dumps, those)) for name, those in trials.items()}
        kinds = [f'"{name}": [\n' + ",\n".join(t) + "\n]" for name, t in one_a_line.items()]
        options.output.write_text("{" + ",\n".join(kinds) + "}\n")
    print("\n".join(table(trials)))
    found = list(missed(trials))
    for sentence in found:
        print(f"evidence.py: missed: {sentence}", file=sys.stderr)
    return 1 if found else 0


def made(options: argparse.Namespace) -> dict[str, list[Trial]]:
    """Run all trials, the kinds in turn, so that the hour of the day is no cause."""
    numbers = {name: options.trials or KINDS[name].trials for name in options.only}
    trials: dict[str, list[Trial]] = {name: [] for name in numbers}
    with tqdm(total=sum(numbers.values()), disable=None, leave=False) as bar:
        for number in range(max(numbers.values())):
            for name, many in numbers.items():
                if number < many:
                    bar.set_description_str(KINDS[name].what)
                    trials[name].append(trial(KINDS[name], number + 1, options))
                    bar.update()
    return trials


if __name__ == "__main__":
    sys.exit(main())

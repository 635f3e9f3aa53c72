"""Put HTTP load on any URL and say what came back, how fast, and whether to believe it.

    python loadgen.py http://127.0.0.1:8000/                   50 connections for 10 s
    python loadgen.py -n 5000 -c 1000 --no-keepalive URL       exactly 5000, as ab does
    python loadgen.py URL_A URL_B                              rounds of both, and the ratio

This is the command line. As a library: ``lab.load.run.run(Load(url=…, requests=1000))``.
"""

from __future__ import annotations

import os
import signal
import sys

if __name__ == "__main__":  # who is interrupted while it imports has nothing to be told
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import argparse
import gc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.facts.errors import CannotRun
from lab.facts.objective import Objective, find_broken, parse_objectives
from lab.facts.records import Objectives, Point, Run
from lab.facts.results import Result
from lab.facts.text import duration, harmless
from lab.load.load import Load
from lab.load.measurement import PartlyLost
from lab.load.options import (
    METRICS,
    add_comparison_options,
    add_load_options,
    add_request_options,
    make_load,
)
from lab.load.progress import Progress
from lab.load.run import run
from lab.load.search import find_max
from lab.reports.terminal import Output, Parser, show

if TYPE_CHECKING:
    from lab.load.relaunch import OwnServer

EXAMPLES = """examples
  python loadgen.py http://127.0.0.1:8000/
      50 connections for 10 s, each sending its next request after an answer
  python loadgen.py -n 5k -c 100 --no-keepalive http://127.0.0.1:8000/
      exactly 5000 requests, a new connection for each
  python loadgen.py -q 200 -z 30s http://127.0.0.1:8000/
      200 requests/s, whether or not the server keeps up with the plan
  python loadgen.py --find-max --slo "p99<50ms,failed<0.1%" http://127.0.0.1:8000/
      the highest rate that keeps the objective
  python loadgen.py --json '{"n": 1}' --expect 200 -o run.json http://127.0.0.1:8000/
      a POST; any other status is an error; the record goes to run.json
  python loadgen.py http://127.0.0.1:8000/a http://127.0.0.1:8000/b
      rounds of both in turn, and their ratio with its interval
  python loadgen.py --cmd-a "uvicorn a:app --port 8001" \\
      --cmd-b "uvicorn b:app --port 8002" http://127.0.0.1:8001/ http://127.0.0.1:8002/
      the same, and both servers are started anew every two rounds

Durations: 10s, 1m30s, 500ms. Counts: 5000, 5k, 1M. Exit status: 0 measured,
1 nothing could be, 2 usage, 3 the objective was broken, 130 interrupted."""


# ---- Options ----------------------------------------------------------------------------
def make_parser() -> Parser:
    parser = Parser(
        prog="loadgen.py",
        usage="python loadgen.py [options] URL [URL …]",
        description="Put HTTP load on a URL; of several, run rounds and give the ratio.",
        epilog=EXAMPLES,
    )
    add_load_options(parser)
    add_request_options(parser)
    add_comparison_options(parser)
    add = parser.add_argument_group("results").add_argument
    nowhere = Output("")
    add(
        "-o",
        "--output",
        type=Output,
        default=nowhere,
        metavar="FILE|-",
        help="write the record as JSON",
    )
    add("--samples", metavar="FILE", help="every answer: .csv as hey's, .ndjson as vegeta's")
    add("--name", default="", metavar="NAME", help="in the record (the URL)")
    add("--pid", type=int, metavar="PID", help="account for this process and its children")
    add("--quiet", action="store_true", help="no progress, no report")
    return parser


# ---- What is done -----------------------------------------------------------------------
def find_misuse(options: argparse.Namespace) -> str:
    """Which options do not go together, or what is missing."""
    if not options.urls and not options.targets_file:
        return "name a URL, such as http://127.0.0.1:8000/, or --targets FILE"
    if options.find_max and not options.slo:
        return '--find-max needs an objective to keep: --slo "p99<50ms,failed<0.1%"'
    if options.precise and not (options.rate or options.ramp or options.find_max):
        return "--precise is for an open loop: add --rate"
    if options.find_max and options.requests:
        return "--find-max tries each rate for a time: -z, not -n"
    if options.ramp and (options.rate or options.find_max):
        return "--ramp says its rates itself: leave out -q and --find-max"
    if len(options.urls) > 1 and any(
        [options.targets_file, options.slo, options.samples, options.abort]
    ):
        return "--targets, --slo, --abort, --find-max and --samples are for one URL"
    if len(options.urls) < 2 and (options.metric or options.cmd_a or options.cmd_b):
        return "--metric, --cmd-a and --cmd-b compare two URLs: name them"
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status: 0, 1, 2, 3 or 130."""
    open_missing_streams()
    parser = make_parser()
    options = parser.parse_args(argv)
    misuse = find_misuse(options)
    if misuse:
        parser.error(misuse)
    try:
        loads = [make_load(options, url) for url in options.urls or [""]]
        servers = find_servers(loads, options)
        objectives = parse_objectives(options.slo or "")
        if options.samples:
            Path(options.samples).touch()  # so that it is an error now if it cannot be
    except (ValueError, OSError) as error:
        parser.error(str(error))
    gc.freeze()  # what imports made is there to stay: nobody need look through it again
    try:
        record = measure(loads, servers, objectives, options)
    except PartlyLost as error:
        finish(error.record, options)
        return fail(str(error))
    except CannotRun as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return 130
    return finish(record, options) or find_status(record)


def find_servers(loads: Sequence[Load], options: argparse.Namespace) -> list[OwnServer]:
    """The servers that are to be started, if any. Raises ValueError."""
    if not options.cmd_a and not options.cmd_b:
        return []
    from lab.load.relaunch import make_servers

    return make_servers({"--cmd-a": options.cmd_a, "--cmd-b": options.cmd_b}, loads)


def fail(why: str) -> int:
    """Say in a line what went wrong; returns the exit status."""
    tell(why)
    return 1


def tell(what: str) -> None:
    with suppress(OSError):  # nobody reads it
        print(f"loadgen.py: {harmless(what)}", file=sys.stderr)


def finish(record: Run | Result, options: argparse.Namespace) -> int:
    """Save the record, then show it. Returns the exit status: 1 where either cannot be done."""
    fault = ""
    try:
        options.output.write(record)
    except OSError as error:
        fault = f"{error}: the record is lost"
    if options.output.has_replaced:
        tell(f"{options.output.path}: another program wrote it meanwhile: this run took its place")
    if not options.quiet and not options.output.is_stdout:
        try:
            show(describe(record))
        except OSError as error:
            fault = fault or f"standard output: {error}: the report is lost"
    return fail(fault) if fault else 0


def open_missing_streams() -> None:
    """Where a standard stream is closed, open nothing in its place, or a socket would take it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115


def find_status(record: Run | Result) -> int:
    """The exit status that says what became of a record."""
    if record.interrupted:
        return 130
    if isinstance(record, Result):
        return 0
    if record.aborted:
        return 3
    if not record.statuses:
        return 1
    return 3 if record.slo and record.slo.broken else 0


def describe(record: Run | Result) -> str:
    """Any record as text."""
    if isinstance(record, Run):
        from lab.reports.report import report

        return report(record)
    from lab.reports.result import report_result

    return report_result(record)


def measure(
    loads: Sequence[Load],
    servers: Sequence[OwnServer],
    objectives: Sequence[Objective],
    options: argparse.Namespace,
) -> Run | Result:
    """Do what the options ask for: a comparison, a search or one run."""
    steps = len(loads) * (options.rounds or 0) if len(loads) > 1 else 0
    with Progress(steps, options.quiet) as progress:
        if len(loads) > 1:
            from lab.load.comparison import Comparison

            return Comparison(
                loads,
                options.seed,
                progress,
                rounds=options.rounds,
                budget_s=options.budget_s,
                name=options.name,
                metric=METRICS[options.metric or "throughput"],
                servers=servers,
            ).run()
        (load,) = loads
        if options.find_max:
            record = search(load, objectives, options.quiet, progress)
        else:
            progress.say(f"loading {load.public_url}")
            record = run(load, progress.show_counts, make_checkpoint(options.output))
    if not objectives:
        return record
    slo = record.slo or Objectives()
    return replace(
        record, slo=replace(slo, asked=options.slo, broken=find_broken(record, objectives))
    )


def make_checkpoint(output: Output) -> Callable[[Run], None] | None:
    """What saves a record that is not whole yet, where it goes to a file.

    That it cannot be saved now is no reason to end: it may be possible when it is whole.
    """
    if not output.path:
        return None

    def save(record: Run) -> None:
        with suppress(OSError):
            output.write(record)

    return save


def search(load: Load, goals: Sequence[Objective], is_quiet: bool, progress: Progress) -> Run:
    """The highest rate that keeps the objectives, with a line for each that was tried."""
    from lab.reports.report import describe_point

    def tell(point: Point) -> None:
        if not is_quiet:
            print(describe_point(point), file=sys.stderr)

    progress.say(f"trying rates for {duration(load.duration_s)} each")
    return find_max(load, goals, tell)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())

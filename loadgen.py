"""Put HTTP load on any URL and say what came back, how fast, and whether to believe it.

    python loadgen.py http://127.0.0.1:8000/                   50 connections for 10 s
    python loadgen.py -n 5000 -c 1000 --no-keepalive URL       exactly 5000, as ab does
    python loadgen.py URL_A URL_B                              rounds of both, and the ratio

This is the command line. As a library: ``lab.load.run.run(Load(url=…, requests=1000))``.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lab.facts.errors import CannotRun
from lab.facts.objective import Objective, find_broken, parse_objectives
from lab.facts.records import Objectives, Point, Run
from lab.facts.results import Result
from lab.facts.text import duration
from lab.load.load import Load
from lab.load.options import COUNT, add_load_options, add_request_options, make_load
from lab.load.progress import Progress
from lab.load.run import run
from lab.load.search import find_max
from lab.reports.terminal import Output, Parser, show

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
    _add_results(parser)
    return parser


def _add_results(parser: Parser) -> None:
    add = parser.add_argument_group("rounds, when there are several URLs").add_argument
    add("--rounds", type=COUNT, metavar="N", default=6, help="of the duration each (6)")
    add("--seed", type=int, default=1, metavar="N", help="of their order, and of all chance (1)")
    add = parser.add_argument_group("results").add_argument
    add(
        "-o",
        "--output",
        type=Output,
        default=Output(""),
        metavar="FILE|-",
        help="the record, as JSON",
    )
    add("--samples", metavar="FILE", help="every answer: .csv as hey's, .ndjson as vegeta's")
    add("--name", default="", metavar="NAME", help="in the record (the URL)")
    add("--pid", type=int, metavar="PID", help="account for this process and its children")
    add("--quiet", action="store_true", help="no progress, no report")


# ---- What is done -----------------------------------------------------------------------
def find_misuse(options: argparse.Namespace) -> str:
    """Which options do not go together, or what is missing."""
    if not options.urls and not options.targets_file:
        return "name a URL, such as http://127.0.0.1:8000/, or --targets FILE"
    if options.find_max and not options.slo:
        return '--find-max needs an objective to keep: --slo "p99<50ms,failed<0.1%"'
    if options.find_max and options.requests:
        return "--find-max tries each rate for a time: -z, not -n"
    if len(options.urls) > 1 and (options.targets_file or options.slo or options.samples):
        return "--targets, --slo, --find-max and --samples are for one URL"
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status: 0, 1, 2, 3 or 130."""
    parser = make_parser()
    options = parser.parse_args(argv)
    misuse = find_misuse(options)
    if misuse:
        parser.error(misuse)
    try:
        loads = [make_load(options, url) for url in options.urls or [""]]
        objectives = parse_objectives(options.slo or "")
        if options.samples:
            Path(options.samples).touch()  # so that it is an error now if it cannot be
    except (ValueError, OSError) as error:
        parser.error(str(error))
    try:
        gc.freeze()  # what imports made is there to stay: nobody need look through it again
        record = measure(loads, objectives, options)
        if not options.quiet and not options.output.is_stdout:
            show(describe(record))
        options.output.write(record)
    except CannotRun as error:
        print(f"loadgen.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"loadgen.py: {error}: the record is lost, the report is above", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return find_status(record, options.rounds)


def find_status(record: Run | Result, rounds: int) -> int:
    """The exit status that says what became of a record."""
    if isinstance(record, Result):
        ran = min(len(arm.rounds) for arm in record.arms.values())
        return 130 if ran < rounds else 0
    if record.interrupted:
        return 130
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
    loads: Sequence[Load], objectives: Sequence[Objective], options: argparse.Namespace
) -> Run | Result:
    """Do what the options ask for: a comparison, a search or one run."""
    steps = len(loads) * options.rounds if len(loads) > 1 else 0
    with Progress(steps, options.quiet) as progress:
        if len(loads) > 1:
            from lab.load.comparison import compare_loads

            return compare_loads(loads, options.rounds, options.seed, progress, options.name)
        (load,) = loads
        if options.find_max:
            record = search(load, objectives, options.quiet, progress)
        else:
            progress.say(f"loading {load.public_url}")
            checkpoint = options.output.write if options.output.path else None
            record = run(load, progress.show_counts, checkpoint)
    if not objectives:
        return record
    slo = record.slo or Objectives()
    return replace(
        record, slo=replace(slo, asked=options.slo, broken=find_broken(record, objectives))
    )


def search(load: Load, goals: Sequence[Objective], is_quiet: bool, progress: Progress) -> Run:
    """The highest rate that keeps the objectives, with a line for each that was tried."""
    from lab.reports.report import describe_point

    def tell(point: Point) -> None:
        if not is_quiet:
            print(describe_point(point), file=sys.stderr)

    progress.say(f"trying rates for {duration(load.duration_s)} each")
    return find_max(load, goals, tell)


if __name__ == "__main__":
    sys.exit(main())

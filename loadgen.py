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
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from lab.facts.errors import CannotRun
from lab.facts.objective import Objective, find_broken, parse_objectives
from lab.facts.records import Objectives, Point, Result, Run
from lab.facts.text import duration, parse_duration
from lab.load.inputs import (
    make_headers,
    parse_count,
    parse_pause,
    parse_rate,
    read_body,
    read_lines,
    read_targets,
)
from lab.load.load import CLIENTS, Load
from lab.load.progress import Progress
from lab.load.run import run
from lab.load.search import STEP_S, find_max
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


Value = TypeVar("Value")


def reads(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """The same parser of a word, for argparse: its error is the line that the user gets."""

    def read(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


COUNT, RATE = reads(parse_count), reads(parse_rate)
TIME, PAUSE = reads(parse_duration), reads(parse_pause)


# ---- Options ----------------------------------------------------------------------------
def make_parser() -> Parser:
    parser = Parser(
        prog="loadgen.py",
        usage="python loadgen.py [options] URL [URL …]",
        description="Put HTTP load on a URL; of several, run rounds and give the ratio.",
        epilog=EXAMPLES,
    )
    _add_load(parser)
    _add_request(parser)
    _add_results(parser)
    return parser


def _add_load(parser: Parser) -> None:
    add = parser.add_argument_group("load").add_argument
    add("urls", nargs="*", metavar="URL")
    add("-c", "--connections", type=COUNT, default=50, metavar="N", help="at once, at most (50)")
    add("-n", "--requests", type=COUNT, metavar="N", help="exactly so many, and then end")
    add(
        "-z",
        "--duration",
        dest="duration_s",
        type=TIME,
        metavar="T",
        help="end after this long (10s)",
    )
    add("-q", "--rate", type=RATE, metavar="R", help="open loop: R requests/s in total")
    add("--arrivals", choices=("constant", "poisson"), default="constant", help="with -q")
    add("--think", dest="think_s", type=PAUSE, metavar="T[..T]", help="wait between two requests")
    add(
        "--warmup",
        dest="warmup_s",
        type=TIME,
        metavar="T",
        default=0.0,
        help="first load uncounted (0)",
    )
    add("--no-keepalive", dest="keepalive", action="store_false", help="connect for each request")
    add(
        "-t",
        "--timeout",
        dest="timeout_s",
        type=TIME,
        metavar="T",
        default=20.0,
        help="of a request (20s)",
    )
    add(
        "--connect-timeout", dest="connect_timeout_s", type=TIME, metavar="T", help="(as --timeout)"
    )
    add("--processes", type=COUNT, metavar="N", default=1, help="that share the load (1)")
    add("--client", choices=CLIENTS, default="wire", help="what sends (wire)")
    add = parser.add_argument_group("objective").add_argument
    add("--slo", metavar="OBJECTIVES", help='exit 3 when broken: "p99<50ms,failed<0.1%%"')
    add("--find-max", action="store_true", help="the highest rate that keeps --slo; -z a step")


def _add_request(parser: Parser) -> None:
    add = parser.add_argument_group("request").add_argument
    add("-m", "--method", metavar="METHOD", help="(GET, or POST where there is a body)")
    add("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", help="repeatable")
    add("-d", "--data", metavar="BODY|@FILE", help="the body")
    add("-D", "--data-file", metavar="FILE", help="the body, from a file")
    add("--json", metavar="VALUE", help="the body, and its content type")
    add("--lines", dest="lines_file", metavar="FILE", help="a body a line, in turn")
    add(
        "--targets",
        dest="targets_file",
        metavar="FILE",
        help="lines of [WEIGHT] METHOD URL [@BODY]",
    )
    add("-T", "--content-type", metavar="TYPE", help="of the body (text/plain)")
    add("-a", "--auth", metavar="USER:PASSWORD", help="basic authentication")
    add("--insecure", action="store_true", help="take any certificate")
    add("--unix-socket", metavar="PATH", help="connect there instead of to the URL's host")
    add("--follow", type=COUNT, metavar="N", default=0, help="redirects at most (0)")
    add("--expect", metavar="STATUS|TEXT", help="all else is an error (a status above 399)")


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
def make_load(options: argparse.Namespace, url: str) -> Load:
    """The Load that the options ask for. Raises ValueError or OSError."""
    named = {field.name: getattr(options, field.name, None) for field in fields(Load)}
    given = {key: value for key, value in named.items() if value is not None}
    given["body"] = read_body(options.data or "", options.data_file, options.json)
    if options.lines_file:
        given["lines"] = read_lines(Path(options.lines_file))
    if options.targets_file:
        given["targets"] = read_targets(Path(options.targets_file), url)
        url = url or given["targets"][0][2]
    has_body = bool(given["body"] or options.lines_file)
    kind = options.content_type
    if has_body and not kind:
        kind = "application/json" if options.json else "text/plain"
    given["headers"] = make_headers(options.header, kind, options.auth)
    given["method"] = options.method or ("POST" if has_body else "GET")
    if options.find_max and not options.duration_s:
        given["duration_s"] = STEP_S
    return Load(**given | {"url": url})


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


def search(load: Load, objectives: Sequence[Objective], is_quiet: bool, progress: Progress) -> Run:
    """The highest rate that keeps the objectives, with a line for each that was tried."""
    from lab.reports.report import describe_point

    def tell(point: Point) -> None:
        if not is_quiet:
            print(describe_point(point), file=sys.stderr)

    progress.say(f"trying rates for {duration(load.duration_s)} each")
    return find_max(load, goals, tell)


if __name__ == "__main__":
    sys.exit(main())

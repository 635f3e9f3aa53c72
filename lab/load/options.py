"""The options of a load on a command line, and the load that they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from lab.facts.results import PERCENTILES, Metric
from lab.facts.text import parse_duration
from lab.load.inputs import (
    make_headers,
    parse_count,
    parse_pause,
    parse_ramp,
    parse_rate,
    read_body,
    read_lines,
    read_targets,
)
from lab.load.load import CLIENTS, Load
from lab.load.rounds import BUDGET_S, LONG_ROUND_S, ROUND_S
from lab.load.search import STEP_S

Value = TypeVar("Value")


def reads(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """The same parser of a word, for argparse: its error is the line that the user gets."""

    def read(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


METRICS = {"throughput": Metric.THROUGHPUT} | {m.removesuffix("_s"): m for m in PERCENTILES}
COUNT, RATE = reads(parse_count), reads(parse_rate)
TIME, PAUSE, RAMP = reads(parse_duration), reads(parse_pause), reads(parse_ramp)


def add_load_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("load").add_argument
    add("urls", nargs="*", metavar="URL")
    add("-c", "--connections", type=COUNT, default=50, metavar="N", help="connections at once (50)")
    add("-n", "--requests", type=COUNT, metavar="N", help="exactly N requests")
    add(
        "-z",
        "--duration",
        dest="duration_s",
        type=TIME,
        metavar="T",
        help="end after T (10s)",
    )
    add("-q", "--rate", type=RATE, metavar="R", help="open loop: R requests/s in total")
    add(
        "--ramp",
        type=RAMP,
        metavar="R..R",
        help="open loop: from one rate to the other over the duration",
    )
    add("--arrivals", choices=("constant", "poisson"), default="constant", help="with -q or --ramp")
    add("--precise", action="store_true", help="spin before each, for a smaller send lag")
    add("--think", dest="think_s", type=PAUSE, metavar="T[..T]", help="pause between two requests")
    add(
        "--warmup",
        dest="warmup_s",
        type=TIME,
        metavar="T",
        default=0.0,
        help="load first, uncounted, for T (0)",
    )
    add("--no-keepalive", dest="keepalive", action="store_false", help="connect for each request")
    add(
        "-t",
        "--timeout",
        dest="timeout_s",
        type=TIME,
        metavar="T",
        default=20.0,
        help="how long to wait for an answer (20s)",
    )
    add(
        "--connect-timeout", dest="connect_timeout_s", type=TIME, metavar="T", help="(as --timeout)"
    )
    _add_client_options(parser)
    add = parser.add_argument_group("objective").add_argument
    add("--slo", metavar="OBJECTIVES", help='exit 3 when broken: "p99<50ms,failed<0.1%%"')
    add("--abort", metavar="CONDITIONS", help='end early, exit 3: "failed>5%%,p99>2s"')
    add("--find-max", action="store_true", help="the highest rate that keeps --slo; -z a step")


def _add_client_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("who sends it").add_argument
    add(
        "--processes",
        type=COUNT,
        metavar="N",
        default=1,
        help="share the load among N processes (1)",
    )
    add(
        "--cluster",
        metavar="ADDRESS|FILE|local",
        default="",
        help="share the load among the workers of a Dask cluster",
    )
    add("--client", choices=CLIENTS, default="wire", help="what sends the requests (wire)")


def add_request_options(parser: argparse.ArgumentParser) -> None:
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
    add("--server-timing", action="store_true", help="split times by the Server-Timing header")
    add("--expect", metavar="STATUS|TEXT", help="all else is an error (a status above 399)")


def add_comparison_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("several URLs, in rounds until it is decided").add_argument
    add("--budget", dest="budget_s", type=TIME, metavar="T", default=BUDGET_S, help="at most (1m)")
    add("--rounds", type=COUNT, metavar="N", help="exactly so many instead")
    add("--seed", type=int, default=1, metavar="N", help="of the random order (1)")
    add(
        "--metric",
        choices=METRICS,
        metavar="METRIC",
        help="by p50, p90, p95 or p99 (throughput)",
    )
    add(
        "--cmd-a",
        metavar="COMMAND",
        help="start the server of the first of two URLs again and again",
    )
    add("--cmd-b", metavar="COMMAND", help="and the second's, so that launches count")


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
    if not options.duration_s and not options.requests:
        if options.find_max:
            given["duration_s"] = STEP_S
        elif len(options.urls) > 1:
            is_of_times = METRICS[options.metric or "throughput"] in PERCENTILES
            given["duration_s"] = LONG_ROUND_S if is_of_times else ROUND_S
    return Load(**given | {"url": url})

"""The command line that every experiment has."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from lab.facts.text import parse_duration
from lab.reports.plot import picture
from lab.reports.terminal import Parser

BUDGETS_S = {"quick": 0.0, "plain": 180.0, "full": 600.0}
EPILOG = """Exit status: 0 a verdict, 3 inconclusive, 1 it could not run, 2 usage,
130 interrupted."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for."""

    mode: str  # quick, plain or full
    then: bool
    against_itself: str | None  # the name of an arm; "" is the first
    budget_s: float  # it is to be decided within
    rounds: int | None
    duration_s: float | None
    connections: int | None
    seed: int
    client: str
    cluster: str  # of Dask, whose workers put the load on
    host: str  # at which they reach this machine
    list: bool
    serve: str | None
    port: int
    markdown: bool
    plot: Path | None
    save: bool

    @property
    def is_quick(self) -> bool:
        return self.mode == "quick"


def parse_count(text: str) -> int:
    """A whole number above 0."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a count: write 1 or more")
    return int(text)


def parse_time(text: str) -> float:
    """A duration above 0, in seconds."""
    try:
        time_s = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not time_s:
        raise argparse.ArgumentTypeError(f"{text!r} is no time at all: write 10s or 3m")
    return time_s


def make_parser(name: str, title: str) -> Parser:
    parser = Parser(prog=name, usage=f"python {name} [options]", description=title, epilog=EPILOG)
    add = parser.add_argument_group("how long").add_argument
    add("--quick", action="store_true", help="a smoke verdict in about 10 s, of one launch")
    add("--full", action="store_true", help="up to 10 minutes, not 3: the form that is recorded")
    add("--budget", type=parse_time, metavar="T", help="decide within T, such as 90s or 20m")
    add("--then", action="store_true", help="also on the versions the claim was made about")
    add("--aa", nargs="?", const="", metavar="ARM", help="compare one arm with itself")
    add("--rounds", type=parse_count, metavar="N", help="in each launch of the servers, at most")
    add("--duration", type=parse_time, metavar="T", help="of each arm in each round")
    add("--connections", type=parse_count, metavar="N", help="at once, for all arms")
    add("--seed", type=int, default=1, metavar="N", help="of the order in the rounds (1)")
    add("--client", choices=("wire", "aiohttp"), default="wire", help="(wire)")
    add("--cluster", metavar="ADDRESS", default="", help="load from a Dask cluster's workers")
    add("--host", metavar="ADDRESS", default="", help="at which they reach the servers here")
    add = parser.add_argument_group("instead").add_argument
    add("--list", action="store_true", help="only list the arms")
    add("--serve", metavar="ARM", help="only serve this arm, to look at it or load it yourself")
    add("--port", type=int, default=8000, metavar="N", help="with --serve (8000)")
    add = parser.add_argument_group("results").add_argument
    add("--markdown", action="store_true", help="print Markdown to paste")
    add("--plot", type=picture, metavar="FILE", help="draw an .svg or .png")
    add("--save", action="store_true", help="record the result in results/")
    return parser


def parse_options(parser: Parser) -> Options:
    """The options of this process's command line."""
    given = parser.parse_args()
    mode = "plain"
    if given.full:
        mode = "full"
    if given.quick:
        mode = "quick"
    return Options(
        mode=mode,
        then=given.then,
        against_itself=given.aa,
        budget_s=given.budget or BUDGETS_S[mode],
        rounds=given.rounds,
        duration_s=given.duration,
        connections=given.connections,
        seed=given.seed,
        client=given.client,
        cluster=given.cluster,
        host=given.host,
        list=given.list,
        serve=given.serve,
        port=given.port,
        markdown=given.markdown,
        plot=given.plot,
        save=given.save,
    )

"""The arms of an experiment: what a script says of each, and what is measured of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from lab.facts.records import Memory, Point, Run
from lab.facts.results import Arm
from lab.facts.rounds import make_arm
from lab.load.load import Load
from lab.trials.servers import cores_for, count_workers

AGAIN = " again"  # what the name of an arm ends in that is compared with itself
NO_FIELDS = ("beside", "generator", "scheme")  # of a Load
BESIDE_S = 3600.0  # a load beside another goes on for longer than that lasts


class Setup(NamedTuple):
    """A server, what to ask of it, and what else is special about its load.

    `more` holds fields of Load, and three others: "beside" is another load that a second process
    puts on the same server meanwhile ({"path": "/work"}), "generator" the command of another
    tool to load it with ("wrk -c{connections} -d{duration_s}s {url}"; the duration is in whole
    seconds, and {seconds} is the exact one), and "scheme" is "https" for TLS.
    """

    command: str
    path: str
    more: Mapping[str, Any] = {}

    @property
    def generator(self) -> str:
        return str(self.more.get("generator", ""))

    def beside(self, url: str) -> Load | None:
        """The load that goes on meanwhile, if there is one."""
        if "beside" not in self.more:
            return None
        fields = {"duration_s": BESIDE_S, **self.more["beside"]}
        return Load(url=url + fields.pop("path"), **fields)


Setups = Mapping[str, Setup]


@dataclass(frozen=True, kw_only=True)
class Dose:
    """How much load an arm gets, and how much less of it with --quick."""

    load: Load  # what all arms have in common
    share: float = 1.0  # of durations and requests

    def shortened(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """These fields of a load, the durations and requests among them shortened."""
        less = dict(fields)
        if less.get("duration_s"):
            less["duration_s"] *= self.share
        if less.get("requests"):
            less["requests"] = math.ceil(less["requests"] * self.share)
        return less

    def cut(self, share: float) -> Dose:
        """The same, but all durations and requests are only a share of it."""
        cut = replace(self, share=share)
        amount = cut.shortened({"requests": self.load.requests, "duration_s": self.load.duration_s})
        return Dose(load=replace(self.load, **amount), share=share * self.share)

    def of(self, setup: Setup, name: str, url: str, pid: int) -> Load:
        """The load of an arm; one of so many requests ends with them."""
        own: dict[str, Any] = {"duration_s": None} if setup.more.get("requests") else {}
        own |= {k: v for k, v in setup.more.items() if k not in NO_FIELDS}
        own = self.shortened(own)
        scheme = setup.more.get("scheme", "http")
        url = scheme + url.removeprefix("http") + setup.path
        return replace(self.load, **own, url=url, name=name, pid=pid)


@dataclass(kw_only=True)
class Seen:
    """What has been seen of an arm until now."""

    setup: Setup
    versions: dict[str, str]
    expected: str = ""
    command: str = ""  # as it was last run
    port: int | None = None
    backlog: int | None = None
    idle: Memory = field(default_factory=Memory)
    runs: list[Run] = field(default_factory=list)
    launches: list[int] = field(default_factory=list)  # the launch of each run
    said: list[Any] = field(default_factory=list)
    log: dict[str, int] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)

    def to_arm(self) -> Arm:
        servers_cores, _ = cores_for(self.setup.command)
        workers = count_workers(self.setup.command)
        return replace(
            make_arm(self.runs, self.launches, workers, len(servers_cores)),
            command=self.command,
            path=self.setup.path,
            port=self.port,
            expected=self.expected,
            versions=self.versions,
            backlog=self.backlog,
            idle=self.idle,
            said=list(self.said),
            log=dict(self.log),
            curve=self.curve,
        )

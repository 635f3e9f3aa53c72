"""A trial: launches of all servers, a few rounds in each, until it is decided."""

from __future__ import annotations

import math
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http.client import HTTPException
from pathlib import Path

from lab.facts.errors import CannotRun, Interrupted
from lab.facts.merging import merge
from lab.facts.objective import point_of
from lab.facts.records import Run, Topic
from lab.facts.results import Arm
from lab.facts.rounds import balanced_orders
from lab.facts.text import count_of
from lab.facts.validity import OF_THE_MACHINE, find_margin
from lab.load.listenqueue import read_listen_queue
from lab.load.load import Load
from lab.load.machine import Machine
from lab.load.progress import SILENT_S, Progress
from lab.load.rounds import warm_up
from lab.load.run import run
from lab.load.schedule import LAUNCHES, Pace, Schedule
from lab.trials.arms import Dose, Seen, Setups
from lab.trials.generator import generate, load_beside
from lab.trials.servers import (
    FIRST_START_S,
    HOST,
    Server,
    count_workers,
    run_servers,
    stay_on,
    versions_of,
)

LEAST_HALF_S, LEAST_EACH = 0.2, 10  # half of a load takes so long, and so many a connection
DISTURBED, FELLOWS = 0.05, 3.0  # a round lost so much of its time, and so much more than others

Look = Callable[[Mapping[str, Arm]], str]  # what it still waits for; "" when it is decided
Check = Callable[[Load, Server], Load]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a trial is made of."""

    setups: Setups
    folder: Path  # of the script, in which servers run
    dose: Dose
    schedule: Schedule
    warmup_s: float
    is_quick: bool  # one launch, however wide the interval
    seed: int
    host: str = HOST  # at which the client reaches the servers
    packages: frozenset[str]  # whose versions are looked up in old arms
    expected: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)  # of services
    shared: bool = False  # arms with one command share a server
    compared: Sequence[tuple[str, str]] = ()  # arms that follow one another in a round
    in_turns: Sequence[tuple[str, str]] = ()  # of these, what is loaded by halves
    ask_after: str = ""
    log_counts: Mapping[str, str] = field(default_factory=dict)
    shares: Sequence[float] = ()

    def server_of(self, name: str) -> str:
        """The arm whose server an arm is put to: where they share, the first of its command."""
        if not self.shared:
            return name
        command = self.setups[name].command
        return next(first for first, setup in self.setups.items() if setup.command == command)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One round: the run of every arm, and how much of the time others took in it."""

    runs: dict[str, Run]
    disturbance: float
    took_s: float = 0.0  # all of it

    @property
    def loaded_s(self) -> float:
        """How long it loaded the arms, all together."""
        return sum(done.elapsed_s for done in self.runs.values())


def find_disturbed(turns: Sequence[Turn], fellows: Sequence[Turn]) -> Turn | None:
    """The worst of some rounds, where the machine took far more of its time than of most of its
    fellows'. Its results are not looked at.
    """
    usual = statistics.median(turn.disturbance for turn in fellows)
    worst = max(turns, key=lambda turn: turn.disturbance)
    return worst if worst.disturbance > max(DISTURBED, FELLOWS * usual) else None


def half_of(load: Load) -> Load | None:
    """Half of a load; None where that would be too little to be like the whole: a burst of many
    connections, which all wait for the last, or a moment.
    """
    fewer = load.requests and math.ceil(load.requests / 2)
    shorter_s = load.duration_s and load.duration_s / 2
    is_burst = fewer and load.connections > 1 and fewer < LEAST_EACH * load.connections
    if is_burst or (shorter_s and shorter_s < LEAST_HALF_S):
        return None
    return replace(load, requests=fewer, duration_s=shorter_s)


def join_parts(parts: Sequence[Run], load: Load) -> Run:
    """The parts of a load as one run of the whole."""
    if len(parts) == 1:
        return parts[0]
    whole = merge(parts)
    asked = replace(whole.load, requests=load.requests, duration_s=load.duration_s)
    return replace(whole, load=asked)


class Trial:
    """Measures a plan: `measure` returns the arms, as far as it was decided or may take."""

    def __init__(self, plan: Plan, check: Check, look: Look, more_s: Callable[[float], float]):
        self.plan, self.check, self.look, self.more_s = plan, check, look, more_s
        self.orders = balanced_orders(list(plan.setups), plan.seed, plan.compared)
        self.turns: list[Turn] = []  # of all launches, without those done again
        self.repeated = 0
        self.asked = 0  # rounds, without those done again
        self.seen: dict[str, Seen] = {}
        self.began_s = self.over_s = 0.0  # when it began; how far it went beyond its budget
        self.amount = plan.schedule.full  # of the launch under way
        self.pace: Pace | None = None  # of the launch before

    def measure(self) -> dict[str, Arm]:
        """All launches, until it is decided or the budget is spent."""
        launch = 0
        with Progress() as progress:
            self._look_up(progress)
            self.began_s = time.monotonic()  # what had to be downloaded is there
            while True:
                launch_s = time.monotonic()
                self.amount = self.plan.schedule.next_amount(
                    launch, self.spent_s, self.amount, self.pace
                )
                with self._launched(launch, progress) as (loads, servers):
                    turns = self._take_turns(launch, loads, servers, progress)
                    self._note(servers)
                    self.pace = self._find_pace(time.monotonic() - launch_s, turns)
                    if self._is_last(launch, self.spent_s, self.pace, progress):
                        self.over_s = max(0.0, self.spent_s - self.plan.schedule.budget_s)
                        self._draw_curves(loads, servers, progress)
                        break
                self.pace = self._find_pace(time.monotonic() - launch_s, turns)  # with its end
                launch += 1
        return self.arms()

    @property
    def spent_s(self) -> float:
        return time.monotonic() - self.began_s

    def _find_pace(self, launch_s: float, turns: Sequence[Turn]) -> Pace:
        took_s, loaded_s = [t.took_s for t in turns], [t.loaded_s for t in turns]
        return Pace.of(launch_s, took_s, loaded_s, self.amount.share)

    def arms(self) -> dict[str, Arm]:
        return {name: seen.to_arm() for name, seen in self.seen.items()}

    def _look_up(self, progress: Progress) -> None:
        plan = self.plan
        if any(setup.command.startswith("uv ") for setup in plan.setups.values()):
            progress.say("looking up the old versions", takes_s=FIRST_START_S)
        for name, setup in plan.setups.items():
            versions = versions_of(setup.command, plan.packages, plan.folder)
            expected = plan.expected.get(name, "")
            self.seen[name] = Seen(setup=setup, versions=versions, expected=expected)

    @contextmanager
    def _launched(
        self, launch: int, progress: Progress
    ) -> Iterator[tuple[dict[str, Load], dict[str, Server]]]:
        """All servers, ready, checked and warm, with the load of each."""
        plan = self.plan
        of = {name: plan.server_of(name) for name in plan.setups}
        firsts = {first: plan.setups[first] for first in of.values()}
        commands = {name: (setup.command, setup.path) for name, setup in firsts.items()}
        is_first = launch == 0 and any(c.startswith("uv ") for c, _ in commands.values())
        text = f"launch {launch + 1}: starting {count_of(len(commands), 'server')}"
        progress.say(text, takes_s=FIRST_START_S if is_first else 0.0)
        with run_servers(commands, plan.folder, plan.environment, plan.host) as started:
            servers = {name: started[first] for name, first in of.items()}
            for name, server in servers.items():
                self.seen[name].idle = Machine(server.pid).memory()
            progress.say(f"launch {launch + 1}: warming up")
            loads = {}
            dose = plan.dose.cut(self.amount.share)
            for name, server in servers.items():
                load = dose.of(plan.setups[name], name, server.url, server.pid)
                loads[name] = self.check(load, server)
            for load in loads.values():
                warm_up(load, plan.warmup_s, progress.remind)
            yield loads, servers

    def _take_turns(
        self, launch: int, loads: Mapping[str, Load], servers: Mapping[str, Server],
        progress: Progress,
    ) -> list[Turn]:  # fmt: skip
        """The rounds of a launch, and those again that the machine disturbed: at most as many
        again as were asked for, and while there is time. Returns all of them.
        """
        turns, rounds = [], self.amount.rounds
        for number in range(rounds):
            say = f"launch {launch + 1}, round {number + 1} of {rounds}"
            turns.append(self._take_turn(loads, servers, say, progress))
        self.asked += rounds
        taken, may_repeat = [*turns], self.plan.schedule.may_repeat
        while self.repeated < self.asked and may_repeat(launch, self.spent_s, taken[-1].took_s):
            worst = find_disturbed(turns, [*self.turns, *turns])
            if worst is None:
                break
            self.repeated += 1
            turns.remove(worst)
            say = f"launch {launch + 1}, a disturbed round again"
            turns.append(self._take_turn(loads, servers, say, progress))
            taken.append(turns[-1])
        self.turns += turns
        for turn in turns:
            for name, done in turn.runs.items():
                self.seen[name].runs.append(done)
                self.seen[name].launches.append(launch)
        return taken

    def _take_turn(
        self, loads: Mapping[str, Load], servers: Mapping[str, Server], say: str,
        progress: Progress,
    ) -> Turn:  # fmt: skip
        began_s, parts = time.monotonic(), defaultdict[str, list[Run]](list)
        for load in self._take_apart(next(self.orders), loads):
            name = load.name
            progress.say(f"{say}: {name}")
            parts[name].append(self._put(load, servers[name], progress))
            if parts[name][-1].interrupted:
                raise Interrupted
        runs = {name: join_parts(done, loads[name]) for name, done in parts.items()}
        lost = (self._lost(name, done) for name, done in runs.items())
        return Turn(runs=runs, disturbance=max(lost), took_s=time.monotonic() - began_s)

    def _take_apart(self, order: Sequence[str], loads: Mapping[str, Load]) -> Iterator[Load]:
        """The loads of a round, one after the other. Two that take turns have half of their load
        each time: the first, the second, the second, the first. So a change of the machine's
        speed meanwhile tells less.
        """
        in_turns = {frozenset(pair) for pair in self.plan.in_turns}
        left = [loads[name] for name in order]
        while left:
            two = left[:2]
            halves = [half_of(load) for load in two]
            if frozenset(load.name for load in two) in in_turns and all(halves):
                yield from (half for half in (*halves, *halves[::-1]) if half)
                del left[:2]
            else:
                yield left.pop(0)

    def _lost(self, name: str, done: Run) -> float:
        """How much of the time others took; a client that shares its cores waits for servers."""
        topics = set(OF_THE_MACHINE)
        if count_workers(self.plan.setups[name].command) > 1:
            topics -= {Topic.QUEUED, Topic.LAG}
        return find_margin(done, topics)

    def _put(self, load: Load, server: Server, progress: Progress) -> Run:
        """Load an arm once, in its own way, and look which of its processes were replaced."""
        setup = self.plan.setups[load.name]
        stay_on(server.client_cores)
        if not server.known:
            server.note_processes()
        try:
            with load_beside(setup.beside(server.url)):
                if setup.generator:
                    done = generate(setup.generator, load, self.plan.folder)
                else:
                    done = run(load, progress.remind)
        except CannotRun as error:
            raise CannotRun(server.describe(f"could not be loaded ({error})")) from None
        server.rest()
        assert done.server is not None  # its process is known
        return replace(done, server=replace(done.server, replaced=server.note_processes()))

    def _is_last(self, launch: int, spent_s: float, pace: Pace, progress: Progress) -> bool:
        """Whether to stop: it is decided, or there is no time for another launch."""
        schedule = self.plan.schedule
        has_room = schedule.has_room(launch + 1, spent_s, self.amount, pace)
        if self.plan.is_quick or not has_room:
            return True
        if launch + 1 < LAUNCHES:
            return False
        waits_for = self.look(self.arms())
        if waits_for:
            more_s = max(self.more_s(spent_s), pace.takes_s(self.amount))
            left_s = schedule.budget_s - spent_s
            after = f"about {more_s:.0f} s more"
            if more_s > left_s:
                after = f"the budget ends in {left_s:.0f} s"
            progress.say(f"{waits_for}: {after}", takes_s=SILENT_S)
        return not waits_for

    def _note(self, servers: Mapping[str, Server]) -> None:
        """What else is to be known of the servers at the end of a launch."""
        for name, server in servers.items():
            seen = self.seen[name]
            seen.command, seen.port = server.command, server.port
            queue = read_listen_queue(server.port)
            seen.backlog = queue.limit if queue else None
            if self.plan.ask_after:
                seen.said.append(self._ask(server))
            lines = server.output() if self.plan.log_counts else []
            for what, pattern in self.plan.log_counts.items():
                counted = sum(bool(re.search(pattern, line)) for line in lines)
                seen.log[what] = seen.log.get(what, 0) + counted

    def _ask(self, server: Server) -> object:
        try:
            return server.ask(Load(url=server.url + self.plan.ask_after)).value()
        except (OSError, HTTPException) as error:
            return f"no answer: {error!r}"

    def _draw_curves(
        self, loads: Mapping[str, Load], servers: Mapping[str, Server], progress: Progress
    ) -> None:
        """What becomes of an open loop at shares of the requests/s that a closed loop had."""
        for name, load in loads.items() if self.plan.shares else ():
            progress.say(f"open loops: {name}")
            capacity = statistics.median(done.throughput for done in self.seen[name].runs)
            asked = replace(load, duration_s=self.plan.dose.load.duration_s, requests=None)
            put = partial(self._put, server=servers[name], progress=progress)
            self.seen[name].curve = [
                point_of(put(replace(asked, rate=share * capacity))) for share in self.plan.shares
            ]

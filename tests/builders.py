"""Records for tests: nothing is wrong with them, but for what a test asks for."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lab.facts.histogram import Histogram
from lab.facts.merging import merge
from lab.facts.records import (
    Asked,
    ClientCost,
    Connections,
    Environment,
    Histograms,
    Run,
    Second,
    ServerCost,
)
from lab.facts.results import Arm, Evidence, MeasuredRatio, Metric, Result, Round
from lab.facts.text import WIDTH
from lab.facts.validity import find_doubts, judge

STARTED = "2026-11-20T10:49:26+00:00"
URL = "http://127.0.0.1:8000/"
ENVIRONMENT = Environment(
    cpu="AMD EPYC",
    cores=2,
    kernel="Linux 6.18.44",
    python="3.11.7",
    command="python loadgen.py -c 20 -z 1s http://127.0.0.1:8000/",
    commit="4a33e32",
    packages={"fastapi": "0.163.2", "uvicorn": "0.54.0"},
    load_average=0.25,
)
LOAD = Asked(url=URL, connections=20, duration_s=1.0)
CLIENT = ClientCost(
    cpu_s=0.2,
    queued_s=0.001,
    loop_lag_s=0.0002,
    in_flight=20.0,
    neighbour="cron (process 7)",
    neighbour_busy=0.01,
)
SERVER = ServerCost(cpu_s=0.5, rss_bytes=48_200_000, processes=1, threads=3)
OPEN_LOOP = replace(LOAD, rate=100.0)
SLOW = (98.0, 99.0, 100.0, 101.0, 102.0, 103.0)  # requests/s, round by round


def exponential_s(count: int, mean_s: float, floor_s: float = 0.0) -> list[float]:
    """As many quantiles of a shifted exponential distribution, at even ranks."""
    ranks = (np.arange(count) + 0.5) / count
    return list(floor_s - mean_s * np.log1p(-ranks))


STEADY_S = exponential_s(100, 0.02, floor_s=0.1)


# ---- One run ---------------------------------------------------------------------------
def make_run(
    latency_s: Sequence[float] = STEADY_S,
    *,
    elapsed_s: float = 1.0,
    failed: int = 0,
    unfinished: int = 0,
    lag_s: float = 0.0,
    load: Asked = LOAD,
    client: ClientCost = CLIENT,
    server: ServerCost | None = SERVER,
    **fields: Any,
) -> Run:
    """A run with these response times. The CPU times of both sides are those of one second."""
    count = len(latency_s)
    requests = count + failed + unfinished
    client = replace(client, cpu_s=client.cpu_s * elapsed_s)
    run = Run(
        name=URL,
        started=STARTED,
        elapsed_s=elapsed_s,
        load=load,
        ok=count,
        failed=failed,
        unfinished=unfinished,
        statuses={"200": count} if count else {},
        errors={"timeout": failed} if failed else {},
        histograms=Histograms(
            latency_s=Histogram.of_seconds(latency_s),
            service_s=Histogram.of_seconds(latency_s),
            send_lag_s=Histogram.of_seconds([lag_s] * count),
            failed_s=Histogram.of_seconds([20.0] * failed),
        ),
        series=[Second(time=elapsed_s, ok=count, failed=failed, p50=0.1)],
        connections=Connections(opened=20, dns_s=0.00364, connect_s=0.00197),
        client=client.spread_over(requests, elapsed_s, load.processes),
        server=server.spread_over(requests, elapsed_s) if server else None,
        environment=ENVIRONMENT,
    )
    return judge(replace(run, **fields))


def make_runs(throughputs: Iterable[float], **changes: Any) -> list[Run]:
    """A run of 100 successes for each throughput."""
    return [make_run(elapsed_s=100 / float(value), **changes) for value in throughputs]


def make_pair() -> list[Run]:
    """Two runs to show: one with everything in it, and one of another server."""
    fastapi = make_run(
        exponential_s(1200, 0.02, floor_s=0.1),
        failed=4,
        unfinished=1,
        elapsed_s=7.5,
        client=replace(CLIENT, cpu_s=0.13, in_flight=19.9),
        statuses={"200": 1200, "503": 1},
        errors={"status": 1, "timeout": 3},
        name="FastAPI",
    )
    flask = make_run(exponential_s(15_000, 0.4, 0.00004), elapsed_s=40.0, name="Flask")
    return [fastapi, flask]


# ---- Rounds of several arms ------------------------------------------------------------
def make_arm(runs: Sequence[Run], launches: Sequence[int] = (), **fields: Any) -> Arm:
    """An arm whose rounds were these runs, each of the launch with its number."""
    rounds = [
        Round(
            throughput=run.throughput,
            p50_s=run.latency_s["p50"],
            p99_s=run.latency_s["p99"],
            server_cpu_us=run.server_cpu_us,
            client_cpu_us=run.client.cpu_us_per_request,
            elapsed_s=run.elapsed_s,
            requests=run.requests,
            ok=run.ok,
            failed=run.failed,
            errors=run.errors,
            statuses=run.statuses,
            launch=launch,
            doubts={doubt.topic: doubt.sentence for doubt in find_doubts(run)},
        )
        for run, launch in zip(runs, launches or [0] * len(runs), strict=True)
    ]
    return Arm(run=merge(runs), rounds=rounds, **fields)


def make_arms(**factors: float) -> dict[str, Arm]:
    """An arm for each factor by which its rounds are faster than SLOW."""
    return {
        name.replace("_", " "): make_arm(make_runs(np.array(SLOW) * factor))
        for name, factor in factors.items()
    }


def make_ratio(
    arms: dict[str, Arm],
    over: str,
    under: str,
    metric: Metric = Metric.THROUGHPUT,
    **fields: Any,
) -> MeasuredRatio:
    """The ratio of two arms: the median of their rounds, from the lowest to the highest."""
    pairs = zip(arms[over].rounds, arms[under].rounds, strict=True)
    values = [(a.value(metric) or 0.0) / (b.value(metric) or 1.0) for a, b in pairs]
    return MeasuredRatio(
        over=over,
        under=under,
        metric=metric,
        estimate=statistics.median(values),
        low=min(values),
        high=max(values),
        confidence=1 - 2 * 0.5 ** len(values),
        rounds=len(values),
        **fields,
    )


def make_result(**fields: Any) -> Result:
    """A result without arms of an experiment that exists."""
    about = {"name": "03_blocking_sleep", "title": "time.sleep() holds up", "started": STARTED}
    load = replace(LOAD, rounds=6, launches=1)
    return Result(**{"load": load, "environment": ENVIRONMENT, **about, **fields})


# ---- Results to show -------------------------------------------------------------------
COMMAND = "uvicorn 03_blocking_sleep:app --no-access-log --port 40213"
WORKERS = "gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:40217 -w 2 04_workers:app"


def make_reproduced() -> Result:
    """An experiment of three arms whose claim is reproduced."""
    throughputs = {
        "time.sleep": np.array(SLOW) / 10,
        "asyncio.sleep": np.array(SLOW[::-1]) * 1.95,
        "def + time.sleep": np.array(SLOW) * 1.94,
    }
    arms = {
        name: make_arm(make_runs(values), command=COMMAND, path="/")
        for name, values in throughputs.items()
    }
    claimed = make_ratio(arms, "asyncio.sleep", "time.sleep", claim=True)
    return make_result(
        title="time.sleep() in an async endpoint holds up every other request",
        claim="An `async def` endpoint that calls time.sleep() serves one request at a time.",
        source='Stack Overflow, "Architecture Flask vs FastAPI", 2020 (no figures)',
        expect="One process, 20 clients, 0.1 s: 1 / 0.1 s = 10 requests/s against 200.",
        arms=arms,
        ratios=[claimed, make_ratio(arms, "def + time.sleep", "time.sleep")],
        rule="> 5 is reproduced, < 2 is not",
        verdict="REPRODUCED",
        cause=["a thread pool has × 19.4"],
    )


def make_inconclusive() -> Result:
    """A quick experiment in doubt, with an arm of several workers and old versions."""
    one = make_arm(make_runs([100.0, 150.0, 90.0, 100.0, 70.0, 100.0]), command=COMMAND)
    busy = make_runs([300.0] * 6, client=replace(CLIENT, cpu_s=0.9), failed=2)
    reproduced = make_reproduced()
    doubts = [f"two, 6 of 6 rounds: {reason}" for reason in busy[0].validity.reasons]
    spread = (
        "one: its rounds spread by 24 % where 15 % can be believed: use --duration 5s, and "
        "let nothing else run"
    )
    return replace(
        reproduced,
        name="04_workers",
        mode="quick",
        load=replace(LOAD, rounds=6, launches=3, keepalive=False, requests=5000),
        arms={"one": one, "two": make_arm(busy, command=WORKERS, workers=2)},
        ratios=[],
        cause=[],
        verdict="INCONCLUSIVE",
        then="REPRODUCED × 5.40 (5.10 to 5.70 at 96.9 %, 6 rounds)",
        reasons=[*doubts, spread],
    )


def make_behaviour() -> Result:
    """An experiment about what each server answers."""
    command = "gunicorn -b 127.0.0.1:40213 01_async:flask_app"
    error = "RuntimeError: Install Flask with the 'async' extra in order to use async views."
    return make_result(
        name="01_async",
        title="A Flask view cannot be async def",
        claim="A Flask view cannot be `async def`.",
        source="github.com/afiorillo/flask-in-fastapi, July 2020",
        expect="Flask 1 hands the coroutine on as the response: TypeError.",
        rule="reproduced when every one fails, not when any answers 200",
        verdict="NOT REPRODUCED",
        then="REPRODUCED",
        cause=["Flask runs an async view through asgiref"],
        load=None,
        evidence=[
            Evidence(arm="Flask", command=command, status=200, answer="slept"),
            Evidence(arm="Flask without asgiref", command=command, status=500, answer=error),
        ],
    )


URLS = "http://127.0.0.1:8000/a", "http://127.0.0.1:8000/b"


def make_comparison() -> Result:
    """Two URLs beside each other, without a claim."""
    arms = {
        url: make_arm(make_runs(np.array(SLOW) * factor, server=None))
        for url, factor in zip(URLS, (1, 2), strict=True)
    }
    return make_result(
        name="comparison",
        title="2 URLs, each against the first",
        arms=arms,
        ratios=[make_ratio(arms, URLS[1], URLS[0])],
    )


def make_results() -> dict[str, Result]:
    """One result of each kind, by its name in golden/."""
    return {
        "reproduced": make_reproduced(),
        "inconclusive": make_inconclusive(),
        "behaviour": make_behaviour(),
        "comparison": make_comparison(),
    }


# ---- What a text must keep to ----------------------------------------------------------
def find_too_wide(text: str) -> list[str]:
    """The lines beyond the width, but for rows of Markdown tables, which cannot be broken."""
    return [line for line in text.split("\n") if len(line) > WIDTH and not line.startswith("|")]

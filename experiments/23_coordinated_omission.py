# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2",
#   "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2", "starlette==1.10.0",
#   "tqdm==4.70.1", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""23: a closed loop hides a stall that an open loop shows

Claim      A load generator that waits for each answer before it sends the next request
           hardly sees a server that stands still for 1 s in 5. One that sends by a
           plan does.
Source     This project, 2026; Gil Tene named it coordinated omission
Expect     At 200/s a fifth of the requests is due while the server stands still, and
           waits from 0 to 1 s. A closed loop of 10 connections has only 10 requests
           that wait, of some ten thousand.
           open loop    p90 = 0.5 s, p95 = 0.75 s
           closed loop  p90 under 50 ms
           wrk          p90 under 50 ms
           hey          p90 under 50 ms
Run        python experiments/23_coordinated_omission.py
Limits     It does not test corrections made afterwards, which invent samples, nor
           wrk2, which sends by a plan and needs none.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

STALL_S, PERIOD_S, RATE = 1.0, 5.0, 200.0


async def stall_now_and_then() -> None:
    while True:
        await asyncio.sleep(PERIOD_S - STALL_S)
        time.sleep(STALL_S)  # noqa: ASYNC251 - the line under test


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    stalling = asyncio.create_task(stall_now_and_then())
    yield
    stalling.cancel()


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


app = Starlette(routes=[Route("/", hello)], lifespan=lifespan)

UVICORN = "uvicorn 23_coordinated_omission:app --no-access-log --port {port}"
WRK = "wrk -t1 -c{connections} -d{duration_s}s --latency {url}"
HEY = "hey -c {connections} -z {duration_s}s {url}"
ARMS = {
    "open loop": (UVICORN, "/", {"rate": RATE}),
    "closed loop": (UVICORN, "/"),
    "wrk": (UVICORN, "/", {"generator": WRK}),
    "hey": (UVICORN, "/", {"generator": HEY}),
}
OURS = ("open loop", "closed loop")
NOISE = "steal neighbour queued spread"  # of ms, where the stall takes 1 s
MISSING = {name for name in ARMS if name not in OURS and not shutil.which(name)}


if __name__ == "__main__":
    from harness import Outcome, experiment

    def p90_s(arm) -> float:
        return arm.run.latency_s["p90"]

    def met_the_stall(arms):
        for name in OURS:
            histogram = arms[name].run.histograms.latency_s
            late, n = histogram.above(STALL_S / 10), histogram.count
            yield f"{name}: {late} of {n} requests took over {STALL_S / 10:g} s"

    def is_shown(arms) -> bool:
        return p90_s(arms["open loop"]) >= 0.25

    def is_hidden(arms) -> bool:
        return p90_s(arms["closed loop"]) < 0.05

    experiment(
        {name: arm for name, arm in ARMS.items() if name not in MISSING},
        connections=10,
        expect="hello",
        duration_s=PERIOD_S,
        quick_share=1,  # a shorter round might miss the stall
        rounds=1,
        subject=["little", "lag", "resolution", "client", *NOISE.split()],
        claim=Outcome(
            rule="REPRODUCED when the open loop's p90 is 0.25 s or more and the "
            "closed loop's below 0.05 s; else NOT REPRODUCED",
            reproduced=lambda arms: is_shown(arms) and is_hidden(arms),
            not_reproduced=lambda arms: not (is_shown(arms) and is_hidden(arms)),
        ),
        columns={"p90 ms": lambda arm: f"{1000 * p90_s(arm):.3g}"},
        findings=met_the_stall,
    )

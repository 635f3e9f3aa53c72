# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "hdrhistogram", "httptools", "numpy", "psutil", "starlette", "tqdm",
#   "uvicorn[standard]", "uvloop",
# ]
# ///
"""23: a closed loop hides a stall that an open loop shows

Claim      A load generator that waits for each answer before it sends the next request
           hardly sees a server that stands still for 1 s in 5; one that sends by a plan
           does.
Source     This project's own; Gil Tene named it coordinated omission
Expect     Open loop at 200/s: a fifth of the requests is due while the server stands
           still, and waits from 0 to 1 s: p90 = 0.5 s, p95 = 0.75 s. Closed loop, 10
           connections: 10 requests meet the stall, of some ten thousand: p90 stays
           where it was, under 50 ms.
Run        python experiments/23_coordinated_omission.py
Not shown  Corrections after the fact, which make up samples, as wrk does for its
           percentiles; wrk2, which sends by a plan and needs none.
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
MISSING = {name for name in ARMS if name not in OURS and not shutil.which(name)}


if __name__ == "__main__":
    from harness import Outcome, experiment

    def p90_s(arm):
        return arm["run"].latency_s["p90"]

    def met_the_stall(arms):
        for name in OURS:
            histogram = arms[name]["run"].histograms["latency_s"]
            late, all_of_them = histogram.above(STALL_S / 10), histogram.count
            yield f"{name}: {late} of {all_of_them} requests took over {STALL_S / 10:g} s"

    experiment(
        {name: arm for name, arm in ARMS.items() if name not in MISSING},
        connections=10,
        expect="hello",
        duration_s=PERIOD_S,
        quick_share=1,  # a shorter round might miss the stall
        rounds=1,
        full_rounds=6,
        subject=["little", "lag", "resolution", "client"],
        claim=Outcome(
            rule="open-loop p90 at least 0.25 s, closed-loop p90 under 0.05 s; not "
            "where either is otherwise",
            reproduced=lambda arms: (
                p90_s(arms["open loop"]) >= 0.25 and p90_s(arms["closed loop"]) < 0.05
            ),
            not_reproduced=lambda arms: (
                p90_s(arms["open loop"]) < 0.25 or p90_s(arms["closed loop"]) >= 0.05
            ),
        ),
        columns={"p90 ms": lambda arm: f"{1000 * p90_s(arm):.3g}"},
        findings=met_the_stall,
    )

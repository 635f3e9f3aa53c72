# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "fastapi", "hdrhistogram", "httptools", "numpy", "psutil", "tqdm",
#   "uvicorn[standard]", "uvloop",
# ]
# ///
"""09: work for the CPU belongs in processes of its own, not on the event loop

Claim      An endpoint that computes holds up every other request of its event loop;
           moved to a separate process, it does not.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020 (no figures)
Expect     /ping while two clients keep asking for 50 ms of CPU each. On the loop a ping
           waits for up to both, 2 x 50 = 100 ms. In threads it waits for the
           interpreter's lock, which changes hands every 5 ms: a few times 2 x 5 ms. In
           processes it waits for a core alone: a few ms where there is none to spare.
Run        python experiments/09_cpu_bound.py
Not shown  How much gets computed, which is the cores' to say (experiment 17).
"""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

WORK_S = 0.05


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Executor]]:
    with ProcessPoolExecutor(2) as pool:  # which starts them when it is first asked
        yield {"pool": pool}


app = FastAPI(lifespan=lifespan)


def compute() -> int:
    """Count for WORK_S of CPU time."""
    count, ends_s = 0, time.thread_time() + WORK_S
    while time.thread_time() < ends_s:
        count += 1
    return count


@app.get("/inline")
async def inline() -> dict[str, bool]:
    return {"done": compute() > 0}  # the line under test: on the event loop


@app.get("/threads")
def threads() -> dict[str, bool]:
    return {"done": compute() > 0}  # in the framework's pool of threads


@app.get("/processes")
async def processes(request: Request) -> dict[str, bool]:
    loop = asyncio.get_running_loop()
    return {"done": await loop.run_in_executor(request.state.pool, compute) > 0}


@app.get("/ping")
async def ping() -> str:
    return "pong"


PINGS = {"rate": 2000, "connections": 400}  # a p99 takes a thousand of them a round
INLINE, THREADS, PROCESSES = (
    PINGS | {"beside": {"path": path, "connections": 2}}
    for path in ("/inline", "/threads", "/processes")
)
UVICORN = "uvicorn 09_cpu_bound:app --no-access-log --port {port}"
ARMS = {
    "work inline": (UVICORN, "/ping", INLINE),
    "work in threads": (UVICORN, "/ping", THREADS),
    "work in processes": (UVICORN, "/ping", PROCESSES),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    experiment(
        ARMS,
        connections=400,
        expect="pong",
        duration_s=2.1,
        claim=Ratio("work inline", "work in processes", "> 3", "< 1.5", "p99_s"),
        causes=[
            Cause(
                "work inline",
                "work in threads",
                when="> 1.5",
                then="threads of the same process shorten it, too, by {ratio}: the loop gets "
                "its turn at the interpreter's lock while a thread computes",
                otherwise="threads of the same process shorten it by {ratio} only: they "
                "share the interpreter's lock with the loop",
                metric="p99_s",
            ),
            Cause(
                "work in threads",
                "work in processes",
                when="> 1.2",
                then="from threads to processes it is another {ratio}: what is left is the "
                "wait for that lock",
                otherwise="from threads to processes it is {ratio}: the lock costs a ping little",
                metric="p99_s",
            ),
        ],
    )

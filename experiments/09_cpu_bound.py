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
Expect     /ping, 100 a second, while two clients keep asking for 20 ms of CPU each. On
           the loop it comes after the work that is running and what stands before it:
           20 to 2 x 20 ms in the median. In threads it needs the interpreter's lock,
           which a thread that computes hands on after 5 ms: 5 to 2 x 5 ms. In processes
           it needs a core, and has used less of it than they: 1 or 2 ms, even where they
           share one.
Run        python experiments/09_cpu_bound.py
Not shown  How much gets computed: that is for the cores to say (experiment 17). A p99 in
           each round, for which a round would need a thousand pings.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

WORK_S = 0.02


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Executor]]:
    with ProcessPoolExecutor(2) as pool:  # which starts them when it is first asked
        yield {"pool": pool}


app = FastAPI(lifespan=lifespan)


def compute() -> str:
    ends_s = time.thread_time() + WORK_S  # of CPU: waiting does not count
    while time.thread_time() < ends_s:
        pass
    return "done"


@app.get("/inline")
async def inline() -> str:
    return compute()  # the line under test: on the event loop


@app.get("/threads")
def threads() -> str:
    return compute()  # the same in a plain def: in a thread of this process


@app.get("/processes")
async def processes(request: Request) -> str:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(request.state.pool, compute)


@app.get("/ping")
async def ping() -> str:
    return "pong"


def while_at(path: str) -> dict[str, object]:
    """An open loop of pings; the first ones, which connect, are not counted."""
    work = {"path": path, "connections": 2}
    return {"rate": 100, "warmup_s": 0.5, "beside": work}


UVICORN = "uvicorn 09_cpu_bound:app --no-access-log --port {port}"
ARMS = {
    "work on the loop": (UVICORN, "/ping", while_at("/inline")),
    "work in threads": (UVICORN, "/ping", while_at("/threads")),
    "work in processes": (UVICORN, "/ping", while_at("/processes")),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    experiment(
        ARMS,
        connections=20,  # many more than become due in 2 x 20 ms
        expect="pong",
        duration_s=1.0,
        claim=Ratio("work on the loop", "work in processes", "> 3", "< 1.5", "p50_s"),
        subject=["spread"],  # of waits, which is what is studied
        causes=[
            Cause(
                "work on the loop",
                "work in threads",
                when="> 1.5",
                then="on the loop a ping waits {ratio} as long as beside threads, which hand "
                "the interpreter's lock on while they compute",
                otherwise="on the loop a ping waits {ratio} as long as beside threads: they "
                "hardly protect it",
                metric="p50_s",
            ),
            Cause(
                "work in threads",
                "work in processes",
                when="> 1.5",
                then="beside threads it waits {ratio} as long as beside processes, which "
                "have locks of their own: threads protect it in part",
                otherwise="beside threads it waits {ratio} as long as beside processes: "
                "the lock costs it little",
                metric="p50_s",
            ),
        ],
    )

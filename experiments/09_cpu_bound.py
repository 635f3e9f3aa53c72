# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "tqdm==4.70.1", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""09: CPU-bound work on the event loop holds up every other request

Claim      An endpoint that computes holds up every other request of its event loop.
           In a separate process it does not.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: no figures
Expect     100 pings a second, while two clients keep asking for 20 ms of CPU each. On
           the loop a ping waits for the work under way, and what is before it. Threads
           share the interpreter's lock, which one that computes gives up after 5 ms.
           Processes need a core, and hardly wait even where they share one.
           work on the loop   20 to 40 ms in the median
           work in threads    5 to 10 ms in the median
           work in processes  1 to 2 ms in the median
Run        python experiments/09_cpu_bound.py
Limits     It does not say how much gets computed: that depends on the cores
           (experiment 17). A p99 would need a thousand pings in each round.
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
        claim=Ratio("work on the loop", "work in processes", least=3, metric="p50_s"),
        causes=[
            Cause(
                "work on the loop",
                "work in threads",
                metric="p50_s",
                above=1.5,
                then="beside work on the loop a ping takes {faster} as beside threads",
                otherwise="beside work on the loop a ping takes {faster} as beside "
                "threads: they hardly help",
            ),
            Cause(
                "work in threads",
                "work in processes",
                metric="p50_s",
                above=1.5,
                then="beside threads it takes {faster} as beside processes, which "
                "have locks of their own: threads help, but only partly",
                otherwise="beside threads it takes {faster} as beside processes: the "
                "lock costs little",
            ),
        ],
    )

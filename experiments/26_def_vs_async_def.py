# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "anyio==4.16.0", "fastapi==0.163.2", "hdrhistogram==0.10.8",
#   "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6",
#   "psutil==7.2.2", "starlette==1.10.0", "tqdm==4.70.1", "uvicorn[standard]==0.54.0",
#   "uvloop==0.23.0",
# ]
# ///
"""26: async def makes FastAPI faster even where nothing waits

Claim      The same trivial endpoint serves 4902 requests/s as `async def` and 2596 as
           `def`: 1.9 times as many.
Source     https://github.com/fastapi/fastapi/issues/1664, a comment of February 2022:
           ab -n 10000 -c 1000, so a new connection for each request; one worker.
           https://fastapi.tiangolo.com/async/ says the same, without a figure
Expect     FastAPI calls a `def` in a thread and waits for it. 1/2596 s - 1/4902 s makes
           180 µs for the hop there and back. Let an `async def` cost A, a connection C.
           def, new  1 / (A + C + hop)
           async def, new  1 / (A + C)
           def  1 / (A + hop)
           async def  1 / A, further ahead than with C
           def, 1 thread  as def: the hop, not the pool
           def, return type  2 hops: one to check it
           async def, return type  no hop
           async def, def dependency  1 hop
           async def, async dependency  no hop
           Starlette, def  1 hop
           Starlette, async def  no hop
Run        python experiments/26_def_vs_async_def.py
Limits     An endpoint that blocks needs the thread, and the hop is worth it: 03.
"""

import os
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.responses import JSONResponse

THREADS = int(os.environ.get("THREADS", 40))  # the default


@asynccontextmanager
async def lifespan(app):
    current_default_thread_limiter().total_tokens = THREADS
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/def")
def in_thread():  # the line under test
    return {"message": "Hello World"}


@app.get("/async")
async def on_loop():  # against this one
    return {"message": "Hello World"}


app.get("/def/typed", response_model=dict[str, str])(in_thread)
app.get("/async/typed", response_model=dict[str, str])(on_loop)
app.get("/def/dependency", dependencies=[Depends(in_thread)])(on_loop)
app.get("/async/dependency", dependencies=[Depends(on_loop)])(on_loop)


def starlette_in_thread(request):
    return JSONResponse({"message": "Hello World"})


async def starlette_on_loop(request):
    return JSONResponse({"message": "Hello World"})


starlette_app = Starlette()
starlette_app.add_route("/def", starlette_in_thread)
starlette_app.add_route("/async", starlette_on_loop)

NEW = {"connections": 1000, "keepalive": False, "requests": 3000}
UVICORN = "uvicorn --no-access-log --port {port} 26_def_vs_async_def"
FASTAPI, STARLETTE = f"{UVICORN}:app", f"{UVICORN}:starlette_app"
ARMS = {
    "def, new": (FASTAPI, "/def", NEW),
    "async def, new": (FASTAPI, "/async", NEW),
    "def": (FASTAPI, "/def"),
    "async def": (FASTAPI, "/async"),
    "def, 1 thread": (f"env THREADS=1 {FASTAPI}", "/def"),
    "def, return type": (FASTAPI, "/def/typed"),
    "async def, return type": (FASTAPI, "/async/typed"),
    "async def, def dependency": (FASTAPI, "/def/dependency"),
    "async def, async dependency": (FASTAPI, "/async/dependency"),
    "Starlette, def": (STARLETTE, "/def"),
    "Starlette, async def": (STARLETTE, "/async"),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def find(arms):
        cost_us = {n: arm.run.server.cpu_us_per_request for n, arm in arms.items()}
        for name, more in (
            ("def", "async def"),
            ("def, return type", "async def, return type"),
            ("async def, def dependency", "async def, async dependency"),
            ("Starlette, def", "Starlette, async def"),
        ):
            hop_us = cost_us[name] - cost_us[more]
            enough_ms = (hop_us / 0.05 - cost_us[more]) / 1000
            yield (
                f"{name}: {hop_us:.0f} µs of CPU time more than {more}; with "
                f"{enough_ms:.1f} ms of work or more that is less than 5 %"
            )

    experiment(
        ARMS,
        shared=True,
        connections=20,
        rounds=2,
        duration_s=0.4,
        expect={"message": "Hello World"},
        claim=Ratio("async def, new", "def, new", claimed=1.9),
        findings=find,
        causes=[
            Cause(
                "async def",
                "def",
                above=1.05,
                then="with kept connections async def is {faster}",
                otherwise="with kept connections async def is only {faster}",
            ),
            Cause(
                "def, 1 thread",
                "def",
                above=0.8,
                below=1.25,
                then="with a single thread in the pool def is {faster}: it is the hop "
                "that costs, not the number of threads",
                otherwise="with a single thread in the pool def is {faster}",
            ),
        ],
    )

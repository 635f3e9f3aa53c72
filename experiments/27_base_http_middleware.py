# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "starlette==1.10.0", "tqdm==4.70.1", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""27: FastAPI's @app.middleware("http") is slow

Claim      Six empty middlewares take 70 % of the requests/s, so that an app without
           them is 3.3 times as fast.
Source     https://github.com/fastapi/fastapi/issues/2696, January 2021: hello world, no
           word of the load. One that logs took 4000 requests/s to 2500:
           https://github.com/fastapi/fastapi/issues/2241. Two taken away, 3.2 times as
           many: https://github.com/vectorize-io/hindsight/pull/4235, September 2026
Expect     @app.middleware("http") makes a BaseHTTPMiddleware: it starts a task for the
           rest of the app and hands the answer over in a stream. If a request costs A
           and each middleware M, six that cost 70 % make 6 M = 2.3 A, so M = 0.39 A. A
           pure ASGI middleware is one more call, a few µs.
           none  1 / A
           1 base  1 / (A + M): 0.72 of none
           2 base  1 / (A + 2 M): 0.56 of none
           6 base  1 / (A + 6 M): 0.30 of none
           1 ASGI  as none
           6 ASGI  as none, less a few µs
           none, 20 ms  1 / (20 ms + A) < 50/s
           6 base, 20 ms  1 / (20 ms + A + 6 M), nearly as many
Run        python experiments/27_base_http_middleware.py
Limits     What a middleware does itself, such as to log, comes on top. Bodies that are
           streamed cost a BaseHTTPMiddleware more: it hands on each piece.
"""

import os
import time

from fastapi import FastAPI

BASE, ASGI = int(os.environ.get("BASE", 0)), int(os.environ.get("ASGI", 0))
WORK_S = 0.02

app = FastAPI()


async def pass_on(request, call_next):  # the lines under test
    return await call_next(request)


class PassOn:  # against these
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


for _ in range(BASE):
    app.middleware("http")(pass_on)
for _ in range(ASGI):
    app.add_middleware(PassOn)


@app.get("/")
async def hello():
    return {"message": "hello"}


@app.get("/work")
async def work():
    ends_s = time.thread_time() + WORK_S
    while time.thread_time() < ends_s:
        pass
    return {"message": "hello"}


UVICORN = "uvicorn --no-access-log --port {port} 27_base_http_middleware:app"
ARMS = {
    "none": (UVICORN, "/"),
    "1 base": (f"env BASE=1 {UVICORN}", "/"),
    "2 base": (f"env BASE=2 {UVICORN}", "/"),
    "6 base": (f"env BASE=6 {UVICORN}", "/"),
    "1 ASGI": (f"env ASGI=1 {UVICORN}", "/"),
    "6 ASGI": (f"env ASGI=6 {UVICORN}", "/"),
    "none, 20 ms": (UVICORN, "/work"),
    "6 base, 20 ms": (f"env BASE=6 {UVICORN}", "/work"),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def find(arms):
        cost_us = {n: arm.run.server.cpu_us_per_request for n, arm in arms.items()}
        for kind in ("base", "ASGI"):
            each_us = (cost_us[f"6 {kind}"] - cost_us["none"]) / 6
            enough_ms = max(0, each_us / 0.05 - cost_us["none"]) / 1000
            work = f"with {enough_ms:.1f} ms of work or more" if enough_ms else "always"
            yield (
                f"{kind}: each middleware costs {each_us:.0f} µs of CPU time; "
                f"{work} that is less than 5 %"
            )

    experiment(
        ARMS,
        shared=True,
        connections=16,
        rounds=2,
        duration_s=0.6,
        expect={"message": "hello"},
        claim=Ratio("none", "6 base", claimed=3.3),
        findings=find,
        causes=[
            Cause(
                "none",
                "6 ASGI",
                above=0.8,
                below=1.25,
                then="without six pure ASGI middlewares the app is {faster}: what "
                "costs is the task and stream of each BaseHTTPMiddleware, not a layer",
                otherwise="without six pure ASGI middlewares the app is {faster}",
            ),
            Cause(
                "none",
                "1 base",
                above=1.05,
                then="without one BaseHTTPMiddleware the app is {faster}",
                otherwise="without one BaseHTTPMiddleware the app is {faster}",
            ),
            Cause(
                "none, 20 ms",
                "6 base, 20 ms",
                above=0.8,
                below=1.25,
                then="with 20 ms of work the six hardly matter: without them the "
                "app is {faster}",
                otherwise="with 20 ms of work the app is {faster} without the six",
            ),
        ],
    )

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "hdrhistogram==0.10.8", "httptools==0.9.0", "httpx==0.28.1",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "starlette==1.10.0", "tqdm==4.70.1", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""38: As a client, httpx is ten times slower than aiohttp

Claim      Of 100 requests, 20 at a time, httpx needs "over 10x" the time of aiohttp.
Source     https://github.com/encode/httpx/issues/3215, June 2024: an aiohttp server on
           the same machine, 2000 bytes an answer, one client for all. What was found
           there: locks of anyio that yield even where nobody waits, and a pool that
           looks at all its connections for each request. A merged remedy was taken back
           (https://github.com/encode/httpcore/pull/1002)
Expect     What is counted are batches: the app sends 100 requests, then answers. One
           process each, so one core: 1 s / the CPU time of a batch, whatever the number
           at a time. httpx's pool looks at N connections for each request, so it loses
           more the more there are; one request at a time spares it that.
           httpx, 20 at a time  10 times as long as aiohttp
           aiohttp, 20 at a time  100 requests of 0.2 ms: 50 batches/s
           httpx, 1 at a time  less behind: nothing to look through
           aiohttp, 1 at a time  slower than 20: it waits for each
           httpx, 100 at a time  further behind
           aiohttp, 100 at a time  as 20 at a time
           httpx, a client each  reads certificates anew each time
Run        python experiments/38_httpx_vs_aiohttp.py
Limits     A server on the same machine answers in 0.1 ms. One that takes 100 ms lets
           httpx with 20 at a time send 200 requests/s, which it can. HTTP/2, which
           aiohttp has not. Certificates.
"""

import asyncio
import os
from contextlib import asynccontextmanager

import aiohttp
import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse

UPSTREAM = f"http://127.0.0.1:{os.environ.get('UPSTREAM_PORT', 8001)}/"
BODY = b"a" * 2000


async def upstream(scope, receive, send):
    """What is asked: a server that answers as fast as one in Python can."""
    if scope["type"] == "http":
        headers = [(b"content-length", str(len(BODY)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})


@asynccontextmanager
async def open_clients(app):
    no_limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        httpx.AsyncClient(limits=no_limits) as app.state.httpx,
        aiohttp.ClientSession(connector=connector) as app.state.aiohttp,
    ):
        yield


async def get_with_httpx(state):
    return (await state.httpx.get(UPSTREAM)).text  # the line under test


async def get_with_aiohttp(state):
    async with state.aiohttp.get(UPSTREAM) as response:  # against this one
        return await response.text()


async def get_with_new_httpx(state):
    async with httpx.AsyncClient() as client:
        return (await client.get(UPSTREAM)).text


GET = {"httpx": get_with_httpx, "aiohttp": get_with_aiohttp, "new": get_with_new_httpx}


async def run_batch(request):
    client, at_once, requests = request.path_params.values()
    get, left = GET[client], iter(range(requests))

    async def ask_in_turn():
        return [len(await get(request.app.state)) == len(BODY) for _ in left]

    right = await asyncio.gather(*(ask_in_turn() for _ in range(at_once)))
    return JSONResponse({"right": sum(map(sum, right))})


app = Starlette(lifespan=open_clients)
app.add_route("/{client}/{at_once:int}/{requests:int}", run_batch)

UVICORN = "uvicorn --no-access-log --port {port} 38_httpx_vs_aiohttp"
SERVICE = f"cd {{scripts}} && exec {UVICORN}:upstream"
UVICORN += ":app"
MANY = {"requests": 30}  # batches, to take about as long as httpx's 3
ARMS = {
    "httpx, 20 at a time": (UVICORN, "/httpx/20/100", {"requests": 6}),
    "aiohttp, 20 at a time": (UVICORN, "/aiohttp/20/100", {"requests": 60}),
    "httpx, 1 at a time": (UVICORN, "/httpx/1/100"),
    "aiohttp, 1 at a time": (UVICORN, "/aiohttp/1/100", MANY),
    "httpx, 100 at a time": (UVICORN, "/httpx/100/100"),
    "aiohttp, 100 at a time": (UVICORN, "/aiohttp/100/100", MANY),
    "httpx, a client each": (UVICORN, "/new/10/10", {"requests": 1}),
}

if __name__ == "__main__":
    from harness import Cause, Each, Ratio, Service, experiment

    def count_requests(path):
        return int(path.rpartition("/")[2])

    def find(arms):
        for name, arm in arms.items():
            cpu_us = arm.run.server.cpu_us_per_request / count_requests(arm.path)
            yield f"{name}: {cpu_us:.0f} µs of CPU time for each request"

    experiment(
        ARMS,
        in_turns=True,
        connections=1,
        requests=3,
        rounds=2,
        expect=Each({n: {"right": count_requests(arm[1])} for n, arm in ARMS.items()}),
        services={"upstream": Service(SERVICE)},
        findings=find,
        claim=Ratio("aiohttp, 20 at a time", "httpx, 20 at a time", claimed=10),
        causes=[
            Cause(
                "aiohttp, 1 at a time",
                "httpx, 1 at a time",
                below=8,
                then="one request at a time, aiohttp is {faster}: the rest is "
                "the work of httpx's pool where several requests share it",
                otherwise="one request at a time, aiohttp is {faster} all the same",
            ),
        ],
    )

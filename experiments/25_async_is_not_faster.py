# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "asyncpg==0.32.0", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "psycopg[binary,pool]==3.3.9", "starlette==1.10.0",
#   "tqdm==4.70.1", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""25: Async Python has much worse tails than sync in front of a real database

Claim      Async frameworks have slightly less throughput and much worse latencies: p99
           is 42 ms with Flask on gunicorn, 14 workers, and 75 ms with Starlette on
           uvicorn, 5 workers, 1.79 times as long.
Source     https://calpaterson.com/async-python-is-not-faster.html, June 2020: ab, 100
           clients flat out, through nginx, which connects anew for each request; one
           row by its key. Requests/s of these two: 3473 and 4952. The reply, with equal
           pools and a query of 20 ms: https://github.com/miguelgrinberg/python-web-perf
Expect     Flat out, p50 is 100 clients / rate, whatever is served. gunicorn's requests
           wait in one queue for the next free worker. uvicorn's workers take
           connections as they wake, and keep them: some have more than others. Below
           the ceiling nothing waits, and with one worker there is one queue.
           Flask  500/s, p99 of a few ms
           Starlette  500/s, p99 1.79 times that
           Flask, flat out  p99 near p50 = 100 / rate
           Starlette, flat out  p99 far from p50
           Flask, 5 workers  the same; 5 connections
           Starlette, pools of 1  p99 far from p50; 5 connections
           Starlette, 1 worker  p99 near p50
           asyncpg, 1 worker  the same, with less CPU time
Run        python experiments/25_async_is_not_faster.py
Limits     Queries that take long (36). nginx, but for its new connections. PgBouncer.
"""

import os
from contextlib import asynccontextmanager
from functools import cache

import asyncpg
import psycopg
from flask import Flask
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.responses import JSONResponse

POOL = int(os.environ.get("POOL", 1))
NAME = f"server{os.getppid()}"  # which all workers of a server have in common
FOLDER = os.environ.get("POSTGRES_FOLDER", "")
URL = f"postgresql://postgres@/postgres?application_name={NAME}&host={FOLDER}"
QUERY = "SELECT name FROM item WHERE id = %s"
COUNT = "SELECT count(*) - 1 FROM pg_stat_activity WHERE application_name = %s"

flask_app = Flask(__name__)


@cache
def connect():
    return psycopg.connect(URL, autocommit=True)  # a sync worker needs no more than one


@flask_app.get("/")
def fetch_row():  # the lines under test: this view
    return {"name": connect().execute(QUERY, (7,)).fetchone()[0]}


@flask_app.get("/connections")
def count_connections():
    with psycopg.connect(URL) as connection:
        return str(connection.execute(COUNT, (NAME,)).fetchone()[0])


@asynccontextmanager
async def open_pools(app):
    size, more = {"min_size": 0, "max_size": POOL}, {"kwargs": {"autocommit": True}}
    async with (
        AsyncConnectionPool(URL, open=False, **size, **more) as app.state.psycopg,
        asyncpg.create_pool(URL, **size) as app.state.asyncpg,
    ):
        yield


async def fetch_with_psycopg(request):  # against this one
    async with request.app.state.psycopg.connection() as connection:
        row = await (await connection.execute(QUERY, (7,))).fetchone()
    return JSONResponse({"name": row[0]})


async def fetch_with_asyncpg(request):
    async with request.app.state.asyncpg.acquire() as connection:
        return JSONResponse({"name": await connection.fetchval(QUERY % "$1", 7)})


app = Starlette(lifespan=open_pools)
app.add_route("/", fetch_with_psycopg)
app.add_route("/asyncpg", fetch_with_asyncpg)
app.add_route("/connections", lambda request: JSONResponse(int(count_connections())))

POSTGRES = """[ $(id -u) = 0 ] && chown nobody . && set -- setpriv --reuid=nobody;
"$@" initdb -D . -U postgres --no-sync; echo "CREATE TABLE item AS
SELECT id, md5(id::text) name FROM generate_series(1, 500) id" |
"$@" postgres --single -j -D . postgres;
exec "$@" postgres -D . -k $PWD -c listen_addresses= -c max_connections=400"""
GUNICORN = "gunicorn --preload -b {host}:{port} 25_async_is_not_faster:flask_app"
UVICORN = "uvicorn --no-access-log --port {port} 25_async_is_not_faster:app"
FEW, MANY = f"env POOL=1 {UVICORN} --workers 5", f"env POOL=10 {UVICORN} --workers 5"
STEADY = {"keepalive": False, "rate": 500, "duration_s": 4.2}
FLAT_OUT = {"keepalive": False}
ARMS = {
    "Flask": (f"{GUNICORN} -w 14", "/", STEADY),
    "Starlette": (MANY, "/", STEADY),
    "Flask, flat out": (f"{GUNICORN} -w 14", "/", FLAT_OUT),
    "Starlette, flat out": (MANY, "/", FLAT_OUT),
    "Flask, 5 workers": (f"{GUNICORN} -w 5", "/", FLAT_OUT),
    "Starlette, pools of 1": (FEW, "/", FLAT_OUT),
    "Starlette, 1 worker": (f"env POOL=5 {UVICORN}", "/", FLAT_OUT),
    "asyncpg, 1 worker": (f"env POOL=5 {UVICORN}", "/asyncpg", FLAT_OUT),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, Service, experiment

    def say(over, under, how, above, metric="p99_s"):
        texts = {"then": f"{how} {{faster}}", "otherwise": f"{how} {{faster}}"}
        return Cause(over, under, above=above, metric=metric, **texts)

    flat = ("Starlette, flat out", "Flask, flat out")
    spread = "five workers share connections out unevenly: against one their p99 is"
    faster = "with asyncpg in place of psycopg one worker of Starlette is"
    experiment(
        ARMS,
        shared=True,
        in_turns=True,
        connections=100,
        rounds=2,
        duration_s=0.5,
        quick_share=0.5,
        expect={"name": "8f14e45fceea167a5a36dedd4bea2543"},  # the md5 sum of 7
        services={"postgres": Service(POSTGRES, ready="pg_isready -h {folder}")},
        needs={"postgres": "postgresql"},
        ask_after="/connections",
        columns={"pool": lambda arm: str(max(arm.said))},
        claim=Ratio("Starlette", "Flask", claimed=1.79, metric="p99_s"),
        causes=[
            say(*flat, "flat out, as its source loaded it, Starlette's p99 is", 1.4),
            say(*flat, "flat out, Starlette is", 1.05, "throughput"),
            say(flat[0], "Starlette, 1 worker", spread, 1.4),
            say("asyncpg, 1 worker", "Starlette, 1 worker", faster, 1.05, "throughput"),
        ],
    )

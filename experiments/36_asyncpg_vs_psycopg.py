# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "asyncpg==0.32.0", "fastapi==0.163.2", "hdrhistogram==0.10.8",
#   "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6",
#   "psutil==7.2.2", "psycopg[binary,pool]==3.3.9", "tqdm==4.70.1",
#   "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""36: psycopg is faster than asyncpg in FastAPI

Claim      Answers to simple selects come up to 30 % faster with psycopg2 than with
           asyncpg.
Source     https://github.com/fastapi/fastapi/issues/902, January 2020, no word of the
           load. The answer there: likely, for one request at a time; with many,
           asyncpg should win. That an async session frees the 40 threads of `def`:
           https://github.com/apache/airflow/issues/67799, May 2026
Expect     psycopg 3 in a `def` pays for a hop to a thread. asyncpg's pool sends a
           second statement before it takes a connection back, to reset it. Pools of 10.
           psycopg  600/s, all in time
           asyncpg  600/s, p99 up to 1.3 of it
           psycopg, 1 client  1 / (A + query + hop)
           asyncpg, 1 client  1 / (A + query + reset)
           asyncpg, no reset  1 / (A + query)
           psycopg, 200 clients  1 / CPU time of a request
           asyncpg, 200 clients  the same, without a hop
           psycopg, 0.1 s  40 threads / 0.1 s = 400/s
           asyncpg, 0.1 s  80 connections / 0.1 s = 800/s
Run        python experiments/36_asyncpg_vs_psycopg.py
Limits     Large answers, which asyncpg decodes in C; PgBouncer, behind which asyncpg's
           prepared statements need settings; ORMs.
"""

import os
from contextlib import asynccontextmanager

import asyncpg
import psycopg
from fastapi import FastAPI
from psycopg_pool import ConnectionPool

WAIT_S = float(os.environ.get("WAIT_S", 0))
SIZE = dict.fromkeys(("min_size", "max_size"), int(os.environ.get("POOL", 10)))
NAME, FOLDER = f"server{os.getpid()}", os.environ.get("POSTGRES_FOLDER", "")
URL = f"postgresql://postgres@/postgres?application_name={NAME}&host={FOLDER}"
QUERY = "SELECT name, pg_sleep(%s) FROM item WHERE id = %s"
COUNT = "SELECT count(*) - 1 FROM pg_stat_activity WHERE application_name = %s"

# As with asyncpg, no BEGIN and COMMIT around a query.
pool = ConnectionPool(URL, open=False, kwargs={"autocommit": True}, **SIZE)


class Unreset(asyncpg.Connection):
    def get_reset_query(self):
        return ""


KIND = Unreset if "NO_RESET" in os.environ else asyncpg.Connection


@asynccontextmanager
async def open_psycopg(app):
    with pool:
        yield


@asynccontextmanager
async def open_asyncpg(app):
    async with asyncpg.create_pool(URL, connection_class=KIND, **SIZE) as opened:
        app.state.pool = opened
        yield


psycopg_app = FastAPI(lifespan=open_psycopg)
asyncpg_app = FastAPI(lifespan=open_asyncpg)


@psycopg_app.get("/")
def fetch_with_psycopg():  # the lines under test: this endpoint
    with pool.connection() as connection:
        return connection.execute(QUERY, (WAIT_S, 7)).fetchone()[0]


@asyncpg_app.get("/")
async def fetch_with_asyncpg():  # against this one
    async with asyncpg_app.state.pool.acquire() as connection:
        return await connection.fetchval(QUERY % ("$1", "$2"), WAIT_S, 7)


@psycopg_app.get("/connections")
@asyncpg_app.get("/connections")
def count_connections():
    with psycopg.connect(URL) as connection:
        return connection.execute(COUNT, (NAME,)).fetchone()[0]


POSTGRES = """[ $(id -u) = 0 ] && chown nobody . && set -- setpriv --reuid=nobody;
"$@" initdb -D . -U postgres --no-sync; echo "CREATE TABLE item AS
SELECT id, md5(id::text) name FROM generate_series(1, 500) id" |
"$@" postgres --single -j -D . postgres;
exec "$@" postgres -D . -k $PWD -c listen_addresses= -c max_connections=400"""
UVICORN = "uvicorn --no-access-log --port {port} 36_asyncpg_vs_psycopg"
PSYCOPG, ASYNCPG = f"{UVICORN}:psycopg_app", f"{UVICORN}:asyncpg_app"
STEADY = {"rate": 600, "connections": 40, "duration_s": 4.2}
MANY, LONG = {"connections": 200}, "env POOL=80 WAIT_S=0.1 "
ARMS = {
    "psycopg": (PSYCOPG, "/", STEADY),
    "asyncpg": (ASYNCPG, "/", STEADY),
    "psycopg, 1 client": (PSYCOPG, "/"),
    "asyncpg, 1 client": (ASYNCPG, "/"),
    "asyncpg, no reset": (f"env NO_RESET=1 {ASYNCPG}", "/"),
    "psycopg, 200 clients": (PSYCOPG, "/", MANY),
    "asyncpg, 200 clients": (ASYNCPG, "/", MANY),
    "psycopg, 0.1 s": (LONG + PSYCOPG, "/", MANY | {"duration_s": 1.2}),
    "asyncpg, 0.1 s": (LONG + ASYNCPG, "/", MANY | {"duration_s": 1.2}),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, Service, experiment

    def say(over, under, how, above, why=""):
        then, otherwise = f"{how} {{faster}}{why}", f"{how} {{faster}}"
        return Cause(over, under, above=above, then=then, otherwise=otherwise)

    one, many = "with one client asyncpg is", "with 200 clients, flat out, asyncpg is"
    bare = "without the statement that resets a connection asyncpg is"
    long = "with 80 connections and queries of 0.1 s asyncpg is"
    threads = ": a `def` endpoint has 40 threads"
    experiment(
        ARMS,
        expect="8f14e45fceea167a5a36dedd4bea2543",  # the md5 sum of 7
        services={"postgres": Service(POSTGRES, ready="pg_isready -h {folder}")},
        needs={"postgres": "postgresql"},
        shared=True,
        in_turns=True,
        rounds=2,
        duration_s=0.5,
        quick_share=0.5,
        ask_after="/connections",
        columns={"pool": lambda arm: str(max(arm.said))},
        claim=Ratio("asyncpg", "psycopg", claimed=1.3, metric="p99_s"),
        causes=[
            say("asyncpg, 1 client", "psycopg, 1 client", one, 1.05, ": it has no hop"),
            say("asyncpg, no reset", "asyncpg, 1 client", bare, 1.05),
            say("asyncpg, 200 clients", "psycopg, 200 clients", many, 1.05),
            say("asyncpg, 0.1 s", "psycopg, 0.1 s", long, 1.5, threads),
        ],
    )

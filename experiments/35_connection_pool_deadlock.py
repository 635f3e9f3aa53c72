# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "psycopg[binary,pool]==3.3.9", "sqlalchemy[asyncio]==2.1.9", "tqdm==4.70.1",
#   "uv==0.13.8", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""35: A database session as a dependency makes FastAPI stand still

Claim      With a pool of 10 connections and 11 clients, an app whose session comes from
           a dependency that yields stands still; with a `with` block it does not.
Source     https://github.com/fastapi/fastapi/issues/3205, May and November 2021, not
           said how loaded. Mended in 0.82, #5122, but for response models, #12066
Expect     A session holds its connection until the dependency ends. A `def` that needs
           one more thread by then, before 0.82 for that end and today to check a model,
           waits behind those that wait for a connection in all 40 threads: from 40 + 10
           clients on. On the loop, one that waits is enough.
           yield, 11 clients  one waits: all is well
           yield, 60 clients  all is well since 0.82
           with, 60 clients  one thread to the end
           model, 45 clients  35 wait, 5 threads are left
           model, 60 clients  stands still
           limited, 60 clients  10 have a session, 50 none
           async, 60 clients  no threads
           on the loop, 11 clients  stands still
Run        python experiments/35_connection_pool_deadlock.py [--then]
Limits     SQLAlchemy's pool gives up after 30 s, here after 3.
"""

import asyncio
import os

from fastapi import Depends, FastAPI, __version__
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

NAME, FOLDER = f"server{os.getpid()}", os.environ.get("POSTGRES_FOLDER", "")
URL = f"postgresql+psycopg://postgres@/postgres?application_name={NAME}&host={FOLDER}"
POOL = {"pool_size": 10, "max_overflow": 0, "pool_timeout": 3}
QUERY = text("SELECT name FROM item WHERE id = 7")
COUNT = text(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}'")
MODEL = {"response_model": dict[str, str]}

app = FastAPI()
engine, async_engine = create_engine(URL, **POOL), create_async_engine(URL, **POOL)


def get_session():
    with Session(engine) as session:
        yield session  # the line under test: it ends once the answer is sent


LIMIT = {} if __version__ == "0.81.0" else {"max_concurrency": 10}
SESSION, LIMITED = Depends(get_session), Depends(get_session, **LIMIT)


@app.get("/yield")
@app.get("/model", **MODEL)
def fetch(session: Session = SESSION):
    return {"name": session.scalar(QUERY)}


@app.get("/limited", **MODEL)
def fetch_limited(session: Session = LIMITED):
    return fetch(session)


@app.get("/with", **MODEL)
def fetch_in_block():
    with Session(engine) as session:
        return fetch(session)


@app.get("/async", **MODEL)
async def fetch_async():
    async with AsyncSession(async_engine) as session:
        return {"name": await session.scalar(QUERY)}


@app.get("/loop")
async def fetch_on_loop(session: Session = SESSION):
    row = fetch(session)  # it blocks
    await asyncio.sleep(0.01)  # for whatever else is to be waited for
    return row


@app.get("/connections")
def count_connections(session: Session = SESSION):
    return session.scalar(COUNT)


POSTGRES = """[ $(id -u) = 0 ] && chown nobody . && set -- setpriv --reuid=nobody;
"$@" initdb -D . -U postgres --no-sync; echo "CREATE TABLE item AS
SELECT id, md5(id::text) name FROM generate_series(1, 500) id" |
"$@" postgres --single -j -D . postgres;
exec "$@" postgres -D . -k $PWD -c listen_addresses= -c max_connections=400"""
UVICORN = "uvicorn --no-access-log --port {port} 35_connection_pool_deadlock:app"
FEW, MORE, MANY = ({"connections": n, "timeout_s": 2} for n in (11, 45, 60))
NOISE = "client lag little neighbour queued spread steal"  # makes nothing stand still
ARMS = {
    "yield, 11 clients": (UVICORN, "/yield", FEW),
    "yield, 60 clients": (UVICORN, "/yield", MANY),
    "with, 60 clients": (UVICORN, "/with", MANY),
    "model, 45 clients": (UVICORN, "/model", MORE),
    "model, 60 clients": (UVICORN, "/model", MANY),
    "limited, 60 clients": (UVICORN, "/limited", MANY),
    "async, 60 clients": (UVICORN, "/async", MANY),
    "on the loop, 11 clients": (UVICORN, "/loop", FEW),
}
IN_2022 = (
    "uv run --isolated --no-project --python 3.11 --with fastapi==0.81.0 "
    "--with 'uvicorn[standard]' --with 'sqlalchemy[asyncio]' --with 'psycopg[binary]' "
)
THEN = {name: (IN_2022 + UVICORN, *ARMS[name][1:]) for name in list(ARMS)[:3]}

if __name__ == "__main__":
    from harness import Outcome, Service, experiment

    def find_stuck(arms):
        """Those with a request that had no answer in 2 s, or a 500."""
        return [n for n, arm in arms.items() if any(each.failed for each in arm.rounds)]

    why = (
        "every thread waited for a connection, and every session that had one waited "
        "for a thread. That takes 50 clients, or a call that blocks the event loop"
    )
    experiment(
        ARMS,
        expect={"name": "8f14e45fceea167a5a36dedd4bea2543"},  # the md5 sum of 7
        duration_s=0.5,
        then=THEN,
        services={"postgres": Service(POSTGRES, ready="pg_isready -h {folder}")},
        needs={"postgres": "postgresql"},
        ask_after="/connections",
        columns={"pool": lambda arm: str(max(arm.said))},
        subject=["failures", *NOISE.split()],
        findings=lambda arms: [f"stood still: {' · '.join(find_stuck(arms)) or '-'}"],
        causes=[lambda arms: why if find_stuck(arms) else "nobody waited for a thread"],
        claim=Outcome(
            rule="REPRODUCED if it stands still with 11 clients, NOT REPRODUCED if not",
            reproduced=lambda arms: "yield, 11 clients" in find_stuck(arms),
            not_reproduced=lambda arms: "yield, 11 clients" not in find_stuck(arms),
        ),
    )

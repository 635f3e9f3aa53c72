# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3", "gevent==26.9.0",
#   "gunicorn==27.0.1", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "tqdm==4.70.1", "uvicorn[standard]==0.54.0", "uvicorn-worker==0.4.0",
#   "uvloop==0.23.0",
# ]
# ///
"""21: only async can serve a thousand clients that wait

Claim      To serve thousands of requests at once an async framework is essential.
Source     https://github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: 9000 requests/s of an endpoint that never waited
Expect     1000 clients who wait 1 s at once need 1000 places to wait in, of any kind.
           Clients give up after 5 s.
           asyncio       1000 coroutines: done in 1 to 2 s
           gevent        1000 greenlets: done in 1 to 2 s
           1000 threads  done in 1 to 2 s, with more memory
           40 threads    40 x 5 = 200 answered, 800 give up
Run        python experiments/21_thousand_waiting_clients.py
Limits     It does not test work between the waits, nor ten thousand clients.
"""

import asyncio
import time
from math import inf
from statistics import median

from fastapi import FastAPI
from flask import Flask

WAIT_S = 1.0
PATIENCE = {"timeout_s": 5.0}

app = FastAPI()
flask_app = Flask(__name__)


@app.get("/")
async def coroutine_view() -> dict[str, float]:
    await asyncio.sleep(WAIT_S)  # the line under test
    return {"waited": WAIT_S}


@flask_app.get("/")
def view() -> dict[str, float]:  # the same for greenlets and threads
    time.sleep(WAIT_S)
    return {"waited": WAIT_S}


ASYNCIO = "gunicorn -b {host}:{port} -k uvicorn_worker.UvicornWorker"
FLASK = (  # which has room for 1000 connections unless told
    "gunicorn -b {host}:{port} --worker-connections 2000 "
    "21_thousand_waiting_clients:flask_app"
)
ARMS = {
    "asyncio": (f"{ASYNCIO} 21_thousand_waiting_clients:app", "/", PATIENCE),
    "gevent": (f"{FLASK} -k gevent", "/", PATIENCE),
    "1000 threads": (f"{FLASK} --threads 1000", "/", PATIENCE),
    "40 threads": (f"{FLASK} --threads 40", "/", PATIENCE),
}

if __name__ == "__main__":
    from harness import Outcome, experiment

    def all_in_s(arm) -> float:
        """How long the median round took until all had an answer."""
        return median(inf if each.failed else each.elapsed_s for each in arm.rounds)

    def in_time(arm) -> bool:
        return all_in_s(arm) < 2 * WAIT_S

    def others(arms) -> list[str]:
        return [
            name for name, arm in arms.items() if name != "asyncio" and in_time(arm)
        ]

    def kb_a_client(arm) -> str:
        """Peak memory less that before any client came, for each of them."""
        grown = arm.run.server.rss_bytes - arm.idle.rss_bytes
        return f"{grown / arm.run.load.requests / 1e3:.0f}"

    def places(arms) -> str:
        also = " and ".join(others(arms)) or "nothing else"
        return (
            "each client that waits needs a place, and a coroutine is only one kind of "
            f"place: in time without async: {also}"
        )

    experiment(
        ARMS,
        connections=1000,
        quick_connections=250,
        requests=1000,
        rounds=1,
        expect={"waited": WAIT_S},
        claim=Outcome(
            rule="REPRODUCED when in the median round only asyncio answers all within "
            "two waits (2 s), NOT REPRODUCED when another does",
            reproduced=lambda arms: in_time(arms["asyncio"]) and not others(arms),
            not_reproduced=lambda arms: bool(others(arms)),
        ),
        columns={
            "all in": lambda arm: f"{all_in_s(arm):.2f} s".replace("inf s", "-"),
            "kB/client": kb_a_client,
        },
        causes=[places],
        subject=["failures", "little", "overflows"],
    )

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "fastapi", "flask", "gevent", "gunicorn", "hdrhistogram", "httptools",
#   "numpy", "psutil", "tqdm", "uvicorn[standard]", "uvicorn-worker", "uvloop",
# ]
# ///
"""21: only async serves a thousand clients that wait

Claim      To serve thousands of requests at once an async framework is essential.
Source     github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: 9000 requests/s of an endpoint that never waited
Expect     1000 clients who wait 1 s at once need 1000 places, of whatever kind: with
           coroutines, greenlets or 1000 threads all is done after 1 s and the time to
           connect. 40 threads would take 1000 / 40 x 1 s = 25 s, so where clients give
           up after 5 s, 40 x 5 = 200 are answered and 800 are not. What may tell the
           first three apart is memory: a thread needs a stack of its own.
Run        python experiments/21_thousand_waiting_clients.py
Not shown  Work between the waits, and ten thousand clients.
"""

import asyncio
import time

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


ASYNCIO = "gunicorn -b 127.0.0.1:{port} -k uvicorn_worker.UvicornWorker"
FLASK = (  # which has room for 1000 connections unless told
    "gunicorn -b 127.0.0.1:{port} --worker-connections 2000 21_thousand_waiting_clients:flask_app"
)
ARMS = {
    "asyncio": (f"{ASYNCIO} 21_thousand_waiting_clients:app", "/", PATIENCE),
    "gevent": (f"{FLASK} -k gevent", "/", PATIENCE),
    "1000 threads": (f"{FLASK} --threads 1000", "/", PATIENCE),
    "40 threads": (f"{FLASK} --threads 40", "/", PATIENCE),
}

if __name__ == "__main__":
    from harness import Outcome, experiment

    def slowest_s(arm) -> float:
        return max(each["elapsed_s"] for each in arm["rounds"])

    def in_time(arm) -> bool:
        return arm["run"].failed == 0 and slowest_s(arm) < 2 * WAIT_S

    def others(arms) -> list[str]:
        return [name for name, arm in arms.items() if name != "asyncio" and in_time(arm)]

    def kb_a_client(arm) -> str:
        """Peak memory less that before any client came, for each of them."""
        run = arm["run"]
        grown = run.server["rss_bytes"] - arm["idle"]["rss_bytes"]
        return f"{grown / run.load['requests'] / 1e3:.0f}"

    experiment(
        ARMS,
        connections=1000,
        quick_connections=250,
        requests=1000,
        rounds=1,
        full_rounds=3,
        expect={"waited": WAIT_S},
        claim=Outcome(
            rule="reproduced when only asyncio answers all within two waits (2 s), not "
            "when another does",
            reproduced=lambda arms: in_time(arms["asyncio"]) and not others(arms),
            not_reproduced=lambda arms: bool(others(arms)),
        ),
        columns={
            "all in": lambda arm: "-" if arm["run"].failed else f"{slowest_s(arm):.2f} s",
            "threads": lambda arm: str(arm["run"].server["threads"]),
            "kB/client": kb_a_client,
        },
        causes=[
            lambda arms: (
                "waiting takes a place for each client, and a coroutine is one kind "
                f"of place: also in time without async were {' and '.join(others(arms)) or 'none'}"
            )
        ],
        subject=("failures", "little", "overflows"),
    )

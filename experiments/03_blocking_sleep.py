# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "fastapi", "flask", "gunicorn", "hdrhistogram", "httptools", "numpy",
#   "psutil", "tqdm", "uvicorn[standard]", "uvloop",
# ]
# ///
"""03: time.sleep() in an async endpoint holds up every other request

Claim      An `async def` endpoint that calls time.sleep() serves one request at a
           time; with asyncio.sleep() it serves them all at once.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020 (no figures)
Expect     One process, 20 clients, 0.1 s: 1 / 0.1 s = 10 requests/s against
           20 / 0.1 s = 200. A plain `def` runs in a pool of 40 threads: 200 too.
Run        python experiments/03_blocking_sleep.py
Not shown  More clients than the pool has threads (experiment 16), and browsers,
           which queue two tabs on one URL whatever the server does.
"""

import asyncio
import time

from fastapi import FastAPI
from flask import Flask

SLEEP_S = 0.1

app = FastAPI()
flask_app = Flask(__name__)


@app.get("/blocking")
async def blocking() -> dict[str, float]:
    time.sleep(SLEEP_S)  # noqa: ASYNC251 - the line under test
    return {"slept": SLEEP_S}


@app.get("/cooperative")
async def cooperative() -> dict[str, float]:
    await asyncio.sleep(SLEEP_S)
    return {"slept": SLEEP_S}


@app.get("/threaded")
def threaded() -> dict[str, float]:
    time.sleep(SLEEP_S)
    return {"slept": SLEEP_S}


@flask_app.get("/")
def flask_view() -> dict[str, float]:
    time.sleep(SLEEP_S)
    return {"slept": SLEEP_S}


UVICORN = "uvicorn 03_blocking_sleep:app --no-access-log --port {port}"
GTHREAD = "gunicorn --threads 20 -b 127.0.0.1:{port} 03_blocking_sleep:flask_app"
ARMS = {
    "time.sleep": (UVICORN, "/blocking"),
    "asyncio.sleep": (UVICORN, "/cooperative"),
    "def + time.sleep": (UVICORN, "/threaded"),
    "Flask, 20 threads": (GTHREAD, "/"),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    experiment(
        ARMS,
        connections=20,
        quick_connections=8,
        duration_s=0.5,
        expect={"slept": SLEEP_S},
        claim=Ratio("asyncio.sleep", "time.sleep", "> 5", "< 2"),
        causes=[
            Cause(
                "def + time.sleep",
                "time.sleep",
                when="> 5",
                then="the same time.sleep() in a plain def endpoint reaches {ratio}: "
                "it is not the sleep but the event loop it holds up",
                otherwise="a plain def endpoint gains only {ratio}, so the event loop "
                "alone does not explain it",
            )
        ],
    )

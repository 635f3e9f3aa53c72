# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "tqdm==4.70.1", "uvicorn[standard]==0.54.0",
#   "uvloop==0.23.0",
# ]
# ///
"""03: time.sleep() in an async endpoint blocks every other request

Claim      An `async def` endpoint that calls time.sleep() serves one request at a
           time. With asyncio.sleep() it serves them all at once.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: no figures
Expect     One process and 20 clients, 0.1 s of sleep each.
           time.sleep         1 / 0.1 s = 10 requests/s
           asyncio.sleep      20 / 0.1 s = 200 requests/s
           def + time.sleep   in 40 threads: 200 requests/s
           Flask, 20 threads  20 / 0.1 s = 200 requests/s
Run        python experiments/03_blocking_sleep.py
Limits     It does not test more clients than the pool has threads (experiment 16), nor
           browsers, which open two tabs on one URL one after the other. What a `def`
           endpoint pays for its thread is measured alone in 26.
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
GTHREAD = "gunicorn --threads 20 -b {host}:{port} 03_blocking_sleep:flask_app"
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
        claim=Ratio("asyncio.sleep", "time.sleep", least=5),
        causes=[
            Cause(
                "def + time.sleep",
                "time.sleep",
                above=5,
                then="the same time.sleep() in a plain def endpoint is {faster}: it "
                "is the event loop that is blocked, not the sleep that is slow",
                otherwise="a plain def endpoint is only {faster}: the event loop is "
                "not the only reason",
            )
        ],
    )

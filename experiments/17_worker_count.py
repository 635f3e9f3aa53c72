# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "tqdm==4.70.1", "uvicorn[standard]==0.54.0",
#   "uvicorn-worker==0.4.0", "uvloop==0.23.0",
# ]
# ///
"""17: cores x 2 + 1 workers make better use of the machine

Claim      With cores x 2 + 1 workers gunicorn makes better use of the machine.
Source     https://github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: 21 UvicornWorkers on 10 cores, set together with three other
           settings
Expect     n cores compute n requests at a time. An async worker lets all clients sleep
           at once, with any number of workers: 10 / 50 ms = 200 requests/s on 2 cores.
           A sync worker sleeps for one client at a time.
           async cpu, 1        1 / 2 ms = 500 requests/s
           async cpu, cores    cores / 2 ms
           async cpu, 2n+1     the same
           async sleep, 1      clients / 50 ms
           async sleep, cores  the same
           async sleep, 2n+1   the same
           sync cpu, 1         1 / 2 ms = 500 requests/s
           sync cpu, cores     cores / 2 ms
           sync cpu, 2n+1      the same
           sync sleep, 1       1 / 50 ms = 20 requests/s
           sync sleep, cores   cores / 50 ms
           sync sleep, 2n+1    (2 cores + 1) / 50 ms: 2.5 times
Run        python experiments/17_worker_count.py
Limits     Work that computes and sleeps by turns lies in between.
"""

import asyncio
import os
import time

from fastapi import FastAPI
from flask import Flask

CPU_S = 0.002  # of CPU time, on any machine
SLEEP_S = 0.05

app = FastAPI()
flask_app = Flask(__name__)


def compute() -> None:
    ends = time.thread_time() + CPU_S
    while time.thread_time() < ends:
        pass


@app.get("/cpu")
async def async_cpu() -> str:
    compute()
    return "done"


@app.get("/sleep")
async def async_sleep() -> str:
    await asyncio.sleep(SLEEP_S)
    return "done"


@flask_app.get("/cpu")
def sync_cpu() -> str:
    compute()
    return "done"


@flask_app.get("/sleep")
def sync_sleep() -> str:
    time.sleep(SLEEP_S)
    return "done"


N = os.cpu_count() or 1
MANY = 2 * N + 1  # the line under test
ASYNC = "gunicorn -k uvicorn_worker.UvicornWorker -b {host}:{port} 17_worker_count:app"
SYNC = "gunicorn -k sync -b {host}:{port} 17_worker_count:flask_app"
GENTLY = {"warmup_s": 0.2}  # all at once would mostly be accepted by one worker
ARMS = {
    "async cpu, 1": (f"{ASYNC} -w 1", "/cpu", GENTLY),
    "async cpu, cores": (f"{ASYNC} -w {N}", "/cpu", GENTLY),
    "async cpu, 2n+1": (f"{ASYNC} -w {MANY}", "/cpu", GENTLY),
    "async sleep, 1": (f"{ASYNC} -w 1", "/sleep"),
    "async sleep, cores": (f"{ASYNC} -w {N}", "/sleep"),
    "async sleep, 2n+1": (f"{ASYNC} -w {MANY}", "/sleep"),
    "sync cpu, 1": (f"{SYNC} -w 1", "/cpu"),
    "sync cpu, cores": (f"{SYNC} -w {N}", "/cpu"),
    "sync cpu, 2n+1": (f"{SYNC} -w {MANY}", "/cpu"),
    "sync sleep, 1": (f"{SYNC} -w 1", "/sleep"),
    "sync sleep, cores": (f"{SYNC} -w {N}", "/sleep"),
    "sync sleep, 2n+1": (f"{SYNC} -w {MANY}", "/sleep"),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def ratio(work: str) -> Ratio:
        return Ratio(f"{work}, 2n+1", f"{work}, cores", least=1.05)

    experiment(
        ARMS,
        connections=2 * MANY,
        expect="done",
        duration_s=0.25,
        claim=[ratio("async cpu"), ratio("async sleep")],
        causes=[
            Cause(
                "sync sleep, 2n+1",
                "sync sleep, cores",
                above=1.05,
                then="sync workers that sleep do gain, {faster}: each holds one "
                "request, so more of them hold more",
                otherwise="not even sync workers that sleep gain: {faster}",
            ),
            Cause(
                "sync cpu, 2n+1",
                "sync cpu, cores",
                below=1.05,
                then="sync workers that compute do not gain ({ratio}): the cores were "
                "busy before",
                otherwise="sync workers that compute are {faster}",
            ),
        ],
    )

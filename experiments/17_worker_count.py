# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "fastapi", "flask", "gunicorn", "hdrhistogram", "httptools", "numpy",
#   "psutil", "tqdm", "uvicorn[standard]", "uvicorn-worker", "uvloop",
# ]
# ///
"""17: twice as many workers as cores, and one more, use the machine better

Claim      With cores x 2 + 1 workers gunicorn makes better use of the machine.
Source     github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: 21 UvicornWorkers on 10 cores, set together with three other dials
Expect     n cores compute n requests at a time, so n / 2 ms from n workers on: x 1. An
           async worker lets all clients sleep at once: 10 / 50 ms = 200 requests/s with
           any number of workers: x 1. A sync worker sleeps for one at a time, w / 50 ms:
           on two cores 20 requests/s with 1, 40 with 2, 100 with 5, so 5 / 2 = x 2.5.
Run        python experiments/17_worker_count.py
Not shown  Work that computes and sleeps by turns, which lies between the two.
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
MANY = 2 * N + 1  # the number under test
ASYNC = "gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port} 17_worker_count:app"
SYNC = "gunicorn -k sync -b 127.0.0.1:{port} 17_worker_count:flask_app"
GENTLY = {"warmup_s": 0.2}  # all at once would mostly be accepted by one worker
ARMS = {
    "async cpu w=1": (f"{ASYNC} -w 1", "/cpu", GENTLY),
    f"async cpu w={N}": (f"{ASYNC} -w {N}", "/cpu", GENTLY),
    f"async cpu w={MANY}": (f"{ASYNC} -w {MANY}", "/cpu", GENTLY),
    "async sleep w=1": (f"{ASYNC} -w 1", "/sleep"),
    f"async sleep w={N}": (f"{ASYNC} -w {N}", "/sleep"),
    f"async sleep w={MANY}": (f"{ASYNC} -w {MANY}", "/sleep"),
    "sync cpu w=1": (f"{SYNC} -w 1", "/cpu"),
    f"sync cpu w={N}": (f"{SYNC} -w {N}", "/cpu"),
    f"sync cpu w={MANY}": (f"{SYNC} -w {MANY}", "/cpu"),
    "sync sleep w=1": (f"{SYNC} -w 1", "/sleep"),
    f"sync sleep w={N}": (f"{SYNC} -w {N}", "/sleep"),
    f"sync sleep w={MANY}": (f"{SYNC} -w {MANY}", "/sleep"),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def ratio(work: str) -> Ratio:
        return Ratio(f"{work} w={MANY}", f"{work} w={N}", "> 1.05", "< 1.05")

    experiment(
        ARMS,
        connections=2 * MANY,
        expect="done",
        duration_s=0.25,
        claim=[ratio("async cpu"), ratio("async sleep")],
        causes=[
            Cause(
                f"sync sleep w={MANY}",
                f"sync sleep w={N}",
                when="> 1.05",
                then="it is sync workers that sleep that gain, {ratio}: each holds one "
                "request, so more of them hold more",
                otherwise="not even sync workers that sleep gain: {ratio}",
            ),
            Cause(
                f"sync cpu w={MANY}",
                f"sync cpu w={N}",
                when="< 1.05",
                then="sync workers that compute do not gain, {ratio}: the cores were busy before",
                otherwise="sync workers that compute measure {ratio}",
            ),
        ],
    )

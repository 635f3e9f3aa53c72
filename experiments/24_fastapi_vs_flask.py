# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "pydantic==2.14.4", "tqdm==4.70.1",
#   "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""24: FastAPI is faster than Flask

Claim      FastAPI is faster than Flask: what people say, without a figure of their own.
Source     https://fastapi.tiangolo.com/benchmarks/: "one of the fastest", and compare
           it with what validates, too. Flask 15,726, FastAPI 12,160 requests/s (ab,
           2021): https://github.com/fastapi/fastapi/issues/2690
Expect     A request costs Flask F and FastAPI A of CPU time, and both its own work W:
           (F + W) / (A + W) goes to 1. Waiting costs none: how many can wait counts.
           Flask, hello  1 / F
           FastAPI, hello  1 / A, more if A < F
           FastAPI, hello, def  1 / (A + hop to a thread)
           Flask, validated  1 / (F + V)
           FastAPI, validated  1 / (A + V)
           Flask, 5 ms of CPU  1 / (F + 5 ms) < 200/s
           FastAPI, 5 ms of CPU  1 / (A + 5 ms) < 200/s
           Flask, waits  100 threads / 0.1 s = 1000/s
           Flask, waits, 40 threads  40 / 0.1 s = 400/s
           Flask, waits, 8 threads  8 / 0.1 s = 80/s
           FastAPI, waits  100 clients / 0.1 s = 1000/s
           FastAPI, waits, def  40 threads / 0.1 s = 400/s
Run        python experiments/24_fastapi_vs_flask.py
Limits     Each has its usual server (04, 32: others). 26 measures the hop to a thread
           alone, 29 validation; 25 and 36 wait for a database.
"""

import asyncio
import time

from fastapi import FastAPI
from flask import Flask, request
from pydantic import BaseModel

CPU_S, WAIT_S = 0.005, 0.1
HELLO = {"message": "hello"}

app = FastAPI()
flask_app = Flask(__name__)


class Order(BaseModel):
    who: str
    items: list[int]


@app.get("/")
async def hello():  # the lines under test: this on uvicorn
    return HELLO


@flask_app.get("/")
@app.get("/def")
def hello_in_thread():  # and this on gunicorn
    return HELLO


@app.post("/order")
async def order(order: Order):
    return {"total": sum(order.items)}


@flask_app.post("/order")
def flask_order():
    order = Order.model_validate_json(request.get_data())
    return {"total": sum(order.items)}


@flask_app.get("/cpu")
@app.get("/cpu")
def cpu():
    ends_s = time.thread_time() + CPU_S
    while time.thread_time() < ends_s:
        pass
    return HELLO


@app.get("/wait")
async def wait():
    await asyncio.sleep(WAIT_S)
    return HELLO


@flask_app.get("/wait")
@app.get("/wait/def")
def wait_in_thread():
    time.sleep(WAIT_S)
    return HELLO


JSON = (("Content-Type", "application/json"),)
POST = {"method": "POST", "headers": JSON, "body": b'{"who": "Ada", "items": [1, 2]}'}
MANY = {"connections": 100}
FASTAPI = "uvicorn --no-access-log --port {port} 24_fastapi_vs_flask:app"
FLASK = "gunicorn -b {host}:{port} 24_fastapi_vs_flask:flask_app --threads"
ARMS = {
    "Flask, hello": (f"{FLASK} 4", "/"),
    "FastAPI, hello": (FASTAPI, "/"),
    "FastAPI, hello, def": (FASTAPI, "/def"),
    "Flask, validated": (f"{FLASK} 4", "/order", POST),
    "FastAPI, validated": (FASTAPI, "/order", POST),
    "Flask, 5 ms of CPU": (f"{FLASK} 4", "/cpu"),
    "FastAPI, 5 ms of CPU": (FASTAPI, "/cpu"),
    "Flask, waits": (f"{FLASK} 100", "/wait", MANY),
    "Flask, waits, 40 threads": (f"{FLASK} 40", "/wait", MANY),
    "Flask, waits, 8 threads": (f"{FLASK} 8", "/wait", MANY),
    "FastAPI, waits": (FASTAPI, "/wait", MANY),
    "FastAPI, waits, def": (FASTAPI, "/wait/def", MANY),
}

if __name__ == "__main__":
    from harness import Cause, Each, Ratio, experiment

    def find(arms):
        cost_us = {n: arm.run.server.cpu_us_per_request for n, arm in arms.items()}
        for row in ("hello", "validated"):
            saved_us = cost_us[f"Flask, {row}"] - cost_us[f"FastAPI, {row}"]
            enough_ms = (saved_us / 0.05 - cost_us[f"FastAPI, {row}"]) / 1000
            yield (
                f"{row}: FastAPI saves {saved_us:.0f} µs of CPU time for each request; "
                f"with {enough_ms:.1f} ms of work or more that is less than 5 %"
            )

    experiment(
        ARMS,
        connections=16,
        duration_s=0.6,
        expect=Each({n: {"total": 3} if "valid" in n else HELLO for n in ARMS}),
        claim=Ratio("FastAPI, hello", "Flask, hello"),
        findings=find,
        causes=[
            Cause(
                f"FastAPI, {row}",
                f"Flask, {row}",
                above=1.25,
                then=f"{row}: FastAPI is {{faster}}",
                otherwise=f"{row}: hardly any difference: FastAPI is {{faster}}",
            )
            for row in ("validated", "5 ms of CPU", "waits")
        ],
    )

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "tqdm==4.70.1", "uvicorn[standard]==0.54.0",
#   "uvicorn-worker==0.4.0", "uvloop==0.23.0",
# ]
# ///
"""18: restarting workers every 1000 requests makes a server more stable

Claim      worker_connections 1000, max_requests 1000 and max_requests_jitter 50 make
           gunicorn more stable.
Source     https://github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: UvicornWorkers under 9000 requests/s; no figures without them
Expect     Without these settings nothing fails, which cannot be improved on.
           worker_connections is 1000 anyway, and UvicornWorker never reads it.
           max_requests makes 2000 / 1000 = 2 restarts a round. Each closes 16 / 2 = 8
           connections, with the requests that are on the way.
           none of them  no failures
           all three     failures, as max + jitter
           connections   as none of them
           max requests  failures at 2 restarts a round
           max + jitter  as many: jitter only spreads restarts
           asgi          no failures
           asgi, max     failures, perhaps
           gthread       no failures
           gthread, max  failures, perhaps
Run        python experiments/18_worker_recycling.py
Limits     It does not test an app that leaks memory, which is what recycling is for.
"""

from fastapi import FastAPI
from flask import Flask

app = FastAPI()
flask_app = Flask(__name__)


@app.post("/")
async def async_view() -> str:
    return "done"


@flask_app.post("/")
def sync_view() -> str:
    return "done"


GUNICORN = "gunicorn -w 2 -b {host}:{port} -k"
ASYNC = f"{GUNICORN} uvicorn_worker.UvicornWorker 18_worker_recycling:app"
ASGI = f"{GUNICORN} asgi 18_worker_recycling:app"
THREADS = f"{GUNICORN} gthread --threads 8 18_worker_recycling:flask_app"
ROOM = "--worker-connections 1000"
MAX = "--max-requests 1000"  # the line under test
JITTER = "--max-requests-jitter 50"
# Failures are counted, and a worker takes so long to end that the next one starts
# beside the next arm.
NOT_TIMED = ["failures", "little", "restarts", "neighbour", "queued", "steal", "lag"]
POST = {"method": "POST"}  # which no client may send a second time by itself
ARMS = {
    "none of them": (ASYNC, "/", POST),
    "all three": (f"{ASYNC} {ROOM} {MAX} {JITTER}", "/", POST),
    "connections": (f"{ASYNC} {ROOM}", "/", POST),
    "max requests": (f"{ASYNC} {MAX}", "/", POST),
    "max + jitter": (f"{ASYNC} {MAX} {JITTER}", "/", POST),
    "asgi": (ASGI, "/", POST),
    "asgi, max": (f"{ASGI} {MAX}", "/", POST),
    "gthread": (THREADS, "/", POST),
    "gthread, max": (f"{THREADS} {MAX}", "/", POST),
}

if __name__ == "__main__":
    from harness import Cause, Outcome, experiment

    def better(arms) -> bool:
        """A smaller share fails; or the same, and every round is over 5 % faster."""
        advised, plain = arms["all three"], arms["none of them"]
        share, before = (x.run.failed / x.run.requests for x in (advised, plain))
        pairs = zip(advised.rounds, plain.rounds, strict=True)
        faster = all(a.throughput > 1.05 * b.throughput for a, b in pairs)
        return share < before or (share == before and faster)

    def restarts(arm) -> int:
        return arm.log["started"] - arm.workers * arm.log["launches"]

    def bounds(arms) -> list[str]:
        """How many may fail all the same where none did: fewer than 3 / n, at 95 %."""
        runs = {name: arm.run for name, arm in arms.items()}
        most = [
            f"{n} {300 / r.requests:.2f} %" for n, r in runs.items() if not r.failed
        ]
        return [f"nothing failed, so at 95 % fewer than 3/n do: {' · '.join(most)}"]

    def cause(arms) -> str:
        recycled = [arm for arm in arms.values() if MAX in arm.command]
        failed = sum(arm.run.failed for arm in recycled)
        times = sum(map(restarts, recycled))
        text = f"max_requests: {failed} failures in {times} restarts"
        if failed:
            text += ": a worker that ends closes connections with a request on the way"
        return text

    experiment(
        ARMS,
        connections=16,
        expect="done",
        requests=2000,
        rounds=2,
        claim=Outcome(
            rule="REPRODUCED when fewer fail with all three than with none, or as "
            "many and every round is 1.05 times as fast; else NOT REPRODUCED",
            reproduced=better,
            not_reproduced=lambda arms: not better(arms),
        ),
        log_counts={"started": "Booting worker", "launches": "Starting gunicorn"},
        columns={"restarts": lambda arm: str(restarts(arm))},
        findings=bounds,
        subject=NOT_TIMED,
        causes=[
            cause,
            Cause(
                "max requests",
                "none of them",
                below=1,
                then="max_requests alone makes it {faster}: the next worker has to "
                "import the app before it can serve",
                otherwise="max_requests alone makes it {faster}: the other worker "
                "serves while one starts",
            ),
            Cause(
                "connections",
                "none of them",
                above=0.9,
                below=1.1,
                then="worker_connections makes no difference ({ratio}): 1000 is its "
                "default, and UvicornWorker does not read it",
                otherwise="with worker_connections alone it is {faster}, though 1000 "
                "is its default",
            ),
        ],
    )

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "fastapi", "flask", "gunicorn", "hdrhistogram", "httptools", "numpy",
#   "psutil", "tqdm", "uvicorn[standard]", "uvicorn-worker", "uvloop",
# ]
# ///
"""18: restarting workers every 1000 requests makes a server more stable

Claim      worker_connections 1000, max_requests 1000 and max_requests_jitter 50 make
           gunicorn more stable.
Source     github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: UvicornWorkers under 9000 requests/s (no figures without them)
Expect     Without them nothing fails, and nothing is less than none. worker_connections
           is 1000 unless set, and UvicornWorker never reads it: x 1. max_requests at
           9000 requests/s is 9000 / 1000 = nine restarts a second, here 2000 / 1000 = 2 a
           round. Each closes a worker's connections, 16 / 2 = 8, with the requests on the
           way, and leaves a place empty while the next worker imports the app. Jitter
           spreads restarts by 50 / 1000 = 5 %, and makes them no fewer.
Run        python experiments/18_worker_recycling.py
Not shown  An app that leaks memory, which is what recycling is for.
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


GUNICORN = "gunicorn -w 2 -b 127.0.0.1:{port} -k"
ASYNC = f"{GUNICORN} uvicorn_worker.UvicornWorker 18_worker_recycling:app"
ASGI = f"{GUNICORN} asgi 18_worker_recycling:app"
THREADS = f"{GUNICORN} gthread --threads 8 18_worker_recycling:flask_app"
ROOM = "--worker-connections 1000"
MAX = "--max-requests 1000"  # the setting under test
JITTER = "--max-requests-jitter 50"
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
        """A smaller share fails; or the same, and every round is more than 5 % faster."""
        advised, plain = arms["all three"], arms["none of them"]
        share, before = (x["run"].failed / x["run"].requests for x in (advised, plain))
        pairs = zip(advised["rounds"], plain["rounds"], strict=True)
        faster = all(a["throughput"] > 1.05 * b["throughput"] for a, b in pairs)
        return share < before or (share == before and faster)

    def restarts(arm) -> int:
        log = arm["log"]
        return log["started"] - arm["workers"] * log["launches"]

    def bounds(arms) -> list[str]:
        """What may fail all the same where nothing did: less than 3 / n, at 95 %."""
        runs = {name: arm["run"] for name, arm in arms.items()}
        most = [f"{n} {300 / r.requests:.2f} %" for n, r in runs.items() if not r.failed]
        return [f"nothing failed, so at 95 % less than 3 / n does: {'; '.join(most)}"]

    def cause(arms) -> str:
        recycled = [arm for arm in arms.values() if MAX in arm["command"]]
        times = sum(map(restarts, recycled))
        failed = sum(arm["run"].failed for arm in recycled)
        why = ": a worker that leaves closes connections with a request on the way"
        return f"max_requests: {failed} failures in {times} restarts" + why * bool(failed)

    experiment(
        ARMS,
        connections=16,
        expect="done",
        requests=2000,
        claim=Outcome(
            rule="reproduced when less fails with all three than with none, or as much and "
            "every round is > 1.05 as fast; otherwise not",
            reproduced=better,
            not_reproduced=lambda arms: not better(arms),
        ),
        log_counts={"started": "Booting worker", "launches": "Starting gunicorn"},
        columns={"restarts": lambda arm: str(restarts(arm))},
        findings=bounds,
        # what fails is counted; and a worker that leaves takes so long that the next one
        # starts beside the next arm
        subject=("failures", "little", "restarts", "neighbour", "queued", "steal"),
        causes=[
            cause,
            Cause(
                "max requests",
                "none of them",
                when="< 1",
                then="max_requests alone makes it {ratio}: the next worker has to import the "
                "app before it can serve",
                otherwise="max_requests alone makes it {ratio}, where a worker that starts "
                "hides behind the other",
            ),
            Cause(
                "connections",
                "none of them",
                when="inside 0.9 to 1.1",
                then="worker_connections does nothing, {ratio}: 1000 is its default, and "
                "UvicornWorker does not read it",
                otherwise="worker_connections alone measures {ratio}, but 1000 is its default "
                "and UvicornWorker does not read it: look at the interval",
            ),
        ],
    )

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "a2wsgi", "aiohttp", "asgiref", "flask", "gunicorn", "hdrhistogram", "httptools",
#   "numpy", "psutil", "tqdm", "uv", "uvicorn[standard]", "uvicorn-worker", "uvloop",
# ]
# ///
"""15: Flask through WsgiToAsgi deadlocks at 400 requests/s

Claim      Flask through asgiref's WsgiToAsgi, on gunicorn with Uvicorn workers,
           deadlocks at 400 requests/s; better settings bring it to 1000.
Source     github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025 (uvicorn 0.27.1, asgiref 3.8.1): Vegeta, 4 workers, then cores x 2 + 1
Expect     400/s leave 1 / 400 s = 2.5 ms for a request, and hello takes less: if it fails
           it is not load, and one client will do. WsgiToAsgi sends the body first and
           its end later, from another thread. A client that counts Content-Length bytes
           may send its next request in between, and uvicorn then starts that one in the
           context of the first, which names a thread that is done with its work. So
           requests are lost on kept connections, at any rate and with any settings;
           none with a context for each request, without a Content-Length, on new
           connections, or with another adapter or server. (Two workers here, not four,
           for want of cores.)
Run        python experiments/15_wsgi_to_asgi_deadlock.py [--then]
Not shown  What WsgiToAsgi does where a view waits: experiment 16.
"""

from collections.abc import Iterator

from a2wsgi import WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi
from flask import Flask

TIMEOUT_S = 2.0

flask_app = Flask(__name__)
app = WsgiToAsgi(flask_app)  # the line under test
a2wsgi_app = WSGIMiddleware(flask_app)


@flask_app.get("/")
def hello() -> str:
    return "hello"


@flask_app.get("/stream")
def stream() -> Iterator[str]:
    yield "hello"  # Flask cannot tell its length: the last message ends it


MODULE = "15_wsgi_to_asgi_deadlock"
UVICORN = f"uvicorn {MODULE}:app --no-access-log --port {{port}}"
GUNICORN = f"gunicorn {MODULE}:app -b 127.0.0.1:{{port}}"
WORKERS = f"{GUNICORN} -k uvicorn_worker.UvicornWorker"
BETTER = "--worker-connections 1000 --max-requests 1000 --max-requests-jitter 50"
ONE = {"timeout_s": TIMEOUT_S}
TWO = {"timeout_s": TIMEOUT_S, "connections": 2}  # more than are ever busy at 400/s
ARMS = {
    "WsgiToAsgi": (UVICORN, "/", ONE),
    "own context": (f"{UVICORN} --reset-contextvars", "/", ONE),
    "no length": (UVICORN, "/stream", ONE),
    "new connections": (UVICORN, "/", ONE | {"keepalive": False}),
    "gunicorn -k asgi": (f"{GUNICORN} -k asgi", "/", ONE),
    "a2wsgi": (UVICORN.replace(":app", ":a2wsgi_app"), "/", ONE),
    "400/s": (f"{WORKERS} -w 2", "/", TWO | {"rate": 400}),
    "400/s at random": (
        f"{WORKERS} -w 2",
        "/",
        TWO | {"rate": 400, "arrivals": "poisson"},
    ),
    "1000/s, better": (f"{WORKERS} -w 5 {BETTER}", "/", TWO | {"rate": 1000}),
}
IN_2025 = (
    "uv run --isolated --no-project --python 3.11 --with flask==3.0.2 "
    "--with asgiref==3.8.1 --with 'uvicorn[standard]==0.27.1' "
    "--with gunicorn==21.2.0 --with uvicorn-worker --with a2wsgi "
)
THEN = {
    name: (IN_2025 + command, *more)
    for name, (command, *more) in ARMS.items()
    if name in ("WsgiToAsgi", "no length", "new connections", "a2wsgi", "400/s")
}
ADAPTED = ("WsgiToAsgi", "400/s", "400/s at random", "1000/s, better")
ERRORS = (
    "CurrentThreadExecutor already quit or is broken",
    "Single thread executor already being used, would deadlock",
)
NOISE = "client failures lag little neighbour resolution sent spread steal"

if __name__ == "__main__":
    from harness import Cause, Outcome, experiment

    def lost(arm):
        run = arm["run"]
        return run.statuses.get("500", 0) + run.errors.get("timeout", 0)

    def any_lost(arms):
        return any(lost(arms[name]) for name in ADAPTED)

    def findings(arms):
        for name, arm in arms.items():
            run, rounds = arm["run"], arm["rounds"]
            n, hung = run.requests, run.errors.get("timeout", 0)
            if not lost(arm):
                yield f"{name}: none of {n} lost, so fewer than 1 in {n // 3} (3/n)"
                continue
            bad = sum(
                "500" in r["statuses"] or "timeout" in r["errors"] for r in rounds
            )
            yield (
                f"{name}: of {n} requests {lost(arm) - hung} got a 500 and {hung} no "
                f"answer in {TIMEOUT_S:g} s, in {bad} of {len(rounds)} rounds"
            )
        for text in ERRORS:
            if said := [name for name, arm in arms.items() if arm["log"][text]]:
                yield f'"{text}", said the server of: {"; ".join(said)}'

    experiment(
        ARMS,
        connections=1,
        expect="hello",
        duration_s=0.4,
        then=THEN,
        subject=NOISE.split(),  # the control arms have as much of it, and lose nothing
        log_counts={text: f"RuntimeError: {text}" for text in ERRORS},
        findings=findings,
        claim=Outcome(
            rule="any 500 or hang with WsgiToAsgi and none with a2wsgi is reproduced, no "
            "500 and no hang is not",
            reproduced=lambda arms: any_lost(arms) and not lost(arms["a2wsgi"]),
            not_reproduced=lambda arms: not any_lost(arms),
        ),
        causes=[
            Cause(
                "own context",
                "WsgiToAsgi",
                when="> 1.1",
                then="with a context of its own for each request and nothing else changed, "
                "{ratio} as many right answers: the others are lost not to load or "
                "settings, but because they start in the context of the one before",
                otherwise="with a context of its own for each request, {ratio} as many "
                "right answers",
            ),
        ],
    )

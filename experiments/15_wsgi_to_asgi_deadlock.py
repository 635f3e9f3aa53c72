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
           April 2025 (uvicorn 0.27.1, asgiref 3.8.1): Vegeta, 4 workers, then 21
Expect     400/s leave 1 / 400 s = 2.5 ms for a request, and hello takes less: if that
           fails, it is not load, and one client will do. WsgiToAsgi sends the body, and
           its end later, from another thread. A client that counts Content-Length bytes
           may send its next request in between, and uvicorn then starts that one in the
           context of the first, which names a thread that is done with its work. So
           requests are lost on kept connections, at any rate and with any settings;
           none with a context for each request, without a Content-Length, on new
           connections, or with another adapter or server. For want of cores the four
           workers are two here, and the cores x 2 + 1 are five.
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
AT_RANDOM = TWO | {"arrivals": "poisson"}
ARMS = {
    "WsgiToAsgi": (UVICORN, "/", ONE),
    "own context": (f"{UVICORN} --reset-contextvars", "/", ONE),
    "no length": (UVICORN, "/stream", ONE),
    "reconnecting": (UVICORN, "/", ONE | {"keepalive": False}),
    "gunicorn -k asgi": (f"{GUNICORN} -k asgi", "/", ONE),
    "a2wsgi": (UVICORN.replace(":app", ":a2wsgi_app"), "/", ONE),
    "400/s": (f"{WORKERS} -w 2", "/", TWO | {"rate": 400}),
    "400/s at random": (f"{WORKERS} -w 2", "/", AT_RANDOM | {"rate": 400}),
    "1000/s better": (f"{WORKERS} -w 5 {BETTER}", "/", TWO | {"rate": 1000}),
}
IN_2025 = (
    "uv run --isolated --no-project --python 3.11 --with flask==3.0.2 "
    "--with asgiref==3.8.1 --with 'uvicorn[standard]==0.27.1' "
    "--with gunicorn==21.2.0 --with uvicorn-worker --with a2wsgi "
)
THEN = {
    name: (IN_2025 + command, *more)
    for name, (command, *more) in ARMS.items()
    if name in ("WsgiToAsgi", "no length", "reconnecting", "a2wsgi", "400/s")
}
ADAPTED = ("WsgiToAsgi", "400/s", "400/s at random", "1000/s better")
ERRORS = (
    "CurrentThreadExecutor already quit or is broken",
    "Single thread executor already being used, would deadlock",
)
NOISE = "client failures lag little neighbour overflows resolution sent spread steal"

if __name__ == "__main__":
    from harness import Cause, Outcome, experiment

    def bad_rounds(arm):
        rounds = arm["rounds"]
        return sum("500" in r["statuses"] or "timeout" in r["errors"] for r in rounds)

    def any_bad(arms):
        return any(bad_rounds(arms[name]) for name in ADAPTED)

    def findings(arms):
        for name, arm in arms.items():
            kinds = arm["run"].statuses | arm["run"].errors
            kinds.pop("status", 0)  # they are the answers that are not 200
            counts = ", ".join(f"{n} x {kind}" for kind, n in kinds.items())
            if bad := bad_rounds(arm):
                yield f"{name}: {counts}, in {bad} of {len(arm['rounds'])} rounds"
            else:
                fewer = arm["run"].requests // 3
                yield f"{name}: {counts}; none lost, so fewer than 1 in {fewer} (3/n)"
        for text in ERRORS:
            if said := [name for name, arm in arms.items() if arm["log"][text]]:
                yield f'"{text}", said the server of: {"; ".join(said)}'
        if any("timeout" in arm["run"].errors for arm in arms.values()):
            yield "what timed out waits for ever, for a thread that takes no more work"

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
            rule="any 500 or hang with WsgiToAsgi and none with a2wsgi is reproduced, "
            "no 500 and no hang is not",
            reproduced=lambda arms: any_bad(arms) and not bad_rounds(arms["a2wsgi"]),
            not_reproduced=lambda arms: not any_bad(arms),
        ),
        causes=[
            Cause(
                "own context",
                "WsgiToAsgi",
                when="> 1.1",
                then="with a context of its own for each request, and nothing else "
                "changed, {ratio} as many right answers: it is not load, nor settings, "
                "but a request that starts in the context of the one before",
                otherwise="with a context of its own for each request, {ratio} as many "
                "right answers",
            ),
        ],
    )

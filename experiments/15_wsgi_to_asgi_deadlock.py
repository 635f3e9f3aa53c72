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
Expect     400/s leave 1 / 400 = 2.5 ms a request, and hello takes less: it is not load,
           and one client must meet it, too. WsgiToAsgi sends the body, and then its end
           in a message of its own. A client that has read Content-Length bytes may ask
           again between the two, and uvicorn starts that request in the context of the
           last, whose thread is done. So failures with WsgiToAsgi on kept connections;
           none if every request has a context of its own, if there is no Content-Length
           to go by, on new connections, or with another adapter or server.
Run        python experiments/15_wsgi_to_asgi_deadlock.py [--then]
Not shown  What WsgiToAsgi does where a view waits: experiment 16.
"""

from collections.abc import Iterator

from a2wsgi import WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi
from flask import Flask

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
ONE = {"timeout_s": 2.0}
MANY = {"timeout_s": 2.0, "connections": 50}
ARMS = {
    "WsgiToAsgi": (UVICORN, "/", ONE),
    "own context": (f"{UVICORN} --reset-contextvars", "/", ONE),
    "no length": (UVICORN, "/stream", ONE),
    "new connections": (UVICORN, "/", ONE | {"keepalive": False}),
    "gunicorn -k asgi": (f"{GUNICORN} -k asgi", "/", ONE),
    "a2wsgi": (UVICORN.replace(":app", ":a2wsgi_app"), "/", ONE),
    "400/s": (f"{WORKERS} -w 4", "/", MANY | {"rate": 400}),
    "1000/s": (f"{WORKERS} -w 5 {BETTER}", "/", MANY | {"rate": 1000}),
}
IN_2025 = (
    "uv run --isolated --no-project --python 3.11 --with flask==3.0.2 "
    "--with asgiref==3.8.1 --with 'uvicorn[standard]==0.27.1' --with gunicorn==21.2.0 "
    "--with a2wsgi "
)
THEN = {
    name: (IN_2025 + ARMS[name][0].replace("uvicorn_worker", "uvicorn.workers"), *ARMS[name][1:])
    for name in ("WsgiToAsgi", "no length", "new connections", "a2wsgi", "400/s")
}
ERRORS = (
    "CurrentThreadExecutor already quit or is broken",
    "Single thread executor already being used, would deadlock",
)


def lost(arm: dict) -> int:
    """How many requests of an arm were answered with 500, or not at all in time."""
    return arm["run"].statuses.get("500", 0) + arm["run"].errors.get("timeout", 0)


def findings(arms: dict[str, dict]) -> list[str]:
    found = []
    for name, arm in arms.items():
        run, rounds = arm["run"], arm["rounds"]
        if not lost(arm):
            share = f"fewer than 1 in {run.requests // 3}"
            found.append(f"{name}: none lost of {run.requests}, so {share} (3/n)")

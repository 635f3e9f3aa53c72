# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "a2wsgi==1.10.10", "aiohttp==3.14.5", "asgiref==3.13.0", "flask[async]==3.1.3",
#   "gunicorn==27.0.1", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "tqdm==4.70.1", "uv==0.13.8", "uvicorn[standard]==0.54.0", "uvicorn-worker==0.4.0",
#   "uvloop==0.23.0",
# ]
# ///
"""15: Flask through WsgiToAsgi deadlocks at 400 requests/s

Claim      Flask through asgiref's WsgiToAsgi, on gunicorn with Uvicorn workers,
           deadlocks at 400 requests/s. Better settings bring it to 1000.
Source     https://github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: uvicorn 0.27.1, asgiref 3.8.1; Vegeta, 4 workers, then 21
Expect     WsgiToAsgi sends the end of an answer later than its body. A client on a kept
           connection may ask again in between. uvicorn starts that request in the
           context of the first, whose thread has ended. So requests are lost at any
           rate and with any settings, but only on kept connections.
           WsgiToAsgi        some 500s, with a single client
           own context       none lost
           no length         none lost: the client waits
           reconnecting      none lost
           gunicorn -k asgi  none lost
           a2wsgi            none lost
           400/s             1 / 400 s = 2.5 ms each: still lost
           400/s at random   more lost: some come at once
           1000/s better     lost, too
Run        python experiments/15_wsgi_to_asgi_deadlock.py [--then]
Limits     Two workers stand for four, and five for cores x 2 + 1 = 21. For views that
           wait see experiment 16.
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
GUNICORN = f"gunicorn {MODULE}:app -b {{host}}:{{port}}"
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
NOISE = "client failures lag little neighbour overflows queued resolution sent steal"

if __name__ == "__main__":
    from harness import Cause, Outcome, experiment

    def bad_rounds(arm):
        bad = ("500" in r.statuses or "timeout" in r.errors for r in arm.rounds)
        return sum(bad)

    def any_bad(arms):
        return any(bad_rounds(arms[name]) for name in ADAPTED)

    def findings(arms):
        for name, arm in arms.items():
            kinds = arm.run.statuses | arm.run.errors
            kinds.pop("status", 0)  # they are the answers that are not 200
            counts = ", ".join(f"{n} x {kind}" for kind, n in kinds.items())
            if bad := bad_rounds(arm):
                yield f"{name}: {counts}, in {bad} of {len(arm.rounds)} rounds"
            else:
                yield f"{name}: {counts}; fewer than 1 in {arm.run.requests // 3} (3/n)"
        for text in ERRORS:
            if said := [name for name, arm in arms.items() if arm.log[text]]:
                yield f'"{text}", said the server of: {" · ".join(said)}'
        if any("timeout" in arm.run.errors for arm in arms.values()):
            yield "what timed out waits for ever: its thread takes no more work"

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
            rule="REPRODUCED when WsgiToAsgi has a 500 or a hang and a2wsgi none, NOT "
            "REPRODUCED when WsgiToAsgi has none",
            reproduced=lambda arms: any_bad(arms) and not bad_rounds(arms["a2wsgi"]),
            not_reproduced=lambda arms: not any_bad(arms),
        ),
        causes=[
            Cause(
                "own context",
                "WsgiToAsgi",
                above=1.1,
                then="it is neither load nor settings: with a context of its own for "
                "each request, and nothing else changed, no request is lost and it is "
                "{faster}",
                otherwise="with a context of its own for each request it is {faster}",
                another_reason=True,
            ),
        ],
    )

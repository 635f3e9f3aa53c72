# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "a2wsgi", "aiohttp", "asgiref", "flask", "gunicorn", "hdrhistogram", "httptools",
#   "numpy", "psutil", "starlette", "tqdm", "uv", "uvicorn[standard]", "uvloop",
# ]
# ///
"""16: Flask behind an ASGI adapter gains from async

Claim      Flask on Uvicorn workers, through asgiref's WsgiToAsgi, gets some of the
           benefits of async.
Source     github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025 (no figures of its own)
Expect     A view that sleeps 0.1 s holds a thread, whoever calls it, so the ceiling is
           min(threads, 16 clients) / 0.1 s. WsgiToAsgi has one thread a process: 10
           requests/s, as gunicorn's sync worker; a2wsgi has 10: 100; a2wsgi told to
           have 40, Starlette's middleware and gthread have 40: 160.
Run        python experiments/16_wsgi_to_asgi_concurrency.py [--then]
Not shown  More than 40 clients, and WsgiToAsgi on connections that are kept alive
           (experiment 15): here every request opens one.
"""

import threading
import time
import warnings

import a2wsgi
from asgiref.wsgi import WsgiToAsgi
from flask import Flask

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it is deprecated in favour of a2wsgi
    from starlette.middleware.wsgi import WSGIMiddleware

SLEEP_S = 0.1

flask_app = Flask(__name__)
asgiref_app = WsgiToAsgi(flask_app)  # the line under test
a2wsgi_app = a2wsgi.WSGIMiddleware(flask_app)
a2wsgi_40_app = a2wsgi.WSGIMiddleware(flask_app, workers=40)
starlette_app = WSGIMiddleware(flask_app)

sleeping: set[int] = set()  # the threads that are in the view now
most = 0


@flask_app.get("/")
def view() -> str:
    global most
    sleeping.add(threading.get_ident())
    most = max(most, len(sleeping))
    time.sleep(SLEEP_S)
    sleeping.remove(threading.get_ident())
    return "slept"


@flask_app.get("/most")
def most_at_once() -> str:
    return str(most)


UVICORN = "uvicorn --no-access-log --port {port} 16_wsgi_to_asgi_concurrency"
GUNICORN = "gunicorn -b 127.0.0.1:{port} 16_wsgi_to_asgi_concurrency:flask_app"
NEW = {"keepalive": False}
ARMS = {
    "sync": (GUNICORN, "/", NEW),
    "WsgiToAsgi": (f"{UVICORN}:asgiref_app", "/", NEW),
    "a2wsgi": (f"{UVICORN}:a2wsgi_app", "/", NEW),
    "a2wsgi, 40 threads": (f"{UVICORN}:a2wsgi_40_app", "/", NEW),
    "Starlette": (f"{UVICORN}:starlette_app", "/", NEW),
    "gthread 40": (f"{GUNICORN} --threads 40", "/", NEW),
}
IN_2025 = (
    "uv run --isolated --no-project --python 3.11 --with flask==3.0.2 "
    "--with asgiref==3.8.1 --with gunicorn==21.2.0 --with 'uvicorn[standard]==0.27.1' "
    "--with a2wsgi --with starlette "
)
THEN = {name: (IN_2025 + ARMS[name][0], "/", NEW) for name in ("sync", "WsgiToAsgi")}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    experiment(
        ARMS,
        connections=16,
        quick_connections=6,
        expect="slept",
        duration_s=0.3,
        then=THEN,
        ask_after="/most",
        columns={"at once": lambda arm: f"{max(arm['said'])}"},
        claim=Ratio("WsgiToAsgi", "sync", "> 2", "< 1.3"),
        causes=[
            Cause(
                "a2wsgi, 40 threads",
                "WsgiToAsgi",
                when="> 3",
                then="the same app on the same server, through an adapter with 40 "
                "threads, is {ratio}: WsgiToAsgi runs all views of a process in one",
                otherwise="an adapter with 40 threads is only {ratio}, so the threads "
                "are not all of it",
            ),
            Cause(
                "gthread 40",
                "a2wsgi, 40 threads",
                when="inside 0.8 to 1.25",
                then="gunicorn with 40 threads, and no async anywhere, is {ratio} of "
                "that: it is the threads that count",
                otherwise="gunicorn with 40 threads is {ratio} of that",
            ),
        ],
    )

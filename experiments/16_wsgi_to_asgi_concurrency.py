# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "a2wsgi==1.10.10", "aiohttp==3.14.5", "asgiref==3.13.0", "flask[async]==3.1.3",
#   "gunicorn==27.0.1", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "starlette==1.10.0", "tqdm==4.70.1", "uv==0.13.8", "uvicorn[standard]==0.54.0",
#   "uvloop==0.23.0",
# ]
# ///
"""16: Flask gains from async behind an ASGI adapter

Claim      Flask on Uvicorn workers, through asgiref's WsgiToAsgi, gets some of the
           benefits of async.
Source     https://github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: no figures of its own
Expect     A view that sleeps 0.1 s holds a thread, whoever calls it, so the ceiling is
           min(threads, 16 clients) / 0.1 s. A gain of 1.3 would be a fiftieth of what
           async offers 16 clients.
           sync                1 / 0.1 s = 10 requests/s
           WsgiToAsgi          one thread a process: 10
           a2wsgi              10 threads: 100 requests/s
           a2wsgi, 40 threads  16 / 0.1 s = 160 requests/s
           Starlette           40 threads: 160 requests/s
           gthread 40          40 threads: 160 requests/s
Run        python experiments/16_wsgi_to_asgi_concurrency.py [--then]
Limits     Every request opens a connection here; for kept ones see experiment 15. It
           does not test more than 40 clients.
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
GUNICORN = "gunicorn -b {host}:{port} 16_wsgi_to_asgi_concurrency:flask_app"
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
        columns={"at once": lambda arm: f"{max(arm.said)}"},
        claim=Ratio("WsgiToAsgi", "sync", least=1.3),
        causes=[
            Cause(
                "a2wsgi, 40 threads",
                "WsgiToAsgi",
                above=3,
                then="the same app on the same server, through an adapter with 40 "
                "threads, is {faster}: WsgiToAsgi runs all views of a process in one "
                "thread",
                otherwise="an adapter with 40 threads is only {faster}: the threads "
                "are not the only reason",
            ),
            Cause(
                "gthread 40",
                "a2wsgi, 40 threads",
                above=0.8,
                below=1.25,
                then="gunicorn with 40 threads, and no async anywhere, is as fast as "
                "that ({ratio}): the threads are what counts",
                otherwise="gunicorn with 40 threads is {faster} than that",
            ),
        ],
    )

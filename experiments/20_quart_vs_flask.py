# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "asgiref", "flask", "gunicorn", "hdrhistogram", "httptools", "numpy",
#   "psutil", "quart", "tqdm", "uv", "uvicorn[standard]", "uvloop",
# ]
# ///
"""20: Quart significantly outperforms Flask

Claim      Quart, being async first, significantly outperforms Flask: it was tested at
           5000 requests/s, 12.5 times as many as the 400 that Flask was given.
Source     github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: Flask through WsgiToAsgi on 4 workers, Quart on 21 (10 cores)
Expect     The rate was the tester's choice; 21 / 4 workers explain 5.25 of it. With one
           process each, hello waits for nothing, so async has nothing to gain. Where a
           request waits 0.1 s, Flask with 8 threads has a ceiling of 8 / 0.1 s = 80
           requests/s, 100 threads have 100 / 0.1 s = 1000, and so has Quart.
Run        python experiments/20_quart_vs_flask.py [--then]
Not shown  What a thread costs in memory (experiment 21); several workers (04, 17).
"""

import asyncio
import time

from asgiref.wsgi import WsgiToAsgi
from flask import Flask
from quart import Quart

SLEEP_S = 0.1

app = Quart(__name__)
flask_app = Flask(__name__)
adapted_app = WsgiToAsgi(flask_app)


@app.get("/")
async def hello() -> str:
    return "hello"


@app.get("/wait")
async def wait() -> str:
    await asyncio.sleep(SLEEP_S)  # holds nothing
    return "waited"


@flask_app.get("/")
def flask_hello() -> str:
    return "hello"


@flask_app.get("/wait")
def flask_wait() -> str:
    time.sleep(SLEEP_S)  # holds a thread
    return "waited"


UVICORN = "uvicorn --no-access-log --port {port} 20_quart_vs_flask"
GUNICORN = "gunicorn -b 127.0.0.1:{port} 20_quart_vs_flask:flask_app --threads"
OWN_CONTEXT = "--reset-contextvars"  # without it some answers are 500 (experiment 15)
HELLO = {"connections": 32}
ARMS = {
    "Quart hello": (f"{UVICORN}:app", "/", HELLO),
    "Flask hello": (f"{GUNICORN} 8", "/", HELLO),
    "Flask adapted": (f"{UVICORN}:adapted_app {OWN_CONTEXT}", "/", HELLO),
    "Quart wait": (f"{UVICORN}:app", "/wait"),
    "Flask wait": (f"{GUNICORN} 8", "/wait"),
    "100 threads": (f"{GUNICORN} 100", "/wait"),
}
IN_2025 = (
    "uv run --isolated --no-project --python 3.11 --with flask==3.0.2 "
    "--with werkzeug==3.0.1 --with asgiref==3.8.1 --with quart==0.19.4 "
    "--with gunicorn==21.2.0 --with 'uvicorn[standard]==0.27.1' "
)
THEN = {
    name: (IN_2025 + command, *more)
    for name, (command, *more) in ARMS.items()
    if name != "Flask adapted"  # nor had uvicorn that option
}

if __name__ == "__main__":
    from harness import Cause, Each, Ratio, experiment

    answers = {"/": "hello", "/wait": "waited"}
    experiment(
        ARMS,
        connections=100,
        quick_connections=32,
        expect=Each({name: answers[arm[1]] for name, arm in ARMS.items()}),
        duration_s=0.5,
        then=THEN,
        claim=[
            Ratio("Quart hello", "Flask hello", "> 1.2", "< 1.05"),
            Ratio("Quart wait", "Flask wait", "> 1.2", "< 1.05"),
        ],
        causes=[
            Cause(
                "Quart wait",
                "100 threads",
                when="inside 0.8 to 1.25",
                then="with as many threads as there are clients Flask waits as well as "
                "Quart, {ratio}: what was compared was the number of places to wait in",
                otherwise="with as many threads as there are clients it is {ratio}",
            ),
            Cause(
                "Flask adapted",
                "Flask hello",
                when="< 0.9",
                then="through the adapter that it was tested with, Flask is {ratio} of "
                "itself on gunicorn's threads: that was a part of the difference",
                otherwise="through the adapter that it was tested with, Flask is "
                "{ratio} of itself on gunicorn's threads",
            ),
        ],
    )

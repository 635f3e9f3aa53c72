# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "asgiref==3.13.0", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "quart==0.22.0", "tqdm==4.70.1", "uv==0.13.8",
#   "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""20: Quart significantly outperforms Flask

Claim      Quart, being async first, significantly outperforms Flask. It was tested at
           5000 requests/s, 12.5 times the 400 that Flask was given.
Source     https://github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: Flask through WsgiToAsgi on 4 workers, Quart on 21 (10 cores)
Expect     "Significantly" is taken for 1.2 times or more, with and without waiting. The
           rates were the tester's choice, and 21 / 4 workers are 5.25 of the 12.5. With
           one process each, hello never waits, so async gains nothing.
           Quart hello    as Flask, or slower
           Flask hello    1 s / its CPU time a request
           Flask adapted  slower: one thread
           Quart wait     100 / 0.1 s = 1000 requests/s
           Flask wait     8 threads / 0.1 s = 80 requests/s
           100 threads    100 / 0.1 s = 1000 requests/s
Run        python experiments/20_quart_vs_flask.py [--then]
Limits     It does not test what a thread costs in memory (experiment 21), nor several
           workers (04 and 17). 24 measures alone how many threads waiting takes.
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
    await asyncio.sleep(SLEEP_S)  # the line under test: holds nothing
    return "waited"


@flask_app.get("/")
def flask_hello() -> str:
    return "hello"


@flask_app.get("/wait")
def flask_wait() -> str:
    time.sleep(SLEEP_S)  # holds a thread
    return "waited"


UVICORN = "uvicorn --no-access-log --port {port} 20_quart_vs_flask"
GUNICORN = "gunicorn -b {host}:{port} 20_quart_vs_flask:flask_app --threads"
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
            Ratio("Quart hello", "Flask hello", least=1.2),
            Ratio("Quart wait", "Flask wait", least=1.2),
        ],
        causes=[
            Cause(
                "Quart wait",
                "100 threads",
                above=0.8,
                below=1.25,
                then="with as many threads as clients, Flask waits as well as Quart "
                "({ratio}): the number of threads made the difference",
                otherwise="Quart is {faster} than Flask with as many threads as "
                "clients",
                another_reason=True,
            ),
            Cause(
                "Flask adapted",
                "Flask hello",
                below=0.9,
                then="through the adapter that it was tested with, Flask is {faster} "
                "than on gunicorn's threads",
                otherwise="through the adapter that it was tested with, Flask is "
                "{faster} than on gunicorn's threads: the adapter did not hold it back",
            ),
        ],
    )

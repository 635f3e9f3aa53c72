# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "a2wsgi", "aiohttp", "fastapi", "flask[async]", "gunicorn", "hdrhistogram", "httptools",
#   "numpy", "psutil", "tqdm", "uv", "uvicorn[standard]", "uvloop",
# ]
# ///
"""01: a Flask view cannot be async def

Claim      A Flask view cannot be `async def`, neither in Flask alone nor mounted in
           FastAPI.
Source     github.com/afiorillo/flask-in-fastapi, July 2020 (Flask 1.1.2, no figures)
Expect     Flask 1 hands the coroutine on as the response: TypeError. Flask 2 and later
           run it with asgiref, and without it say which extra is missing. It then
           buys nothing: a view holds its thread, so 8 threads / 0.1 s = 80 requests/s.
Run        python experiments/01_async_flask_handler.py [--then]
Not shown  An async view that awaits several things at once, which does gain.
"""

import asyncio
import os
import sys
import time

if os.environ.get("WITHOUT_ASGIREF"):
    sys.modules["asgiref"] = None  # as where Flask came without its async extra

from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from flask import Flask

SLEEP_S = 0.1

flask_app = Flask(__name__)
app = FastAPI()
app.mount("/mounted", WSGIMiddleware(flask_app))


@flask_app.route("/async")
async def async_view():  # the line under test
    await asyncio.sleep(SLEEP_S)
    return "slept"


@flask_app.route("/sync")
def sync_view():
    time.sleep(SLEEP_S)
    return "slept"


GUNICORN = "gunicorn -b 127.0.0.1:{port} 01_async_flask_handler:flask_app"
UVICORN = "uvicorn 01_async_flask_handler:app --no-access-log --port {port}"
THREADS = "gunicorn --threads 8 -b 127.0.0.1:{port} 01_async_flask_handler:flask_app"
FLASK_2020 = (
    "uv run --isolated --no-project --python 3.11 --with flask==1.1.2 "
    "--with werkzeug==1.0.1 --with 'jinja2<3.1' --with 'markupsafe<2.1' "
    "--with 'itsdangerous<2.1' --with fastapi==0.58.1 --with a2wsgi "
    "--with 'setuptools<81' "
)
PROBES = {
    "Flask": (GUNICORN, "/async"),
    "Flask without asgiref": ("env WITHOUT_ASGIREF=1 " + GUNICORN, "/async"),
    "mounted": (UVICORN, "/mounted/async"),
    "mounted without asgiref": ("env WITHOUT_ASGIREF=1 " + UVICORN, "/mounted/async"),
}
THEN = {
    "Flask": (FLASK_2020 + "--with gunicorn==20.0.4 " + GUNICORN, "/async"),
    "mounted": (FLASK_2020 + "--with uvicorn " + UVICORN, "/mounted/async"),
}
ARMS = {
    "def view": (THREADS, "/sync"),
    "async def view": (THREADS, "/async"),
}

if __name__ == "__main__":
    from harness import Answers, Cause, experiment

    experiment(
        ARMS,
        connections=20,
        expect="slept",
        claim=Answers(
            rule="reproduced when every one fails, not when any answers 200",
            holds=lambda answers: all(a.status != 200 for a in answers.values()),
        ),
        probes=PROBES,
        then=THEN,
        causes=[
            Cause(
                "async def view",
                "def view",
                when="inside 0.8 to 1.05",
                then="Flask runs an async view through asgiref, and the view still holds "
                "its thread: {ratio} of a plain view, so it works and buys nothing",
                otherwise="Flask runs an async view through asgiref, at {ratio} of a plain one",
            )
        ],
    )

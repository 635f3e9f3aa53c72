# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "a2wsgi==1.10.10", "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3",
#   "gunicorn==27.0.1", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "tqdm==4.70.1", "uv==0.13.8", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""01: a Flask view cannot be async def

Claim      A Flask view cannot be `async def`, neither in Flask alone nor mounted in
           FastAPI.
Source     https://github.com/afiorillo/flask-in-fastapi, July 2020: Flask 1.1.2, no
           figures
Expect     Flask 1 returns the coroutine as the response, which is a TypeError. Since
           Flask 2 asgiref runs the view, in the thread of the request: 8 threads serve
           8 / 0.1 s = 80 requests/s, async or not.
           Flask                    200
           Flask without asgiref    500, names the missing extra
           mounted                  200
           mounted without asgiref  500, names the missing extra
           Flask, then              500, TypeError
           mounted, then            500, TypeError
           def view                 8 / 0.1 s = 80 requests/s
           async def view           80 requests/s, no faster
Run        python experiments/01_async_flask_handler.py [--then]
Limits     It does not test an async view that awaits several things at once. Such a
           view does get faster.
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


GUNICORN = "gunicorn -b {host}:{port} 01_async_flask_handler:flask_app"
UVICORN = "uvicorn 01_async_flask_handler:app --no-access-log --port {port}"
THREADS = "gunicorn --threads 8 -b {host}:{port} 01_async_flask_handler:flask_app"
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
            rule="REPRODUCED when every view fails, NOT REPRODUCED when one answers "
            "200",
            holds=lambda answers: all(a.status != 200 for a in answers.values()),
        ),
        probes=PROBES,
        then=THEN,
        causes=[
            Cause(
                "async def view",
                "def view",
                above=0.8,
                below=1.05,
                then="Flask runs an async view through asgiref. It works, but is no "
                "faster ({ratio}): the view still holds its thread",
                otherwise="Flask runs an async view through asgiref, {faster} than a "
                "plain view",
            )
        ],
    )

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "a2wsgi==1.10.10", "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3",
#   "gunicorn==27.0.1", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "tqdm==4.70.1", "uv==0.13.8", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""02: an unchanged Flask app gets 3 times faster inside FastAPI

Claim      A Flask view that sleeps 0.1 s gets faster, unchanged, when the Flask app is
           mounted in FastAPI on uvicorn: from 77.7 to 236.6 requests/s.
Source     https://github.com/afiorillo/flask-in-fastapi, July 2020: hey -z 30s with 50
           connections; gunicorn with 2 x 4 threads, uvicorn with 2 x 12
Expect     236.6 / 77.7 = 3.0. A view that sleeps holds a thread, so the ceiling is
           min(threads, 50 clients) / 0.1 s, whatever the server.
           gunicorn 2x4     8 / 0.1 s = 80 requests/s
           mounted          50 / 0.1 s = 500 requests/s
           mounted, a2wsgi  2 x 10 / 0.1 s = 200 requests/s
           gunicorn 2x40    50 / 0.1 s = 500 requests/s
Run        python experiments/02_flask_in_fastapi.py [--then]
Limits     The view only waits; experiment 17 has one that computes. 24 measures 8, 40
           and 100 threads of one server alone.
"""

import time
import warnings

import a2wsgi
from fastapi import FastAPI
from flask import Flask

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecated, and what the claim was made about
    from starlette.middleware.wsgi import WSGIMiddleware

SLEEP_S = 0.1

flask_app = Flask(__name__)
app = FastAPI()
app.mount("/starlette", WSGIMiddleware(flask_app))
app.mount("/a2wsgi", a2wsgi.WSGIMiddleware(flask_app))  # 10 threads


@flask_app.route("/")
def view():  # the line under test: the same view in every arm
    time.sleep(SLEEP_S)
    return "slept"


UVICORN = "uvicorn --workers 2 02_flask_in_fastapi:app --no-access-log --port {port}"
GUNICORN = "gunicorn -w 2 -b {host}:{port} 02_flask_in_fastapi:flask_app"
GENTLY = {"warmup_s": 0.2}  # 50 at once would mostly be accepted by one worker
ARMS = {
    "gunicorn 2x4": (f"{GUNICORN} --threads 4", "/", GENTLY),
    "mounted": (UVICORN, "/starlette/", GENTLY),
    "mounted, a2wsgi": (UVICORN, "/a2wsgi/", GENTLY),
    "gunicorn 2x40": (f"{GUNICORN} --threads 40", "/", GENTLY),
}
IN_2020 = (  # but uvicorn 0.12.3: 0.11.5 cannot be built for Python 3.11
    "uv run --isolated --no-project --python 3.11 --with flask==1.1.2 "
    "--with werkzeug==1.0.1 --with 'jinja2<3.1' --with 'markupsafe<2.1' "
    "--with 'itsdangerous<2.1' --with fastapi==0.58.1 --with gunicorn==20.0.4 "
    "--with uvicorn==0.12.3 --with 'setuptools<81' --with a2wsgi "
)
THEN = {
    "gunicorn 2x4": (f"{IN_2020}{GUNICORN} --threads 4", "/", GENTLY),
    "mounted": (f"{IN_2020}{UVICORN}", "/starlette/", GENTLY),  # cores + 4 threads
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    experiment(
        ARMS,
        connections=50,
        quick_connections=20,
        expect="slept",
        duration_s=1.5,
        then=THEN,
        claim=Ratio("mounted", "gunicorn 2x4", claimed=236.6 / 77.7),
        causes=[
            Cause(
                "mounted",
                "gunicorn 2x40",
                above=0.8,
                below=1.25,
                then="gunicorn with as many threads as the mount is as fast "
                "({ratio}): the original test compared 8 threads with 24",
                otherwise="the mount is {faster} than gunicorn with as many threads: "
                "the number of threads is not the only reason",
                another_reason=True,
            )
        ],
    )

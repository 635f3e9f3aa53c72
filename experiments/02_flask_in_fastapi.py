# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "a2wsgi", "aiohttp", "fastapi", "flask", "gunicorn", "hdrhistogram", "httptools",
#   "numpy", "psutil", "tqdm", "uv", "uvicorn[standard]", "uvloop",
# ]
# ///
"""02: an unchanged Flask view gets faster inside FastAPI

Claim      A Flask view that sleeps 0.1 s gets faster, unchanged, when the Flask app is
           mounted in FastAPI on uvicorn: 77.7 to 236.6 requests/s.
Source     github.com/afiorillo/flask-in-fastapi, July 2020: hey -z 30s, 50 connections;
           gunicorn with 2 x 4 threads against uvicorn with 2 x 12
Expect     The ceiling is min(threads, 50) / 0.1 s. gunicorn with 2 x 4 threads: 80
           requests/s; the mount with 2 x 40: 500; a2wsgi with 2 x 10: 200;
           gunicorn with as many threads as the mount, 2 x 40: 500 too.
Run        python experiments/02_flask_in_fastapi.py
Not shown  What a view costs that computes instead of waiting (experiment 17).
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
def view():  # the same view in every arm
    time.sleep(SLEEP_S)
    return "slept"


UVICORN = "uvicorn --workers 2 02_flask_in_fastapi:app --no-access-log --port {port}"
GUNICORN = "gunicorn -w 2 -b 127.0.0.1:{port} 02_flask_in_fastapi:flask_app"
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
        claim=Ratio("mounted", "gunicorn 2x4", "> 1.5", "< 1.1"),
        causes=[
            Cause(
                "mounted",
                "gunicorn 2x40",
                when="inside 0.8 to 1.25",
                then="with as many threads in gunicorn the mount is {ratio}: what was "
                "compared was 2 x 4 threads with many",
                otherwise="with as many threads in gunicorn the mount is still {ratio}, so "
                "the number of threads is not all of it",
            )
        ],
    )

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "tqdm==4.70.1", "uv==0.13.8",
#   "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""11: FastAPI serves predictions slightly faster than Flask

Claim      For a POST /predict with an (n, 13) matrix of floats, FastAPI is slightly
           faster than Flask on gunicorn.
Source     https://github.com/jeremyjordan/flask-vs-fastapi, August 2019: fastapi
           0.34.0, Flask 1.1.1; Locust, n = 2, users who wait 50 to 200 ms; no figures
Expect     "Slightly" is taken for 1.05 to 1.5 times. The linear model takes 20 µs, so
           server and framework are nearly all there is. gunicorn's sync worker closes
           each connection, and uvicorn keeps it.
           Flask             a new connection each, say 1 ms
           FastAPI           kept, say 0.3 ms: 3 times Flask
           FastAPI, closing  nearer to Flask: new connections
           Flask, 4 threads  nearer to FastAPI: kept
           Flask, 5 ms       1 / (5 + 1) ms = 167 requests/s
           FastAPI, 5 ms     1 / (5 + 0.3) ms = 189: 1.13 times
           Flask, waits      20 users / 0.125 s = 160 requests/s
           FastAPI, waits    160 requests/s, too
Run        python experiments/11_predict_endpoint.py [--then]
Limits     No server writes an access log here (07). 24 measures each control alone.
"""

import json
import os
import time

import numpy as np
from fastapi import FastAPI
from flask import Flask, request
from pydantic import BaseModel

MODEL_S = float(os.environ.get("MODEL_S", 0))
WEIGHTS = np.linspace(-1, 1, 13)

app = FastAPI()
flask_app = Flask(__name__)


class Observation(BaseModel):
    X: list[list[float]]


def model(rows: list[list[float]]) -> list[float]:
    """A linear one, after MODEL_S of CPU time as a large forest would take it."""
    ends_s = time.thread_time() + MODEL_S
    while time.thread_time() < ends_s:
        pass
    return (np.asarray(rows) @ WEIGHTS).tolist()


@app.post("/predict")
async def predict(observation: Observation):  # the lines under test: this endpoint
    return {"y": model(observation.X)}


@flask_app.route("/predict", methods=["POST"])
def flask_predict():  # against this one
    return {"y": model(request.get_json()["X"])}


ROWS = np.random.default_rng(1).normal(size=(2, 13)).tolist()
POST = {
    "method": "POST",
    "headers": (("Content-Type", "application/json"),),
    "body": json.dumps({"X": ROWS}).encode(),
}
NEW = POST | {"keepalive": False}
WAITS = POST | {"think_s": (0.05, 0.2), "warmup_s": 0.2}  # in which users connect
UVICORN = "uvicorn 11_predict_endpoint:app --no-access-log --port {port}"
GUNICORN = "gunicorn -b {host}:{port} 11_predict_endpoint:flask_app"
SLOW = "env MODEL_S=0.005 "
IN_2019 = (  # but uvicorn 0.12.3: 0.8.6 cannot be built for Python 3.11
    "uv run --isolated --no-project --python 3.11 --with fastapi==0.34.0 "
    "--with uvicorn==0.12.3 --with gunicorn==19.9.0 --with flask==1.1.1 "
    "--with 'werkzeug<1' --with 'jinja2<3.1' --with 'markupsafe<2.1' "
    "--with 'itsdangerous<2.1' --with 'setuptools<81' --with numpy "
)
ARMS = {
    "Flask": (GUNICORN, "/predict", POST),
    "FastAPI": (UVICORN, "/predict", POST),
    "FastAPI, closing": (UVICORN, "/predict", NEW),
    "Flask, 4 threads": (f"{GUNICORN} --threads 4", "/predict", POST),
    "Flask, 5 ms": (SLOW + GUNICORN, "/predict", POST),
    "FastAPI, 5 ms": (SLOW + UVICORN, "/predict", POST),
    "Flask, waits": (GUNICORN, "/predict", WAITS),
    "FastAPI, waits": (UVICORN, "/predict", WAITS),
}
THEN = {
    "Flask": (IN_2019 + GUNICORN, "/predict", POST),
    "FastAPI": (IN_2019 + UVICORN, "/predict", POST),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    experiment(
        ARMS,
        connections=20,
        expect={"y": model(ROWS)},
        duration_s=0.6,
        then=THEN,
        claim=Ratio("FastAPI", "Flask", claimed=(1.05, 1.5)),
        causes=[
            Cause(
                "FastAPI, closing",
                "Flask",
                below=1.05,
                then="with a new connection for each request in both, FastAPI is "
                "{faster}: kept connections made the difference",
                otherwise="with a new connection for each request in both, FastAPI is "
                "still {faster}",
                another_reason=True,
            ),
            Cause(
                "FastAPI",
                "Flask, 4 threads",
                below=1.05,
                then="FastAPI is {faster} than Flask on gunicorn's threads, which "
                "keep connections: that made the difference",
                otherwise="FastAPI is still {faster} than Flask on gunicorn's threads, "
                "which keep connections",
                another_reason=True,
            ),
            Cause(
                "FastAPI, 5 ms",
                "Flask, 5 ms",
                above=0.9,
                below=1.2,
                then="with a model that takes 5 ms it makes no difference ({ratio})",
                otherwise="with a model that takes 5 ms FastAPI is {faster}",
            ),
            Cause(
                "FastAPI, waits",
                "Flask, waits",
                above=0.95,
                below=1.05,
                then="with Locust's waits between requests they are as fast "
                "({ratio}): the users set the pace, not the servers",
                otherwise="with Locust's waits between requests FastAPI is {faster}",
            ),
        ],
    )

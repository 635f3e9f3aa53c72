# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "starlette==1.10.0", "tqdm==4.70.1", "uv==0.13.8",
#   "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""14: FastAPI is slower than the Starlette it is built on

Claim      FastAPI, which is built on Starlette, pays for validation and its other
           features with speed.
Source     https://github.com/jeremyjordan/flask-vs-fastapi, August 2019: no figures; a
           third server in Starlette, made to see it
Expect     FastAPI calls Starlette and does more. If a request costs Starlette S and
           FastAPI S + F, the ratio is 1 + F/S. If both validate, which costs V, it is
           1 + F/(S + V), which is nearer to 1.
           Starlette         the fastest: S
           FastAPI           S + F, so slower
           in FastAPI app    in between
           Starlette, model  S + V
           FastAPI, model    S + V + F
           Flask             for scale, 16 threads
Run        python experiments/14_fastapi_vs_starlette.py [--then]
Limits     These endpoints do nothing. Work of their own would bring the ratio to 1. 28
           measures alone what a model of the answer costs, 29 one of the request.
"""

import json

from fastapi import FastAPI
from flask import Flask
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse

app = FastAPI()
starlette_app = Starlette()
flask_app = Flask(__name__)


class Observation(BaseModel):
    X: list[list[float]]


@app.get("/")
async def hello() -> dict[str, str]:  # one line under test
    return {"message": "hello"}


async def hello_by_hand(request: Request) -> JSONResponse:  # and the other
    return JSONResponse({"message": "hello"})


@app.post("/predict")
async def predict(observation: Observation) -> dict[str, list[float]]:
    return {"y": [sum(row) for row in observation.X]}


async def predict_by_hand(request: Request) -> JSONResponse:
    try:
        observation = Observation(**await request.json())
    except (TypeError, ValueError) as error:  # a ValidationError is a ValueError
        return JSONResponse({"detail": str(error)}, status_code=422)
    return JSONResponse({"y": [sum(row) for row in observation.X]})


starlette_app.add_route("/", hello_by_hand)
starlette_app.add_route("/predict", predict_by_hand, methods=["POST"])
app.add_route("/by_hand", hello_by_hand)  # the same endpoint, in the FastAPI app


@flask_app.get("/")
def flask_hello() -> dict[str, str]:
    return {"message": "hello"}


UVICORN = "uvicorn --no-access-log --port {port} 14_fastapi_vs_starlette"
FASTAPI, STARLETTE = f"{UVICORN}:app", f"{UVICORN}:starlette_app"
GTHREAD = "gunicorn --threads 16 -b {host}:{port} 14_fastapi_vs_starlette:flask_app"
MATRIX = {
    "method": "POST",
    "headers": (("Content-Type", "application/json"),),
    "body": json.dumps({"X": [[0.5] * 13] * 2}).encode(),
}
ARMS = {
    "Starlette": (STARLETTE, "/"),
    "FastAPI": (FASTAPI, "/"),
    "in FastAPI app": (FASTAPI, "/by_hand"),
    "Starlette, model": (STARLETTE, "/predict", MATRIX),
    "FastAPI, model": (FASTAPI, "/predict", MATRIX),
    "Flask": (GTHREAD, "/"),
}
IN_2019 = (  # but today's uvicorn: 0.8.6 cannot be built for Python 3.11
    "uv run --isolated --no-project --python 3.11 --with fastapi==0.34.0 "
    "--with starlette==0.12.7 --with 'uvicorn[standard]' --with flask "
)
THEN = {
    "Starlette": (IN_2019 + STARLETTE, "/"),
    "FastAPI": (IN_2019 + FASTAPI, "/"),
}

if __name__ == "__main__":
    from harness import Cause, Each, Ratio, experiment

    greeting = {"message": "hello"}
    answers = {"/": greeting, "/by_hand": greeting, "/predict": {"y": [6.5, 6.5]}}
    experiment(
        ARMS,
        connections=16,
        expect=Each({name: answers[arm[1]] for name, arm in ARMS.items()}),
        duration_s=0.7,
        then=THEN,
        claim=Ratio("Starlette", "FastAPI", least=1.05),
        causes=[
            Cause(
                "Starlette, model",
                "FastAPI, model",
                below=1.05,
                then="where Starlette validates the same model by hand, it is "
                "{faster}: the price was the validation",
                otherwise="where Starlette validates the same model by hand, it is "
                "still {faster}: the price is not the validation alone",
            ),
            Cause(
                "in FastAPI app",
                "FastAPI",
                above=1.05,
                then="Starlette's endpoint inside the FastAPI app is {faster} than "
                "FastAPI's own: part of the price is finding arguments and checking "
                "the answer",
                otherwise="Starlette's endpoint inside the FastAPI app is {faster} "
                "than FastAPI's own",
            ),
            Cause(
                "Starlette",
                "in FastAPI app",
                above=1.05,
                then="the same endpoint in a bare Starlette app is {faster} than "
                "that: the rest is the layers and routes that FastAPI adds",
                otherwise="the same endpoint in a bare Starlette app is {faster} than "
                "that",
            ),
        ],
    )

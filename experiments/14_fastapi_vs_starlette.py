# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "fastapi", "flask", "gunicorn", "hdrhistogram", "httptools", "numpy",
#   "psutil", "starlette", "tqdm", "uv", "uvicorn[standard]", "uvloop",
# ]
# ///
"""14: FastAPI pays for its features over bare Starlette

Claim      FastAPI, which is built on Starlette, takes a performance hit for validation
           and the rest of its features.
Source     github.com/jeremyjordan/flask-vs-fastapi, August 2019 (no figures): a third
           server in Starlette, made to see it
Expect     FastAPI asks Starlette and does more, so it cannot be faster. Where a request
           costs Starlette S and FastAPI S + F, the ratio is 1 + F/S. If Starlette is to
           validate as well, both pay V on top: 1 + F/(S + V), which is nearer to 1.
Run        python experiments/14_fastapi_vs_starlette.py [--then]
Not shown  An endpoint that does something: its time joins S, and the ratio goes to 1.
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
GTHREAD = "gunicorn --threads 16 -b 127.0.0.1:{port} 14_fastapi_vs_starlette:flask_app"
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
        claim=Ratio("Starlette", "FastAPI", "> 1.05", "< 1.05"),
        causes=[
            Cause(
                "Starlette, model",
                "FastAPI, model",
                when="< 1.05",
                then="where Starlette validates the same model by hand, it is {ratio}: "
                "the price was the validation",
                otherwise="where Starlette validates the same model by hand, it is "
                "{ratio}: the price is not the validation alone",
            ),
            Cause(
                "in FastAPI app",
                "FastAPI",
                when="> 1.05",
                then="Starlette's endpoint in the FastAPI app is {ratio} of FastAPI's "
                "own: a part goes into finding arguments and checking the answer",
                otherwise="put in the FastAPI app, Starlette's endpoint is {ratio}",
            ),
            Cause(
                "Starlette",
                "in FastAPI app",
                when="> 1.05",
                then="and the same endpoint in a bare app is {ratio} of that: the rest "
                "goes into the layers and routes that FastAPI puts around it",
                otherwise="and the same endpoint in a bare app is {ratio} of that",
            ),
        ],
    )

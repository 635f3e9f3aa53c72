# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "tqdm==4.70.1", "uv==0.13.8",
#   "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""12: FastAPI says what is wrong with a request; in Flask you check it yourself

Claim      FastAPI refuses a body that lacks a field or holds the wrong type, with a
           message that says where the fault is. In Flask you write the checks.
Source     https://github.com/jeremyjordan/flask-vs-fastapi, August 2019: fastapi
           0.34.0; two bad bodies and what came back, no figures
Expect     Two bad bodies, so two answers of 422 with the path to the fault: X, and
           row 0, column 0 of X.
           FastAPI, good         200
           FastAPI, no X         422, at X
           FastAPI, words        422, at X, 0, 0
           Flask, good           200
           Flask, no X           500, KeyError
           Flask, words          500, TypeError
           Flask + model, no X   422, at X
           Flask + model, words  422, at X, 0, 0
Run        python experiments/12_request_validation.py [--then]
Limits     It does not look at what is let through ("1.5" counts as a float), nor at
           what the checks cost (experiment 14; 29 measures pydantic alone).
"""

import json

from fastapi import FastAPI
from flask import Flask, request
from pydantic import BaseModel, ValidationError

app = FastAPI()
flask_app = Flask(__name__)


class Observation(BaseModel):
    X: list[list[float]]


@app.post("/predict")
async def predict(
    observation: Observation,
):  # the line under test: the type is the check
    return {"y": [sum(row) for row in observation.X]}


@flask_app.route("/predict", methods=["POST"])
def flask_predict():
    return {"y": [sum(row) for row in request.get_json()["X"]]}


@flask_app.route("/checked", methods=["POST"])
def flask_checked():
    try:
        observation = Observation(**request.get_json())
    except ValidationError as error:
        return {"detail": error.errors()}, 422
    return {"y": [sum(row) for row in observation.X]}


def post(body: object) -> dict[str, object]:
    headers = (("Content-Type", "application/json"),)
    return {"method": "POST", "headers": headers, "body": json.dumps(body).encode()}


GOOD = post({"X": [[1.5, 2.5]]})
NO_X = post({"x": [[1.5, 2.5]]})
WORDS = post({"X": [["testing", 2.5]]})
UVICORN = "uvicorn 12_request_validation:app --no-access-log --port {port}"
GUNICORN = "gunicorn -b {host}:{port} 12_request_validation:flask_app"
IN_2019 = (  # but uvicorn 0.12.3: 0.8.6 cannot be built for Python 3.11
    "uv run --isolated --no-project --python 3.11 --with fastapi==0.34.0 "
    "--with uvicorn==0.12.3 --with gunicorn==19.9.0 --with flask==1.1.1 "
    "--with 'werkzeug<1' --with 'jinja2<3.1' --with 'markupsafe<2.1' "
    "--with 'itsdangerous<2.1' --with 'setuptools<81' "
)
ARMS = {
    "FastAPI, good": (UVICORN, "/predict", GOOD),
    "FastAPI, no X": (UVICORN, "/predict", NO_X),
    "FastAPI, words": (UVICORN, "/predict", WORDS),
    "Flask, good": (GUNICORN, "/predict", GOOD),
    "Flask, no X": (GUNICORN, "/predict", NO_X),
    "Flask, words": (GUNICORN, "/predict", WORDS),
    "Flask + model, no X": (GUNICORN, "/checked", NO_X),
    "Flask + model, words": (GUNICORN, "/checked", WORDS),
}
THEN = {name: (IN_2019 + command, *asked) for name, (command, *asked) in ARMS.items()}

if __name__ == "__main__":
    from harness import Answers, experiment

    FAULTS = {"no X": ["X"], "words": ["X", 0, 0]}  # and the end of the path to each

    def names(answer, end: list[object]) -> bool:
        faults = answer.json()["detail"] if answer.status == 422 else []
        return any(fault["loc"][-len(end) :] == end for fault in faults)

    def named(answers, app: str) -> list[bool]:
        return [names(answers[f"{app}, {bad}"], end) for bad, end in FAULTS.items()]

    def holds(answers) -> bool:
        fine = answers["FastAPI, good"].status == answers["Flask, good"].status == 200
        return (
            fine and all(named(answers, "FastAPI")) and not any(named(answers, "Flask"))
        )

    def causes(answers) -> list[str]:
        if all(named(answers, "Flask + model")):
            return [
                "Flask names both faults as well, once it calls the same model: "
                "pydantic does the checks, and FastAPI calls it without being asked"
            ]
        return ["Flask does not name both faults with the same model"]

    experiment(
        {},
        probes=ARMS,
        then=THEN,
        claim=Answers(
            rule="REPRODUCED when FastAPI answers both bad bodies with 422 and the "
            "path to the fault, and bare Flask neither; else NOT REPRODUCED",
            holds=holds,
            causes=causes,
        ),
    )

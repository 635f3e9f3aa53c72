# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "fastapi", "flask", "gunicorn", "hdrhistogram", "httptools", "numpy",
#   "psutil", "starlette", "tqdm", "uv", "uvicorn[standard]", "uvloop",
# ]
# ///
"""13: FastAPI documents an API without being asked

Claim      A FastAPI app serves documentation of its routes at /docs, and nobody wrote
           any.
Source     github.com/jeremyjordan/flask-vs-fastapi, August 2019 (fastapi 0.34.0, no
           figures)
Expect     1 route declared, 0 lines about documentation: /docs answers 200 with a page
           that loads /openapi.json, and there the route stands with the type of its
           body. Starlette, on which FastAPI is built, and Flask answer 404 to both.
Run        python experiments/13_automatic_docs.py [--then]
Not shown  The page in a browser: its script and style come from a CDN, so that without
           the internet it stays blank.
"""

from fastapi import FastAPI
from flask import Flask, request
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

app = FastAPI()  # the line under test: nothing is said about documentation
flask_app = Flask(__name__)


class Observation(BaseModel):
    X: list[list[float]]


@app.post("/predict")
async def predict(observation: Observation):
    return {"y": [sum(row) for row in observation.X]}


@flask_app.route("/predict", methods=["POST"])
def flask_predict():
    return {"y": [sum(row) for row in request.get_json()["X"]]}


async def starlette_predict(request):
    return JSONResponse({"y": [sum(row) for row in (await request.json())["X"]]})


starlette_app = Starlette(routes=[Route("/predict", starlette_predict, methods=["POST"])])

UVICORN = "uvicorn --no-access-log --port {port} 13_automatic_docs"
GUNICORN = "gunicorn -b 127.0.0.1:{port} 13_automatic_docs"
IN_2019 = (  # but uvicorn 0.12.3: 0.8.6 cannot be built for Python 3.11
    "uv run --isolated --no-project --python 3.11 --with fastapi==0.34.0 "
    "--with uvicorn==0.12.3 --with gunicorn==19.9.0 --with flask==1.1.1 "
    "--with 'werkzeug<1' --with 'jinja2<3.1' --with 'markupsafe<2.1' "
    "--with 'itsdangerous<2.1' --with 'setuptools<81' "
)
ARMS = {
    "FastAPI /docs": (f"{UVICORN}:app", "/docs"),
    "FastAPI /openapi.json": (f"{UVICORN}:app", "/openapi.json"),
    "Starlette /docs": (f"{UVICORN}:starlette_app", "/docs"),
    "Flask /docs": (f"{GUNICORN}:flask_app", "/docs"),
}
THEN = {name: (IN_2019 + command, path) for name, (command, path) in ARMS.items()}

if __name__ == "__main__":
    from harness import Answers, experiment

    def holds(answers) -> bool:
        page, schema = answers["FastAPI /docs"], answers["FastAPI /openapi.json"]
        if not page.status == schema.status == 200:
            return False
        known = schema.json()
        fields = known["components"]["schemas"]["Observation"]["properties"]
        return "/openapi.json" in page.text and "/predict" in known["paths"] and "X" in fields

    def causes(answers) -> list[str]:
        if answers["Starlette /docs"].status == 200:
            return ["Starlette, on which FastAPI stands, has the page, too"]
        return [
            "Starlette, on which FastAPI stands, has no such page: FastAPI adds it, and "
            "takes its text from the routes and the types of their arguments"
        ]

    experiment(
        {},
        probes=ARMS,
        then=THEN,
        claim=Answers(
            rule="reproduced when FastAPI's /docs answers 200 and loads a schema that has "
            "the route and its field X, not when anything of that is missing",
            holds=holds,
            causes=causes,
        ),
    )

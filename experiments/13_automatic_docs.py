# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "starlette==1.10.0", "tqdm==4.70.1", "uv==0.13.8",
#   "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""13: FastAPI documents an API by itself

Claim      A FastAPI app serves documentation of its routes at /docs, and nobody has
           written any.
Source     https://github.com/jeremyjordan/flask-vs-fastapi, August 2019: fastapi
           0.34.0, no figures
Expect     One route is declared, and nothing is said about documentation.
           FastAPI /docs          200, loads /openapi.json
           FastAPI /openapi.json  200, has the route and its field X
           Starlette /docs        404
           Flask /docs            404
Run        python experiments/13_automatic_docs.py [--then]
Limits     It does not open the page in a browser. Its script and style come from a
           CDN, so that it stays blank without the internet.
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


starlette_app = Starlette(
    routes=[Route("/predict", starlette_predict, methods=["POST"])]
)

UVICORN = "uvicorn --no-access-log --port {port} 13_automatic_docs"
GUNICORN = "gunicorn -b {host}:{port} 13_automatic_docs"
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
        has_route = "/predict" in known["paths"] and "X" in fields
        return "/openapi.json" in page.text and has_route

    def causes(answers) -> list[str]:
        if answers["Starlette /docs"].status == 200:
            return ["Starlette, on which FastAPI is built, has the page as well"]
        return [
            "Starlette, on which FastAPI is built, has no such page: FastAPI makes it "
            "from the routes and the types of their arguments"
        ]

    experiment(
        {},
        probes=ARMS,
        then=THEN,
        claim=Answers(
            rule="REPRODUCED when /docs answers 200 and loads a schema with the route "
            "and its field X; else NOT REPRODUCED",
            holds=holds,
            causes=causes,
        ),
    )

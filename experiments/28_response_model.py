# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "orjson==3.13.0",
#   "psutil==7.2.2", "pydantic==2.14.4", "starlette==1.10.0", "tqdm==4.70.1",
#   "uv==0.13.8", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""28: FastAPI is four times as fast without response_model

Claim      An endpoint that returns 700 items is about 4 times as fast without a
           response_model.
Source     https://github.com/fastapi/fastapi/issues/210, May 2019: an author's catalog,
           no word of the load. The opposite: since 0.130 a model makes JSON "2x (or
           more)" faster, https://fastapi.tiangolo.com/release-notes/, February 2026
Expect     Then FastAPI walked the answer in Python, pydantic checked it in Python, and
           it was walked again. Now pydantic checks it in Rust and writes the JSON, and
           only what has no model is walked. Let an item cost P where Python walks it, R
           where Rust checks it, J where json.dumps writes it.
           no model, 700  1 / (700 (P + J))
           model, 700  1 / (700 R): more, for P is Python
           model + json.dumps, 700  1 / (700 (R + J)): as in 0.129
           Response, 700  1 / (700 J), nothing checked
           orjson, 700  more: neither checked nor Python
           no model, 1  1 / A, the rest of FastAPI
           model, 1  1 / A, as 1 item is little
Run        python experiments/28_response_model.py [--then]
Limits     Endpoints that return models, and not dicts, spare the walk but not the
           making of the models. Fields that Python functions check cost more.
"""

import json
from typing import List  # noqa: UP035 - as pydantic of 2019 needs it

import orjson
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

app = FastAPI()


class Chapter(BaseModel):
    id: int
    title: str
    words: int
    price: float
    free: bool
    updated: str
    url: str


class Catalog(BaseModel):
    novel: str
    chapters: List[Chapter]  # noqa: UP006


ITEM = Chapter(
    id=1, title="One", words=2000, price=0.5, free=True, updated="2019-05-10", url="/1"
)
ONE, MANY = ({"novel": "N", "chapters": [dict(ITEM)] * count} for count in (1, 700))


async def one():
    return ONE


async def many():
    return MANY


app.get("/1")(one)
app.get("/1/model", response_model=Catalog)(one)
app.get("/700")(many)  # the line under test
app.get("/700/model", response_model=Catalog)(many)  # against this one
app.get("/700/dumps", response_model=Catalog, response_class=JSONResponse)(many)


@app.get("/700/response")
async def ready():
    return Response(json.dumps(MANY), media_type="application/json")


@app.get("/700/orjson")
async def ready_by_orjson():
    return Response(orjson.dumps(MANY), media_type="application/json")


UVICORN = "uvicorn --no-access-log --port {port} 28_response_model:app"
ARMS = {
    "no model, 700": (UVICORN, "/700"),
    "model, 700": (UVICORN, "/700/model"),
    "model + json.dumps, 700": (UVICORN, "/700/dumps"),
    "Response, 700": (UVICORN, "/700/response"),
    "orjson, 700": (UVICORN, "/700/orjson"),
    "no model, 1": (UVICORN, "/1"),
    "model, 1": (UVICORN, "/1/model"),
}
WITH = (  # today's uvicorn: that of 2019 cannot be built for Python 3.11
    "uv run --isolated --no-project --python 3.11 --with 'uvicorn[standard]==0.54.0' "
    "--with orjson==3.13.0 --with"
)
IN_2019 = f"{WITH} fastapi==0.22.0 --with pydantic==0.25 {UVICORN}"
THEN = {
    "no model, 700": (IN_2019, "/700"),
    "model, 700": (IN_2019, "/700/model"),
    "model + json.dumps, 700": (f"{WITH} fastapi==0.129.0 {UVICORN}", "/700/model"),
}

if __name__ == "__main__":
    from harness import Cause, Each, Ratio, experiment

    def find(arms):
        cost_us = {n: arm.run.server.cpu_us_per_request for n, arm in arms.items()}
        for name in ("no model", "model"):
            each_us = (cost_us[f"{name}, 700"] - cost_us[f"{name}, 1"]) / 699
            yield f"{name}: {each_us:.1f} µs of CPU time for each item"

    experiment(
        ARMS,
        shared=True,
        connections=8,
        rounds=2,
        duration_s=0.6,
        expect=Each({name: MANY if "700" in name else ONE for name in ARMS}),
        then=THEN,
        claim=Ratio("no model, 700", "model, 700", claimed=4),
        findings=find,
        causes=[
            Cause(
                "model, 700",
                "model + json.dumps, 700",
                above=1.5,
                then="pydantic writes the JSON itself, {faster} than json.dumps did",
                otherwise="pydantic, which writes the JSON itself, is {faster} than "
                "json.dumps",
            ),
            Cause(
                "Response, 700",
                "no model, 700",
                above=1.5,
                then="a Response made by hand is {faster}: without a model, FastAPI "
                "walks through the answer in Python, item by item",
                otherwise="a Response made by hand is {faster} than no model",
            ),
        ],
    )

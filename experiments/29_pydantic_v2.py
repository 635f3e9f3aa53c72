# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "pydantic==2.14.4", "tqdm==4.70.1", "uv==0.13.8", "uvicorn[standard]==0.54.0",
#   "uvloop==0.23.0",
# ]
# ///
"""29: Pydantic v2 is 4 to 50 times as fast as v1

Claim      Pydantic v2 validates 4 to 50 times as fast as v1, a model with a range of
           common fields about 17 times as fast; a FastAPI app gains a factor of 2 to 3.
Source     https://docs.pydantic.dev/blog/pydantic-v2/, July 2022: benchmarks of its
           core, before there was a v2, against 1.9.1. FastAPI 0.100.0 of July 2023
           quotes testers of its beta, and did not check what they said:
           https://github.com/tiangolo/fastapi/releases/tag/0.100.0
Expect     If a request costs an app A, to read the JSON J and to validate V, then v2 is
           (A + J + V) / (A + J + V / 17) as fast: far less where V is little.
           v1, 1 field  1000 calls a request
           v2, 1 field  the call itself is Python: few times
           v1, 700 items  1 / V
           v2, 700 items  17 / V
           app on v1, 1 field  1 / (A + V)
           app on v2, 1 field  the same, as A is most of it
           app on v1, 700 items  1 / (A + J + V)
           app on v2, 700 items  2 to 3 times as many
Run        python experiments/29_pydantic_v2.py
Limits     Validators that are Python functions cost the same in both. v1 is compiled by
           Cython, as its wheels are. 28 is about what an app sends.
"""

import json
from datetime import datetime

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class User(BaseModel):
    id: int


class Chapter(BaseModel):
    id: int
    title: str
    words: int
    price: float
    free: bool
    updated: datetime
    tags: list[str]


class Catalog(BaseModel):
    chapters: list[Chapter]


CHAPTER = {
    "id": 1,
    "title": "One",
    "words": 2000,
    "price": 0.5,
    "free": True,
    "updated": "2022-07-06T12:00:00",
    "tags": ["new", "short"],
}
CATALOG = {"chapters": [CHAPTER] * 700}


async def library(scope, receive, send):
    if scope["path"] == "/user":
        for number in range(1000):
            User(id=number)
    else:
        Catalog(**CATALOG)  # the line under test: what it calls is v1 or v2
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"valid": 1}'})


@app.post("/user")
async def post_user(user: User):
    return {"valid": 1}


@app.post("/catalog")
async def post_catalog(catalog: Catalog):
    return {"valid": 1}


JSON = (("Content-Type", "application/json"),)
USER = {"method": "POST", "headers": JSON, "body": b'{"id": 1}'}
MANY = {"method": "POST", "headers": JSON, "body": json.dumps(CATALOG).encode()}
WITH = (  # the last FastAPI that ran on both
    "uv run --isolated --no-project --python 3.11 --with 'uvicorn[standard]==0.54.0' "
    "--with fastapi==0.125.0 --with pydantic=="
)
SERVE = "uvicorn --no-access-log --port {port} 29_pydantic_v2"
V1, V2 = f"{WITH}1.10.24 {SERVE}", f"{WITH}2.14.4 {SERVE}"
ARMS = {
    "v1, 1 field": (f"{V1}:library --lifespan off", "/user"),
    "v2, 1 field": (f"{V2}:library --lifespan off", "/user"),
    "v1, 700 items": (f"{V1}:library --lifespan off", "/catalog"),
    "v2, 700 items": (f"{V2}:library --lifespan off", "/catalog"),
    "app on v1, 1 field": (f"{V1}:app", "/user", USER),
    "app on v2, 1 field": (f"{V2}:app", "/user", USER),
    "app on v1, 700 items": (f"{V1}:app", "/catalog", MANY),
    "app on v2, 700 items": (f"{V2}:app", "/catalog", MANY),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def find(arms):
        for version in ("v1", "v2"):
            cost_us = arms[f"{version}, 700 items"].run.server.cpu_us_per_request / 700
            yield f"{version}: {cost_us:.1f} µs of CPU time for an item of 7 fields"

    experiment(
        ARMS,
        shared=True,
        connections=8,
        rounds=2,
        duration_s=0.6,
        expect={"valid": 1},
        claim=Ratio("v2, 700 items", "v1, 700 items", claimed=(4, 50)),
        findings=find,
        causes=[
            Cause(
                f"{over}, {size}",
                f"{under}, {size}",
                above=1.5,
                then=f"{text} v2 is {{faster}}",
                otherwise=f"{text} v2 hardly gains: it is {{faster}}",
            )
            for over, under, size, text in (
                ("v2", "v1", "1 field", "with a single field, where the call is most,"),
                (
                    "app on v2",
                    "app on v1",
                    "700 items",
                    "in an app that gets 700 items,",
                ),
                ("app on v2", "app on v1", "1 field", "in an app that gets one field,"),
            )
        ],
    )

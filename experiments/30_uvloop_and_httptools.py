# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "pydantic==2.14.4", "tqdm==4.70.1", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""30: uvloop makes asyncio 2 to 4 times as fast

Claim      uvloop makes asyncio 2 to 4 times as fast.
Source     https://github.com/MagicStack/uvloop, README: an echo server. Mean response
           times of uvicorn: uvloop and httptools 27 ms, asyncio and httptools 41,
           uvloop and h11 85, asyncio and h11 109 (Starlette, 1000 connections, 2019):
           https://github.com/the-benchmarker/web-frameworks/issues/1598
Expect     With 1000 connections, a mean of 27 ms is 1000 / 27 ms = 37,000 requests/s.
           Let the loop cost L and the parser P: asyncio for uvloop adds 14 ms, h11 for
           httptools 58, so the parser matters four times as much. FastAPI adds F.
           uvloop, httptools  1 / (L + P)
           asyncio, httptools  27 / 41 = 0.66 of that
           uvloop, h11  27 / 85 = 0.32 of that
           asyncio, h11  27 / 109 = 0.25 of that
           FastAPI, uvloop, httptools  1 / (L + P + F)
           FastAPI, asyncio, httptools  nearer to it than without F
Run        python experiments/30_uvloop_and_httptools.py
Limits     uvicorn alone: other servers have parsers of their own (31). Both come with
           uvicorn[standard], and not with uvicorn.
"""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    name: str
    prices: list[float]


async def bare(scope, receive, send):
    headers = [(b"content-type", b"application/json"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"total":1.5}'})


@app.post("/")
async def total(item: Item):
    return {"total": sum(item.prices)}


JSON = (("Content-Type", "application/json"),)
POST = {"method": "POST", "headers": JSON, "body": b'{"name": "pen", "prices": [1.5]}'}
UVICORN = "uvicorn --no-access-log --lifespan off --port {port} 30_uvloop_and_httptools"
BARE, APP = f"{UVICORN}:bare", f"{UVICORN}:app"
LONGER = {"duration_s": 1.5}  # for the arms of the claim, which decide
ARMS = {  # under test: the two options at the end of each line
    "uvloop, httptools": (f"{BARE} --loop uvloop --http httptools", "/", LONGER),
    "asyncio, httptools": (f"{BARE} --loop asyncio --http httptools", "/", LONGER),
    "uvloop, h11": (f"{BARE} --loop uvloop --http h11", "/"),
    "asyncio, h11": (f"{BARE} --loop asyncio --http h11", "/"),
    "FastAPI, uvloop, httptools": (f"{APP} --loop uvloop --http httptools", "/", POST),
    "FastAPI, asyncio, httptools": (
        f"{APP} --loop asyncio --http httptools",
        "/",
        POST,
    ),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def find(arms):
        cost_us = {n: arm.run.server.cpu_us_per_request for n, arm in arms.items()}
        all_us = cost_us["FastAPI, uvloop, httptools"]
        for new, old in (("uvloop", "asyncio"), ("httptools", "h11")):
            best = "uvloop, httptools"
            saved_us = cost_us[best.replace(new, old)] - cost_us[best]
            enough_ms = max(0, saved_us / 0.05 - all_us) / 1000
            work = f" and {enough_ms:.1f} ms of work" if enough_ms >= 0.05 else ""
            yield (
                f"{new} saves {saved_us:.0f} µs of CPU time for each request; with "
                f"FastAPI{work} that is less than 5 %"
            )

    experiment(
        ARMS,
        in_turns=True,
        connections=50,
        rounds=2,
        duration_s=0.4,
        expect={"total": 1.5},
        claim=Ratio("uvloop, httptools", "asyncio, httptools", claimed=(2, 4)),
        findings=find,
        causes=[
            Cause(
                "uvloop, httptools",
                "uvloop, h11",
                above=2,
                then="with httptools in place of h11 uvicorn is {faster}: the parser "
                "matters more than the loop",
                otherwise="with httptools in place of h11 uvicorn is {faster}",
            ),
            Cause(
                "FastAPI, uvloop, httptools",
                "FastAPI, asyncio, httptools",
                above=1.25,
                then="under FastAPI, too, uvloop is {faster}",
                otherwise="under FastAPI uvloop is {faster}: FastAPI is most of it",
            ),
        ],
    )

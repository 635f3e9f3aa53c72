# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "granian==2.8.7", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "hypercorn==0.18.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "tqdm==4.70.1", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""31: Granian serves ASGI 2.5 times as fast as uvicorn

Claim      One worker serves 125,539 requests/s on Granian, 51,051 on uvicorn, 34,532 on
           gunicorn's asgi worker, 14,501 on uvicorn with h11 and 9318 on Hypercorn.
Source     https://github.com/emmett-framework/granian/blob/master/benchmarks/vs.md,
           August 2026 (Granian 2.8.1): 10 kB of static bytes, oha, 128 connections,
           uvloop everywhere, 16 cores and none pinned
Expect     Granian reads and writes in a Rust thread beside that of Python, so a worker
           can take more than a core; uvicorn has one thread. If a request costs the
           server S and the app W, the ratio (S1 + W) / (S2 + W) goes to 1.
           Granian  2.46 of uvicorn, less on one core
           uvicorn  1, one thread
           gunicorn  0.68 of uvicorn
           Hypercorn  0.18 of uvicorn
           Granian, two cores  more than on one
           uvicorn, two cores  as on one
           Granian, FastAPI  nearer: W is most
           uvicorn, FastAPI  nearer: W is most
           Granian, 10 ms  32 / 10 ms = 3200/s
           uvicorn, 10 ms  32 / 10 ms = 3200/s
Run        python experiments/31_granian_asgi.py
Limits     All run on core 0, which is theirs alone, so that CPU time of all threads
           counts. Core 1 is the client's, too, where there are but two. gunicorn parses
           in Python here: gunicorn[fast] does it in C. uvicorn with h11 is in 30.
           HTTP/2 and websockets, which Granian has too, are not loaded.
"""

import asyncio

from fastapi import FastAPI

app = FastAPI()


async def static(scope, receive, send):
    if scope["path"] == "/wait":
        await asyncio.sleep(0.01)
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"10240")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * 10240})


@app.get("/")
async def hello():
    return {"message": "hello"}


GRANIAN = (  # under test, with the options of the source
    "granian --interface asgi --http 1 --no-ws --runtime-mode st --loop uvloop "
    "--log-level warning --port {port} 31_granian_asgi"
)
UVICORN = "uvicorn --no-access-log --lifespan off --port {port} 31_granian_asgi"
GUNICORN = "gunicorn -k asgi -b {host}:{port} 31_granian_asgi"
HYPERCORN = "hypercorn -k uvloop --backlog 2048 -b {host}:{port} 31_granian_asgi"
ONE, TWO = "taskset -c 0", "taskset -c 0,1"
FEW = {"connections": 32}
LONGER = {"duration_s": 1.5}  # for the arms of the claim, which decide
ARMS = {
    "Granian": (f"{ONE} {GRANIAN}:static", "/", LONGER),
    "uvicorn": (f"{ONE} {UVICORN}:static", "/", LONGER),
    "gunicorn": (f"{ONE} {GUNICORN}:static", "/"),
    "Hypercorn": (f"{ONE} {HYPERCORN}:static", "/"),
    "Granian, two cores": (f"{TWO} {GRANIAN}:static", "/"),
    "uvicorn, two cores": (f"{TWO} {UVICORN}:static", "/"),
    "Granian, FastAPI": (f"{ONE} {GRANIAN}:app", "/"),
    "uvicorn, FastAPI": (f"{ONE} {UVICORN}:app", "/"),
    "Granian, 10 ms": (f"{ONE} {GRANIAN}:static", "/wait", FEW),
    "uvicorn, 10 ms": (f"{ONE} {UVICORN}:static", "/wait", FEW),
}

if __name__ == "__main__":
    from harness import Cause, Each, Ratio, experiment

    def find(arms):
        server = {name: arm.run.server for name, arm in arms.items()}
        saved_us = (
            server["uvicorn"].cpu_us_per_request - server["Granian"].cpu_us_per_request
        )
        fastapi_us = server["Granian, FastAPI"].cpu_us_per_request
        enough_ms = max(0, saved_us / 0.05 - fastapi_us) / 1000
        yield (
            f"Granian saves {saved_us:.0f} µs of CPU time, of all threads, for each "
            f"request; with FastAPI and {enough_ms:.1f} ms of work or more that is "
            "less than 5 %"
        )
        for name in ("Granian, two cores", "uvicorn, two cores"):
            busy = server[name].cpu_s / arms[name].run.elapsed_s
            yield f"{name}: it used {busy:.2f} of them"

    hello = {"message": "hello"}
    experiment(
        ARMS,
        needs={"taskset": "util-linux"},
        shared=True,
        in_turns=True,
        connections=128,
        rounds=2,
        duration_s=0.4,
        expect=Each({n: hello if "FastAPI" in n else "x" * 10240 for n in ARMS}),
        claim=Ratio("Granian", "uvicorn", claimed=2.46),
        findings=find,
        causes=[
            Cause(
                "Granian, two cores",
                "Granian",
                above=1.25,
                then="a second core makes Granian {faster}: its threads run at once",
                otherwise="with a second core Granian is {faster}: its threads hardly "
                "gain from it",
            ),
            *(
                Cause(
                    f"Granian, {what}",
                    f"uvicorn, {what}",
                    above=1.25,
                    then=f"{text} Granian is {{faster}}",
                    otherwise=f"{text} the two hardly differ: {{faster}}",
                )
                for what, text in (
                    ("FastAPI", "under FastAPI,"),
                    ("10 ms", "where each request waits for 10 ms,"),
                )
            ),
        ],
    )

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "asgiref==3.13.0", "fastapi==0.163.2", "flask[async]==3.1.3",
#   "gunicorn==27.0.1", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2",
#   "quart==0.22.0", "tqdm==4.70.1", "uvicorn[standard]==0.54.0",
#   "uvicorn-worker==0.4.0", "uvloop==0.23.0",
# ]
# ///
"""19: Quart sustains as many requests/s as FastAPI, nine times Flask's

Claim      Quart and FastAPI hold 9000 requests/s and reach their ceiling near 10,000.
           Flask through WsgiToAsgi holds 1000.
Source     https://github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: Vegeta at constant rates, 21 UvicornWorkers on 10 cores
Expect     "As many" is taken for 0.8 to 1.25 times. One process each, so one core: its
           ceiling is 1 s / the CPU time of a request. Below it an answer takes little
           longer than its work. At 120 % the last answer of T seconds is 0.2 T late.
           FastAPI        1 s / its CPU time a request
           Quart          as FastAPI, if the claim holds
           Flask adapted  one thread, and failures
           Flask threads  1 s / its CPU time a request
Run        python experiments/19_sustained_rate.py
Limits     It does not test several processes (experiment 17), nor endpoints that wait
           (20 and 21). 24 measures FastAPI against Flask on threads alone.
"""

from asgiref.wsgi import WsgiToAsgi
from fastapi import FastAPI
from flask import Flask
from quart import Quart

app = FastAPI()
quart_app = Quart(__name__)
flask_app = Flask(__name__)
adapted_app = WsgiToAsgi(flask_app)


@app.get("/")
async def fastapi_view() -> dict[str, str]:  # the line under test: it never waits
    return {"message": "hello"}


@quart_app.get("/")
async def quart_view() -> dict[str, str]:
    return {"message": "hello"}


@flask_app.get("/")
def flask_view() -> dict[str, str]:
    return {"message": "hello"}


UVICORN_WORKER = "gunicorn -k uvicorn_worker.UvicornWorker -b {host}:{port}"
THREADS = "gunicorn -k gthread --threads 8 -b {host}:{port}"
ARMS = {
    "FastAPI": (f"{UVICORN_WORKER} 19_sustained_rate:app", "/"),
    "Quart": (f"{UVICORN_WORKER} 19_sustained_rate:quart_app", "/"),
    "Flask adapted": (f"{UVICORN_WORKER} 19_sustained_rate:adapted_app", "/"),
    "Flask threads": (f"{THREADS} 19_sustained_rate:flask_app", "/"),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def describe_knees(arms) -> list[str]:
        """Up to which rate nothing fails, and half the answers do not queue."""
        told = []
        for name, arm in arms.items():
            soon_s = arm.run.load.duration_s / 20
            good = [p for p in arm.curve if not p.failed and (p.p50_s or 9) < soon_s]
            rate = max((point.rate for point in good), default=0)
            told.append(f"{name} {rate:.0f}/s" if rate else f"{name} none")
        return [f"highest rate that was held, of those tried: {' · '.join(told)}"]

    experiment(
        ARMS,
        connections=50,
        expect={"message": "hello"},
        duration_s=0.75,
        shares=(0.5, 0.8, 1.0, 1.2),
        findings=describe_knees,
        subject=["failures"],
        claim=Ratio("Quart", "FastAPI", claimed=(0.8, 1.25)),
        causes=[
            Cause(
                "Quart",
                "FastAPI",
                metric="server_cpu_us",
                above=1.05,
                then="a request takes Quart {faster} as FastAPI, and a process has "
                "one core: that sets the ceiling",
                otherwise="a request takes Quart {faster} as FastAPI: CPU time does "
                "not explain a difference",
            ),
            Cause(
                "Flask threads",
                "Flask adapted",
                above=1.25,
                then="without the adapter, on gunicorn's threads, the same Flask app "
                "is {faster}: WsgiToAsgi's one thread was the limit",
                otherwise="without the adapter, on gunicorn's threads, the same Flask "
                "app is {faster}: the adapter was not the limit",
            ),
            Cause(
                "Quart",
                "Flask threads",
                below=4.5,
                then="Quart is {faster} than Flask on threads; the source had nine "
                "times",
                otherwise="Quart is {faster} than Flask on threads",
            ),
        ],
    )

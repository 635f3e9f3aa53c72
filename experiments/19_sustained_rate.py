# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "asgiref", "fastapi", "flask", "gunicorn", "hdrhistogram", "httptools",
#   "numpy", "psutil", "quart", "tqdm", "uvicorn[standard]", "uvicorn-worker", "uvloop",
# ]
# ///
"""19: Quart sustains as many requests/s as FastAPI, nine times Flask's

Claim      Quart and FastAPI hold 9000 requests/s and reach their ceiling near 10,000;
           Flask through WsgiToAsgi holds 1000.
Source     github.com/agusmakmun/flask-django-quart-fastapi-performance-test-comparison,
           April 2025: Vegeta at constant rates, UvicornWorkers, 21 on 10 cores
Expect     One process each here, so one core: its ceiling, which a closed loop finds, is
           1 s / the CPU time of a request, the same for two frameworks only if that is.
           Below it an answer takes little longer than its work. At 120 % one request in
           six is too many: after T s the last answer is 0.2 T late, the median 0.1 T.
Run        python experiments/19_sustained_rate.py
Not shown  More processes (experiment 17), and endpoints that wait (20, 21).
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
async def fastapi_view() -> dict[str, str]:  # it awaits nothing, as in the source
    return {"message": "hello"}


@quart_app.get("/")
async def quart_view() -> dict[str, str]:
    return {"message": "hello"}


@flask_app.get("/")
def flask_view() -> dict[str, str]:
    return {"message": "hello"}


UVICORN_WORKER = "gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port}"
THREADS = "gunicorn -k gthread --threads 8 -b 127.0.0.1:{port}"
ARMS = {
    "FastAPI": (f"{UVICORN_WORKER} 19_sustained_rate:app", "/"),
    "Quart": (f"{UVICORN_WORKER} 19_sustained_rate:quart_app", "/"),
    "Flask adapted": (f"{UVICORN_WORKER} 19_sustained_rate:adapted_app", "/"),
    "Flask threads": (f"{THREADS} 19_sustained_rate:flask_app", "/"),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def held(arms) -> list[str]:
        """The knee: where nothing fails, and half the answers wait for no growing queue."""
        told = []
        for name, arm in arms.items():
            soon_s = arm["run"].load["duration_s"] / 20
            good = [p for p in arm["curve"] if not p["failed"] and p["p50_s"] < soon_s]
            rate = max((point["rate"] for point in good), default=0)
            told.append(f"{name} {rate:.0f}/s" if rate else f"{name} none")
        return [f"highest rate tried that was held: {', '.join(told)}"]

    experiment(
        ARMS,
        connections=50,
        expect={"message": "hello"},
        duration_s=0.75,
        shares=(0.5, 0.8, 1.0, 1.2),
        findings=held,
        subject=("failures",),
        claim=Ratio("Quart", "FastAPI", "inside 0.8 to 1.25", "outside 0.8 to 1.25"),
        causes=[
            Cause(
                "Quart",
                "FastAPI",
                metric="server_cpu_us",
                when="> 1.05",
                then="a request costs Quart {ratio} the CPU time it costs FastAPI, and a "
                "process has one core: that is the ceiling",
                otherwise="a request costs Quart {ratio} the CPU time it costs FastAPI: CPU "
                "time does not tell their ceilings apart",
            ),
            Cause(
                "Flask threads",
                "Flask adapted",
                when="> 1.25",
                then="without the adapter, in gunicorn's threads, the same Flask app reaches "
                "{ratio}: WsgiToAsgi's one thread held it down",
                otherwise="without the adapter, in gunicorn's threads, the same Flask app "
                "reaches {ratio}: the adapter alone did not hold it down",
            ),
            Cause(
                "Quart",
                "Flask threads",
                when="< 4.5",
                then="Quart serves {ratio} what Flask in threads serves, where the source "
                "had nine times as much",
                otherwise="Quart serves {ratio} what Flask in threads serves",
            ),
        ],
    )

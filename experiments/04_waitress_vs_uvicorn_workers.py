# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "a2wsgi", "aiohttp", "fastapi", "flask", "flask-restful", "gunicorn", "hdrhistogram",
#   "httptools", "numpy", "psutil", "tqdm", "uvicorn[standard]", "uvicorn-worker",
#   "uvloop", "waitress",
# ]
# ///
"""04: FastAPI on Uvicorn workers is 5.4 times as fast as Flask on Waitress

Claim      FastAPI on gunicorn with four UvicornWorkers serves 7891 requests/s, and on
           `uvicorn --workers 4` 4360, where Flask on Waitress serves 1469.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: ab -n 5000 -c 1000, a
           new connection for each request
Expect     7891 / 1469 = 5.4 and 4360 / 1469 = 3.0 with four workers; here two, for want
           of four cores, and the client needs a share of those. Workers multiply what
           one process does: one process each leaves server and framework, and the same
           Flask app on both servers leaves the servers.
Run        python experiments/04_waitress_vs_uvicorn_workers.py
Not shown  The access log, off in every arm (experiment 07).
"""

from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from flask import Flask
from flask_restful import Api, Resource

app = FastAPI()
flask_app = Flask(__name__)
flask_on_uvicorn = WSGIMiddleware(flask_app, workers=4)  # as many threads as Waitress


@app.get("/")
async def root() -> dict[str, str]:
    return {"message": "hello"}


class Root(Resource):
    def get(self) -> dict[str, str]:
        return {"message": "hello"}


Api(flask_app).add_resource(Root, "/")

MODULE = "04_waitress_vs_uvicorn_workers"
UVICORN = f"uvicorn --no-access-log --port {{port}} {MODULE}"
GUNICORN = f"gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{{port}} {MODULE}:app"
WAITRESS = (  # waitress-serve takes no module whose name begins with a digit
    'python -c "from waitress import serve; '
    f"serve(__import__('{MODULE}').flask_app, listen='127.0.0.1:{{port}}')\""
)
NEW = {"keepalive": False}
KEPT = {"connections": 50}  # Waitress keeps fewer than 100, and lets the others wait
ARMS = {
    "Waitress": (WAITRESS, "/", NEW),
    "gunicorn x 2": (f"{GUNICORN} -w 2", "/", NEW),
    "uvicorn x 2": (f"{UVICORN}:app --workers 2", "/", NEW),
    "uvicorn x 1": (f"{UVICORN}:app", "/", NEW),
    "Flask on uvicorn": (f"{UVICORN}:flask_on_uvicorn", "/", NEW),
    "Waitress kept": (WAITRESS, "/", KEPT),
    "uvicorn kept": (f"{UVICORN}:app", "/", KEPT),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    experiment(
        ARMS,
        connections=1000,
        expect={"message": "hello"},
        duration_s=0.8,
        claim=Ratio("gunicorn x 2", "Waitress", "> 3", "< 3"),
        causes=[
            Cause(
                "uvicorn x 1",
                "Waitress",
                when="< 3",
                then="one process each, it is {ratio}: the rest was the number of processes",
                otherwise="one process each, it is still {ratio}",
            ),
            Cause(
                "Flask on uvicorn",
                "Waitress",
                when="< 1.25",
                then="the same Flask app on uvicorn is {ratio} of Waitress: what is left is "
                "the framework, not the server",
                otherwise="the same Flask app on uvicorn is {ratio} of Waitress: the server "
                "itself is part of it",
            ),
        ],
    )

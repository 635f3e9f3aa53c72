# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "a2wsgi==1.10.10", "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3",
#   "flask-restful==0.3.10", "gunicorn==27.0.1", "hdrhistogram==0.10.8",
#   "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6",
#   "psutil==7.2.2", "tqdm==4.70.1", "uvicorn[standard]==0.54.0",
#   "uvicorn-worker==0.4.0", "uvloop==0.23.0", "waitress==3.0.2",
# ]
# ///
"""04: FastAPI on uvicorn workers is 3 times as fast as Flask on Waitress

Claim      FastAPI on `uvicorn --workers 4` serves 4360 requests/s, Flask on Waitress
           1469. (On gunicorn with four UvicornWorkers it serves 7891: experiment 07.)
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: ab -n 5000 -c 1000,
           a new connection for each request
Expect     4360 / 1469 = 3.0 with four workers. Here there are two, which share two
           cores with the client. Several workers multiply what one process serves, so
           one process each compares the servers and frameworks, and the same Flask app
           on both compares the servers.
           Waitress          one process, 4 threads: 1
           uvicorn x 2       3.0 times Waitress, if the claim holds
           gunicorn x 2      7891 / 1469 = 5.4 times Waitress
           uvicorn x 1       half of uvicorn x 2, or more
           Flask on uvicorn  as Waitress, if the framework decides
           Waitress kept     faster: no new connections
           uvicorn kept      faster: no new connections
Run        python experiments/04_waitress_vs_uvicorn_workers.py
Limits     No server writes an access log here (experiment 07). 24 measures Flask and
           FastAPI alone, with one process each.
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
GUNICORN = f"gunicorn -k uvicorn_worker.UvicornWorker -b {{host}}:{{port}} {MODULE}:app"
WAITRESS = (  # waitress-serve takes no module whose name begins with a digit
    'python -c "from waitress import serve; '
    f"serve(__import__('{MODULE}').flask_app, listen='{{host}}:{{port}}')\""
)
NEW = {"keepalive": False}  # the line under test, beside the servers
KEPT = {"connections": 50}  # Waitress keeps fewer than 100, and lets the others wait
ARMS = {
    "Waitress": (WAITRESS, "/", NEW),
    "uvicorn x 2": (f"{UVICORN}:app --workers 2", "/", NEW),
    "gunicorn x 2": (f"{GUNICORN} -w 2", "/", NEW),
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
        quick_connections=200,
        expect={"message": "hello"},
        duration_s=0.8,
        claim=Ratio("uvicorn x 2", "Waitress", claimed=4360 / 1469),
        causes=[
            Cause(
                "uvicorn x 1",
                "Waitress",
                below=1.25,
                then="with one process each it is {faster}: the number of processes "
                "made the difference",
                otherwise="with one process each, FastAPI on uvicorn is {faster}: the "
                "number of processes is not the only reason",
                another_reason=True,
            ),
            Cause(
                "Flask on uvicorn",
                "Waitress",
                below=1.25,
                then="the same Flask app on uvicorn is {faster} than on Waitress: the "
                "server is not the reason, so the framework is",
                otherwise="the same Flask app is {faster} on uvicorn than on "
                "Waitress: the server is part of the reason",
            ),
            Cause(
                "gunicorn x 2",
                "uvicorn x 2",
                above=0.8,
                below=1.25,
                then="on gunicorn with two UvicornWorkers FastAPI is as fast as on "
                "uvicorn ({ratio})",
                otherwise="on gunicorn with two UvicornWorkers FastAPI is {faster} "
                "than on uvicorn with two",
            ),
        ],
    )

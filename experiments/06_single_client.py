# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3",
#   "flask-restful==0.3.10", "gunicorn==27.0.1", "hdrhistogram==0.10.8",
#   "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6",
#   "psutil==7.2.2", "tqdm==4.70.1", "uv==0.13.8", "uvicorn[standard]==0.54.0",
#   "uvicorn-worker==0.4.0", "uvloop==0.23.0",
# ]
# ///
"""06: for a single client FastAPI is 3.4 times as fast as Flask

Claim      5000 requests of a single client, one after the other, take FastAPI on
           gunicorn with UvicornWorkers 1.615 s, on uvicorn 2.681 s, and Flask 5.541 s.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: ab -n 5000 -c 1, a
           new connection for each request; Flask on its development server
Expect     5.541 / 1.615 = 3.4. One client keeps one worker busy, so two workers are no
           faster than one. What differs is the time of one request: 1.615 s / 5000 =
           0.32 ms against 1.1 ms. The development server spends part of it on a new
           thread and a line of log.
           FastAPI -w 2     3.4 times Flask
           FastAPI uvicorn  5.541 / 2.681 = 2.1 times Flask
           Flask            5.541 s / 5000 = 1.1 ms a request
           FastAPI -w 1     as two workers
           Flask gthread    faster: no new thread, no log
           FastAPI kept     faster: no new connections
           Flask kept       faster: no new connections
Run        python experiments/06_single_client.py [--then]
Limits     It says nothing of many clients (experiments 04, 05 and 07). 24 measures
           Flask on gunicorn and FastAPI alone, both with kept connections.
"""

from fastapi import FastAPI
from flask import Flask
from flask_restful import Api, Resource

app = FastAPI()
flask_app = Flask(__name__)


@app.get("/")
async def root() -> dict[str, str]:
    return {"message": "hello"}


class Root(Resource):
    def get(self) -> dict[str, str]:
        return {"message": "hello"}


Api(flask_app).add_resource(Root, "/")

MODULE = "06_single_client"
WORKERS = f"gunicorn -k uvicorn_worker.UvicornWorker -b {{host}}:{{port}} {MODULE}:app"
UVICORN = f"uvicorn --reload --port {{port}} {MODULE}:app"
FLASK = f"env FLASK_APP={MODULE}:flask_app flask run --port {{port}}"
GTHREAD = f"gunicorn --threads 4 -b {{host}}:{{port}} {MODULE}:flask_app"
NEW = {"keepalive": False}  # the line under test, beside the servers
ARMS = {
    "FastAPI -w 2": (f"{WORKERS} -w 2", "/", NEW),
    "FastAPI uvicorn": (UVICORN, "/", NEW),
    "Flask": (FLASK, "/", NEW),
    "FastAPI -w 1": (WORKERS, "/", NEW),
    "Flask gthread": (GTHREAD, "/", NEW),
    "FastAPI kept": (WORKERS, "/"),
    "Flask kept": (GTHREAD, "/"),
}
IN_2020 = (  # but uvicorn 0.12.3: 0.11.5 cannot be built for Python 3.11
    "uv run --isolated --no-project --python 3.11 --with flask==1.1.2 "
    "--with werkzeug==1.0.1 --with 'jinja2<3.1' --with 'markupsafe<2.1' "
    "--with 'itsdangerous<2.1' --with flask-restful==0.3.8 --with fastapi==0.58.1 "
    "--with gunicorn==20.0.4 --with uvicorn==0.12.3 --with httptools==0.5.0 "
    "--with uvloop==0.17.0 --with 'setuptools<81' "
)
OLD_WORKERS = WORKERS.replace("uvicorn_worker", "uvicorn.workers")
THEN = {
    "FastAPI -w 2": (f"{IN_2020}{OLD_WORKERS} -w 2", "/", NEW),
    "Flask": (f"{IN_2020}{FLASK}", "/", NEW),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def time_of_5000(arms):
        """The figures of the claim: how long it takes to answer 5000 requests."""
        took_s = {name: 5000 / arm.run.throughput for name, arm in arms.items()}
        texts = [f"{name} {time_s:.2f} s" for name, time_s in took_s.items()]
        return ["5000 requests take: " + " · ".join(texts)]

    experiment(
        ARMS,
        connections=1,
        expect={"message": "hello"},
        duration_s=0.6,
        then=THEN,
        claim=Ratio("FastAPI -w 2", "Flask", claimed=5.541 / 1.615),
        findings=time_of_5000,
        causes=[
            Cause(
                "FastAPI kept",
                "Flask kept",
                below=1.1,
                then="with one gunicorn worker each and a kept connection it is "
                "{faster}: the server and the new connections made the difference",
                otherwise="with one gunicorn worker each and a kept connection, "
                "FastAPI is still {faster}: framework and worker",
                another_reason=True,
            ),
            Cause(
                "Flask gthread",
                "Flask",
                above=1.05,
                then="the same Flask app on gunicorn's threads is {faster} than on "
                "the development server: that part is the server's doing, not Flask's",
                otherwise="the same Flask app on gunicorn's threads is {faster} than "
                "on the development server: the server makes little difference",
            ),
            Cause(
                "FastAPI -w 2",
                "FastAPI -w 1",
                above=0.8,
                below=1.25,
                then="a second worker changes nothing ({ratio}): one client keeps "
                "only one busy",
                otherwise="two workers are {faster} than one, though a single client "
                "keeps only one busy: two share all cores with the client, and one "
                "has a core of its own",
            ),
        ],
    )

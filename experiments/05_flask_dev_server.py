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
"""05: FastAPI is nearly 48 times as fast as Flask

Claim      FastAPI on gunicorn with four UvicornWorkers serves 8665 requests/s, Flask
           179.7: nearly 48 times as many. On uvicorn FastAPI serves 3201.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: ab -n 5000 -c 500, a
           new connection for each request; Flask on its development server, where half
           of the answers took 136 ms, 5 % more than 7.8 s, and one 27.8 s
Expect     8665 / 179.7 = 48 with four workers, half of that with the two here. 500
           clients and a listen queue of 128 leave 372 outside: the kernel drops their
           connections, and they try again after 1 s, 3 s, 7 s.
           FastAPI -w 2      24 to 48 times Flask
           FastAPI uvicorn   3201 / 179.7 = 18 times Flask
           FastAPI -w 1      half of two workers, or more
           Flask             waits of 1 s, 3 s, 7 s
           Flask long queue  no drops: no wait over 1 s
           Flask gthread     no drops, no thread a request
Run        python experiments/05_flask_dev_server.py [--then]
Limits     The development server closes every connection, so none is kept here. For
           kept connections see experiment 06. 24 measures Flask on gunicorn alone.
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

MODULE = "05_flask_dev_server"
WORKERS = f"gunicorn -k uvicorn_worker.UvicornWorker -b {{host}}:{{port}} {MODULE}:app"
UVICORN = f"uvicorn --reload --port {{port}} {MODULE}:app"
FLASK = f"env FLASK_APP={MODULE}:flask_app flask run --port {{port}}"
LONG_QUEUE = (  # werkzeug's LISTEN_QUEUE is read on import, too early to set it
    'python -c "import flask.cli, werkzeug.serving as w; '
    "w.BaseWSGIServer.request_queue_size = 4096; "  # the line under test
    'flask.cli.main()"'
)
GTHREAD = f"gunicorn --threads 8 -b {{host}}:{{port}} {MODULE}:flask_app"
LOAD = {"requests": 1500, "keepalive": False, "timeout_s": 60.0}
ARMS = {
    "FastAPI -w 2": (f"{WORKERS} -w 2", "/", LOAD),
    "FastAPI uvicorn": (UVICORN, "/", LOAD),
    "FastAPI -w 1": (WORKERS, "/", LOAD),
    "Flask": (FLASK, "/", LOAD),
    "Flask long queue": (FLASK.replace("flask run", f"{LONG_QUEUE} run"), "/", LOAD),
    "Flask gthread": (GTHREAD, "/", LOAD),
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
    "FastAPI -w 2": (f"{IN_2020}{OLD_WORKERS} -w 2", "/", LOAD),
    "Flask": (f"{IN_2020}{FLASK}", "/", LOAD),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def describe_waits(arms):
        """How long clients of the development server wait, with either queue."""
        return [
            f"{name}: its queue of {arm.backlog} was full "
            f"{arm.run.client.listen_overflows} times; of {arm.run.ok} requests half "
            f"took at most {arm.run.latency_s['p50']:.2f} s, 95 % at most "
            f"{arm.run.latency_s['p95']:.2f} s, the longest "
            f"{arm.run.latency_s['max']:.2f} s"
            for name, arm in arms.items()
            if "flask run" in arm.command or "flask.cli" in arm.command
        ]

    experiment(
        ARMS,
        connections=500,
        quick_connections=200,
        rounds=1,
        expect={"message": "hello"},
        then=THEN,
        claim=Ratio("FastAPI -w 2", "Flask", claimed=8665 / 179.7),
        subject=["overflows"],  # dropped connections are what is studied
        columns={"drops": lambda arm: str(arm.run.client.listen_overflows)},
        findings=describe_waits,
        causes=[
            Cause(
                "FastAPI -w 1",
                "Flask gthread",
                below=10,
                then="with one gunicorn process each, FastAPI is only {faster}: most "
                "of the difference is Flask's development server",
                otherwise="with one gunicorn process each, FastAPI is still {faster}",
                another_reason=True,
            ),
            Cause(
                "Flask long queue",
                "Flask",
                above=1.1,
                then="the development server with a listen queue of 4096 is {faster}: "
                "no client has to try again",
                otherwise="the development server with a listen queue of 4096 is "
                "{faster}: it only loses its longest waits",
            ),
            Cause(
                "FastAPI -w 2",
                "Flask long queue",
                below=24,
                then="FastAPI on two workers is {faster} than the development "
                "server with a long queue",
                otherwise="FastAPI on two workers is still {faster} than the "
                "development server with a long queue",
            ),
        ],
    )

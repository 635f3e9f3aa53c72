# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "fastapi", "flask", "flask-restful", "gunicorn", "hdrhistogram",
#   "httptools", "numpy", "psutil", "tqdm", "uv", "uvicorn[standard]", "uvicorn-worker",
#   "uvloop",
# ]
# ///
"""05: FastAPI is nearly 48 times as fast as Flask

Claim      FastAPI on gunicorn with four UvicornWorkers serves 8665 requests/s, and on
           uvicorn 3201, where Flask serves 179.7: nearly 48 times as many.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: ab -n 5000 -c 500, a
           new connection for each request; Flask on its development server, where half
           the answers took 136 ms, 5 % more than 7.8 s and one 27.8 s
Expect     8665 / 180 = 48 with four workers; two, for want of four cores, give up to
           half of it: 24. 500 clients on a listen queue of 128 leave 372 outside: the
           kernel drops what does not fit, and a dropped packet is sent again after 1 s
           and more. With room for 4096 none is dropped, and the longest wait is that
           for 500 answers: 0.5 s at 1000 a second.
Run        python experiments/05_flask_dev_server.py [--then]
Not shown  Connections that are kept: the development server closes each (06 has them).
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
WORKERS = f"gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{{port}} {MODULE}:app"
UVICORN = f"uvicorn --reload --port {{port}} {MODULE}:app"
FLASK = f"env FLASK_APP={MODULE}:flask_app flask run --port {{port}}"
LONG_QUEUE = (  # werkzeug's LISTEN_QUEUE is read on import, too early to set it
    'python -c "import flask.cli, werkzeug.serving as w; '
    "w.BaseWSGIServer.request_queue_size = 4096; "  # the line under test
    'flask.cli.main()"'
)
GTHREAD = f"gunicorn --threads 8 -b 127.0.0.1:{{port}} {MODULE}:flask_app"
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

    def found(arms):
        """The waits of the development server, with either listen queue."""
        return [
            f"{name}: its queue of {arm['backlog']} was full "
            f"{arm['run'].client['listen_overflows']} times; of {arm['run'].ok} "
            f"requests half took at most {arm['run'].latency_s['p50']:.2f} s, "
            f"95 % at most {arm['run'].latency_s['p95']:.2f} s, and the longest "
            f"{arm['run'].latency_s['max']:.2f} s"
            for name, arm in arms.items()
            if "flask run" in arm["command"] or "flask.cli" in arm["command"]
        ]

    experiment(
        ARMS,
        connections=500,
        quick_connections=200,
        expect={"message": "hello"},
        then=THEN,
        claim=Ratio("FastAPI -w 2", "Flask", "overlaps 24 to 96", "< 24"),
        subject=("overflows", "spread"),  # drops are what is studied, and come unevenly
        columns={"drops": lambda arm: str(arm["run"].client["listen_overflows"])},
        findings=found,
        causes=[
            Cause(
                "Flask long queue",
                "Flask",
                when="> 1.1",
                then="the same development server with a listen queue of 4096 is "
                "{ratio}: clients no longer wait to send again what was dropped",
                otherwise="the same development server with a listen queue of 4096 is "
                "{ratio}: that takes the longest waits away, and none of the work",
            ),
            Cause(
                "FastAPI -w 2",
                "Flask long queue",
                when="< 24",
                then="against that, FastAPI on two workers is {ratio}",
                otherwise="against that, FastAPI on two workers is still {ratio}",
            ),
            Cause(
                "FastAPI -w 1",
                "Flask gthread",
                when="< 10",
                then="one process of gunicorn each, FastAPI is {ratio}: this is what "
                "framework and worker account for",
                otherwise="one process of gunicorn each, FastAPI is still {ratio}",
            ),
        ],
    )

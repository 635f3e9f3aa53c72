# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "fastapi", "flask", "flask-restful", "gunicorn", "hdrhistogram",
#   "httptools", "numpy", "psutil", "tqdm", "uv", "uvicorn[standard]", "uvicorn-worker",
#   "uvloop",
# ]
# ///
"""06: for a single client FastAPI is 3.4 times as fast as Flask

Claim      5000 requests of a single client, one after the other, take FastAPI on
           gunicorn with UvicornWorkers 1.615 s, on uvicorn 2.681 s, and Flask 5.541 s.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: ab -n 5000 -c 1, a new
           connection for each request; four workers; Flask on its development server
Expect     5.541 / 1.615 = 3.4, and anything from two thirds of it, 2.3, to half as much
           again, 5.1, is taken for the same. A single client keeps one worker busy, so
           two (here, for want of four cores) are no faster than one. What is left is
           the time of one request: 1.615 s / 5000 = 0.32 ms against 1.1 ms. Part of it
           is a new connection, in every arm but the two that are kept, and in the
           development server a new thread and a line of log.
Run        python experiments/06_single_client.py [--then]
Not shown  What each server does with many clients (04, 05 and 07).
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
WORKERS = f"gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{{port}} {MODULE}:app"
UVICORN = f"uvicorn --reload --port {{port}} {MODULE}:app"
FLASK = f"env FLASK_APP={MODULE}:flask_app flask run --port {{port}}"
GTHREAD = f"gunicorn --threads 4 -b 127.0.0.1:{{port}} {MODULE}:flask_app"
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

    def found(arms):
        """The figures of the claim: how long it takes to answer 5000 requests."""
        took_s = {name: 5000 / arm["run"].throughput for name, arm in arms.items()}
        texts = [f"{name} {time_s:.2f} s" for name, time_s in took_s.items()]
        return ["5000 requests take: " + ", ".join(texts)]

    experiment(
        ARMS,
        connections=1,
        expect={"message": "hello"},
        duration_s=0.6,
        then=THEN,
        claim=Ratio(
            "FastAPI -w 2",
            "Flask",
            reproduced="overlaps 2.3 to 5.1",
            not_reproduced="outside 2.3 to 5.1",
        ),
        findings=found,
        causes=[
            Cause(
                "FastAPI -w 2",
                "FastAPI -w 1",
                when="inside 0.8 to 1.25",
                then="a second worker makes it {ratio}: a single client keeps one busy",
                otherwise="a second worker makes it {ratio}, though one client keeps "
                "only one busy: two share all cores with the client, and one has "
                "a core of its own",
            ),
            Cause(
                "Flask gthread",
                "Flask",
                when="> 1.05",
                then="the same Flask app in gunicorn's gthread worker is {ratio} of "
                "the development server: so much was the server, not Flask",
                otherwise="the same Flask app in gunicorn's gthread worker is {ratio} "
                "of the development server, which accounts for little",
            ),
            Cause(
                "FastAPI kept",
                "Flask kept",
                when="> 1.1",
                then="one worker of gunicorn each, over a connection that is kept, "
                "FastAPI is still {ratio}: framework and worker",
                otherwise="one worker of gunicorn each, over a connection that is "
                "kept, FastAPI is {ratio}: framework and worker make no difference",
            ),
        ],
    )

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "flask", "gunicorn", "hdrhistogram", "httptools", "numpy", "psutil",
#   "tqdm", "uv", "uvloop", "waitress",
# ]
# ///
"""08: Flask runs each request in a new thread

Claim      Flask runs each request in a thread of its own, so that one that blocks
           holds up no other.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020 (no figures)
Expect     Flask starts no thread; its server may. 8 clients and a view that sleeps
           0.05 s: the development server, a thread each, 8 / 0.05 = 160 requests/s;
           gunicorn's sync worker 1 / 0.05 = 20; 4 threads of gthread or Waitress 80.
           In the first there are as many threads as requests, in the others no more
           than they began with.
Run        python experiments/08_thread_per_request.py [--then]
Not shown  What a new thread costs for each request (experiments 05 and 06).
"""

import threading
import time

from flask import Flask

SLEEP_S = 0.05
CLIENTS = 8

flask_app = Flask(__name__)
here = threading.local()  # what is set on it, only the same thread can see
lock = threading.Lock()
seen = {"requests": 0, "threads": 0, "at once": 0}
running = 0


@flask_app.route("/")
def view():
    global running
    with lock:
        running += 1
        seen["requests"] += 1
        seen["threads"] += not hasattr(here, "known")  # the line under test
        seen["at once"] = max(seen["at once"], running)
    here.known = True
    time.sleep(SLEEP_S)
    with lock:
        running -= 1
    return "slept"


@flask_app.route("/seen")
def what_was_seen():
    return dict(seen)


MODULE = "08_thread_per_request"
FLASK = f"env FLASK_APP={MODULE}:flask_app flask run --port {{port}}"
GUNICORN = f"gunicorn -b 127.0.0.1:{{port}} {MODULE}:flask_app"
WAITRESS = (  # waitress-serve takes no module whose name begins with a digit
    'python -c "from waitress import serve; '
    f"serve(__import__('{MODULE}').flask_app, listen='127.0.0.1:{{port}}')\""
)
ARMS = {
    "development": (FLASK, "/"),
    "without threads": (f"{FLASK} --without-threads", "/"),
    "gunicorn sync": (GUNICORN, "/"),
    "gthread 4": (f"{GUNICORN} --threads 4", "/"),
    "gthread 8": (f"{GUNICORN} --threads 8", "/"),
    "Waitress": (WAITRESS, "/"),
}
IN_2020 = (
    "uv run --isolated --no-project --python 3.11 --with flask==1.1.2 "
    "--with werkzeug==1.0.1 --with 'jinja2<3.1' --with 'markupsafe<2.1' "
    "--with 'itsdangerous<2.1' --with gunicorn==20.0.4 --with waitress==1.4.4 "
    "--with 'setuptools<81' "
)
THEN = {name: (f"{IN_2020}{command}", path) for name, (command, path) in ARMS.items()}

if __name__ == "__main__":
    from harness import Cause, Outcome, experiment

    def a_thread_each(arm):
        """Whether all clients overlapped, and no thread took a second request."""
        return all(
            said["threads"] == said["requests"] and said["at once"] >= CLIENTS
            for said in arm["said"]
        )

    def found(arms):
        """What each server's app saw, in all launches."""
        sentences = []
        for name, arm in arms.items():
            said = arm["said"]
            n, threads = (sum(x[key] for x in said) for key in ("requests", "threads"))
            at_once = max(x["at once"] for x in said)
            text = f"threads: {max(x['threads'] for x in said)}"
            if threads == n:
                text = f"a new thread each: exceptions under {300 / n:.1f} % (3/n)"
            sentences.append(f"{name}: {n} requests, {at_once} at once, {text}")
        return sentences

    experiment(
        ARMS,
        connections=CLIENTS,
        expect="slept",
        duration_s=0.3,
        then=THEN,
        ask_after="/seen",
        subject=("little", "neighbour", "overflows", "steal"),  # counted, not timed
        claim=Outcome(
            rule=f"reproduced when every server has all {CLIENTS} at once, each "
            "request in a new thread; not when any has not",
            reproduced=lambda arms: all(map(a_thread_each, arms.values())),
            not_reproduced=lambda arms: not all(map(a_thread_each, arms.values())),
        ),
        columns={"at once": lambda arm: str(max(s["at once"] for s in arm["said"]))},
        findings=found,
        causes=[
            Cause(
                "development",
                "without threads",
                when="> 2",
                then="the threads are the development server's: with them the same app "
                "serves {ratio} of what it does --without-threads",
                otherwise="the development server's threads make it only {ratio}",
            ),
            Cause(
                "gthread 8",
                "development",
                when="inside 0.8 to 1.25",
                then="to overlap takes no new threads: gthread with 8 that stay is "
                "{ratio} of the development server",
                otherwise="gthread with 8 threads that stay is {ratio} of the "
                "development server with new ones",
            ),
        ],
    )

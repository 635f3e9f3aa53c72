# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "tqdm==4.70.1", "uv==0.13.8", "uvloop==0.23.0",
#   "waitress==3.0.2",
# ]
# ///
"""08: Flask runs each request in a new thread

Claim      Flask runs each request in a thread of its own, so that one that blocks
           holds up no other.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: no figures
Expect     Flask starts no threads; its server may. There are 8 clients, and the view
           sleeps 0.05 s. Only a server with a thread for each request has as many
           threads as requests.
           dev         8 / 0.05 s = 160 requests/s
           dev single  1 / 0.05 s = 20, --without-threads
           sync        1 / 0.05 s = 20 requests/s
           gthread 4   4 / 0.05 s = 80, in 4 threads
           gthread 8   8 / 0.05 s = 160, in 8 threads
           Waitress    4 / 0.05 s = 80, in 4 threads
Run        python experiments/08_thread_per_request.py [--then]
Limits     It does not say what a new thread costs (experiments 05 and 06).
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
GUNICORN = f"gunicorn -b {{host}}:{{port}} {MODULE}:flask_app"
WAITRESS = (  # waitress-serve takes no module whose name begins with a digit
    'python -c "from waitress import serve; '
    f"serve(__import__('{MODULE}').flask_app, listen='{{host}}:{{port}}')\""
)
ARMS = {
    "dev": (FLASK, "/"),
    "dev single": (f"{FLASK} --without-threads", "/"),
    "sync": (GUNICORN, "/"),
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
            for said in arm.said
        )

    def describe_threads(arms):
        """What each server's app saw, in all launches."""
        sentences = []
        for name, arm in arms.items():
            n, threads = (
                sum(x[key] for x in arm.said) for key in ("requests", "threads")
            )
            at_once = max(x["at once"] for x in arm.said)
            text = f"{max(x['threads'] for x in arm.said)} threads"
            if threads == n:
                text = f"a new thread for each (exceptions: under {300 / n:.1f} %, 3/n)"
            sentences.append(f"{name}: {n} requests, {at_once} at once, {text}")
        return sentences

    experiment(
        ARMS,
        connections=CLIENTS,
        expect="slept",
        duration_s=0.3,
        then=THEN,
        ask_after="/seen",
        # it is counted and not timed
        subject=["little", "neighbour", "overflows", "steal", "queued", "lag"],
        claim=Outcome(
            rule=f"REPRODUCED when every server has all {CLIENTS} at once, each "
            "request in a new thread; NOT REPRODUCED when one has not",
            reproduced=lambda arms: all(map(a_thread_each, arms.values())),
            not_reproduced=lambda arms: not all(map(a_thread_each, arms.values())),
        ),
        columns={"at once": lambda arm: str(max(s["at once"] for s in arm.said))},
        findings=describe_threads,
        causes=[
            Cause(
                "dev",
                "dev single",
                above=2,
                then="the threads are the development server's: with them the same "
                "app is {faster} than --without-threads",
                otherwise="the development server is only {faster} with threads than "
                "--without-threads",
            ),
            Cause(
                "gthread 8",
                "dev",
                above=0.8,
                below=1.25,
                then="overlapping requests does not need new threads: gunicorn with 8 "
                "that stay is as fast as the development server ({ratio})",
                otherwise="gunicorn with 8 threads that stay is {faster} than the "
                "development server with new ones",
            ),
        ],
    )

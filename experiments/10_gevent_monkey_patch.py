# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "flask", "gevent", "gunicorn", "hdrhistogram", "httptools", "numpy",
#   "psutil", "tqdm", "uvloop",
# ]
# ///
"""10: gevent makes blocking calls cooperative by patching them

Claim      gevent has no sleep of its own to learn: it patches the standard library's
           blocking calls, so that code written to block lets others run meanwhile.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020 (no figures)
Expect     One process, 20 clients, 0.1 s. A sync worker: 1 / 0.1 s = 10 requests/s; a
           gevent worker with the same time.sleep(): 20 / 0.1 s = 200. It is the patch
           if the gevent worker falls back to 10 with time.sleep() as it was before it;
           what a C library waits for, no patch can reach: 10 again.
Run        python experiments/10_gevent_monkey_patch.py
Not shown  Work that computes: a greenlet that never waits gives nobody a turn.
"""

import ctypes
import time

from flask import Flask
from gevent.monkey import get_original

SLEEP_S = 0.1

app = Flask(__name__)
libc = ctypes.CDLL(None)


@app.route("/")
def view():
    time.sleep(SLEEP_S)  # the line under test: blocks, until somebody has patched it
    return "slept"


@app.route("/unpatched")
def unpatched():
    get_original("time", "sleep")(SLEEP_S)  # time.sleep() as Python ships it
    return "slept"


@app.route("/c")
def in_c():
    libc.usleep(int(SLEEP_S * 1_000_000))
    return "slept"


GUNICORN = "gunicorn -b 127.0.0.1:{port} 10_gevent_monkey_patch:app"
GEVENT = "gunicorn -k gevent -b 127.0.0.1:{port} 10_gevent_monkey_patch:app"
ARMS = {
    "sync": (GUNICORN, "/"),
    "gevent": (GEVENT, "/"),
    "gevent, unpatched": (GEVENT, "/unpatched"),
    "gevent, wait in C": (GEVENT, "/c"),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    experiment(
        ARMS,
        connections=20,
        quick_connections=8,
        duration_s=0.5,
        expect="slept",
        claim=Ratio("gevent", "sync", "> 5", "< 2"),
        causes=[
            Cause(
                "gevent",
                "gevent, unpatched",
                when="> 5",
                then="in the same worker time.sleep() as patched is {ratio} of what it was "
                "before: it is the patch, not the server",
                otherwise="in the same worker time.sleep() as patched is only {ratio} of "
                "what it was before: the patch is not all of it",
            ),
            Cause(
                "gevent, wait in C",
                "sync",
                when="< 2",
                then="the same wait in a C library stays at {ratio} of the sync worker: "
                "there is nothing that gevent could patch",
                otherwise="the same wait in a C library reaches {ratio} of the sync worker",
            ),
        ],
    )

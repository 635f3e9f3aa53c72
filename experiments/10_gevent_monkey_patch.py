# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "flask[async]==3.1.3", "gevent==26.9.0", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "tqdm==4.70.1", "uvloop==0.23.0",
# ]
# ///
"""10: gevent lets blocking code wait without blocking, by patching it

Claim      gevent patches the blocking calls of the standard library, so that code that
           was written to block lets others run meanwhile.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: no figures
Expect     One process and 20 clients, 0.1 s of sleep each. No patch reaches what a C
           library waits for.
           sync               1 / 0.1 s = 10 requests/s
           gevent             20 / 0.1 s = 200 requests/s
           gevent, unpatched  10 requests/s, if it is the patch
           gevent, wait in C  10 requests/s
Run        python experiments/10_gevent_monkey_patch.py
Limits     It does not test work that computes: code that never waits gives nobody else
           a turn.
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


GUNICORN = "gunicorn -b {host}:{port} 10_gevent_monkey_patch:app"
GEVENT = "gunicorn -k gevent -b {host}:{port} 10_gevent_monkey_patch:app"
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
        claim=Ratio("gevent", "sync", least=5),
        causes=[
            Cause(
                "gevent",
                "gevent, unpatched",
                above=5,
                then="in the same worker the patched time.sleep() is {faster} than "
                "the original: it is the patch, not the server",
                otherwise="in the same worker the patched time.sleep() is only "
                "{faster} than the original: the patch is not the only reason",
            ),
            Cause(
                "gevent, wait in C",
                "sync",
                below=2,
                then="the same wait inside a C library is {faster} than a sync "
                "worker: there is nothing that gevent could patch",
                otherwise="the same wait inside a C library is {faster} than a sync "
                "worker",
            ),
        ],
    )

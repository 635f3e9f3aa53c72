# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "tqdm==4.70.1", "uvicorn[standard]==0.54.0",
#   "uvloop==0.23.0",
# ]
# ///
"""34: uvicorn's keep-alive of 5 s gives 502s behind a proxy

Claim      A proxy that keeps its connections for longer than uvicorn's 5 s, or than
           gunicorn's 2 s, now and then sends a request into one that the server is
           closing, and answers 502.
Source     https://github.com/lsst-sqre/phalanx/pull/5103, July 2025, ingress-nginx;
           https://github.com/kserve/kserve/issues/5446, April 2026, 503 there;
           https://github.com/conbench/conbench/issues/1156, April 2023, gunicorn; none
           with figures. Elsewhere 17 requests in 86 s, and 130 in two months:
           https://github.com/avibe-bot/avibe/pull/1815
Expect     20 clients ask at once, and again after 4.98 to 5.02 s, through nginx, which
           keeps 100 connections for 60 s. What arrives after the server has read for
           the last time, and before its close has arrived, is lost. That is µs unless
           the event loop is busy, here for 50 ms at a time. nginx repeats a GET only.
           5 s, POST  50 ms of some 100: half of them lost
           5 s, gap of 4 s  none: still open
           5 s, gap of 6 s  none: nginx saw it close
           5 s, GET  none seen: asked again
           5 s, idle  few: only µs to lose it in
           75 s  none: nginx closes it first
           gunicorn, gap of 2 s  some
Run        python experiments/34_keep_alive_behind_nginx.py
Limits     A network between the two makes the time longer in which requests are lost;
           gaps of just 5 s are rarer in real traffic. Unix sockets stand in for TCP.
"""

import asyncio
import time

from fastapi import FastAPI
from flask import Flask

PIECE_S, PIECES = 0.05, 4
WAIT_S = 0.3  # long enough for all requests of a burst to take a connection each

app = FastAPI()
flask_app = Flask(__name__)


@app.api_route("/", methods=["GET", "POST"])
async def wait():
    await asyncio.sleep(WAIT_S)
    return "waited"


@app.get("/work")
async def work():
    for _ in range(PIECES):
        time.sleep(PIECE_S)  # noqa: ASYNC251 - as if it computed
        await asyncio.sleep(0)


@flask_app.route("/", methods=["GET", "POST"])
def flask_wait():
    time.sleep(WAIT_S)
    return '"waited"'


@flask_app.route("/work")
def flask_work():
    ends_s = time.perf_counter() + PIECE_S * PIECES
    while time.perf_counter() < ends_s:
        pass
    return "null"


START = """sh -c 'scripts=$PWD; cd $(mktemp -d); trap "rm -rf $PWD" TERM EXIT;
    chmod 755 .; """  # so that nginx's workers, which are not root, find the socket
NGINX = """ & until test -S app.sock; do sleep 0.1; done;
    echo "daemon off; pid pid; events {{ }} http {{ access_log off;
        client_body_temp_path in; proxy_temp_path out; fastcgi_temp_path fastcgi;
        uwsgi_temp_path uwsgi; scgi_temp_path scgi;
        upstream app {{ server unix:$PWD/app.sock; keepalive 100;
            keepalive_timeout 60s; }}
        server {{ listen 127.0.0.1:{port}; location / {{
            proxy_pass http://app; proxy_http_version 1.1;
            proxy_set_header Connection \\"\\"; }} }} }}" > conf;
    nginx -e stderr -p $PWD -c conf'"""
UVICORN = "uvicorn --no-access-log --app-dir $scripts --uds app.sock "
UVICORN = f"{START}{UVICORN}34_keep_alive_behind_nginx:app"  # 5 s: is under test
GUNICORN = "gunicorn --threads 60 --chdir $scripts -b unix:$PWD/app.sock "
GUNICORN = f"{START}{GUNICORN}34_keep_alive_behind_nginx:flask_app"
BUSY = {"beside": {"path": "/work", "connections": 1}}
POST, GET = BUSY | {"method": "POST"}, BUSY | {"method": "GET"}
AFTER_5 = {"think_s": (4.98, 5.02)}
ARMS = {
    "5 s, POST": (UVICORN + NGINX, "/", POST | AFTER_5),
    "5 s, gap of 4 s": (UVICORN + NGINX, "/", POST | {"think_s": (3.98, 4.02)}),
    "5 s, gap of 6 s": (UVICORN + NGINX, "/", POST | {"think_s": (5.98, 6.02)}),
    "5 s, GET": (UVICORN + NGINX, "/", GET | AFTER_5),
    "5 s, idle": (UVICORN + NGINX, "/", {"method": "POST"} | AFTER_5),
    "75 s": (f"{UVICORN} --timeout-keep-alive 75{NGINX}", "/", POST | AFTER_5),
    "gunicorn, gap of 2 s": (GUNICORN + NGINX, "/", POST | {"think_s": (1.98, 2.02)}),
}
NOISE = "client failures lag little neighbour overflows queued spread steal"

if __name__ == "__main__":
    from harness import Outcome, experiment

    def count_lost(arms, name):
        return arms[name].run.statuses.get("502", 0)

    def find(arms):
        lost = (f"{name}: {count_lost(arms, name)}" for name in arms)
        yield f"lost of {arms['5 s, POST'].run.requests // 2}: {' · '.join(lost)}"

    def explain(arms):
        if count_lost(arms, "5 s, idle") < count_lost(arms, "5 s, POST"):
            return (
                "a busy event loop reads late: what comes meanwhile is unread when it "
                "closes the connection, and nginx may not repeat a POST"
            )
        return "an idle event loop loses as many"

    experiment(
        ARMS,
        connections=20,
        requests=40,
        quick_share=1.0,
        rounds=1,
        expect="waited",
        needs=["nginx"],
        subject=NOISE.split(),
        findings=lambda arms: list(find(arms)),
        causes=[explain],
        claim=Outcome(
            rule="REPRODUCED if requests are lost with 5 s and none with 75 s, NOT "
            "REPRODUCED if none are with 5 s",
            reproduced=lambda arms: (
                count_lost(arms, "5 s, POST") > 0 and not count_lost(arms, "75 s")
            ),
            not_reproduced=lambda arms: not count_lost(arms, "5 s, POST"),
        ),
    )

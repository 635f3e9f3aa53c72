# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "fastapi", "flask", "gunicorn", "uvicorn[standard]",
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
Expect     40 clients ask at once, and again after 4.98 to 5.02 s, through nginx, which
           keeps 100 connections for 60 s. What arrives after the server has read for
           the last time, and before its close has arrived, is lost. That is µs unless
           the event loop is busy, here for 10 ms at a time. nginx repeats a GET only.
           5 s, POST  10 ms of 40: up to a fourth lost
           5 s, gap of 4.8 s  none: still open
           5 s, gap of 5.2 s  none: nginx saw it close
           5 s, GET  none seen: asked again
           5 s, idle  few: only µs to lose it in
           75 s  none: nginx closes it first
           5 s, nginx 4 s  none: nginx closes it first
           gunicorn, gap of 2 s  some
Run        python experiments/34_keep_alive_behind_nginx.py
Limits     A network between the two makes the time longer in which requests are lost;
           gaps of just 5 s are rarer in real traffic. Unix sockets stand in for TCP.
"""

import asyncio
import time

from fastapi import FastAPI
from flask import Flask

PIECE_S, PIECES = 0.01, 20
WAIT_S = 0.2  # long enough for 40 requests at once to take 40 connections

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
UVICORN = f"{START}{UVICORN}34_keep_alive_behind_nginx:app"
GUNICORN = "gunicorn --threads 60 --chdir $scripts -b unix:$PWD/app.sock "
GUNICORN = f"{START}{GUNICORN}34_keep_alive_behind_nginx:flask_app"
BUSY = {"beside": {"path": "/work", "connections": 1}}
POST, GET = BUSY | {"method": "POST"}, BUSY | {"method": "GET"}
AFTER_5 = {"think_s": (4.98, 5.02)}
ARMS = {
    "5 s, POST": (UVICORN + NGINX, "/", POST | AFTER_5),
    "5 s, gap of 4.8 s": (UVICORN + NGINX, "/", POST | {"think_s": (4.78, 4.82)}),
    "5 s, gap of 5.2 s": (UVICORN + NGINX, "/", POST | {"think_s": (5.18, 5.22)}),
    "5 s, GET": (UVICORN + NGINX, "/", GET | AFTER_5),
    "5 s, idle": (UVICORN + NGINX, "/", {"method": "POST"} | AFTER_5),
    "75 s": (f"{UVICORN} --timeout-keep-alive 75{NGINX}", "/", POST | AFTER_5),
    "5 s, nginx 4 s": (UVICORN + NGINX.replace("60s", "4s"), "/", POST | AFTER_5),
    "gunicorn, gap of 2 s": (GUNICORN + NGINX, "/", POST | {"think_s": (1.98, 2.02)}),
}
NOISE = "client failures lag little neighbour queued spread steal"

if __name__ == "__main__":
    from harness import Outcome, experiment

    def count_lost(arms, name):
        return arms[name].run.statuses.get("502", 0)

    def find(arms):
        for name, arm in arms.items():
            later = arm.run.requests // 2  # the other half opened the connections
            yield f"{name}: {count_lost(arms, name)} of {later} requests lost"

    def explain(arms):
        near = ("5 s, gap of 4.8 s", "5 s, gap of 5.2 s")
        return (
            f"{sum(count_lost(arms, n) for n in near)} were lost 0.2 s off, and "
            f"{count_lost(arms, '5 s, idle')} with an idle event loop: it takes a busy "
            "one, and a request within ms of the time-out"
        )

    experiment(
        ARMS,
        connections=40,
        requests=80,
        quick_share=1.0,
        rounds=1,
        expect="waited",
        needs=["nginx"],
        subject=NOISE.split(),
        columns={"502": lambda arm: str(arm.run.statuses.get("502", 0))},
        findings=find,
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

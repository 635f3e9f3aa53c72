# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "starlette==1.10.0", "tqdm==4.70.1",
#   "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
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
Expect     40 clients ask at once, and again after 5.0 to 5.1 s, through nginx, which
           keeps connections for 60 s and repeats a GET only. What arrives between the
           server's last read and its close is lost. That is µs, but asyncio's loop
           looks what is there and whose time is up, works for 50 ms, and then closes.
           asyncio, POST  50 of 100 ms: up to half of 40
           asyncio, gap of 2 s  none: still open
           asyncio, gap of 6 s  none: nginx saw it close
           asyncio, GET  none seen: asked again
           asyncio, idle  few: only µs to lose it in
           uvloop, POST  few: it reads after the work
           asyncio, 75 s  none: nginx closes it first
           gunicorn, gap of 2 s  some
Run        python experiments/34_keep_alive_behind_nginx.py
Limits     A network between the two makes the time longer in which requests are lost;
           gaps of just 5 s are rarer in real traffic. Unix sockets stand in for TCP.
"""

import asyncio
import time

from flask import Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse

PIECE_S, PIECES = 0.05, 4
WAIT_S = 0.2  # long enough for all requests of a burst to take a connection each

flask_app = Flask(__name__)


async def wait(request):
    await asyncio.sleep(WAIT_S)
    return PlainTextResponse("waited")


async def work(request):
    for _ in range(PIECES):
        time.sleep(PIECE_S)  # noqa: ASYNC251 - as if it computed
        await asyncio.sleep(0)
    return PlainTextResponse("worked")


app = Starlette()
app.add_route("/", wait, methods=["GET", "POST"])
app.add_route("/work", work)


@flask_app.route("/", methods=["GET", "POST"])
def flask_wait():
    time.sleep(WAIT_S)
    return "waited"


@flask_app.route("/work")
def flask_work():
    ends_s = time.perf_counter() + PIECE_S * PIECES
    while time.perf_counter() < ends_s:
        pass
    return "worked"


START = """sh -c 'scripts=$PWD; cd $(mktemp -d); trap "rm -rf $PWD" TERM EXIT;
    chmod 755 .; """  # so that nginx's workers, which are not root, find the socket
NGINX = """ & until test -S app.sock; do sleep 0.1; done;
    echo "daemon off; pid pid; events {{ }} http {{ access_log off;
        client_body_temp_path in; proxy_temp_path out; fastcgi_temp_path fastcgi;
        uwsgi_temp_path uwsgi; scgi_temp_path scgi;
        upstream app {{ server unix:$PWD/app.sock; keepalive 100; }}
        server {{ listen {host}:{port}; location / {{
            proxy_pass http://app; proxy_http_version 1.1;
            proxy_set_header Connection \\"\\"; }} }} }}" > conf;
    nginx -e stderr -p $PWD -c conf'"""
OURS = "34_keep_alive_behind_nginx"
UVICORN = f"{START}uvicorn --no-access-log --app-dir $scripts --uds app.sock {OURS}:app"
GUNICORN = f"{START}gunicorn --chdir $scripts -b unix:$PWD/app.sock {OURS}:flask_app"
GTHREAD = f"{GUNICORN} --threads 60{NGINX}"
BUSY = {"beside": {"path": "/work", "connections": 1}}
POST, GET = BUSY | {"method": "POST"}, BUSY | {"method": "GET"}
AFTER_5 = {"think_s": (5.0, 5.1)}
ASYNCIO = f"{UVICORN} --loop asyncio{NGINX}"  # its 5 s are under test
UVLOOP = f"{UVICORN} --loop uvloop{NGINX}"
LONGER = f"{UVICORN} --loop asyncio --timeout-keep-alive 75{NGINX}"
ARMS = {
    "asyncio, POST": (ASYNCIO, "/", POST | AFTER_5),
    "asyncio, gap of 2 s": (ASYNCIO, "/", POST | {"think_s": (2.0, 2.1)}),
    "asyncio, gap of 6 s": (ASYNCIO, "/", POST | {"think_s": (5.9, 6.0)}),
    "asyncio, GET": (ASYNCIO, "/", GET | AFTER_5),
    "asyncio, idle": (ASYNCIO, "/", {"method": "POST"} | AFTER_5),
    "uvloop, POST": (UVLOOP, "/", POST | AFTER_5),
    "asyncio, 75 s": (LONGER, "/", POST | AFTER_5),
    "gunicorn, gap of 2 s": (GTHREAD, "/", POST | {"think_s": (2.0, 2.1)}),
}
NOISE = "client failures lag little neighbour overflows queued spread steal"

if __name__ == "__main__":
    from harness import Outcome, experiment

    def count(arms, name="asyncio, POST"):
        return arms[name].run.statuses.get("502", 0)

    def find(arms):
        lost = " · ".join(f"{name}: {count(arms, name)}" for name in arms)
        return [f"lost of {arms['asyncio, POST'].run.requests // 2}: {lost}"]

    def explain(arms):
        if count(arms) <= count(arms, "asyncio, idle"):
            return "a busy event loop loses no more than an idle one"
        said = "a busy event loop closes connections with requests that it has not read"
        return f"{said}; uvloop's loses {count(arms, 'uvloop, POST') or 'none'}"

    experiment(
        ARMS,
        shared=True,
        connections=40,
        requests=80,
        quick_share=1.0,
        rounds=1,
        expect="waited",
        needs=["nginx"],
        subject=NOISE.split(),
        findings=find,
        causes=[explain],
        claim=Outcome(
            rule="REPRODUCED if requests are lost with 5 s and none with 75 s, NOT "
            "REPRODUCED if none are with 5 s",
            reproduced=lambda arms: count(arms) and not count(arms, "asyncio, 75 s"),
            not_reproduced=lambda arms: not count(arms),
        ),
    )

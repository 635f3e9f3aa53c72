# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "flask[async]==3.1.3", "granian==2.8.7", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "tqdm==4.70.1", "uvloop==0.23.0",
# ]
# ///
"""32: Granian serves WSGI 14 times as fast as gunicorn

Claim      One worker with one thread serves 125,824 requests/s on Granian and 9175 on
           gunicorn's gthread.
Source     https://github.com/emmett-framework/granian/blob/master/benchmarks/vs.md,
           August 2026 (Granian 2.8.1): 10 kB of static bytes, oha, 64 connections, 16
           cores and none pinned. Users who saw no gain with Django, March 2024:
           https://github.com/emmett-framework/granian/issues/239 and
           https://github.com/emmett-framework/granian/issues/234
Expect     If a request costs the server S and the app W, the ratio is (S1 + W) / (S2 +
           W). 1 / 9175 s is 109 µs for gunicorn, 1 / 125,824 s is 8 for Granian. With
           100 µs of Flask that leaves 209 / 108 = 1.9, with 5 ms of work 1.02.
           Granian  13.7 of gunicorn, less on one core
           gunicorn  1, one thread
           Granian, two cores  more than on one
           gunicorn, two cores  as on one
           Granian, Flask  1 / (8 µs + Flask)
           gunicorn, Flask  1 / (109 µs + Flask)
           Granian, Flask, 8 threads  as with 1 thread
           gunicorn, Flask, 8 threads  as with 1 thread
           Granian, Flask, 5 ms  1 / 5 ms = 200/s
           gunicorn, Flask, 5 ms  1 / 5 ms = 200/s
Run        python experiments/32_granian_wsgi.py
Limits     All run on core 0, which is theirs alone, so that CPU time of all threads
           counts. Core 1 is the client's, too, where there are but two. gunicorn parses
           in Python here: gunicorn[fast] does it in C. 24 has requests that wait.
"""

import time

from flask import Flask

app = Flask(__name__)


def static(environ, start_response):
    headers = [("Content-Type", "text/plain"), ("Content-Length", "10240")]
    start_response("200 OK", headers)
    return [b"x" * 10240]


@app.get("/")
def hello():
    return {"message": "hello"}


@app.get("/work")
def work():
    ends_s = time.thread_time() + 0.005
    while time.thread_time() < ends_s:
        pass
    return {"message": "hello"}


GRANIAN = (  # under test, with the options of the source
    "granian --interface wsgi --http 1 --no-ws --log-level warning --port {port} "
    "32_granian_wsgi"
)
GUNICORN = "gunicorn -k gthread -b {host}:{port} 32_granian_wsgi"
LONGER = {"duration_s": 1.5}  # for the arms of the claim, which decide
ONE, TWO = "taskset -c 0", "taskset -c 0,1"
ARMS = {
    "Granian": (f"{ONE} {GRANIAN}:static --blocking-threads 1", "/", LONGER),
    "gunicorn": (f"{ONE} {GUNICORN}:static --threads 1", "/", LONGER),
    "Granian, two cores": (f"{TWO} {GRANIAN}:static --blocking-threads 1", "/"),
    "gunicorn, two cores": (f"{TWO} {GUNICORN}:static --threads 1", "/"),
    "Granian, Flask": (f"{ONE} {GRANIAN}:app --blocking-threads 1", "/"),
    "gunicorn, Flask": (f"{ONE} {GUNICORN}:app --threads 1", "/"),
    "Granian, Flask, 8 threads": (f"{ONE} {GRANIAN}:app --blocking-threads 8", "/"),
    "gunicorn, Flask, 8 threads": (f"{ONE} {GUNICORN}:app --threads 8", "/"),
    "Granian, Flask, 5 ms": (f"{ONE} {GRANIAN}:app --blocking-threads 1", "/work"),
    "gunicorn, Flask, 5 ms": (f"{ONE} {GUNICORN}:app --threads 1", "/work"),
}

if __name__ == "__main__":
    from harness import Cause, Each, Ratio, experiment

    def find(arms):
        server = {name: arm.run.server for name, arm in arms.items()}
        cost_us = {name: cost.cpu_us_per_request for name, cost in server.items()}
        saved_us = cost_us["gunicorn"] - cost_us["Granian"]
        enough_ms = max(0, saved_us / 0.05 - cost_us["Granian, Flask"]) / 1000
        yield (
            f"Granian saves {saved_us:.0f} µs of CPU time, of all threads, for each "
            f"request; with Flask and {enough_ms:.1f} ms of work or more that is "
            "less than 5 %"
        )
        for name in ("Granian, two cores", "gunicorn, two cores"):
            busy = server[name].cpu_s / arms[name].run.elapsed_s
            yield f"{name}: it used {busy:.2f} of them"

    hello = {"message": "hello"}
    experiment(
        ARMS,
        needs={"taskset": "util-linux"},
        shared=True,
        in_turns=True,
        connections=64,
        rounds=2,
        duration_s=0.6,
        expect=Each({n: hello if "Flask" in n else "x" * 10240 for n in ARMS}),
        claim=Ratio("Granian", "gunicorn", claimed=13.7),
        findings=find,
        causes=[
            Cause(
                "Granian, two cores",
                "Granian",
                above=1.25,
                then="a second core makes Granian {faster}: its threads run at once",
                otherwise="with a second core Granian is {faster}: its threads hardly "
                "gain from it",
            ),
            *(
                Cause(
                    f"Granian, {what}",
                    f"gunicorn, {what}",
                    above=1.25,
                    then=f"{text} Granian is {{faster}}",
                    otherwise=f"{text} the two hardly differ: {{faster}}",
                )
                for what, text in (
                    ("Flask", "under Flask,"),
                    ("Flask, 5 ms", "with 5 ms of work,"),
                )
            ),
        ],
    )

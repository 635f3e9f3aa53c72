# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2",
#   "msgspec==0.22.0", "numpy==2.4.6", "psutil==7.2.2", "tqdm==4.70.1",
#   "uvloop==0.23.0",
# ]
# ///
"""22: loadgen.py takes no more CPU for a request than wrk

Claim      loadgen.py spends no more CPU time on a request than wrk does, so that its
           own speed is not what is measured.
Source     This project, 2026
Expect     Most of the cost is the kernel's: a write, an epoll_wait and a read take some
           5 µs, the same for all. wrk parses each answer, and `wire` recognises one
           that is the same as the last.
           wire     6 µs or less
           aiohttp  over 60 µs: a full client
           wrk      6 µs: C
           ab       6 to 10 µs: C
           hey      20 µs or more: Go
           locust   over 100 µs: Python
Run        python experiments/22_load_generators.py
Limits     It does not test answers that differ from one to the next, which `wire` has
           to parse, nor TLS. The CPU time of other tools includes their start, which
           is some 15 µs a request with Locust. It needs nginx and wrk, and leaves out
           what else is not installed: apt install nginx wrk hey apache2-utils, pip
           install locust.
"""

import os
import shutil
import sys
from pathlib import Path

if os.environ.get("LOCUST"):  # this file is then Locust's, too
    from locust import FastHttpUser, task

    class User(FastHttpUser):
        @task
        def get(self) -> None:
            self.client.get("")


NGINX = """sh -c 'cd $(mktemp -d); trap "rm -rf $PWD" TERM EXIT;
    echo "daemon off; pid pid; events {{ }}
        http {{ access_log off; keepalive_requests 1000000000;
            client_body_temp_path in; proxy_temp_path out; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            server {{ listen 127.0.0.1:{port} backlog=4096;
                location / {{ return 200 hello; }} }} }}" > conf;
    nginx -e stderr -p $PWD -c conf'"""
LOCUST = (
    "sh -c 'here=$PWD; out=$(mktemp -d); cd $out; LOCUST=1 locust --headless "
    "-f $here/22_load_generators.py -u {connections} -r {connections} -t {duration_s}s "
    "-H {url} --csv out > /dev/null 2>&1; cat out_stats.csv; rm -r $out'"
)
WRK = "wrk -t1 -c{connections} -d{duration_s}s --latency {url}"
AB = "ab -q -k -c {connections} -t {duration_s} -n 10000000 {url}"
HEY = "hey -cpus 1 -c {connections} -z {duration_s}s {url}"

ARMS = {
    "wire": (NGINX, "/"),  # the line under test
    "aiohttp": (NGINX, "/", {"client": "aiohttp"}),
    "wrk": (NGINX, "/", {"generator": WRK}),
    "ab": (NGINX, "/", {"generator": AB}),
    "hey": (NGINX, "/", {"generator": HEY}),
    "locust": (NGINX, "/", {"generator": LOCUST, "duration_s": 3.0}),
}
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
OTHERS = ("ab", "hey", "locust")
MISSING = [name for name in OTHERS if not shutil.which(name, path=PATH)]

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def present(arms) -> list[str]:
        return [f"left out, because it is not installed: {name}" for name in MISSING]

    experiment(
        {name: arm for name, arm in ARMS.items() if name not in MISSING},
        needs=["nginx", "wrk"],
        connections=50,
        expect="hello",
        duration_s=1.0,
        subject=["client", "little"],  # how busy the client is, is what is studied
        claim=Ratio("wrk", "wire", least=1.0, metric="client_cpu_us"),
        causes=[
            Cause(
                "aiohttp",
                "wrk",
                metric="client_cpu_us",
                above=5,
                then="a full Python client takes {faster} as wrk: what makes the "
                "difference is the bare protocol, and that most answers need not be "
                "parsed",
                otherwise="a full Python client takes {faster} as wrk",
            )
        ],
        columns={"client µs": lambda arm: f"{arm.run.client.cpu_us_per_request:.3g}"},
        findings=present,
    )

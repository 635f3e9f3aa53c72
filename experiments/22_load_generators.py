# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp", "hdrhistogram", "httptools", "numpy", "psutil", "tqdm", "uvloop"]
# ///
"""22: loadgen.py costs no more CPU for a request than wrk

Claim      loadgen.py spends no more CPU time on a request than wrk does, and so is not
           what is measured.
Source     This project's own
Expect     Most of the cost is the kernel's: a write, an epoll_wait and a read are some
           5 µs, the same for all. What is left differs: C (wrk, ab), Go (hey), Python.
           wrk parses each answer; `wire` recognises one that is the same as the last,
           and so may come out below 1. A full client, aiohttp, should be over 10.
Run        python experiments/22_load_generators.py
Not shown  Answers that differ from one to the next, which `wire` has to parse too; TLS.
           Other tools' CPU time has their start in it, which counts with Locust, some
           15 µs. It needs nginx and wrk, and leaves out what else is not installed: apt
           install nginx wrk hey apache2-utils, pip install locust.
"""

import os
import shutil

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
    "wire": (NGINX, "/"),
    "aiohttp": (NGINX, "/", {"client": "aiohttp"}),
    "wrk": (NGINX, "/", {"generator": WRK}),
    "ab": (NGINX, "/", {"generator": AB}),
    "hey": (NGINX, "/", {"generator": HEY}),
    "locust": (NGINX, "/", {"generator": LOCUST, "duration_s": 3.0}),
}

if __name__ == "__main__":
    from harness import PATH, Cause, Ratio, experiment

    missing = [name for name in ("ab", "hey", "locust") if not shutil.which(name, path=PATH)]
    experiment(
        {name: arm for name, arm in ARMS.items() if name not in missing},
        needs=["nginx", "wrk"],
        connections=50,
        expect="hello",
        duration_s=1.0,
        subject=["client", "little"],  # how busy the client is, is what is studied
        claim=Ratio("wire", "wrk", "< 1", "> 1", metric="client_cpu_us"),
        causes=[
            Cause(
                "aiohttp",
                "wrk",
                when="> 5",
                then="a full Python client costs {ratio}: it is the bare protocol, and that "
                "most answers need not be parsed, that make the difference",
                otherwise="a full Python client costs {ratio} all the same",
                metric="client_cpu_us",
            )
        ],
        columns={"client µs": lambda arm: f"{arm['run'].client['cpu_us_per_request']:.3g}"},
        findings=lambda arms: [f"left out: {name} is not here" for name in missing],
    )

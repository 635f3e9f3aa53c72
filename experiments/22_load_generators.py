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
           that is the same as the last. A handshake is OpenSSL's work in all of them.
           wire, GET  6 µs or less
           wrk, GET  6 µs: C
           ab, GET  6 to 10 µs: C
           hey, GET  20 µs or more: Go
           aiohttp, GET  over 60 µs: a full client
           wire, POST  6 µs: some bytes more to send
           wrk, POST  6 µs
           wire, varied  less than 1 µs more: only the bodies differ
           wrk, varied  as with GET: it parses anyway
           wire, 10 kB  7 µs: 10 kB to copy take 1 µs
           ab, 10 kB  7 to 10 µs
           wire, 100 kB  some 20 µs: few large reads
           wrk, 100 kB  30 µs: reads of 8 kB
           wire, TLS  8 µs: 1 or 2 to decrypt
           wrk, TLS  8 µs
           wire, new  40 µs: socket, connect and close
           ab, new  40 µs
           wire, TLS, new  400 µs: a full handshake
           ab, TLS, new  400 µs
Run        python experiments/22_load_generators.py
Limits     The CPU time of other tools includes their start: with wrk and TLS also 50
           handshakes, which `wire` makes before its clock starts. Sessions of TLS are
           not resumed. ab and hey are left out where they are not installed.
"""

import shutil

START = """sh -c 'cd $(mktemp -d); trap "rm -rf $PWD" TERM EXIT; chmod 755 .;
    openssl req -x509 -nodes -days 2 -subj /CN=localhost -newkey ec \\
        -pkeyopt ec_paramgen_curve:P-256 -keyout key -out certificate 2> log;
    head -c 10000 /dev/zero | tr "\\0" 0 > 10;
    head -c 100000 /dev/zero | tr "\\0" 0 > 100;"""
NGINX = """ ON=;
    echo "daemon off; pid pid; events {{ worker_connections 4096; }}
        http {{ access_log off; keepalive_requests 1000000000; sendfile on;
            client_body_temp_path in; proxy_temp_path out; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi; ssl_session_tickets off;
            ssl_certificate certificate; ssl_certificate_key key;
            server {{ listen {host}:{port} backlog=4096 $ON; root $PWD;
                location = / {{ return 200 hello; }}
                location = /varied {{ return 200 1\\$request_id; }} }} }}" > conf;
    nginx -e stderr -p $PWD -c conf'"""
PLAIN, TLS = START + NGINX, START + NGINX.replace("ON=", "ON=ssl")
WRK = (  # which counts whole seconds, and ends at Ctrl-C with what it has
    "timeout --preserve-status -s INT {seconds} "
    "wrk -t1 -c{connections} -d60s --latency {url}"
)
BODY = "x" * 100
LUA = f'echo "wrk.method, wrk.body = [[POST]], [[{BODY}]]" > post'
WRK_POST = f"sh -c 'cd $(mktemp -d); trap \"rm -r $PWD\" EXIT; {LUA}; {WRK} -s post'"
AB = "ab -q -k -c {connections} -n {requests} {url}"
AB_NEW = AB.replace(" -k", "")
HEY = "hey -cpus 1 -c {connections} -n {requests} {url}"
POST = {"method": "POST", "body": BODY.encode()}
SECURE = {"scheme": "https", "insecure": True, "duration_s": 2.0}
NEW, FEW = {"keepalive": False}, {"requests": 1000}
ARMS = {
    "wire, GET": (PLAIN, "/"),  # the line under test
    "wrk, GET": (PLAIN, "/", {"generator": WRK}),
    "ab, GET": (PLAIN, "/", {"generator": AB, "requests": 50_000}),
    "hey, GET": (PLAIN, "/", {"generator": HEY, "requests": 20_000}),
    "aiohttp, GET": (PLAIN, "/", {"client": "aiohttp"}),
    "wire, POST": (PLAIN, "/", POST),
    "wrk, POST": (PLAIN, "/", POST | {"generator": WRK_POST}),
    "wire, varied": (PLAIN, "/varied"),
    "wrk, varied": (PLAIN, "/varied", {"generator": WRK}),
    "wire, 10 kB": (PLAIN, "/10"),
    "ab, 10 kB": (PLAIN, "/10", {"generator": AB, "requests": 30_000}),
    "wire, 100 kB": (PLAIN, "/100"),
    "wrk, 100 kB": (PLAIN, "/100", {"generator": WRK}),
    "wire, TLS": (TLS, "/", SECURE),
    "wrk, TLS": (TLS, "/", SECURE | {"generator": WRK}),
    "wire, new": (PLAIN, "/", NEW),
    "ab, new": (PLAIN, "/", NEW | {"generator": AB_NEW, "requests": 10_000}),
    "wire, TLS, new": (TLS, "/", SECURE | NEW),
    "ab, TLS, new": (TLS, "/", SECURE | NEW | {"generator": AB_NEW} | FEW),
}
MISSING = [tool for tool in ("ab", "hey") if not shutil.which(tool)]
ZEROS = {"varied": "1", "10 kB": "0" * 10_000, "100 kB": "0" * 100_000}

if __name__ == "__main__":
    from harness import Cause, Each, Ratio, experiment

    def against(shape, tool, most):
        said = f"{shape}, against {tool}: wire takes {{faster}}"
        return Cause(
            f"wire, {shape}",
            f"{tool}, {shape}",
            metric="client_cpu_us",
            below=most,
            then=said,
            otherwise=said,
        )

    experiment(
        {name: arm for name, arm in ARMS.items() if name.split(",")[0] not in MISSING},
        needs={
            "nginx": "nginx",
            "wrk": "wrk",
            "openssl": "openssl",
            "timeout": "coreutils",
        },
        connections=50,
        expect=Each({n: ZEROS.get(n.partition(", ")[2], "hello") for n in ARMS}),
        shared=True,
        in_turns=True,
        duration_s=1.0,
        quick_share=0.1,
        rounds=1,
        subject=["client", "little"],  # how busy the client is, is what is studied
        claim=Ratio("wrk, GET", "wire, GET", least=1.0, metric="client_cpu_us"),
        causes=[
            Cause(
                "aiohttp, GET",
                "wrk, GET",
                metric="client_cpu_us",
                above=5,
                then="a full Python client takes {faster} as wrk: what makes the "
                "difference is the bare protocol, and that most answers need not be "
                "parsed",
                otherwise="a full Python client takes {faster} as wrk",
            ),
            against("POST", "wrk", 1.0),
            against("varied", "wrk", 1.0),
            against("10 kB", "ab", 1.0),
            against("100 kB", "wrk", 1.0),
            against("TLS", "wrk", 1.0),
            against("new", "ab", 1.1),
            against("TLS, new", "ab", 1.2),
        ],
        columns={"client µs": lambda arm: f"{arm.run.client.cpu_us_per_request:.1f}"},
        findings=lambda arms: [f"left out, not installed: {tool}" for tool in MISSING],
    )

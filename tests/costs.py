"""What a request costs the load generator, beside wrk and ab in the same rounds.

    python tests/costs.py                        all shapes, 8 rounds each: some 10 minutes
    python tests/costs.py --shapes get,new       some of them
    python tests/costs.py --also OTHER_CHECKOUT  and beside other code

nginx has the first core and the client the second. Prints for each shape the median CPU µs a
request of each tool, and the ratio of this code to each other tool: the median over rounds,
and from the lowest to the highest. With thousands of connections also what a request costs
against one with 50 in the same round. It needs nginx, wrk and ab, openssl, and Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SERVER_CORE, CLIENT_CORE = "0", "1"
CONFIGURATION = """daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid pid;
error_log stderr crit;
events {{ worker_connections 15000; multi_accept on; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 300s;
    client_body_temp_path in; proxy_temp_path out; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} backlog=511;
        listen 127.0.0.1:{secure_port} ssl backlog=511;
        ssl_certificate certificate.pem; ssl_certificate_key key.pem; ssl_session_cache off;
        ssl_session_tickets off;
        location / {{ return 200 hello; }}
        location /body {{ return 200 $request_id; }}
        location /head {{ add_header X-Request-Id $request_id; return 200 hello; }}
        location /files/ {{ alias ./; }}
    }}
}}"""
CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 "
    "-keyout key.pem -out certificate.pem"
)

Round = Mapping[str, Mapping[str, float]]  # figures by tool


@dataclass(frozen=True)
class Shape:
    """A load in the words of each tool; an empty one leaves a tool out."""

    loadgen: str
    wrk: str = ""
    ab: str = ""
    path: str = "/"
    is_secure: bool = False
    duration_s: float = 2.0
    beside: str = ""  # the shape whose costs it is compared with, round by round


SHAPES = {
    "get": Shape("-c 50", "-c50"),
    "post": Shape("-c 50 -d hello", "-c50 -s post.lua"),
    "body differs": Shape("-c 50", "-c50", path="/body"),
    "head differs": Shape("-c 50", "-c50", path="/head"),
    "100 kB": Shape("-c 50", "-c50", path="/files/100k"),
    "tls": Shape("-c 50 --insecure", "-c50", is_secure=True),
    "new": Shape("-c 50 --no-keepalive", ab="-c 50"),
    "new tls": Shape("-c 50 --no-keepalive --insecure", ab="-c 50", is_secure=True),
    "c5000": Shape("-c 5000", "-c5000", duration_s=4.0, beside="get"),
    "c10000": Shape("-c 10000", "-c10000", duration_s=5.0, beside="get"),
    "open 1000": Shape("-c 50 -q 1000"),
    "open 10000": Shape("-c 50 -q 10000"),
}


@contextmanager
def serve(folder: Path) -> Iterator[Sequence[int]]:
    """nginx on its core: its two ports."""
    subprocess.run(CERTIFICATE.split(), cwd=folder, check=True, capture_output=True)
    (folder / "100k").write_bytes(bytes(100_000))
    (folder / "post.lua").write_text('wrk.method = "POST"; wrk.body = "hello"')
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    text = CONFIGURATION.format(port=ports[0], secure_port=ports[1])
    (folder / "conf").write_text(text)
    folder.chmod(0o755)
    command = ["taskset", "-c", SERVER_CORE, "nginx", "-e", "stderr", "-p", ".", "-c", "conf"]
    with subprocess.Popen(command, cwd=folder) as process:
        try:
            while process.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", ports[1])):
                    break
            yield ports
        finally:
            process.terminate()


def run(command: Sequence[str], folder: Path) -> tuple[str, float]:
    """What a program on the client's core printed, and the CPU seconds that it took."""
    pinned = ["taskset", "-c", CLIENT_CORE, *command]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(pinned, cwd=folder, **quiet) as process:  # type: ignore[call-overload]
        said = process.stdout.read().decode()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    return said, used.ru_utime + used.ru_stime


def measure_loadgen(code: Path, shape: Shape, url: str) -> dict[str, float]:
    options = ["-o", "-", "-z", f"{shape.duration_s}s", *shape.loadgen.split()]
    said, _ = run([sys.executable, "loadgen.py", *options, url], code)
    record = json.loads(said)
    assert not record["failed"], record["errors"]
    return {
        "µs": record["client"]["cpu_us_per_request"],
        "p99 ms": 1e3 * (record["latency_s"]["p99"] or 0),
        "service p50 µs": 1e6 * record["service_s"]["p50"],
        "lag p50 µs": 1e6 * record["send_lag_s"]["p50"],
        "lag p99 µs": 1e6 * (record["send_lag_s"]["p99"] or 0),
        "rate": record["throughput"],
    }


def measure_wrk(shape: Shape, url: str, folder: Path) -> dict[str, float]:
    options = f"-t1 -d{shape.duration_s:g}s --latency {shape.wrk}"
    said, cpu_s = run(["wrk", *options.split(), url], folder)
    count = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    p99_ms = float(found[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[found[2]] if found else 0.0
    return {"µs": 1e6 * cpu_s / count, "p99 ms": p99_ms, "rate": count / shape.duration_s}


def measure_ab(shape: Shape, url: str, folder: Path) -> dict[str, float]:
    options = f"-q -t {shape.duration_s:.0f} -n 10000000 {shape.ab}"
    said, cpu_s = run(["ab", *options.split(), url], folder)
    count = int(re.search(r"Complete requests:\s+(\d+)", said)[1])  # type: ignore[index]
    return {"µs": 1e6 * cpu_s / count, "rate": count / shape.duration_s}


def measure_round(
    shape: Shape, ports: Sequence[int], folder: Path, codes: Mapping[str, Path], turn: int
) -> Round:
    """Each tool once, in an order that turns from round to round."""
    scheme = "https" if shape.is_secure else "http"
    url = f"{scheme}://127.0.0.1:{ports[shape.is_secure]}{shape.path}"
    tools = [*codes]
    if shape.wrk:
        tools.append("wrk")
    if shape.ab:
        tools.append("ab")
    found = {}
    for tool in tools[turn % len(tools) :] + tools[: turn % len(tools)]:
        if tool == "wrk":
            found[tool] = measure_wrk(shape, url, folder)
        elif tool == "ab":
            found[tool] = measure_ab(shape, url, folder)
        else:
            found[tool] = measure_loadgen(codes[tool], shape, url)
    return found


def say_ratios(over: Sequence[float], under: Sequence[float]) -> str:
    ratios = sorted(one / other for one, other in zip(over, under, strict=True))
    return f"{statistics.median(ratios):.3f}× ({ratios[0]:.3f} to {ratios[-1]:.3f})"


def describe(name: str, rounds: Sequence[Round], beside: str, others: Sequence[Round]) -> str:
    lines = [f"{name}:"]
    for tool, figures in rounds[0].items():
        medians = {key: statistics.median(one[tool][key] for one in rounds) for key in figures}
        said = ", ".join(f"{key} {value:,.4g}" for key, value in medians.items())
        costs = [one[tool]["µs"] for one in rounds]
        if tool != "this":
            said += f" -> this is {say_ratios([one['this']['µs'] for one in rounds], costs)}"
        if others:
            said += f"; {say_ratios(costs, [one[tool]['µs'] for one in others])} of {beside}"
        lines.append(f"  {tool:6} {said}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--shapes", default=",".join(SHAPES), help="names, with commas")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--also", type=Path, help="another checkout")
    options = parser.parse_args()
    codes = {"this": ROOT}
    if options.also:
        codes["also"] = options.also
    with tempfile.TemporaryDirectory() as name, serve(Path(name)) as ports:
        for key in options.shapes.split(","):
            shape = SHAPES[key]
            rounds, others = list[Round](), list[Round]()
            for turn in range(options.rounds):
                rounds.append(measure_round(shape, ports, Path(name), codes, turn))
                if shape.beside:
                    other = SHAPES[shape.beside]
                    others.append(measure_round(other, ports, Path(name), codes, turn))
            print(describe(key, rounds, shape.beside, others), flush=True)


if __name__ == "__main__":
    main()

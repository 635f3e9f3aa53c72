"""Servers to load: each in a thread, on a free port of 127.0.0.1, with a log of what it got.

    with Server() as server:
        run(Load(url=f"{server.url}/chunked", requests=10))
    assert len(server.requests) == 10

What a server answers is chosen by path from `ANSWERS`, or by a `pick` of the test's own.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import pytest


@dataclass(frozen=True)
class Answer:
    """Pieces to write, with a pause before each but the first, and what follows them.

    `end` is keep (read the next request), close (FIN), reset (RST) or hang (until the client
    gives up).
    """

    pieces: tuple[bytes, ...] = ()
    end: str = "keep"
    delay_s: float = 0.0
    gap_s: float = 0.005  # long enough that loopback does not put two pieces into one


def answer(body: bytes = b"ok", status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer with a Content-Length; `Name_Of="x"` is the header Name-Of: x."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def one_by_one(text: bytes) -> tuple[bytes, ...]:
    return tuple(text[n : n + 1] for n in range(len(text)))


OK = answer()
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = (
    CHUNKED_HEAD + b"5;name=value\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
)
UNFRAMED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
LONG_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Long: %s\r\n\r\n" % (b"x" * 20_000)
NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
BLOCK = bytes(2**16)
LARGE_BYTES = 128 * len(BLOCK)  # 8 MB

ANSWERS = {
    "/": Answer((OK,)),
    "/bare": Answer((b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",)),
    "/chunked": Answer((CHUNKED,)),
    "/chunked-pieces": Answer((CHUNKED[:20], CHUNKED[20:53], CHUNKED[53:70], CHUNKED[70:])),
    "/chunked-bytes": Answer(one_by_one(CHUNKED), gap_s=0.0005),
    "/bytes": Answer(one_by_one(OK), gap_s=0.0005),
    "/body-apart": Answer((OK[:-2], b"ok")),
    "/until-close": Answer((UNFRAMED_HEAD + b"hello", b" world"), "close"),
    "/says-close": Answer((answer(Connection="close"),), "close"),
    "/http-1.0": Answer((b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",), "close"),
    "/continue": Answer((b"HTTP/1.1 100 Continue\r\n\r\n", OK)),
    "/continue-at-once": Answer((b"HTTP/1.1 100 Continue\r\n\r\n" + OK,)),
    "/early-hints": Answer((EARLY_HINTS, OK)),
    "/early-hints-twice": Answer((EARLY_HINTS + EARLY_HINTS, EARLY_HINTS + OK)),
    "/long-head": Answer((LONG_HEAD + b"ok",)),
    "/204": Answer((b"HTTP/1.1 204 No Content\r\n\r\n",)),
    "/304": Answer((NOT_MODIFIED,)),
    "/head": Answer((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",)),
    "/302": Answer((answer(b"", "302 Found", Location="/"),)),
    "/302-twice": Answer((answer(b"", "302 Found", Location="/302"),)),
    "/302-again": Answer((answer(b"", "302 Found", Location="/302-again"),)),
    "/large": Answer(
        (f"HTTP/1.1 200 OK\r\nContent-Length: {LARGE_BYTES}\r\n\r\n".encode(), *[BLOCK] * 128),
        gap_s=0.0,
    ),
    "/needle": Answer((answer(b"hay needle hay"),)),
    "/needle-apart": Answer((answer(b"hay needle hay")[:-7], b"dle", b" hay")),
    "/needle-bytes": Answer(one_by_one(answer(b"hay nneedle hay")), gap_s=0.0005),
    "/needle-late": Answer((CHUNKED_HEAD + b"3\r\nnee", b"\r\n3\r\ndle\r\n0\r\n\r\n")),
    # what goes wrong
    "/500": Answer((answer(b"no", "500 Internal Server Error"),)),
    "/404": Answer((answer(b"no", "404 Not Found"),)),
    "/99": Answer((answer(b"no", "099 Unknown"),)),
    "/closes": Answer((OK,), "close"),  # without having said so
    "/fin": Answer((), "close"),
    "/rst": Answer((), "reset"),
    "/head-fin": Answer((OK[:12],), "close"),
    "/head-rst": Answer((OK[:12], b""), "reset"),
    "/header-fin": Answer((OK[:25],), "close"),
    "/length-fin": Answer((answer(b"0123456789")[:-5],), "close"),
    "/length-rst": Answer((answer(b"0123456789")[:-5], b""), "reset"),
    "/length-none": Answer((answer(b"0123456789")[:-10],), "close"),
    "/chunk-fin": Answer((CHUNKED[:63],), "close"),
    "/chunk-rst": Answer((CHUNKED[:63], b""), "reset"),
    "/no-last-chunk": Answer((CHUNKED_HEAD + b"2\r\nok\r\n",), "close"),
    "/until-rst": Answer((UNFRAMED_HEAD + b"hello", b""), "reset"),
    "/continue-fin": Answer((b"HTTP/1.1 100 Continue\r\n\r\n",), "close"),
    "/garbage": Answer((b"\x00\x01 this is not HTTP\r\n\r\n",), "close"),
    "/ssh": Answer((b"SSH-2.0-OpenSSH_9.6\r\n",), "hang"),
    "/bad-chunk": Answer((CHUNKED_HEAD + b"zz\r\nhello\r\n0\r\n\r\n",), "hang"),
    "/bad-chunk-apart": Answer((CHUNKED_HEAD + b"2\r\nok\r\n", b"zz\r\nhello\r\n"), "hang"),
    "/bad-length": Answer((b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",), "hang"),
    "/never": Answer((), "hang"),
    "/never-ends": Answer((answer(b"0123456789")[:-5],), "hang"),
    "/304-body-apart": Answer((NOT_MODIFIED, b"body")),
    "/unasked": Answer((OK, OK), gap_s=0.002),
    "/excess": Answer((OK + b"and more\r\n\r\n",)),
    "/two": Answer((OK + answer(b"other", "404 Not Found"),)),
}


def by_path(number: int, path: str) -> Answer:
    return ANSWERS[path]


def in_turn(*answers: Answer) -> Callable[[int, str], Answer]:
    return lambda number, path: answers[number % len(answers)]


def delayed(*delays_s: float) -> Callable[[int, str], Answer]:
    """The delays in their order, again and again."""
    return in_turn(*(Answer((OK,), delay_s=s) for s in delays_s))


def one_at_a_time(work_s: float) -> Callable[[int, str], Answer]:
    """Requests queue for one worker, who takes so long over each: it can do 1 / work_s a second."""
    free_at = 0.0

    def pick(number: int, path: str) -> Answer:
        nonlocal free_at
        now = perf_counter()
        free_at = max(now, free_at) + work_s
        return Answer((OK,), delay_s=free_at - now)

    return pick


def standing_still(number: int, for_s: float) -> Callable[[int, str], Answer]:
    """When that request comes, the whole server does nothing for so long."""

    def pick(this: int, path: str) -> Answer:
        if this == number:
            sleep(for_s)
        return Answer((OK,))

    return pick


class Server:
    """A server whose answers are `pick(number, path)`, `number` counting requests from 0.

    `requests` holds every request as it came, `arrived_s` when its last byte did, `service_s`
    the time from there to the last byte of the answer, `connections` how many were accepted.
    A connection that is idle for `idle_s` is closed. With a `unix_socket` it listens there.
    Over TLS the number of handshakes that succeed can be limited.
    """

    def __init__(
        self,
        pick: Callable[[int, str], Answer] = by_path,
        tls: ssl.SSLContext | None = None,
        handshakes: int | None = None,
        idle_s: float | None = None,
        unix_socket: Path | None = None,
    ) -> None:
        self.pick, self.tls, self.port = pick, tls, 0
        self.idle_s, self.unix_socket = idle_s, unix_socket
        self.requests: list[bytes] = []
        self.arrived_s: list[float] = []
        self.service_s: list[float] = []
        self.connections = 0
        self.is_dead = False
        self.tasks: set[asyncio.Task[None]] = set()
        if tls and handshakes is not None:
            left = iter(range(handshakes))
            refusal = ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
            tls.sni_callback = lambda *_: refusal if next(left, None) is None else None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def listen(self) -> None:
        """Begin to accept connections, the second time on the same port."""
        self.is_dead = False
        self._call(self._listen())

    def die(self) -> None:
        """Refuse connections and reset those there are."""
        self.is_dead = True
        self._call(self._die())

    async def _listen(self) -> None:
        if self.unix_socket:
            self.server = await asyncio.start_unix_server(self._connection, self.unix_socket)
            return
        self.server = await asyncio.start_server(
            self._connection, "127.0.0.1", self.port, ssl=self.tls, backlog=1000
        )
        self.port = self.server.sockets[0].getsockname()[1]

    async def _die(self) -> None:
        self.server.close()
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self.tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client has gone, or is to go
        except asyncio.CancelledError:
            reset(writer)
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read a request and answer it; whether the connection goes on."""
        first = await asyncio.wait_for(reader.readexactly(1), self.idle_s)
        if first == b"\x16":  # a TLS handshake, which this port does not speak
            writer.write(answer(b"speak HTTP", "400 Bad Request"))
            return False
        head = first + await reader.readuntil(b"\r\n\r\n")
        lengths = [x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")]
        body = await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
        began = perf_counter()
        path = head.split()[1].decode().partition("?")[0]
        chosen = self.pick(len(self.requests), path)
        self.requests.append(head + body)
        self.arrived_s.append(began)
        await asyncio.sleep(chosen.delay_s)
        for n, piece in enumerate(chosen.pieces):
            await asyncio.sleep(chosen.gap_s if n else 0)
            writer.write(piece)
            await writer.drain()
        self.service_s.append(perf_counter() - began)
        if chosen.end == "hang":
            await reader.read()
        if chosen.end == "reset":
            reset(writer)
        return chosen.end == "keep"


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST instead of FIN."""
    if writer.transport.is_closing():  # the client was first
        return
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@contextmanager
def deaf(answered: int = 0) -> Iterator[int]:
    """A port that answers so many connections, then accepts none and has a full backlog."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers: list[socket.socket] = []

        def fill() -> None:
            for _ in range(4):
                fillers.append(socket.socket())
                fillers[-1].setblocking(False)
                fillers[-1].connect_ex(listener.getsockname())

        def serve() -> None:
            for left in range(answered, 0, -1):
                connection, _ = listener.accept()
                if left == 1:  # at once, or the next one takes the last place meanwhile
                    fill()
                with connection:
                    connection.recv(10_000)
                    connection.sendall(answer(Connection="close"))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        if not answered:
            fill()
        try:
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections into its backlog and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield listener.getsockname()[1]


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def installed(name: str) -> str:
    """The path of one of the system's programs; skips where it is missing."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's TLS context with a certificate made just now; skips without openssl."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = (
        f"{installed('openssl')} req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@contextmanager
def nginx(folder: Path) -> Iterator[tuple[str, Callable[[], Sequence[str]]]]:
    """nginx on a free port: its URL, and a function that stops it and reads its access log.

    It closes a connection after 100 requests, and says so. Skips where it is not installed.
    """
    program = installed("nginx")
    port, log = free_port(), folder / "access.log"
    temporary = "\n".join(
        f"{kind}_temp_path {folder / kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"""daemon off; worker_processes 1; pid {folder / "pid"}; error_log stderr;
        events {{ worker_connections 1024; }}
        http {{
            {temporary}
            access_log {log};
            keepalive_requests 100;
            server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello from nginx"; }} }}
        }}"""
    )
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:

        def stop() -> Sequence[str]:
            process.terminate()
            process.wait(10)
            return log.read_text().splitlines()

        try:
            while process.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            yield f"http://127.0.0.1:{port}/", stop
        finally:
            process.terminate()

"""Connections are opened before the clock starts, no faster than the server takes them."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep

import pytest
import servers
from driving import both, holds, percentile_s, slow
from servers import OK, Answer, Server

from lab.load.listenqueue import read_listen_queue
from lab.load.load import Load
from lab.load.run import run

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of listen queues")


class Counting:
    """Answers, and notes how many connections there were at the first request."""

    def __init__(self) -> None:
        self.before: int | None = None
        self.server = Server(self.pick)

    def pick(self, number: int, path: str) -> Answer:
        if self.before is None:
            self.before = self.server.connections
        return Answer((OK,))


@both
@pytest.mark.parametrize("connections", [1, 40])
def test_all_connections_are_there_before_the_first_request(client: str, connections: int) -> None:
    counting = Counting()
    with counting.server as server:
        load = Load(url=server.url, requests=120, connections=connections, client=client)
        result = run(load)
    holds(result, 120)
    assert result.ok == 120
    assert counting.before == server.connections == result.connections.opened == connections
    assert (result.connections.connect_s or 0) > 0
    assert percentile_s(result, "send_lag_s", 100) < 1e-6  # nobody waited for a connection


@both
def test_over_tls_handshakes_are_done_before(client: str, tmp_path: Path) -> None:
    with Server(tls=servers.self_signed(tmp_path)) as server:
        load = Load(url=server.url, requests=30, connections=10, insecure=True, client=client)
        result = run(load)
    holds(result, 30)
    assert result.ok == 30
    assert server.connections == result.connections.opened == 10
    assert percentile_s(result, "send_lag_s", 100) < 1e-6


@contextmanager
def raw(backlog: int, pause_s: float, at_once: int) -> Iterator[int]:
    """A server with a short queue: it takes a connection, rests, and so on; after `at_once` it
    answers each connection for as long as it lasts before it takes the next.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        listener.settimeout(0.05)
        is_over = threading.Event()

        def answer(connection: socket.socket) -> None:
            connection.settimeout(0.05)
            with connection, suppress(ConnectionError):
                while not is_over.is_set():
                    with suppress(TimeoutError):
                        if not connection.recv(10_000):
                            return
                        connection.sendall(OK)

        def serve() -> None:
            taken = 0
            while not is_over.is_set():
                with suppress(TimeoutError):
                    connection, _ = listener.accept()
                    taken += 1
                    if taken > at_once:
                        answer(connection)
                    else:
                        threading.Thread(target=answer, args=[connection], daemon=True).start()
                    sleep(pause_s)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            is_over.set()
            thread.join()


@linux
@both
def test_a_short_queue_does_not_overflow(client: str) -> None:
    with raw(backlog=4, pause_s=0.002, at_once=1000) as port:
        url = f"http://127.0.0.1:{port}/"
        result = run(Load(url=url, requests=120, connections=60, client=client))
        queue = read_listen_queue(port)
    holds(result, 120)
    assert result.ok == 120
    assert result.client.listen_overflows == 0
    assert queue and queue.drops == 0


@slow
@linux
def test_a_server_that_takes_one_connection_at_a_time_holds_nothing_up() -> None:
    """What it does not take is left to be opened with a request, and waits there."""
    with raw(backlog=4, pause_s=0, at_once=0) as port:
        url = f"http://127.0.0.1:{port}/"
        result = run(Load(url=url, duration_s=0.5, connections=20, timeout_s=1))
    holds(result, result.requests)
    assert result.ok > 20
    assert result.elapsed_s < 3
    assert result.unfinished == 0


@slow
def test_two_thousand_connections_at_once() -> None:
    with Server() as server:
        result = run(Load(url=server.url, requests=4000, connections=2000))
    holds(result, 4000)
    assert result.ok == 4000
    assert server.connections == result.connections.opened == 2000


def test_a_warm_up_opens_them_as_it_goes() -> None:
    counting = Counting()
    with counting.server as server:
        result = run(Load(url=server.url, requests=30, connections=10, warmup_s=0.2))
    holds(result, 30)
    assert counting.before == 1
    assert server.connections == 10

"""What goes wrong: each fault once, under its kind, by either client."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest
import servers
from driving import both, holds, known
from servers import OK, Answer, Server, delayed, in_turn

from lab.facts.errors import CannotRun
from lab.load.load import Load
from lab.load.run import run
from lab.load.tally import Counts

FAULTS = {
    "/500": "status",
    "/404": "status",
    "/99": "status",
    "/fin": "reset",
    "/rst": "reset",
    "/head-fin": "incomplete",
    "/head-rst": "incomplete",
    "/header-fin": "incomplete",
    "/length-fin": "incomplete",
    "/length-rst": "incomplete",
    "/length-none": "incomplete",
    "/chunk-fin": "incomplete",
    "/chunk-rst": "incomplete",
    "/no-last-chunk": "incomplete",
    "/until-rst": "incomplete",
    "/continue-fin": "incomplete",
    "/garbage": "protocol",
    "/ssh": "protocol",
    "/bad-chunk": "protocol",
    "/bad-chunk-apart": "protocol",
    "/bad-length": "protocol",
    "/never": "timeout",
    "/never-ends": "timeout",
}
ELSEWHERE = {
    ("aiohttp", "/head-rst"): "reset: ClientOSError(104, 'Connection reset by peer')",
    ("aiohttp", "/until-rst"): "ok: no exception, aiohttp takes RST for the end of the body",
    ("aiohttp", "/continue-fin"): "reset: ServerDisconnectedError('Server disconnected')",
    ("aiohttp", "/bad-chunk-apart"): "timeout: no exception, aiohttp never tells who reads",
}
CASES = [
    known(client, path, kind, reason=f"counted as {ELSEWHERE[client, path]}")
    if (client, path) in ELSEWHERE
    else (client, path, kind)
    for client in ("wire", "aiohttp")
    for path, kind in FAULTS.items()
]


@pytest.mark.parametrize(("client", "path", "kind"), CASES)
def test_each_fault_is_counted_once_under_its_kind(client: str, path: str, kind: str) -> None:
    with Server() as server:
        url = server.url + path
        result = run(Load(url=url, requests=7, connections=3, timeout_s=0.3, client=client))
    holds(result, 7)
    assert result.errors == {kind: 7}
    assert result.failed == len(server.requests) == 7
    assert result.throughput == 0
    assert result.histograms.failed_s.summary_s()["min"] > 0
    assert result.validity.verdict == "INVALID"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("secure", "keepalive"),
    [(False, False), (True, False), (True, True)],
    ids=["plain, new", "tls, new", "tls, kept"],
)
@pytest.mark.parametrize(("path", "kind"), FAULTS.items())
def test_each_fault_is_the_same_over_tls_and_where_each_request_has_its_connection(
    path: str, kind: str, secure: bool, keepalive: bool, certificate: Path
) -> None:
    with Server(tls=servers.self_signed(certificate) if secure else None) as server:
        load = Load(
            url=server.url + path, requests=7, connections=3, timeout_s=0.3, insecure=True,
            keepalive=keepalive,
        )  # fmt: skip
        result = run(load)
    holds(result, 7)
    assert result.errors == {kind: 7}
    assert len(server.requests) == 7
    assert keepalive or server.connections == 7


@pytest.mark.slow
@both
def test_after_a_time_out_the_load_goes_on(client: str) -> None:
    with Server(in_turn(Answer((OK,)), Answer((), "hang"))) as server:
        load = Load(url=server.url, requests=6, connections=1, timeout_s=0.2, client=client)
        result = run(load)
    holds(result, 6)
    assert result.errors == {"timeout": 3}
    assert result.histograms.failed_s.summary_s()["min"] >= 0.2
    assert (len(server.requests), server.connections) == (6, 3)


@both
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_nothing_is_sent_again(client: str, method: str) -> None:
    """Every second request, on a connection in use, finds it closed without an answer."""
    with Server(in_turn(Answer((OK,)), Answer((), "close"))) as server:
        load = Load(url=server.url, method=method, requests=20, connections=1, client=client)
        result = run(load)
    holds(result, 20)
    assert result.errors == {"reset": 10}
    assert (len(server.requests), server.connections) == (20, 10)


def test_a_connection_closed_while_idle_costs_at_most_the_next_request() -> None:
    with Server() as server:
        load = Load(url=f"{server.url}/closes", requests=103, connections=5)
        result = run(load)
    holds(result, 103)
    assert set(result.errors) <= {"reset"}
    assert result.ok == len(server.requests) == server.connections == 103 - result.failed
    assert result.ok >= 52


@pytest.mark.slow
def test_an_outage_is_counted_without_spinning_and_survived() -> None:
    arrived = []

    def watch(counts: Counts | None, elapsed_s: float) -> None:
        if not arrived and elapsed_s > 0.5:
            server.die()
            arrived.append(len(server.requests))
        if len(arrived) == 1 and elapsed_s > 1.5:
            arrived.append(len(server.requests))
            server.listen()

    with Server(delayed(0.005)) as server:
        load = Load(url=server.url, duration_s=3.5, connections=10)
        result = run(load, watch)
    holds(result, result.requests)
    assert set(result.errors) <= {"refused", "reset", "incomplete"}
    assert 10 <= result.errors["refused"] < 500
    assert arrived[0] == arrived[1] < len(server.requests)
    assert result.series[-1].ok > 0
    assert result.ok <= len(server.requests) <= result.requests


@both
def test_a_port_that_is_closed_cannot_be_measured(client: str) -> None:
    with pytest.raises(CannotRun, match=r"refused .* is the server running"):
        run(Load(url=f"http://127.0.0.1:{servers.free_port()}", client=client))


@both
def test_a_name_that_does_not_resolve_cannot_be_measured(client: str) -> None:
    with pytest.raises(CannotRun, match=r"no-such-host\.invalid: check the spelling"):
        run(Load(url="http://no-such-host.invalid/", client=client))


@both
def test_a_port_that_does_not_accept_is_a_connect_timeout(client: str) -> None:
    with servers.deaf() as port, pytest.raises(CannotRun, match="connect timeout"):
        run(Load(url=f"http://127.0.0.1:{port}", timeout_s=0.3, client=client))


@pytest.mark.slow
def test_connect_timeouts_are_counted_once_something_was_connected() -> None:
    with servers.deaf(answered=2) as port:
        url = f"http://127.0.0.1:{port}"
        load = Load(url=url, requests=4, connections=1, timeout_s=0.3)
        result = run(load)
    holds(result, 4)
    assert result.ok == 2
    assert result.errors == {"connect timeout": 2}


@both
def test_tls_with_any_certificate(client: str, tmp_path: Path) -> None:
    with Server(tls=servers.self_signed(tmp_path)) as server:
        load = Load(url=server.url, requests=53, connections=5, insecure=True, client=client)
        result = run(load)
    holds(result, 53)
    assert result.ok == len(server.requests) == 53
    assert server.connections == result.connections.opened == 5


@both
def test_tls_with_a_certificate_that_is_not_trusted(client: str, tmp_path: Path) -> None:
    refused = pytest.raises(CannotRun, match=r"tls .* --insecure")
    with Server(tls=servers.self_signed(tmp_path)) as server, refused:
        run(Load(url=server.url, requests=5, client=client))
    assert server.requests == []


@both
def test_tls_to_a_port_that_talks_plain_text(client: str) -> None:
    with Server() as server, pytest.raises(CannotRun, match=r"tls .* write http://"):
        run(Load(url=server.url.replace("http", "https"), requests=5, client=client))


@both
def test_tls_to_a_port_that_says_nothing(client: str) -> None:
    with servers.silent() as port, pytest.raises(CannotRun, match="connect timeout"):
        run(Load(url=f"https://127.0.0.1:{port}", timeout_s=0.3, client=client))


@both
def test_failed_handshakes_are_counted_once_one_succeeded(client: str, tmp_path: Path) -> None:
    with Server(tls=servers.self_signed(tmp_path), handshakes=3) as server:
        load = Load(
            url=server.url, requests=5, connections=1, keepalive=False, insecure=True, client=client
        )
        result = run(load)
    holds(result, 5)
    assert result.ok == len(server.requests) == 3
    assert result.errors == {"tls": 2}


def test_a_connect_timeout_of_its_own() -> None:
    with servers.deaf() as port:
        began = monotonic()
        load = Load(url=f"http://127.0.0.1:{port}", connect_timeout_s=0.2)
        with pytest.raises(CannotRun, match=r"connect timeout \(none in 0.2 s\)"):
            run(load)
    assert monotonic() - began < 10

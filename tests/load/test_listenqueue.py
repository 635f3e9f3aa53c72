"""The listen queue of a port, and who listens there, as the kernel tells."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys

import pytest

from lab.load.listener import find_listener, find_local_port
from lab.load.listenqueue import Rejections, read_listen_queue

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of listen queues")


def knock(port: int, times: int) -> list[socket.socket]:
    """Connections that are begun, and that nobody accepts."""
    knocking = []
    for _ in range(times):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
        knocking.append(client)
    return knocking


@linux
@pytest.mark.parametrize("asked", [1, 5, 128])
def test_the_limit_in_force_is_the_kernels(asked):
    with socket.create_server(("127.0.0.1", 0), backlog=asked) as server:
        port = server.getsockname()[1]
        assert read_listen_queue(port) == (asked, 0, 0)
    assert read_listen_queue(port) is None


@linux
def test_drops_are_those_of_the_port_and_of_no_other():
    with (
        socket.create_server(("127.0.0.1", 0), backlog=4) as full,
        socket.create_server(("127.0.0.1", 0), backlog=4) as quiet,
    ):
        port, other = (server.getsockname()[1] for server in (full, quiet))
        at_full, at_quiet = Rejections(port), Rejections(other)
        knocking = knock(port, 12)
        assert at_full.count() >= 12 - 5  # one more than the limit has room
        assert read_listen_queue(other).drops == at_quiet.count() == 0
        for client in knocking:
            client.close()


def send_reset(port: int) -> None:
    """A TCP segment with RST alone, of a connection that there is not (RFC 9293, section 3.1)."""
    segment = bytearray(struct.pack("!HHIIBBHHH", 9, port, 1, 0, 5 << 4, 4, 0, 0, 0))
    address = socket.inet_aton("127.0.0.1")
    whole = address + address + struct.pack("!HH", socket.IPPROTO_TCP, len(segment)) + segment
    total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
    segment[16:18] = struct.pack("!H", 0xFFFF - (total + total // 0x10000) % 0x10000)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.sendto(segment, ("127.0.0.1", 0))


@linux
def test_a_packet_of_no_connection_is_no_rejection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        rejections = Rejections(port)
        try:
            send_reset(port)
        except PermissionError:
            pytest.skip("only root sends packets of its own")
        assert read_listen_queue(port).drops == 1
        assert rejections.count() == 0


def test_where_the_kernel_does_not_tell_it_is_not_known(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
        assert read_listen_queue(server.getsockname()[1]) is None


@linux
def test_who_listens_on_a_port_is_found_and_of_a_family_the_parent():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://localhost:{server.getsockname()[1]}/path"
        server.set_inheritable(True)
        code = "import sys; print(flush=True); sys.stdin.read()"
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[server.fileno()],
        )
        child.stdout.readline()
        assert find_listener(url) == os.getpid()
        child.communicate()
    assert find_listener(url) is None


@pytest.mark.parametrize(
    "url, port",
    [
        ("http://127.0.0.1:8000/a", 8000),
        ("http://[::1]:8000/", 8000),
        ("https://localhost/", 443),
        ("http://10.0.0.1:8000/", None),
        ("http://127.example.org/", None),
    ],
)
def test_the_port_of_a_url_is_local_on_this_machine_only(url, port):
    assert find_local_port(url) == port

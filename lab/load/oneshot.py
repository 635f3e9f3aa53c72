"""The default client where each request has a connection of its own."""

from __future__ import annotations

from time import perf_counter_ns

from lab.facts.records import ErrorKind
from lab.load.engine import Engine
from lab.load.sockets import HAS_EPOLL, Connection, Sockets
from lab.load.wire import Wire


class OneShot(Wire):
    """Opens its connections by itself once the address is known; the first is asyncio's."""

    def __init__(self, engine: Engine, shared: SharedSockets) -> None:
        super().__init__(engine)
        self.shared = shared

    def start(self) -> None:
        sockets = self.shared.get() if HAS_EPOLL and self.engine.opened else None
        if sockets is None:
            super().start()
            return
        if self.engine.is_varied:
            self.request = self.template.make_request(self.body)
        self.begin_opening()
        self.transport = sockets.open(self)

    def note_connected(self, connection: Connection, at_ns: int) -> None:
        engine = self.engine
        engine.connect_ns.append(connection.connected_ns - connection.began_ns)
        if engine.tls:
            engine.tls_ns.append(at_ns - connection.connected_ns)
        self.make_parser()
        self.end_opening(at_ns)
        self.fresh = True

    def fail_opening(self, kind: ErrorKind, why: str) -> None:
        self.transport = None
        super().fail_opening(kind, why)

    def data_received(self, data: bytes) -> None:
        template = self.template
        if not self.fresh or data != template.known:
            super().data_received(data)
            return
        now_ns = perf_counter_ns()
        template.alike.pack(now_ns - self.due_ns, self.lag_ns)
        self.drop()
        self.go_on(now_ns)


class SharedSockets:
    """What all clients of an engine open their connections with, once they know where to."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sockets: Sockets | None = None

    def get(self) -> Sockets:
        if self.sockets is None:
            engine = self.engine
            address = engine.load.unix_socket or engine.address
            self.sockets = Sockets(address, engine.tls, engine.host)
        return self.sockets

    def close(self) -> None:
        if self.sockets:
            self.sockets.close()

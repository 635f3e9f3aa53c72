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
        self.own: Connection | None = None

    def start(self) -> None:
        engine = self.engine
        if not (HAS_EPOLL and engine.opened):
            super().start()
            return
        if engine.is_varied:
            self.request = self.template.make_request(self.body)
        self.open_own(perf_counter_ns())

    def open_own(self, now_ns: int) -> None:
        if self.own is None:
            self.own = self.shared.get().make_connection(self)
        self.opening, self.opening_ns = True, now_ns
        self.transport = self.own
        self.own.open(now_ns)

    def note_connected(self, connected_ns: int, at_ns: int) -> None:
        engine = self.engine
        engine.connect_ns.append(connected_ns - self.opening_ns)
        if engine.tls:
            engine.tls_ns.append(at_ns - connected_ns)
        self.parser = None
        self.end_opening(at_ns)
        self.fresh = True

    def fail_opening(self, kind: ErrorKind, why: str) -> None:
        self.transport = None
        super().fail_opening(kind, why)

    def data_received(self, data: bytes) -> None:
        template = self.template
        if not (self.fresh and (data == template.known or template.is_alike(data))):
            super().data_received(data)
            return
        now_ns, engine = perf_counter_ns(), self.engine
        template.alike.pack(now_ns - self.due_ns, self.lag_ns)
        if engine.left and self.own and self.own is self.transport:
            engine.left -= 1
            self.fresh, self.due_ns = False, now_ns
            self.own.abort()
            self.open_own(now_ns)
        else:
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

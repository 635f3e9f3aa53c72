"""Connections opened before the clock starts, at a pace that the server's queue can take."""

from __future__ import annotations

import asyncio
from time import perf_counter_ns

from lab.load.engine import Client, Engine
from lab.load.listener import find_local_port
from lab.load.listenqueue import read_listen_queue

AT_ONCE = 16  # connections under way
PAUSE_S = 0.001  # between two looks at what became of them
PATIENCE_NS = 1.5e9  # so long may no connection come: the kernel tries again after 1 s


class Opening:
    """Opens a connection for each client that holds one, before there are requests for them.

    The first goes alone: where it fails, so does the run. What cannot be opened after that is
    left for its client to open with its first request, which then counts what comes of it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.port = None if engine.load.unix_socket else find_local_port(engine.load.url)
        self.left = list(engine.clients)
        self.under_way: list[Client] = []
        self.begun = 0

    async def run(self) -> None:
        engine = self.engine
        opened, came_ns = 0, perf_counter_ns()
        while not engine.settled.is_set():
            now_ns = perf_counter_ns()
            if engine.opened > opened:
                opened, came_ns = engine.opened, now_ns
            for client in self.under_way:
                engine.give_up_opening(client, now_ns)
            self.under_way = [client for client in self.under_way if client.opening]
            has_failed = self.begun > opened + len(self.under_way)
            is_stuck = opened and now_ns - came_ns > PATIENCE_NS
            if has_failed or is_stuck or not (self.left or self.under_way):
                break
            self._begin_some()
            await asyncio.sleep(PAUSE_S)
        for client in self.under_way:
            client.close()
            client.opening = False

    def _begin_some(self) -> None:
        """Begin what there is room for; the first, whatever room there is."""
        room = self._find_room() if self.begun else 1
        for _ in range(min(room, len(self.left))):
            client = self.left.pop()
            self.under_way.append(client)
            self.begun += 1
            client.connect()

    def _find_room(self) -> int:
        """How many may be begun: a half of the server's queue stays free, where it is known."""
        if not self.engine.opened:
            return 0
        room = AT_ONCE
        queue = read_listen_queue(self.port) if self.port else None
        if queue:
            room = min(room, max(queue.limit // 2, 1) - queue.waiting)
        return max(room - len(self.under_way), 0)

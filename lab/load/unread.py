"""Answers that have come and that the client has not read yet."""

from __future__ import annotations

import select
from collections.abc import Iterable

from lab.load.engine import Client

FEWEST = 30  # requests under way, of all looks together, from which a share says something


class Unread:
    """Looks at moments like any other which of the requests under way have their answer waiting.

    What lies unread for a while is seen unread as often: so the share of these among all that
    are under way is the share of the service time that was spent waiting for the client.
    """

    def __init__(self) -> None:
        self.seen = self.unread = 0

    def look(self, clients: Iterable[Client]) -> None:
        under_way = [client.fileno() for client in clients if client.busy and not client.opening]
        files = [number for number in under_way if number is not None]
        if files:
            poll = select.poll()
            for number in files:
                poll.register(number, select.POLLIN)
            self.seen += len(files)
            self.unread += len(poll.poll(0))

    def share(self) -> float | None:
        """None where too few were seen, or the client does not tell."""
        return self.unread / self.seen if self.seen >= FEWEST else None

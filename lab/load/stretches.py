"""How the answers of a run lie in time: what tells how sure its percentiles are."""

from __future__ import annotations

from lab.facts.arrays import NDArray, np
from lab.facts.histogram import PERCENTILES, Histogram
from lab.facts.records import Stretches

MOST = 40  # of that many stretches each two neighbours become one
FEWEST = 5  # with fewer there is nothing to tell
SHORTEST_S = 0.5  # below, it is no second
COARSE = 32  # slots of the histogram in one of these: 3 % wide


class StretchCounter:
    """A coarse histogram of each second of a run; of a long run, of some seconds together."""

    def __init__(self) -> None:
        self.rows: list[NDArray[np.int64]] = []  # each of shape (slots / COARSE,)
        self.seconds = 1  # in a row
        self._total: NDArray[np.int64] = np.zeros(1, dtype=np.int64)  # at the end of the last row
        self._under_way = 0

    def end_second(self, histogram: Histogram, lasted_s: float) -> None:
        """Note what came to the histogram of the whole run in the second that ends now. A short
        one at the end of a run is added to the one before.
        """
        if lasted_s < SHORTEST_S:
            return
        self._under_way += 1
        if self._under_way < self.seconds:
            return
        self._under_way = 0
        total = _make_coarse(histogram)
        self.rows.append(total - self._total)
        self._total = total
        if len(self.rows) == MOST:
            self.rows = [a + b for a, b in zip(self.rows[::2], self.rows[1::2], strict=True)]
            self.seconds *= 2

    def against(self, histogram: Histogram) -> Stretches | None:
        """How many answers of each stretch took longer than each percentile of the whole run."""
        if len(self.rows) < FEWEST:
            return None
        table = np.array(self.rows)
        table[-1] += _make_coarse(histogram) - self._total
        above = []
        for percentile in PERCENTILES:
            limit_s = histogram.percentile_s(percentile, beyond=0) or 0.0
            slot = histogram.slot_of(limit_s) // COARSE
            above.append(table[:, slot + 1 :].sum(axis=1).tolist())
        return Stretches(counts=table.sum(axis=1).tolist(), above=above)


def _make_coarse(histogram: Histogram) -> NDArray[np.int64]:
    coarse: NDArray[np.int64] = histogram.counts.reshape(-1, COARSE).sum(axis=1)
    return coarse

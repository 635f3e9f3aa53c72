"""A process that takes a share of a core: `python neighbour.py SHARE [SEED]`. With a seed it
comes and goes, for one to six seconds each.
"""

import random
import sys
import time

SLICE_S = 0.02
share = float(sys.argv[1])
draw = random.Random(sys.argv[2]) if len(sys.argv) > 2 else None


def take(until_s: float) -> None:
    while time.monotonic() < until_s:
        began_s = time.thread_time()
        while time.thread_time() - began_s < share * SLICE_S:
            pass
        time.sleep((1 - share) * SLICE_S)


while draw is None:
    take(time.monotonic() + 3600)
while True:
    take(time.monotonic() + draw.uniform(1, 6))
    time.sleep(draw.uniform(1, 6))

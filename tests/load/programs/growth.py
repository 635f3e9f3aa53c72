"""Runs the load that its argument says, and prints how many were ok and by how much it grew."""

import json
import sys

import psutil

from lab.load.load import Load
from lab.load.run import run

if __name__ == "__main__":
    me, seen = psutil.Process(), list[tuple[int, int]]()
    result = run(
        Load(**json.loads(sys.argv[1])),
        lambda counts, _: seen.append((counts.ok + counts.failed, me.memory_info().rss)),
    )
    early = max(rss for n, rss in seen if n <= result.requests / 4)
    print(json.dumps([result.ok, max(rss for _, rss in seen) - early]))

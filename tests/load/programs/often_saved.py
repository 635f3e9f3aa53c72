"""loadgen.py, which saves its record five times a second instead of every five seconds."""

import sys

import loadgen
from lab.load import measurement, processes
from lab.load.share import Share

EVERY_S = 0.2
SHARE = "--share"

if __name__ == "__main__":
    measurement.CHECKPOINT_S = processes.CHECKPOINT_S = EVERY_S
    processes.SHARE_COMMAND = [sys.executable, __file__, SHARE]
    if SHARE in sys.argv:
        Share().run()
    else:
        sys.exit(loadgen.main())

"""The door from a script to the lab: `from harness import Ratio, experiment`.

A script names it only where it is run, so that the same file is a plain app anywhere
else.
"""

import os
import signal
import sys
from pathlib import Path

# Who is interrupted while the lab is imported has nothing to be told.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

# First, so that nothing beside a script is taken for a module of the lab.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.trials.dials import Answers, Cause, Each, Outcome, Ratio
from lab.trials.experiment import experiment
from lab.trials.servers import Answer, Service

__all__ = [
    "Answer", "Answers", "Cause", "Each", "Outcome", "Ratio", "Service", "experiment",
]  # fmt: skip

# /// script
# requires-python = ">=3.11"
# dependencies = ["flask"]
# ///
"""99: one server is as fast as the other

Claim      One server is as fast as the other.
Source     tests/evidence.py
Expect     What this trial did to it.
Run        python experiments/99_trial.py
Limits     Anything else.
"""

import json
import os

TRIAL = json.loads(os.environ.get("TRIAL", "{}"))
ARMS = {name: tuple(arm) for name, arm in TRIAL.get("arms", {}).items()}

if __name__ == "__main__":
    from harness import Ratio, experiment

    experiment(
        ARMS,
        connections=TRIAL["connections"],
        expect="hello",
        duration_s=TRIAL["duration_s"],
        claim=Ratio("base", "other", claimed=(0.95, 1.05)),
    )

# /// script
# requires-python = ">=3.11"
# dependencies = ["flask"]
# ///
"""99: the fast one is faster

Claim      One is twice as fast as the other, or more.
Source     nobody
Expect     One waits 5 ms, the other 50 ms.
           fast  4 / 5 ms = 800 requests/s
           slow  4 / 50 ms = 80 requests/s
Run        python experiments/99_slow.py
Limits     Anything else.
"""

import os

FAST = os.environ.get("FAST", "/fast")
COMMAND = os.environ.get("COMMAND", "python server.py {port}")
MORE = {"generator": os.environ["GENERATOR"]} if "GENERATOR" in os.environ else {}
METRIC = os.environ.get("METRIC", "throughput")
ARMS = {
    "fast": (COMMAND, FAST),
    "slow": ("python server.py {port}", "/slow", MORE),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    experiment(
        ARMS,
        connections=4,
        expect={"hello": "world"},
        duration_s=0.4,
        shared="SHARED" in os.environ,
        needs=os.environ.get("NEEDS", "").split(),
        claim=Ratio("fast", "slow", least=2, metric=METRIC),
        causes=[
            Cause(
                "slow",
                "fast",
                below=1,
                then="slow is {faster}",
                otherwise="slow is not slower",
                another_reason=True,
            )
        ],
    )

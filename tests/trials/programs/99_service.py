# /// script
# requires-python = ">=3.11"
# dependencies = ["flask"]
# ///
"""99: a service runs beside the servers

Claim      The servers know where it is.
Source     nobody
Expect     1
Run        python experiments/99_service.py
Limits     Anything else.
"""

import os

SERVICE = os.environ.get("SERVICE", "echo $STORE_PORT > port; python {scripts}/server.py {port}")
ARMS = {"one": ("python server.py {port}", "/environment")}

if __name__ == "__main__":
    from harness import Answers, Service, experiment

    def knows(answers) -> bool:
        said = answers["one"].json()
        return said["STORE_PORT"].isdigit() and "store-" in said["STORE_FOLDER"]

    experiment(
        {},
        probes=ARMS,
        services={
            "store": Service(SERVICE, ready=os.environ.get("READY", "test -s {folder}/port")),
        },
        claim=Answers("REPRODUCED when it is known", holds=knows),
    )

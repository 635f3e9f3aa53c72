# /// script
# requires-python = ">=3.11"
# dependencies = ["flask"]
# ///
"""99: all answer 200

Claim      Every probe answers 200.
Source     nobody
Expect     1
           fast  200
Run        python experiments/99_answers.py
Limits     Anything else.
"""

SERVER = "python server.py {port}"
ARMS = {"fast": (SERVER, "/fast"), "slow": (SERVER, "/slow"), "500": (SERVER, "/500")}

if __name__ == "__main__":
    from harness import Answers, experiment

    experiment(
        {},
        probes=ARMS,
        then={"slow": ("python ./server.py {port}", "/slow")},
        claim=Answers(
            "REPRODUCED when all answer 200",
            holds=lambda answers: all(a.status == 200 for a in answers.values()),
            causes=lambda answers: [f"slow says {answers['slow'].json()['hello']}"],
        ),
    )

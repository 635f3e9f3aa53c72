# /// script
# requires-python = ">=3.11"
# dependencies = ["flask"]
# ///
"""99: much is seen beside the rounds

Claim      What is asked for is done.
Source     nobody
Expect     1
Run        python experiments/99_more.py
Limits     Anything else.
"""

S = "python server.py {port}"
ARMS = {
    "plain": (S, "/"),
    "beside": (S, "/fast", {"beside": {"path": "/beside", "connections": 2}}),
    "counted": (S, "/slow", {"requests": 40, "method": "POST", "expect": "203"}),
}
THEN = {"plain": (S, "/slow")}

if __name__ == "__main__":
    from harness import Each, Outcome, experiment

    from lab.facts.records import Topic

    experiment(
        ARMS,
        connections=4,
        duration_s=0.4,
        then=THEN,
        rounds=1,
        expect=Each({"plain": {"hello": "world"}, "beside": "world", "counted": "hello"}),
        claim=Outcome(
            "REPRODUCED when /beside was asked for",
            lambda arms: arms["beside"].said[0]["/beside"] > 0,
            lambda arms: arms["plain"].run.latency_s["p50"] > 1,
        ),
        ask_after="/seen",
        log_counts={"starts": "^began", "ends": "^ended"},
        shares=(0.5,),
        columns={"queue": lambda arm: str(arm.backlog)},
        findings=lambda arms: [f"{name}: {arm.log['starts']}" for name, arm in arms.items()],
        subject=list(Topic),
    )

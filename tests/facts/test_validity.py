"""Each doubt at its limit, with its remedy; and what the record of a run says of it."""

from dataclasses import replace

import pytest
from builders import CLIENT, ENVIRONMENT, LOAD, OPEN_LOOP, SERVER, make_run

from lab.facts.histogram import Histogram
from lab.facts.records import Topic, Trust
from lab.facts.shards import Shard
from lab.facts.validity import EFFECTS, Effect, find_doubts

BUSY = replace(CLIENT, cpu_s=0.9)
SENT = replace(CLIENT, planned=100, sent=100)

DOUBTFUL = {
    Topic.CLIENT: ({"client": BUSY}, ("90 % of a core", "go by the CPU time")),
    Topic.QUEUED: (
        {"client": replace(CLIENT, queued_s=0.3)},
        ("waited 30 % of the time for a core", "a core of its own"),
    ),
    Topic.LAG: (
        {"client": replace(CLIENT, loop_lag_s=0.4)},
        ("stalled for up to 400 ms", "close"),
    ),
    Topic.FAILURES: ({"failed": 1}, ("1 of 101 requests failed (1 timeout)", "look at")),
    Topic.LITTLE: (
        {"client": replace(CLIENT, in_flight=15.0)},
        ("15.0 of 20 connections", "use fewer --connections"),
    ),
    Topic.SENT: (
        {"load": OPEN_LOOP, "client": replace(SENT, sent=97)},
        ("only 97 % of what was planned", "lower rate"),
    ),
    Topic.RESOLUTION: (
        {"load": OPEN_LOOP, "client": SENT, "lag_s": 0.05},
        ("mostly send lag", "use more (-c)"),
    ),
    Topic.OVERFLOWS: (
        {"client": replace(CLIENT, listen_overflows=3)},
        ("was full 3 times", "backlog"),
    ),
    Topic.RESTARTS: (
        {"server": replace(SERVER, replaced=2)},
        ("2 of the server's processes ended", "switch off"),
    ),
    Topic.STEAL: (
        {"environment": replace(ENVIRONMENT, steal=0.05)},
        ("gave 5 % of its time to others", "run again"),
    ),
    Topic.NEIGHBOUR: (
        {"client": replace(CLIENT, neighbour_busy=0.5)},
        ("close cron (process 7)", "used 50 % of a core"),
    ),
    Topic.SHARDS: (
        {"shards": [Shard(name="worker 7", share=0.5, requests=9, ok=9, unlike="it is late")]},
        ("worker 7 is unlike the others: it is late", "leave it out"),
    ),
}


@pytest.mark.parametrize("topic", DOUBTFUL)
def test_each_doubt_is_named_with_its_remedy(topic):
    changes, parts = DOUBTFUL[topic]
    (doubt,) = find_doubts(make_run(**changes))
    assert doubt.topic == topic
    for part in parts:
        assert part in doubt.sentence


def test_every_topic_but_the_spread_of_rounds_is_a_doubt_of_a_run():
    assert set(DOUBTFUL) == set(EFFECTS) == set(Topic) - {Topic.SPREAD}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"client": replace(CLIENT, cpu_s=0.84)},
        {"client": replace(CLIENT, queued_s=0.19)},
        {"client": replace(CLIENT, in_flight=19.1)},
        {"client": replace(CLIENT, loop_lag_s=0.09)},
        {"client": replace(CLIENT, neighbour_busy=0.19)},
        {"environment": replace(ENVIRONMENT, steal=0.019)},
        {"load": OPEN_LOOP, "client": replace(SENT, sent=98, in_flight=3.0)},
        {"load": replace(LOAD, requests=10), "client": replace(CLIENT, in_flight=10.0)},
        {"load": replace(LOAD, processes=2), "client": replace(CLIENT, cpu_s=1.6)},
    ],
    ids=str,
)
def test_what_is_within_its_limit_is_no_doubt(changes):
    assert find_doubts(make_run(**changes)) == []


def test_a_failure_in_a_thousand_is_no_doubt():
    assert make_run([0.1] * 999, failed=1).validity.verdict == Trust.VALID
    assert make_run([0.1] * 998, failed=1).validity.verdict == Trust.SUSPECT


def test_a_lag_of_microseconds_is_told_from_a_queue():
    run = make_run([0.0001] * 100, load=OPEN_LOOP, client=SENT, lag_s=5e-5)
    (doubt,) = find_doubts(run)
    assert "under the resolution" in doubt.sentence


def test_a_client_too_slow_is_told_to_be_another():
    (doubt,) = find_doubts(make_run(load=replace(LOAD, client="aiohttp"), client=BUSY))
    assert "use --client wire" in doubt.sentence


def test_where_the_server_is_not_known_a_neighbour_counts_that_kept_the_client_waiting():
    beside = replace(CLIENT, neighbour_busy=0.5)
    assert find_doubts(make_run(client=beside, server=None)) == []
    (doubt,) = find_doubts(make_run(client=replace(beside, queued_s=0.03), server=None))
    assert "close cron (process 7)" in doubt.sentence


@pytest.mark.parametrize(("late_s", "is_doubted"), [(0.0, False), (9e-4, False), (0.03, True)])
def test_an_open_loop_goes_by_the_p99_of_its_lag_too(late_s, is_doubted):
    run = make_run([0.02] * 1900 + [0.05] * 100, load=OPEN_LOOP, client=SENT)
    lag = Histogram.of_seconds([0.0] * 1900 + [late_s] * 100)
    late = replace(run, histograms=replace(run.histograms, send_lag_s=lag))
    said = [doubt.sentence for doubt in find_doubts(late)]
    assert len(said) == is_doubted
    assert all("one request in a hundred left 30.0 ms late" in one for one in said)


def test_a_client_that_spins_is_not_at_its_limit_while_it_keeps_to_the_plan():
    spinning = replace(SENT, cpu_s=0.99)
    assert find_doubts(make_run(load=OPEN_LOOP, client=spinning, lag_s=5e-5)) == []
    late = make_run(load=OPEN_LOOP, client=spinning, lag_s=2e-3)
    assert [doubt.topic for doubt in find_doubts(late)] == [Topic.CLIENT]


def test_answers_that_lie_unread_are_a_client_at_its_limit():
    fine, late = (replace(SENT, unread=share) for share in (0.19, 0.4))
    assert find_doubts(make_run(load=OPEN_LOOP, client=fine)) == []
    (doubt,) = find_doubts(make_run(load=OPEN_LOOP, client=late))
    assert doubt.topic == Topic.CLIENT
    assert "40 % of the requests under way had their answer waiting" in doubt.sentence


def test_failures_are_not_taken_for_a_slow_client():
    few = replace(CLIENT, in_flight=5.0)
    assert [d.topic for d in find_doubts(make_run(failed=9, client=few))] == [Topic.FAILURES]


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({"client": BUSY}, Trust.SUSPECT, "of a core"),
        ({"interrupted": True}, Trust.SUSPECT, "to its end"),
        ({"latency_s": [], "failed": 5}, Trust.INVALID, "no request was answered"),
        ({"load": OPEN_LOOP, "client": replace(SENT, sent=50)}, Trust.INVALID, "only 50 %"),
    ],
    ids=str,
)
def test_the_verdict_on_a_run_and_its_first_reason(changes, verdict, said):
    validity = make_run(**changes).validity
    assert validity.verdict == verdict
    assert said in validity.reasons[0]


def test_only_what_measured_something_else_ends_a_ratio():
    ends = {topic for topic, effect in EFFECTS.items() if effect == Effect.ENDS}
    assert ends == {Topic.FAILURES, Topic.OVERFLOWS, Topic.RESTARTS, Topic.SENT}

"""Which word is said of an interval, how ratios combine, and what control arms say."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from builders import CLIENT, ENVIRONMENT, SERVER, make_arm, make_run, make_runs
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.facts.interval import Interval
from lab.facts.ratio import compared, faster, measure, times, weigh
from lab.facts.results import THEN, Arm, MeasuredRatio, Metric, Round
from lab.facts.rounds import make_arm as make_measured_arm
from lab.facts.verdict import (
    WEAKEST_FIRST,
    Cause,
    Outcome,
    Ratio,
    Word,
    decide,
    explain,
    more_s,
    rule_of,
)

ROUNDS = (97.0, 98.0, 99.0, 100.0, 101.0, 102.0, 103.0)  # requests/s: the fewest with an interval
CLAIM = Ratio("fast", "slow", least=5)
ARM = make_arm(make_runs([100.0]))
CLAIMS = st.one_of(
    st.floats(1.06, 1000).map(lambda c: Ratio("a", "b", claimed=c)),
    st.floats(0.01, 100).map(lambda least: Ratio("a", "b", least=least)),
    st.tuples(st.floats(0.1, 1), st.floats(1.01, 9)).map(lambda r: Ratio("a", "b", claimed=r)),
    st.tuples(st.floats(1.01, 2), st.floats(2.1, 9)).map(lambda r: Ratio("a", "b", claimed=r)),
)


def make_arms(**factors: float) -> dict[str, Arm]:
    """An arm for each factor by which its rounds are faster than ROUNDS."""
    return {n: make_arm(make_runs([x * factor for x in ROUNDS])) for n, factor in factors.items()}


def interval(low: float, high: float) -> Interval:
    return Interval(math.sqrt(low * high), low, high, 0.95, 9, 3)


# ---- Zones -----------------------------------------------------------------------------
@given(CLAIMS)
def test_zones_reach_from_nothing_to_infinity_without_a_gap(claim):
    zones = claim.zones
    assert (zones[0].low, zones[-1].high) == (0, math.inf)
    assert all(a.high == b.low and a.low < a.high for a, b in itertools.pairwise(zones))
    assert sum(zone.word == Word.REPRODUCED for zone in zones) == 1


@given(CLAIMS, st.floats(0.01, 1e4), st.floats(1, 10))
def test_an_interval_has_the_word_of_all_that_lies_in_it(claim, low, factor):
    """Or none, where it lies across: and what it holds has then more than one word."""
    high = low * factor
    found = claim.word(interval(low, high))
    inside = {claim.word(Interval(x, x, x)) for x in (low, math.sqrt(low * high), high)}
    if found == Word.INCONCLUSIVE:
        assert any(low < zone.high < high for zone in claim.zones)
    else:
        assert found in inside


@pytest.mark.parametrize(
    ("claimed", "measured", "word"),
    [
        (48.2, 5.5, "EXAGGERATED"), (48.2, 24.5, "NOT"), (48.2, 60, "REPRODUCED"),
        (48.2, 100, "UNDERSTATED"), (48.2, 0.9, "NOT REPRODUCED"), (48.2, 1.04, "NOT REPRODUCED"),
        (3.05, 2.03, "REPRODUCED"), (3.05, 5.09, "REPRODUCED"), (3.05, 2.02, "EXAGGERATED"),
        (3.05, 6.56, "UNDERSTATED"), (1.81, 1.28, "EXAGGERATED"), (1.07, 1.06, "REPRODUCED"),
        ((1.05, 1.5), 1.2, "REPRODUCED"), ((1.05, 1.5), 3, "UNDERSTATED"),
        ((1.05, 1.5), 1.0, "NOT REPRODUCED"), ((1.2, 1.5), 1.1, "EXAGGERATED"),
        ((0.8, 1.25), 1.0, "REPRODUCED"), ((0.8, 1.25), 0.7, "NOT REPRODUCED"),
        ((0.8, 1.25), 1.3, "NOT REPRODUCED"),  # no difference is claimed, and none understated
    ],
)  # fmt: skip
def test_words_of_claims_with_a_figure(claimed, measured, word):
    wanted = "REPRODUCED" if word == "NOT" else word
    assert Ratio("a", "b", claimed=claimed).word(interval(measured, measured)) == (
        "EXAGGERATED" if (claimed, measured) == (48.2, 24.5) else wanted
    )


def test_without_a_figure_the_least_effect_decides():
    assert Ratio("a", "b").word(interval(1.06, 1.2)) == Word.REPRODUCED
    assert Ratio("a", "b").word(interval(1.01, 1.04)) == Word.NOT_REPRODUCED
    assert CLAIM.word(interval(4.9, 9)) == Word.INCONCLUSIVE
    assert Ratio("a", "b", least=1.0).word(interval(1.0, 1.3)) == Word.REPRODUCED


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"claimed": 0.5}, "the way round"),
        ({"claimed": 1.0}, "no difference"),
        ({"claimed": 2.0, "least": 2.0}, "it has none"),
        ({"claimed": (2.0, 1.0)}, "lower one first"),
        ({"metric": "p42"}, "p42"),
    ],
)
def test_what_cannot_be_claimed_is_an_error_in_the_script(claim, said):
    with pytest.raises(ValueError, match=said):
        Ratio("a", "b", **claim)


def test_the_rule_names_each_zone():
    assert Ratio("a", "b", claimed=3.0).rule == (
        "NOT REPRODUCED below 1.05, EXAGGERATED 1.05 to 2, REPRODUCED 2 to 5, UNDERSTATED from 5"
    )
    assert rule_of([CLAIM, CLAIM]).count("fast / slow: NOT REPRODUCED below 5") == 2


# ---- Ratios in words -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("estimate", "metric", "said"),
    [
        (2.1, Metric.THROUGHPUT, "2.10× faster"),
        (0.5, Metric.THROUGHPUT, "2.00× slower"),
        (1.01, Metric.THROUGHPUT, "as fast (1.01×)"),
        (3.0, Metric.P99, "3.00× as long"),
        (0.25, Metric.SERVER_CPU, "4.00× less CPU time"),
    ],
)
def test_a_ratio_is_said_the_way_round_that_is_above_1(estimate, metric, said):
    assert faster(interval(estimate * 0.99, estimate * 1.01), metric) == said


@given(st.floats(1e-3, 1e3))
def test_times_are_never_below_1(ratio):
    assert float(times(ratio)[:-1]) >= 1
    assert times(ratio) == times(1 / ratio)


def test_two_arms_without_a_claim_are_compared():
    said = [compared(interval(*ends)) for ends in ((1.1, 2), (0.5, 0.9), (0.97, 1.04), (0.8, 1.2))]
    assert said == ["faster", "slower", "no difference", "not enough data"]
    assert compared(None) == "not enough data"
    said = [compared(interval(*ends), Metric.P99) for ends in ((1.1, 2), (0.5, 0.9), (0.97, 1.04))]
    assert said == ["slower", "faster", "no difference"]


def test_a_percentile_that_a_round_cannot_tell_is_named():
    few = make_arm(make_runs(ROUNDS))
    few = replace(few, rounds=[replace(each, p99_s=None) for each in few.rounds])
    ratio, reasons = weigh(
        {"few": few, "base": make_arm(make_runs(ROUNDS))}, "few", "base", Metric.P99
    )
    assert ratio is None
    assert reasons == ["few has too few answers in a round for its p99: make rounds longer (-z)"]


# ---- Noise is a margin -----------------------------------------------------------------
def disturbed(share: float = 0.0, steal: float = 0.0, **client):
    """Two arms, of which the faster one was disturbed in all rounds."""
    changes = {
        "client": replace(CLIENT, **client),
        "environment": replace(ENVIRONMENT, steal=steal),
        "server": replace(SERVER, cpu_s=0.1),
    }
    fast = make_measured_arm(make_runs([10 * x for x in ROUNDS], **changes))
    return {"fast": fast, "slow": make_measured_arm(make_runs(ROUNDS))}


def test_steal_widens_by_what_it_can_have_taken():
    arms = disturbed(steal=0.05)  # of two cores: at most 10 % of the one that mattered
    found = measure(arms, "fast", "slow")
    assert found.margin == pytest.approx(0.1)
    assert found.judged.high == pytest.approx(found.high / 0.9)
    assert decide(arms, CLAIM).word == Word.REPRODUCED
    assert decide(arms, replace(CLAIM, least=10)).word == Word.INCONCLUSIVE


def test_what_took_nothing_widens_nothing():
    found = measure(disturbed(), "fast", "slow")
    assert (found.margin, found.judged) == (0.0, found.interval)


def test_cpu_time_has_no_margin():
    assert measure(disturbed(steal=0.05), "fast", "slow", Metric.SERVER_CPU).margin == 0.0


def with_p99(disturbed_rounds: int):
    """Two arms of twelve rounds whose p99 differ twofold, and fivefold in disturbed rounds."""
    arms = {name: make_measured_arm(make_runs([100.0] * 12)) for name in ("slow", "quick")}
    for name, p99_s in (("slow", 0.2), ("quick", 0.1)):
        arms[name].rounds[:] = [replace(each, p99_s=p99_s) for each in arms[name].rounds]
    noisy = [replace(x, p99_s=0.5, margin=0.04) for x in arms["slow"].rounds[:disturbed_rounds]]
    arms["slow"].rounds[:disturbed_rounds] = noisy
    return arms


def test_disturbed_rounds_are_left_out_of_a_p99():
    """By what was seen of the machine, and on whichever side."""
    found = measure(with_p99(5), "slow", "quick", Metric.P99)
    assert (found.estimate, found.margin, found.rounds) == (pytest.approx(2), 0.0, 7)
    assert measure(with_p99(5), "quick", "slow", Metric.P99).estimate == pytest.approx(0.5)
    assert measure(with_p99(0), "slow", "quick", Metric.P99).rounds == 12


def test_too_few_calm_rounds_for_a_p99_are_said():
    why = "8 of 12 rounds were disturbed, too many for a p99"
    assert weigh(with_p99(8), "slow", "quick", Metric.P99) == (None, [why])
    verdict = decide(with_p99(8), Ratio("slow", "quick", metric="p99_s"))
    assert (verdict.word, verdict.reasons) == (Word.INCONCLUSIVE, [why])


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 0.5), min_size=7, max_size=7),
    st.lists(st.floats(0, 0.5), min_size=7, max_size=7),
    st.lists(st.floats(0, 1), min_size=14, max_size=14),
)
def test_whatever_was_taken_within_the_margin_the_truth_is_held(lost_over, lost_under, used):
    """Both sides lose any part of what they may have lost; the ratio is 3."""
    sides = [
        [100.0 * factor * (1 - most * part) for most, part in zip(lost, parts, strict=True)]
        for factor, lost, parts in ((3, lost_over, used[:7]), (1, lost_under, used[7:]))
    ]
    arms = {
        name: replace(
            ARM,
            rounds=[
                Round(throughput=value, p50_s=None, p99_s=None, margin=margin)
                for value, margin in zip(values, lost, strict=True)
            ],
        )
        for name, values, lost in zip("ab", sides, (lost_over, lost_under), strict=True)
    }
    found = measure(arms, "a", "b").judged
    assert found.low <= 3.001
    assert found.high >= 2.999


def test_what_limits_one_side_or_both_opens_the_interval():
    limited, free = make_runs([6 * x for x in ROUNDS], client=replace(CLIENT, cpu_s=0.9)), ROUNDS
    arms = {"fast": make_arm(limited), "slow": make_arm(make_runs(free))}
    found = measure(arms, "fast", "slow")
    assert (found.at_least, found.at_most, found.judged.high) == (True, False, math.inf)
    assert decide(arms, CLAIM).word == Word.REPRODUCED
    turned = measure(arms, "slow", "fast")
    assert (turned.at_least, turned.at_most, turned.judged.low) == (False, True, 0.0)
    both = {name: make_arm(limited) for name in ("a", "b")}
    same = measure(both, "a", "b")
    assert (same.at_least, same.at_most) == (True, True)  # that they differ may be hidden
    assert measure(arms, "fast", "slow", subject=["client"]).at_least is False


def test_where_the_client_limits_cpu_time_carries_the_answer():
    busy = replace(CLIENT, cpu_s=0.9)
    cheap = make_runs(ROUNDS, client=busy, server=replace(SERVER, cpu_s=0.1))
    dear = make_runs(ROUNDS, client=busy, server=replace(SERVER, cpu_s=0.3))
    arms = {"fast": make_arm(cheap), "slow": make_arm(dear)}
    found = decide(arms, Ratio("fast", "slow", claimed=3.0))
    assert (found.word, found.by_cpu) == (Word.REPRODUCED, "REPRODUCED")
    cost = next(r for r in found.ratios if r.metric == Metric.SERVER_CPU)
    assert (cost.over, cost.under) == ("slow", "fast")
    assert cost.estimate == pytest.approx(3, rel=0.1)
    unlike = arms | {"fast": replace(arms["fast"], workers=2)}
    assert decide(unlike, Ratio("fast", "slow", claimed=3.0)).word == Word.INCONCLUSIVE


@pytest.mark.parametrize(("cpu_s", "word"), [(0.6, Word.REPRODUCED), (0.1, Word.INCONCLUSIVE)])
def test_beside_a_neighbour_cpu_time_decides_for_servers_that_never_rest(cpu_s, word):
    """A server that ran or waited for a core all the time; and one that mostly slept."""
    noisy = replace(CLIENT, neighbour_busy=0.6)
    arms = {}
    for name, times_as_fast in (("fast", 2), ("slow", 1)):
        runs = [
            make_run(
                [0.01] * 100 * times_as_fast,
                elapsed_s=each,
                client=noisy,
                server=replace(SERVER, cpu_s=cpu_s * each, queued_s=0.35 * each),
            )
            for each in (0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03)
        ]
        arms[name] = make_measured_arm(runs)
    found = decide(arms, Ratio("fast", "slow", least=1.5))
    assert (found.word, found.by_cpu) == (word, "REPRODUCED" if word == Word.REPRODUCED else "")


@pytest.mark.parametrize(
    "changes",
    [
        {"failed": 5},
        {"client": replace(CLIENT, listen_overflows=1)},
        {"server": replace(SERVER, replaced=1)},
    ],
    ids=["failures", "overflows", "restarts"],
)
def test_what_broke_the_measurement_ends_it(changes):
    good = make_runs([6 * x for x in ROUNDS])
    bad = make_runs([6 * x for x in ROUNDS[:1]], **changes)
    arms = {"fast": make_arm([*bad, *good[1:]]), "slow": make_arm(make_runs(ROUNDS))}
    found = decide(arms, CLAIM)
    assert (found.word, found.ratios, found.waits_for) == (Word.INCONCLUSIVE, [], "")
    assert found.reasons[0].startswith("fast, 1 of 7 rounds: ")
    assert weigh(arms, "fast", "slow") == (None, found.reasons)
    said = explain(arms, Cause("fast", "slow", above=1, then="x", otherwise="y"))
    assert "cannot be compared" in said.sentence


# ---- Verdicts --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("one", "two", "word"),
    [
        (6, 6, Word.REPRODUCED),
        (6, 1, Word.NOT_REPRODUCED),
        (6, 5, Word.INCONCLUSIVE),
        (1, 5, Word.NOT_REPRODUCED),
    ],
)
def test_of_several_ratios_the_weakest_word_counts(one, two, word):
    arms = make_arms(fast=one, other=two) | {"slow": make_arm(make_runs(ROUNDS[::-1]))}
    found = decide(arms, [CLAIM, replace(CLAIM, over="other")])
    assert (found.word, len(found.ratios)) == (word, 2)
    assert bool(found.waits_for) == (word == Word.INCONCLUSIVE)
    assert all(ratio.claim for ratio in found.ratios)


def test_every_word_has_its_rank():
    assert set(WEAKEST_FIRST) == set(Word)


def test_what_an_undecided_interval_waits_for():
    arms = make_arms(fast=5.1) | {"slow": make_arm(make_runs(ROUNDS[::-1]))}
    assert decide(arms, CLAIM).waits_for == "interval 4.80–5.42, needs to be above 5"


def measured(estimate, half, **fields):
    ends = {"low": estimate / half, "high": estimate * half}
    return MeasuredRatio(
        over="fast", under="slow", estimate=estimate, claim=True, word="INCONCLUSIVE", **ends,
        **fields,
    )  # fmt: skip


def test_the_time_it_still_takes_grows_with_the_square_of_the_width():
    verdict = decide(make_arms(fast=5, slow=1), CLAIM)
    close, wide = math.log(6 / 5), 2 * math.log(6 / 5)
    for half, times_as_long in ((close, 0), (wide, 3)):
        one = replace(verdict, ratios=[measured(6.0, math.exp(half))])
        assert more_s(one, CLAIM, 10.0) == pytest.approx(10 * times_as_long, abs=1e-6)
    noisy = replace(verdict, ratios=[measured(6.0, 1.3, margin=0.5)])
    assert more_s(noisy, CLAIM, 10.0) == math.inf


def test_too_few_rounds_have_no_verdict():
    arms = {name: make_arm(make_runs([100.0] * 6)) for name in ("fast", "slow")}
    found = decide(arms, CLAIM)
    assert (found.word, "too few rounds" in found.reasons[0]) == (Word.INCONCLUSIVE, True)


FAILED = Outcome(
    "REPRODUCED when one fails, NOT REPRODUCED when none does",
    reproduced=lambda arms: arms["one"].run.failed > 0,
    not_reproduced=lambda arms: arms["one"].run.ok > 0,
)


def outcome(one, subject=("failures",), era="", **more):
    arms = {"one": make_arm(one), "two": make_arm(make_runs(ROUNDS)), **more}
    return decide(arms, FAILED, subject, era)


def test_an_outcome_is_asked_of_the_arms():
    assert outcome(make_runs([100.0], failed=9)).word == Word.REPRODUCED
    assert outcome(make_runs([100.0])).word == Word.NOT_REPRODUCED
    undecided = outcome(make_runs([100.0], latency_s=[]))
    assert "neither way" in undecided.reasons[0]


def test_an_outcome_has_no_margin_so_noise_leaves_it_open():
    broken = outcome(make_runs([100.0], failed=9), subject=())
    assert broken.reasons[0].startswith("one, 1 of 1 rounds: 9 of 109 requests failed")
    noisy = outcome(make_runs([100.0], environment=replace(ENVIRONMENT, steal=0.1)))
    assert (noisy.word, bool(noisy.waits_for)) == (Word.INCONCLUSIVE, True)


def test_an_outcome_then_takes_the_old_arms_for_todays():
    old = {"one" + THEN: make_arm(make_runs([100.0], failed=9))}
    assert outcome(make_runs([100.0]), **old).word == Word.NOT_REPRODUCED
    assert outcome(make_runs([100.0]), era=THEN, **old).word == Word.REPRODUCED


# ---- The reason ------------------------------------------------------------------------
THREADS = Cause(
    "fast", "many", above=0.8, below=1.25, then="as fast ({ratio})", otherwise="{faster}",
    another_reason=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("many", "sentence", "another", "waits"),
    [
        (6, "as fast (1.00×)", True, False),
        (2, "3.00× faster", False, False),
        (4.85, "fast against many is undecided: 1.24× faster, interval 1.17–1.31", False, True),
    ],
)
def test_a_control_arm_tells_another_reason_or_not_or_nothing_yet(many, sentence, another, waits):
    arms = make_arms(many=many) | {"fast": make_arm(make_runs([6 * x for x in ROUNDS[::-1]]))}
    found = explain(arms, THREADS)
    assert (found.sentence, found.is_another) == (sentence, another)
    assert bool(found.waits_for) == waits


def test_a_control_arm_that_was_not_run_says_nothing():
    assert explain(make_arms(fast=6), THREADS) is None


def test_a_cause_needs_a_bound():
    with pytest.raises(ValueError, match="above, below or both"):
        Cause("a", "b", then="x", otherwise="y")

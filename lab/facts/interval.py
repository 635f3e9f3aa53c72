"""How sure a figure is: intervals of ratios, of medians and of percentiles.

No library does this: each of the methods is a few lines, and the sources are named. How they were
chosen, how often they err and how soon they decide is in docs/method.md; tests/facts/simulate.py
makes its tables.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

CONFIDENCE = 0.95
FEWEST_LAUNCHES = 3
FEWEST_BATCHES, BATCHES = 5, 10
SAMPLES_BEYOND = 10  # a percentile with fewer samples beyond it is not told
LAUNCHES_APART = 0.08  # so far apart may two launches of one server be; recorded here: 0 to 7 %
UNSEEN = 0.012  # the chance, at most, that a kind of launch which matters has not been seen
# Variance of the true ratio over that of a launch: of those that were tried (7 to 33) the one
# that still decides large effects at the third launch. Any value gives a valid interval.
PRIOR_VARIANCE = 20.0
STUDENT = (  # the 97.5 % point of Student's t, from 4 degrees of freedom to 18
    2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201,
    2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101,
)  # fmt: skip


@dataclass(frozen=True)
class Interval:
    """An estimate, and the interval that holds the true value with `confidence`."""

    estimate: float  # what was measured
    low: float  # lower end; 0 where it is open
    high: float  # upper end; infinite where it is open
    confidence: float = CONFIDENCE  # chance to hold the true value, at all looks together
    rounds: int = 0  # it rests on so many rounds
    launches: int = 0  # from so many launches of the servers; 0 if those count for nothing

    def inside(self, low: float, high: float) -> bool:
        """Whether the whole interval lies between two bounds, which belong to it."""
        return low <= self.low and self.high <= high

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def widened(self, share: float) -> Interval:
        """Both ends moved outward by the factor 1 + `share`, for a disturbance that can have
        moved the figure so far.
        """
        return replace(self, low=self.low / (1 + share), high=self.high * (1 + share))

    def as_bound(self) -> Interval:
        """The same where something pulled the ratio towards 1: open to the side away from 1,
        and to both if it holds 1. It can show that an effect is there, never that it is small.
        """
        low = self.low if self.low > 1 else 0.0
        high = self.high if self.high < 1 else math.inf
        return replace(self, low=low, high=high)


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The exact interval for the median of `values`, shape (n,), for a single look.

    From the k-th lowest to the k-th highest, with the largest k whose coverage,
    1 - 2 P(Binomial(n, 1/2) < k), is still at least `confidence`. It assumes that the values
    are independent, and nothing of their distribution. None when even k = 1 covers less: 95 %
    takes six values. Source: David and Nagaraja, Order Statistics, 3rd edition, section 7.1.
    """
    n, ordered = len(values), sorted(values)
    k, coverage, outside = 0, 0.0, 0.0
    for candidate in range(1, n // 2 + 1):
        outside += 2 * math.comb(n, candidate - 1) / 2**n
        if 1 - outside < confidence:
            break
        k, coverage = candidate, 1 - outside
    if not k:
        return None
    return Interval(statistics.median(ordered), ordered[k - 1], ordered[n - k], coverage, n)


def ratio_interval(ratios: Sequence[float], launches: Sequence[int]) -> Interval | None:
    """The interval for the true ratio of two servers, valid at every look.

    `ratios`, shape (n,), are each of two measurements of one round; `launches`, shape (n,), says
    of which launch a round was. "Valid at every look" means that the chance that any of the
    intervals, after whichever round or launch, leaves the truth out is at most 5 %: so one may
    look as often as one likes, and stop for what one sees. For one look at a number of rounds
    that was fixed before, `median_interval` is narrower.

    Rounds of one launch share what it was dealt: memory layout, cores, which worker took which
    connection. With three launches or more the launches count, and what is estimated is their
    mean; None for two. With one launch the rounds do, and nothing is said of another launch of
    the same servers. None as well where that is too few, or a ratio is not above 0.
    """
    if len(ratios) == 0 or not all(0 < ratio < math.inf for ratio in ratios):
        return None
    by_launch: dict[int, list[float]] = defaultdict(list)
    for ratio, launch in zip(ratios, launches, strict=True):
        by_launch[launch].append(math.log(ratio))
    if len(by_launch) == 1:
        return _over_rounds(ratios)
    if len(by_launch) < FEWEST_LAUNCHES:
        return None
    medians = [statistics.median(logs) for logs in by_launch.values()]
    mean, n = statistics.fmean(medians), len(medians)
    half = max(_student_factor(n) * statistics.stdev(medians) / math.sqrt(n), _unseen_half(n))
    ends = (math.exp(mean), math.exp(mean - half), math.exp(mean + half))
    return Interval(*ends, rounds=len(ratios), launches=n)


def _student_factor(n: int) -> float:
    """How many standard errors from the mean of n launches the interval reaches.

    The launches' medians, on the logarithm, are taken as independent and normal with unknown
    variance. For the true mean, the Bayes factor of "the mean lies elsewhere, by a normal with
    `PRIOR_VARIANCE` times the variance of a launch" against "here",

        B = g**(-1/2) * ((1 + t²/(n-1)) / (1 + t²/(g * (n-1))))**(n/2),    g = 1 + n * variance,

    is a martingale of mean 1, so it reaches 1/0.05 at any time with a chance of at most 5 %
    (Ville's inequality). The interval is of those means where it has not, solved for t.
    For n = 3 it is 10.3, for 10 4.4, for 60 3.8; Student's own, for a single look, are 4.3, 2.3
    and 2.0. Sources: Wang and Ramdas, Anytime-valid t-tests and confidence sequences for Gaussian
    means with unknown variance, arXiv 2310.03722 (the Gaussian mixture); Gönen and others, The
    Bayesian two-sample t test, The American Statistician 59(3), 2005 (the form of B).
    """
    g = 1 + n * PRIOR_VARIANCE
    x = (g / (1 - CONFIDENCE) ** 2) ** (1 / n)
    return math.sqrt((n - 1) * (x - 1) / (1 - x / g)) if x < g else math.inf


def _unseen_half(n: int) -> float:
    """The least half width after n launches, on the logarithm: for what they did not show.

    Launches are often of two kinds, and three in a row of one kind are no rarity. Where a kind
    with probability p has not come up in n launches, p is at most 1 - UNSEEN**(1/n), or else that
    had a chance below `UNSEEN`; this goes for all n together, since not to have come up in n
    launches includes every number before. Such a kind, `LAUNCHES_APART` away, shifts the mean by
    p times that. 6.2 % for n = 3, 4.2 % for 6, 2.9 % for 10, 0.6 % for 60. Source: the "rule of
    three" of Hanley and Lippman-Hand, If nothing goes wrong, is everything all right?, JAMA
    249(13), 1983, at another level.
    """
    return LAUNCHES_APART * float(1 - UNSEEN ** (1 / n))


def _over_rounds(values: Sequence[float]) -> Interval | None:
    """The interval for the median of `values`, shape (n,), in the order of time; valid at every
    look. None for fewer than seven.

    As `median_interval`, with a smaller k. Of independent values, each lies below the median with
    chance 1/2; the likelihood of s in n below it, mixed over all chances by Beta(1/2, 1/2), over
    that of 1/2 is a martingale of mean 1, and reaches 1/0.05 at any time with a chance of at most
    5 % (Ville's inequality). It assumes nothing of the distribution. Source: Robbins, Statistical
    methods related to the law of the iterated logarithm, Annals of Mathematical Statistics 41(5),
    1970; for quantiles Howard and Ramdas, Bernoulli 28(3), 2022.
    """
    n, ordered, k = len(values), sorted(values), 0
    log_bound = math.log(math.pi / (1 - CONFIDENCE))
    while k < n // 2:
        log_beta = math.lgamma(k + 0.5) + math.lgamma(n - k + 0.5) - math.lgamma(n + 1)
        if n * math.log(2) + log_beta < log_bound:
            break
        k += 1
    if not k:
        return None
    return Interval(statistics.median(ordered), ordered[k - 1], ordered[n - k], rounds=n)


def percentile_interval(
    ranked: Callable[[int], float],
    percentile: float,
    counts: Sequence[int],
    above: Sequence[Sequence[int]],
) -> Interval | None:
    """The interval for a percentile of samples that depend on their neighbours in time.

    `ranked` gives the sample with a rank, from 1 to n (`Histogram.ranked_s`). The samples came in
    B stretches of time of the same length, in order, best of whole seconds: `counts`, shape (B,),
    says how many in each, and `above`, shape (m, B), how many of them exceed this percentile and
    lower ones, a row each; rows of lower ones may be left out.

    The ends are at the ranks np ± t √(np(1-p)D). D, the design effect, is how much more the
    number above varies from stretch to stretch than that of independent samples would: n/D
    samples are effective. The largest D of the rows is taken, since a high percentile rests on a
    few bursts, and does not know of those that did not come. t is Student's for B stretches: 1.96
    if they were many. An end whose rank is not among the samples is open: 0, or infinite. None
    for fewer than ten samples beyond the percentile, or fewer than five stretches. Sources: Law,
    Simulation Modeling and Analysis, 5th edition, section 9.5 (batch means); Kish, Survey
    Sampling, 1965, section 8.2 (design effect); David and Nagaraja, section 7.1 (ranks).
    """
    n, p = sum(counts), percentile / 100
    if len(counts) < FEWEST_BATCHES or n * (1 - p) < SAMPLES_BEYOND - 1e-9:
        return None
    in_batch = _merge_neighbours(counts)
    effect = max(_design_effect(_merge_neighbours(row), in_batch) for row in above)
    half = STUDENT[len(in_batch) - FEWEST_BATCHES] * math.sqrt(n * p * (1 - p) * effect)
    low, high = math.floor(n * p - half), math.ceil(n * p + half) + 1
    return Interval(
        ranked(math.ceil(n * p - 1e-9)),
        ranked(low) if low >= 1 else 0.0,
        ranked(high) if high <= n else math.inf,
    )


def _merge_neighbours(row: Sequence[int]) -> list[int]:
    """The sums of as many neighbours as leave at least ten of them: what is far apart in time
    depends on one another the least.
    """
    each = max(1, len(row) // BATCHES)
    sums = [sum(row[at : at + each]) for at in range(0, len(row) - each + 1, each)]
    sums[-1] += sum(row[len(sums) * each :])
    return sums


def _design_effect(above: Sequence[int], counts: Sequence[int]) -> float:
    """The variance of a share over that of independent samples, from B stretches of time.

    `above` and `counts`, both of shape (B,). The share above is a ratio of sums, so each stretch
    is held against what its own number of samples leads to expect. At least 1.
    """
    n, share, b = sum(counts), sum(above) / sum(counts), len(counts)
    if not 0 < share < 1:
        return 1.0
    surplus = sum((a - share * c) ** 2 for a, c in zip(above, counts, strict=True))
    return max(1.0, surplus * b / (b - 1) / (n * share * (1 - share)))

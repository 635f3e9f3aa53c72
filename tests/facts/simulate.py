"""How often an interval errs, and how soon it decides: the tables of docs/method.md.

    python tests/facts/simulate.py             about two minutes
    python tests/facts/simulate.py --trials 500

Everything is on the logarithm of the ratio, in units of 1 (0.02 is 2 %), and with a fixed seed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from lab.facts import interval as lab

Array = NDArray[np.float64]
Ends = tuple[Array, Array]

SEED = 20261125
LAUNCHES = 60
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)  # 97.5 %


# ---- What is measured ------------------------------------------------------------------------
@dataclass(frozen=True)
class World:
    """How launches and rounds scatter around the truth, which is 0."""

    launch_sd: float = 0.0
    round_sd: float = 0.02
    launches: str = "normal"
    rounds: str = "normal"
    each: int = 3  # rounds in a launch

    def __str__(self) -> str:
        return (
            f"{self.launches}, sd {100 * self.launch_sd:g} %; "
            f"{self.rounds}, sd {100 * self.round_sd:g} %"
        )

    def logs(self, rng: np.random.Generator, trials: int, launches: int = LAUNCHES) -> Array:
        """The logarithms of ratios, shape (trials, launches, rounds)."""
        effect = LAUNCH_KINDS[self.launches](rng, (trials, launches)) * self.launch_sd
        noise = ROUND_KINDS[self.rounds](rng, (trials, launches, self.each)) * self.round_sd
        return effect[:, :, None] + noise


def one_in(share: float) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
    """Launches of two kinds, of which the rarer has this share; mean 0, variance 1."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        rare = rng.random(shape) < share
        return (rare - share) / math.sqrt(share * (1 - share))

    return draw


def like_the_last(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Launches that resemble the one before: a correlation of 0.5."""
    x = rng.standard_normal(shape)
    for i in range(1, shape[1]):
        x[:, i] = 0.5 * x[:, i - 1] + math.sqrt(0.75) * x[:, i]
    return x


def sloping(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A ratio that moves steadily, as much as two sd, while all launches are made."""
    slope = np.linspace(-1, 1, shape[1]) * rng.choice([-1, 1], (shape[0], 1))
    return np.asarray(slope)


LAUNCH_KINDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "two kinds": one_in(1 / 2),
    "two kinds on both sides": lambda rng, shape: (
        (one_in(1 / 2)(rng, shape) + one_in(1 / 2)(rng, shape)) / math.sqrt(2)
    ),
    "1 in 3 unlike": one_in(1 / 3),
    "1 in 5 unlike": one_in(1 / 5),
    "1 in 10 unlike": one_in(1 / 10),
    "skewed": lambda rng, shape: rng.exponential(size=shape) - 1,
    "drifting": sloping,
    "like the last": like_the_last,
}
ROUND_KINDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "1 in 10 five times as wide": lambda rng, shape: (
        rng.standard_normal(shape) * np.where(rng.random(shape) < 0.1, 5, 1)
    ),
    "stalls of either side": lambda rng, shape: (
        rng.standard_normal(shape)
        + rng.exponential(10, shape) * rng.choice([-1, 0, 1], shape, p=[0.05, 0.9, 0.05])
    ),
    "drift in a launch": lambda rng, shape: (
        rng.standard_normal(shape)
        + rng.standard_normal((*shape[:-1], 1)) * (np.arange(shape[-1]) - (shape[-1] - 1) / 2)
    ),
}


# ---- Intervals at every look, of all trials at once ------------------------------------------
def running(values: Array) -> tuple[Array, Array]:
    """Mean and standard error of the first n values of each trial, both of shape (trials, n)."""
    n = np.arange(1, values.shape[1] + 1)
    mean = np.cumsum(values, 1) / n
    squares = np.cumsum(values**2, 1) - n * mean**2
    return mean, np.sqrt(np.maximum(squares, 0) / np.maximum(n - 1, 1) / n)


def over_launches(logs: Array) -> Ends:
    """As `ratio_interval` over launches, at every look from the third launch on."""
    mean, error = running(np.median(logs, 2))
    looks = range(lab.FEWEST_LAUNCHES, logs.shape[1] + 1)
    factor = np.array([lab._student_factor(n) for n in looks])
    least = np.array([lab._unseen_half(n) for n in looks])
    first = lab.FEWEST_LAUNCHES - 1
    half = np.maximum(factor * error[:, first:], least)
    return mean[:, first:] - half, mean[:, first:] + half


def naive(logs: Array) -> Ends:
    """Student's interval, which is made for a single look, at the same looks."""
    mean, error = running(np.median(logs, 2))
    first = lab.FEWEST_LAUNCHES - 1
    t = np.array([STUDENT[n] if n < len(STUDENT) else 2.1 for n in range(2, logs.shape[1])])
    return mean[:, first:] - t * error[:, first:], mean[:, first:] + t * error[:, first:]


def over_rounds(logs: Array) -> Ends:
    """As `ratio_interval` over the rounds of one launch, at every look from the sixth round on."""
    low = np.full(logs.shape, -np.inf)
    high = np.full(logs.shape, np.inf)
    for n in range(6, logs.shape[1] + 1):
        found = lab.ratio_interval(list(range(1, n + 1)), [0] * n)  # its ends are ranks
        if found:
            ordered = np.sort(logs[:, :n], 1)
            low[:, n - 1] = ordered[:, round(found.low) - 1]
            high[:, n - 1] = ordered[:, round(found.high) - 1]
    return low[:, 5:], high[:, 5:]


def ever_wrong(ends: Ends, truth: float = 0.0) -> float:
    """The share of trials in which any of the intervals leaves the truth out."""
    low, high = ends
    return float(((low > truth) | (high < truth)).any(1).mean())


def stops(ends: Ends, zones: Sequence[tuple[float, float]]) -> tuple[Array, Array]:
    """For each trial the look, from 0, at which the interval first lies in one zone, and which;
    the look is infinite where none does.
    """
    low, high = ends
    fits = np.array([(low >= least) & (high <= most) for least, most in zones])
    any_fits = fits.any(0)
    at = np.where(any_fits.any(1), any_fits.argmax(1), np.inf)
    look = np.where(np.isfinite(at), at, 0).astype(int)
    return at, fits[:, np.arange(len(look)), look].argmax(0).astype(float)


# ---- Zones ---------------------------------------------------------------------------------
FIVE = math.log(1.05)
SAME = ((-FIVE, FIVE), (0, math.inf), (-math.inf, 0))
LEAST = ((FIVE, math.inf), (-math.inf, FIVE))


def around(claimed: float) -> tuple[tuple[float, float], ...]:
    """The zones of a claim with a figure: half to twice the gain, below, above."""
    half, twice = math.log(1 + (claimed - 1) / 2), math.log(1 + 2 * (claimed - 1))
    return ((half, twice), (FIVE, half), (twice, math.inf), (-math.inf, FIVE))


@dataclass(frozen=True)
class Question:
    """Two servers, what is asked of them, and the zone that is right."""

    name: str
    ratio: float
    zones: Sequence[tuple[float, float]]
    right: int = 0


OF_CLAIMS = (
    Question("as fast, is it within 5 %?", 1.0, SAME),
    Question("3 % faster, is it above 1.05?", 1.03, LEAST, 1),
    Question("10 % faster, is it above 1.05?", 1.10, LEAST),
    Question("20 % faster, is it above 1.05?", 1.20, LEAST),
    Question("claimed 2×, is 2×", 2.0, around(2.0)),
    Question("claimed 2×, is 1.3×", 1.3, around(2.0), 1),
    Question("claimed 20×, is 20×", 20.0, around(20.0)),
    Question("claimed 20×, is 5×", 5.0, around(20.0), 1),
)
OF_URLS = (
    Question("as fast, within 5 %", 1.0, SAME),
    Question("5 % faster, above 1", 1.05, SAME, 1),
    Question("10 % faster, above 1", 1.10, SAME, 1),
    Question("2× as fast, above 1", 2.0, SAME, 1),
)


# ---- Tables --------------------------------------------------------------------------------
def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


ERROR_WORLDS = (
    *(World(sd, noise) for noise in (0.002, 0.02, 0.1) for sd in (0.0, 0.02, 0.04)),
    World(0.02, 0.02, rounds="1 in 10 five times as wide"),
    World(0.02, 0.01, rounds="stalls of either side"),
    World(0.02, 0.02, rounds="drift in a launch"),
    *(World(sd, 0.002, "two kinds") for sd in (0.01, 0.02, 0.03, 0.04)),
    *(World(0.04, noise, "two kinds") for noise in (0.01, 0.02, 0.05)),
    World(0.02, 0.01, "two kinds", "stalls of either side"),
    *(World(sd, 0.002, "two kinds on both sides") for sd in (0.02, 0.04)),
    World(0.035, 0.002, "1 in 3 unlike"),
    World(0.032, 0.002, "1 in 5 unlike"),
    World(0.024, 0.002, "1 in 10 unlike"),
    World(0.04, 0.002, "skewed"),
    World(0.01, 0.01, "drifting"),
    World(0.01, 0.01, "like the last"),
    World(0.02, 0.002, "like the last"),
    World(0.05, 0.002, "two kinds"),
)


def error_rows(rng: np.random.Generator, trials: int) -> Iterable[Sequence[str]]:
    for world in ERROR_WORLDS:
        cells = []
        for each in (3, 5):
            logs = replace(world, each=each).logs(rng, trials)
            cells.append(percent(ever_wrong(over_launches(logs))))
            if each == 3:
                wrong = ever_wrong(naive(logs))
        yield [*str(world).split("; "), *cells, percent(wrong)]


NOISES = ((0.0, 0.005), (0.01, 0.02), (0.015, 0.02), (0.01, 0.05), (0.02, 0.05), (0.03, 0.1))


def said(at: Array, zone: Array, right: int, first: int, budget: int) -> str:
    """Median, and launches for 90 % of trials; the share that is decided within the budget where
    that is below 99.5 %, and the share decided wrongly where there is one."""
    done = at + first <= budget
    middle, most = (np.quantile(at + first, share, method="higher") for share in (0.5, 0.9))
    words = " / ".join(f"{n:.0f}" if n <= budget else "–" for n in (middle, most))
    if done.mean() < 0.995:
        words += f", {100 * done.mean():.0f} % decided"
    wrong = float((done & (zone != right)).mean())
    return words + (f", {100 * wrong:.1f} % wrong" if wrong else "")


def power_rows(rng: np.random.Generator, trials: int) -> Iterable[Sequence[str]]:
    noises = [World(launch, noise).logs(rng, trials) for launch, noise in NOISES]
    for question in OF_CLAIMS:
        cells = []
        for logs in noises:
            found = stops(over_launches(logs + math.log(question.ratio)), question.zones)
            cells.append(said(*found, question.right, lab.FEWEST_LAUNCHES, LAUNCHES))
        yield [question.name, *cells]


def round_rows(rng: np.random.Generator, trials: int) -> Iterable[Sequence[str]]:
    for kind in ("normal", "1 in 10 five times as wide", "stalls of either side"):
        for noise in (0.01, 0.02, 0.03, 0.05):
            logs = World(0.0, noise, rounds=kind, each=1).logs(rng, trials)[:, :, 0]
            cells = []
            for question in OF_URLS:
                found = stops(over_rounds(logs + math.log(question.ratio)), question.zones)
                cells.append(said(*found, question.right, 6, LAUNCHES))
            yield [kind, f"{100 * noise:g} %", percent(ever_wrong(over_rounds(logs))), *cells]


# ---- Response times --------------------------------------------------------------------------
@dataclass(frozen=True)
class Queue:
    """An M/M/1 queue: arrivals a second, and how busy the server is."""

    rate: float
    busy: float = 0.8

    def __str__(self) -> str:
        return f"M/M/1 queue at {100 * self.busy:.0f} %, {self.rate:g} requests/s"

    def times(self, rng: np.random.Generator, seconds: float) -> tuple[Array, Array]:
        """When the requests of a window came, in s, and their response times, both (n,)."""
        serve = self.rate / self.busy
        n = int(self.rate * (seconds + 5) + 5 * math.sqrt(self.rate * seconds))
        came = np.cumsum(rng.exponential(1 / self.rate, n))
        free = np.cumsum(rng.exponential(1 / serve, n))
        start = np.maximum.accumulate(came - np.concatenate([[0], free[:-1]]))
        took = start + free - came
        began = 3 + 200 / self.rate  # a queue forgets that it began empty
        inside = (came >= began) & (came < began + seconds)
        return came[inside] - began, took[inside]

    def percentile(self, p: float) -> float:
        return -math.log(1 - p / 100) / (self.rate / self.busy - self.rate)


@dataclass(frozen=True)
class Pauses:
    """A server that answers within ms, and stands still for `pause_s` once a second."""

    rate: float
    pause_s: float
    mean_s: float = 0.001

    def __str__(self) -> str:
        return f"{1000 * self.pause_s:g} ms pause a second, {self.rate:g} requests/s"

    def times(self, rng: np.random.Generator, seconds: float) -> tuple[Array, Array]:
        came = np.sort(rng.random(rng.poisson(self.rate * seconds))) * seconds
        into = (came + rng.random()) % 1
        waits = np.maximum(self.pause_s - into, 0)
        return came, waits + rng.exponential(self.mean_s, len(came))

    def percentile(self, p: float) -> float:
        """The time t with P(wait + service <= t) = p, found by halving."""
        low, high = 0.0, self.pause_s + 50 * self.mean_s
        for _ in range(60):
            t = (low + high) / 2
            served = 1 - math.exp(-t / self.mean_s)
            # of those that come in the pause: the mean of 1 - exp(-(t - w) / m) over w below t
            w = min(t, self.pause_s)
            tail = math.exp(-(t - w) / self.mean_s) - math.exp(-t / self.mean_s)
            within = (1 - self.pause_s) * served + w - self.mean_s * tail
            low, high = (t, high) if within < p / 100 else (low, t)
        return low


Server = Queue | Pauses


def percentile_covers(
    rng: np.random.Generator, server: Server, seconds: int, p: float, trials: int, plain: bool
) -> tuple[float, float, float]:
    """The shares of trials whose interval holds the true percentile, and is open above; and how
    far the upper end is above the estimate, on the median. With `plain` of one that takes the
    samples for independent.
    """
    held, ups = [], []
    for _ in range(trials):
        came, took = server.times(rng, seconds)
        counts, above = batches(came, took, seconds, [q for q in (50, 75, 90, 95, 99) if q <= p])
        if plain:
            above = [[0] * seconds]
        ordered = np.sort(took)
        found = lab.percentile_interval(lambda rank: float(ordered[rank - 1]), p, counts, above)  # noqa: B023
        if found:
            held.append(found.holds(server.percentile(p)))
            ups.append(found.high / found.estimate - 1)
    return float(np.mean(held)), float(np.isinf(ups).mean()), float(np.median(ups))


def batches(
    came: Array, took: Array, seconds: int, percentiles: Sequence[float]
) -> tuple[list[int], list[list[int]]]:
    """What `percentile_interval` is given: samples a second, and those above each percentile."""
    ordered, second = np.sort(took), np.floor(came).astype(int)
    cuts = [ordered[math.ceil(len(took) * p / 100) - 1] for p in percentiles]
    above = [np.bincount(second[took > cut], minlength=seconds).tolist() for cut in cuts]
    return np.bincount(second, minlength=seconds).tolist(), above


SERVERS: tuple[tuple[Server, int], ...] = (
    (Queue(800), 10), (Queue(2000), 20), (Queue(300), 30), (Queue(80), 60),
    (Pauses(1000, 0.02), 10), (Pauses(1000, 0.1), 10), (Pauses(1000, 0.1), 30),
)  # fmt: skip


def percentile_rows(rng: np.random.Generator, trials: int) -> Iterable[Sequence[str]]:
    for server, seconds in SERVERS:
        for p in (50, 90, 99):
            held, is_open, up = percentile_covers(rng, server, seconds, p, trials, plain=False)
            plainly, _, _ = percentile_covers(rng, server, seconds, p, trials // 2, plain=True)
            width = f"+{100 * up:.0f} %" if math.isfinite(up) else "open"
            cells = [percent(held), percent(is_open), width, percent(plainly)]
            yield [str(server), f"{seconds} s", f"p{p}", *cells]


Pair = tuple[Server, Server]
RATIO_PAIRS: tuple[Pair, ...] = (
    (Queue(1000), Queue(1000)), (Queue(2000, 0.7), Queue(2000, 0.8)),
    (Pauses(1000, 0.1), Pauses(1000, 0.2)),
)  # fmt: skip
RATIO_ROUNDS, ROUND_S = 10, 4


def ratio_covers(
    rng: np.random.Generator, pair: Pair, p: float, launches: int, trials: int
) -> tuple[float, float]:
    """The share of trials whose interval holds the true ratio of a percentile of two servers,
    and how far its upper end is above the estimate, on the median. Launches differ by 2 %.
    """
    under, over = pair
    truth = over.percentile(p) / under.percentile(p)
    held, ups = [], []
    of_launch = [n * launches // RATIO_ROUNDS for n in range(RATIO_ROUNDS)]
    for _ in range(trials):
        effects = np.exp(0.02 * rng.standard_normal(launches) * (launches > 1))
        ratios = [
            effects[n] * percentile_of(rng, over, p) / percentile_of(rng, under, p)
            for n in of_launch
        ]
        found = lab.ratio_interval(ratios, of_launch)
        assert found
        held.append(found.holds(truth))
        ups.append(found.high / found.estimate - 1)
    return float(np.mean(held)), float(np.median(ups))


def percentile_of(rng: np.random.Generator, server: Server, p: float) -> float:
    """As a round of `ROUND_S` shows it."""
    return float(np.quantile(server.times(rng, ROUND_S)[1], p / 100))


def ratio_rows(rng: np.random.Generator, trials: int) -> Iterable[Sequence[str]]:
    for pair in RATIO_PAIRS:
        for p in (50, 90, 99):
            cells = []
            for launches in (1, 5):
                held, up = ratio_covers(rng, pair, p, launches, trials)
                cells += [percent(held), f"+{100 * up:.0f} %"]
            yield [str(pair[1]), str(pair[0]), f"p{p}", *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=4000, help="of each condition")
    trials = parser.parse_args().trials
    rng = np.random.default_rng(SEED)
    head = ["launches", "rounds", "3 rounds each", "5 rounds each", "Student's, 3 each"]
    print_table(head, error_rows(rng, trials))
    noises = [f"{100 * a:g} % and {100 * b:g} %" for a, b in NOISES]
    print_table(["launches and rounds differ by", *noises], power_rows(rng, trials))
    asked = [question.name for question in OF_URLS]
    print_table(["rounds", "sd", "ever wrong", *asked], round_rows(rng, trials))
    head = ["server", "for", "", "covers", "open above", "upper end", "if independent"]
    print_table(head, percentile_rows(rng, trials // 4))
    head = ["server", "against", "", "10 rounds", "upper end", "5 launches of 2", "upper end"]
    print_table(head, ratio_rows(np.random.default_rng(SEED), trials // 20))


if __name__ == "__main__":
    main()

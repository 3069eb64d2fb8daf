"""Intervals and means of results. Pure functions; random draws have a fixed seed, so that a table is the same each time.

Which function for which question:

* a share of episodes of one agent: :func:`wilson`
* a mean over seeds: :func:`mean_interval`
* a mean over seeds of which a few are far off: :func:`iqm_interval`
* two agents that played the same episodes: :func:`surely_better`
* two arms that were run with the same seeds: :func:`paired_difference`
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

Seed = TypeVar("Seed", bound=Hashable)

# Share of simulated experiments in which the interval of `iqm_interval` held the true value, by number of seeds: the smaller one of
# 20,000 experiments with normal results and 20,000 with exponential results (with five seeds 0.899 and 0.894). The nominal share is
# 0.95. `tests/test_statistics.py` simulates it again.
BOOTSTRAP_COVERAGE = {3: 0.74, 4: 0.87, 5: 0.89, 10: 0.93, 20: 0.94}


def wilson(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a success rate (Wilson 1927), 95 % unless ``z`` says otherwise. It is right near 0 and 1, too.

    Raises:
        ValueError: if there were no trials, or more successes than trials.
    """
    if not 0 <= successes <= trials or not trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    rate = successes / trials
    middle = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2))
    # At 0 and 1 the two terms are equal, but for rounding.
    return max(0.0, middle - half) if successes else 0.0, min(1.0, middle + half) if successes < trials else 1.0


def surely_better(one: Sequence[bool], other: Sequence[bool]) -> bool:
    """Whether the first of two agents succeeds more often on episodes that both played, one after the other.

    Of the episodes that only one of them solved, the first solved more than chance explains: the exact test of McNemar 1947, both
    sides, 5 %.
    """
    only_one = [a for a, b in zip(one, other, strict=True) if a != b]
    as_many = sum(math.comb(len(only_one), more) for more in range(sum(only_one), len(only_one) + 1))
    return 2 * 20 * as_many <= 1 << len(only_one)


def t_probability(t: float, degrees: int) -> float:
    """Share of Student's t distribution that lies between -t and t (Abramowitz and Stegun 1964, equations 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def t_quantile(degrees: int, share: float = 0.95) -> float:
    """The t for which :func:`t_probability` is ``share``, by bisection."""
    low, high = 0.0, 1.0
    while t_probability(high, degrees) < share:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_probability(middle, degrees) < share else (low, middle)
    return high


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds and half the width of its 95 % interval (Student's t). Of one seed nothing is known: the half is infinite."""
    if len(values) == 1:
        return values[0], math.inf
    half = t_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), half


def iqm(values: Sequence[float]) -> float:
    """Interquartile mean: of what is left without the smallest and the largest quarter (both rounded down)."""
    quarter = len(values) // 4
    return statistics.mean(sorted(values)[quarter : len(values) - quarter])


def iqm_interval(values: Sequence[float], draws: int = 2000) -> tuple[float, float, float]:
    """Interquartile mean over seeds and its percentile bootstrap interval (Agarwal et al. 2021, section 4.1).

    It leaves out 2.5 % of the draws on either side, but of few seeds it covers less than 95 %: see :func:`coverage`.

    Returns:
        mean, lower end, upper end.
    """
    rng = random.Random(0)
    means = sorted(iqm(rng.choices(values, k=len(values))) for _ in range(draws))
    return iqm(values), means[int(0.025 * draws)], means[int(0.975 * draws) - 1]


def coverage(seeds: int) -> float:
    """How often an interval of :func:`iqm_interval` holds the true value, about; of a number between two known ones, the lower."""
    return max((share for known, share in BOOTSTRAP_COVERAGE.items() if known <= seeds), default=0.0)


def paired_difference(values: Mapping[Seed, float], control: Mapping[Seed, float]) -> tuple[float, float, int]:
    """Mean over seeds of ``values`` less ``control``, seed by seed, and half the width of its 95 % interval (Student's t).

    What a seed does to both arms alike, such as the skills that they share, cancels.

    Returns:
        mean, half the interval's width, number of seeds that both arms have.

    Raises:
        ValueError: if they have no seed in common.
    """
    shared = [seed for seed in values if seed in control]
    if not shared:
        raise ValueError("no seed in common")
    mean, half = mean_interval([values[seed] - control[seed] for seed in shared])
    return mean, half, len(shared)

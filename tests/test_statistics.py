"""Intervals and means by hand, and what the intervals cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from h_dqn.statistics import (
    BOOTSTRAP_COVERAGE,
    coverage,
    iqm,
    iqm_interval,
    mean_interval,
    paired_difference,
    surely_better,
    t_probability,
    t_quantile,
    wilson,
)


def test_wilson_by_hand() -> None:
    # 8 of 10, z = 1.96: (0.8 + 0.19208) / 1.38416 = 0.7167, half 1.96 / 1.38416 * sqrt(0.016 + 0.009604) = 0.2266.
    # 95 of 100: centre (.95 + z^2/200) / (1 + z^2/100), as tables of the interval give it.
    assert wilson(95, 100) == pytest.approx((0.8883, 0.9785), abs=2e-4)
    assert wilson(8, 10, z=1.96) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == 1
    assert wilson(0, 10)[1] == pytest.approx(1 - wilson(10, 10)[0])


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_cannot_be(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="successes of"):
        wilson(successes, trials)


# Standard tables of Student's t, two-sided 95 %.
@pytest.mark.parametrize(
    ("degrees", "t"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (19, 2.093), (30, 2.042), (1000, 1.962)]
)
def test_quantiles_of_students_t(degrees: int, t: float) -> None:
    assert t_quantile(degrees) == pytest.approx(t, abs=5e-4)


def test_students_t_with_one_and_two_degrees_is_known_in_closed_form() -> None:
    assert t_probability(1.0, 1) == pytest.approx(0.5)  # Cauchy: 2 atan(t) / pi
    assert t_probability(3.0, 2) == pytest.approx(3 / math.sqrt(11))  # t / sqrt(2 + t^2)


def test_mean_interval_by_hand() -> None:
    # Values 1..5: standard deviation sqrt(2.5), t = 2.776, so half the interval is 2.776 * sqrt(2.5 / 5).
    assert mean_interval([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx((3.0, 1.9632), abs=1e-4)
    assert mean_interval([0.7]) == (0.7, math.inf)


def test_the_middle_of_the_seeds() -> None:
    """Of 1..8, the middle half is 3..6; an outlier in the outer half changes nothing."""
    assert iqm([float(n) for n in range(1, 9)]) == 4.5
    assert iqm([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8e9]) == 4.5
    assert iqm([9.0, 1.0, 2.0]) == 4.0  # of three none is left out
    middle, low, high = iqm_interval([3.0, 4.0, 5.0, 4.0, 3.0, 5.0, 4.0, 4.0])
    assert 3 <= low < middle < high <= 5
    assert iqm_interval([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)


def test_a_paired_difference_is_taken_seed_by_seed() -> None:
    """Seeds differ by a hundred, the arms by 1, 2 and 3: half is 4.303 * 1 / sqrt(3)."""
    control = {"1": 0.0, "2": 100.0, "3": 200.0, "4": 300.0}
    mean, half, seeds = paired_difference({"1": 1.0, "2": 102.0, "3": 203.0}, control)
    assert (mean, seeds) == (2.0, 3)
    assert half == pytest.approx(2.4843, abs=1e-3)
    assert paired_difference({"4": 305.0}, control) == (5.0, math.inf, 1)
    with pytest.raises(ValueError, match="no seed in common"):
        paired_difference({"5": 1.0}, control)


def share_covered(seeds: int, experiments: int, draws: int, rng: np.random.Generator) -> float:
    """How often the bootstrap interval of the interquartile mean holds the mean 0 of normal results."""
    quarter = seeds // 4
    values = rng.normal(size=(experiments, 1, seeds))
    index = rng.integers(seeds, size=(experiments, draws, seeds))
    again = np.sort(np.take_along_axis(np.broadcast_to(values, index.shape), index, 2), 2)
    means = np.sort(again[..., quarter : seeds - quarter].mean(2), 1)
    return float(np.mean((means[:, int(0.025 * draws)] <= 0) & (means[:, int(0.975 * draws) - 1] >= 0)))


@pytest.mark.parametrize("seeds", [5, 10])
def test_intervals_are_called_what_they_cover(seeds: int) -> None:
    found = share_covered(seeds, experiments=4000, draws=400, rng=np.random.default_rng(1))
    assert found == pytest.approx(BOOTSTRAP_COVERAGE[seeds], abs=0.02)
    assert found < 0.945, "it is no 95 % interval"


def test_coverage_between_what_was_simulated_is_the_lower() -> None:
    assert coverage(7) == coverage(5) == BOOTSTRAP_COVERAGE[5]
    assert coverage(100) == BOOTSTRAP_COVERAGE[20]
    assert coverage(2) == 0


@pytest.mark.parametrize(
    ("first", "second", "sure"), [(6, 0, True), (5, 0, False), (9, 1, True), (8, 2, False), (0, 6, False), (0, 0, False)]
)
def test_episodes_that_only_one_solved_tell_who_is_better(first: int, second: int, sure: bool) -> None:
    """By hand: 2/64, 2/32, 22/1024 and 112/1024 of all ways to share them out are as uneven."""
    one = [True] * first + [False] * second + [True] * 90 + [False] * 7
    other = [False] * first + [True] * second + [True] * 90 + [False] * 7
    assert surely_better(one, other) is sure

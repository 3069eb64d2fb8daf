"""Metrics of lifelong learning against numbers worked out by hand, and the mistakes that were found in others' code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from h_dqn.lifelong_metrics import (
    adaptation_time,
    area,
    average_performance,
    backward_transfer,
    by_phase,
    forgetting,
    forward_transfer,
    isolated_forgetting,
    isolated_zero_shot_transfer,
    last_performance,
    mean_forgetting,
    newest_task_areas,
    savings,
    slope,
    zero_shot_transfer,
)
from h_dqn.plasticity import dormant_share, effective_rank, srank, stable_rank

A = np.array([[0.10, 0.05, 0.00], [0.90, 0.20, 0.10], [0.70, 0.80, 0.30], [0.60, 0.75, 0.95]])
AREA, SCRATCH = np.array([0.6, 0.65, 0.85]), np.array([0.6, 0.4, 0.475])
TENS = np.arange(1, 8) * 10_000
CURVE = np.array([0.2, 0.5, 0.91, 0.85, 0.92, 0.93, 0.95])


# --- worked numbers --------------------------------------------------------------------------------------------------


def test_at_the_end() -> None:
    assert average_performance(A) == pytest.approx(2.3 / 3)
    assert average_performance(A, np.array([0.6, 1.0, 1.0])) == pytest.approx(2.7 / 3)
    assert forgetting(A) == pytest.approx([0.30, 0.05, 0])
    assert mean_forgetting(A, with_last=False) == pytest.approx(0.175)
    assert mean_forgetting(A, with_last=True) == pytest.approx(0.35 / 3)
    assert backward_transfer(A) == pytest.approx(-0.175)
    assert zero_shot_transfer(A) == pytest.approx(0.225)


def test_in_isolation() -> None:
    lost, won = isolated_forgetting(A), isolated_zero_shot_transfer(A)
    assert lost[0, 1] == pytest.approx(0.2)
    assert lost[0, 2] == pytest.approx(0.1)
    assert lost[1, 2] == pytest.approx(0.05)
    assert np.nanmean(lost) == pytest.approx(0.35 / 3)
    assert won[1, 0] == pytest.approx(0.15)
    assert won[2, 0] == pytest.approx(0.10)
    assert won[2, 1] == pytest.approx(0.20)
    assert np.nanmean(won) == pytest.approx(0.15)
    assert np.isfinite(lost).sum() == np.isfinite(won).sum() == 3


def test_forward_transfer() -> None:
    for headroom in (0.0, 0.1):
        found = forward_transfer(AREA, SCRATCH, headroom)
        assert found == pytest.approx([0, 0.25 / 0.6, 0.375 / 0.525])
        assert found.mean() == pytest.approx(0.377, abs=5e-4)


def test_forward_transfer_does_not_explode_where_scratch_is_near_perfect() -> None:
    assert forward_transfer(np.array([0.97]), np.array([0.99]), headroom=0)[0] == pytest.approx(-2.0)
    assert forward_transfer(np.array([0.97]), np.array([0.99]))[0] == pytest.approx(-0.2)
    assert forward_transfer(np.array([0.5]), np.array([1.0]))[0] == pytest.approx(-5.0)
    with pytest.raises(ValueError, match="no room for transfer"):
        forward_transfer(np.array([0.97]), np.array([1.0]), headroom=0)


def test_the_mean_over_seeds_comes_before_the_ratio() -> None:
    a, b = np.array([[0.9], [0.5]]), np.array([[0.8], [0.2]])
    assert forward_transfer(a.mean(0), b.mean(0))[0] == pytest.approx(0.40)
    ratios = [forward_transfer(one, other)[0] for one, other in zip(a, b, strict=True)]
    assert np.mean(ratios) == pytest.approx(0.4375)


def test_other_suites_transfer_is_another_number() -> None:
    ours = forward_transfer(AREA, SCRATCH).mean()
    coom = (AREA - SCRATCH).sum() / (1 - SCRATCH).sum()
    meal = (AREA - SCRATCH) / SCRATCH
    assert coom == pytest.approx(0.410, abs=5e-4)
    assert meal == pytest.approx([0, 0.625, 0.789], abs=5e-4)
    assert ours not in (pytest.approx(coom), pytest.approx(meal.mean()))


def test_time_to_adapt() -> None:
    assert adaptation_time(TENS, CURVE, 1.0) == 50_000, "the .91 was not held"
    assert adaptation_time(TENS, CURVE, 1.0, hold=1) == 30_000
    assert adaptation_time(TENS, CURVE, 0.5) == 20_000
    assert adaptation_time(TENS[:6], CURVE[:6], 1.0) is None, "not yet held"
    assert adaptation_time(TENS[:2], CURVE[:2], 1.0) is None
    assert adaptation_time(np.arange(3), np.full(3, 0.9), 1.0) == 0, "reached exactly"


def test_savings() -> None:
    assert savings(200_000, 50_000) == pytest.approx(0.75)
    assert savings(200_000, 0) == 1
    assert savings(100, 150) == pytest.approx(-0.5)
    assert savings(None, 50_000) is None
    assert savings(200_000, None) is None, "that it was not reached in time is no number"


def test_newest_tasks_and_their_slope() -> None:
    found = newest_task_areas(np.array([0.8, 0.6, 0.4]), np.array([0.8, 0.8, 0.8]))
    assert found == pytest.approx([1, 0.75, 0.5])
    assert slope(found) == pytest.approx(-0.25)
    assert slope(np.array([1.0, 3.0, 2.0])) == pytest.approx(np.polyfit([0, 1, 2], [1.0, 3.0, 2.0], 1)[0])


def test_tasks_that_come_again_count_once_a_phase() -> None:
    twice = np.array([[0.0, 0.0], [0.9, 0.1], [0.5, 0.8], [1.0, 0.6], [0.7, 0.9]])  # of two tasks, in the phases 0 1 0 1
    found = by_phase(twice, np.array([0, 1, 0, 1]))
    assert found.shape == (5, 4)
    assert forgetting(found) == pytest.approx([0.2, -0.1, 0.3, 0])
    assert average_performance(found) == pytest.approx(0.8)


# --- others' mistakes ------------------------------------------------------------------------------------------------


def test_average_performance_is_that_at_the_end_and_a_zero_counts() -> None:
    """COOM averages over all periods since a task began, and drops exact zeros as if they were missing."""
    success = np.array([[0, 0, 0], [0.8, 0, 0], [0, 0.6, 0], [0, 0, 0.7]])
    since = [success[j + 1 :, j] for j in range(3)]
    assert np.mean([each[each > 0].mean() for each in since]) == pytest.approx(0.70)
    assert np.concatenate(since).mean() == pytest.approx(0.35)
    assert average_performance(success) == pytest.approx(0.7 / 3)


def test_a_missing_evaluation_is_an_error_and_no_gap_to_draw_a_line_across() -> None:
    """CompoNet's areas go straight across what was masked: 1 0 0 0 1 against 0 1 1 1 0 becomes +2; it is -2."""
    steps, one, other = np.arange(5), np.array([1.0, 0, 0, 0, 1]), np.array([0.0, 1, 1, 1, 0])
    assert 4 * (area(steps, one) - area(steps, other)) == pytest.approx(-2)
    masked = np.where(one > 0, one, np.nan)
    with pytest.raises(ValueError, match="none of them missing"):
        area(steps, masked)
    with pytest.raises(ValueError, match="none of them missing"):
        average_performance(np.where(A > 0.9, np.nan, A))


def test_a_threshold_is_made_of_the_reference_alone() -> None:
    """CompoNet's is the mean of all methods of the table, so that a bad one lifts the others, and of all but the last points."""
    reference = np.array([0.1] * 95 + [0.9] * 5)
    assert last_performance(reference) == pytest.approx(0.9)
    assert last_performance(reference, 100) == pytest.approx(0.14)
    told = adaptation_time(TENS, CURVE, last_performance(reference))
    others = [last_performance(reference), 0.0]  # a method that learns nothing joins the table
    assert told == 30_000
    assert adaptation_time(TENS, CURVE, float(np.mean(others))) == 20_000, "which would have made ours adapt sooner"


def test_zero_shot_transfer_is_against_right_before_the_phase() -> None:
    """CORA's is against one first point of the run."""
    other = A.copy()
    other[0, 2] = 0.09
    assert isolated_zero_shot_transfer(other)[2, 1] == isolated_zero_shot_transfer(A)[2, 1]
    assert isolated_zero_shot_transfer(other)[2, 0] != isolated_zero_shot_transfer(A)[2, 0]


# --- for any matrix --------------------------------------------------------------------------------------------------

MATRICES = st.integers(1, 5).flatmap(lambda n: arrays(np.float64, (n + 1, n), elements=st.floats(0, 1, width=32)))


@given(MATRICES)
def test_what_is_lost_in_each_phase_adds_up_to_what_is_forgotten(success: np.ndarray) -> None:
    assert np.nansum(isolated_forgetting(success), 1) == pytest.approx(forgetting(success), abs=1e-9)


@given(MATRICES)
def test_slow_twins(success: np.ndarray) -> None:
    n = success.shape[1]
    lost = [success[i + 1, i] - success[n, i] for i in range(n)]
    assert mean_forgetting(success, with_last=True) == pytest.approx(sum(lost) / n)
    won = [success[j, j] - success[0, j] for j in range(1, n)]
    if n > 1:
        assert backward_transfer(success) == pytest.approx(-sum(lost[:-1]) / (n - 1))
        assert zero_shot_transfer(success) == pytest.approx(sum(won) / (n - 1))
    else:
        assert math.isnan(backward_transfer(success))
        assert math.isnan(zero_shot_transfer(success))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: average_performance(A[1:]), "3 tasks need 4 rows of evaluations, not 3"),
        (lambda: average_performance(A * 2), "success must be from 0 to 1"),
        (lambda: average_performance(A, np.zeros(3)), "a reference of 0"),
        (lambda: average_performance(A, np.ones(2)), "reference must be 3 numbers, not 2"),
        (lambda: area(np.array([0, 0]), np.ones(2)), "environment steps, which grow"),
        (lambda: area(np.arange(3), np.ones(2)), "environment steps, which grow"),
        (lambda: area(np.arange(0), np.ones(0)), "none of them missing"),
        (lambda: adaptation_time(TENS, CURVE, 0), "is no threshold"),
        (lambda: adaptation_time(TENS, CURVE, 1, hold=0), "is no threshold"),
        (lambda: savings(0, 5), "are no times"),
        (lambda: slope(np.ones(1)), "two phases"),
        (lambda: last_performance(CURVE, 8), "the last 8 of 7"),
        (lambda: newest_task_areas(AREA, np.zeros(3)), "a reference of 0"),
        (lambda: by_phase(A, np.array([0, 1])), "do not fit"),
        (lambda: by_phase(A, np.array([0, 1, 3])), "do not fit"),
        (lambda: dormant_share(torch.ones(3)), "must be numbers of several units"),
        (lambda: srank(torch.ones(3, 3), 0), "a share of 0 is none"),
    ],
)  # fmt: skip
def test_what_is_no_such_thing_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


# --- networks --------------------------------------------------------------------------------------------------------


def test_dormant_units() -> None:
    mean = torch.tensor([0, 0.01, 0.5, 1.2, 0.04])
    activation = torch.stack([mean * 2, torch.zeros(5), -mean, -mean])  # (4, 5), of which the mean size is ``mean``
    assert dormant_share(activation) == pytest.approx(1 / 5)
    assert dormant_share(activation, 0.1) == pytest.approx(2 / 5)
    assert dormant_share(activation, 0) == pytest.approx(1 / 5)
    assert dormant_share(100 * activation, 0.1) == pytest.approx(2 / 5), "whatever the layer's scale"
    assert dormant_share(torch.zeros(3, 4)) == 1


def rotated(sigma: list[float], rows: int = 8) -> torch.Tensor:
    """A matrix with these singular values, in no special direction."""
    draw = torch.Generator().manual_seed(1)
    left, _ = torch.linalg.qr(torch.randn(rows, len(sigma), generator=draw, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(len(sigma), len(sigma), generator=draw, dtype=torch.float64))
    made: torch.Tensor = left @ torch.diag(torch.tensor(sigma, dtype=torch.float64)) @ right.T
    return made


def test_ranks() -> None:
    feature = rotated([5, 3, 1, 0.5, 0.1])
    assert srank(feature) == 5
    assert srank(feature, 0.98) == 4
    assert effective_rank(feature) == pytest.approx(3.13, abs=5e-3)
    assert stable_rank(feature) == pytest.approx(35.26 / 25)
    for rank in (srank, effective_rank, stable_rank):
        assert rank(feature * 7) == pytest.approx(rank(feature))
        assert rank(torch.eye(4)) == pytest.approx(4)
        assert rank(torch.ones(6, 3)) == pytest.approx(1)
        assert rank(torch.zeros(6, 3)) == 0

"""Figures with their intervals, as the tables say them.

* ``a ± b``: mean over seeds and half its 95 % interval (Student's t)
* ``a (b to c)``: interquartile mean over seeds and its bootstrap interval, which covers 89 % with five seeds and 93 % with ten (see
  :data:`h_dqn.statistics.BOOTSTRAP_COVERAGE`); or, of one run, a share of episodes and its 95 % interval (Wilson)
* ``+a (b to c)``: mean difference from a control with the same seeds, and its 95 % interval (Student's t)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.tables.table import Cell, cell
from h_dqn.statistics import coverage, iqm_interval, mean_interval, paired_difference

Arm = dict[str, Any]  # of reproduce.py: per_seed, runs


def rate(values: Sequence[float], worst: bool = True) -> str:
    """Mean success over seeds, its interval, and the worst seed. An interval of no width, where all are alike, would mislead."""
    if len(values) == 1:
        return f"{values[0]:.1%} (one seed)"
    if min(values) == max(values):
        return f"{values[0]:.1%} on each of {len(values)} seeds"
    mean, half = mean_interval(values)
    return f"{mean:.1%} ± {half:.1%}" + f" (worst {min(values):.1%})" * worst


def success(arm: Arm | None) -> Cell:
    """Mean success of an arm; nothing where it was not measured."""
    return cell(rate(list(arm["per_seed"].values())), arm) if arm else Cell("")


def middle(values: Sequence[float], form: str) -> str:
    """Interquartile mean over seeds and its interval, each written by ``form``."""
    if len(values) == 1:
        return f"{format(values[0], form)} (one seed)"
    if min(values) == max(values):
        return f"{format(values[0], form)} on each of {len(values)} seeds"
    return "{} ({} to {})".format(*(format(value, form) for value in iqm_interval(values)))


def covers(seeds: int) -> str:
    """What an interval of :func:`middle` covers, for a table's head."""
    return f"{coverage(seeds):.0%} interval"


def share(arm: Arm) -> Cell:
    """Success of a single run, with its interval over episodes."""
    (run,) = arm["runs"].values()
    return cell(wilson(run), arm)


def wilson(run: dict[str, Any]) -> str:
    low, high = run["ci95"]
    return f"{run['success_rate']:.1%} ({low:.1%} to {high:.1%})"


def difference(arm: Arm, control: Arm) -> Cell:
    """Points of success more than the control, paired by seed."""
    mean, half, seeds = paired_difference(arm["per_seed"], control["per_seed"])
    if seeds == 1:
        return cell(f"{100 * mean:+.1f} (one seed)", arm, control)
    return cell(f"{100 * mean:+.1f} ({100 * (mean - half):+.1f} to {100 * (mean + half):+.1f})", arm, control)


def steps_to_95(arm: Arm) -> str:
    """Environment steps to 95 % in validation: interquartile mean and interval.

    Seeds that never got there count to their end, which is a lower bound if over a quarter of them did not.
    """
    runs = list(arm["runs"].values())
    never = sum(run["env_steps_to_95"] is None for run in runs)
    if never == len(runs):
        return f"never in {runs[0]['env_steps']:,}"
    values = [float(run["env_steps_to_95"] or run["env_steps"]) for run in runs]
    if len(runs) == 1:
        return f"{values[0]:,.0f} (one seed)"
    mean, low, high = iqm_interval(values)
    interval = f"{'more than ' * (4 * never > len(runs))}{mean:,.0f} ({low:,.0f} to {high:,.0f})"
    return f"{interval}; {never} of {len(runs)} seeds never" if never else interval

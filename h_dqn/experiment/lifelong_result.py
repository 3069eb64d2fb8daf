"""From the evaluations of a life to what is reported of it: the task-by-time matrix, curves and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import h_dqn.lifelong_metrics as metrics
from h_dqn.evaluation import Evaluation
from h_dqn.experiment.errors import UserError
from h_dqn.reading import read_json, short
from h_dqn.report import plain

LIFELONG = "lifelong.json"
LARGEST = 64 << 20  # bytes of it
BEST = 0.01  # least success of scratch that anything is divided by
DRAWS = 1000  # of a bootstrap
PARTS = {
    "plan": dict,
    "tasks": list,
    "stages": list,
    "noticed": dict,
    "metrics": dict,
    "ledger": dict,
}  # of the file, beside phases
# What the metrics that are one number say, for people.
ABOUT = {
    "average_performance": "mean success on all tasks at the end",
    "forgetting": "success at the end of a task's phase less that at the end of the life; mean of all phases but the last",
    "forgetting_with_last": "the same with the last phase, which cannot be forgotten yet",
    "backward_transfer": "forgetting with the other sign",
    "zero_shot_transfer": "success on a task right before its phase less that of the untrained agent",
    "isolated_forgetting": "what one later phase takes from a task, mean",
    "isolated_zero_shot_transfer": "what one earlier phase gives to a task, mean",
    "performance_of_scratch": "success at the end over that of an agent that learned the task alone, mean",
    "forward_transfer_new": "how much better new tasks are learned than from scratch, of what is possible",
    "forward_transfer_again": "the same of tasks that come again",
    "newest_task_slope": "change a phase of how well the newest task is learned, relative to scratch",
    "probe_slope": "change a probe of how well a clone with a fresh head learns a task of no phase",
}


@dataclass(frozen=True)
class Seen:
    """One evaluation of all T tasks, with weights as they were."""

    env_steps: int
    """since the beginning of the life, trials included"""
    phase: int
    """in which it was made; -1 before any"""
    phase_steps: int
    """since that phase began"""
    end: bool
    """whether the phase ended with it"""
    success: tuple[float, ...]
    """(T,)"""
    outcomes: tuple[str, ...] = ()
    """of each task, where the phase ended: a 1 for each episode that succeeded, a 0 for any other, in the order of their seeds"""

    @classmethod
    def of(cls, env_steps: int, phase: int, phase_steps: int, end: bool, played: Sequence[Evaluation]) -> Seen:
        """What was played of each task."""
        outcomes = tuple("".join("01"[won] for won in one.by_episode) for one in played) if end else ()
        return cls(env_steps, phase, phase_steps, end, tuple(one.success_rate for one in played), outcomes)

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Seen:
        """What ``asdict`` made of one, lists where tuples were."""
        return cls(**{**entry, "success": tuple(entry["success"]), "outcomes": tuple(entry.get("outcomes", ()))})


class Curve(NamedTuple):
    """Success on one task while it was learned."""

    env_steps: NDArray[np.int64]  # (E,) since its phase began
    success: NDArray[np.float64]  # (E,)

    def until(self, env_steps: int) -> Curve:
        """The same up to so many steps, with the value there by interpolation; of one that ends before, the last."""
        before = self.env_steps < env_steps
        last = float(np.interp(env_steps, self.env_steps, self.success))
        return Curve(np.append(self.env_steps[before], env_steps), np.append(self.success[before], last))


def matrix(seen: Sequence[Seen]) -> NDArray[np.float64]:
    """(I + 1, T): success on each task before any learning and after each phase."""
    return np.array([one.success for one in seen if one.end])


def curve(seen: Sequence[Seen], phase: int, task: int) -> Curve:
    """Success on ``task`` in a phase, from the evaluation on that the phase before ended with."""
    first = [one for one in seen if one.phase == phase - 1 and one.end]
    inside = [one for one in seen if one.phase == phase]
    steps = [0 for _ in first] + [one.phase_steps for one in inside]
    return Curve(np.array(steps, np.int64), np.array([one.success[task] for one in (*first, *inside)]))


def figures(
    seen: Sequence[Seen], task_of: Sequence[int], budgets: Sequence[int], scratch: Mapping[int, Curve] | None = None
) -> dict[str, Any]:
    """The metrics of :mod:`h_dqn.lifelong_metrics`, by name; None where one is not defined.

    Args:
        seen: the evaluations, in their order.
        task_of: (I,) the task of each phase.
        budgets: (I,) environment steps of each phase, up to which areas are. Who stopped learning before, stays as it was then.
        scratch: of each task, the curve of an agent that learned it alone; without it what is relative to that is left out.
    """
    success_IT = matrix(seen)
    curves = [curve(seen, phase, task).until(budgets[phase]) for phase, task in enumerate(task_of)]
    found: dict[str, Any] = {
        **of_matrix(success_IT, task_of),
        "areas": [metrics.area(*one) for one in curves],
        "newest_success": [float(one.success[-1]) for one in curves],
    }
    json: dict[str, Any] = plain({**found, **(_relative(success_IT[-1], task_of, curves, scratch) if scratch else {})})
    return json


def of_matrix(success_IT: NDArray[np.float64], task_of: Sequence[int]) -> dict[str, float | None]:
    """The metrics of the task-by-time matrix (I + 1, T) alone, and of the task of each phase (I,)."""
    success_IJ = metrics.by_phase(success_IT, np.array(task_of, np.int64))
    found = {
        "average_performance": float(success_IT[-1].mean()),
        "forgetting": metrics.mean_forgetting(success_IJ, with_last=False),
        "forgetting_with_last": metrics.mean_forgetting(success_IJ, with_last=True),
        "backward_transfer": metrics.backward_transfer(success_IJ),
        "zero_shot_transfer": metrics.zero_shot_transfer(success_IJ),
        "isolated_forgetting": _mean(metrics.isolated_forgetting(success_IJ)),
        "isolated_zero_shot_transfer": _mean(metrics.isolated_zero_shot_transfer(success_IJ)),
    }
    return {name: value if value is not None and isfinite(value) else None for name, value in found.items()}


def intervals(seen: Sequence[Seen], task_of: Sequence[int], draws: int = DRAWS) -> dict[str, tuple[float, float]]:
    """95 % intervals of the metrics of the matrix over the episodes by which it was measured (percentile bootstrap).

    Each evaluation plays the same episodes of a task: one draw of them is of all phases alike, so that the difference of two phases
    is one of pairs. What another seed of the agent would have done is not in them. Empty for a life whose episodes were not kept.
    """
    kept = [one.outcomes for one in seen if one.end]
    if not all(kept):
        return {}
    outcomes_TIE = np.array([[[letter == "1" for letter in one[task]] for one in kept] for task in range(len(kept[0]))], np.float64)
    rng, episodes = np.random.default_rng(0), outcomes_TIE.shape[2]
    found: dict[str, list[float]] = {}
    for _ in range(draws):
        drawn_TE = rng.multinomial(episodes, np.full(episodes, 1 / episodes), len(outcomes_TIE)) / episodes
        success_IT = np.clip(np.einsum("tie,te->it", outcomes_TIE, drawn_TE), 0, 1)
        for name, value in of_matrix(success_IT, task_of).items():
            if value is not None:
                found.setdefault(name, []).append(value)
    return {name: (float(low), float(high)) for name, values in found.items() for low, high in [np.percentile(values, (2.5, 97.5))]}


def _relative(
    final_T: NDArray[np.float64], task_of: Sequence[int], curves: Sequence[Curve], scratch: Mapping[int, Curve]
) -> dict[str, Any]:
    """What compares with scratch, which had no more steps for a task than this phase has."""
    alone = [scratch[task].until(int(one.env_steps[-1])) for task, one in zip(task_of, curves, strict=True)]
    areas, scratch_areas = (np.array([metrics.area(*one) for one in both]) for both in (curves, alone))
    transfer = metrics.forward_transfer(areas, scratch_areas)
    best = {task: float(one.success[-1]) for task, one in scratch.items()}
    times = [metrics.adaptation_time(*one, best[task]) if best[task] >= BEST else None
             for task, one in zip(task_of, curves, strict=True)]  # fmt: skip
    scratch_times = {task: metrics.adaptation_time(*one, best[task]) if best[task] >= BEST else None
                     for task, one in scratch.items()}  # fmt: skip
    first = [task_of.index(task) for task in task_of]
    again = [phase for phase in range(len(task_of)) if first[phase] < phase]
    new = [phase for phase in range(1, len(task_of)) if first[phase] == phase]
    played = sorted(set(task_of))
    reference = np.maximum([best[task] for task in played], BEST)
    newest = areas / np.maximum(scratch_areas, BEST)
    return {
        "performance_of_scratch": float((final_T[played] / reference).mean()),
        "forward_transfer": transfer.tolist(),
        "forward_transfer_new": _mean(transfer[new]),
        "forward_transfer_again": _mean(transfer[again]),
        "newest_task_areas": newest.tolist(),
        "newest_task_slope": metrics.slope(newest) if len(newest) > 1 else None,
        "adaptation_time": times,
        "scratch_time": [scratch_times[task] for task in task_of],
        "savings": {str(phase): metrics.savings(scratch_times[task_of[phase]], times[phase]) for phase in again},
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    there = values[np.isfinite(values)]
    return float(there.mean()) if there.size else None


def read_lifelong(folder: Path) -> dict[str, Any]:
    """What a life wrote. Raises :class:`UserError` for what is none."""
    file = folder / LIFELONG
    try:
        entry = read_json(file, LARGEST)
        tasks, phases = entry["tasks"], entry["phases"]
        for name, kind in PARTS.items():
            if not isinstance(entry.get(name), kind):
                raise ValueError(f"'{name}' is missing, or none")
        entry["seen"] = [_seen(one, len(tasks), len(phases)) for one in entry["evaluations"]]
        if not all(isinstance(one["task"], int) and 0 <= one["task"] < len(tasks) for one in phases):
            raise ValueError("a phase is of no task")
        if [one.phase for one in entry["seen"] if one.end] != list(range(-1, len(phases))):
            raise ValueError("the end of a phase is missing")
        if len({len(outcomes) for one in entry["seen"] for outcomes in one.outcomes}) > 1:
            raise ValueError("evaluations at the end of phases differ in their episodes")
        return dict(entry)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{file}: is no result of h-dqn lifelong ({short(error)})") from error


def _seen(entry: Mapping[str, Any], tasks: int, phases: int) -> Seen:
    one = Seen.read(entry)
    whole = all(type(value) is int for value in (one.env_steps, one.phase, one.phase_steps)) and type(one.end) is bool
    rates = len(one.success) == tasks and all(type(rate) in (int, float) and 0 <= rate <= 1 for rate in one.success)
    known = len(one.outcomes) in (0, tasks) and all(type(text) is str and not text.strip("01") for text in one.outcomes)
    if not whole or not rates or not known or not -1 <= one.phase < phases or one.phase_steps < 0:
        raise ValueError("an evaluation is none")
    return one


def scratch_curves(life: Mapping[str, Any], hashes: Sequence[str]) -> dict[int, Curve]:
    """Of a life of the agent that learns each task from scratch, the curve of each of these tasks, the first time that it came.

    Raises :class:`UserError` where it met others.
    """
    theirs = [task["hash"] for task in life["tasks"]]
    task_of = [phase["task"] for phase in life["phases"]]
    found = {}
    for task, name in enumerate(hashes):
        if name not in theirs or theirs.index(name) not in task_of:
            raise UserError("the life from scratch is one of other tasks")
        number = theirs.index(name)
        found[task] = curve(life["seen"], task_of.index(number), number)
    return found

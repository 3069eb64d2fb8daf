"""How well an agent lives through a sequence of tasks: pure functions of what was evaluated.

Most take the matrix of successes (I + 1, J): row i is the evaluation of every task after phase i, row 0 that before any learning,
and task j is the one that was learned in phase j + 1. A sequence in which tasks come again is put into this form by
:func:`by_phase`. Suites call different things by one name: each function says whose definition it is, and what it is not.

All raise ValueError for what is no such matrix or curve; a missing evaluation is never passed over, as an average over what is
there would be another metric.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HEADROOM = 0.1  # least distance to a perfect score that transfer is measured against


def by_phase(success_IT: Floats, task_I: NDArray[np.int64]) -> Floats:
    """(I + 1, I): a column for each phase, that of its task, from a column for each task (I + 1, T).

    ``task_I``: (I,) the task of each phase. Continual World's CW20 counts its tasks so: each of ten twice (Wolczyk et al. 2021).
    """
    task_I = np.asarray(task_I)
    success_IT = _numbers("success", success_IT, 2)
    if task_I.ndim != 1 or not np.issubdtype(task_I.dtype, np.integer):
        raise ValueError("task_I must be the whole number of a task for each phase")
    if len(success_IT) != len(task_I) + 1 or not ((task_I >= 0) & (task_I < success_IT.shape[1])).all():
        raise ValueError(f"{len(success_IT)} rows and {success_IT.shape[1]} tasks do not fit phases of {task_I.tolist()}")
    return _matrix(success_IT[:, task_I])


# --- at the end ------------------------------------------------------------------------------------------------------


def last_performance(success_E: Floats, last: int = 5) -> float:
    """Mean of the newest ``last`` evaluations of a curve (E,), as Continual World evaluates at the end (5 there)."""
    success_E = _numbers("success", success_E, 1)
    if not 1 <= last <= len(success_E):
        raise ValueError(f"the last {last} of {len(success_E)} evaluations")
    return float(success_E[-last:].mean())


def average_performance(success_IJ: Floats, reference_J: Floats | None = None) -> float:
    """Mean over all tasks of the success after the last phase (Continual World; Wolczyk et al. 2021).

    ``reference_J``: (J,) what each is divided by, such as the success of an agent that learned this task alone.
    """
    final_J = _matrix(success_IJ)[-1]
    if reference_J is None:
        return float(final_J.mean())
    reference_J = _like(final_J, "reference", reference_J)
    if (reference_J <= 0).any():
        raise ValueError("a reference of 0 cannot be divided by")
    return float((final_J / reference_J).mean())


def forgetting(success_IJ: Floats) -> Floats:
    """(J,): success right after a task's own phase less that after the last phase; the last task's is 0 (Continual World).

    Continual World averages all J, COOM leaves the last one out: :func:`mean_forgetting`. Negative where it became better.
    """
    success_IJ = _matrix(success_IJ)
    return np.asarray(np.diagonal(success_IJ, -1) - success_IJ[-1])


def mean_forgetting(success_IJ: Floats, with_last: bool) -> float:
    """Mean of :func:`forgetting` over all tasks (Continual World), or over all but the last (COOM), which cannot be forgotten yet.

    nan for the latter where there is one task.
    """
    lost_J = forgetting(success_IJ)
    return _mean(lost_J if with_last else lost_J[:-1])


def backward_transfer(success_IJ: Floats) -> float:
    """Mean over all tasks but the last of the success at the end less that right after their phase (Lopez-Paz and Ranzato 2017).

    nan where there is one task.
    """
    return -mean_forgetting(success_IJ, with_last=False)


# --- transfer --------------------------------------------------------------------------------------------------------


def zero_shot_transfer(success_IJ: Floats) -> float:
    """Mean over all tasks but the first of the success right before their phase less that before any (Lopez-Paz and Ranzato 2017).

    nan where there is one task.
    """
    success_IJ = _matrix(success_IJ)
    return _mean(np.diagonal(success_IJ)[1:] - success_IJ[0, 1:])


def forward_transfer(area_J: Floats, scratch_J: Floats, headroom: float = HEADROOM) -> Floats:
    """(J,): (a - b) / (1 - b), by how much of what is possible a task is learned better than from scratch (Continual World).

    Args:
        area_J: (J,) mean success while each task was learned (:func:`area`); means over seeds, which come before the ratio.
        scratch_J: (J,) the same of an agent that learns this task alone, from scratch, in as many environment steps.
        headroom: least 1 - b that is divided by: where scratch is near perfect, the ratio of two errors says nothing. 0 is
            Continual World's own.

    Not COOM's, which is one ratio for all tasks; nor MEAL's, which divides by b.
    """
    area_J = _unit("area", _numbers("area", area_J, 1))
    scratch_J = _unit("scratch", _like(area_J, "scratch", scratch_J))
    room_J = np.maximum(1 - scratch_J, headroom)
    if (room_J <= 0).any():
        raise ValueError("scratch is perfect: there is no room for transfer, and no headroom was given")
    return np.asarray((area_J - scratch_J) / room_J)


def isolated_forgetting(success_IJ: Floats) -> Floats:
    """(J, J): [i, j] is what task i lost in the phase of task j, for j after i; nan elsewhere (CORA; Powers et al. 2022)."""
    success_IJ = _matrix(success_IJ)
    lost_JJ = (success_IJ[:-1] - success_IJ[1:]).T
    return np.where(np.triu(np.ones_like(lost_JJ), 1) > 0, lost_JJ, np.nan)


def isolated_zero_shot_transfer(success_IJ: Floats) -> Floats:
    """(J, J): [i, j] is what task i won in the phase of task j, for j before i; nan elsewhere (CORA; Powers et al. 2022).

    Against the evaluation right before that phase, not against one first point of the run.
    """
    success_IJ = _matrix(success_IJ)
    won_JJ = (success_IJ[1:] - success_IJ[:-1]).T
    return np.where(np.tril(np.ones_like(won_JJ), -1) > 0, won_JJ, np.nan)


# --- a curve ---------------------------------------------------------------------------------------------------------


def area(env_steps_E: NDArray[np.int64], success_E: Floats) -> float:
    """Mean success over the time from the first to the last evaluation, by trapezoids, (E,) each; a single one is itself."""
    success_E = _unit("success", _numbers("success", success_E, 1))
    env_steps_E = _times(env_steps_E, success_E)
    if len(success_E) == 1:
        return float(success_E[0])
    return float(np.trapezoid(success_E, env_steps_E) / (env_steps_E[-1] - env_steps_E[0]))


def adaptation_time(
    env_steps_E: NDArray[np.int64], success_E: Floats, reference: float, share: float = 0.9, hold: int = 3
) -> int | None:
    """Environment steps at the first evaluation from which on ``hold`` in a row reach ``share`` of the reference; None without one.

    Args:
        env_steps_E: (E,) environment steps since the task began, at each evaluation.
        reference: success of an agent that learned this task alone. It is nobody else's: a threshold made of all methods of a table
            moves when one is added.
    """
    success_E = _unit("success", _numbers("success", success_E, 1))
    env_steps_E = _times(env_steps_E, success_E)
    if not 0 < reference <= 1 or not 0 < share <= 1 or hold < 1:
        raise ValueError(f"a share of {share} of {reference}, held for {hold} evaluations, is no threshold")
    reached_E = success_E >= share * reference - 1e-12  # which a sum of such numbers may miss by
    for first in range(len(reached_E) - hold + 1):
        if reached_E[first : first + hold].all():
            return int(env_steps_E[first])
    return None


def savings(first_time: int | None, revisit_time: int | None) -> float | None:
    """1 - T_revisit / T_first: how much of the time to adapt is saved when a task comes again (Ebbinghaus 1885).

    Of two :func:`adaptation_time`; None where either is censored, since then the ratio is unknown. Negative if it took longer.
    """
    if first_time is None or revisit_time is None:
        return None
    if first_time <= 0 or revisit_time < 0:
        raise ValueError(f"{first_time} and {revisit_time} environment steps are no times")
    return 1 - revisit_time / first_time


# --- plasticity ------------------------------------------------------------------------------------------------------


def newest_task_areas(area_I: Floats, scratch_I: Floats) -> Floats:
    """(I,): the area of each phase's own task, divided by that of an agent that learns this task from scratch.

    It holds both transfer and plasticity: a fall along the sequence (:func:`slope`) may be either's.
    """
    area_I = _unit("area", _numbers("area", area_I, 1))
    scratch_I = _unit("scratch", _like(area_I, "scratch", scratch_I))
    if (scratch_I <= 0).any():
        raise ValueError("a reference of 0 cannot be divided by")
    return np.asarray(area_I / scratch_I)


def slope(value_I: Floats) -> float:
    """Change a phase of what is measured in each (I,), by least squares."""
    value_I = _numbers("value", value_I, 1)
    if len(value_I) < 2:
        raise ValueError("a slope needs two phases at least")
    position_I = np.arange(len(value_I)) - (len(value_I) - 1) / 2
    return float(position_I @ value_I / (position_I @ position_I))


# --- checks ----------------------------------------------------------------------------------------------------------


def _numbers(name: str, values: Floats, axes: int) -> Floats:
    values = np.asarray(values, np.float64)
    if values.ndim != axes or not values.size or not np.isfinite(values).all():
        raise ValueError(f"{name} must be numbers along {axes} axes, none of them missing")
    return values


def _unit(name: str, values: Floats) -> Floats:
    if ((values < 0) | (values > 1)).any():
        raise ValueError(f"{name} must be from 0 to 1")
    return values


def _like(other: Floats, name: str, values: Floats) -> Floats:
    values = _numbers(name, values, other.ndim)
    if values.shape != other.shape:
        raise ValueError(f"{name} must be {len(other)} numbers, not {len(values)}")
    return values


def _matrix(success_IJ: Floats) -> Floats:
    success_IJ = _unit("success", _numbers("success", success_IJ, 2))
    if len(success_IJ) != success_IJ.shape[1] + 1:
        raise ValueError(f"{success_IJ.shape[1]} tasks need {success_IJ.shape[1] + 1} rows of evaluations, not {len(success_IJ)}")
    return success_IJ


def _times(env_steps_E: NDArray[np.int64], success_E: Floats) -> NDArray[np.int64]:
    env_steps_E = np.asarray(env_steps_E)
    if env_steps_E.shape != success_E.shape or (np.diff(env_steps_E) <= 0).any():
        raise ValueError("each evaluation needs its environment steps, which grow")
    return env_steps_E


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")

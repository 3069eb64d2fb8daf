"""Lives side by side, for ``h-dqn report``: their metrics with intervals over seeds, and success on all tasks over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from h_dqn.experiment.errors import UserError
from h_dqn.experiment.lifelong_result import ABOUT, LIFELONG, figures, read_lifelong, scratch_curves
from h_dqn.report.curves import charts, summary

SCRATCH = "scratch"  # the agent that others are compared with
CURVES = {"all": "mean success on all tasks", "met": "mean success on the tasks met so far"}


class Lived(NamedTuple):
    """A life that is over."""

    life: dict[str, Any]
    metrics: dict[str, Any]
    """those too that compare it with a life from scratch, where there is one beside it"""


def lives_of(arms: Mapping[str, Sequence[Path]]) -> dict[str, Any] | None:
    """What a page shows of the lives among these runs, by arm; None where none of them is one.

    A life is compared with that of the agent ``scratch`` through the same tasks, of the same seed where there is one.
    """
    lives = {name: [read_lifelong(folder) for folder in folders if (folder / LIFELONG).is_file()] for name, folders in arms.items()}
    scratch = [life for each in lives.values() for life in each if life["plan"].get("agent") == SCRATCH]
    lived = {name: [Lived(life, _metrics(life, scratch)) for life in each] for name, each in lives.items() if each}
    if not lived:
        return None
    names = [name for name in ABOUT if any(_number(one.metrics.get(name)) for each in lived.values() for one in each)]
    return {
        "metrics": [{"name": name, "about": ABOUT[name]} for name in names],
        "table": [{"arm": arm, "lives": len(each), **{name: _over_seeds(each, name) for name in names}}
                  for arm, each in lived.items()],
        "curves": charts({arm: [_rows(one.life) for one in each] for arm, each in lived.items()}, CURVES),
    }  # fmt: skip


def _metrics(life: dict[str, Any], scratch: Sequence[dict[str, Any]]) -> dict[str, Any]:
    own: dict[str, Any] = life["metrics"]
    task_of, budgets = ([phase[key] for phase in life["phases"]] for key in ("task", "env_steps"))
    for other in sorted(scratch, key=lambda other: other["plan"].get("seed") != life["plan"].get("seed")):
        try:
            curves = scratch_curves(other, [task["hash"] for task in life["tasks"]])
        except UserError:
            continue  # it met other tasks
        return {**own, **figures(life["seen"], task_of, budgets, curves)}
    return own


def _over_seeds(lived: Sequence[Lived], name: str) -> dict[str, Any]:
    values = [one.metrics.get(name) for one in lived]
    return summary([float(value) for value in values if value is not None and _number(value)])


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rows(life: dict[str, Any]) -> list[dict[str, float]]:
    """Mean success at each evaluation, of all tasks and of those met so far."""
    task_of, rows = [phase["task"] for phase in life["phases"]], []
    for one in life["seen"]:
        met = sorted(set(task_of[: one.phase + 1])) or [task_of[0]]
        mean, of_met = (float(np.mean(values)) for values in (one.success, [one.success[task] for task in met]))
        rows.append({"env_steps": float(one.env_steps), "all": mean, "met": of_met})
    return rows

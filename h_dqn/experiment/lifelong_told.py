"""What a life tells: how far it is, while it goes on; all that is known of it, in the end."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from h_dqn.continual.change import found as found_changes
from h_dqn.experiment.lifelong_probe import figures_of
from h_dqn.experiment.lifelong_result import figures, intervals, matrix
from h_dqn.experiment.watch import Moment
from h_dqn.report import plain

if TYPE_CHECKING:
    from h_dqn.experiment.lifelong import Lifelong
    from h_dqn.train import Trainer


def how_far(life: Lifelong, trainer: Trainer) -> Moment:
    """The moment after a round of learning."""
    total, speed = sum(phase.env_steps for phase in life.phases), trainer.env_steps / max(trainer.seconds, 1e-9)
    success = trainer.statistics.success if trainer.statistics.settled else None
    return Moment(f"{life.plan.agent}: {_place(life)}", life.env_steps, total, speed, success)


def begins_with(life: Lifelong) -> str:
    """What the agent begins the stage with, in words."""
    start = str(life.stage.notes.get("start", "")) if life.stage else ""
    kind, _, task = start.partition(" ")
    what = {
        "": "goes on with what it has" if life.seen[-1].phase >= 0 else "begins from scratch",
        "scratch": "begins from scratch",
        "layers": "begins with the layers that it has, and a new head",
        "known": "is known: nothing is learned anew",
    }.get(start, f"begins with: {start}")
    if kind == "skill" and task.isdigit() and int(task) < len(life.envs):
        what = f"begins with the skill of {life.envs[int(task)].task.name}"
    return f"{_place(life)}: {what}"


def so_far(life: Lifelong) -> str:
    """How it does where a phase has ended: on its task, and on all tasks met so far."""
    newest = life.seen[-1]
    met = sorted(set(life.task_of[: newest.phase + 1]))
    task = life.task_of[newest.phase]
    mean = float(np.mean([newest.success[one] for one in met]))
    return f"{life.envs[task].task.name}: {newest.success[task]:.0%} in the end; tasks met so far, on average: {mean:.0%}"


def _place(life: Lifelong) -> str:
    return f"{life.phase + 1} of {len(life.phases)}, {life.phases[life.phase].task.name}"


def life_entry(life: Lifelong) -> dict[str, Any]:
    """What ``lifelong.json`` says."""
    found = figures(life.seen, life.task_of, [phase.env_steps for phase in life.phases])
    changes = [one.env_steps for one in life.seen if one.end and 0 <= one.phase < len(life.phases) - 1]
    precision, recall = found_changes(life.noticed, changes, life.env_steps)
    entry: dict[str, Any] = plain({
        "plan": life.plan.to_json(),
        "tasks": [{"name": envs.task.name, "hash": envs.task.hash} for envs in life.envs],
        "phases": [{"task": task, "env_steps": phase.env_steps, "announced": phase.announced}
                   for task, phase in zip(life.task_of, life.phases, strict=True)],
        "stages": life.notes,
        "evaluations": [asdict(one) for one in life.seen],
        "matrix": matrix(life.seen),
        "noticed": {"env_steps": life.noticed, "precision": precision, "recall": recall},
        "probes": [asdict(one) for one in life.probes],
        "metrics": {**found, **figures_of(life.probes)},
        "intervals": intervals(life.seen, life.task_of),
        "ledger": {"env_steps": life.env_steps, **life.ledger, "probe_steps": sum(probe.taken for probe in life.probes),
                   "probe_seconds": sum(probe.seconds for probe in life.probes), "updates": life.count.updates,
                   "weights": life.agent.weights, "kept_bytes": life.agent.kept_bytes},
    })  # fmt: skip
    return entry

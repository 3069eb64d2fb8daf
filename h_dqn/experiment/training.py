"""Train a skill, a flat agent or a controller by one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from envs.sequence import is_sequence, load_sequence
from h_dqn.config import Config, change
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.inputs import gather_inputs
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.run import Run
from h_dqn.experiment.run_folder import new_folder
from h_dqn.experiment.watch import Watcher
from h_dqn.presets import PRESETS
from h_dqn.settings import unknown
from skills_library.skill import SkillOption


def start_run(plan: Plan, runs: Path, name: str | None = None) -> Run:
    """The run of a plan, in a new folder below ``runs``, not learning yet.

    Args:
        plan: what is learned.
        runs: where runs are kept.
        name: of the folder, which must not exist; by default one that says what is learned.
    Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` for a plan that cannot be.
    """
    inputs = gather_inputs(plan)
    task = load_sequence(plan.task).name if is_sequence(plan.task) else inputs.phases[0].task.name
    return Run(plan, new_folder(runs, name, f"{plan.kind}-{task}-s{plan.seed}"), inputs)


def masked(run: Run) -> list[str]:
    """What is said before a run begins: a line for each of its skills that has actions which its task lacks."""
    actions = run.envs.actions
    lacking = {option.name: [one for one in option.head.outputs if one not in actions] for option in run.options
               if isinstance(option, SkillOption)}  # fmt: skip
    return [
        f"{name} is played without {', '.join(names)}, which '{run.envs.task.name}' lacks"
        for name, names in lacking.items()
        if names
    ]


def preset(name: str = "fast", **changes: Any) -> Config:
    """A preset with single settings changed, each named as on the command line. Raises for an unknown one."""
    if name not in PRESETS:
        raise UserError(unknown("preset", name, PRESETS))
    config: Config = change(PRESETS[name], **changes)
    return config


def train_skill(task: str | Path, **how: Any) -> Run:
    """Learn a skill on one task and keep it in the library; returns the run when it is over.

    Args:
        task: a task's name or the path of a task file.
        how: see :func:`train`.
    """
    return train("skill", task, (), **how)


def train_flat(task: str | Path, **how: Any) -> Run:
    """Learn a task, or a sequence of tasks, with primitive actions alone; see :func:`train_skill`."""
    return train("flat", task, (), **how)


def train_controller(task: str | Path, skills: Sequence[str], **how: Any) -> Run:
    """Learn a task, or a sequence of tasks, with primitive actions and these skills of the library; see :func:`train_skill`."""
    return train("controller", task, skills, **how)


def train(kind: str, task: str | Path, skills: Sequence[str], **how: Any) -> Run:
    """Train an agent of this ``kind`` (skill, flat or controller) to the end.

    Args:
        how: ``preset``, ``seed``, ``episodes``, ``start``, ``place`` as :class:`Plan` has them; ``library`` and ``runs``, where
            skills and runs are kept; ``name`` of the run's folder; ``watcher``, which is told how it goes on; and any setting by
            its name (``env_steps=100_000``).
    """
    folder, name, watcher = Path(how.pop("runs", "runs")), how.pop("name", None), how.pop("watcher", Watcher())
    planned = {key: how.pop(key) for key in ("preset", "seed", "episodes", "start", "place") if key in how}
    library = str(how.pop("library", "skills"))
    config = preset(planned.get("preset", "fast"), **how)
    run = start_run(Plan(kind, str(task), config, skills=tuple(skills), library=library, **planned), folder, name)
    for line in masked(run):
        watcher.say(line)
    run.learn(watcher)
    return run

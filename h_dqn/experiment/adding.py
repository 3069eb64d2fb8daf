"""Add a skill to a library by one call, whatever kind of task it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from envs.task_file import load_task
from h_dqn.experiment.add import Addition
from h_dqn.experiment.add_plan import EPISODES, AddPlan
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.run_folder import new_folder
from h_dqn.experiment.share import SKILLS
from h_dqn.experiment.stages import Staged
from h_dqn.experiment.training import preset
from skills_library.library import Library


def add_skill(task: str | Path, library: Library = SKILLS, **how: Any) -> dict[str, Any]:
    """Learn a task and add it to a library as a skill; see :class:`h_dqn.experiment.add.Addition` and, for goals in stages,
    :class:`h_dqn.experiment.stages.Staged`.

    How it begins is chosen by trials; it is let through only if it is good, and taught to the multi-skill network.

    Args:
        task: the path of a task file, or a task's name.
        library: where the skill is kept, and skills to begin from are found.
        how: ``preset``, ``seed``, ``episodes`` (of the gate), ``place`` and ``runs`` as :func:`h_dqn.experiment.training.train` has
            them; ``gate`` and ``multi`` as :class:`AddPlan`; ``watcher``, which is told how it goes on; and any setting.
    A task whose goal has stages that chance never does in a row is learned a stage at a time, then a controller over these skills.

    Returns: success of the skill, how it began, and of each head success before and after, beside its skill's own network.
    Raises :class:`UserError` where the skill is refused; the library is then as it was.
    """
    runs, watcher = Path(how.pop("runs", "runs")), how.pop("watcher", None)
    planned = {key: how.pop(key) for key in ("preset", "seed", "episodes", "start", "place") if key in how}
    planned.setdefault("episodes", EPISODES)
    own = {key: how.pop(key) for key in ("gate", "multi") if key in how}
    train = Plan("skill", str(task), preset(planned.get("preset", "fast"), **how), library=str(library.folder), **planned)
    return new_addition(AddPlan(train, **own), runs).learn(watcher)


def new_addition(plan: AddPlan, runs: Path, name: str | None = None) -> Addition | Staged:
    """An addition in a new folder below ``runs``, not begun yet; one in stages where several of the goal's are still to be done."""
    task = load_task(plan.train.task)
    kind = Staged if len(task.goal) - task.begin > 1 else Addition
    return kind(plan, new_folder(runs, name, f"add-{task.name}-s{plan.train.seed}"))

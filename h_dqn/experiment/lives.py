"""Lives by one call: begin one, and set it beside one from scratch."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from envs.sequence import load_sequence
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.lifelong import Lifelong
from h_dqn.experiment.lifelong_plan import LifelongPlan
from h_dqn.experiment.lifelong_result import figures, read_lifelong, scratch_curves
from h_dqn.experiment.run_folder import RunFolder, new_folder
from h_dqn.experiment.shell import command, path_word
from h_dqn.experiment.training import preset as named_preset


def new_life(plan: LifelongPlan, runs: Path, name: str | None = None) -> Lifelong:
    """A life in a new folder below ``runs``, not begun yet."""
    return Lifelong(plan, new_folder(runs, name, _default_name(plan)))


def begun_life(plan: LifelongPlan, runs: Path, name: str | None = None) -> Lifelong:
    """The life of this name, to go on with; a new one where there is none.

    Raises :class:`h_dqn.experiment.errors.UserError` where a life by another plan is there.
    """
    folder = runs / (name or _default_name(plan))
    if not RunFolder(folder).begun:
        return new_life(plan, runs, folder.name)
    life, wanted = Lifelong.resume(folder), Lifelong(plan, folder).plan.to_json()
    kept = life.plan.to_json()
    if differ := ", ".join(name for name in kept if kept[name] != wanted[name]):
        raise UserError(f"{folder}: a life with another {differ} was begun here; give another --name, or go on with that one: "
                        f"{command('resume', path_word(folder))}")  # fmt: skip
    return life


def _default_name(plan: LifelongPlan) -> str:
    return f"lifelong-{load_sequence(plan.task).name}-{plan.agent}-s{plan.seed}"


def lifelong(sequence: str | Path, agent: str = "finetune", **how: Any) -> dict[str, Any]:
    """Let an agent live through a sequence of tasks; returns the figures of ``result.json``.

    Args:
        sequence: a sequence's name or the path of its file.
        agent: a name in :data:`h_dqn.experiment.lifelong_agents.AGENTS`.
        how: ``regime``, ``preset``, ``seed`` and all else that :class:`LifelongPlan` has; ``runs`` and ``name`` of the folder;
            ``watcher``, which is told how it goes on; and any setting by its name.
    """
    runs, name, watcher = Path(how.pop("runs", "runs")), how.pop("name", None), how.pop("watcher", None)
    own = [one.name for one in fields(LifelongPlan) if one.name not in ("task", "agent", "config")]
    planned = {key: how.pop(key) for key in own if key in how}
    config = named_preset(planned.get("preset", "life"), **how)
    return new_life(LifelongPlan(str(sequence), agent, config, **planned), runs, name).learn(watcher)


def against_scratch(life: Path, scratch: Path) -> dict[str, Any]:
    """The metrics of a life, those too that compare it with one of the agent ``scratch`` through the same tasks.

    Raises :class:`h_dqn.experiment.errors.UserError` for folders without such lives.
    """
    ours, theirs = read_lifelong(life), read_lifelong(scratch)
    curves = scratch_curves(theirs, [task["hash"] for task in ours["tasks"]])
    of, budgets = ([phase[key] for phase in ours["phases"]] for key in ("task", "env_steps"))
    return figures(ours["seen"], of, budgets, curves)

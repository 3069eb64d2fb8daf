"""Lives by one call: begin one, and set it beside one from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from envs.sequence import load_sequence
from h_dqn.experiment.lifelong import Lifelong
from h_dqn.experiment.lifelong_plan import LifelongPlan
from h_dqn.experiment.lifelong_result import figures, read_lifelong, scratch_curves
from h_dqn.experiment.run_folder import new_folder
from h_dqn.experiment.training import preset as named_preset


def new_life(plan: LifelongPlan, runs: Path, name: str | None = None) -> Lifelong:
    """A life in a new folder below ``runs``, not begun yet."""
    return Lifelong(plan, new_folder(runs, name, f"lifelong-{load_sequence(plan.task).name}-{plan.agent}-s{plan.seed}"))


def lifelong(sequence: str | Path, agent: str = "finetune", **how: Any) -> dict[str, Any]:
    """Let an agent live through a sequence of tasks; returns the figures of ``result.json``.

    Args:
        sequence: a sequence's name or the path of its file.
        agent: a name in :data:`h_dqn.experiment.lifelong_agents.AGENTS`.
        how: ``regime``, ``preset``, ``seed``, ``measure_every``, ``episodes``, ``end_episodes`` and ``continual`` as
            :class:`LifelongPlan` has them; ``runs`` and ``name`` of the folder; ``watcher``, which is told how it goes on; and
            any setting by its name.
    """
    runs, name, watcher = Path(how.pop("runs", "runs")), how.pop("name", None), how.pop("watcher", None)
    own = ("regime", "preset", "seed", "measure_every", "episodes", "end_episodes", "continual")
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

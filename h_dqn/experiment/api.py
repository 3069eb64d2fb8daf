"""The public calls of ``h_dqn``. They take names and paths as the command line does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gymnasium.vector import VectorEnv

from h_dqn.config import Config, change
from h_dqn.evaluation import Evaluation
from h_dqn.experiment import evaluate as evaluation
from h_dqn.experiment.adding import add_skill
from h_dqn.experiment.agent import Agent, load_agent
from h_dqn.experiment.distil import distil
from h_dqn.experiment.evaluate import Outcome
from h_dqn.experiment.explain import ExplainConfig, Explanation, explain_agent
from h_dqn.experiment.lives import against_scratch, lifelong
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.report import write_report
from h_dqn.experiment.run import Run
from h_dqn.experiment.share import export_skill, import_skill, pull_skill, push_skill
from h_dqn.experiment.training import preset, train_controller, train_flat, train_skill
from h_dqn.experiment.transfer import TrainingPlan, transfer
from h_dqn.experiment.worlds import VOXEL, Place, Shape, shape_of, task_envs
from h_dqn.presets import PRESETS
from skills_library.distill import DistillConfig
from skills_library.library import Library

__all__ = [
    "Agent",
    "Config",
    "DistillConfig",
    "Evaluation",
    "ExplainConfig",
    "Explanation",
    "Library",
    "Place",
    "Plan",
    "Run",
    "TrainingPlan",
    "add_skill",
    "against_scratch",
    "change",
    "distil",
    "evaluate",
    "evaluate_tasks",
    "explain",
    "export_skill",
    "film",
    "import_skill",
    "lifelong",
    "load_agent",
    "make_envs",
    "preset",
    "pull_skill",
    "push_skill",
    "train_controller",
    "train_flat",
    "train_skill",
    "transfer",
    "write_report",
]
FAST = shape_of(PRESETS["fast"])


def make_envs(task: str | Path, num_envs: int = 1, shape: Shape = FAST, place: Place = VOXEL) -> VectorEnv[Any, Any, Any]:
    """A Gymnasium vector environment of a task.

    Args:
        task: a task's name or the path of a task file.
        num_envs: how many environments (N).
        shape: (S, H, W) of its observations, (N, S, H, W) uint8; an agent's ``shape`` gives what that agent sees.
        place: which world plays.
    """
    return task_envs(str(task), shape, place)(num_envs)


def evaluate(
    agent: Agent | str | Path, task: str | Path | None = None, episodes: int = 500, seed: int = 90001, place: Place = VOXEL
) -> Evaluation:
    """Success on unseen episodes. What agent and task do not have in common is left out, and named in the outcome.

    Args:
        agent: an agent, a skill's name or a run's folder.
        task: a task's name or the path of a task file; by default the one that it was trained on.
        episodes: how many.
        seed: decides which; never those of training, whatever the number.
        place: which world plays.
    """
    agent = agent if isinstance(agent, Agent) else load_agent(agent)
    return evaluation.evaluate_agent(agent, agent.envs(task, place), episodes, seed)


def evaluate_tasks(
    agent: Agent | str | Path, tasks: Iterable[str | Path], episodes: int = 500, seed: int = 90001, place: Place = VOXEL
) -> Iterator[tuple[str, Evaluation | Exception]]:
    """Success on several tasks: yields the name of each and its outcome, or the error that says why it cannot be played.

    The other arguments are those of :func:`evaluate`.
    """
    agent = agent if isinstance(agent, Agent) else load_agent(agent)
    return evaluation.evaluate_tasks(agent, tasks, episodes, seed, place)


def film(
    agent: Agent | str | Path,
    path: str | Path,
    task: str | Path | None = None,
    seed: int = 90001,
    place: Place = VOXEL,
    outcome: Outcome = "first",
    episodes: int = 500,
) -> None:
    """Write one episode as an mp4 to ``path``: the first, or the first of ``episodes`` that ends in success or failure.

    The other arguments are those of :func:`evaluate`. Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` where none ends
    so, or ``path`` cannot be written.
    """
    agent = agent if isinstance(agent, Agent) else load_agent(agent)
    evaluation.film(agent, agent.envs(task, place), Path(path), seed, outcome, episodes)


def explain(agent: Agent | str | Path, task: str | Path | None = None, config: ExplainConfig | None = None) -> Explanation:
    """What an agent has learned, where it fails and what it looks at, from episodes that it plays in the embedded world.

    Args:
        agent: an agent, a skill's name or a run's folder.
        task: a task's name or the path of a task file; by default the one that it was trained on.
        config: how many episodes, and which.
    Its ``data`` and its ``page()`` can be kept: :func:`h_dqn.experiment.explain.write`.
    """
    agent = agent if isinstance(agent, Agent) else load_agent(agent)
    return explain_agent(agent, agent.envs(task), config)

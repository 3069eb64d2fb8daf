"""Whom a controller uses: how often it chooses each of its skills where it succeeds, and what it does without that skill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from h_dqn.experiment.agent import Agent
from h_dqn.experiment.errors import FOR_PEOPLE
from h_dqn.experiment.evaluate import evaluate_agent
from h_dqn.experiment.run_folder import RUN, RunFolder
from h_dqn.experiment.watch import Watcher
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.statistics import surely_better
from skills_library.skill import OPTION


def controllers_in(runs: Path) -> tuple[str, ...]:
    """Folders below ``runs`` of controllers that have learned; what cannot be read is left out."""
    found = []
    for file in sorted(runs.rglob(RUN)):
        folder = RunFolder(file.parent)
        try:
            if folder.read()["plan"].get("kind") == "controller" and folder.result is not None:
                found.append(str(file.parent))
        except FOR_PEOPLE:
            continue
    return tuple(found)


def reuse(agent: Agent, envs: TaskEnvs, episodes: int, seed: int, watcher: Watcher) -> dict[str, Any]:
    """How a controller uses its skills in a task.

    Args:
        agent: the controller.
        envs: the task, as it sees it.
        episodes, seed: see :func:`h_dqn.experiment.evaluate.evaluate_agent`; those without a skill are the same episodes.
        watcher: is told how far it is.
    Returns: its success, and of each of its ``skills`` the shares of ``decisions`` and of environment steps (``frames``) in the
    episodes that succeeded, success ``without`` it, its ``worth`` (success with all less that), and whether that is more than
    chance explains (``sure``).
    """
    whole = evaluate_agent(agent, envs, episodes, seed, watcher)
    decisions, frames = (max(1, sum(column)) for column in zip(*whole.used, strict=True))
    skills = {}
    for skill in agent.skills:
        if (option := f"{OPTION}{skill.name}") not in agent.head.outputs:
            continue  # another head of the same network
        others = replace(agent, skills=tuple(one for one in agent.skills if one is not skill))
        without = evaluate_agent(others, envs, episodes, seed, watcher)
        chosen, ran = whole.used[agent.head.outputs.index(option)]
        pair = whole.by_episode, without.by_episode
        skills[skill.name] = {
            "decisions": chosen / decisions,
            "frames": ran / frames,
            "without": without.success_rate,
            "worth": whole.success_rate - without.success_rate,
            "sure": surely_better(*pair) or surely_better(*pair[::-1]),
        }
    facts = {"task": envs.task.name, "success_rate": whole.success_rate, "ci95": list(whole.ci95), "episodes": episodes}
    return {**facts, "skills": skills}

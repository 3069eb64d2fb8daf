"""Agents: a saved policy together with the options that its outputs stand for, ready to play.

A controller's network has outputs beyond the primitive actions; each is the name of a skill kept beside it in ``skills/``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from envs.errors import unknown
from envs.task import TaskError, TaskSpec
from envs.task_file import load_task, read_task, task_names
from h_dqn.device import pick_device
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.worlds import VOXEL, Place, TaskEnvs, task_envs
from h_dqn.options import Option, Primitive, Unavailable
from h_dqn.rollout import Policy
from skills_library.library import Library
from skills_library.policy import PolicyHead, SavedPolicy, is_policy, load_policy
from skills_library.skill import OPTION, Skill

AGENT, SKILLS = "agent", "skills"  # folders of a run


@dataclass(frozen=True)
class Agent:
    """A saved policy, one of its heads, and the skills among its options."""

    saved: SavedPolicy
    head: PolicyHead
    skills: tuple[Skill, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, H, W) of the observations it sees."""
        return self.saved.network.spec.shape

    @property
    def trained_on(self) -> str:
        """Name of the task; empty where it is not known."""
        return str(self.head.card.get("task", {}).get("name", ""))

    def task(self, name: str | None = None) -> TaskSpec:
        """The task of this name or path; by default the one that it was trained on.

        That one it has kept, and its skills theirs: their files are not needed, and shipped ones of their names are other tasks.

        Raises :class:`envs.task.TaskError` for one that is unknown or wrong.
        """
        cards = [head.card.get("task", {}) for head in (self.head, *(skill.head for skill in self.skills))]
        if name is None:
            if cards[0].get("text"):
                return read_task(cards[0]["text"], self.trained_on)
            if self.trained_on not in task_names():  # no path is taken from a policy's file
                raise TaskError(unknown("task", self.trained_on, task_names()))
            return load_task(self.trained_on)
        kept = next((card["text"] for card in cards if card.get("text") and card.get("name") == name), None)
        return load_task(name) if kept is None or name in task_names() else read_task(kept, name)

    def envs(self, task: str | Path | None = None, place: Place = VOXEL) -> TaskEnvs:
        """Environments of :meth:`task`, seen as this agent sees."""
        return task_envs(self.task(None if task is None else str(task)), self.shape, place)

    @property
    def interrupt(self) -> bool:
        """Whether an option ends where another would be chosen."""
        return self.saved.options.interrupt

    def options(self, envs: TaskEnvs, device: torch.device | None = None) -> list[Option]:
        """The options in the order of the outputs; those that the task cannot carry out are never available.

        Raises :class:`UserError` for a task that has none of its primitive actions.
        """
        skills = {f"{OPTION}{skill.name}": skill for skill in self.skills}
        how = self.saved.options
        device = device or pick_device()
        options: list[Option] = []
        for name in self.head.outputs:
            if name in skills and set(skills[name].actions) & set(envs.actions):
                options.append(skills[name].on(envs.actions, envs.shape, device, how.option_steps, how.stop_at_goal))
            elif name in envs.actions:
                options.append(Primitive(name, envs.actions.index(name)))
            else:
                options.append(Unavailable(name))
        if not set(self.head.outputs) & set(envs.actions):
            own = ", ".join(name for name in self.head.outputs if name not in skills)
            raise UserError(f"'{self.head.name}' has no action that task '{envs.task.name}' allows (its own: {own})")
        return options

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the primitive actions that it, or a skill of its, can take."""
        skills = {f"{OPTION}{skill.name}": skill.actions for skill in self.skills}
        return tuple(dict.fromkeys(action for name in self.head.outputs for action in skills.get(name, (name,))))

    def masked(self, envs: TaskEnvs) -> tuple[str, ...]:
        """Its actions that the task lacks: it is played without them."""
        return tuple(action for action in self.actions if action not in envs.actions)

    def not_learned(self, envs: TaskEnvs) -> tuple[str, ...]:
        """Actions of the task that it lacks, and so never takes."""
        return tuple(action for action in envs.actions if action not in self.actions)

    def policy(self, seed: int) -> Policy:
        """How it chooses among its options."""
        return self.saved.policy(seed, self.head)


def agent_of(skill: Skill) -> Agent:
    """A skill that plays alone."""
    return Agent(skill.policy, skill.head)


def load_agent(what: str | Path, library: Library | None = None) -> Agent:
    """What plays under this name: a run's folder, or a skill of the library. Raises for neither."""
    folder, library = Path(what), library or Library(Path("skills"))
    if is_policy(folder / AGENT):
        saved = load_policy(folder / AGENT)
        kept = Library(folder / SKILLS)
        skills = kept.skills([path.name for path in sorted((folder / SKILLS).glob("[!.]*"))])
        return Agent(saved, saved.head, tuple(skills))
    if folder.is_dir() and (folder / "metrics.jsonl").exists():
        raise UserError(f"{folder}: this run has no finished agent yet")
    if folder.is_absolute() or (folder.is_dir() and str(what) not in library.names()):
        raise UserError(f"{folder}: no run is kept here; give a run's folder, or the name of a skill")
    return agent_of(library.skill(str(what)))


def measured(outcome: Any, seed: int) -> dict[str, Any]:
    """An evaluation as a policy's card has it."""
    return {"success_rate": outcome.success_rate, "ci95": list(outcome.ci95), "episodes": outcome.episodes, "seed": seed}


def last_above(task: TaskSpec, reward_scale: float, discount: float) -> float:
    """What an action is worth lies, if it is the task's last, above this, else below: the middle between one and two steps to the
    goal."""
    last, other = task.reward_success, task.reward_step + discount * task.reward_success
    return reward_scale * (last + other) / 2

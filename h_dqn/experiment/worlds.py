"""From a task's name to environments that a learner can step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gymnasium.vector import VectorEnv

from envs.registry import WORLDS
from envs.task import TaskSpec
from envs.task_file import load_task
from envs.wrappers import MEMORY, GreyStack
from h_dqn.config import Config
from h_dqn.experiment.place import VOXEL, Place
from h_dqn.options import Option, primitives

__all__ = ["VOXEL", "Place", "Shape", "TaskEnvs", "shape_of", "task_envs"]

Shape = tuple[int, int, int]  # (S, H, W) of an observation


@dataclass(frozen=True)
class TaskEnvs:
    """Makes environments of one task. Calling it with n gives a vector environment of n, seen as (S, H, W) = ``shape`` grey frames.

    Square frames are the picture alone; those that are MEMORY higher have the strip of past actions and the dial above it.
    """

    task: TaskSpec
    shape: Shape
    place: Place = VOXEL

    def __call__(self, num_envs: int) -> VectorEnv[Any, Any, Any]:
        stack, height, width = self.shape
        envs = WORLDS[self.place.world].make(self.task, num_envs, width, self.place.options)
        return GreyStack(envs, stack, self.actions if height > width else (), hotbar=self.task.hotbar)

    def limit(self, num_envs: int) -> int:
        """How many environments there are when so many are asked for."""
        return WORLDS[self.place.world].limit(num_envs, self.place.options)

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the primitive actions, by number."""
        return self.task.all_actions

    def primitives(self) -> list[Option]:
        """The primitive actions as options."""
        return primitives(self.actions)


def shape_of(config: Config) -> Shape:
    """(S, H, W) of the observations that these settings ask for."""
    return config.env.stack, config.env.size + MEMORY * config.env.memory, config.env.size


def task_envs(task: str | TaskSpec, shape: Shape, place: Place = VOXEL) -> TaskEnvs:
    """Environments of a task, by its name, the path of its file, or as it was read.

    Raises :class:`envs.task.TaskError` for a task that is unknown or wrong, or that this world cannot play.
    """
    spec = load_task(task)
    WORLDS[place.world].check(spec)
    return TaskEnvs(spec, shape, place)

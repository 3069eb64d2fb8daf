"""From a task's name to environments that a learner can step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gymnasium.vector import VectorEnv

from envs.registry import WORLDS
from envs.remote import Hosts, RemoteVectorEnv, shares
from envs.task import TaskSpec
from envs.task_file import load_task
from envs.wrappers import MEMORY, GreyStack
from h_dqn.experiment.cluster import hosts
from h_dqn.experiment.place import VOXEL, Place
from h_dqn.options import Option, primitives

if TYPE_CHECKING:  # else whoever only looks at a task would wait for torch
    from h_dqn.config import Config

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
        make = partial(WORLDS[self.place.world].make, self.task, size=width, options=self.place.options)
        envs = make(num_envs) if self.place.ray is None else RemoteVectorEnv(make, self.limit(num_envs), self._hosts())
        return GreyStack(envs, stack, self.actions if height > width else (), hotbar=self.task.hotbar)

    def limit(self, num_envs: int) -> int:
        """How many environments there are when so many are asked for."""
        parts = [num_envs] if self.place.ray is None else shares(num_envs, self.place.ray_actors)
        return sum(WORLDS[self.place.world].limit(part, self.place.options) for part in parts)

    def _hosts(self) -> Hosts:
        assert self.place.ray is not None
        return hosts(self.place.ray, self.place.ray_actors)

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

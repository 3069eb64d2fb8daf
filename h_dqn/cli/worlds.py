"""From a task's name to worlds that the learner can step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
from gymnasium.vector import VectorEnv

from envs.task import TaskSpec, load_task
from envs.wrappers import GreyStack

World = Literal["voxel", "luanti", "luanti-plain"]
IDS = {"voxel": "envs:Voxel/Task-v0", "luanti": "envs:Luanti/Task-v0", "luanti-plain": "envs:LuantiPlain/Task-v0"}


@dataclass(frozen=True)
class TaskWorlds:
    """Makes worlds of one task, seen as (stack, size, size) grey frames. Calling it with n gives a vector environment of n."""

    task: TaskSpec
    world: World
    size: int
    stack: int

    def __call__(self, n: int) -> VectorEnv[Any, Any, Any]:
        return GreyStack(gym.make_vec(IDS[self.world], num_envs=n, task=self.task, size=self.size), self.stack)

    @property
    def actions(self) -> tuple[str, ...]:
        return self.task.actions

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.stack, self.size, self.size


def task_worlds(task: str, world: World, size: int, stack: int) -> TaskWorlds:
    """Raises :class:`envs.task.TaskError` for an unknown or wrong task."""
    return TaskWorlds(load_task(task), world, size, stack)

"""From a task's name to worlds that the learner can step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

import gymnasium as gym
from gymnasium.vector import VectorEnv

from envs.minerl.drawing import check_task
from envs.minerl.instance import Pool, Settings, read_addresses
from envs.minerl.vector import MineRLVectorEnv
from envs.sequence import is_sequence, load_sequence
from envs.task import TaskError, TaskSpec
from envs.task_file import load_task
from envs.wrappers import MEMORY, GreyStack
from h_dqn.config import Config

World = Literal["voxel", "luanti", "luanti-plain", "minerl"]
IDS = {
    "voxel": "envs:Voxel/Task-v0",
    "luanti": "envs:Luanti/Task-v0",
    "luanti-plain": "envs:LuantiPlain/Task-v0",
    "minerl": "envs:MineRL/Task-v0",
}


@dataclass(kw_only=True)
class Minecrafts:
    """The flags of ``--world minerl``, for commands to inherit."""

    minerl_address: tuple[str, ...] = ()
    """minerl: host:port of each Minecraft that runs already; default: $H_DQN_MINERL_ADDRESS; without any, they are started here"""
    minerl_instances: int = 1
    """minerl: how many Minecrafts are started, where there are no addresses"""

    @property
    def settings(self) -> Settings:
        return Settings(addresses=read_addresses(self.minerl_address)) if self.minerl_address else Settings()


@dataclass(frozen=True)
class TaskWorlds:
    """Makes worlds of one task. Calling it with n gives a vector environment of n, seen as (S, H, W) = ``shape`` grey frames.

    Square frames are the picture alone; those that are MEMORY higher have the strip of past actions and the dial above it. Of
    ``minerl`` there are as many worlds as there are Minecrafts, and every environment that this makes plays in the same ones.
    """

    task: TaskSpec
    world: World
    shape: tuple[int, int, int]
    minerl: Settings | None = None
    instances: int = 1

    def __call__(self, n: int) -> VectorEnv[Any, Any, Any]:
        if self.world == "minerl":
            envs: VectorEnv[Any, Any, Any] = MineRLVectorEnv(self.most(n), self.task, self.shape[2], pool=self._pool)
        else:
            envs = gym.make_vec(IDS[self.world], num_envs=n, task=self.task, size=self.shape[2])
        stack, height, width = self.shape
        return GreyStack(envs, stack, self.actions if height > width else (), hotbar=bool(self.task.verbs))

    def most(self, n: int) -> int:
        """How many worlds there are when n are asked for."""
        if self.world != "minerl":
            return n
        return min(n, len((self.minerl or Settings()).addresses) or self.instances)

    @cached_property
    def _pool(self) -> Pool:
        settings = self.minerl or Settings()
        return Pool(len(settings.addresses) or self.instances, settings)

    @property
    def actions(self) -> tuple[str, ...]:
        return self.task.all_actions


def shape_of(config: Config) -> tuple[int, int, int]:
    """(S, H, W) of the observations that these settings ask for."""
    return config.stack, config.size + MEMORY * config.memory, config.size


def task_worlds(
    task: str, world: World, shape: tuple[int, int, int], minerl: Settings | None = None, instances: int = 1
) -> TaskWorlds:
    """Raises :class:`envs.task.TaskError` for a task that is unknown or wrong, or that this world cannot play."""
    spec = load_task(task)
    if world == "minerl":
        check_task(spec)
    return TaskWorlds(spec, world, shape, minerl, instances)


def phases(
    task: str, steps: int, world: World, shape: tuple[int, int, int], minerl: Settings | None = None, instances: int = 1
) -> list[tuple[int, TaskWorlds]]:
    """The worlds of a task, or of each phase of a sequence, and at how many environment steps they end: a task after ``steps``.

    Raises :class:`envs.task.TaskError` as :func:`task_worlds` does.
    """
    if not is_sequence(task):
        return [(steps, task_worlds(task, world, shape, minerl, instances))]
    if world == "minerl":
        raise TaskError(f"--world minerl: '{task}' is a sequence; Minecraft plays single tasks")
    parts = load_sequence(task).phases
    return list(zip(accumulate(p.env_steps for p in parts), (TaskWorlds(p.task, world, shape) for p in parts), strict=True))

"""What all vector environments of worlds share: spaces, checks of arguments, observations and infos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.task import TaskSpec
from envs.task_file import load_task
from envs.voxel.rules import DRAW, MAX_COUNT, SKIP
from envs.voxel.world import Worlds

Observation = dict[str, Any]
MAX_SIZE = 4096  # pixels


class WorldsVectorEnv(VectorEnv[Observation, NDArray[np.int64], NDArray[Any]]):
    """N worlds of one task: their rules (``worlds``), their random generators and their pictures.

    Worlds are never reset by themselves: pass ``reset(options={"reset_mask": mask})`` with a bool (N,) mask of the worlds to start
    anew. ``info`` holds arrays over the worlds: ``invalid_action`` (N,) bool, ``success`` (N,) bool, ``sent_back`` (N,) bool (the
    step ended on a floor that sends back to the start), ``pose`` (N, 3) int (x, z and heading in units of 30 degrees; x and z count
    from the map's first cell).

    Args:
        num_envs: number of worlds.
        task: a task's name, the path of a task file, or a :class:`TaskSpec`.
        size: pixels of a picture, (height, width) or one number for a square.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10, "autoreset_mode": AutoresetMode.DISABLED}

    def __init__(
        self,
        num_envs: int = 1,
        task: str | Path | TaskSpec = "navigation1",
        size: int | tuple[int, int] = 84,
        render_mode: str | None = None,
    ) -> None:
        self.spec_task = load_task(task)
        self.size = checked_size(size)
        if not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ValueError(f"num_envs must be a whole number above 0, not {num_envs!r}")
        self.num_envs = int(num_envs)
        self.render_mode = checked_render_mode(render_mode, self.metadata)
        self.single_observation_space, self.single_action_space = _spaces(self.spec_task, self.size)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.worlds = Worlds(self.spec_task, num_envs)
        self._generators = [np.random.default_rng(seed) for seed in np.random.SeedSequence().generate_state(num_envs)]
        self._ready = np.zeros(num_envs, bool)  # has been reset at all
        self._pov = np.zeros((num_envs, *self.size, 3), np.uint8)

    def _reset_arguments(
        self, seed: int | Sequence[int | None] | None, options: dict[str, Any] | None
    ) -> tuple[NDArray[np.bool_], list[int | None]]:
        """Which worlds a reset is for, (N,), and the seed of each: of s world i gets s + i; None goes on drawing."""
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise ValueError(f"reset_mask must be a bool array of shape ({self.num_envs},)")
        if seed is None:
            seeds: list[int | None] = [None] * self.num_envs
        elif isinstance(seed, int | np.integer):
            seeds = [int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = list(seed) if isinstance(seed, Sequence | np.ndarray) else []
        whole = all(one is None or (isinstance(one, int | np.integer) and one >= 0) for one in seeds)
        if len(seeds) != self.num_envs or not whole:
            raise ValueError(f"seed must be a whole number from 0 on, {self.num_envs} of them, or None; not {seed!r}")
        return mask, [None if one is None else int(one) for one in seeds]

    def _valid(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        actions, count = np.asarray(actions), len(self.spec_task.all_actions)
        if not self._ready.all():
            raise gym.error.ResetNeeded("call reset() before step()")
        whole = actions.shape == (self.num_envs,) and np.issubdtype(actions.dtype, np.integer)
        if not whole or actions.min() < 0 or actions.max() >= count:
            raise ValueError(f"actions must be ({self.num_envs},) whole numbers from 0 to {count - 1}")
        return actions.astype(np.int64, copy=False)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start new episodes. ``seed`` s gives world i the seed s + i; a list gives each its own; None goes on drawing."""
        mask, seeds = self._reset_arguments(seed, options)
        for n in np.flatnonzero(mask).tolist():
            if (own := seeds[n]) is not None:
                self._generators[n] = np.random.default_rng(own)
            self.worlds.reset(n, self._generators[n])
        self._ready |= mask
        return self._advance(np.where(mask, DRAW, SKIP))

    def step(self, actions: NDArray[np.int64]) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """One action a world. A step limit truncates; reaching the goal terminates, also on the last step."""
        observation, info = self._advance(self._valid(actions))
        success = info["success"]
        reward = self.worlds.reward(success)
        truncated = (self.worlds.steps >= self.worlds.limit) & ~success
        return observation, reward, success.copy(), truncated, info

    def _advance(self, actions: NDArray[np.int64]) -> tuple[Observation, dict[str, Any]]:
        """What makes a kind of world: step and draw all worlds; returns observation and info.

        ``actions``: (N,) numbers of the task's actions; DRAW for a world whose episode begins, SKIP for one to be left alone.
        """
        raise NotImplementedError

    def _observe(self) -> Observation:
        counts = np.minimum(self.worlds.inventory[:, self.worlds.rules.item_numbers], MAX_COUNT)
        own = {item: counts[:, i] for i, item in enumerate(self.spec_task.items)}
        none = np.zeros(self.num_envs, counts.dtype)  # of an item that only other tasks of a sequence have
        observation: Observation = {
            "pov": self._pov,
            "inventory": {item: own.get(item, none) for item in self.spec_task.all_items},
        }
        if self.spec_task.compass:
            observation["compass"] = self.worlds.compass()
        return observation

    def _info(self, invalid: NDArray[np.bool_]) -> dict[str, Any]:
        """``invalid``: (N,) whether the action had no effect."""
        worlds = self.worlds
        return {
            "invalid_action": invalid, "success": worlds.success, "sent_back": worlds.sent_back.copy(),
            "pose": worlds.pose - [1, 1, 0],
        }  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how these worlds go on: their arrays and their random generators."""
        return {
            "worlds": self.worlds.state_dict(),
            "generators": [generator.bit_generator.state for generator in self._generators],
            "ready": self._ready.copy(),
            "pov": self._pov.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError, KeyError or TypeError for a state that cannot be of these worlds."""
        ready, pov = np.asarray(state["ready"]), np.asarray(state["pov"])
        if (ready.shape, pov.shape) != (self._ready.shape, self._pov.shape) or ready.dtype != bool or pov.dtype != np.uint8:
            raise ValueError("'pov' or 'ready' cannot be of these worlds")
        self.worlds.load_state_dict(state["worlds"])
        for generator, saved in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = saved
        self._ready, self._pov = ready.copy(), pov.copy()

    @property
    def pictures(self) -> NDArray[np.uint8]:
        """(N, H, W, 3) as last seen."""
        return self._pov

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """The pictures of all worlds as last seen."""
        return tuple(self._pov) if self.render_mode else None


def checked_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a picture; raises ValueError for what is none."""
    pair = (size, size) if isinstance(size, int | np.integer) else tuple(size) if isinstance(size, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(side, int | np.integer) and 1 <= side <= MAX_SIZE for side in pair):
        raise ValueError(f"size must be one or two whole numbers from 1 to {MAX_SIZE}, not {size!r}")
    return int(pair[0]), int(pair[1])


def checked_render_mode(mode: str | None, metadata: dict[str, Any]) -> str | None:
    """``mode``; raises ValueError for one that ``metadata`` does not name."""
    if mode not in (None, *metadata["render_modes"]):
        raise ValueError(f"render_mode must be one of {', '.join(metadata['render_modes'])}, or None; not {mode!r}")
    return mode


def _spaces(spec: TaskSpec, size: tuple[int, int]) -> tuple[gym.spaces.Dict, gym.spaces.Discrete]:
    """Observation and action space of one world."""
    parts: dict[str, gym.Space[Any]] = {
        "pov": gym.spaces.Box(0, 255, (*size, 3), np.uint8),
        "inventory": gym.spaces.Dict({item: gym.spaces.Box(0, MAX_COUNT, (), np.int32) for item in spec.all_items}),
    }
    if spec.compass:
        parts["compass"] = gym.spaces.Box(-180, 180, (), np.float32)
    return gym.spaces.Dict(parts), gym.spaces.Discrete(len(spec.all_actions))

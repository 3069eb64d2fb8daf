"""One world as a ``gymnasium.Env``: world 0 of a vector environment of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.task import TaskSpec
from envs.vector import Observation, WorldsVectorEnv, checked_render_mode


class SingleEnv(gym.Env[Observation, np.int64]):
    """One world of :attr:`VECTOR`, with its spaces, rewards, ends and infos.

    Args:
        task: a task's name, the path of a task file, or a :class:`TaskSpec`.
        size: pixels of a picture, (height, width) or one number for a square.
        settings: other arguments of :attr:`VECTOR`.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}
    VECTOR: type[WorldsVectorEnv]

    def __init__(
        self,
        task: str | Path | TaskSpec = "navigation1",
        size: int | tuple[int, int] = 84,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        self.vector = self.VECTOR(num_envs=1, task=task, size=size, **settings)
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space
        self.render_mode = checked_render_mode(render_mode, self.metadata)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        observation, info = self.vector.reset(seed=None if seed is None else [seed])
        super().reset(seed=None if seed is None else int(seed))
        return first_of(observation), first_of(info)

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.vector.step(np.array([action]))
        single = {**first_of(info), "is_success": bool(terminated[0])}  # as Stable-Baselines3 counts successes
        return first_of(observation), float(reward[0]), bool(terminated[0]), bool(truncated[0]), single

    def render(self) -> NDArray[np.uint8] | None:
        """The picture as last drawn, (H, W, 3) uint8."""
        picture: NDArray[np.uint8] = self.vector.pictures[0]
        return picture

    def close(self) -> None:
        self.vector.close()

    def state_dict(self) -> dict[str, Any]:
        return self.vector.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.vector.load_state_dict(state)


def first_of(batch: dict[str, Any]) -> dict[str, Any]:
    """World 0 out of nested dicts of arrays; numbers come out as arrays of no dimension, as their spaces say."""
    return {
        key: first_of(value) if isinstance(value, dict) else value[0] if value.ndim > 1 else np.asarray(value[0])
        for key, value in batch.items()
    }

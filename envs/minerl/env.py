"""One Minecraft as a ``gymnasium.Env``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.minerl.instance import Pool, Settings
from envs.minerl.vector import MineRLVectorEnv
from envs.task import TaskSpec
from envs.vector import Observation
from envs.voxel.env import _first


class MineRLEnv(gym.Env[Observation, np.int64]):
    """Minecraft playing one task file, with the spaces, rewards and infos of :class:`envs.voxel.env.VoxelEnv`.

    Where Minecraft fails, the step returns the last observation again, reward 0, ``truncated`` and ``info["lost"]``: it is no
    transition. ``reset`` waits for a Minecraft that works, and raises :class:`envs.minerl.instance.MineRLError` if there is none.

    Args:
        task, size, address, settings, pool: see :class:`envs.minerl.vector.MineRLVectorEnv`.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        task: str | Path | TaskSpec = "navigation1",
        size: int | tuple[int, int] = 84,
        address: str | Sequence[str] = (),
        settings: Settings | None = None,
        pool: Pool | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.vector = MineRLVectorEnv(1, task, size, address, settings, pool)
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        observation, info = self.vector.reset(seed=None if seed is None else [seed])
        return _first(observation), _first(info)

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.vector.step(np.array([action]))
        return _first(observation), float(reward[0]), bool(terminated[0]), bool(truncated[0]), _first(info)

    def render(self) -> NDArray[np.uint8] | None:
        """The picture as last seen, (H, W, 3) uint8."""
        picture: NDArray[np.uint8] = self.vector._pov[0]
        return picture

    def close(self) -> None:
        self.vector.close()

    def state_dict(self) -> dict[str, Any]:
        return self.vector.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.vector.load_state_dict(state)

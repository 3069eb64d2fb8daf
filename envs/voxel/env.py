"""One embedded world as a ``gymnasium.Env``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.task import TaskSpec
from envs.vector import Observation
from envs.voxel.vector import VoxelVectorEnv


class VoxelEnv(gym.Env[Observation, np.int64]):
    """A first-person voxel room that plays one task file.

    Action space
        ``Discrete``: the task's actions in the order of its file, of forward (one block), turn_left and turn_right (30
        degrees), break, pick_up, place. An action without effect is legal and reported in ``info["invalid_action"]``.

    Observation space
        ``pov`` (H, W, 3) uint8 RGB; ``inventory`` counts by item; ``compass`` the angle in degrees to the task's target
        (-180..180, positive to the right), where the task has one.

    Reward and end
        The task's: usually -1 a step and 0 on the step that reaches the goal, which terminates. The step limit truncates.

    Args:
        task, size, fov: see :class:`envs.voxel.vector.VoxelVectorEnv`.
        render_mode: "rgb_array", or "human" for a window (which stays away where there is no display).
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "human"], "render_fps": 10}
    VECTOR: type[VoxelVectorEnv] = VoxelVectorEnv

    def __init__(
        self,
        task: str | Path | TaskSpec = "navigation1",
        size: int | tuple[int, int] = 84,
        fov: float = 70.0,
        render_mode: str | None = None,
    ) -> None:
        self.vector = self.VECTOR(1, task, size, fov)
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        observation, info = self.vector.reset(seed=None if seed is None else [seed])
        return self._single(observation), _first(info)

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.vector.step(np.array([action]))
        return self._single(observation), float(reward[0]), bool(terminated[0]), bool(truncated[0]), _first(info)

    def _single(self, observation: Observation) -> Observation:
        if self.render_mode == "human":
            self.render()
        return _first(observation)

    def render(self) -> NDArray[np.uint8] | None:
        """The picture as last drawn, (H, W, 3) uint8; in mode "human" it is shown in a window instead."""
        picture: NDArray[np.uint8] = self.vector._pov[0]
        if self.render_mode != "human":
            return picture
        import cv2

        if has_display():
            cv2.imshow(self.vector.spec_task.name, cv2.resize(picture, (504, 504), interpolation=cv2.INTER_NEAREST)[..., ::-1])
            cv2.waitKey(1)
        return None

    def close(self) -> None:
        self.vector.close()
        if self.render_mode == "human" and has_display():
            import cv2

            cv2.destroyAllWindows()

    def state_dict(self) -> dict[str, Any]:
        return self.vector.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.vector.load_state_dict(state)


def has_display() -> bool:
    """Whether a window can be opened. Without a display OpenCV would not raise an error but end the process."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _first(batch: dict[str, Any]) -> dict[str, Any]:
    """World 0 out of nested dicts of arrays; numbers come out as arrays of no dimension, as their spaces say."""
    return {
        key: _first(value) if isinstance(value, dict) else value[0] if value.ndim > 1 else np.asarray(value[0])
        for key, value in batch.items()
    }

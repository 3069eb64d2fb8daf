"""One embedded world as a ``gymnasium.Env``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.display import window_lacks
from envs.single import SingleEnv
from envs.task import FOV, TaskSpec
from envs.vector import Observation
from envs.voxel.vector import VoxelVectorEnv


class VoxelEnv(SingleEnv):
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
        fov: float = FOV,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(task, size, render_mode, fov=fov)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        outcome = super().reset(seed=seed, options=options)
        self._show()
        return outcome

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        outcome = super().step(action)
        self._show()
        return outcome

    def render(self) -> NDArray[np.uint8] | None:
        """The picture as last drawn, (H, W, 3) uint8; in mode "human" it is shown in a window instead."""
        if self.render_mode != "human":
            return super().render()
        self._show()
        return None

    def _show(self) -> None:
        if self.render_mode == "human" and window_lacks() is None:
            import cv2

            picture = cv2.resize(self.vector.pictures[0], (504, 504), interpolation=cv2.INTER_NEAREST)
            cv2.imshow(self.vector.spec_task.name, picture[..., ::-1])
            cv2.waitKey(1)

    def close(self) -> None:
        super().close()
        if self.render_mode == "human" and window_lacks() is None:
            import cv2

            cv2.destroyAllWindows()

"""N embedded worlds as one ``gymnasium.vector.VectorEnv``: all are stepped and drawn by one compiled call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.compiled import PARALLEL, alone
from envs.task import FOV, TaskSpec
from envs.vector import Observation, WorldsVectorEnv
from envs.voxel.render import Camera, step_and_draw, step_and_draw_alone
from envs.voxel.rules import DRAW, sort_columns


class VoxelVectorEnv(WorldsVectorEnv):
    """N worlds of one task.

    Observations, actions and rewards are those of :class:`envs.voxel.env.VoxelEnv`, with the world as first axis.

    Args:
        num_envs, task, size: see :class:`envs.vector.WorldsVectorEnv`.
        fov: vertical field of view in degrees.
    """

    def __init__(
        self,
        num_envs: int = 1,
        task: str | Path | TaskSpec = "navigation1",
        size: int | tuple[int, int] = 84,
        fov: float = FOV,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(num_envs, task, size, render_mode)
        self._camera = Camera.of(self.spec_task, self.size, fov)

    def _advance(self, actions: NDArray[np.int64]) -> tuple[Observation, dict[str, Any]]:
        self._pov = self._pov.copy()  # what was handed out stays as it was
        invalid = np.zeros(self.num_envs, bool)
        arguments = actions, self._pov, invalid, self.worlds.state, self.worlds.rules, self._camera
        if alone(self.num_envs):
            step_and_draw_alone(*arguments)
        else:
            with PARALLEL:
                step_and_draw(*arguments)
        return self._observe(), self._info(invalid)

    def redraw(self) -> Observation:
        """All worlds as they are now, after somebody changed something in ``worlds``; no time passes."""
        worlds = self.worlds
        for n in range(self.num_envs):
            sort_columns(worlds.blocks[n], worlds.items[n], worlds.kind[n])
        return self._advance(np.full(self.num_envs, DRAW))[0]

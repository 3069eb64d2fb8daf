"""N embedded worlds as one ``gymnasium.vector.VectorEnv``: all are stepped and drawn by one compiled call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.task import TaskSpec
from envs.vector import Observation, WorldsVectorEnv
from envs.voxel.render import DRAW, SKIP, Camera, step_and_draw


class VoxelVectorEnv(WorldsVectorEnv):
    """N worlds of one task.

    Observations, actions and rewards are those of :class:`envs.voxel.env.VoxelEnv`, with the world as first axis. Worlds are
    never reset by themselves: pass ``reset(options={"reset_mask": mask})`` with a bool (N,) mask of the worlds to start anew.

    ``info`` holds arrays over the worlds: ``invalid_action`` (N,) bool, ``success`` (N,) bool, ``pose`` (N, 3) int (x, z and
    heading in units of 30 degrees; x and z count from the map's first cell).

    Args:
        num_envs: number of worlds.
        task: a task's name, the path of a task file, or a :class:`TaskSpec`.
        size: pixels of a picture, (height, width) or one number for a square.
        fov: vertical field of view in degrees.
    """

    def __init__(
        self,
        num_envs: int = 1,
        task: str | Path | TaskSpec = "navigation1",
        size: int | tuple[int, int] = 84,
        fov: float = 70.0,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(num_envs, task, size, render_mode)
        self._camera = Camera.of(self.spec_task, self.size, fov)

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
        truncated = (self.worlds.steps >= self.spec_task.step_limit) & ~success
        return observation, reward, success.copy(), truncated, info

    def _advance(self, actions: NDArray[np.int64]) -> tuple[Observation, dict[str, Any]]:
        self._pov = self._pov.copy()  # what was handed out stays as it was
        invalid, success = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        step_and_draw(actions, self._pov, invalid, success, self.worlds.state, self.worlds.rules, self._camera)
        return self._observe(), {"invalid_action": invalid, "success": success, "pose": self.worlds.pose - [1, 1, 0]}

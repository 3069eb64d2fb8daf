"""Several vector environments as one, so that one learner plays in all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from h_dqn.state import checked

TOLD = ("invalid_action", "lost")  # what is said of each environment


class MixedEnvs(VectorEnv[Any, Any, Any]):
    """The environments of ``parts``, one after the other. All must show and take the same.

    Raises ValueError where they do not.
    """

    def __init__(self, parts: Sequence[VectorEnv[Any, Any, Any]]) -> None:
        first = parts[0]
        faces = [(one.single_observation_space, one.single_action_space) for one in parts]
        if any(face != faces[0] for face in faces):
            raise ValueError("these environments differ in what they show or take")
        self.parts, self.metadata = list(parts), first.metadata
        self.num_envs = sum(one.num_envs for one in parts)
        self.single_observation_space, self.single_action_space = first.single_observation_space, first.single_action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        shape = self.single_observation_space.shape
        assert shape is not None
        self._obs: NDArray[np.uint8] = np.zeros((self.num_envs, *shape), np.uint8)  # the newest
        ends = np.cumsum([0, *(one.num_envs for one in parts)]).tolist()
        self.slices = [slice(*pair) for pair in pairwise(ends)]

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        seeds = [None] * self.num_envs if seed is None else list(seed)
        self._obs, lost = self._obs.copy(), np.zeros(self.num_envs, bool)
        for one, own in self._each():
            if mask[own].any():
                obs, info = one.reset(seed=seeds[own], options={"reset_mask": mask[own]})  # type: ignore[arg-type]
                self._obs[own], lost[own] = obs, info.get("lost", False)
        return self._obs, {"lost": lost}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        *arrays, infos = zip(*(one.step(actions[own]) for one, own in self._each()), strict=True)
        obs, reward, terminated, truncated = (np.concatenate(parts) for parts in arrays)
        self._obs = obs
        return obs, reward, terminated, truncated, self._joined(infos)

    def _each(self) -> list[tuple[VectorEnv[Any, Any, Any], slice]]:
        return list(zip(self.parts, self.slices, strict=True))

    @staticmethod
    def _joined(infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {key: np.concatenate([info[key] for info in infos]) for key in TOLD if all(key in info for info in infos)}

    def state_dict(self) -> dict[str, Any]:
        return {"obs": self._obs.copy(), "parts": [one.state_dict() for one in self.parts]}  # type: ignore[attr-defined]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError, KeyError or TypeError for a state that cannot be of these environments."""
        self._obs = checked(state["obs"], "obs", self._obs.shape, np.uint8).copy()
        for one, saved in zip(self.parts, state["parts"], strict=True):
            one.load_state_dict(saved)  # type: ignore[attr-defined]

"""Our vector environments as Stable-Baselines3 wants them. Imported only where that is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3.common.vec_env import VecEnv

from h_dqn.seeds import episode_seeds


class Adapter(VecEnv):  # type: ignore[misc, unused-ignore]
    """Episodes begin again by themselves, rewards are multiplied by ``scale``, and ``recent`` gets the success of each episode."""

    def __init__(self, envs: VectorEnv[Any, Any, Any], seed: int, recent: list[bool], scale: float) -> None:
        self.envs, self.first_seed, self.recent, self.scale = envs, seed, recent, scale
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> Any:
        seeds: Any = episode_seeds("train", self.first_seed, self.num_envs)
        return self.envs.reset(seed=seeds)[0]

    def step_async(self, actions: Any) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        obs, reward, terminated, truncated, _ = self.envs.step(self._actions)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for n in np.flatnonzero(done):
            infos[n] = {"terminal_observation": obs[n].copy(), "TimeLimit.truncated": bool(truncated[n] & ~terminated[n])}
            self.recent.append(bool(terminated[n]))
        if done.any():
            obs = self.envs.reset(options={"reset_mask": done})[0]
        return obs, (self.scale * reward).astype(np.float32), done, infos

    def close(self) -> None:
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs

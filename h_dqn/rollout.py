"""The loop that decides nothing: options run in N worlds, and what happened comes out. Training and evaluation share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from h_dqn.options import Bools, Ints, OptionRunner

# (obs, available, indices) of the worlds where a decision is due -> option for each.
Choose = Callable[[NDArray[np.uint8], Bools, Ints], Ints]


@dataclass(frozen=True)
class Step:
    """One environment step of N worlds. Where an episode ended, ``obs`` is already the first observation of the next."""

    due: Bools  # (N,) a decision was made before this step
    allowed: Bools  # (N, O) options that could be chosen before this step
    option: Ints  # (N,) the option that ran
    action: Ints  # (N,) the primitive action it took
    reward: NDArray[np.float64]  # (N,)
    reached: NDArray[np.uint8]  # (N, S, H, W) what the action led to, an episode's last observation included
    terminated: Bools  # (N,)
    ended: Bools  # (N,) terminated or truncated
    over: Bools  # (N,) the decision ended with this step
    available: Bools  # (N, O) options that could be chosen at ``reached``
    obs: NDArray[np.uint8]  # (N, S, H, W)
    info: dict[str, Any]


class Rollout:
    """Steps worlds whose observations are (S, H, W) stacks of frames, each inside its own option.

    Args:
        envs: a vector environment with autoreset disabled.
        runner: the options.
        choose: picks an option wherever a decision is due.
        seeds: seeds of the first episodes (N of them); later ones go on from there, unless ``next_seed`` gives each its own.
        next_seed: an iterator of seeds for the later episodes.
        interrupt: is asked where an option could go on; the option ends if another would be chosen there (Sutton, Precup and
            Singh 1999, section 4).
    """

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        runner: OptionRunner,
        choose: Choose,
        seeds: list[int],
        next_seed: Iterator[int] | None = None,
        interrupt: Choose | None = None,
    ) -> None:
        self.envs, self.runner, self.choose, self._next_seed = envs, runner, choose, next_seed
        self.interrupt = interrupt
        self.obs: NDArray[np.uint8] = envs.reset(seed=list(seeds))[0]  # type: ignore[arg-type]

    def step(self) -> Step:
        runner, obs = self.runner, self.obs
        due = runner.current < 0
        allowed = runner.available(obs)
        if due.any():
            runner.begin(due, self.choose(obs[due], allowed[due], np.flatnonzero(due)))
        option, action = runner.current.copy(), runner.act(obs)
        reached, reward, terminated, truncated, info = self.envs.step(action)
        ended = terminated | truncated
        over = runner.advance(reached, ended)
        available = runner.available(reached)
        if self.interrupt is not None and not over.all():
            going = ~over
            over[going] = self.interrupt(reached[going], available[going], np.flatnonzero(going)) != option[going]
            runner.current[over] = -1
        self.obs = self._reset(ended) if ended.any() else reached
        return Step(due, allowed, option, action, reward, reached, terminated, ended, over, available, self.obs, info)

    def _reset(self, ended: Bools) -> NDArray[np.uint8]:
        seeds: list[int | None] = [None] * len(ended)
        if self._next_seed is not None:
            for n in np.flatnonzero(ended):
                seeds[n] = next(self._next_seed, None)
        obs: NDArray[np.uint8] = self.envs.reset(seed=seeds, options={"reset_mask": ended.copy()})[0]  # type: ignore[arg-type]
        return obs

    def state_dict(self) -> dict[str, Any]:
        return {"obs": self.obs.copy(), "runner": self.runner.state_dict(), "envs": self.envs.state_dict()}  # type: ignore[attr-defined]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.obs = state["obs"].copy()
        self.runner.load_state_dict(state["runner"])
        self.envs.load_state_dict(state["envs"])  # type: ignore[attr-defined]

"""The loop that decides nothing: options run in N worlds, and what happened comes out. Training and evaluation share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from h_dqn.options import KEEP, Bools, Ints, OptionRunner

# (obs, available, indices) of the worlds where a decision is due -> option for each.
Choose = Callable[[NDArray[np.uint8], Bools, Ints], Ints]


@dataclass(frozen=True)
class Step:
    """One environment step of N worlds. Where an episode ended, ``obs`` is already the first observation of the next.

    A world that can fail says so in ``info["lost"]``: what it returned then is no transition. Where ``lost``, nothing but ``due``,
    ``allowed`` and ``option`` is to be used; the episode was cut off at the observation before.
    """

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
    lost: Bools  # (N,) the world failed: there was no step
    began: Bools  # (N,) a new episode begins at ``obs``; after an episode's end it does not if the world has still to come back


class Rollout:
    """Steps worlds whose observations are (S, H, W) stacks of frames, each inside its own option.

    Args:
        envs: a vector environment with autoreset disabled.
        runner: the options.
        choose: picks an option wherever a decision is due.
        seeds: seeds of the first episodes (N of them); later ones go on from there, unless ``next_seed`` gives each its own.
        next_seed: an iterator of seeds for the later episodes.
        interrupt: is asked where an option could go on; the option ends if another would be chosen there, and not KEEP (Sutton,
            Precup and Singh 1999, section 4).
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
        self._seeds: list[int | None] = list(seeds)  # of the episodes that run, None where the world goes on drawing
        obs, info = envs.reset(seed=self._seeds)  # type: ignore[arg-type]
        self.obs: NDArray[np.uint8] = obs
        self.away = _lost(info, envs.num_envs)  # (N,) worlds that have failed and are not back yet

    def step(self) -> Step:
        runner, obs = self.runner, self.obs
        due = (runner.current < 0) & ~self.away
        allowed = runner.available(obs)
        if due.any():
            runner.begin(due, self.choose(obs[due], allowed[due], np.flatnonzero(due)))
        option, action = runner.current.copy(), runner.act(obs)
        reached, reward, terminated, truncated, info = self.envs.step(action)
        lost = _lost(info, len(due))
        ended = terminated | truncated | lost
        over = runner.advance(reached, ended)
        available = runner.available(reached)
        if self.interrupt is not None and not over.all():
            going = ~over
            better = self.interrupt(reached[going], available[going], np.flatnonzero(going))
            over[going] = (better != KEEP) & (better != option[going])
            runner.current[over] = -1
        self.obs = self._reset(ended, lost) if ended.any() else reached
        began = ended & ~self.away
        return Step(due, allowed, option, action, reward, reached, terminated, ended, over, available, self.obs, info, lost, began)

    def _reset(self, ended: Bools, lost: Bools) -> NDArray[np.uint8]:
        """Where an episode with a seed was lost, the same one is begun once more, so that those that are hard are not left out."""
        for n in np.flatnonzero(ended & ~lost):
            self._seeds[n] = next(self._next_seed, None) if self._next_seed is not None else None
        seeds = [seed if end else None for seed, end in zip(self._seeds, ended, strict=True)]
        obs, info = self.envs.reset(seed=seeds, options={"reset_mask": ended.copy()})  # type: ignore[arg-type]
        self.away = ended & _lost(info, len(ended))
        return np.asarray(obs)

    def state_dict(self) -> dict[str, Any]:
        return {"obs": self.obs.copy(), "runner": self.runner.state_dict(), "envs": self.envs.state_dict()}  # type: ignore[attr-defined]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.obs = state["obs"].copy()
        self.runner.load_state_dict(state["runner"])
        self.away = np.zeros(self.envs.num_envs, bool)
        self._seeds = [None] * self.envs.num_envs
        self.envs.load_state_dict(state["envs"])  # type: ignore[attr-defined]


def _lost(info: dict[str, Any], worlds: int) -> Bools:
    """Where ``info`` says that the world failed; most worlds never do, and say nothing."""
    return np.array(info["lost"], bool) if "lost" in info else np.zeros(worlds, bool)

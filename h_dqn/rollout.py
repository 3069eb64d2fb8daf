"""The loop that decides nothing: options run in N environments, and what happened comes out. Training and evaluation share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from h_dqn.options import KEEP, Bools, Ints, Listener, OptionRunner
from h_dqn.state import checked

# (obs, available, env_ids) of the environments where a decision is due -> option for each. One that remembers is a Listener too.
Policy = Callable[[NDArray[np.uint8], Bools, Ints], Ints]


@dataclass(frozen=True)
class Step:
    """One environment step of N environments. Where an episode ended, ``obs`` is already the first observation of the next.

    An environment that can fail says so in ``info["lost"]``: what it returned then is no transition. Where ``env_failed``, nothing
    but ``due``, ``available`` and ``option`` is to be used; the episode was cut off at the observation before.
    """

    due: Bools  # (N,) a decision was made before this step
    available: Bools  # (N, O) options that could be chosen before this step
    option: Ints  # (N,) the option that ran
    action: Ints  # (N,) the primitive action it took
    reward: NDArray[np.float64]  # (N,)
    next_obs: NDArray[np.uint8]  # (N, S, H, W) what the action led to, an episode's last observation included
    terminated: Bools  # (N,)
    done: Bools  # (N,) the episode ended: terminated or truncated
    option_done: Bools  # (N,) the option ended with this step
    next_available: Bools  # (N, O) options that could be chosen at ``next_obs``
    obs: NDArray[np.uint8]  # (N, S, H, W) where the next step begins
    info: dict[str, Any]
    env_failed: Bools  # (N,) there was no step
    missing: Bools  # (N,) the environment had failed before and was not back yet
    reset: Bools  # (N,) a new episode begins at ``obs``; after an episode's end it does not if the environment has yet to come back


class Rollout:
    """Steps environments whose observations are (S, H, W) stacks of frames, each inside its own option.

    Args:
        envs: a vector environment with autoreset disabled.
        runner: the options.
        policy: picks an option wherever a decision is due.
        seeds: seeds of the first episodes (N of them); later ones go on from there, unless ``next_seed`` gives each its own.
        next_seed: an iterator of seeds for the later episodes.
        interrupt: is asked where an option could go on; the option ends if another would be chosen there, and not KEEP (Sutton,
            Precup and Singh 1999, section 4).
        listener: is shown every observation, as the options are (the policy, if it listens).
    """

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        runner: OptionRunner,
        policy: Policy,
        seeds: list[int],
        next_seed: Iterator[int] | None = None,
        interrupt: Policy | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.envs, self.runner, self.policy, self._next_seed = envs, runner, policy, next_seed
        self.interrupt = interrupt
        told = policy if listener is None else listener
        self._listeners: list[Listener] = [runner, *([told] if isinstance(told, Listener) else [])]
        self._seeds: list[int | None] = list(seeds)  # of the episodes that run, None where the environment goes on drawing
        obs, info = envs.reset(seed=self._seeds)  # type: ignore[arg-type]
        self.obs: NDArray[np.uint8] = obs
        self.missing = failed(info, envs.num_envs)  # (N,) environments that have failed and are not back yet
        self._show(~self.missing)

    def _show(self, begins: Bools) -> None:
        """All who listen see where the next step begins; ``begins`` (N,): an episode begins there."""
        for listener in self._listeners:
            listener.observe(self.obs, begins)

    def step(self) -> Step:
        runner, obs = self.runner, self.obs
        missing = self.missing
        due = (runner.current < 0) & ~missing
        available = runner.available(obs)
        if due.any():
            runner.begin(due, self.policy(obs[due], available[due], np.flatnonzero(due)))
        option, action = runner.current.copy(), runner.act(obs)
        next_obs, reward, terminated, truncated, info = self.envs.step(action)
        env_failed = failed(info, len(due))
        done = terminated | truncated | env_failed
        option_done = runner.advance(next_obs, done)
        next_available = runner.available(next_obs)
        self.obs = self._reset(done, env_failed) if done.any() else next_obs
        reset = done & ~self.missing
        self._show(reset)
        if self.interrupt is not None and not option_done.all():
            going = ~option_done
            better = self.interrupt(next_obs[going], next_available[going], np.flatnonzero(going))
            option_done[going] = (better != KEEP) & (better != option[going])
            runner.current[option_done] = -1
        return Step(
            due, available, option, action, reward, next_obs, terminated, done, option_done, next_available, self.obs, info,
            env_failed, missing, reset,
        )  # fmt: skip

    def _reset(self, done: Bools, env_failed: Bools) -> NDArray[np.uint8]:
        """Where an episode with a seed failed, the same one is begun once more, so that those that are hard are not left out."""
        for n in np.flatnonzero(done & ~env_failed):
            self._seeds[n] = next(self._next_seed, None) if self._next_seed is not None else None
        seeds = [seed if end else None for seed, end in zip(self._seeds, done, strict=True)]
        obs, info = self.envs.reset(seed=seeds, options={"reset_mask": done.copy()})  # type: ignore[arg-type]
        self.missing = done & failed(info, len(done))
        return np.asarray(obs)

    def state_dict(self) -> dict[str, Any]:
        return {"obs": self.obs.copy(), "runner": self.runner.state_dict(), "envs": self.envs.state_dict()}  # type: ignore[attr-defined]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Whoever listens beside the options has its own state back before."""
        self.obs = checked(state["obs"], "obs", self.obs.shape, self.obs.dtype).copy()
        self.runner.load_state_dict(state["runner"])
        self.missing = np.zeros(self.envs.num_envs, bool)
        self._seeds = [None] * self.envs.num_envs
        self.envs.load_state_dict(state["envs"])  # type: ignore[attr-defined]
        self._show(np.zeros(self.envs.num_envs, bool))


def failed(info: dict[str, Any], num_envs: int) -> Bools:
    """Where ``info`` says that the environment failed; most never do, and say nothing."""
    return np.array(info["lost"], bool) if "lost" in info else np.zeros(num_envs, bool)

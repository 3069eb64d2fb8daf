"""Play episodes as evaluation does, and keep what was seen, thought and done at every step. Failures are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from h_dqn.options import Option, OptionRunner
from h_dqn.policies import SoftmaxPolicy
from h_dqn.rollout import Rollout
from h_dqn.seeds import episode_seeds

Columns = dict[str, NDArray[Any]]
Look = Callable[[], Columns]


@dataclass(frozen=True)
class Record:
    """R steps of E episodes, one episode after the other. Each row is what held before its step, and what came of it."""

    episode: NDArray[np.int64]  # (R,) number of the episode, in the order of the seeds
    step: NDArray[np.int64]  # (R,) steps of the episode before this one
    frames: NDArray[np.uint8]  # (R, S, H, W) what the network saw
    state: NDArray[np.float32]  # (R, C) what its core remembered of the steps before; no columns without one
    features: NDArray[np.float32]  # (R, F) what its head read
    q: NDArray[np.float32]  # (R, O)
    option: NDArray[np.int64]  # (R,) the option that ran
    due: NDArray[np.bool_]  # (R,) whether it was chosen here
    action: NDArray[np.int64]  # (R,) the primitive action taken
    reward: NDArray[np.float64]  # (R,)
    last: NDArray[np.bool_]  # (R,) the episode ended with this step
    success: NDArray[np.bool_]  # (E,)
    seeds: tuple[int, ...]  # (E,)
    truth: Columns  # (R, ...) of what ``look`` gave

    def __len__(self) -> int:
        return len(self.episode)

    @property
    def value(self) -> NDArray[np.float32]:
        """(R,) max Q."""
        best: NDArray[np.float32] = self.q.max(1)
        return best

    def returns(self, discount: float = 1.0) -> NDArray[np.float64]:
        """(E,) discounted sum of rewards."""
        return np.bincount(self.episode, self.reward * discount**self.step, minlength=len(self.seeds)).astype(np.float64)


def record(
    envs: VectorEnv[Any, Any, Any], options: Sequence[Option], policy: SoftmaxPolicy, episodes: int, seed: int,
    look: Look, interrupt: bool = False,
) -> Record:  # fmt: skip
    """Play ``episodes`` episodes of the evaluation's split, as :func:`h_dqn.evaluation.evaluate` plays them.

    Args:
        envs: a vector environment of the task.
        options: what the policy chooses among.
        policy: whose network is looked into.
        episodes: how many.
        seed: decides which.
        look: what else there is to say of all environments now: arrays with the environment as first axis.
        interrupt: an option ends where ``policy`` would pick another.
    """
    n, every = envs.num_envs, np.arange(envs.num_envs)
    seeds = episode_seeds("evaluate", seed, max(episodes, n))
    runner = OptionRunner(options, n, np.random.default_rng([seed, 2]))
    rollout = Rollout(envs, runner, policy, seeds[:n], iter(seeds[n:]), policy if interrupt else None)
    playing, given = every.copy(), n  # which episode each environment plays, and how many were dealt out
    running: list[list[Columns]] = [[] for _ in every]
    over: dict[int, list[Columns]] = {}
    while len(over) < episodes:
        before = {**thoughts(policy, rollout.obs), **look()}
        step = rollout.step()
        before |= {"option": step.option, "due": step.due, "action": step.action, "reward": step.reward,
                   "last": step.done, "terminated": step.terminated}  # fmt: skip
        for i in np.flatnonzero(~step.env_failed):
            running[i].append({name: values[i] for name, values in before.items()})
        for i in np.flatnonzero(step.done):
            if not step.env_failed[i]:
                if playing[i] < episodes:
                    over[int(playing[i])] = running[i]
                playing[i], given = given, given + 1
            running[i] = []
    return _stacked([over[number] for number in range(episodes)], seeds[:episodes])


def thoughts(policy: SoftmaxPolicy, obs: NDArray[np.uint8]) -> Columns:
    """What the policy's network makes of the newest observations of its N environments: state, features and Q-values."""
    network = policy.state.network
    frames = torch.from_numpy(obs)
    x = policy.state.features(frames.to(next(network.parameters()).device), np.arange(len(obs)))
    with torch.no_grad():
        q = network.head(x)[:, policy.outputs]
    remembered = policy.state.state_dict().get("state", torch.zeros(len(obs), 0))
    return {"frames": obs, "state": remembered.cpu().numpy(), "features": x.cpu().numpy(), "q": q.cpu().numpy()}


def _stacked(episodes: list[list[Columns]], seeds: list[int]) -> Record:
    rows = [row for episode in episodes for row in episode]
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    lengths = [len(episode) for episode in episodes]
    known = ("frames", "state", "features", "q", "option", "due", "action", "reward", "last")
    return Record(
        episode=np.repeat(np.arange(len(episodes)), lengths),
        step=np.concatenate([np.arange(length) for length in lengths]),
        success=np.array([bool(episode[-1]["terminated"]) for episode in episodes]),
        seeds=tuple(seeds),
        truth={name: values for name, values in columns.items() if name not in (*known, "terminated")},
        **{name: columns[name] for name in known},
    )

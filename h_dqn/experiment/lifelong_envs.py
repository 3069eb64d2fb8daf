"""The worlds of a life: its stages, what is learned in, and how all tasks are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from envs.sequence import Phase
from h_dqn.agent_state import AgentState
from h_dqn.evaluation import Evaluation, Watched, evaluate
from h_dqn.experiment.evaluate import filmed
from h_dqn.experiment.lifelong_agent import ANNOUNCED, ID, Player, options_of
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.mixed_envs import MixedEnvs
from h_dqn.networks import QNetwork
from h_dqn.options import Bools, Ints, OptionRunner
from h_dqn.plasticity import dormant_share, effective_rank
from h_dqn.policies import SoftmaxPolicy
from h_dqn.report import sheets
from h_dqn.rollout import Rollout
from h_dqn.seeds import episode_seeds
from h_dqn.train import MakeEnvs

AT_ONCE = 50  # environments at most that an evaluation plays in
PICTURE = 160  # pixels of a film's pictures on a page
SAMPLE = 512  # observations by which a network's features are judged


def stages(phases: Sequence[Phase], regime: str) -> list[list[int]]:
    """The phases between two boundaries, for each of these: a boundary is where who learns is told that a phase begins."""
    found: list[list[int]] = []
    for number, phase in enumerate(phases):
        if not number or regime == ID or (regime == ANNOUNCED and phase.announced):
            found.append([])
        found[-1].append(number)
    return found


def mixed(envs: Sequence[TaskEnvs]) -> MakeEnvs:
    """Makes so many environments of all tasks, at least one of each."""

    def make(num_envs: int) -> VectorEnv[Any, Any, Any]:
        shares = [num_envs * (number + 1) // len(envs) - num_envs * number // len(envs) for number in range(len(envs))]
        return MixedEnvs([one(max(1, share)) for one, share in zip(envs, shares, strict=True)])

    return make


class Looks:
    """Evaluations of all tasks with weights as they are, on the same unseen episodes each time.

    Args:
        envs: of each task.
        told: whether who plays is told which task it is.
        seed: decides the episodes.
    """

    def __init__(self, envs: Sequence[TaskEnvs], told: bool, seed: int) -> None:
        self.envs, self.seed = envs, seed
        self.options = [options_of(one, told) for one in envs]
        self._made: dict[tuple[int, int], VectorEnv[Any, Any, Any]] = {}

    def play(self, task: int, player: Player, episodes: int, told: Callable[[int], None]) -> tuple[Evaluation, Sampled]:
        """Success on a task, and what the features of the network were by which it was played.

        ``told`` learns how many episodes are over; what it raises ends the playing.
        """
        # As many as share the episodes evenly: one that has none left plays on for nothing.
        at_once = ceil(episodes / ceil(episodes / AT_ONCE))
        if (task, at_once) not in self._made:
            self._made[task, at_once] = self.envs[task](at_once)
        softmax = SoftmaxPolicy(AgentState(player.network), player.temperature, self.seed, player.outputs)
        policy = Sampled(softmax, player.network)
        envs = Watched(self._made[task, at_once], told)
        return evaluate(envs, self.options[task], policy, episodes, self.seed), policy

    def film(self, task: int, player: Player) -> dict[str, Any]:
        """The first of these episodes in pictures, as a page shows it."""
        envs, options, seeds = self.envs[task], self.options[task], episode_seeds("evaluate", self.seed, 1)
        policy = SoftmaxPolicy(AgentState(player.network), player.temperature, self.seed, player.outputs)
        rollout = Rollout(envs(1), OptionRunner(options, 1, np.random.default_rng(self.seed)), policy, seeds)
        film = next(filmed(envs, rollout, options, seeds, PICTURE))
        pictures = sheets(np.stack(film.frames))
        return {"task": envs.task.name, "success": film.success, "captions": film.captions, "pictures": pictures}


class Sampled:
    """A policy that remembers some of what it saw."""

    def __init__(self, policy: SoftmaxPolicy, network: QNetwork) -> None:
        self.policy, self.network = policy, network
        self._seen: list[NDArray[np.uint8]] = []

    def observe(self, obs: NDArray[np.uint8], begins: Bools) -> None:
        self.policy.observe(obs, begins)

    def __call__(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
        if sum(map(len, self._seen)) < SAMPLE:
            self._seen.append(obs.copy())
        return self.policy(obs, available, env_ids)

    @torch.no_grad()
    def features(self) -> dict[str, float]:
        """Signs of plasticity: dormant units and rank of what the torso says of these observations."""
        device = next(self.network.parameters()).device
        x_BF = self.network.torso(torch.from_numpy(np.concatenate(self._seen)[:SAMPLE]).to(device)).cpu()
        return {"dormant": dormant_share(x_BF), "effective_rank": effective_rank(x_BF)}

"""Exploration: how often, and where, an option is chosen at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.options import Bools, Ints
from h_dqn.policies import greedy
from h_dqn.settings import CountOrZero, NotNegative, Share


@dataclass(frozen=True)
class ExplorationConfig:
    """Epsilon-greedy exploration."""

    epsilon_start: Share = 1.0
    """share of random choices at the start"""
    epsilon_end: Share = 0.4
    """share of random choices from epsilon_decisions on"""
    epsilon_ladder: NotNegative = 7.0
    """spreads the environments: the first explores with epsilon, the last with epsilon ** (1 + ladder); 0: all alike"""
    epsilon_decisions: CountOrZero = 60_000
    """decisions over which epsilon falls"""
    epsilon_waits: bool = True
    """whether epsilon falls only while some of the last 300 episodes reached the goal, and rises again while none does"""
    skill_share: Share = 0.0
    """share of the random choices that are a skill, whichever, where there are skills and primitive actions; many skills of many
    steps leave the others few frames (0: each option is drawn as often as any other)"""


class EpsilonGreedy:
    """Epsilon falls linearly with the decisions made, and rises while none succeeds.

    The N environments form a ladder from epsilon down to epsilon ** (1 + ladder) (Horgan et al. 2018, section 4): the first go on
    exploring, the last act almost greedily, so that the loops a greedy agent would be caught in are seen and unlearned.
    """

    def __init__(self, config: ExplorationConfig, num_envs: int, rng: np.random.Generator) -> None:
        self.config, self.num_envs, self._rng = config, num_envs, rng
        self.fallen = 0  # decisions by which epsilon has fallen
        self.skills: Bools | None = None  # (O,) which options are skills, where these are drawn apart

    @property
    def epsilon(self) -> NDArray[np.float64]:
        """Share of random choices in each environment now, (N,)."""
        c = self.config
        epsilon = c.epsilon_start + self.fallen / max(1, c.epsilon_decisions) * (c.epsilon_end - c.epsilon_start)
        rungs: NDArray[np.float64] = epsilon ** (1 + np.linspace(0, c.epsilon_ladder, self.num_envs))
        return rungs

    def choose(self, q_BO: Tensor, available: Bools, admissible: Bools, env_ids: Ints) -> Ints:
        """The best available option of each row, (B,), or with the probability epsilon of its environment a random admissible one.

        Args: Q-values (B, O); options that could be chosen, and those of them that are not eliminated, (B, O); environments (B,).
        """
        option = greedy(q_BO, available)
        random = self._rng.random(len(option)) < self.epsilon[env_ids]
        drawn = admissible if self.skills is None else self._of_one_kind(admissible, self.skills)
        option[random] = (self._rng.random(available.shape) * drawn).argmax(1)[random]
        return option

    def _of_one_kind(self, admissible: Bools, skills: Bools) -> Bools:
        """Of each row's admissible options (B, O) only the skills or only the others, by chance where there are both."""
        skill = self._rng.random(len(admissible)) < self.config.skill_share
        drawn: Bools = admissible & (skills == skill[:, None])
        drawn[~drawn.any(1)] = admissible[~drawn.any(1)]
        return drawn

    def follows(self, env_ids: Ints) -> Bools:
        """Where the best option is followed rather than something explored, (B,)."""
        return self._rng.random(len(env_ids)) >= self.epsilon[env_ids]

    def advance(self, decisions: int, success: float) -> None:
        """So many decisions were made, while this share of the newest episodes reached the goal."""
        self.fallen += decisions if success or not self.config.epsilon_waits else -decisions
        self.fallen = min(max(self.fallen, 0), self.config.epsilon_decisions)

"""What a learner is. The trainer, the command line and the benchmarks know no more of one than this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from h_dqn.networks import QNetwork
from h_dqn.options import Bools, Ints
from h_dqn.replay import ReplayNeeds, SMDPReplay
from h_dqn.rollout import Policy
from h_dqn.settings import ConfigError

Metrics = dict[str, float]


class Progress(NamedTuple):
    """How far a run is."""

    share: float  # of its environment steps, 0..1
    success: float  # share of the newest episodes that reached the goal, exploration included


class Choice(NamedTuple):
    """What was chosen where decisions were due."""

    option: Ints  # (B,)
    record: NDArray[np.float32] | None = None  # (B, R) what the replay keeps beside each decision and hands back, as it is


class Learner(ABC):
    """Chooses options while it explores, and learns from what came of them.

    Shapes: B rows where a decision is due; ``obs`` (B, S, H, W); ``available`` (B, O); ``env_ids`` (B,), which they are.
    """

    network: nn.Module  # what is learned: its weights are kept, and those that did best in validation come back
    needs: ReplayNeeds  # what it asks of the replay

    def observe(self, obs: NDArray[np.uint8], begins: Bools) -> None:  # noqa: B027
        """Every observation (N, S, H, W) of the environments, once; in those of the mask ``begins`` (N,) an episode begins."""

    def told_skills(self, skills: Bools) -> None:  # noqa: B027
        """Which of the options are skills, (O,), before the run begins: for who explores these otherwise."""

    @property
    def state(self) -> Tensor | None:
        """(N, C) what it remembered before the newest observation, an episode's end notwithstanding; the replay keeps it."""
        return None

    @abstractmethod
    def act(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints, progress: Progress) -> Choice:
        """Choose an option for each row, exploring."""

    @abstractmethod
    def update(self, replay: SMDPReplay, progress: Progress) -> Metrics:
        """Learn once, after each round of steps; returns what is worth logging."""

    @abstractmethod
    def policy(self, seed: int) -> Policy:
        """How it chooses where it is evaluated."""

    def interrupt(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
        """What to do instead of options that could go on, while exploring: an option, or KEEP."""
        raise ConfigError("--interrupt: this learner cannot interrupt options")

    def warm_start(self, names: Sequence[str], source: QNetwork, known: Sequence[str]) -> None:
        """Begin with what another network knows; ``names`` are this learner's options, ``known`` those of the source's outputs."""
        raise ConfigError("--from: this learner cannot begin from a network")

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how it goes on."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`, bit for bit."""

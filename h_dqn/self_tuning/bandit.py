"""A sliding-window bandit over the heads of the family, as Agent57 (Badia et al. 2020) chooses among its policies.

An environment plays each episode by one head: the one whose newest episodes returned most, and in an eighth of the environments any
one. Agent57 gives each actor a bandit of its own, with upper confidence bounds; here all environments share one, and as some try
any head all the time, the others need no bounds. There is no gradient in it: it is what a meta-gradient has to beat.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.self_tuning.episodes import ByEpisodes
from h_dqn.self_tuning.tuner import Seen
from h_dqn.state import CheckpointError, restore

WINDOW = 40  # newest episodes of each head
ANY = 8  # every so many-th environment plays by any head


class Bandit(ByEpisodes):
    """See the file's head, and :class:`h_dqn.self_tuning.tuner.Tuner`."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.head.place.round_()
        self._returns = [deque[float](maxlen=WINDOW) for _ in range(self.head.count)]
        self._arm = np.full(self.num_envs, int(self.head.place))
        self._choosing = False

    def observe(self, begins: NDArray[np.bool_]) -> None:
        """Where an episode begins, its environment chooses a head for all of it."""
        super().observe(begins)
        if self._choosing and begins.any():
            drawn = self.rng.integers(0, self.head.count, self.num_envs)
            few = self.num_envs < ANY  # of which none can always play by any head
            anyone = self.rng.random(self.num_envs) < 1 / ANY if few else np.arange(self.num_envs) % ANY == ANY - 1
            self._arm = np.where(begins, np.where(anyone, drawn, int(self.head.place)), self._arm)

    def places(self) -> Tensor:
        return torch.from_numpy(self._arm).double()

    def move(self, seen: Seen) -> None:
        """eta is the head of the best newest episodes; one that none was played by is tried first."""
        ended = self.episodes.ended(seen)
        if not seen.warm:
            return
        self._choosing = True
        for place, _, total in ended:
            self._returns[round(place)].append(total)
        means = [float(np.mean(returns)) if returns else np.inf for returns in self._returns]
        if len(self._returns[int(self.head.place)]):
            self.head.place.fill_(int(np.argmax(means)))

    def state_dict(self) -> dict[str, Any]:
        own = {"arm": self._arm.copy(), "newest": [list(returns) for returns in self._returns], "choosing": self._choosing}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        restore(self._arm, state["arm"], "arm", 0, self.head.count - 1)
        if len(state["newest"]) != self.head.count:
            raise CheckpointError("'tuning' has returns of other heads")
        self._returns = [deque(map(float, saved), maxlen=WINDOW) for saved in state["newest"]]
        self._choosing = state["choosing"] is True

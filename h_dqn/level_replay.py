"""Which episode comes next while training: a new one, or one that was failed (after Jiang, Grefenstette and Rocktaeschel 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np

from h_dqn.seeds import draw_training_seed

MOST = 1000  # failed episodes that are kept, the newest
TRIES = 5  # an episode that failed so often is let go


class LevelReplay:
    """Seeds of N worlds' episodes.

    An agent that solves 97 of 100 episodes learns little from another hundred. Here a share of the episodes are failed ones, begun
    again from their seeds until they are solved, so that the rare rooms in which a greedy agent is caught are seen often.

    Args:
        seeds: of the first episodes, N of them.
        share: how many of the later episodes are failed ones, once there are any.
        judges: (N,) bool: whether a failure in this world counts; where the agent explores much, it says little.
    """

    def __init__(
        self, seeds: list[int], share: float, judges: np.ndarray[Any, np.dtype[np.bool_]], rng: np.random.Generator
    ) -> None:
        self.running, self.share, self._judges, self._rng = list(seeds), share, judges, rng
        self.failed: dict[int, int] = {}  # seed: how often it was failed, the newest last

    def next_seed(self, world: int, succeeded: bool) -> int:
        """The seed of the world's next episode, after its running one ended."""
        seed = self.running[world]
        tries = self.failed.pop(seed, 0) + 1
        if not succeeded and tries < TRIES and (self._judges[world] or tries > 1):
            self.failed[seed] = tries
            if len(self.failed) > MOST:
                del self.failed[next(iter(self.failed))]
        again = self.failed and self._rng.random() < self.share
        known = list(self.failed)
        self.running[world] = known[self._rng.integers(len(known))] if again else draw_training_seed(self._rng)
        return self.running[world]

    def state_dict(self) -> dict[str, Any]:
        return {"running": list(self.running), "failed": dict(self.failed), "rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.running, self.failed = list(state["running"]), dict(state["failed"])
        self._rng.bit_generator.state = state["rng"]

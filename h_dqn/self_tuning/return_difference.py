"""The difference of returns: eta goes to the side whose environments had the better episodes. There is no gradient in it.

Finite differences in the one thing that is tuned. A meta-gradient that does no better than this is not worth its trouble.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch

from h_dqn.self_tuning.episodes import ByEpisodes
from h_dqn.self_tuning.tuner import OFFSETS, Seen, Walking, offsets
from h_dqn.settings import ConfigError
from h_dqn.state import CheckpointError

WINDOW = 40  # newest episodes at either side


class ReturnDifference(ByEpisodes, Walking):
    """See the file's head, and :class:`h_dqn.self_tuning.tuner.Tuner`."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        if self.num_envs < len(OFFSETS):
            raise ConfigError(f"--tuner return_difference needs --num-envs {len(OFFSETS)} or more, of which some try either side")
        self._newest = {side: deque[float](maxlen=WINDOW) for side in (-1, 1)}

    def move(self, seen: Seen) -> None:
        """Towards the side that had more, by a step as large as that is sure."""
        ended = self.episodes.ended(seen)
        if not seen.warm:
            return
        self.moving = True
        for _, env, total in ended:
            side = int(offsets(torch.tensor([env])))
            if side:
                self._newest[side].append(total)
        less, more = (list(self._newest[side]) for side in (-1, 1))
        if min(len(less), len(more)) < 2:
            return
        error = (np.var(less, ddof=1) / len(less) + np.var(more, ddof=1) / len(more)) ** 0.5
        sure = (np.mean(more) - np.mean(less)) / max(float(error), 1e-12)
        self.go(self.config.meta_rate * float(np.clip(sure, -1, 1)))

    def state_dict(self) -> dict[str, Any]:
        newest = [list(self._newest[side]) for side in (-1, 1)]
        return {**super().state_dict(), "newest": newest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if len(state["newest"]) != 2:
            raise CheckpointError("'tuning' has returns of other sides")
        self._newest = {side: deque(map(float, saved), maxlen=WINDOW) for side, saved in zip((-1, 1), state["newest"], strict=True)}

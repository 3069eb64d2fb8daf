"""A uniform sample of all decisions of a life (Vitter 1985), each with all that is needed to learn from it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from h_dqn.state import CheckpointError


@dataclass(frozen=True)
class Stored:
    """M decisions."""

    frames: Tensor  # (M, S, H, W) uint8 where they were made
    state: Tensor  # (M, C) what the agent remembered there
    next_frames: Tensor  # (M, S, H, W) uint8 where they ended
    next_state: Tensor  # (M, C)
    option: Tensor  # (M,)
    reward: Tensor  # (M,) discounted within the decision, scaled
    discount: Tensor  # (M,) before the bootstrap; 0 where the world ended
    available: Tensor  # (M, O)
    next_available: Tensor  # (M, O)
    q: Tensor  # (M, O) values when it was stored
    task: Tensor  # (M,)

    def __len__(self) -> int:
        return len(self.option)

    def __getitem__(self, index: Tensor) -> Stored:
        return Stored(*(part[index] for part in vars(self).values()))

    @property
    def nbytes(self) -> int:
        return sum(int(part.nbytes) for part in vars(self).values())


class Memory:
    """At most ``capacity`` decisions. Each draws a number when it is offered; those with the largest stay.

    Args:
        capacity: M.
        seed: decides the draws.
    """

    def __init__(self, capacity: int, seed: int) -> None:
        self.capacity, self._rng = capacity, np.random.default_rng([seed, 11])
        self.stored: Stored | None = None
        self._drawn = np.zeros(0)

    def __len__(self) -> int:
        return 0 if self.stored is None else len(self.stored)

    def offer(self, new: Stored) -> None:
        """Decisions that were just made."""
        drawn = np.concatenate([self._drawn, self._rng.random(len(new))])
        kept = np.sort(np.argsort(-drawn, kind="stable")[: self.capacity])
        parts = (
            zip(vars(self.stored).values(), vars(new).values(), strict=True)
            if self.stored
            else ((one,) for one in vars(new).values())
        )
        index = torch.from_numpy(kept)
        self.stored, self._drawn = Stored(*(torch.cat(list(pair))[index] for pair in parts)), drawn[kept]

    def sample(self, count: int) -> Stored:
        """So many of those that are kept, with replacement."""
        assert self.stored is not None
        return self.stored[torch.from_numpy(self._rng.integers(0, len(self.stored), count))]

    def state_dict(self) -> dict[str, Any]:
        stored = None if self.stored is None else dict(vars(self.stored))
        return {"stored": stored, "drawn": self._drawn, "rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises :class:`h_dqn.checkpoint.CheckpointError` for a state that cannot be of this memory."""
        stored, self._drawn = state["stored"], state["drawn"]
        if stored is not None and {len(part) for part in stored.values()} != {len(self._drawn)}:
            raise CheckpointError("the memory's parts are of different lengths")
        self.stored = None if stored is None else Stored(**stored)
        self._rng.bit_generator.state = state["rng"]

"""Seeds: training, validation and evaluation episodes can never share one, whatever numbers a user gives."""

from __future__ import annotations

from typing import Literal

import numpy as np

Split = Literal["train", "validate", "evaluate"]
_SPLITS = ("train", "validate", "evaluate")


def episode_seeds(split: Split, seed: int, count: int) -> list[int]:
    """``count`` seeds for the worlds' episodes. The split is the remainder by three, so that no two splits overlap."""
    draws = np.random.SeedSequence(seed).generate_state(count, np.uint64) >> np.uint64(3)
    return [int(draw) * 3 + _SPLITS.index(split) for draw in draws]

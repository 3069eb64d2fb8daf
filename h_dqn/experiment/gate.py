"""What a new skill must show before the library takes it, and what it must not do to the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h_dqn.evaluation import Evaluation


def passes(outcome: Evaluation, bar: float) -> bool:
    """Whether a skill surely succeeds as often as it must: the lower end of its interval (Wilson 1927) is at least ``bar``."""
    return outcome.ci95[0] >= bar


def lost(original: Sequence[bool], now: Sequence[bool]) -> float:
    """By how much less a head succeeds than the network that it learned from, on the same episodes; below 0 where more."""
    return float(np.mean(original) - np.mean(now))


def fresh_seed(seed: int, attempt: int) -> int:
    """A seed of evaluation episodes that no other attempt plays, the first being number 1."""
    return int(np.random.SeedSequence([seed, attempt, 0x6A7E]).generate_state(1)[0])

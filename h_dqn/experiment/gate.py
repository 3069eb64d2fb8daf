"""What a new skill must show before the library takes it, and what it must not do to the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from h_dqn.evaluation import Evaluation
from skills_library.library import Library

FIRST, OF_BEST = 0.8, 0.95  # what must be shown where nobody has shown more, and which share of what was shown


def bar_of(library: Library, name: str, task: str, world: str) -> float:
    """What a new version of a skill must reach: a share of the success of the best version that was measured here in the same
    task, since a task of rooms of any shape may allow no more; where there is none, :data:`FIRST`.

    Args:
        library: whose versions count, and those that come with the package; but not what others say of a version that was taken in.
        name: of the skill.
        task: hash of its task.
        world: that plays it.
    """
    best = library.shown(name, task, world)
    return FIRST if best is None else OF_BEST * best


def passes(outcome: Evaluation, bar: float) -> bool:
    """Whether a skill surely succeeds as often as it must: the lower end of its interval (Wilson 1927) is at least ``bar``."""
    return outcome.ci95[0] >= bar


def lost(original: Sequence[bool], now: Sequence[bool]) -> float:
    """By how much less a head succeeds than the network that it learned from, on the same episodes; below 0 where more."""
    return float(np.mean(original) - np.mean(now))


def fresh_seed(seed: int, attempt: int) -> int:
    """A seed of evaluation episodes that no other attempt plays, the first being number 1."""
    return int(np.random.SeedSequence([seed, attempt, 0x6A7E]).generate_state(1)[0])

"""Noticing that the world has changed when nobody says so, and how well that was done."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

RECENT, SURE = 50, 4.0  # newest episodes that are set against those before; standard errors


def changed(success: Sequence[float]) -> bool:
    """Whether the newest episodes succeed so much less than those before that chance explains it no more (two proportions).

    ``success``: of the newest episodes, the oldest first. An agent that gets better, or has never succeeded, notices nothing.
    """
    before, now = success[:-RECENT], success[-RECENT:]
    if len(before) < RECENT:
        return False
    share = sum(success) / len(success)
    error = sqrt(share * (1 - share) * (1 / len(before) + 1 / len(now)))
    return sum(before) / len(before) - sum(now) / len(now) > SURE * error > 0


def found(noticed: Sequence[int], changes: Sequence[int], end: int) -> tuple[float | None, float | None]:
    """Precision and recall of what was noticed, at environment steps, of ``changes``, until ``end``; None of nothing.

    A change is found by the first notice after it and before the next one; any other notice is false.
    """
    ends = [*changes[1:], end]
    hits = sum(any(begin <= one < until for one in noticed) for begin, until in zip(changes, ends, strict=True)) if changes else 0
    return hits / len(noticed) if noticed else None, hits / len(changes) if changes else None

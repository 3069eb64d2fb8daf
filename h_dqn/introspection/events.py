"""Do clusters change where something happens? Events are rows in which something becomes true that was not true a step before."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from h_dqn.options import Bools
from h_dqn.statistics import wilson

Labels = NDArray[np.int64]


class Match(NamedTuple):
    """How well what was found agrees with what happened."""

    found: int
    true: int
    precision: float
    """share of what was found that has a true event near it"""
    recall: float
    """share of true events near which something was found"""
    f1: float


def becomes(true_R: NDArray[Any], episode_R: Labels) -> Bools:
    """(R,) where something is true and was not in the row before, of the same episode."""
    true = np.asarray(true_R, bool)
    before = np.r_[True, true[:-1]]
    return np.asarray(true & ~before & _goes_on(episode_R))


def crossings(labels_R: Labels, episode_R: Labels, edge: tuple[int, int] | None = None) -> Bools:
    """(R,) where a cluster is entered out of another one; with ``edge`` only by this move (source, target)."""
    before = np.r_[-1, labels_R[:-1]]
    changed = (labels_R != before) & _goes_on(episode_R)
    return np.asarray(changed if edge is None else changed & (before == edge[0]) & (labels_R == edge[1]))


def near(one_R: Bools, episode_R: Labels, steps: int) -> Bools:
    """(R,) whether ``one_R`` is true at most so many steps before or after, in the same episode."""
    found = one_R.copy()
    for shift in range(1, steps + 1):
        same = episode_R[shift:] == episode_R[:-shift]
        found[shift:] |= one_R[:-shift] & same
        found[:-shift] |= one_R[shift:] & same
    return found


def match(found_R: Bools, true_R: Bools, episode_R: Labels, steps: int) -> Match:
    """F1 of ``found_R`` against ``true_R``, where up to ``steps`` steps between them are forgiven. 0 where nothing was found."""
    right = int((found_R & near(true_R, episode_R, steps)).sum())
    met = int((true_R & near(found_R, episode_R, steps)).sum())
    found, true = int(found_R.sum()), int(true_R.sum())
    precision, recall = right / max(1, found), met / max(1, true)
    return Match(found, true, precision, recall, 2 * precision * recall / max(1e-12, precision + recall))


def surest(crossing_R: Bools, events: dict[str, Bools], episode_R: Labels, steps: int) -> tuple[str, float, float] | None:
    """The event that most surely goes with a move: its name, the share of crossings that it is near to, and that of all rows.

    It is the one for which the lower end of the share's 95 % interval is most above what rows have that are no crossings; None
    where no event's is above that.
    """
    best, most = None, 0.0
    many = int(crossing_R.sum())
    for name, event_R in events.items():
        close = near(event_R, episode_R, steps)
        here, base = int((crossing_R & close).sum()), float(close.mean())
        surely = wilson(here, many)[0] - base if many else 0.0
        if surely > most:
            best, most = (name, here / many, base), surely
    return best


def comes_before(first: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]]) -> float:
    """Share of the episodes with ``first`` (E,), the step at which it happens, in which ``other`` happens before it; NaN: never.

    0 where it never happens.
    """
    happens = ~np.isnan(first)
    return float((other[happens] < first[happens]).mean()) if happens.any() else 0.0


def first_steps(event_R: Bools, episode_R: Labels, episodes: int) -> NDArray[np.float64]:
    """(E,) the step of each episode at which it happens for the first time; NaN where it never does."""
    found = np.full(episodes, np.nan)
    starts = np.searchsorted(episode_R, np.arange(episodes))
    for row in np.flatnonzero(event_R)[::-1]:
        found[episode_R[row]] = row - starts[episode_R[row]]
    return found


def _goes_on(episode_R: Labels) -> Bools:
    return np.asarray(np.r_[False, episode_R[1:] == episode_R[:-1]])

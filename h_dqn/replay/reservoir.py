"""A uniform sample of a stream that goes on (reservoir sampling, Vitter 1985), here of decisions and whether they did anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reservoir:
    """T decisions. Each has drawn a number: those with the largest are a uniform sample of all that were ever made.

    So the sample can be kept up to date as decisions are made, and two samples joined.
    """

    frames: NDArray[np.uint8]  # (T, S, H, W) where they were made
    option: NDArray[np.int64]  # (T,)
    signal: NDArray[np.bool_]  # (T,) the elimination signal: none of its steps had an effect
    number: NDArray[np.int64]  # (T,) which decision it was
    drawn: NDArray[np.float64]  # (T,)

    def __or__(self, other: Reservoir) -> Reservoir:
        """All that are in one of them, each once."""
        missing = other[np.flatnonzero(~np.isin(other.number, self.number))]
        if not len(missing.number):
            return self
        return Reservoir(*(np.concatenate(pair) for pair in zip(vars(missing).values(), vars(self).values(), strict=True)))

    def __getitem__(self, index: NDArray[np.int64]) -> Reservoir:
        return Reservoir(*(array[index] for array in vars(self).values()))

    def largest(self, most: int) -> Reservoir:
        """At most so many of each option."""
        return self[largest_of_each(self.option, self.drawn, most)]


def largest_of_each(option: NDArray[np.int64], drawn: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Where the ``most`` largest numbers drawn for each option are."""
    order = np.lexsort((-drawn, option))
    rank = np.arange(len(order)) - np.searchsorted(option[order], option[order])
    return order[rank < most]


def draw_for(number: NDArray[np.int64]) -> NDArray[np.float64]:
    """What consecutive decisions ``number`` (T,) draw: number i of one and the same stream, alike whenever it is asked."""
    first = int(number[0]) if len(number) else 0
    return np.random.Generator(np.random.PCG64(0).advance(first)).random(len(number))

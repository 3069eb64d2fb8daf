"""Functions on maps as arrays, indexed [z, x] (row and column)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from envs.compiled import njit


def shrink(grid: NDArray[np.uint8], most: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Drop up to ``most`` = (rows, columns) lines, each equal to a neighbour, so that rooms change size but not shape."""
    for axis in (0, 1):
        for _ in range(int(rng.integers(most[axis] + 1)) if most[axis] else 0):
            lines = grid if axis == 0 else grid.T
            repeated = np.flatnonzero((lines[1:] == lines[:-1]).all(1))
            if len(repeated):
                grid = np.delete(grid, repeated[rng.integers(len(repeated))], axis)
    return grid


def keep_chosen(
    grid: NDArray[np.uint8], choices: Sequence[tuple[int, int, int, int]], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Of the cells with a code, keep as many as its choice says; the others become another code.

    Args:
        choices: (code, least, most, other) each; how many are kept is drawn between least and most.
    """
    if choices:
        grid = grid.copy()
    for code, least, most, other in choices:
        cells = np.flatnonzero(grid == code)
        keep = least if most == least else int(rng.integers(least, most + 1))
        drop = rng.permutation(len(cells))[keep:]
        grid.reshape(-1)[cells[drop]] = other
    return grid


@njit(cache=True)
def flood(passable: NDArray[np.bool_], z: int, x: int) -> NDArray[np.bool_]:
    """The cells that can be walked to from (z, x) in four directions, (D, W) bool."""
    region = np.zeros_like(passable)
    region[z, x] = True
    todo = [(z, x)]
    while todo:
        z, x = todo.pop()
        for near_z, near_x in ((z - 1, x), (z + 1, x), (z, x - 1), (z, x + 1)):
            inside = 0 <= near_z < passable.shape[0] and 0 <= near_x < passable.shape[1]
            if inside and passable[near_z, near_x] and not region[near_z, near_x]:
                region[near_z, near_x] = True
                todo.append((near_z, near_x))
    return region


def beside(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``region`` (D, W) and its four neighbours."""
    grown = region.copy()
    grown[1:] |= region[:-1]
    grown[:-1] |= region[1:]
    grown[:, 1:] |= region[:, :-1]
    grown[:, :-1] |= region[:, 1:]
    return grown

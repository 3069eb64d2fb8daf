"""Rooms of any shape, drawn by compiled functions. A plan says where the floor is, (most, most) bool indexed [z, x].

Every plan is in one piece, and spans from ``least`` to ``most`` rows and columns:

    rectangle   of any proportion
    joined      two or three rectangles that touch or overlap: L, T, Z and other shapes
    corridor    one or two cells wide, with one to three bends
    pillars     a rectangle in which single cells, no two of them side by side or corner to corner, are wall
    chambers    a rectangle with one to three inner walls, each with an opening one or two cells wide
"""

from __future__ import annotations

import numpy as np

from envs.compiled import njit
from envs.task import SHAPES

RECTANGLE, JOINED, CORRIDOR, PILLARS, CHAMBERS = range(len(SHAPES))
TRIES = 20


@njit(cache=True)
def draw_room(shapes, least, most, floors, walls, border, rng):  # type: ignore[no-untyped-def]
    """A room of one of these shapes (numbers in SHAPES) as codes of a legend, (most + 2, most + 2) uint8.

    ``floors``, ``walls``: codes; each cell of the floor, and each beside it, gets one of them. All else gets ``border``.
    """
    plan = draw_plan(shapes[_pick(0, len(shapes) - 1, rng)], least, most, rng)
    room = np.full((most + 2, most + 2), border, np.uint8)
    for z in range(most + 2):
        for x in range(most + 2):
            if _floor(plan, z - 1, x - 1):
                room[z, x] = floors[_pick(0, len(floors) - 1, rng)]
            elif _floor(plan, z - 2, x - 1) or _floor(plan, z, x - 1) or _floor(plan, z - 1, x - 2) or _floor(plan, z - 1, x):
                room[z, x] = walls[_pick(0, len(walls) - 1, rng)]
    return room


@njit(cache=True)
def draw_plan(shape, least, most, rng):  # type: ignore[no-untyped-def]
    plan = np.zeros((most, most), np.bool_)
    while True:
        plan[:] = False
        height, width = _pick(least, most, rng), _pick(least, most, rng)
        if shape == JOINED:
            _join(plan, height, width, rng)
        elif shape == CORRIDOR:
            _bend(plan, height, width, rng)
        else:
            plan[:height, :width] = True
            if shape == PILLARS:
                _raise_pillars(plan, height, width, rng)
            elif shape == CHAMBERS:
                _divide(plan, height, width, rng)
        if shape in (RECTANGLE, PILLARS, CHAMBERS) or (_long(plan, least) and not _rectangular(plan)):
            return plan


@njit(cache=True)
def _pick(least, most, rng):  # type: ignore[no-untyped-def]
    """A whole number from ``least`` to ``most``."""
    return least + int(rng.random() * (most - least + 1))


@njit(cache=True)
def _floor(plan, z, x):  # type: ignore[no-untyped-def]
    return 0 <= z < plan.shape[0] and 0 <= x < plan.shape[1] and plan[z, x]


@njit(cache=True)
def _join(plan, height, width, rng):  # type: ignore[no-untyped-def]
    """Two or three rectangles within so many rows and columns, each beside or over those before; the first is at the corner."""
    count, done = _pick(2, 3, rng), 0
    for _ in range(TRIES):
        rows, columns = _pick(2, height, rng), _pick(2, width, rng)
        z, x = _pick(0, height - rows, rng), _pick(0, width - columns, rng)
        upright, level = plan[max(z - 1, 0) : z + rows + 1, x : x + columns], plan[z : z + rows, max(x - 1, 0) : x + columns + 1]
        if done == 0 or upright.any() or level.any():
            plan[z : z + rows, x : x + columns] = True
            done += 1
            if done == count:
                break


@njit(cache=True)
def _bend(plan, height, width, rng):  # type: ignore[no-untyped-def]
    """A corridor of two to four straight parts, each at a right angle to the one before."""
    wide = _pick(1, 2, rng)
    span = (height - wide, width - wide)  # the last place of a corner either way
    at = [_pick(0, span[0], rng), _pick(0, span[1], rng)]
    axis = _pick(0, 1, rng)
    for _ in range(_pick(2, 4, rng)):
        old, new = at[axis], _pick(0, span[axis], rng)
        if rng.random() < 0.5 or abs(new - old) <= wide:  # which is too near for a part of its own
            new = 0 if 2 * old > span[axis] else span[axis]
        at[axis] = new
        first, last = min(old, new), max(old, new) + wide
        if axis == 0:
            plan[first:last, at[1] : at[1] + wide] = True
        else:
            plan[at[0] : at[0] + wide, first:last] = True
        axis = 1 - axis


@njit(cache=True)
def _raise_pillars(plan, height, width, rng):  # type: ignore[no-untyped-def]
    """So far apart, they cannot cut anything off."""
    for _ in range(_pick(1, max(1, height * width // 10), rng)):
        z, x = _pick(0, height - 1, rng), _pick(0, width - 1, rng)
        if plan[max(z - 1, 0) : min(z + 2, height), max(x - 1, 0) : min(x + 2, width)].all():
            plan[z, x] = False


@njit(cache=True)
def _divide(plan, height, width, rng):  # type: ignore[no-untyped-def]
    """Recursive division: a wall across one of the chambers makes two of it."""
    chambers = [(0, 0, height, width)]
    walls = _pick(1, 3, rng)
    for _ in range(TRIES):
        number = _pick(0, len(chambers) - 1, rng)
        z, x, rows, columns = chambers[number]
        upright = _pick(0, 1, rng) == 1  # a wall from north to south
        across, along = (columns, rows) if upright else (rows, columns)
        if across < 3:
            continue
        at, door, wide = _pick(1, across - 2, rng), _pick(0, along - 1, rng), _pick(1, 2, rng)
        if upright:
            if _floor(plan, z - 1, x + at) or _floor(plan, z + rows, x + at):
                continue  # it would end in an opening, and close it
            plan[z : z + rows, x + at] = False
            plan[z + door : min(z + door + wide, z + rows), x + at] = True
            chambers[number] = (z, x, rows, at)
            chambers.append((z, x + at + 1, rows, columns - at - 1))
        else:
            if _floor(plan, z + at, x - 1) or _floor(plan, z + at, x + columns):
                continue
            plan[z + at, x : x + columns] = False
            plan[z + at, x + door : min(x + door + wide, x + columns)] = True
            chambers[number] = (z, x, at, columns)
            chambers.append((z + at + 1, x, rows - at - 1, columns))
        if len(chambers) > walls:
            break


@njit(cache=True)
def _extent(plan):  # type: ignore[no-untyped-def]
    """First and last row, first and last column with floor."""
    first_z, last_z, first_x, last_x = plan.shape[0], -1, plan.shape[1], -1
    for z in range(plan.shape[0]):
        for x in range(plan.shape[1]):
            if plan[z, x]:
                first_z, last_z = min(first_z, z), max(last_z, z)
                first_x, last_x = min(first_x, x), max(last_x, x)
    return first_z, last_z, first_x, last_x


@njit(cache=True)
def _long(plan, least):  # type: ignore[no-untyped-def]
    first_z, last_z, first_x, last_x = _extent(plan)
    return last_z - first_z + 1 >= least and last_x - first_x + 1 >= least


@njit(cache=True)
def _rectangular(plan):  # type: ignore[no-untyped-def]
    first_z, last_z, first_x, last_x = _extent(plan)
    return plan[first_z : last_z + 1, first_x : last_x + 1].all()

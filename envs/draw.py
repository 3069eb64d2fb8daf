"""One episode of a task, drawn by a random generator: a room, a start from which the goal can be reached, and how it all looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.grid import keep_chosen, shrink
from envs.legend import Tables
from envs.rooms import draw_room
from envs.solvable import solvable
from envs.task import HEADINGS, Episode, TaskError, TaskSpec


def draw_episode(spec: TaskSpec, tables: Tables, rng: np.random.Generator) -> Episode:
    """Raises :class:`TaskError` if none of many draws in a row (a thousand, of large maps fewer) can be solved."""
    codes, (x, z) = draw_cells(spec, tables, rng)
    target = (-1, -1)
    if spec.compass:
        marked = np.flatnonzero(codes == tables.codes[spec.compass])
        if len(marked):  # else this draw kept none of them
            tz, tx = divmod(int(marked[rng.integers(len(marked))]), spec.shape[1])
            target = (tx, tz)
    texture_id = _draw_textures(tables, rng)
    tint = tables.no_tint
    if spec.tint:
        tint = rng.uniform(1 - spec.tint, 1 + spec.tint, tint.shape).astype(np.float32)
    heading = int(rng.integers(HEADINGS))
    return Episode(
        blocks=tables.column[codes],
        floor=tables.floor[codes],
        items=tables.item[codes],
        marks=tables.marks[codes],
        success_reward=tables.success_reward[codes],
        start=(x, z, heading),
        target=target,
        texture_id=texture_id,
        tint=tint,
    )


def draw_cells(spec: TaskSpec, tables: Tables, rng: np.random.Generator) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """A room as codes of the legend (D, W), and x and z of the start. Raises :class:`TaskError` as :func:`draw_episode` does."""
    for _ in range(tables.draws):
        grid = keep_chosen(_draw_map(spec, tables, rng), tables.choices, rng)
        if spec.mirror and rng.random() < 0.5:
            grid = grid[:, ::-1]
        codes = np.full(spec.shape[:2], tables.border, np.uint8)
        codes[1 : 1 + grid.shape[0], 1 : 1 + grid.shape[1]] = grid
        starts = np.flatnonzero(tables.starts[codes])
        if not len(starts):
            continue
        z, x = divmod(int(starts[rng.integers(len(starts))]), spec.shape[1])
        if solvable(spec, tables, codes, z, x):
            return codes, (x, z)
    raise TaskError(f"{spec.name}: goal: cannot be reached in any of {tables.draws} drawn layouts")


def _draw_map(spec: TaskSpec, tables: Tables, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One of the task's maps, or a room of any shape that is made of what these have, as codes."""
    if spec.layout:
        least, most = spec.layout.side
        room: NDArray[np.uint8] = draw_room(tables.shapes, least, most, tables.floors, tables.walls, tables.border, rng)
        return room
    grid = tables.grids[int(rng.integers(len(tables.grids))) if len(tables.grids) > 1 else 0]
    return shrink(grid, spec.shrink, rng)


def _draw_textures(tables: Tables, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The texture of each material, (M,).

    No two of those that vary get the same one where their lists leave a choice: a wall like the floor would hide the shape of the
    room.
    """
    if not tables.textures:
        return tables.texture_id
    texture_id, used = tables.texture_id.copy(), set[int]()
    for material, options in tables.textures:
        unused = [option for option in options if option not in used] or options
        texture_id[material] = unused[rng.integers(len(unused))]
        used.add(int(texture_id[material]))
    return texture_id

"""The legend of a task as arrays, indexed by a character's code."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from envs.grid import beside
from envs.task import AIR, SHAPES, TaskSpec

MAX_DRAWS, LEAST_DRAWS, DRAWN = 1000, 16, 5_000_000  # draws until a task is given up, and cells of them all for large maps


class Tables:
    """The legend as arrays indexed by a character's code, made once a task."""

    def __init__(self, spec: TaskSpec) -> None:
        chars = list(spec.legend)
        self.codes = {char: code for code, char in enumerate(chars)}
        self.grids = [np.array([[self.codes[char] for char in row] for row in rows], np.uint8) for rows in spec.maps]
        cells = [spec.legend[char] for char in chars]
        self.column = np.zeros((len(chars) + 1, spec.height), np.uint8)
        for code, cell in enumerate(cells):
            self.column[code, : len(cell.column)] = [spec.number(block) for block in cell.column]
        solid = np.array([False, *(material.solid for material in spec.materials.values())])
        breakable = np.array([False, *(material.breakable for material in spec.materials.values())])
        # The ring around a map is a full column of the first map's corner, or of stone where that could be passed.
        walls, corner = solid & ~breakable, self.column[self.grids[0][0, 0], 0]
        self.border = len(chars)
        self.column[self.border] = next((m for m in (corner, spec.number("stone")) if walls[m]), walls.argmax())
        self.floor = np.array([spec.number(cell.floor or spec.floor) for cell in cells] + [spec.number(spec.floor)], np.uint8)
        self.item = np.array([spec.number(cell.item) for cell in cells] + [AIR], np.uint8)
        self.marks = np.array(
            [sum(1 << i for i, subgoal in enumerate(spec.goal) if char in subgoal.char) for char in chars] + [0], np.uint8
        )
        rewards = [spec.reward_success if cell.reward is None else cell.reward for cell in cells]
        self.success_reward = np.array([*rewards, spec.reward_success])
        self.breakable = breakable & ("break" in spec.actions)
        self.needs = ("", *(material.needs or "" for material in spec.materials.values()))
        self.free = ~solid[self.column[:, :2]]  # at the level of feet and head
        pits = np.array([False, *(material.pit for material in spec.materials.values())])
        backs = np.array([False, *(material.back for material in spec.materials.values())])
        self.pit: NDArray[np.bool_] = np.asarray(pits[self.floor])
        self.back: NDArray[np.bool_] = np.asarray(backs[self.floor])
        self.closed: NDArray[np.bool_] = np.asarray(~self.free.all(1) | self.pit | self.back)
        self.drops: NDArray[np.bool_] = np.array(
            [[name in spec.materials and spec.materials[name].drops == item for item in spec.items] for name in spec.material_names]
        ).reshape(len(spec.material_names), len(spec.items))
        self.starts = np.array([char in spec.start and not shut for char, shut in zip(chars, self.closed, strict=False)] + [False])
        self.choices = [
            (self.codes[char], *cell.choose, self.codes[cell.otherwise])
            for char, cell in spec.legend.items()
            if cell.choose is not None
        ]
        self.texture_id = np.arange(len(spec.material_names), dtype=np.uint8)
        size = (spec.shape[0] - 2) * (spec.shape[1] - 2)
        work = size * (1 + sum(spec.shrink) + len(self.choices)) + 100 * len(spec.verbs) * (1 + len(spec.keys))
        self.draws = min(MAX_DRAWS, max(LEAST_DRAWS, DRAWN // work))
        self.shapes, self.floors, self.walls = self._pattern(spec)
        self.no_tint = np.ones((len(spec.material_names), 3), np.float32)
        self.textures = [
            (spec.number(name), [spec.number(option) for option in options]) for name, options in spec.textures.items()
        ]

    def opened_by(self, carried: Collection[str], fills: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """What can be broken (M,), and the characters whose cells can be walked on or made so (chars,), by who carries these.

        ``fills``: whether something can be placed in pits.
        """
        breaks = self.breakable & [not key or key in carried for key in self.needs]
        floor = ~self.back & (fills | ~self.pit)
        return breaks, np.asarray((self.free | breaks[self.column[:, :2]]).all(1) & floor)

    def _pattern(self, spec: TaskSpec) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]:
        """For drawn rooms: numbers of their shapes, and what the maps have on their floor and in the walls beside it.

        Both are codes, each as often as the maps have it.
        """
        bare = np.array([spec.is_floor(char) for char in spec.legend])
        floors, walls = [], []
        for grid in self.grids:
            floor = bare[grid]
            floors.append(grid[floor])
            walls.append(grid[beside(floor) & ~floor])
        wall = np.concatenate(walls)
        border = np.array([self.border], np.uint8)
        shapes = [SHAPES.index(shape) for shape in spec.layout.shapes] if spec.layout else []
        return np.array(shapes, np.int64), np.concatenate(floors), wall if len(wall) else border

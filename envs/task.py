"""A task as data (``task_file.py`` reads it), sampled into an episode by a random generator.

The format is described in ``envs/README.md``. The same :class:`TaskSpec` is compiled to every world, so everything here is
discrete: one block, one of four walking directions, 30 degrees.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.errors import OneLineError
from envs.materials import Material
from envs.verbs import Verb, within_reach

ACTIONS = ("forward", "turn_left", "turn_right", "break", "pick_up", "place")
GOALS = ("reach", "hold", "broken", "placed_at")
HEADINGS = 12
AIR = 0
MAX_DRAWS, LEAST_DRAWS, DRAWN = 1000, 16, 5_000_000  # draws until a task is given up, and cells of them all for large maps


class TaskError(OneLineError, ValueError):
    """A task file is wrong; the message names the file, the key and the reason."""


@dataclass(frozen=True)
class Cell:
    """What a character of the map stands for. ``column`` names the blocks from the floor upwards."""

    column: tuple[str, ...] = ()
    floor: str | None = None
    item: str | None = None
    choose: tuple[int, int] | None = None
    otherwise: str = "."
    reward: float | None = None


@dataclass(frozen=True)
class Subgoal:
    """One predicate of the goal; ``kind`` is one of :data:`GOALS`. ``char`` may be several characters: any place of theirs."""

    kind: str
    char: str = ""
    item: str = ""


@dataclass(frozen=True, eq=False)
class Episode:
    """One draw of a task. Arrays are indexed [z, x] (row and column of the map, with a solid ring of one cell around it)."""

    blocks: NDArray[np.uint8]  # (D, W, height): material of each block, 0 is air
    floor: NDArray[np.uint8]  # (D, W): material under the feet
    items: NDArray[np.uint8]  # (D, W): material of the item that lies there, 0 is none
    marks: NDArray[np.uint8]  # (D, W): bit i is set where subgoal i has its place
    success_reward: NDArray[np.float64]  # (D, W): reward of the step that completes the goal while the agent stands there
    start: tuple[int, int, int]  # x, z, heading in units of 30 degrees, clockwise from north (towards row 0)
    target: tuple[int, int]  # x, z of what the compass points to, (-1, -1) if there is nothing
    texture_id: NDArray[np.uint8]  # (M,): material whose texture each material is drawn with
    tint: NDArray[np.float32]  # (M, 3): gain on each material's colour


@dataclass(frozen=True)
class TaskSpec:
    """A checked task. Build one with :func:`load_task`."""

    name: str
    title: str
    rows: tuple[str, ...]
    legend: Mapping[str, Cell]
    goal: tuple[Subgoal, ...]
    step_limit: int
    actions: tuple[str, ...]
    start: str
    materials: Mapping[str, Material]
    hash: str
    """of all that the file says but its title"""
    text: str = field(default="", repr=False)
    """the file itself"""
    change: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """what took the place of the file's entries"""
    floor: str = "oak_floor"
    ceiling: str = "plaster"
    height: int = 3
    pitch: float = -20.0
    reward_step: float = -1.0
    reward_success: float = 0.0
    compass: str | None = None
    inventory: Mapping[str, int] = field(default_factory=dict)
    shrink: tuple[int, int] = (0, 0)
    mirror: bool = False
    tint: float = 0.0
    textures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    verbs: tuple[Verb, ...] = ()

    @cached_property
    def all_actions(self) -> tuple[str, ...]:
        """Names of what the agent can do, by number: :attr:`actions`, then the verbs."""
        return (*self.actions, *(verb.name for verb in self.verbs))

    @property
    def everywhere(self) -> bool:
        """Whether other worlds know all that it asks for: no verbs, and no place of the goal with a reward of its own."""
        return not self.verbs and all(cell.reward is None for cell in self.legend.values())

    @cached_property
    def material_names(self) -> tuple[str, ...]:
        """Names by material number; number 0 is air."""
        return ("air", *self.materials)

    @cached_property
    def items(self) -> tuple[str, ...]:
        """Names of what can be carried: the keys of the observation's ``inventory``."""
        return tuple(name for name, material in self.materials.items() if material.item)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(depth, width, height) of the world's arrays, ring included."""
        return len(self.rows) + 2, len(self.rows[0]) + 2, self.height

    @cached_property
    def keys(self) -> frozenset[str]:
        """Items that must be carried to break something."""
        return frozenset(material.needs for material in self.materials.values() if material.needs)

    @cached_property
    def carriable(self) -> frozenset[str]:
        """Items of which an episode may give the agent any: carried at the start, lying there, dropped, or made by verbs."""
        chars = set("".join(self.rows))
        cells = [self.legend[char] for char in chars | {self.legend[char].otherwise for char in chars}]
        found = {item for item, count in self.inventory.items() if count}
        found |= {item for verb in self.verbs for item in verb.gives}
        if "pick_up" in self.actions:
            found |= {cell.item for cell in cells if cell.item}
            blocks = {block for cell in cells for block in cell.column} | {verb.puts for verb in self.verbs}
            while "break" in self.actions:  # what is dropped may be placed, and drop something else
                stand = [self.materials[block] for block in blocks | found if block in self.materials]
                drops = {block.drops for block in stand if block.breakable and block.drops}
                if drops <= found:
                    break
                found |= drops
        return frozenset(found)

    @property
    def hotbar(self) -> bool:
        """Whether an agent is shown all that it carries: the hand alone shows one kind."""
        return bool(self.verbs) or len(self.carriable) > 1

    def number(self, material: str | None) -> int:
        return self.material_names.index(material) if material else AIR

    def may_start_on(self, char: str) -> bool:
        """Whether an episode may begin on this character of the legend: ``start`` names it, and its cell is free."""
        return bool(self._tables.starts[self._tables.codes[char]])

    @cached_property
    def _tables(self) -> _Tables:
        return _Tables(self)

    def sample(self, rng: np.random.Generator) -> Episode:
        """Draw one episode: layout, textures, and a start from which the goal can be reached.

        Raises :class:`TaskError` if none of many draws in a row (a thousand, of large maps fewer) can be solved.
        """
        from envs.grid import keep_chosen, shrink  # with Numba, which whoever only reads a task needs not

        tables = self._tables
        for _ in range(tables.draws):
            grid = keep_chosen(shrink(tables.grid, self.shrink, rng), tables.choices, rng)
            if self.mirror and rng.random() < 0.5:
                grid = grid[:, ::-1]
            codes = np.full(self.shape[:2], tables.border, np.uint8)
            codes[1 : 1 + grid.shape[0], 1 : 1 + grid.shape[1]] = grid
            starts = np.flatnonzero(tables.starts[codes])
            if not len(starts):
                continue
            z, x = divmod(int(starts[rng.integers(len(starts))]), self.shape[1])
            if solvable(self, tables, codes, z, x):
                break
        else:
            raise TaskError(f"{self.name}: goal: cannot be reached in any of {tables.draws} drawn layouts")
        target = (-1, -1)
        if self.compass:
            marked = np.flatnonzero(codes == tables.codes[self.compass])
            if len(marked):  # else this draw kept none of them
                tz, tx = divmod(int(marked[rng.integers(len(marked))]), self.shape[1])
                target = (tx, tz)
        texture_id = self._draw_textures(rng)
        tint = tables.no_tint
        if self.tint:
            tint = rng.uniform(1 - self.tint, 1 + self.tint, tint.shape).astype(np.float32)
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

    def _draw_textures(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """The texture of each material, (M,).

        No two of those that vary get the same one where their lists leave a choice: a wall like the floor would hide the shape of
        the room.
        """
        tables = self._tables
        if not tables.textures:
            return tables.texture_id
        texture_id, used = tables.texture_id.copy(), set[int]()
        for material, options in tables.textures:
            unused = [option for option in options if option not in used] or options
            texture_id[material] = unused[rng.integers(len(unused))]
            used.add(int(texture_id[material]))
        return texture_id


class _Tables:
    """The legend as arrays indexed by a character's code, made once a task."""

    def __init__(self, spec: TaskSpec) -> None:
        chars = list(spec.legend)
        self.codes = {char: code for code, char in enumerate(chars)}
        self.grid = np.array([[self.codes[char] for char in row] for row in spec.rows], np.uint8)
        cells = [spec.legend[char] for char in chars]
        self.column = np.zeros((len(chars) + 1, spec.height), np.uint8)
        for code, cell in enumerate(cells):
            self.column[code, : len(cell.column)] = [spec.number(block) for block in cell.column]
        solid = np.array([False, *(material.solid for material in spec.materials.values())])
        breakable = np.array([False, *(material.breakable for material in spec.materials.values())])
        # The ring around the map is a full column of the map's first corner, or of stone where that could be passed.
        walls, corner = solid & ~breakable, self.column[self.grid[0, 0], 0]
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
        self.closed: NDArray[np.bool_] = np.asarray(~self.free.all(1))
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
        work = self.grid.size * (1 + sum(spec.shrink) + len(self.choices)) + 100 * len(spec.verbs) * (1 + len(spec.keys))
        self.draws = min(MAX_DRAWS, max(LEAST_DRAWS, DRAWN // work))
        self.no_tint = np.ones((len(spec.material_names), 3), np.float32)
        self.textures = [
            (spec.number(name), [spec.number(option) for option in options]) for name, options in spec.textures.items()
        ]

    def opened_by(self, carried: Collection[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """What can be broken (M,), and the characters whose cells are free or can be made so (chars,), by who carries these."""
        breaks = self.breakable & [not key or key in carried for key in self.needs]
        return breaks, np.asarray((self.free | breaks[self.column[:, :2]]).all(1))


def solvable(spec: TaskSpec, tables: _Tables, codes: NDArray[np.uint8], z: int, x: int) -> bool:
    """Whether each subgoal has a place that can be walked to from (z, x), with the keys found there; the oracle proves the rest."""
    keys: set[str] = set()
    while True:
        found = _Search(spec, tables, codes, (z, x), keys)
        if not (more := {key for key in spec.keys - keys if found.obtainable(key)}):
            return all(found.possible(subgoal) for subgoal in spec.goal)
        keys |= more


class _Search:
    """What can be reached in one draw from the cell (z, x) by who can have these ``keys``."""

    def __init__(
        self, spec: TaskSpec, tables: _Tables, codes: NDArray[np.uint8], start: tuple[int, int], keys: Collection[str]
    ) -> None:
        from envs.grid import beside, flood

        self.spec, self.tables, self.codes = spec, tables, codes
        self.breaks, passable = tables.opened_by(keys)
        self.passable: NDArray[np.bool_] = passable[codes]
        self.region: NDArray[np.bool_] = flood(self.passable, *start)
        self.near = beside(self.region)

    def there(self, item: str) -> bool:
        """Whether it is carried, lies somewhere or falls out of what can be broken."""
        spec, tables = self.spec, self.tables
        lies: NDArray[np.bool_] = np.asarray(tables.item[self.codes] == spec.number(item))
        leave = tables.drops[:, spec.items.index(item)] & self.breaks
        drops: NDArray[np.bool_] = np.asarray(leave[tables.column[self.codes][..., :2]].any(-1))
        return bool(spec.inventory.get(item) or ("pick_up" in spec.actions and ((lies | drops) & self.near).any()))

    def obtainable(self, item: str) -> bool:
        """The same, or whether the task's verbs make it."""
        return item in self._made if self.spec.verbs else self.there(item)

    @cached_property
    def _made(self) -> set[str]:
        """All items that are there or that the task's verbs make."""
        standing = {self.spec.material_names[number] for number in np.unique(self.tables.column[self.codes[self.near]])}
        return within_reach(self.spec.verbs, (item for item in self.spec.items if self.there(item)), standing)

    def possible(self, subgoal: Subgoal) -> bool:
        if subgoal.kind == "hold":
            return self.obtainable(subgoal.item)
        marked = np.isin(self.codes, [self.tables.codes[char] for char in subgoal.char])
        if subgoal.kind == "reach":
            return bool((marked & self.region).any())
        if subgoal.kind == "broken":
            return bool(marked.any() and (self.near & self.passable)[marked].all())
        return bool((marked & self.near).any() and "place" in self.spec.actions and self.obtainable(subgoal.item))

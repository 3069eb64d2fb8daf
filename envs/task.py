"""A task as data (``task_file.py`` reads it), sampled into an episode by a random generator.

The format is described in ``envs/README.md``. The same :class:`TaskSpec` is compiled to every world, so everything here is
discrete: one block, one of four walking directions, 30 degrees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.errors import OneLineError
from envs.materials import Material
from envs.verbs import Verb

if TYPE_CHECKING:
    from envs.legend import Tables

ACTIONS = ("forward", "turn_left", "turn_right", "break", "pick_up", "place")
GOALS = ("reach", "hold", "broken", "placed_at")
HEADINGS = 12
FOV = 70.0  # degrees of the picture, from top to bottom; Minecraft's default
AIR = 0
SHAPES = ("rectangle", "joined", "corridor", "pillars", "chambers")  # of drawn rooms, see rooms.py


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


@dataclass(frozen=True)
class Layout:
    """Rooms that are drawn, of any of these shapes (of :data:`SHAPES`), with from so many to so many cells of floor a side."""

    shapes: tuple[str, ...] = SHAPES
    side: tuple[int, int] = (3, 14)


@dataclass(frozen=True)
class Shared:
    """What who plays several tasks meets in each of them. It changes no episode."""

    actions: tuple[str, ...]
    """names by number; one that the task itself lacks has no effect"""
    items: tuple[str, ...]
    """keys of the observation's ``inventory``"""
    hotbar: bool
    """whether an agent is shown all that it carries"""

    @classmethod
    def of(cls, tasks: Iterable[TaskSpec]) -> Shared:
        """All that any of these tasks has."""
        tasks = list(tasks)
        own = dict.fromkeys(action for task in tasks for action in task.own_actions)
        return cls(
            actions=(*(action for action in ACTIONS if action in own), *(verb for verb in own if verb not in ACTIONS)),
            items=tuple(dict.fromkeys(item for task in tasks for item in task.items)),
            hotbar=any(task.hotbar for task in tasks),
        )


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
    maps: tuple[tuple[str, ...], ...]
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
    special: frozenset[str] = frozenset()
    """what it asks for of :data:`envs.materials.SPECIAL`, which not every world plays"""
    change: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """what took the place of the file's entries"""
    floor: str = "oak_floor"
    ceiling: str = "plaster"
    height: int = 3
    pitch: float = -20.0
    reward_step: float = -1.0
    reward_success: float = 0.0
    begin: int = 0
    """how many predicates of the goal are true already where an episode begins: the scripted solver has seen to them"""
    oracle_limit: tuple[float, int] | None = None
    """the step limit of an episode as a multiple of the steps that the oracle needs, and its least; ``step_limit`` is its most"""
    compass: str | None = None
    inventory: Mapping[str, int] = field(default_factory=dict)
    layout: Layout | None = None
    """rooms that take the maps' place, made of what these have on the floor and in the walls beside it"""
    shrink: tuple[int, int] = (0, 0)
    mirror: bool = False
    tint: float = 0.0
    textures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    verbs: tuple[Verb, ...] = ()
    shared: Shared | None = None
    """what it has in common with the other tasks of a sequence, where these differ"""

    @cached_property
    def own_actions(self) -> tuple[str, ...]:
        """Names of what can be done in this task: :attr:`actions`, then the verbs."""
        return (*self.actions, *(verb.name for verb in self.verbs))

    @cached_property
    def all_actions(self) -> tuple[str, ...]:
        """Names of what the agent chooses from, by number: its own actions, or those of all tasks of its sequence."""
        return self.shared.actions if self.shared else self.own_actions

    @cached_property
    def available(self) -> tuple[bool, ...]:
        """Of each of :attr:`all_actions`, whether this task has it: a mask for who chooses."""
        return tuple(name in self.own_actions for name in self.all_actions)

    @cached_property
    def material_names(self) -> tuple[str, ...]:
        """Names by material number; number 0 is air."""
        return ("air", *self.materials)

    @cached_property
    def items(self) -> tuple[str, ...]:
        """Names of what can be carried."""
        return tuple(name for name, material in self.materials.items() if material.item)

    @property
    def all_items(self) -> tuple[str, ...]:
        """Keys of the observation's ``inventory``: its own items, or those of all tasks of its sequence."""
        return self.shared.items if self.shared else self.items

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(depth, width, height) of the world's arrays, ring included."""
        if self.layout:
            return self.layout.side[1] + 4, self.layout.side[1] + 4, self.height
        return max(map(len, self.maps)) + 2, max(len(rows[0]) for rows in self.maps) + 2, self.height

    @cached_property
    def keys(self) -> frozenset[str]:
        """Items that must be carried to break something."""
        return frozenset(material.needs for material in self.materials.values() if material.needs)

    @cached_property
    def fillers(self) -> frozenset[str]:
        """Items that may be placed in pits: all but keys; none where there are no pits."""
        if "place" not in self.actions or not any(material.pit for material in self.materials.values()):
            return frozenset()
        return frozenset(self.items) - self.keys

    @cached_property
    def characters(self) -> frozenset[str]:
        """All that stand on the maps."""
        return frozenset("".join(row for rows in self.maps for row in rows))

    @cached_property
    def carriable(self) -> frozenset[str]:
        """Items of which an episode may give the agent any: carried at the start, lying there, dropped, or made by verbs."""
        chars = self.characters
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
        return self.shared.hotbar if self.shared else bool(self.verbs) or len(self.carriable) > 1

    def number(self, material: str | None) -> int:
        return self.material_names.index(material) if material else AIR

    def may_start_on(self, char: str) -> bool:
        """Whether an episode may begin on this character of the legend: ``start`` names it, and its cell is free."""
        return bool(self.tables.starts[self.tables.codes[char]])

    def is_floor(self, char: str) -> bool:
        """Whether this character of the legend is a place on the floor: nothing stands there, at least where it is not chosen."""
        cell = self.legend[char]
        return not (self.legend[cell.otherwise] if cell.choose else cell).column

    def sample(self, rng: np.random.Generator) -> Episode:
        """Draw one episode: layout, textures, and a start from which the goal can be reached.

        Raises :class:`TaskError` if none of many draws in a row (a thousand, of large maps fewer) can be solved.
        """
        from envs.draw import draw_episode

        return draw_episode(self, self.tables, rng)

    @cached_property
    def tables(self) -> Tables:
        from envs.legend import Tables  # with Numba

        return Tables(self)

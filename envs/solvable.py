"""Whether the goal of one drawn room can be reached from a start."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from envs.grid import beside, flood
from envs.legend import Tables
from envs.task import Subgoal, TaskSpec
from envs.verbs import within_reach


def solvable(spec: TaskSpec, tables: Tables, codes: NDArray[np.uint8], z: int, x: int) -> bool:
    """Whether each subgoal has a place that can be walked to from (z, x), with the keys found there; the oracle proves the rest.

    Whoever finds anything to place is taken to fill all pits with it.
    """
    carried: set[str] = set()
    while True:
        found = _Search(spec, tables, codes, (z, x), carried)
        if not (more := {item for item in (spec.keys | spec.fillers) - carried if found.obtainable(item)}):
            return all(found.possible(subgoal) for subgoal in spec.goal)
        carried |= more


class _Search:
    """What can be reached in one draw from the cell (z, x) by who can have these items."""

    def __init__(
        self, spec: TaskSpec, tables: Tables, codes: NDArray[np.uint8], start: tuple[int, int], carried: Collection[str]
    ) -> None:
        self.spec, self.tables, self.codes = spec, tables, codes
        self.breaks, passable = tables.opened_by(carried, fills=not spec.fillers.isdisjoint(carried))
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

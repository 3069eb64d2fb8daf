"""What the language of goals can say of a task's rooms, and whether it is true in each world now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envs.task import TaskSpec
from envs.voxel.world import Worlds
from h_dqn.options import Bools

Holds = Callable[[Worlds], Bools]


@dataclass(frozen=True)
class Predicate:
    """A predicate of a goal, by the look of its places: all characters of the map that stand for the same block or floor.

    Attributes:
        says: the same in words.
        goal: as a task's file has it.
        holds: tells of each world, (N,), whether it is true now.
    """

    says: str
    goal: dict[str, str]
    holds: Holds


def predicates(task: TaskSpec) -> list[Predicate]:
    """All that could become true in a task: an item carried, a curtain or a floor stood on, a block broken, an item placed."""
    found = [Predicate(carried(item), {"hold": item}, _carries(task.number(item))) for item in sorted(task.carriable)]
    curtains, breakable, floors = _looks(task)
    for name, chars in curtains.items():
        found.append(Predicate(f"on the {name}", {"reach": chars}, _on_block(task.number(name))))
    for name, chars in floors.items():
        found.append(Predicate(f"on the {name}", {"reach": chars}, _on_floor(task.number(name))))
    if "break" in task.actions:
        for name, chars in breakable.items():
            found.append(Predicate(f"no {name} stands", {"broken": chars}, _broken(task.number(name))))
    if "place" in task.actions:
        for name, chars in floors.items():
            for item in sorted(task.carriable):
                placed = _placed(task.number(name), task.number(item))
                found.append(Predicate(f"{item} on the {name}", {"placed_at": chars, "item": item}, placed))
    return found


def carried(item: str) -> str:
    """How it is said that an item is carried."""
    return f"carries {item}"


def _looks(task: TaskSpec) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Characters of the map by what they show: curtains, blocks that can be broken, and floors unlike the others."""
    curtains: dict[str, str] = {}
    breakable: dict[str, str] = {}
    floors: dict[str, str] = {}
    for char in sorted(task.characters):
        cell = task.legend[char]
        if cell.column and cell.column[0] in task.materials:
            block = task.materials[cell.column[0]]
            if not block.solid or block.breakable:
                kind = breakable if block.solid else curtains
                kind[block.name] = kind.get(block.name, "") + char
        elif cell.floor and cell.floor != task.floor and not (task.materials[cell.floor].pit or task.materials[cell.floor].back):
            floors[cell.floor] = floors.get(cell.floor, "") + char
    return curtains, breakable, floors


def _carries(item: int) -> Holds:
    return lambda worlds: worlds.inventory[:, item] > 0


def _on_block(material: int) -> Holds:
    return lambda worlds: worlds.blocks[range(worlds.n), worlds.pose[:, 1], worlds.pose[:, 0], 0] == material


def _on_floor(material: int) -> Holds:
    return lambda worlds: worlds.floor[range(worlds.n), worlds.pose[:, 1], worlds.pose[:, 0]] == material


def _broken(material: int) -> Holds:
    return lambda worlds: ~(worlds.blocks[..., :2] == material).any((1, 2, 3))


def _placed(floor: int, item: int) -> Holds:
    return lambda worlds: ((worlds.floor == floor) & (worlds.blocks[..., 0] == item)).any((1, 2))

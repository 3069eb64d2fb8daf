"""From a task and one of its episodes to what Minecraft has to draw. Knows no ``minerl``; ``mission.py`` writes it as XML.

A cell (z, x) of the episode's arrays, ring included, is the column of blocks at x, z in Minecraft; the feet are at ``FLOOR + 1``.
Minecraft's yaw is 180 degrees to the north and grows clockwise, as our headings do.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.materials import Material
from envs.task import AIR, HEADINGS, Episode, TaskError, TaskSpec

FLOOR = 3  # height of the floor's blocks; the flat world ends there
FEET = FLOOR + 1
SLOTS, STACK = 36, 64
TICKS_PER_ACTION = 120  # more than any action takes, for the time limit

Block = Mapping[str, str]  # type and, perhaps, colour, variant, face


@dataclass(frozen=True)
class Mission:
    """One episode as Minecraft plays it; plain data, so that it can be sent to the worker as JSON."""

    name: str
    cuboids: tuple[tuple[tuple[int, ...], Block], ...]  # ((x1, y1, z1, x2, y2, z2), block), to be drawn in this order
    blocks: tuple[tuple[tuple[int, ...], Block], ...]  # ((x, y, z), block): doors
    items: tuple[tuple[tuple[int, ...], str], ...]  # ((x, y, z), type): lying there
    start: tuple[float, ...]  # x, y, z, yaw, pitch
    inventory: tuple[tuple[str, int], ...]  # type and count by slot
    carried: tuple[str, ...]  # types that can be carried, in the order of the task's items
    actions: tuple[str, ...]
    size: tuple[int, int]  # height, width of the picture
    seconds: int  # after which Minecraft ends the mission by itself
    fresh: bool  # whether the world must be made anew: else what lay about in the last episode would still lie there

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Mission:
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in doc.items()}
        return cls(**fields)


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "blocks.toml").read_text())


def block_of(material: Material) -> Block:
    """The Minecraft block for a material that cannot be carried."""
    data = _data()
    if material.name in data["blocks"]:
        return dict(data["blocks"][material.name])
    colours = data["colours"]
    near = min(colours, key=lambda colour: sum((a - b) ** 2 for a, b in zip(colours[colour], material.color, strict=True)))
    return {"type": data["other"]["breakable" if material.breakable else "solid"], "colour": near}


def item_types(spec: TaskSpec) -> dict[str, str]:
    """Minecraft's type for each item of the task. Raises :class:`TaskError` if there are more of them than Minecraft blocks."""
    data = _data()
    own = {item: data["blocks"][item]["type"] for item in spec.items if item in data["blocks"]}
    new = [item for item in spec.items if item not in own]
    spare = [kind for kind in data["other"]["items"] if kind not in own.values()]
    if len(new) > len(spare):
        raise TaskError(f"{spec.name}: materials.{new[len(spare)]}: MineRL has no more blocks that can be carried "
                        f"(at most {len(spare)} items of a task's own)")  # fmt: skip
    return own | dict(zip(new, spare, strict=False))


def check_task(spec: TaskSpec) -> None:
    """Raises :class:`TaskError` for what cannot be played in Minecraft, naming it."""
    if spec.verbs:
        raise TaskError(f"{spec.name}: verbs: MineRL does not play them")
    if spec.shared:
        raise TaskError(f"{spec.name}: shared: MineRL plays single tasks, with their own actions")
    if spec.begin:
        raise TaskError(f"{spec.name}: goal.begin: MineRL does not play it")
    item_types(spec)
    _check_materials(spec)
    for name, options in spec.textures.items():
        material = spec.materials[name]
        if set(options) != {name} and (material.breakable or material.item):
            raise TaskError(f"{spec.name}: vary.textures.{name}: MineRL cannot give another look to what can be broken or carried")
    if sum(-(-count // STACK) for count in spec.inventory.values()) > SLOTS:
        raise TaskError(f"{spec.name}: inventory: MineRL carries at most {SLOTS} stacks of {STACK}")


def _check_materials(spec: TaskSpec) -> None:
    for name, material in spec.materials.items():
        if material.pit:
            raise TaskError(f"{spec.name}: materials.{name}: pit: MineRL does not play it")
        if material.back:
            raise TaskError(f"{spec.name}: materials.{name}: back: MineRL cannot put anybody back at the start")
        used = any(name in cell.column for cell in spec.legend.values())
        if used and material.breakable and material.drops not in (None, name):
            raise TaskError(f"{spec.name}: materials.{name}: drops '{material.drops}', but a block of MineRL drops only itself")
        if used and material.breakable and not material.solid:
            raise TaskError(f"{spec.name}: materials.{name}: can be broken and walked through, which no block of MineRL can")


def draw(spec: TaskSpec, episode: Episode, size: tuple[int, int]) -> Mission:
    """The mission for one drawn episode; ``size`` is (height, width) of the picture in pixels.

    The episode's tints are left out, since Minecraft has no such thing. What can be walked through becomes an opening with its
    colour on the floor and, above the head, on the lintel: no opaque block of Minecraft can be walked through.
    """
    check_task(spec)
    types = item_types(spec)
    materials: list[Material | None] = [None, *spec.materials.values()]
    # Each palette entry is a block; entry 0 is air.
    palette: list[Block] = [{"type": "air"}]

    def entry(block: Block) -> int:
        if block not in palette:
            palette.append(block)
        return palette.index(block)

    def shown(number: int) -> int:
        material = materials[episode.texture_id[number]]
        assert material is not None
        return entry({"type": types[material.name]} if material.item else block_of(material))

    seen = np.array([0] + [shown(number) for number in range(1, len(materials))])
    solid = np.array([material is not None and material.solid for material in materials])
    depth, width, height = episode.blocks.shape
    world = np.zeros((height + 2, depth, width), np.int64)  # by level from the floor's, z, x
    world[0] = seen[episode.floor]
    world[-1] = entry(_data()["other"]["ceiling"])
    for level in range(height):
        here = episode.blocks[:, :, level]
        through = (here != AIR) & ~solid[here]
        world[level + 1] = np.where(through & (level < 2), 0, seen[here])
        if level < 2:
            world[0] = np.where(through, seen[here], world[0])
    doors = list(_doors(spec, episode, solid))
    for (x, y, z), _ in doors:
        world[y - FLOOR, z, x] = 0
    # A door that is none (it could be walked round, or is half a door) is a full block of the same wood.
    plank = entry({"type": "planks", "variant": "dark_oak"})
    world[world == entry({"type": "wooden_door"})] = plank

    x, z, heading = episode.start
    stacks = [
        (types[item], min(STACK, count - first)) for item, count in spec.inventory.items() for first in range(0, count, STACK)
    ]
    drops = any(cell.item for cell in spec.legend.values()) or "break" in spec.actions
    return Mission(
        name=spec.name,
        cuboids=tuple(_cuboids(world, palette)),
        blocks=tuple(doors),
        items=tuple(
            ((int(x), FEET, int(z)), types[spec.material_names[episode.items[z, x]]]) for z, x in np.argwhere(episode.items != AIR)
        ),
        start=(x + 0.5, float(FEET), z + 0.5, yaw_of(heading), -spec.pitch),
        inventory=tuple(stacks),
        carried=tuple(types[item] for item in spec.items),
        actions=spec.actions,
        size=size,
        seconds=(spec.step_limit + 2) * TICKS_PER_ACTION // 20,
        fresh=drops,
    )


def yaw_of(heading: int) -> float:
    """Minecraft's yaw, 0 to 360 degrees, for a heading in units of 30 degrees."""
    return float((180 + heading * (360 // HEADINGS)) % 360)


def _cuboids(world: NDArray[np.int64], palette: list[Block]) -> list[tuple[tuple[int, ...], Block]]:
    """All of the room as few cuboids: air everywhere first, then each level's rectangles of one block, row by row."""
    levels, depth, width = world.shape
    found: list[tuple[tuple[int, ...], Block]] = [((0, FLOOR, 0, width - 1, FLOOR + levels - 1, depth - 1), palette[0])]
    left = world.copy()
    for y, z, x in np.argwhere(world > 0).tolist():
        kind = left[y, z, x]
        if not kind:
            continue
        x2, z2, y2 = x, z, y
        while x2 + 1 < width and left[y, z, x2 + 1] == kind:
            x2 += 1
        while z2 + 1 < depth and (left[y, z2 + 1, x : x2 + 1] == kind).all():
            z2 += 1
        while y2 + 1 < levels and (left[y2 + 1, z : z2 + 1, x : x2 + 1] == kind).all():
            y2 += 1
        left[y : y2 + 1, z : z2 + 1, x : x2 + 1] = 0
        found.append(((x, y + FLOOR, z, x2, y2 + FLOOR, z2), palette[kind]))
    return found


def _doors(spec: TaskSpec, episode: Episode, solid: NDArray[np.bool_]) -> list[tuple[tuple[int, ...], Block]]:
    """Both halves of each door that closes a passage: open on one axis at most, so that no way leads round its leaf."""
    if "door" not in spec.materials:
        return []
    door = spec.number("door")
    body = episode.blocks[:, :, :2]
    shut: NDArray[np.bool_] = np.asarray(solid[body].any(2))
    found: list[tuple[tuple[int, ...], Block]] = []
    for z, x in np.argwhere((body == door).all(2)).tolist():
        if not (0 < z < len(shut) - 1 and 0 < x < shut.shape[1] - 1):
            continue
        along_z, along_x = not (shut[z - 1, x] and shut[z + 1, x]), not (shut[z, x - 1] and shut[z, x + 1])
        if along_z and along_x:
            continue
        face = "NORTH" if along_z else "EAST"
        for level, variant in enumerate(("lower", "upper")):
            found.append(((x, FEET + level, z), {"type": "wooden_door", "variant": variant, "face": face}))
    return found

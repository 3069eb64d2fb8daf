"""Materials: what blocks and items are made of, and how they look. The data is ``blocks.toml``."""

from __future__ import annotations

import tomllib
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.errors import OneLineError, short

TEXTURE_SIZE = 16
# What a task may ask for: verbs, a place's own reward, a later beginning, floors that are pits or send back.
SPECIAL = ("verbs", "reward", "begin", "pit", "back")


class MaterialError(OneLineError, ValueError):
    """A material's table is wrong; the message names the material and the key."""


_KINDS = {
    "solid": bool, "breakable": bool, "item": bool, "building": bool, "on_demand": bool, "pit": bool, "back": bool,
    "drops": str, "needs": str, "pattern": str,
}  # fmt: skip


@dataclass(frozen=True)
class Material:
    """One row of ``blocks.toml``; the meaning of each key is written there."""

    name: str
    color: tuple[int, int, int]
    pattern: str = "noise"
    contrast: float = 0.2
    solid: bool = True
    breakable: bool = False
    drops: str | None = None
    item: bool = False
    building: bool = False
    needs: str | None = None
    on_demand: bool = False
    pit: bool = False
    back: bool = False

    @classmethod
    def from_table(cls, name: str, table: Mapping[str, Any]) -> Material:
        known = {field.name for field in fields(cls)} - {"name"}
        if unknown := sorted(set(table) - known):
            raise MaterialError(f"material '{name}': unknown key '{short(unknown[0])}' (known: {', '.join(sorted(known))})")
        color = table.get("color")
        if not (isinstance(color, list) and len(color) == 3 and all(type(c) is int and 0 <= c <= 255 for c in color)):
            raise MaterialError(f"material '{name}': 'color' must be three whole numbers from 0 to 255")
        for key, kind in _KINDS.items():
            if key in table and not isinstance(table[key], kind):
                raise MaterialError(f"material '{name}': '{key}' must be a {'text' if kind is str else 'true or false'}")
        if table.get("pattern", "noise") not in PATTERNS:
            raise MaterialError(f"material '{name}': unknown pattern '{short(table['pattern'])}' (known: {', '.join(PATTERNS)})")
        contrast = table.get("contrast", cls.contrast)
        if isinstance(contrast, bool) or not isinstance(contrast, (int, float)) or not 0 <= contrast <= 1:
            raise MaterialError(f"material '{name}': 'contrast' must be a number from 0 to 1")
        if "needs" in table and not table.get("breakable"):
            raise MaterialError(f"material '{name}': 'needs' goes with breakable = true")
        if table.get("pit") and table.get("back"):
            raise MaterialError(f"material '{name}': 'pit' and 'back': nobody can step on a pit")
        return cls(name=name, **{**table, "color": tuple(color)})


def read_materials(tables: Mapping[str, Any]) -> dict[str, Material]:
    """Materials by name, from TOML tables; a material may drop only another one of ``tables`` or of ``blocks.toml``."""
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise MaterialError(f"material '{name}': must be a table")
    return {name: Material.from_table(name, table) for name, table in tables.items()}


@cache
def standard_materials() -> dict[str, Material]:
    """The materials of ``blocks.toml``."""
    return read_materials(tomllib.loads((Path(__file__).parent / "blocks.toml").read_text()))


def materials_for(doc: Mapping[str, Any]) -> dict[str, Material]:
    """Those of ``blocks.toml`` that a task's document can use: without the ones on demand that it does not name."""
    materials, named = standard_materials(), set(_words({**doc, "title": ""}))
    for material in materials.values():
        if material.name in named:
            named |= {other for other in (material.drops, material.needs) if other}
    return {name: material for name, material in materials.items() if not material.on_demand or name in named}


def special(doc: Mapping[str, Any]) -> set[str]:
    """What a task's document asks for of :data:`SPECIAL`, which not every world plays."""
    materials = {**materials_for(doc), **read_materials(doc.get("materials", {}))}.values()
    return {
        *(["verbs"] if doc.get("verbs") else []),
        *(["reward"] if any(isinstance(cell, Mapping) and "reward" in cell for cell in doc["legend"].values()) else []),
        *(["begin"] if doc["goal"].get("begin") else []),
        *(["pit"] if any(material.pit for material in materials) else []),
        *(["back"] if any(material.back for material in materials) else []),
    }


def _words(value: Any) -> Iterator[str]:
    """All texts of a document, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value:
            yield from _words(part)
        for part in value.values() if isinstance(value, Mapping) else ():
            yield from _words(part)


# Each pattern gives a (16, 16) field of brightness in -1..1, row 0 at the top of the block.
_V, _U = np.mgrid[0:TEXTURE_SIZE, 0:TEXTURE_SIZE]
_EDGE = np.minimum(np.minimum(_U, 15 - _U), np.minimum(_V, 15 - _V))


def _bricks() -> NDArray[np.float64]:
    mortar = (_V % 4 == 3) | ((_U + 4 * (_V // 4 % 2)) % 8 == 7)
    return np.where(mortar, 1.0, -0.3)


PATTERNS: dict[str, Callable[[], NDArray[np.float64]]] = {
    "noise": lambda: np.zeros((TEXTURE_SIZE, TEXTURE_SIZE)),
    "bricks": _bricks,
    "planks": lambda: np.where(_V % 4 == 3, -1.0, 0.2 * np.sin(_U * 0.9 + 5 * (_V // 4))),
    "stripes": lambda: np.where(_V // 2 % 2 == 0, -1.0, 1.0),
    "checker": lambda: np.where((_U // 4 + _V // 4) % 2 == 0, -1.0, 1.0),
    "panel": lambda: np.where((_EDGE == 3) | (_EDGE == 0), -1.0, np.where(_EDGE < 3, 0.6, 0.1)),
    "frame": lambda: np.where(_EDGE < 2, -1.0, np.where(np.abs(_U - _V) < 2, -0.6, 0.4)),
    "rings": lambda: np.sin(np.hypot(_U - 7.5, _V - 7.5) * 1.6),
}


@cache
def texture(material: Material) -> NDArray[np.uint8]:
    """The material's picture, (16, 16, 3) uint8. A pure function of the material, so that every world can draw the same."""
    grain = np.random.default_rng(zlib.crc32(material.name.encode())).uniform(-1, 1, (TEXTURE_SIZE, TEXTURE_SIZE))
    field = PATTERNS[material.pattern]()
    field = field + (0.15 if material.pattern != "noise" else 1.0) * grain
    bright = 1.0 + material.contrast * field
    picture: NDArray[np.uint8] = np.clip(np.array(material.color) * bright[..., None], 0, 255).astype(np.uint8)
    return picture

"""What a task's file says of rooms: the legend, the maps, and what varies. All raise :class:`envs.task.TaskError`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.errors import short, unknown
from envs.task import SHAPES, Cell, Layout, TaskError
from envs.task_parts import Kinds, Materials, check_keys, reward_number, whole

LARGEST = 250  # rows and columns of a map
MOST_MAPS = 100
MOST_CHARACTERS = 254  # of a legend, "." among them; with the ring around the map they are numbers of a byte
SIDES = 3, 30  # cells of floor a side of a drawn room; with walls they fit every world
ANY = "any"

_CELL_KEYS: Kinds = {
    "column": list, "floor": str, "item": str, "choose": (int, list), "otherwise": str, "reward": (int, float),
}  # fmt: skip


def read_legend(tables: Mapping[str, Any], height: int, materials: Materials) -> dict[str, Cell]:
    if len({".", *tables}) > MOST_CHARACTERS:
        raise TaskError(f"legend: at most {MOST_CHARACTERS} characters are possible")
    legend = {".": Cell()}
    for char, entry in tables.items():
        legend[char] = _read_cell(char, entry, height, materials)
    for char, cell in legend.items():
        if cell.otherwise not in legend:
            raise TaskError(f"legend.{char}: otherwise: '{short(cell.otherwise)}' is not in the legend")
        if cell.choose and legend[cell.otherwise].choose:
            raise TaskError(f"legend.{char}: otherwise: '{cell.otherwise}' is itself chosen")
    return legend


def _read_cell(char: str, entry: Any, height: int, materials: Materials) -> Cell:
    where, known = f"legend.{short(char)}", materials.known
    if len(char) != 1 or not char.isprintable():
        raise TaskError(f"{where}: a legend key must be one character that can be printed")
    if isinstance(entry, str):  # one material: a full column of it
        entry = {"column": [entry] * height}
    elif isinstance(entry, list):
        entry = {"column": entry}
    elif not isinstance(entry, Mapping):
        raise TaskError(f"{where}: must be a material, a list of materials or a table")
    check_keys(f"{where}.", entry, _CELL_KEYS)
    column = tuple(block if block == "air" else known(f"{where}.column", block) for block in entry.get("column", []))
    if len(column) > height:
        raise TaskError(f"{where}.column: {len(column)} blocks, but the room is {height} high")
    return Cell(
        column=column,
        choose=_read_choose(where, entry.get("choose")),
        floor=known(f"{where}.floor", entry["floor"]) if "floor" in entry else None,
        item=known(f"{where}.item", entry["item"], item=True) if "item" in entry else None,
        otherwise=entry.get("otherwise", "."),
        reward=reward_number(f"{where}.reward", entry["reward"]) if "reward" in entry else None,
    )


def _read_choose(where: str, choose: Any) -> tuple[int, int] | None:
    """A count, or the least and the most."""
    if choose is None:
        return None
    if isinstance(choose, int):
        choose = [choose, choose]
    if len(choose) != 2 or not all(whole(n, 0, LARGEST**2) for n in choose) or choose[0] > choose[1]:
        raise TaskError(f"{where}.choose: must be a count or [least, most]")
    return choose[0], choose[1]


def read_maps(value: str | list[Any], legend: Mapping[str, Cell]) -> tuple[tuple[str, ...], ...]:
    """The map, or the list of them."""
    if isinstance(value, str):
        return (_read_map("map", value, legend),)
    if not 1 <= len(value) <= MOST_MAPS:
        raise TaskError(f"map: a list has 1 to {MOST_MAPS} maps, not {len(value):,}")
    for number, text in enumerate(value, 1):
        if not isinstance(text, str):
            raise TaskError(f"map {number}: must be text, not {short(text)}")
    return tuple(_read_map(f"map {number}" if len(value) > 1 else "map", text, legend) for number, text in enumerate(value, 1))


def _read_map(where: str, text: str, legend: Mapping[str, Cell]) -> tuple[str, ...]:
    rows = tuple(text.strip("\n").splitlines())
    if not rows or not rows[0]:
        raise TaskError(f"{where}: is empty")
    if max(len(rows), len(rows[0])) > LARGEST:
        raise TaskError(f"{where}: at most {LARGEST} by {LARGEST} cells")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise TaskError(f"{where}: row {number} has {len(row)} characters, row 1 has {len(rows[0])}")
        for column, char in enumerate(row, 1):
            if char not in legend:
                raise TaskError(f"{where}: row {number}, column {column}: '{char}' is not in the legend")
    place = "" if where == "map" else f" of {where}"
    for char, cell in legend.items():
        count = sum(row.count(char) for row in rows)
        if cell.choose and count and cell.choose[1] > count:
            raise TaskError(f"legend.{char}: choose: {cell.choose[1]} of {count} cells{place}")
    return rows


def read_vary(doc: Mapping[str, Any], materials: Materials) -> dict[str, Any]:
    """The fields of a :class:`envs.task.TaskSpec` that ``[vary]`` gives."""
    vary = doc.get("vary", {})
    check_keys("vary.", vary, {"layout": (str, dict), "shrink": list, "mirror": bool, "tint": (int, float), "textures": dict})
    shrink = vary.get("shrink", [0, 0])
    if len(shrink) != 2 or not all(whole(n, 0, LARGEST) for n in shrink):
        raise TaskError(f"vary.shrink: must be two whole numbers from 0 to {LARGEST}, rows and columns")
    layout = _read_layout(vary["layout"]) if "layout" in vary else None
    if layout and shrink != [0, 0]:
        raise TaskError("vary.shrink: leaves out lines of a map, but with vary.layout there is none")
    if not 0 <= vary.get("tint", 0) < 1:
        raise TaskError("vary.tint: must be at least 0 and below 1")
    textures = {}
    for material, options in vary.get("textures", {}).items():
        if options == ANY:
            options = [other for other, each in materials.items() if each.building]
        if not isinstance(options, list) or not 1 <= len(options) <= len(materials):
            raise TaskError(f'vary.textures.{short(material)}: must list materials, or be "{ANY}"')
        names = tuple(materials.known(f"vary.textures.{short(material)}", option) for option in options)
        textures[materials.known("vary.textures", material)] = names
    return {
        "layout": layout,
        "shrink": (shrink[0], shrink[1]),
        "mirror": vary.get("mirror", False),
        "tint": float(vary.get("tint", 0.0)),
        "textures": textures,
    }


def _read_layout(layout: str | Mapping[str, Any]) -> Layout:
    """Rooms of any shape, or a table that says which."""
    if isinstance(layout, str):
        if layout != ANY:
            raise TaskError(f'vary.layout: must be "{ANY}" or a table, not {short(layout)!r}')
        return Layout()
    check_keys("vary.layout.", layout, {"shapes": list, "side": list})
    shapes, side = layout.get("shapes", list(SHAPES)), layout.get("side", list(Layout.side))
    for shape in shapes:
        if shape not in SHAPES:
            raise TaskError(f"vary.layout.shapes: {unknown('shape', shape, SHAPES)}")
    if not shapes or len(set(shapes)) != len(shapes):
        raise TaskError("vary.layout.shapes: must name each shape once, and at least one")
    if len(side) != 2 or not all(whole(n, *SIDES) for n in side) or side[0] > side[1]:
        raise TaskError(f"vary.layout.side: must be the least and the most cells of a side, from {SIDES[0]} to {SIDES[1]}")
    return Layout(tuple(shapes), (side[0], side[1]))

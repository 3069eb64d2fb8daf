"""A task's file: read from TOML, checked, and every mistake named in one line. The format is in ``envs/README.md``."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from envs import TASKS
from envs.materials import Material, MaterialError, read_materials, standard_materials
from envs.task import ACTIONS, GOALS, Cell, Stage, TaskError, TaskSpec
from envs.verbs import Verb, read_verbs

LARGEST = 250  # rows and columns of a map

_KEYS: dict[str, type | tuple[type, ...]] = {
    "title": str,
    "map": str,
    "legend": dict,
    "goal": dict,
    "step_limit": int,
    "actions": list,
    "start": str,
    "materials": dict,
    "floor": str,
    "ceiling": str,
    "height": int,
    "pitch": (int, float),
    "reward": dict,
    "compass": str,
    "inventory": dict,
    "vary": dict,
    "verbs": dict,
}
_VERB_KEYS: dict[str, type | tuple[type, ...]] = {"takes": dict, "gives": dict, "near": str, "puts": str, "holds": str}


def load_task(task: str | Path | TaskSpec, change: Mapping[str, Any] | None = None) -> TaskSpec:
    """A task by its name (a file of ``envs/tasks``) or by a path to a TOML file.

    ``change``: entries that take the place of the file's; tables are changed entry by entry.

    Raises :class:`TaskError`, in one line, for anything that is wrong with the name, the file or the change.
    """
    if isinstance(task, TaskSpec):
        return task
    path = Path(task)
    if path.suffix != ".toml":
        path = TASKS / f"{task}.toml"
        if not path.is_file():
            raise TaskError(f"unknown task '{task}' (known: {', '.join(task_names())}; or give a path to a .toml file)")
    try:
        return parse_task(_merged(read_toml(path), change or {}), path.stem)
    except (TaskError, MaterialError) as error:
        raise TaskError(str(error) if str(error).startswith(f"{path}: ") else f"{path}: {error}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """The document; raises :class:`TaskError` in one line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from error
    except tomllib.TOMLDecodeError as error:
        raise TaskError(f"{path}: {error}") from error


def _merged(doc: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    def one(old: Any, new: Any) -> Any:
        return _merged(old, new) if isinstance(old, Mapping) and isinstance(new, Mapping) else new

    return {**doc, **{key: one(doc.get(key), value) for key, value in change.items()}}


def task_names(everywhere: bool = False) -> list[str]:
    """Names of the shipped tasks, or only of those that can be played ``everywhere``, and not in the embedded world alone."""
    names = sorted(path.stem for path in TASKS.glob("*.toml"))
    return [name for name in names if load_task(name).everywhere] if everywhere else names


def parse_task(doc: Mapping[str, Any], name: str) -> TaskSpec:
    """A checked task from a parsed TOML document; raises :class:`TaskError` naming the key and the reason."""
    check_keys("", doc, _KEYS, needed=("map", "legend", "goal", "step_limit"))
    materials = {**standard_materials(), **read_materials(doc.get("materials", {}))}
    if len(materials) > 254:
        raise TaskError("materials: at most 254 are possible")
    height = doc.get("height", 3)
    if not 2 <= height <= 16:
        raise TaskError(f"height: must be from 2 to 16 blocks, not {height}")
    for material in materials.values():
        if material.drops is not None and not (material.drops in materials and materials[material.drops].item):
            raise TaskError(f"materials: '{material.name}' drops '{material.drops}', which is no material that can be an item")

    def known(where: str, material: Any, item: bool = False) -> str:
        if not isinstance(material, str) or material not in materials:
            raise TaskError(f"{where}: unknown material '{material}' (known: {', '.join(materials)})")
        if item and not materials[material].item:
            raise TaskError(f"{where}: '{material}' cannot be an item (its material does not say item = true)")
        return str(material)

    legend = {".": Cell()}
    for char, entry in doc["legend"].items():
        legend[char] = _read_cell(char, entry, height, known)
    for char, cell in legend.items():
        if cell.otherwise not in legend:
            raise TaskError(f"legend.{char}: otherwise: '{cell.otherwise}' is not in the legend")
        if cell.choose and legend[cell.otherwise].choose:
            raise TaskError(f"legend.{char}: otherwise: '{cell.otherwise}' is itself chosen")
    rows = _read_map(doc["map"], legend)
    present = set("".join(rows))
    for char, cell in legend.items():
        count = sum(row.count(char) for row in rows)
        if cell.choose and char in present and cell.choose[1] > count:
            raise TaskError(f"legend.{char}: choose: {cell.choose[1]} of {count} cells")

    actions = tuple(doc.get("actions", ACTIONS))
    if unknown := [action for action in actions if action not in ACTIONS]:
        raise TaskError(f"actions: unknown action '{unknown[0]}' (known: {', '.join(ACTIONS)})")
    if not actions or len(set(actions)) != len(actions):
        raise TaskError("actions: must name each action once, and at least one")
    if doc["step_limit"] < 1:
        raise TaskError(f"step_limit: must be at least 1, not {doc['step_limit']}")
    inventory = doc.get("inventory", {})
    for item, count in inventory.items():
        known("inventory", item, item=True)
        if type(count) is not int or not 0 <= count <= 999:
            raise TaskError(f"inventory.{item}: must be a whole number from 0 to 999")
    compass = doc.get("compass")
    if compass is not None and compass not in present:
        raise TaskError(f"compass: '{compass}' is not on the map")
    verbs = _read_verbs(doc.get("verbs", {}), materials, known)
    reward = doc.get("reward", {})
    check_keys("reward.", reward, {"step": (int, float), "success": (int, float)})
    vary = doc.get("vary", {})
    check_keys("vary.", vary, {"shrink": list, "mirror": bool, "tint": (int, float), "textures": dict})
    shrink = vary.get("shrink", [0, 0])
    if len(shrink) != 2 or any(type(n) is not int or not 0 <= n <= LARGEST for n in shrink):
        raise TaskError(f"vary.shrink: must be two whole numbers from 0 to {LARGEST}, rows and columns")
    if not 0 <= vary.get("tint", 0) < 1:
        raise TaskError("vary.tint: must be at least 0 and below 1")
    textures = {}
    for material, options in vary.get("textures", {}).items():
        if options == "any":
            options = [name for name, each in materials.items() if each.building]
        if not isinstance(options, list) or not options:
            raise TaskError(f'vary.textures.{material}: must list materials, or be "any"')
        textures[known("vary.textures", material)] = tuple(known(f"vary.textures.{material}", option) for option in options)

    start = doc.get("start", ".")
    spec = TaskSpec(
        name=name,
        title=doc.get("title", name),
        rows=rows,
        legend=legend,
        goal=_read_goal(doc["goal"], present, known),
        step_limit=doc["step_limit"],
        actions=actions,
        start=start,
        materials=materials,
        hash=hashlib.sha256(json.dumps({**doc, "title": ""}, sort_keys=True).encode()).hexdigest(),
        floor=known("floor", doc.get("floor", "oak_floor")),
        ceiling=known("ceiling", doc.get("ceiling", "plaster")),
        height=height,
        pitch=float(doc.get("pitch", -20.0)),
        reward_step=float(reward.get("step", -1.0)),
        reward_success=float(reward.get("success", 0.0)),
        compass=compass,
        inventory=dict(inventory),
        shrink=(shrink[0], shrink[1]),
        mirror=vary.get("mirror", False),
        tint=float(vary.get("tint", 0.0)),
        textures=textures,
        verbs=verbs,
    )
    if not -89 <= spec.pitch <= 89:
        raise TaskError(f"pitch: must be from -89 to 89 degrees, not {spec.pitch:g}")
    drawn = present | {legend[char].otherwise for char in present if legend[char].choose}
    if not any(spec._tables.starts[spec._tables.codes[char]] for char in drawn):
        raise TaskError(f"start: no free cell of the map has a character of '{start}'")
    try:
        for seed in range(8):
            spec.sample(np.random.default_rng(seed))
    except TaskError as error:
        raise TaskError(str(error).removeprefix(f"{name}: ")) from None
    return spec


def check_keys(
    where: str, table: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]], needed: Iterable[str] = ()
) -> None:
    names = {
        str: "text",
        dict: "a table",
        bool: "true or false",
        int: "a whole number",
        list: "a list",
        (int, float): "a number",
        (int, list): "a whole number or a list",
    }
    for key, value in table.items():
        if key not in kinds:
            raise TaskError(f"{where}{key}: unknown key (known: {', '.join(kinds)})")
        odd = (isinstance(value, bool) and kinds[key] is not bool) or (isinstance(value, float) and not isfinite(value))
        if odd or not isinstance(value, kinds[key]):
            raise TaskError(f"{where}{key}: must be {names[kinds[key]]}, not {value!r}")
    for key in needed:
        if key not in table:
            raise TaskError(f"{where}{key}: is missing")


def _read_cell(char: str, entry: Any, height: int, known: Any) -> Cell:
    where = f"legend.{char}"
    if len(char) != 1:
        raise TaskError(f"{where}: a legend key must be one character")
    if isinstance(entry, str):  # one material: a full column of it
        entry = {"column": [entry] * height}
    elif isinstance(entry, list):
        entry = {"column": entry}
    elif not isinstance(entry, Mapping):
        raise TaskError(f"{where}: must be a material, a list of materials or a table")
    check_keys(
        f"{where}.",
        entry,
        {"column": list, "floor": str, "item": str, "choose": (int, list), "otherwise": str, "reward": (int, float)},
    )
    column = tuple(block if block == "air" else known(f"{where}.column", block) for block in entry.get("column", []))
    if len(column) > height:
        raise TaskError(f"{where}.column: {len(column)} blocks, but the room is {height} high")
    choose = entry.get("choose")
    if isinstance(choose, int):
        choose = [choose, choose]
    if choose is not None and (len(choose) != 2 or any(type(n) is not int for n in choose) or not 0 <= choose[0] <= choose[1]):
        raise TaskError(f"{where}.choose: must be a count or [least, most]")
    return Cell(
        column=column,
        floor=known(f"{where}.floor", entry["floor"]) if "floor" in entry else None,
        item=known(f"{where}.item", entry["item"], item=True) if "item" in entry else None,
        choose=tuple(choose) if choose is not None else None,
        otherwise=entry.get("otherwise", "."),
        reward=float(entry["reward"]) if "reward" in entry else None,
    )


def _read_verbs(tables: Mapping[str, Any], materials: Mapping[str, Material], known: Any) -> tuple[Verb, ...]:
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise TaskError(f"verbs.{name}: must be a table")
        check_keys(f"verbs.{name}.", table, _VERB_KEYS)
    verbs = tuple(read_verbs(tables, [name for name, material in materials.items() if material.item]))
    for verb in verbs:
        where = f"verbs.{verb.name}"
        for part, counts in (("takes", verb.takes), ("gives", verb.gives)):
            for item, count in counts.items():
                known(f"{where}.{part}", item, item=True)
                if type(count) is not int or not 1 <= count <= 999:
                    raise TaskError(f"{where}.{part}.{item}: must be a whole number from 1 to 999")
        for part, name in (("near", verb.near), ("puts", verb.puts), ("holds", verb.holds)):
            if name:
                known(f"{where}.{part}", name, item=part == "holds")
        if not (verb.takes or verb.gives or verb.puts or verb.holds):
            raise TaskError(f"{where}: has no effect (takes, gives, puts or holds something)")
    names = [verb.name for verb in verbs]
    if twice := [name for name in names if names.count(name) > 1 or name in ACTIONS]:
        raise TaskError(f"verbs.{twice[0]}: this name is taken")
    return verbs


def _read_map(text: str, legend: Mapping[str, Cell]) -> tuple[str, ...]:
    rows = tuple(text.strip("\n").splitlines())
    if not rows or not rows[0]:
        raise TaskError("map: is empty")
    if max(len(rows), len(rows[0])) > LARGEST:
        raise TaskError(f"map: at most {LARGEST} by {LARGEST} cells")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise TaskError(f"map: row {number} has {len(row)} characters, row 1 has {len(rows[0])}")
        for column, char in enumerate(row, 1):
            if char not in legend:
                raise TaskError(f"map: row {number}, column {column}: '{char}' is not in the legend")
    return rows


def _read_goal(table: Mapping[str, Any], present: set[str], known: Any) -> tuple[Stage, ...]:
    if "all_of" in table:
        check_keys("goal.", table, {"all_of": list})
        stages = table["all_of"]
        if not stages or not all(isinstance(stage, Mapping) for stage in stages):
            raise TaskError("goal.all_of: must list at least one predicate")
        if len(stages) > 8:
            raise TaskError("goal.all_of: at most 8 predicates")
    else:
        stages = [table]
    goal = []
    for stage in stages:
        check_keys("goal.", stage, {**dict.fromkeys(GOALS, str), "item": str})
        kinds = [kind for kind in GOALS if kind in stage]
        if len(kinds) != 1:
            raise TaskError(f"goal: a predicate is one of {', '.join(GOALS)} (or all_of, a list of them)")
        kind = kinds[0]
        char = "" if kind == "hold" else stage[kind]
        item = known("goal.hold", stage["hold"], item=True) if kind == "hold" else ""
        if kind == "placed_at":
            if "item" not in stage:
                raise TaskError("goal.item: is missing (what is to be placed)")
            item = known("goal.item", stage["item"], item=True)
        elif "item" in stage:
            raise TaskError(f"goal.item: goes with placed_at, not with {kind}")
        if kind != "hold" and not char:
            raise TaskError(f"goal.{kind}: names no character of the map")
        for each in char:
            if each not in present:
                raise TaskError(f"goal.{kind}: '{each}' is not on the map")
        goal.append(Stage(kind, char, item))
    return tuple(goal)

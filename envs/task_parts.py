"""The parts of a task's file, each read and checked by a function of its own. All raise :class:`envs.task.TaskError`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from envs.errors import short, unknown
from envs.materials import Material, materials_for, read_materials, standard_materials
from envs.task import ACTIONS, GOALS, Cell, Subgoal, TaskError
from envs.verbs import EACH, Verb, read_verbs

LARGEST = 250  # rows and columns of a map
MOST_CHARACTERS = 254  # of a legend, "." among them; with the ring around the map they are numbers of a byte
MOST_VERBS, MOST_PARTS, MOST_KEYS = 1000, 16, 16  # verbs of a task, entries of one verb, and kinds of items that open something
LETTERS = 100  # of a name
MOST_STEPS, MOST_REWARD = 10**6, 10**6

Kinds = Mapping[str, type | tuple[type, ...]]  # what the value of each key must be

_WORDS: dict[Any, str] = {
    str: "text",
    dict: "a table",
    bool: "true or false",
    int: "a whole number",
    list: "a list",
    (int, float): "a number",
    (int, list): "a whole number or a list",
}
_CELL_KEYS: Kinds = {
    "column": list, "floor": str, "item": str, "choose": (int, list), "otherwise": str, "reward": (int, float),
}  # fmt: skip
_VERB_KEYS: Kinds = {"takes": dict, "gives": dict, "near": str, "puts": str, "holds": str}


def check_keys(where: str, table: Mapping[str, Any], kinds: Kinds, needed: Iterable[str] = ()) -> None:
    """Raises for a key that is unknown, of another kind or missing; ``where`` is what the message calls the table."""
    for key, value in table.items():
        if key not in kinds:
            raise TaskError(f"{where}{short(key)}: unknown key (known: {', '.join(kinds)})")
        wrong = (isinstance(value, bool) and kinds[key] is not bool) or (isinstance(value, float) and not isfinite(value))
        if wrong or not isinstance(value, kinds[key]):
            shown = repr(short(value)) if isinstance(value, str) else short(value)
            raise TaskError(f"{where}{key}: must be {_WORDS[kinds[key]]}, not {shown}")
    for key in needed:
        if key not in table:
            raise TaskError(f"{where}{key}: is missing")


def name(where: str, value: str) -> str:
    """The name itself, if it can be shown. Raises for others."""
    if not value or len(value) > LETTERS or not value.isprintable():
        raise TaskError(f"{where}: a name has 1 to {LETTERS} letters, all of which can be printed, not {short(value)!r}")
    return value


def read_title(doc: Mapping[str, Any], default: str) -> str:
    title: str = doc.get("title", default)
    if "title" in doc and (len(title) > 2 * LETTERS or not title.isprintable()):
        raise TaskError(f"title: must be one line of at most {2 * LETTERS} letters, all of which can be printed")
    return title


def whole(value: Any, least: int, most: int) -> bool:
    """Whether this is a whole number (true and false are none) from ``least`` to ``most``."""
    return type(value) is int and least <= value <= most


class Materials(dict[str, Material]):
    """The materials that a task may name."""

    def known(self, where: str, material: Any, item: bool = False) -> str:
        """The material's name; raises for one that is unknown, or is no item where it must be one."""
        if not isinstance(material, str) or material not in self:
            known = dict.fromkeys([*self, *standard_materials()])
            raise TaskError(f"{where}: {unknown('material', material, known)}")
        if item and not self[material].item:
            raise TaskError(f"{where}: '{material}' cannot be an item (its material does not say item = true)")
        return str(material)


def read_materials_and_height(doc: Mapping[str, Any]) -> tuple[Materials, int]:
    for material in doc.get("materials", {}):
        name("materials", material)
    materials = Materials({**materials_for(doc), **read_materials(doc.get("materials", {}))})
    if len(materials) > 254:
        raise TaskError("materials: at most 254 are possible")
    height: int = doc.get("height", 3)
    if not 2 <= height <= 16:
        raise TaskError(f"height: must be from 2 to 16 blocks, not {height}")
    for material in materials.values():
        if material.drops is not None and not (material.drops in materials and materials[material.drops].item):
            raise TaskError(f"materials: '{material.name}' drops '{material.drops}', which is no material that can be an item")
        if material.needs is not None and not (material.needs in materials and materials[material.needs].item):
            raise TaskError(f"materials: '{material.name}' needs '{material.needs}', which is no material that can be an item")
    if len({material.needs for material in materials.values() if material.needs}) > MOST_KEYS:
        raise TaskError(f"materials: at most {MOST_KEYS} items can be what others need")
    return materials, height


# --- legend and map --------------------------------------------------------------------------------------------------


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
        reward=_reward(f"{where}.reward", entry["reward"]) if "reward" in entry else None,
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


def read_map(text: str, legend: Mapping[str, Cell]) -> tuple[str, ...]:
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
    for char, cell in legend.items():
        count = sum(row.count(char) for row in rows)
        if cell.choose and count and cell.choose[1] > count:
            raise TaskError(f"legend.{char}: choose: {cell.choose[1]} of {count} cells")
    return rows


# --- what the agent can do and has -----------------------------------------------------------------------------------


def read_actions(doc: Mapping[str, Any]) -> tuple[str, ...]:
    actions = tuple(doc.get("actions", ACTIONS))
    if odd := [action for action in actions if action not in ACTIONS]:
        raise TaskError(f"actions: {unknown('action', odd[0], ACTIONS)}")
    if not actions or len(set(actions)) != len(actions):
        raise TaskError("actions: must name each action once, and at least one")
    return actions


def read_step_limit(doc: Mapping[str, Any]) -> int:
    limit: int = doc["step_limit"]
    if limit < 1:
        raise TaskError(f"step_limit: must be at least 1, not {limit}")
    if limit > MOST_STEPS:
        raise TaskError(f"step_limit: must be at most {MOST_STEPS:,}, not {limit}")
    return limit


def read_inventory(doc: Mapping[str, Any], materials: Materials) -> dict[str, int]:
    inventory: dict[str, int] = dict(doc.get("inventory", {}))
    for item, count in inventory.items():
        materials.known("inventory", item, item=True)
        if not whole(count, 0, 999):
            raise TaskError(f"inventory.{item}: must be a whole number from 0 to 999")
    return inventory


def read_compass(doc: Mapping[str, Any], present: set[str]) -> str | None:
    compass: str | None = doc.get("compass")
    if compass is not None and compass not in present:
        raise TaskError(f"compass: '{short(compass)}' is not on the map")
    return compass


def read_verb_tables(tables: Mapping[str, Any], materials: Materials) -> tuple[Verb, ...]:
    items = [each for each, material in materials.items() if material.item]
    for each, table in tables.items():
        where = f"verbs.{name('verbs', each)}"
        if not isinstance(table, Mapping):
            raise TaskError(f"{where}: must be a table")
        check_keys(f"{where}.", table, _VERB_KEYS)
        if max(len(table.get(part, ())) for part in ("takes", "gives")) > MOST_PARTS:
            raise TaskError(f"{where}: takes and gives at most {MOST_PARTS} things")
    if (number := sum(len(items) if EACH in each else 1 for each in tables)) > MOST_VERBS:
        raise TaskError(
            f"verbs: {number:,} of them, with one for each item where there is a {EACH}; at most {MOST_VERBS:,} are possible"
        )
    verbs = tuple(read_verbs(tables, items))
    for verb in verbs:
        _check_verb(f"verbs.{verb.name}", verb, materials)
    names = Counter([*ACTIONS, *(name("verbs", verb.name) for verb in verbs)])
    if taken := [verb.name for verb in verbs if names[verb.name] > 1]:
        raise TaskError(f"verbs.{taken[0]}: this name is taken")
    return verbs


def _check_verb(where: str, verb: Verb, materials: Materials) -> None:
    for part, counts in (("takes", verb.takes), ("gives", verb.gives)):
        for item, count in counts.items():
            materials.known(f"{where}.{part}", item, item=True)
            if not whole(count, 1, 999):
                raise TaskError(f"{where}.{part}.{item}: must be a whole number from 1 to 999")
    for part, material in (("near", verb.near), ("puts", verb.puts), ("holds", verb.holds)):
        if material:
            materials.known(f"{where}.{part}", material, item=part == "holds")
    if not (verb.takes or verb.gives or verb.puts or verb.holds):
        raise TaskError(f"{where}: has no effect (takes, gives, puts or holds something)")


# --- goal, reward and what varies ------------------------------------------------------------------------------------


def read_goal(table: Mapping[str, Any], present: set[str], materials: Materials) -> tuple[Subgoal, ...]:
    return tuple(_read_subgoal(predicate, present, materials) for predicate in _predicates(table))


def _predicates(table: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The predicates of the goal in their order: those of ``all_of``, or the only one."""
    if "all_of" not in table:
        return [table]
    check_keys("goal.", table, {"all_of": list})
    predicates: list[Mapping[str, Any]] = table["all_of"]
    if not predicates or not all(isinstance(predicate, Mapping) for predicate in predicates):
        raise TaskError("goal.all_of: must list at least one predicate")
    if len(predicates) > 8:
        raise TaskError("goal.all_of: at most 8 predicates")
    return predicates


def _read_subgoal(predicate: Mapping[str, Any], present: set[str], materials: Materials) -> Subgoal:
    check_keys("goal.", predicate, {**dict.fromkeys(GOALS, str), "item": str})
    kinds = [kind for kind in GOALS if kind in predicate]
    if len(kinds) != 1:
        raise TaskError(f"goal: a predicate is one of {', '.join(GOALS)} (or all_of, a list of them)")
    kind = kinds[0]
    item = _read_goal_item(kind, predicate, materials)
    if kind == "hold":
        return Subgoal(kind, "", item)
    char: str = predicate[kind]
    if not char:
        raise TaskError(f"goal.{kind}: names no character of the map")
    for each in char:
        if each not in present:
            raise TaskError(f"goal.{kind}: '{each}' is not on the map")
    return Subgoal(kind, char, item)


def _read_goal_item(kind: str, predicate: Mapping[str, Any], materials: Materials) -> str:
    """What is to be held or placed; "" for the other predicates."""
    held = materials.known("goal.hold", predicate["hold"], item=True) if kind == "hold" else ""
    if kind == "placed_at":
        if "item" not in predicate:
            raise TaskError("goal.item: is missing (what is to be placed)")
        return materials.known("goal.item", predicate["item"], item=True)
    if "item" in predicate:
        raise TaskError(f"goal.item: goes with placed_at, not with {kind}")
    return held


def read_reward(doc: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a :class:`envs.task.TaskSpec` that ``[reward]`` gives."""
    reward = doc.get("reward", {})
    check_keys("reward.", reward, {"step": (int, float), "success": (int, float)})
    step, success = reward.get("step", -1.0), reward.get("success", 0.0)
    return {"reward_step": _reward("reward.step", step), "reward_success": _reward("reward.success", success)}


def _reward(where: str, value: float) -> float:
    if not abs(value) <= MOST_REWARD:
        raise TaskError(f"{where}: must be from -{MOST_REWARD} to {MOST_REWARD}")
    return float(value)


def read_vary(doc: Mapping[str, Any], materials: Materials) -> dict[str, Any]:
    """The fields of a :class:`envs.task.TaskSpec` that ``[vary]`` gives."""
    vary = doc.get("vary", {})
    check_keys("vary.", vary, {"shrink": list, "mirror": bool, "tint": (int, float), "textures": dict})
    shrink = vary.get("shrink", [0, 0])
    if len(shrink) != 2 or not all(whole(n, 0, LARGEST) for n in shrink):
        raise TaskError(f"vary.shrink: must be two whole numbers from 0 to {LARGEST}, rows and columns")
    if not 0 <= vary.get("tint", 0) < 1:
        raise TaskError("vary.tint: must be at least 0 and below 1")
    textures = {}
    for material, options in vary.get("textures", {}).items():
        if options == "any":
            options = [other for other, each in materials.items() if each.building]
        if not isinstance(options, list) or not 1 <= len(options) <= len(materials):
            raise TaskError(f'vary.textures.{short(material)}: must list materials, or be "any"')
        names = tuple(materials.known(f"vary.textures.{short(material)}", option) for option in options)
        textures[materials.known("vary.textures", material)] = names
    return {
        "shrink": (shrink[0], shrink[1]),
        "mirror": vary.get("mirror", False),
        "tint": float(vary.get("tint", 0.0)),
        "textures": textures,
    }

"""The parts of a task's file, each read and checked by a function of its own. All raise :class:`envs.task.TaskError`.

Maps, their legend and what varies are read by ``task_rooms.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from envs.errors import short, unknown
from envs.materials import Material, materials_for, read_materials, standard_materials
from envs.task import ACTIONS, GOALS, Shared, Subgoal, TaskError, TaskSpec
from envs.verbs import EACH, Verb, read_verbs

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
    (int, dict): "a whole number or a table",
    (str, list): "text or a list",
    (str, dict): "text or a table",
}
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


# --- what the agent can do and has -----------------------------------------------------------------------------------


def read_actions(doc: Mapping[str, Any]) -> tuple[str, ...]:
    actions = tuple(doc.get("actions", ACTIONS))
    if odd := [action for action in actions if action not in ACTIONS]:
        raise TaskError(f"actions: {unknown('action', odd[0], ACTIONS)}")
    if not actions or len(set(actions)) != len(actions):
        raise TaskError("actions: must name each action once, and at least one")
    return actions


def read_step_limit(doc: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a :class:`envs.task.TaskSpec` that ``step_limit`` gives: a number, or a multiple of the oracle's steps."""
    limit = doc["step_limit"]
    if isinstance(limit, int):
        return {"step_limit": _steps("step_limit", limit)}
    keys: Kinds = {"oracle": (int, float), "least": int, "most": int}
    check_keys("step_limit.", limit, keys, needed=keys)
    if not 1 <= limit["oracle"] <= 1000:
        raise TaskError(f"step_limit.oracle: must be from 1 to 1000 times the oracle's steps, not {short(limit['oracle'])}")
    least, most = (_steps(f"step_limit.{key}", limit[key]) for key in ("least", "most"))
    if least > most:
        raise TaskError(f"step_limit.least: must be at most step_limit.most, {most}, not {least}")
    return {"step_limit": most, "oracle_limit": (float(limit["oracle"]), least)}


def _steps(where: str, limit: int) -> int:
    if limit < 1:
        raise TaskError(f"{where}: must be at least 1, not {limit}")
    if limit > MOST_STEPS:
        raise TaskError(f"{where}: must be at most {MOST_STEPS:,}, not {limit}")
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


def read_shared(doc: Mapping[str, Any]) -> Shared | None:
    """What a sequence says of all its tasks, in each of them."""
    if "shared" not in doc:
        return None
    shared = doc["shared"]
    kinds: Kinds = {"actions": list, "items": list, "hotbar": bool}
    check_keys("shared.", shared, kinds, needed=kinds)
    for key in ("actions", "items"):
        names = shared[key]
        if not all(isinstance(each, str) for each in names) or len(set(names)) < len(names) or len(names) > MOST_VERBS:
            raise TaskError(f"shared.{key}: must name each once, and at most {MOST_VERBS:,}")
        for each in names:
            name(f"shared.{key}", each)
    return Shared(tuple(shared["actions"]), tuple(shared["items"]), shared["hotbar"])


def check_shared(shared: Shared, spec: TaskSpec) -> None:
    """Raises for a task that has what is not shared."""
    for key, own, known in (("actions", spec.own_actions, shared.actions), ("items", spec.items, shared.items)):
        if left := [each for each in own if each not in known]:
            raise TaskError(f"shared.{key}: lacks '{left[0]}', which the task has")


# --- goal and reward -------------------------------------------------------------------------------------------------


def read_goal(table: Mapping[str, Any], present: set[str], materials: Materials) -> tuple[Subgoal, ...]:
    return tuple(_read_subgoal(predicate, present, materials) for predicate in _predicates(table))


def read_begin(table: Mapping[str, Any]) -> int:
    """How many predicates of ``all_of`` are true already where an episode begins."""
    if "all_of" not in table:
        return 0
    begin: int = table.get("begin", 0)
    if not 0 <= begin < len(table["all_of"]):
        raise TaskError(f"goal.begin: must be from 0 to {len(table['all_of']) - 1}, one less than there are in all_of, not {begin}")
    return begin


def _predicates(table: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The predicates of the goal in their order: those of ``all_of``, or the only one."""
    if "all_of" not in table:
        return [table]
    check_keys("goal.", table, {"all_of": list, "begin": int}, needed=["all_of"])
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
    return {"reward_step": reward_number("reward.step", step), "reward_success": reward_number("reward.success", success)}


def reward_number(where: str, value: float) -> float:
    if not abs(value) <= MOST_REWARD:
        raise TaskError(f"{where}: must be from -{MOST_REWARD} to {MOST_REWARD}")
    return float(value)

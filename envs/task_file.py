"""A task's file: checked, and every mistake named in one line. The format is in ``envs/README.md``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from envs import SHIPPED, TASKS, task_parts, task_rooms
from envs.errors import unknown
from envs.materials import MaterialError, special
from envs.task import TaskError, TaskSpec
from envs.task_parts import Kinds, check_keys
from envs.toml_file import parse_toml, read_text

_KEYS: Kinds = {
    "title": str,
    "map": (str, list),
    "legend": dict,
    "goal": dict,
    "step_limit": (int, dict),
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
    "shared": dict,
}


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
            raise TaskError(f"{unknown('task', task, task_names())}; or give a path to a .toml file")
    try:
        return read_task(read_text(path), path.stem, change)
    except (TaskError, MaterialError) as error:
        raise TaskError(str(error) if str(error).startswith(f"{path}: ") else f"{path}: {error}") from error


def read_task(text: str, name: str, change: Mapping[str, Any] | None = None) -> TaskSpec:
    """A task from the text of its file, changed as :func:`load_task` says. Raises :class:`TaskError`, in one line."""
    change = change or {}
    return replace(parse_task(_merged(parse_toml(text), change), name), text=text, change=change)


def _merged(doc: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    def one(old: Any, new: Any) -> Any:
        return _merged(old, new) if isinstance(old, Mapping) and isinstance(new, Mapping) else new

    return {**doc, **{key: one(doc.get(key), value) for key, value in change.items()}}


def task_names(refused: Collection[str] = ()) -> list[str]:
    """Names of the shipped tasks that ask for nothing ``refused``, as by a world (:attr:`envs.world.World.refuses`)."""
    return sorted(name for name, doc in SHIPPED.items() if special(doc).isdisjoint(refused))


def parse_task(doc: Mapping[str, Any], name: str) -> TaskSpec:
    """A checked task from a parsed TOML document; raises :class:`TaskError` naming the key and the reason.

    What is read later may name what was read before, and of several mistakes the first is told.
    """
    check_keys("", doc, _KEYS, needed=("map", "legend", "goal", "step_limit"))
    shared = task_parts.read_shared(doc)
    doc = {key: value for key, value in doc.items() if key != "shared"}  # it names no material, and is no part of the hash
    materials, height = task_parts.read_materials_and_height(doc)
    legend = task_rooms.read_legend(doc["legend"], height, materials)
    maps = task_rooms.read_maps(doc["map"], legend)
    present = set("".join(row for rows in maps for row in rows))
    actions = task_parts.read_actions(doc)
    limit = task_parts.read_step_limit(doc)
    inventory = task_parts.read_inventory(doc, materials)
    compass = task_parts.read_compass(doc, present)
    verbs = task_parts.read_verb_tables(doc.get("verbs", {}), materials)
    reward = task_parts.read_reward(doc)
    vary = task_rooms.read_vary(doc, materials)
    title = task_parts.read_title(doc, name)
    spec = TaskSpec(
        name=name,
        title=title,
        maps=maps,
        legend=legend,
        goal=task_parts.read_goal(doc["goal"], present, materials),
        begin=task_parts.read_begin(doc["goal"]),
        actions=actions,
        start=doc.get("start", "."),
        special=frozenset(special(doc)),
        materials=materials,
        hash=hashlib.sha256(json.dumps({**doc, "title": ""}, sort_keys=True).encode()).hexdigest(),
        floor=materials.known("floor", doc.get("floor", "oak_floor")),
        ceiling=materials.known("ceiling", doc.get("ceiling", "plaster")),
        height=height,
        pitch=float(doc.get("pitch", -20.0)),
        compass=compass,
        inventory=inventory,
        verbs=verbs,
        **limit,
        **reward,
        **vary,
    )
    _check_whole(spec)
    if shared:
        task_parts.check_shared(shared, spec)
    return replace(spec, shared=shared)


def _check_whole(spec: TaskSpec) -> None:
    """What only the whole task shows: that an episode can begin, and that its goal can be reached, on each of its maps."""
    if not -89 <= spec.pitch <= 89:
        raise TaskError(f"pitch: must be from -89 to 89 degrees, not {spec.pitch:g}")
    for subgoal in spec.goal:
        for char in subgoal.char if subgoal.kind == "placed_at" else "":
            if spec.materials[spec.legend[char].floor or spec.floor].pit:
                raise TaskError(f"goal.placed_at: '{char}' is a pit, whose floor becomes what is placed there")
    several = len(spec.maps) > 1 and not spec.layout
    for number, maps in enumerate([(rows,) for rows in spec.maps] if several else [spec.maps], 1):
        where, one = (f"map {number}: ", replace(spec, maps=maps)) if several else ("", spec)
        if spec.layout and not any(spec.is_floor(char) for char in spec.characters):
            raise TaskError("vary.layout: no cell of the map is open floor, of which rooms could be made")
        drawn = one.characters | {spec.legend[char].otherwise for char in one.characters if spec.legend[char].choose}
        if not any(spec.may_start_on(char) for char in drawn):
            raise TaskError(f"{where}start: no free cell of the map has a character of '{spec.start}'")
        try:
            for seed in range(8):
                one.sample(np.random.default_rng(seed))
        except TaskError as error:
            raise TaskError(where + str(error).removeprefix(f"{spec.name}: ")) from None

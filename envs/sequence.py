"""A sequence of tasks as data: which task when, for how many steps, and what is changed in it. One TOML file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from envs.drift import unroll
from envs.errors import unknown
from envs.task import Shared, TaskError, TaskSpec
from envs.task_file import load_task, read_task
from envs.task_parts import Kinds, check_keys, read_title
from envs.toml_file import read_toml

SEQUENCES = Path(__file__).parent / "sequences"
LISTED, MOST, MOST_STEPS = 64, 1000, 10**12  # phases in a file, phases of a run, environment steps of a phase
_KEYS: Kinds = {"title": str, "repeat": int, "announce": bool, "phase": list, "phases_of": str}
_PHASE_KEYS: Kinds = {"task": str, "env_steps": int, "change": dict, "drift": dict, "announce": bool}


@dataclass(frozen=True)
class Phase:
    """One task for ``env_steps`` environment steps over all worlds together."""

    task: TaskSpec
    env_steps: int
    announced: bool = True
    """whether who learns is told that it begins"""


@dataclass(frozen=True)
class Sequence:
    """A checked sequence. Its tasks have the same actions and items by number, so that one agent can play them.

    Where they differ in these, each has those of all (:attr:`envs.task.TaskSpec.shared`); its own are
    :attr:`envs.task.TaskSpec.available`.
    """

    name: str
    title: str
    phases: tuple[Phase, ...]

    @property
    def env_steps(self) -> int:
        return sum(phase.env_steps for phase in self.phases)

    @cached_property
    def tasks(self) -> tuple[TaskSpec, ...]:
        """Each task once, in the order in which they first come; one that is changed is another."""
        found: dict[str, TaskSpec] = {}
        for phase in self.phases:
            found.setdefault(phase.task.hash, phase.task)
        return tuple(found.values())

    @property
    def actions(self) -> tuple[str, ...]:
        """Names by number, in all of its tasks."""
        return self.phases[0].task.all_actions


def sequence_names() -> list[str]:
    """Names of the shipped sequences."""
    return sorted(path.stem for path in SEQUENCES.glob("*.toml"))


def is_sequence(name: str | Path) -> bool:
    """Whether this is the name of a shipped sequence, or the path of a TOML file with phases (a task has none)."""
    path = Path(name)
    if path.suffix == ".toml":
        try:
            return path.is_file() and not {"phase", "phases_of"}.isdisjoint(read_toml(path))
        except TaskError:  # whoever reads it says what is wrong with it
            return False
    return (SEQUENCES / f"{name}.toml").is_file()


def load_sequence(sequence: str | Path) -> Sequence:
    """A sequence by its name (a file of ``envs/sequences``) or by a path to a TOML file.

    Raises :class:`envs.task.TaskError`, in one line that names the file, the phase and the key.
    """
    path = Path(sequence)
    if path.suffix != ".toml":
        path = SEQUENCES / f"{sequence}.toml"
        if not path.is_file():
            raise TaskError(f"{unknown('sequence', sequence, sequence_names())}; or give a path to a .toml file")
    doc = read_toml(path)
    try:
        check_keys("", doc, _KEYS)
        title = read_title(doc, path.stem)
        repeat = doc.get("repeat", 1)
        if not 1 <= repeat <= 1000:
            raise TaskError(f"repeat: must be from 1 to 1000, not {repeat}")
        phases = _phases(doc)
        if len(phases) * repeat > MOST:
            raise TaskError(f"phase: at most {MOST:,} when drifts are unrolled and all is repeated, not {len(phases) * repeat:,}")
    except TaskError as error:
        raise TaskError(f"{path}: {error}") from error
    return Sequence(path.stem, title, tuple(phases) * repeat)


def _phases(doc: Mapping[str, Any]) -> list[Phase]:
    """The phases of a file, once: its own, or those of another sequence."""
    announce = doc.get("announce", True)
    if "phases_of" in doc:
        if "phase" in doc:
            raise TaskError("phases_of: takes the place of phase, so that a file has one of the two")
        other = _of_its_own(doc["phases_of"])
        return [Phase(phase.task, phase.env_steps, phase.announced and announce) for phase in load_sequence(other).phases]
    if "phase" not in doc:
        raise TaskError("phase: is missing")
    if not doc["phase"]:
        raise TaskError("phase: at least one is needed")
    if len(doc["phase"]) > LISTED:
        raise TaskError(f"phase: at most {LISTED} in a file")
    pieces = [piece for number, entry in enumerate(doc["phase"], 1) for piece in _read_phase(number, entry, announce)]
    return _together(pieces)


def _of_its_own(name: str) -> str:
    """The name of a sequence that has phases of its own: one more step, and two files could go round in a circle."""
    path = Path(name) if name.endswith(".toml") else SEQUENCES / f"{name}.toml"
    if path.is_file() and "phases_of" in read_toml(path):
        raise TaskError(f"phases_of: '{name}' has no phases of its own")
    return name


def _read_phase(number: int, entry: object, announce: bool) -> list[Phase]:
    """A phase of the file; where something in it drifts, a phase for each piece."""
    try:
        if not isinstance(entry, dict):
            raise TaskError("must be a table")
        check_keys("", entry, _PHASE_KEYS, needed=("task", "env_steps"))
        steps, change = entry["env_steps"], entry.get("change", {})
        if steps < 1:
            raise TaskError(f"env_steps: must be at least 1, not {steps}")
        if steps > MOST_STEPS:
            raise TaskError(f"env_steps: must be at most {MOST_STEPS:,}, not {steps}")
        if "shared" in change:
            raise TaskError("change.shared: a sequence finds out by itself what its tasks share")
        pieces = unroll(entry["drift"], change, steps) if "drift" in entry else [(change, steps)]
        announced = entry.get("announce", announce)
        return [Phase(load_task(entry["task"], changed), own, announced and i == 0) for i, (changed, own) in enumerate(pieces)]
    except TaskError as error:
        raise TaskError(f"phase {number}: {error}") from error


def _together(phases: Iterable[Phase]) -> list[Phase]:
    """The same phases, the tasks of which have the same actions by number, the same items and a hotbar all or none."""
    phases = list(phases)
    faces = {(phase.task.all_actions, phase.task.items, phase.task.hotbar) for phase in phases}
    if len(faces) == 1:
        return phases
    shared = Shared.of(phase.task for phase in phases)
    table = {"actions": list(shared.actions), "items": list(shared.items), "hotbar": shared.hotbar}
    return [replace(phase, task=_sharing(phase.task, table)) for phase in phases]


def _sharing(task: TaskSpec, table: Mapping[str, Any]) -> TaskSpec:
    return read_task(task.text, task.name, {**task.change, "shared": table})

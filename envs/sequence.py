"""A sequence of tasks as data: which task when, for how many steps, and what is changed in it. One TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from envs.errors import unknown
from envs.task import TaskError, TaskSpec
from envs.task_file import load_task
from envs.task_parts import check_keys, read_title
from envs.toml_file import read_toml

SEQUENCES = Path(__file__).parent / "sequences"
LISTED, MOST, MOST_STEPS = 64, 1000, 10**12  # phases in a file, phases of a run, environment steps of a phase


@dataclass(frozen=True)
class Phase:
    """One task for ``env_steps`` environment steps over all worlds together."""

    task: TaskSpec
    env_steps: int


@dataclass(frozen=True)
class Sequence:
    """A checked sequence; all of its tasks have the same actions and items, so that one agent can play them."""

    name: str
    title: str
    phases: tuple[Phase, ...]

    @property
    def env_steps(self) -> int:
        return sum(phase.env_steps for phase in self.phases)


def is_sequence(name: str | Path) -> bool:
    """Whether this is the name of a shipped sequence, or the path of a TOML file with phases (a task has none)."""
    path = Path(name)
    if path.suffix == ".toml":
        try:
            return path.is_file() and "phase" in read_toml(path)
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
            known = sorted(each.stem for each in SEQUENCES.glob("*.toml"))
            raise TaskError(f"{unknown('sequence', sequence, known)}; or give a path to a .toml file")
    doc = read_toml(path)
    try:
        check_keys("", doc, {"title": str, "repeat": int, "phase": list}, needed=("phase",))
        title = read_title(doc, path.stem)
        repeat = doc.get("repeat", 1)
        if not 1 <= repeat <= 1000:
            raise TaskError(f"repeat: must be from 1 to 1000, not {repeat}")
        if len(doc["phase"]) > LISTED or len(doc["phase"]) * repeat > MOST:
            raise TaskError(f"phase: at most {LISTED} in a file and {MOST} when they are repeated")
        phases = [_read_phase(number, entry) for number, entry in enumerate(doc["phase"], 1)]
        if not phases:
            raise TaskError("phase: at least one is needed")
        first = phases[0].task
        for number, phase in enumerate(phases, 1):
            if (phase.task.all_actions, phase.task.items) != (first.all_actions, first.items):
                raise TaskError(f"phase {number}: task '{phase.task.name}' has other actions or items than phase 1")
    except TaskError as error:
        raise TaskError(f"{path}: {error}") from error
    return Sequence(path.stem, title, tuple(phases) * repeat)


def _read_phase(number: int, entry: object) -> Phase:
    try:
        if not isinstance(entry, dict):
            raise TaskError("must be a table")
        check_keys("", entry, {"task": str, "env_steps": int, "change": dict}, needed=("task", "env_steps"))
        if entry["env_steps"] < 1:
            raise TaskError(f"env_steps: must be at least 1, not {entry['env_steps']}")
        if entry["env_steps"] > MOST_STEPS:
            raise TaskError(f"env_steps: must be at most {MOST_STEPS:,}, not {entry['env_steps']}")
        return Phase(load_task(entry["task"], entry.get("change")), entry["env_steps"])
    except TaskError as error:
        raise TaskError(f"phase {number}: {error}") from error

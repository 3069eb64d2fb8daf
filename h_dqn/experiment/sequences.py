"""Look at sequences of tasks: what comes when, and a proof that all of it can be solved.

``envs.sequence.load_sequence`` reads one; what is here speaks of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.registry import WORLDS
from envs.sequence import Sequence, load_sequence
from envs.task import TaskSpec
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.place import VOXEL, Place
from h_dqn.experiment.tasks import solutions


@dataclass(frozen=True)
class Solved:
    """What the oracle did in one task of a sequence."""

    task: TaskSpec
    longest: int
    """steps of its longest solution"""


def facts(sequence: Sequence) -> dict[str, Any]:
    """What :func:`rows` says, for machines."""
    return {
        "sequence": sequence.name,
        "title": sequence.title,
        "env_steps": sequence.env_steps,
        "actions": list(sequence.actions),
        "tasks": list(dict.fromkeys(task.name for task in sequence.tasks)),
        "phases": [
            {"task": phase.task.name, "env_steps": phase.env_steps, "announced": phase.announced, "hash": phase.task.hash,
             "change": {key: value for key, value in phase.task.change.items() if key != "shared"},
             "available": [name for name in phase.task.all_actions if name in phase.task.own_actions]}
            for phase in sequence.phases
        ],
    }  # fmt: skip


def rows(sequence: Sequence) -> list[tuple[str, ...]]:
    """Of each phase: its number, its first environment step, its length, its task, whether it is announced, and what is changed."""
    found: list[tuple[str, ...]] = []
    begins = 0
    for number, phase in enumerate(sequence.phases, 1):
        changed = ", ".join(_leaves({key: value for key, value in phase.task.change.items() if key != "shared"}))
        told = "yes" if phase.announced else "no"
        found.append((str(number), f"{begins:,}", f"{phase.env_steps:,}", phase.task.name, told, changed))
        begins += phase.env_steps
    return found


def _leaves(table: dict[str, Any], before: str = "") -> list[str]:
    """ "vary.tint = 0.3" and so on."""
    found = []
    for key, value in table.items():
        found += _leaves(value, f"{before}{key}.") if isinstance(value, dict) else [f"{before}{key} = {_short(value)}"]
    return found


def _short(value: Any) -> str:
    if isinstance(value, list):  # of textures: each with how often it is named
        counts = {str(each): value.count(each) for each in value}
        return " or ".join(f"{count} {each}" if count > 1 else each for each, count in counts.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def check_sequence(sequence: str | Path, episodes: int = 100, place: Place = VOXEL) -> tuple[Sequence, list[Solved]]:
    """Prove with the oracle that so many episodes of each task of a sequence can be solved within its limit.

    Raises :class:`envs.task.TaskError` for a sequence that is wrong, or that the world of ``place`` cannot play, and
    :class:`UserError` where an episode cannot be solved.
    """
    found = load_sequence(sequence)
    if not WORLDS[place.world].plays_sequences:
        raise UserError(f"--world {place.world}: '{sequence}' is a sequence; this world plays single tasks")
    solved = []
    for task in found.tasks:
        WORLDS[place.world].check(task)
        lengths = solutions(task, episodes)
        if len(lengths) < episodes:
            number = next(i for i, phase in enumerate(found.phases, 1) if phase.task.hash == task.hash)
            raise UserError(f"{sequence}: phase {number}: the oracle cannot solve {episodes - len(lengths)} of {episodes} episodes "
                            f"of '{task.name}' in {task.step_limit} steps")  # fmt: skip
        solved.append(Solved(task, max(lengths)))
    return found, solved

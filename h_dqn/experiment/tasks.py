"""Look at tasks: their rules in words, their pictures, and a proof that they can be solved."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from envs.oracle import Oracle
from envs.registry import WORLDS
from envs.task import Subgoal, TaskSpec
from envs.voxel.world import Worlds
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.files import check_output
from h_dqn.experiment.worlds import VOXEL, Place, task_envs
from h_dqn.files import replacing
from h_dqn.seeds import episode_seeds

PICTURES = (".png", ".jpg")
SIDE = 168  # pixels of a picture
TINY = (1, 8, 8)  # a shape of observations where nothing is looked at


def in_words(task: TaskSpec) -> str:
    """The goal of a task as a sentence: "carry the crate, then place the crate on the pad"."""
    return ", then ".join(_subgoal_in_words(task, part) for part in task.goal)


def stage_in_words(task: TaskSpec, number: int) -> str:
    """One part of it; the first is number 0."""
    return _subgoal_in_words(task, task.goal[number])


def _subgoal_in_words(task: TaskSpec, goal: Subgoal) -> str:
    cells = [task.legend[char] for char in goal.char]
    blocks = " or ".join(dict.fromkeys(cell.column[0] for cell in cells if cell.column))
    floors = " or ".join(dict.fromkeys(cell.floor for cell in cells if cell.floor))
    where = f"the {floors or blocks or f'place {goal.char!r} of the map'}"
    return {
        "reach": f"go to {where}",
        "hold": f"carry the {goal.item}",
        "broken": f"break the {blocks}",
        "placed_at": f"place the {goal.item} on {where}",
    }[goal.kind]


def limit_in_words(task: TaskSpec) -> str:
    if task.oracle_limit is None:
        return str(task.step_limit)
    times, least = task.oracle_limit
    return f"{least} to {task.step_limit} ({times:g} times the oracle's)"


def facts(task: TaskSpec) -> dict[str, Any]:
    """What :func:`describe` says, for machines."""
    return {
        "task": task.name,
        "title": task.title,
        "map": list(task.maps[0]) if len(task.maps) == 1 else [list(rows) for rows in task.maps],
        "layout": task.layout and asdict(task.layout),
        "legend": {char: asdict(cell) for char, cell in task.legend.items()},
        "goal": [asdict(part) for part in task.goal],
        "actions": list(task.actions),
        "verbs": [verb.name for verb in task.verbs],
        "step_limit": task.step_limit,
        "oracle_limit": task.oracle_limit,
        "reward_step": task.reward_step,
        "reward_success": task.reward_success,
    }


def describe(task: TaskSpec) -> str:
    """Map, legend, goal and rules of a task, for people."""
    lines = [f"{task.name}: {task.title}\n"]
    for rows in task.maps:
        lines += [*rows, ""]
    if task.layout:
        least, most = task.layout.side
        lines.append(f"rooms are drawn, {least} to {most} cells a side ({', '.join(task.layout.shapes)}), of what the map has\n")
    for char, cell in task.legend.items():
        parts = [" on ".join(reversed(cell.column)) or "open floor"]
        blocks = [task.materials[block] for block in dict.fromkeys(cell.column) if block in task.materials]
        parts += [f"to break {block.name}, carry a {block.needs}" for block in blocks if block.needs]
        parts += [f"floor of {cell.floor}"] if cell.floor else []
        parts += [f"a {cell.item} lies there"] if cell.item else []
        parts += [f"{cell.choose[0]}..{cell.choose[1]} of them, else '{cell.otherwise}'"] if cell.choose else []
        lines.append(f"  {char}  {'; '.join(parts)}")
    goal = ", then ".join(f"{part.kind} {part.item} {part.char}".strip().replace("  ", " ") for part in task.goal)
    lines += [f"\ngoal: {in_words(task)} ({goal})", f"actions: {', '.join(task.actions)}"]
    lines += [f"verbs: {', '.join(verb.name for verb in task.verbs)}"] if task.verbs else []
    limit = limit_in_words(task)
    lines.append(f"limit: {limit} steps; reward {task.reward_step:g} a step, {task.reward_success:g} for the last")
    return "\n".join(lines)


def draw(task: TaskSpec, path: Path, seed: int = 1, place: Place = VOXEL) -> None:
    """Write the first pictures of eight episodes as one PNG or JPEG, and under each of them its room from above.

    Raises :class:`UserError` where it cannot be.
    """
    check_output(path, "--picture", PICTURES)
    envs: Any = WORLDS[place.world].make(task, 8, SIDE, place.options)
    obs, _ = envs.reset(seed=episode_seeds("evaluate", seed, 8))
    pictures = [np.vstack([pov, from_above(envs.unwrapped.worlds, n)]) for n, pov in enumerate(obs["pov"])]
    sheet = np.vstack([np.hstack(pictures[first : first + 4]) for first in range(0, len(pictures), 4)])
    with replacing(path) as temporary:
        temporary.write_bytes(cv2.imencode(path.suffix, np.ascontiguousarray(sheet[..., ::-1]))[1].tobytes())


def from_above(worlds: Worlds, n: int, side: int = SIDE) -> NDArray[np.uint8]:
    """The room of world ``n``, (side, side, 3): what stands at the level of the feet, the item that lies there, or the floor.

    The agent is a white arrow; what has the same colour as the ring around the room is black.
    """
    colors = np.array([(0, 0, 0), *(material.color for material in worlds.spec.materials.values())], np.uint8)
    blocks, items = worlds.blocks[n, :, :, 0], worlds.items[n]
    seen = np.where(items > 0, items, np.where(blocks > 0, blocks, worlds.floor[n]))
    cells, solid = colors[worlds.texture_id[n]][seen], blocks == blocks[0, 0]
    cells[solid] = 0
    rows, columns = np.flatnonzero(~solid.all(1)), np.flatnonzero(~solid.all(0))
    cells = cells[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    unit = max(1, (side - 8) // max(cells.shape))
    picture, edge = np.zeros((side, side, 3), np.uint8), 4
    shown = np.repeat(np.repeat(cells, unit, 0), unit, 1)[: side - edge, : side - edge]
    picture[edge : edge + shown.shape[0], edge : edge + shown.shape[1]] = shown
    x, z, heading = (int(number) for number in worlds.pose[n])
    middle = (np.array([x - columns[0], z - rows[0]]) + 0.5) * unit + edge
    ahead = np.array([np.sin(heading * np.pi / 6), -np.cos(heading * np.pi / 6)]) * unit * 0.8
    tail, head = ((int(a), int(b)) for a, b in (middle - ahead, middle + ahead))
    return np.asarray(cv2.arrowedLine(picture, tail, head, (255, 255, 255), 2, tipLength=0.5))


def solutions(task: TaskSpec, episodes: int) -> list[int]:
    """Steps that the oracle takes in so many episodes, of those that it solves."""
    envs: Any = WORLDS[VOXEL.world].make(task, episodes, 8).unwrapped
    return [length for length in Oracle(envs.worlds).play(envs, seed=1) if length is not None]


def longest_solution(file: str, episodes: int = 200, place: Place = VOXEL) -> tuple[int, TaskSpec]:
    """Prove with the oracle that so many episodes of a task can be solved within its limit.

    Returns: steps of the longest solution; the task. Raises :class:`UserError` where an episode cannot be solved.
    """
    task = task_envs(file, TINY, place).task
    solved = solutions(task, episodes)
    if len(solved) < episodes:
        failed = episodes - len(solved)
        raise UserError(f"{file}: step_limit: the oracle cannot solve {failed} of {episodes} episodes in {task.step_limit} steps")
    return max(solved), task

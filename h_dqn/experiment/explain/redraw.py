"""The same state drawn again with one thing changed, which only a world of one's own can do.

An episode is its seed and its actions: it is played once more up to the state, which is then changed and drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from envs.task import TaskSpec
from envs.voxel.vector import VoxelVectorEnv
from envs.voxel.world import Worlds
from envs.wrappers import MEMORY, ROWS, GreyStack
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.introspection.counterfactual import Effect, effect, ranked
from h_dqn.introspection.record import Record
from h_dqn.introspection.saliency import Network

Change = Callable[[Worlds, np.random.Generator], None]
Rows = NDArray[np.int64]


class Cause(NamedTuple):
    """One thing that can be different in the world."""

    name: str
    matters: bool
    """whether the task is about it"""
    change: Change


def worlds_at(record: Record, task: TaskSpec, rows: Rows) -> Worlds:
    """The worlds of these rows of a record, as they were before the row's step."""
    found = Worlds(task, len(rows))
    episodes, position = np.unique(record.episode[rows], return_inverse=True)
    envs = VoxelVectorEnv(len(episodes), task, 8)
    envs.reset(seed=[record.seeds[episode] for episode in episodes])
    first = np.searchsorted(record.episode, episodes)
    for t in range(int(record.step[rows].max()) + 1):
        for m in np.flatnonzero(record.step[rows] == t):
            found.take(int(m), envs.worlds, int(position[m]))
        last = np.searchsorted(record.episode, episodes, "right") - 1
        envs.step(record.action[np.minimum(first + t, last)])  # of episodes that are over, nothing is asked any more
    return found


class Redrawing:
    """Frames of B states of a record.

    Args:
        record: where they are from.
        envs: the task as the agent saw it.
        rows: which.
    """

    def __init__(self, record: Record, envs: TaskEnvs, rows: Rows) -> None:
        self.task, self.rows = envs.task, rows
        self.seen = record.frames[rows]
        self._stack = envs(len(rows))
        self._worlds = worlds_at(record, envs.task, rows)
        assert isinstance(self._stack, GreyStack)
        inner: Any = self._stack.unwrapped
        self.envs: VoxelVectorEnv = inner

    def frames(self, change: Change | None = None, seed: int = 0) -> NDArray[np.uint8]:
        """(B, S, H, W) with the newest frame drawn anew, after ``change``."""
        self.envs.worlds.copy(self._worlds)
        if change is not None:
            change(self.envs.worlds, np.random.default_rng([seed, 11]))
        assert isinstance(self._stack, GreyStack)
        picture = self._stack.picture(self.envs.redraw())
        frames = self.seen.copy()
        frames[:, -1, -picture.shape[1] :] = picture
        return frames


def causes(task: TaskSpec) -> Iterator[Cause]:
    """What can be changed in the worlds of a task. The task is about its goal, and about all that no wall is built of."""
    building = [task.number(name) for name, material in task.materials.items() if material.building]
    for name in dict.fromkeys([task.floor, *task.textures, *_stands(task)]):
        about_it = name in _goal_materials(task) or not task.materials[name].building
        material = task.number(name)
        if name in task.textures or not about_it:
            yield Cause(f"texture of {name}", about_it, _texture(material, building))
        yield Cause(f"tint of {name}", about_it, _tint(material))
    for number, goal in enumerate(task.goal):
        if goal.char:
            yield Cause(f"without the place of subgoal {number + 1}", True, _without_place(task, 1 << number))
    if any(cell.item for cell in task.legend.values()):
        yield Cause("without items", True, _without_items)
    if task.carriable:
        yield Cause("nothing carried", True, _empty_handed)


def spurious_cues(
    record: Record, envs: TaskEnvs, rows: Rows, network: Network, temperature: float, seed: int
) -> list[Effect]:  # fmt: skip
    """How much each cause shifts the choice in these states, the largest first; where no pixel changes, a state does not count."""
    drawn = Redrawing(record, envs, rows)
    plain, state = drawn.frames(), record.state[rows]
    q = _values(network, plain, state)
    temperature = temperature or 0.03
    found = []
    for cause in causes(envs.task):
        changed = drawn.frames(cause.change, seed)
        here = (changed != plain).any((1, 2, 3))
        found.append(effect(cause.name, cause.matters, q[here], _values(network, changed[here], state[here]), temperature))
    if plain.shape[2] > plain.shape[3]:
        for name, lines in (("strip of past actions blanked", slice(0, ROWS)), ("dial of directions blanked", slice(ROWS, MEMORY))):
            blank = plain.copy()
            blank[:, :, lines] = 0
            found.append(effect(name, False, q, _values(network, blank, state), temperature))
    if state.shape[1]:
        found.append(
            effect("memory of the episode forgotten", False, q, _values(network, plain, np.zeros_like(state)), temperature)
        )
    return ranked([one for one in found if one.states])


def _values(network: Network, frames: NDArray[np.uint8], state: NDArray[np.float32]) -> NDArray[np.float64]:
    with torch.no_grad():
        q: NDArray[np.float64] = network(torch.from_numpy(frames), torch.from_numpy(state)).double().numpy()
    return q


def _stands(task: TaskSpec) -> Iterator[str]:
    """Materials that stand or lie in the rooms of a task."""
    for cell in task.legend.values():
        yield from [block for block in cell.column if block in task.materials]  # "air" is none
        yield from [name for name in (cell.floor, cell.item) if name]


def _goal_materials(task: TaskSpec) -> set[str]:
    """Materials that the goal is about."""
    cells = [task.legend[char] for goal in task.goal for char in goal.char]
    named = {cell.column[0] for cell in cells if cell.column} | {cell.floor for cell in cells if cell.floor}
    return {name for name in named if name} | {goal.item for goal in task.goal if goal.item}


def _texture(material: int, building: list[int]) -> Change:
    def change(worlds: Worlds, rng: np.random.Generator) -> None:
        for n in range(worlds.n):
            others = [one for one in building if one != worlds.texture_id[n, material]]
            worlds.texture_id[n, material] = rng.choice(others)

    return change


def _tint(material: int) -> Change:
    def change(worlds: Worlds, rng: np.random.Generator) -> None:
        worlds.tint[:, material] = worlds.tint[:, material] * rng.uniform(0.7, 1.3, (worlds.n, 3))

    return change


def _without_place(task: TaskSpec, bit: int) -> Change:
    """What is there becomes what stands for the places that were not drawn, or plain floor."""
    wall = next((task.legend[cell.otherwise].column for cell in task.legend.values() if cell.column and cell.choose), ())

    def change(worlds: Worlds, _: np.random.Generator) -> None:
        for n, z, x in np.argwhere(worlds.marks & bit != 0):
            if worlds.blocks[n, z, x, 0]:
                worlds.blocks[n, z, x] = task.number(wall[0]) if wall else 0
            worlds.floor[n, z, x] = task.number(task.floor)

    return change


def _without_items(worlds: Worlds, _: np.random.Generator) -> None:
    worlds.items[:] = 0


def _empty_handed(worlds: Worlds, _: np.random.Generator) -> None:
    worlds.inventory[:] = 0
    worlds.hand[:] = 0

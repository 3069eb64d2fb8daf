"""State of N embedded worlds, and the part of their task that never changes, as arrays. The rules are in ``rules.py``.

Shape letters: N worlds, D x W cells of a map with its ring, M materials (0 is air), A actions, V verbs, G subgoals, I items.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.task import ACTIONS, AIR, GOALS, HEADINGS, Episode, TaskError, TaskSpec
from envs.voxel.rules import CLEAR, MAX_COUNT, MIXED, NOTHING, sort_columns

BEGINNINGS = 100  # episodes that are drawn to find one that begins late enough


class VerbRules(NamedTuple):
    """What each verb needs and does: :class:`envs.verbs.Verb` as arrays. Where it names no material there is 0."""

    takes: NDArray[np.int32]  # (V, M)
    gives: NDArray[np.int32]  # (V, M)
    near: NDArray[np.uint8]  # (V,)
    puts: NDArray[np.uint8]  # (V,)
    holds: NDArray[np.uint8]  # (V,)

    @classmethod
    def of(cls, spec: TaskSpec) -> VerbRules:
        def counts(part: str) -> NDArray[np.int32]:
            table = np.zeros((len(spec.verbs), len(spec.material_names)), np.int32)
            for row, verb in enumerate(spec.verbs):
                for item, count in getattr(verb, part).items():
                    table[row, spec.number(item)] = count
            return table

        def numbers(part: str) -> NDArray[np.uint8]:
            return np.array([spec.number(getattr(verb, part)) for verb in spec.verbs], np.uint8)

        return cls(counts("takes"), counts("gives"), numbers("near"), numbers("puts"), numbers("holds"))


class Rules(NamedTuple):
    """The part of a task that never changes."""

    solid: NDArray[np.bool_]  # (M,)
    breakable: NDArray[np.bool_]  # (M,)
    needs: NDArray[np.uint8]  # (M,): material of the item that must be carried to break it, 0 is none
    drops: NDArray[np.uint8]  # (M,): material of the item that a broken block leaves, 0 is none
    pit: NDArray[np.bool_]  # (M,): as a floor, nobody can walk there
    back: NDArray[np.bool_]  # (M,): as a floor, it sends whoever steps there back to the start
    actions: NDArray[np.int64]  # (A,): a number in ACTIONS, len(ACTIONS) + the number of a verb, or NOTHING for one of other tasks
    verbs: VerbRules
    goal_kind: NDArray[np.int64]  # (G,): a number in GOALS
    goal_item: NDArray[np.int64]  # (G,): material, 0 where the predicate has none
    inventory: NDArray[np.int32]  # (M,): counts at the start
    item_numbers: NDArray[np.intp]  # (I,): material of each item

    @classmethod
    def of(cls, spec: TaskSpec) -> Rules:
        materials = list(spec.materials.values())
        numbers = {name: number for number, name in enumerate((*ACTIONS, *(verb.name for verb in spec.verbs)))}
        numbers = {name: numbers[name] for name in spec.own_actions}
        inventory = np.zeros(len(spec.material_names), np.int32)
        for item, count in spec.inventory.items():
            inventory[spec.number(item)] = count
        return cls(
            solid=np.array([False, *(material.solid for material in materials)]),
            breakable=np.array([False, *(material.breakable for material in materials)]),
            needs=np.array([AIR, *(spec.number(material.needs) for material in materials)], np.uint8),
            drops=np.array([AIR, *(spec.number(material.drops) for material in materials)], np.uint8),
            pit=np.array([False, *(material.pit for material in materials)]),
            back=np.array([False, *(material.back for material in materials)]),
            actions=np.array([numbers.get(name, NOTHING) for name in spec.all_actions], int),
            verbs=VerbRules.of(spec),
            goal_kind=np.array([GOALS.index(subgoal.kind) for subgoal in spec.goal]),
            goal_item=np.array([spec.number(subgoal.item) for subgoal in spec.goal]),
            inventory=inventory,
            item_numbers=np.array([spec.number(item) for item in spec.items], np.intp),
        )


class State(NamedTuple):
    """All that changes in N worlds. Cells are indexed [n, z, x]; see :class:`envs.task.Episode` for what an episode decides."""

    blocks: NDArray[np.uint8]  # (N, D, W, height)
    kind: NDArray[np.uint8]  # (N, D, W): CLEAR, FULL or MIXED
    floor: NDArray[np.uint8]  # (N, D, W)
    items: NDArray[np.uint8]  # (N, D, W)
    marks: NDArray[np.uint8]  # (N, D, W)
    success_reward: NDArray[np.float64]  # (N, D, W)
    pose: NDArray[np.int32]  # (N, 3): x, z, heading
    start: NDArray[np.int32]  # (N, 3): the first pose
    sent_back: NDArray[np.bool_]  # (N,): whether the last step ended on a floor that sends back to it
    target: NDArray[np.int32]  # (N, 2): x, z
    inventory: NDArray[np.int32]  # (N, M): how many of each item are carried
    hand: NDArray[np.int32]  # (N,): material that a verb brought to the hand
    subgoal: NDArray[np.int32]  # (N,): number of the first that is not complete; G: the goal is reached
    steps: NDArray[np.int32]  # (N,): since the episode began
    limit: NDArray[np.int32]  # (N,): steps after which it is cut off
    texture_id: NDArray[np.uint8]  # (N, M)
    tint: NDArray[np.float32]  # (N, M, 3)

    @classmethod
    def empty(cls, spec: TaskSpec, n: int) -> State:
        depth, width, height = spec.shape
        cells, m = (n, depth, width), len(spec.material_names)
        return cls(
            blocks=np.zeros((*cells, height), np.uint8),
            kind=np.zeros(cells, np.uint8),
            floor=np.zeros(cells, np.uint8),
            items=np.zeros(cells, np.uint8),
            marks=np.zeros(cells, np.uint8),
            success_reward=np.zeros(cells),
            pose=np.zeros((n, 3), np.int32),
            start=np.zeros((n, 3), np.int32),
            sent_back=np.zeros(n, bool),
            target=np.zeros((n, 2), np.int32),
            inventory=np.zeros((n, m), np.int32),
            hand=np.zeros(n, np.int32),
            subgoal=np.zeros(n, np.int32),
            steps=np.zeros(n, np.int32),
            limit=np.full(n, spec.step_limit, np.int32),
            texture_id=np.zeros((n, m), np.uint8),
            tint=np.ones((n, m, 3), np.float32),
        )

    def copy_of(self, n: int) -> State:
        """World ``n`` alone, as a state of one world with arrays of its own."""
        return State._make(array[n : n + 1].copy() for array in self)


class Worlds:
    """N worlds of one task, side by side. Its arrays are those of ``state``; they are changed in place, never replaced."""

    def __init__(self, spec: TaskSpec, n: int) -> None:
        self.spec, self.n = spec, n
        self.rules, self.state = Rules.of(spec), State.empty(spec, n)
        (
            self.blocks, self.kind, self.floor, self.items, self.marks, self.success_reward, self.pose, self.start,
            self.sent_back, self.target, self.inventory, self.hand, self.subgoal, self.steps, self.limit, self.texture_id,
            self.tint,
        ) = self.state  # fmt: skip

    def reset(self, n: int, rng: np.random.Generator) -> Episode:
        """Draw a new episode for world ``n``; returns it.

        Raises :class:`envs.task.TaskError` where none of many draws begins as late as it must, and no later.
        """
        for _ in range(BEGINNINGS if self.spec.begin else 1):
            episode = self._draw(n, rng)
            if not self.spec.begin or self._bring(n):
                break
        else:
            raise TaskError(f"{self.spec.name}: goal.begin: none of {BEGINNINGS} episodes can begin there and not be over")
        if self.spec.oracle_limit:
            self.limit[n] = self._time_for(n, *self.spec.oracle_limit)
        return episode

    def _draw(self, n: int, rng: np.random.Generator) -> Episode:
        episode = self.spec.sample(rng)
        self.blocks[n], self.floor[n], self.items[n], self.marks[n] = episode.blocks, episode.floor, episode.items, episode.marks
        self.success_reward[n] = episode.success_reward
        self.pose[n], self.start[n], self.target[n] = episode.start, episode.start, episode.target
        self.sent_back[n] = False
        self.texture_id[n], self.tint[n] = episode.texture_id, episode.tint
        self.inventory[n] = self.rules.inventory
        self.subgoal[n] = self.steps[n] = self.hand[n] = 0
        sort_columns(self.blocks[n], self.items[n], self.kind[n])
        return episode

    def _bring(self, n: int) -> bool:
        """Let the scripted solver see to the first predicates of the goal; whether these are true now and the next one is not."""
        from envs.oracle import bring  # which plays these worlds

        return bring(self, n, self.spec.begin)

    def _time_for(self, n: int, times: float, least: int) -> int:
        """The step limit of the episode that begins in world ``n``: so many times what the oracle needs, within bounds."""
        from envs.oracle import steps_needed  # which plays these worlds

        needed = steps_needed(self, n)
        return self.spec.step_limit if needed is None else min(max(least, math.ceil(times * needed)), self.spec.step_limit)

    def take(self, n: int, other: Worlds, m: int) -> None:
        """Make world ``n`` like world ``m`` of other worlds of this task."""
        for name, array in self.state._asdict().items():
            array[n] = getattr(other.state, name)[m]

    def copy(self, other: Worlds) -> None:
        """Make all of these worlds like others of this task, as many."""
        for name, array in self.state._asdict().items():
            array[...] = getattr(other.state, name)

    @property
    def success(self) -> NDArray[np.bool_]:
        """(N,) whether the goal has been reached."""
        return np.asarray(self.subgoal == len(self.spec.goal))

    def reward(self, success: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(N,) reward of a step that led here and completed the goal where ``success`` (N,)."""
        reached = self.success_reward[np.arange(self.n), self.pose[:, 1], self.pose[:, 0]]
        return np.where(success, reached, self.spec.reward_step)

    def compass(self) -> NDArray[np.float32]:
        """(N,) angle in degrees, -180..180, from the heading to the target, positive to the right; 0 without a target."""
        dx, dz = (self.target - self.pose[:, :2]).T
        bearing = np.degrees(np.arctan2(dx, -dz)) - self.pose[:, 2] * (360 / HEADINGS)
        angle = (bearing + 180) % 360 - 180
        return np.where((self.target[:, 0] < 0) | ((dx == 0) & (dz == 0)), 0, angle).astype(np.float32)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        return {name: array.copy() for name, array in self.state._asdict().items()}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Raises ValueError for arrays that cannot be of these worlds: the compiled rules check nothing."""
        depth, width, _ = self.spec.shape
        material = len(self.spec.material_names) - 1
        pose = [1, 1, 0], [width - 2, depth - 2, HEADINGS - 1]
        # Before there were floors that send back, no state had these; no task of then needs them.
        state = {"start": state["pose"], "sent_back": np.zeros(self.n, bool), **state}
        limits = {"pose": pose, "start": pose, "target": (-1, [width - 1, depth - 1]),
                  "blocks": (0, material), "floor": (0, material), "items": (0, material), "texture_id": (0, material),
                  "hand": (0, material), "kind": (CLEAR, MIXED), "inventory": (0, MAX_COUNT), "steps": (0, self.spec.step_limit),
                  "limit": (1, self.spec.step_limit),
                  "subgoal": (0, len(self.spec.goal))}  # fmt: skip
        for name, array in self.state._asdict().items():
            saved = np.asarray(state[name])
            least, most = limits.get(name, (-np.inf, np.inf))
            if (saved.shape, saved.dtype) != (array.shape, array.dtype) or not ((saved >= least) & (saved <= most)).all():
                raise ValueError(f"'{name}' of the worlds cannot be of this task")
        ring = np.ones((depth, width), bool)
        ring[1:-1, 1:-1] = False
        wall = state["blocks"][:, ring][..., :2]
        if not (self.rules.solid[wall] & ~self.rules.breakable[wall]).all():
            raise ValueError("'blocks' of the worlds are open at the edge")
        for name, array in self.state._asdict().items():
            array[...] = state[name]

"""State and rules of N embedded worlds: arrays, and compiled functions that change them.

The agent stands in the middle of a cell and looks along one of twelve headings. Everything it does concerns the *cell ahead*:
the first cell that its level line of sight enters, which is to the north for the headings -30, 0 and 30 degrees, and so on. No
rule needs a fraction, so another engine can play the same rules exactly.

Shape letters: N worlds, D x W cells of a map with its ring, M materials (0 is air), A actions, V verbs, G subgoals, I items.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from envs.task import ACTIONS, AIR, GOALS, HEADINGS, Episode, TaskSpec

FORWARD, TURN_LEFT, TURN_RIGHT, BREAK, PICK_UP, PLACE = range(len(ACTIONS))
REACH, HOLD, BROKEN, PLACED_AT = range(len(GOALS))

MAX_COUNT = 999  # of one item that is carried

DRAW, SKIP = -1, -2  # in place of an action: only draw the world, or leave it and its picture alone

# What a column means to a ray that crosses its cell.
CLEAR, FULL, MIXED = 0, 1, 2


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
    drops: NDArray[np.uint8]  # (M,): material of the item that a broken block leaves, 0 is none
    actions: NDArray[np.int64]  # (A,): a number in ACTIONS, or len(ACTIONS) + the number of a verb
    verbs: VerbRules
    goal_kind: NDArray[np.int64]  # (G,): a number in GOALS
    goal_item: NDArray[np.int64]  # (G,): material, 0 where the predicate has none
    inventory: NDArray[np.int32]  # (M,): counts at the start
    item_numbers: NDArray[np.intp]  # (I,): material of each item

    @classmethod
    def of(cls, spec: TaskSpec) -> Rules:
        materials = list(spec.materials.values())
        inventory = np.zeros(len(spec.material_names), np.int32)
        for item, count in spec.inventory.items():
            inventory[spec.number(item)] = count
        return cls(
            solid=np.array([False, *(material.solid for material in materials)]),
            breakable=np.array([False, *(material.breakable for material in materials)]),
            drops=np.array([AIR, *(spec.number(material.drops) for material in materials)], np.uint8),
            actions=np.array([*map(ACTIONS.index, spec.actions), *(len(ACTIONS) + np.arange(len(spec.verbs)))], int),
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
    target: NDArray[np.int32]  # (N, 2): x, z
    inventory: NDArray[np.int32]  # (N, M): how many of each item are carried
    hand: NDArray[np.int32]  # (N,): material that a verb brought to the hand
    subgoal: NDArray[np.int32]  # (N,): number of the first that is not complete; G: the goal is reached
    steps: NDArray[np.int32]  # (N,): since the episode began
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
            target=np.zeros((n, 2), np.int32),
            inventory=np.zeros((n, m), np.int32),
            hand=np.zeros(n, np.int32),
            subgoal=np.zeros(n, np.int32),
            steps=np.zeros(n, np.int32),
            texture_id=np.zeros((n, m), np.uint8),
            tint=np.ones((n, m, 3), np.float32),
        )

    def copy_of(self, n: int) -> State:
        """World ``n`` alone, as a state of one world with arrays of its own."""
        return State._make(array[n : n + 1].copy() for array in self)


# Names that checkpoints of earlier versions have for arrays of a state.
EARLIER_NAMES = {"success_reward": "prize", "subgoal": "stage", "texture_id": "look"}


class Worlds:
    """N worlds of one task, side by side. Its arrays are those of ``state``; they are changed in place, never replaced."""

    def __init__(self, spec: TaskSpec, n: int) -> None:
        self.spec, self.n = spec, n
        self.rules, self.state = Rules.of(spec), State.empty(spec, n)
        (
            self.blocks, self.kind, self.floor, self.items, self.marks, self.success_reward, self.pose, self.target,
            self.inventory, self.hand, self.subgoal, self.steps, self.texture_id, self.tint,
        ) = self.state  # fmt: skip

    def reset(self, n: int, rng: np.random.Generator) -> Episode:
        """Draw a new episode for world ``n``; returns it."""
        episode = self.spec.sample(rng)
        self.blocks[n], self.floor[n], self.items[n], self.marks[n] = episode.blocks, episode.floor, episode.items, episode.marks
        self.success_reward[n] = episode.success_reward
        self.pose[n], self.target[n] = episode.start, episode.target
        self.texture_id[n], self.tint[n] = episode.texture_id, episode.tint
        self.inventory[n] = self.rules.inventory
        self.subgoal[n] = self.steps[n] = self.hand[n] = 0
        sort_columns(self.blocks[n], self.items[n], self.kind[n])
        return episode

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
        for name, array in self.state._asdict().items():
            array[...] = state[name if name in state else EARLIER_NAMES[name]]


# --- compiled rules. Each function changes world ``n`` of a state. -----------------------------------------------------


@njit(cache=True)
def sort_columns(blocks, items, kind):  # type: ignore[no-untyped-def]
    """Fill ``kind`` (D, W) from ``blocks`` (D, W, height) and ``items`` (D, W)."""
    for z in range(blocks.shape[0]):
        for x in range(blocks.shape[1]):
            kind[z, x] = column_kind(blocks[z, x], items[z, x])


@njit(cache=True, inline="always")
def column_kind(column, item):  # type: ignore[no-untyped-def]
    filled = 0
    for block in column:
        filled += block != AIR
    if filled == len(column):
        return FULL
    return MIXED if filled or item != AIR else CLEAR


@njit(cache=True, inline="always")
def cell_ahead(x, z, heading):  # type: ignore[no-untyped-def]
    """The (x, z) that the level line of sight enters first."""
    side = (heading + 1) // 3 % 4
    return x + (side == 1) - (side == 3), z + (side == 2) - (side == 0)


@njit(cache=True, inline="always")
def held_item(inventory, hand=AIR):  # type: ignore[no-untyped-def]
    """The material in the hand: ``hand`` while it is carried, else the first that the inventory holds, 0 for an empty hand."""
    if hand != AIR and inventory[hand] > 0:
        return hand
    for material in range(len(inventory)):
        if inventory[material] > 0:
            return material
    return AIR


@njit(cache=True)
def take_step(action, state, n, rules):  # type: ignore[no-untyped-def]
    """One step of the episode: an action or a verb, numbered as in the task; returns whether it had an effect."""
    state.steps[n] += 1
    code = rules.actions[action]
    if code < len(ACTIONS):
        return apply_action(code, state, n, rules)
    return apply_verb(code - len(ACTIONS), state, n, rules)


@njit(cache=True)
def apply_action(action, state, n, rules):  # type: ignore[no-untyped-def]
    """Carry out one of ACTIONS; returns whether it had an effect."""
    pose = state.pose[n]
    ahead_x, ahead_z = cell_ahead(pose[0], pose[1], pose[2])
    column = state.blocks[n, ahead_z, ahead_x]
    blocked = rules.solid[column[0]] or rules.solid[column[1]]
    effect = True
    if action == FORWARD:
        effect = not blocked
        if effect:
            pose[0], pose[1] = ahead_x, ahead_z
    elif action == TURN_LEFT:
        pose[2] = (pose[2] - 1) % HEADINGS
    elif action == TURN_RIGHT:
        pose[2] = (pose[2] + 1) % HEADINGS
    elif action == BREAK:
        effect = _break_block(state, n, rules, ahead_x, ahead_z)
    elif action == PICK_UP:
        if state.items[n, ahead_z, ahead_x] != AIR and not blocked:
            effect = _pick_up(state, n, ahead_x, ahead_z)
        else:
            effect = _pick_up(state, n, pose[0], pose[1])
    else:
        effect = _place(state, n, ahead_x, ahead_z)
    return effect


@njit(cache=True)
def _break_block(state, n, rules, x, z):  # type: ignore[no-untyped-def]
    """The block at eye level if there is one, else the one at the feet; a door breaks whole, as both are one material."""
    column = state.blocks[n, z, x]
    material = column[1] if column[1] != AIR else column[0]
    if not rules.breakable[material]:
        return False
    for level in range(2):
        if column[level] == material:
            column[level] = AIR
    if rules.drops[material] != AIR and state.items[n, z, x] == AIR:
        state.items[n, z, x] = rules.drops[material]
    state.kind[n, z, x] = column_kind(column, state.items[n, z, x])
    return True


@njit(cache=True)
def _pick_up(state, n, x, z):  # type: ignore[no-untyped-def]
    item = state.items[n, z, x]
    if item == AIR:
        return False
    state.items[n, z, x] = AIR
    state.inventory[n, item] += 1
    state.kind[n, z, x] = column_kind(state.blocks[n, z, x], AIR)
    return True


@njit(cache=True)
def _place(state, n, x, z):  # type: ignore[no-untyped-def]
    column, held = state.blocks[n, z, x], held_item(state.inventory[n], state.hand[n])
    if held == AIR or column[0] != AIR or column[1] != AIR or state.items[n, z, x] != AIR:
        return False
    state.inventory[n, held] -= 1
    column[0] = held
    state.kind[n, z, x] = column_kind(column, AIR)
    return True


@njit(cache=True)
def apply_verb(verb, state, n, rules):  # type: ignore[no-untyped-def]
    """Carry out one verb by its number; returns whether it had an effect."""
    verbs, inventory = rules.verbs, state.inventory[n]
    ahead_x, ahead_z = cell_ahead(state.pose[n, 0], state.pose[n, 1], state.pose[n, 2])
    column, near, puts, holds = state.blocks[n, ahead_z, ahead_x], verbs.near[verb], verbs.puts[verb], verbs.holds[verb]
    if near != AIR and near != column[0] and near != column[1]:
        return False
    if puts != AIR and (column[0] != AIR or column[1] != AIR or state.items[n, ahead_z, ahead_x] != AIR):
        return False
    if holds != AIR and (inventory[holds] == 0 or held_item(inventory, state.hand[n]) == holds):
        return False
    if not _exchange(inventory, verbs.takes[verb], verbs.gives[verb]):
        return False
    if puts != AIR:
        column[0] = puts
        state.kind[n, ahead_z, ahead_x] = column_kind(column, AIR)
    if holds != AIR:
        state.hand[n] = holds
    return True


@njit(cache=True)
def _exchange(inventory, takes, gives):  # type: ignore[no-untyped-def]
    """Take and give so many of each material, (M,); nothing and False where there are too few, or would be too many."""
    for material in range(len(inventory)):
        if inventory[material] < takes[material] or inventory[material] + gives[material] > MAX_COUNT:
            return False
    for material in range(len(inventory)):
        inventory[material] += gives[material] - takes[material]
    return True


@njit(cache=True)
def advance_goal(state, n, rules):  # type: ignore[no-untyped-def]
    """Count the subgoals that are complete, in their order."""
    while state.subgoal[n] < len(rules.goal_kind) and subgoal_reached(state.subgoal[n], state, n, rules):
        state.subgoal[n] += 1


@njit(cache=True)
def subgoal_reached(subgoal, state, n, rules):  # type: ignore[no-untyped-def]
    """Whether one predicate of the goal is true now; its places are the cells with its bit in ``marks``."""
    kind, item, bit = rules.goal_kind[subgoal], rules.goal_item[subgoal], 1 << subgoal
    marks, blocks = state.marks[n], state.blocks[n]
    if kind == REACH:
        return marks[state.pose[n, 1], state.pose[n, 0]] & bit != 0
    if kind == HOLD:
        return state.inventory[n, item] > 0
    for z in range(marks.shape[0]):
        for x in range(marks.shape[1]):
            if marks[z, x] & bit:
                if kind == BROKEN and (rules.solid[blocks[z, x, 0]] or rules.solid[blocks[z, x, 1]]):
                    return False
                if kind == PLACED_AT and blocks[z, x, 0] == item:
                    return True
    return kind == BROKEN

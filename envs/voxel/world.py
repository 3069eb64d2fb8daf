"""State and rules of N embedded worlds, as arrays and one compiled function.

The agent stands in the middle of a cell and looks along one of twelve headings. Everything it does concerns the *cell ahead*:
the first cell that its level line of sight enters, which is to the north for the headings -30, 0 and 30 degrees, and so on. No
rule needs a fraction, so another engine can play the same rules exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from envs.task import ACTIONS, AIR, GOALS, HEADINGS, Episode, TaskSpec

FORWARD, TURN_LEFT, TURN_RIGHT, BREAK, PICK_UP, PLACE = range(len(ACTIONS))
REACH, HOLD, BROKEN, PLACED_AT = range(len(GOALS))

MAX_COUNT = 999  # of one item that is carried

# What a column means to a ray that crosses its cell.
CLEAR, FULL, MIXED = 0, 1, 2


class Rules:
    """The part of a task that never changes, as the arrays that compiled code reads. M materials (0 is air), G goal stages."""

    def __init__(self, spec: TaskSpec) -> None:
        materials = list(spec.materials.values())
        self.solid = np.array([False, *(material.solid for material in materials)])
        self.breakable = np.array([False, *(material.breakable for material in materials)])
        self.drops = np.array([AIR, *(spec.number(material.drops) for material in materials)], np.uint8)
        verbs, m = spec.verbs, len(spec.material_names)
        # What each action is: a number in ACTIONS, or len(ACTIONS) + the number of a verb.
        self.actions = np.array([*(ACTIONS.index(action) for action in spec.actions), *(len(ACTIONS) + np.arange(len(verbs)))], int)
        takes, gives = np.zeros((len(verbs), m), np.int32), np.zeros((len(verbs), m), np.int32)
        for row, verb in enumerate(verbs):
            for counts, table in ((verb.takes, takes), (verb.gives, gives)):
                for item, count in counts.items():
                    table[row, spec.number(item)] = count
        near, puts, holds = (
            np.array([spec.number(name) for name in names], np.uint8)
            for names in ([v.near for v in verbs], [v.puts for v in verbs], [v.holds for v in verbs])
        )
        self.verbs = takes, gives, near, puts, holds
        self.goal_kind = np.array([GOALS.index(stage.kind) for stage in spec.goal])
        self.goal_item = np.array([spec.number(stage.item) for stage in spec.goal])
        self.inventory = np.zeros(len(spec.material_names), np.int32)
        for item, count in spec.inventory.items():
            self.inventory[spec.number(item)] = count
        self.item_numbers = np.array([spec.number(item) for item in spec.items], np.intp)


class Worlds:
    """N worlds of one task, side by side.

    Every array has the world as its first axis; ``state_dict`` is simply all of them. Cells are indexed [n, z, x].
    """

    ARRAYS = (
        "blocks", "kind", "floor", "items", "marks", "prize", "pose", "target", "inventory", "hand", "stage", "steps", "look",
        "tint",
    )  # fmt: skip

    def __init__(self, spec: TaskSpec, n: int) -> None:
        depth, width, height = spec.shape
        m = len(spec.material_names)
        self.spec, self.rules, self.n = spec, Rules(spec), n
        self.blocks = np.zeros((n, depth, width, height), np.uint8)
        self.kind = np.zeros((n, depth, width), np.uint8)
        self.floor = np.zeros((n, depth, width), np.uint8)
        self.items = np.zeros((n, depth, width), np.uint8)
        self.marks = np.zeros((n, depth, width), np.uint8)
        self.prize = np.zeros((n, depth, width))
        self.pose = np.zeros((n, 3), np.int32)  # x, z, heading
        self.target = np.zeros((n, 2), np.int32)
        self.inventory = np.zeros((n, m), np.int32)
        self.hand = np.zeros(n, np.int32)  # material that a verb brought to the hand
        self.stage = np.zeros(n, np.int32)
        self.steps = np.zeros(n, np.int32)
        self.look = np.zeros((n, m), np.uint8)
        self.tint = np.ones((n, m, 3), np.float32)

    def reset(self, n: int, rng: np.random.Generator) -> Episode:
        """Draw a new episode for world ``n``; returns it."""
        episode = self.spec.sample(rng)
        self.blocks[n], self.floor[n], self.items[n], self.marks[n] = episode.blocks, episode.floor, episode.items, episode.marks
        self.prize[n] = episode.prize
        self.pose[n], self.target[n], self.look[n], self.tint[n] = episode.start, episode.target, episode.look, episode.tint
        self.inventory[n] = self.rules.inventory
        self.stage[n] = self.steps[n] = self.hand[n] = 0
        sort_columns(self.blocks[n], self.items[n], self.kind[n])
        return episode

    def reward(self, success: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(N,) reward of a step that led here and completed the goal where ``success`` (N,)."""
        prize = self.prize[np.arange(self.n), self.pose[:, 1], self.pose[:, 0]]
        return np.where(success, prize, self.spec.reward_step)

    def compass(self) -> NDArray[np.float32]:
        """(N,) angle in degrees, -180..180, from the heading to the target, positive to the right; 0 without a target."""
        dx, dz = (self.target - self.pose[:, :2]).T
        bearing = np.degrees(np.arctan2(dx, -dz)) - self.pose[:, 2] * (360 / HEADINGS)
        angle = (bearing + 180) % 360 - 180
        return np.where((self.target[:, 0] < 0) | ((dx == 0) & (dz == 0)), 0, angle).astype(np.float32)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, name).copy() for name in self.ARRAYS}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        for name in self.ARRAYS:
            getattr(self, name)[...] = state[name]


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
def act(action, blocks, kind, items, pose, inventory, solid, breakable, drops, hand=AIR):  # type: ignore[no-untyped-def]
    """Carry out one action in one world; returns whether it had an effect."""
    x, z, heading = pose
    ahead_x, ahead_z = cell_ahead(x, z, heading)
    column = blocks[ahead_z, ahead_x]
    blocked = solid[column[0]] or solid[column[1]]
    if action == FORWARD:
        if blocked:
            return False
        pose[0], pose[1] = ahead_x, ahead_z
    elif action == TURN_LEFT:
        pose[2] = (heading - 1) % HEADINGS
    elif action == TURN_RIGHT:
        pose[2] = (heading + 1) % HEADINGS
    elif action == BREAK:
        # The block at eye level if there is one, else the one at the feet; a door breaks whole, as both are one material.
        level = 1 if column[1] != AIR else 0
        material = column[level]
        if not breakable[material]:
            return False
        for body in range(2):
            if column[body] == material:
                column[body] = AIR
        if drops[material] != AIR and items[ahead_z, ahead_x] == AIR:
            items[ahead_z, ahead_x] = drops[material]
        kind[ahead_z, ahead_x] = column_kind(column, items[ahead_z, ahead_x])
    elif action == PICK_UP:
        if items[ahead_z, ahead_x] != AIR and not blocked:
            x, z = ahead_x, ahead_z
        item = items[z, x]
        if item == AIR:
            return False
        items[z, x] = AIR
        inventory[item] += 1
        kind[z, x] = column_kind(blocks[z, x], AIR)
    else:
        held = held_item(inventory, hand)
        if held == AIR or column[0] != AIR or column[1] != AIR or items[ahead_z, ahead_x] != AIR:
            return False
        inventory[held] -= 1
        column[0] = held
        kind[ahead_z, ahead_x] = column_kind(column, AIR)
    return True


@njit(cache=True)
def perform(verb, blocks, kind, items, pose, inventory, hand, verbs):  # type: ignore[no-untyped-def]
    """Carry out one verb of :attr:`Rules.verbs` in one world (``hand`` (1,) may change); returns whether it had an effect."""
    takes, gives, near, puts, holds = verbs
    ahead_x, ahead_z = cell_ahead(pose[0], pose[1], pose[2])
    column, item = blocks[ahead_z, ahead_x], items[ahead_z, ahead_x]
    if near[verb] != AIR and near[verb] != column[0] and near[verb] != column[1]:
        return False
    if puts[verb] != AIR and (column[0] != AIR or column[1] != AIR or item != AIR):
        return False
    if holds[verb] != AIR and (inventory[holds[verb]] == 0 or held_item(inventory, hand[0]) == holds[verb]):
        return False
    for material in range(len(inventory)):
        if inventory[material] < takes[verb, material] or inventory[material] + gives[verb, material] > MAX_COUNT:
            return False
    for material in range(len(inventory)):
        inventory[material] += gives[verb, material] - takes[verb, material]
    if puts[verb] != AIR:
        column[0] = puts[verb]
        kind[ahead_z, ahead_x] = column_kind(column, AIR)
    if holds[verb] != AIR:
        hand[0] = holds[verb]
    return True


@njit(cache=True)
def holds(goal_kind, goal_item, bit, blocks, marks, pose, inventory, solid):  # type: ignore[no-untyped-def]
    """Whether one predicate of the goal is true in one world now; its places are the cells with ``bit`` in ``marks``."""
    if goal_kind == REACH:
        return marks[pose[1], pose[0]] & bit != 0
    if goal_kind == HOLD:
        return inventory[goal_item] > 0
    for z in range(marks.shape[0]):
        for x in range(marks.shape[1]):
            if marks[z, x] & bit:
                if goal_kind == BROKEN and (solid[blocks[z, x, 0]] or solid[blocks[z, x, 1]]):
                    return False
                if goal_kind == PLACED_AT and blocks[z, x, 0] == goal_item:
                    return True
    return goal_kind == BROKEN

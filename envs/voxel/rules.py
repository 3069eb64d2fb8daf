"""The rules of the embedded world, as compiled functions. Each changes or looks at world ``n`` of a state.

The agent stands in the middle of a cell and looks along one of twelve headings. Everything it does concerns the *cell ahead*:
the first cell that its level line of sight enters, which is to the north for the headings -30, 0 and 30 degrees, and so on. No
rule needs a fraction, so another engine can play the same rules exactly.

``state`` is a :class:`envs.voxel.world.State`, ``rules`` a :class:`envs.voxel.world.Rules`; ``x``, ``z`` and ``heading`` are
column, row and units of 30 degrees, as in poses.
"""

from __future__ import annotations

from envs.compiled import njit
from envs.task import ACTIONS, AIR, GOALS, HEADINGS

# Numbers of the actions and of the kinds of predicates.
FORWARD, TURN_LEFT, TURN_RIGHT, BREAK, PICK_UP, PLACE = range(len(ACTIONS))
REACH, HOLD, BROKEN, PLACED_AT = range(len(GOALS))

NOTHING = -1  # in place of either, for an action that only other tasks of a sequence have
MAX_COUNT = 999  # of one item that is carried

DRAW, SKIP = -1, -2  # in place of an action: only draw the world, or leave it and its picture alone

# What a column means to a ray that crosses its cell.
CLEAR, FULL, MIXED = 0, 1, 2


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
    state.sent_back[n] = False
    code = rules.actions[action]
    if code == NOTHING:
        return False
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
        floor = state.floor[n, ahead_z, ahead_x]
        effect = not blocked and not rules.pit[floor]
        if effect and rules.back[floor]:
            pose[:] = state.start[n]
            state.sent_back[n] = True
        elif effect:
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
        effect = _place(state, n, rules, ahead_x, ahead_z)
    return effect


@njit(cache=True, inline="always")
def can_break(material, inventory, rules):  # type: ignore[no-untyped-def]
    """Whether a block of this material breaks for who carries these counts of each material, (M,)."""
    key = rules.needs[material]
    return rules.breakable[material] and (key == AIR or inventory[key] > 0)


@njit(cache=True)
def _break_block(state, n, rules, x, z):  # type: ignore[no-untyped-def]
    """The block at eye level if there is one, else the one at the feet; a door breaks whole, as both are one material."""
    column = state.blocks[n, z, x]
    material = column[1] if column[1] != AIR else column[0]
    if not can_break(material, state.inventory[n], rules):
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
def _place(state, n, rules, x, z):  # type: ignore[no-untyped-def]
    column, held = state.blocks[n, z, x], held_item(state.inventory[n], state.hand[n])
    if held == AIR or column[0] != AIR or column[1] != AIR or state.items[n, z, x] != AIR:
        return False
    state.inventory[n, held] -= 1
    _put_down(held, state, n, rules, x, z)
    return True


@njit(cache=True)
def _put_down(block, state, n, rules, x, z):  # type: ignore[no-untyped-def]
    """It becomes a block on the floor of a free cell; where that is a pit, its floor."""
    if rules.pit[state.floor[n, z, x]]:
        state.floor[n, z, x] = block
    else:
        state.blocks[n, z, x, 0] = block
        state.kind[n, z, x] = column_kind(state.blocks[n, z, x], AIR)


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
        _put_down(puts, state, n, rules, ahead_x, ahead_z)
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

"""The oracle: a scripted solver that sees the whole state. It proves that a task can be solved within its limit.

For the current subgoal it computes how many actions every pose is away from completing it (value iteration on the
poses of one world), then takes the action that leads one action nearer. Where no way leads there, it first fetches a key, or what a
pit can be filled with. It never steps on a floor that sends back. What is to be held it makes by the task's verbs, if it can: first
all that goes into it, then the block that must be near.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from envs.compiled import njit
from envs.task import ACTIONS, AIR, HEADINGS
from envs.verbs import Verb
from envs.voxel.rules import (
    BREAK,
    BROKEN,
    FORWARD,
    HOLD,
    PICK_UP,
    PLACE,
    PLACED_AT,
    REACH,
    TURN_LEFT,
    TURN_RIGHT,
    advance_goal,
    can_break,
    cell_ahead,
    held_item,
    take_step,
)  # fmt: skip
from envs.voxel.world import Worlds

UNREACHABLE = 1 << 20


class Oracle:
    """Plays N worlds. ``act`` gives the next action of each, (N,), as the task numbers them."""

    def __init__(self, worlds: Worlds) -> None:
        self.worlds = worlds
        self._first: list[NDArray[np.int8] | None] = [None] * worlds.n
        self._aim = [-1] * worlds.n  # the subgoal that these ways lead to
        codes = worlds.rules.actions.tolist()
        self._numbers = np.array([codes.index(code) if code in codes else 0 for code in range(len(ACTIONS))])

    def act(self) -> NDArray[np.int64]:
        return np.array([self.act_in(n) for n in range(self.worlds.n)])

    def act_in(self, n: int) -> int:
        """The next action of world ``n``."""
        worlds, spec = self.worlds, self.worlds.spec
        x, z, heading = worlds.pose[n]
        verb = self._verb(n, spec.goal[min(int(worlds.subgoal[n]), len(spec.goal) - 1)].item)
        first, aim = self._first[n], int(worlds.subgoal[n])
        if verb is None and (first is None or worlds.steps[n] == 0 or self._aim[n] != aim):
            length, first = self._way(n)
            self._aim[n] = aim
            if length >= UNREACHABLE:
                made = (self._verb(n, key) for key in sorted(spec.keys))
                verb = next((step for step in made if step is not None), None)
        if verb is not None:
            self._first[n] = None
            return verb
        assert first is not None
        code = first[z, x, heading]
        # Where it is no step or turn, the world is about to change.
        self._first[n] = first if code in (FORWARD, TURN_LEFT, TURN_RIGHT) else None
        return int(self._numbers[code])

    def _way(self, n: int) -> tuple[int, NDArray[np.int8]]:
        """How far it is to the current subgoal or, if no way leads there, to the nearest key or filler not carried.

        And the first action from each pose.
        """
        worlds, spec = self.worlds, self.worlds.spec
        x, z, heading = worlds.pose[n]
        away, first = distances(worlds, n)
        if away[z, x, heading] >= UNREACHABLE:
            useful = [spec.number(item) for item in sorted(spec.keys | spec.fillers)]
            ways = [distances(worlds, n, item) for item in useful if worlds.inventory[n, item] == 0]
            away, first = min([(away, first), *ways], key=lambda way: way[0][z, x, heading])
        return int(away[z, x, heading]), first

    def _verb(self, n: int, item: str) -> int | None:
        """The verb (or the turn towards a free cell) by which this item is made; None if it is had, or none makes it."""
        worlds, spec = self.worlds, self.worlds.spec
        if not spec.verbs or not item:
            return None
        ahead_x, ahead_z = cell_ahead(*worlds.pose[n])
        column = [spec.material_names[block] for block in worlds.blocks[n, ahead_z, ahead_x]]

        def make(item: str, count: int, made: tuple[str, ...] = ()) -> Verb | None:
            """What to do next for ``count`` of ``item``; None if there are so many, or nothing makes it."""
            if worlds.inventory[n, spec.number(item)] >= count or item in made:
                return None
            ways = (verb for verb in spec.verbs if item in verb.gives)
            return next((do(verb, (*made, item)) for verb in ways), None)

        def do(verb: Verb, made: tuple[str, ...]) -> Verb:
            for item, count in verb.takes.items():
                if step := make(item, count, made):
                    return step
            if verb.near and verb.near not in column:
                return next(do(way, made) for way in spec.verbs if way.puts == verb.near)
            return verb

        verb = make(item, 1)
        if verb is None:
            return None
        if verb.puts and (column[0] != "air" or worlds.items[n, ahead_z, ahead_x]):
            return int(self._numbers[TURN_RIGHT])
        return spec.all_actions.index(verb.name)

    def play(self, envs: VectorEnv[Any, Any, Any], seed: int) -> list[int | None]:
        """Steps that the oracle needs in one episode of each world of ``envs`` (whose worlds these are); None for a failure."""
        envs.reset(seed=seed)
        lengths: list[int | None] = [None] * self.worlds.n
        over = np.zeros(self.worlds.n, bool)
        while not over.all():
            _, _, terminated, truncated, _ = envs.step(self.act())
            for n in np.flatnonzero(terminated & ~over):
                lengths[n] = int(self.worlds.steps[n])
            over |= terminated | truncated
        return lengths


def steps_needed(worlds: Worlds, n: int) -> int | None:
    """Steps that the oracle needs from now on in world ``n``, which stays as it is; None if the step limit is too near."""
    alone = Worlds(worlds.spec, 1)
    alone.take(0, worlds, n)
    oracle, steps = Oracle(alone), 0
    advance_goal(alone.state, 0, alone.rules)
    while not alone.success[0]:
        if steps >= worlds.spec.step_limit:
            return None
        take_step(oracle.act()[0], alone.state, 0, alone.rules)
        advance_goal(alone.state, 0, alone.rules)
        steps += 1
    return steps


def bring(worlds: Worlds, n: int, subgoal: int) -> bool:
    """Play world ``n`` until its first ``subgoal`` subgoals are complete; whether that was in time, and the next one is not.

    The episode begins there: no step of it is taken yet.
    """
    oracle = Oracle(worlds)
    advance_goal(worlds.state, n, worlds.rules)
    for _ in range(worlds.spec.step_limit):
        if worlds.subgoal[n] >= subgoal:
            break
        take_step(oracle.act_in(n), worlds.state, n, worlds.rules)
        advance_goal(worlds.state, n, worlds.rules)
    worlds.steps[n] = 0
    return bool(worlds.subgoal[n] == subgoal)


class _Aim(NamedTuple):
    """What the current subgoal asks for, as compiled code reads it."""

    kind: int  # a number in GOALS; HOLD also where an item must be had before it can be placed
    item: int  # material
    bit: int  # of the subgoal's places in ``marks``
    lies: bool  # whether the item lies somewhere
    elsewhere: bool  # for PLACED_AT: something else is in the hand, and must be put down where the subgoal has no place
    fills: bool  # what is in the hand can be placed in a pit, and is missed nowhere else


def distances(worlds: Worlds, n: int, fetch: int = AIR) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Actions to go until the current subgoal is complete, and the first of them, for every pose of world ``n``.

    Both (D, W, 12), indexed [z, x, heading]; ``UNREACHABLE`` or more where there is no way.
    ``fetch``: the item (a material) that is to be had instead.
    """
    rules, subgoal = worlds.rules, min(int(worlds.subgoal[n]), len(worlds.rules.goal_kind) - 1)
    kind, item = int(rules.goal_kind[subgoal]), int(rules.goal_item[subgoal])
    if fetch != AIR:
        item = fetch
    if fetch != AIR or (kind not in (REACH, BROKEN) and worlds.inventory[n, item] == 0):
        kind = HOLD
    held = int(held_item(worlds.inventory[n], worlds.hand[n]))
    spare = worlds.inventory[n, held] - (held in rules.goal_item[subgoal:])
    fills = worlds.spec.material_names[held] in worlds.spec.fillers and spare > 0
    aim = _Aim(kind, item, 1 << subgoal, bool((worlds.items[n] == item).any()), kind == PLACED_AT and held != item, bool(fills))
    allowed = np.isin(np.arange(len(ACTIONS)), rules.actions)
    found: tuple[NDArray[np.int32], NDArray[np.int8]] = _distances(aim, worlds.state, n, rules, allowed)
    return found


# In one piece: what is split off counts its references to the arrays anew for every pose, which is six times slower.
@njit(cache=True)
def _distances(aim, state, n, rules, allowed):  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912
    """Value iteration: go over all poses until none comes nearer. ``allowed``: (ACTIONS,) bool."""
    blocks, floor, items, marks = state.blocks[n], state.floor[n], state.items[n], state.marks[n]
    solid, drops, inventory = rules.solid, rules.drops, state.inventory[n]
    depth, width = items.shape
    away = np.full((depth, width, HEADINGS), UNREACHABLE, np.int32)
    first = np.zeros((depth, width, HEADINGS), np.int8)
    changed, onward = True, False
    while changed:
        changed, onward = False, not onward  # to and fro, so that what is found out soon gets everywhere
        for i in range(1, depth - 1):
            for j in range(1, width - 1):
                z, x = (i, j) if onward else (depth - 1 - i, width - 1 - j)
                here = blocks[z, x]
                opens = allowed[BREAK] and (rules.breakable[here[0]] or rules.breakable[here[1]])
                if ((solid[here[0]] or solid[here[1]]) and not opens) or rules.back[floor[z, x]]:
                    continue  # nobody gets there
                for heading in range(HEADINGS):
                    ahead_x, ahead_z = cell_ahead(x, z, heading)
                    column = blocks[ahead_z, ahead_x]
                    shut = solid[column[0]] or solid[column[1]]
                    target = column[1] if column[1] != AIR else column[0]
                    breaks = allowed[BREAK] and can_break(target, inventory, rules)
                    marked, gap = marks[ahead_z, ahead_x] & aim.bit != 0, rules.pit[floor[ahead_z, ahead_x]]
                    free = allowed[PLACE] and target == AIR and items[ahead_z, ahead_x] == AIR
                    best, code = away[z, x, heading], first[z, x, heading]
                    # Complete the subgoal from here.
                    if aim.kind == REACH:
                        if marks[z, x] & aim.bit:
                            best = 0
                    elif aim.kind == HOLD:
                        here = items[z, x] == aim.item or (items[ahead_z, ahead_x] == aim.item and not shut)
                        if allowed[PICK_UP] and here and best > 1:
                            best, code = 1, PICK_UP
                        if not aim.lies and breaks and drops[target] == aim.item and best > 2:
                            best, code = 2, BREAK
                    elif aim.kind == BROKEN:
                        if marked and shut and breaks and best > 1:
                            best, code = 1, BREAK
                    elif free and marked != aim.elsewhere and not gap and best > 1:
                        best, code = 1, PLACE
                    # Or come one action nearer: turn, walk, or break what stands in the way or fill a pit, and then walk.
                    for turn in (TURN_LEFT, TURN_RIGHT):
                        to = (heading + (1 if turn == TURN_RIGHT else -1)) % HEADINGS
                        if allowed[turn] and 1 + away[z, x, to] < best:
                            best, code = 1 + away[z, x, to], turn
                    if 1 <= ahead_z < depth - 1 and 1 <= ahead_x < width - 1:
                        beyond = away[ahead_z, ahead_x, heading]
                        if allowed[FORWARD] and free and gap and aim.fills and 2 + beyond < best:
                            best, code = 2 + beyond, PLACE
                        if allowed[FORWARD] and not shut and not gap and 1 + beyond < best:
                            best, code = 1 + beyond, FORWARD
                        if allowed[FORWARD] and shut and not gap and breaks and 2 + beyond < best:
                            best, code = 2 + beyond, BREAK
                    if best < away[z, x, heading]:
                        away[z, x, heading], first[z, x, heading] = best, code
                        changed = True
    return away, first

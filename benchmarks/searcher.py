"""A scripted searcher with perfect memory: what can be had by who sees as the agent does and forgets nothing.

It sees the cells that the agent's field of view shows, each as what it is. Where it knows a way to its goal it takes the shortest,
as the oracle would that takes what was never seen for a wall; else it goes, by the fewest actions, to where it would see something
new.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from envs.compiled import njit
from envs.oracle import UNREACHABLE, distances
from envs.task import AIR, FOV, HEADINGS, TaskSpec
from envs.voxel.rules import FORWARD, TURN_LEFT, TURN_RIGHT, cell_ahead
from envs.voxel.vector import VoxelVectorEnv
from envs.voxel.world import Worlds

RAYS = 140  # level lines of sight across the picture, each in the middle of its share of it


class Searcher:
    """Plays N worlds. ``act`` gives the next action of each, (N,), as the task numbers them."""

    def __init__(self, worlds: Worlds) -> None:
        self.worlds, self.believed = worlds, Worlds(worlds.spec, worlds.n)
        self.seen = np.zeros(worlds.items.shape, bool)  # (N, D, W)
        self._numbers = {code: number for number, code in enumerate(worlds.rules.actions.tolist())}

    def act(self) -> NDArray[np.int64]:
        over = self.worlds.success
        return np.array([0 if over[n] else self._numbers.get(self._act(n), 0) for n in range(self.worlds.n)])

    def _act(self, n: int) -> int:
        x, z, heading = self.worlds.pose[n].tolist()
        if self.worlds.steps[n] == 0:
            self.seen[n] = False
        opaque = self.worlds.blocks[n, :, :, 1] != AIR  # at the level of its eyes
        self.seen[n, z, x] = True
        look(opaque, self.seen[n], x, z, heading, True)
        self._believe(n)
        away, first = distances(self.believed, n)
        if away[z, x, heading] < UNREACHABLE:
            return int(first[z, x, heading])
        solid = self.worlds.rules.solid[self.worlds.blocks[n, :, :, :2]].any(-1)
        return int(explore(opaque, self.seen[n], self.seen[n] & ~solid, x, z, heading))

    def _believe(self, n: int) -> None:
        """World ``n`` as far as it was seen; the rest is like the ring around it."""
        self.believed.take(n, self.worlds, n)
        hidden = ~self.seen[n]
        self.believed.blocks[n][hidden] = self.worlds.blocks[n, 0, 0]
        for part in (self.believed.items, self.believed.marks):
            part[n][hidden] = 0


@njit(cache=True)
def look(opaque, seen, x, z, heading, remember):  # type: ignore[no-untyped-def]
    """Whether something new is in sight from the middle of a cell, where what was never seen hides nothing.

    ``seen`` (D, W): with ``remember``, what is in sight is added. Each line of sight is followed from cell to cell (Amanatides and
    Woo 1987).
    """
    new = False
    for ray in range(RAYS):
        angle = math.radians(360 / HEADINGS * heading + FOV * ((ray + 0.5) / RAYS - 0.5))
        dx, dz = math.sin(angle), -math.cos(angle)
        step_x, step_z = (1 if dx > 0 else -1), (1 if dz > 0 else -1)
        gap_x, gap_z = 1 / max(abs(dx), 1e-9), 1 / max(abs(dz), 1e-9)
        next_x, next_z, at_x, at_z = gap_x / 2, gap_z / 2, x, z
        while True:
            if next_x < next_z:
                at_x, next_x = at_x + step_x, next_x + gap_x
            else:
                at_z, next_z = at_z + step_z, next_z + gap_z
            if not (0 <= at_z < seen.shape[0] and 0 <= at_x < seen.shape[1]):
                break
            if not seen[at_z, at_x]:
                if not remember:
                    return True
                new = True
                seen[at_z, at_x] = True
            if opaque[at_z, at_x]:
                break
    return new


@njit(cache=True)
def explore(opaque, seen, free, x, z, heading):  # type: ignore[no-untyped-def]
    """The first of the fewest actions to a pose that shows something new; a turn to the left where there is none.

    ``free`` (D, W): cells that are known to be passable.
    """
    depth, width = seen.shape
    first = np.full((depth, width, HEADINGS), -1, np.int8)
    first[z, x, heading] = TURN_LEFT
    todo, done = [(x, z, heading)], 0
    while done < len(todo):
        here_x, here_z, faced = todo[done]
        done += 1
        if look(opaque, seen, here_x, here_z, faced, False):
            return first[here_z, here_x, faced]
        for action in (FORWARD, TURN_LEFT, TURN_RIGHT):
            to_x, to_z, to = here_x, here_z, faced
            if action == FORWARD:
                to_x, to_z = cell_ahead(here_x, here_z, faced)
                if not free[to_z, to_x]:
                    continue
            else:
                to = (faced + (1 if action == TURN_RIGHT else -1)) % HEADINGS
            if first[to_z, to_x, to] < 0:
                first[to_z, to_x, to] = action if done == 1 else first[here_z, here_x, faced]
                todo.append((to_x, to_z, to))
    return TURN_LEFT


def steps_of(spec: TaskSpec, seeds: list[int]) -> NDArray[np.float64]:
    """Steps that it needs in the episode of each seed, (len(seeds),); infinity where time is up before."""
    envs = VoxelVectorEnv(len(seeds), spec, size=1)
    envs.reset(seed=seeds)  # type: ignore[arg-type]
    searcher, steps, over = Searcher(envs.worlds), np.full(len(seeds), np.inf), np.zeros(len(seeds), bool)
    while not over.all():
        _, _, terminated, truncated, _ = envs.step(searcher.act())
        steps[terminated & ~over] = envs.worlds.steps[terminated & ~over]
        over |= terminated | truncated
    return steps

"""The grid world of Zahavy et al. 2018, section 5.1, with tabular Q-learning: ``python -m benchmarks.gridworld``.

Nine rooms; from the middle to the upper left corner at -1 a step. Each cell is of one of K kinds, and there are 4 K moves: one of
the cell's own kind works with chance 0.75, another with chance 0.5, and the world says that it is of no use there. Features are the
kind, one-hot, so elimination can learn from all cells of a kind at once; the moves of the right kind must never be eliminated.

Writes benchmarks/results/gridworld.json: K -> with, without -> env steps until solved by seed, and how often what is of no use was
tried beside the theory's bound.
"""

from __future__ import annotations

import argparse
import json
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.provenance import ROOT, measured
from envs.compiled import njit
from h_dqn.checkpoint import write_text
from h_dqn.elimination import LinearBandits, most_tries
from h_dqn.statistics import iqm

SIDE, ROOM = 11, 4  # cells; every ROOM-th row and column is a wall with a door in the middle of each room's side
START, GOAL = (5, 5), (0, 0)
LIMIT, REFIT = 1000, 100  # steps of an episode, steps between two fits
EPSILON, RATE, RECENT = 0.1, 0.1, 50


def walls() -> NDArray[np.bool_]:
    """(SIDE, SIDE): 3x3 rooms of 3x3 cells, joined by doors."""
    grid = np.zeros((SIDE, SIDE), bool)
    grid[ROOM - 1 :: ROOM] = grid[:, ROOM - 1 :: ROOM] = True
    for middle in range(1, SIDE, ROOM):
        grid[middle, ROOM - 1 :: ROOM] = grid[ROOM - 1 :: ROOM, middle] = False
    return grid


class Grid(NamedTuple):
    """The world, for compiled code."""

    kind: NDArray[np.int64]  # (SIDE, SIDE): 0..K-1
    wall: NDArray[np.bool_]  # (SIDE, SIDE)


@njit(cache=True)
def play(q, left, grid, position, age, tried, rng):  # type: ignore[no-untyped-def]
    """Q-learning for as many steps as ``tried`` has rows.

    Args:
        q: (SIDE, SIDE, moves) values, which are learned.
        left: (K, moves) bool, moves that are not eliminated.
        grid: a :class:`Grid`.
        position, age: (y, x) in the running episode, and its steps so far.
        tried: (steps, 2) is filled with kind and move.

    Returns position, age, and the lengths of the episodes that ended.
    """
    kind, wall, moves = grid.kind, grid.wall, q.shape[2]
    lengths = [0 for _ in range(0)]
    y, x = position
    for t in range(len(tried)):
        k = kind[y, x]
        best, move, count = -1e18, 0, 0
        explore = rng.random() < EPSILON
        for a in range(moves):
            if left[k, a]:
                value = rng.random() if explore else q[y, x, a]
                # One of several that are best is taken at random.
                count = 1 if value > best else count + 1 if value == best else count
                if value > best or (value == best and rng.random() < 1 / count):
                    best, move = value, a
        tried[t, 0], tried[t, 1] = k, move
        to_y, to_x = y, x
        if rng.random() < (0.75 if move // 4 == k else 0.5):
            side = move % 4
            to_y, to_x = y + (side == 2) - (side == 0), x + (side == 1) - (side == 3)
            if not (0 <= to_y < SIDE and 0 <= to_x < SIDE) or wall[to_y, to_x]:
                to_y, to_x = y, x
        done = to_y == GOAL[0] and to_x == GOAL[1]
        following = -1e18
        for a in range(moves):
            if left[kind[to_y, to_x], a]:
                following = max(following, q[to_y, to_x, a])
        q[y, x, move] += RATE * (-1 + (0 if done else following) - q[y, x, move])
        age += 1
        y, x = to_y, to_x
        if done or age == LIMIT:
            lengths.append(age)
            (y, x), age = START, 0
    return (y, x), age, lengths


def run(kinds: int, seed: int, eliminate: bool, most: int) -> dict[str, Any]:
    """One run, until it is solved (mean length of the last episodes at most twice the best) or ``most`` steps."""
    rng = np.random.default_rng([seed, kinds])
    kind, moves = rng.integers(kinds, size=(SIDE, SIDE)), 4 * kinds
    q = np.zeros((SIDE, SIDE, moves))
    bandits, left = LinearBandits(moves, kinds), np.ones((kinds, moves), bool)
    right = np.arange(moves) // 4 == np.arange(kinds)[:, None]
    tries, lengths = np.zeros((kinds, moves), np.int64), [float(LIMIT)]
    position, age = START, 0
    goal_length = 2 * (abs(START[0] - GOAL[0]) + abs(START[1] - GOAL[1])) / 0.75
    grid, solved, eliminated = Grid(kind, walls()), False, 0
    while not solved and tries.sum() < most:
        tried = np.zeros((REFIT, 2), np.int64)
        position, age, new = play(q, left, grid, position, age, tried, rng)
        np.add.at(tries, (tried[:, 0], tried[:, 1]), 1)
        lengths += new
        if eliminate:
            seen, move = (torch.from_numpy(index) for index in np.nonzero(tries))
            bandits.refit(torch.eye(kinds)[seen], move, torch.from_numpy(~right)[seen, move], torch.from_numpy(tries)[seen, move])
            left = bandits.admissible(torch.eye(kinds), torch.ones(kinds, moves, dtype=torch.bool)).numpy()
            eliminated += int((right & ~left).sum())
        solved = len(lengths) > RECENT and bool(np.mean(lengths[-RECENT:]) <= goal_length)
    return {
        "env_steps": int(tries.sum()),
        "solved": solved,
        "most_wrong_tries": int((tries * ~right).max()),
        "right_moves_eliminated": eliminated,
        "bound": most_tries(moves, kinds, int(tries.sum(0).max())),
        "measured": measured("python -m benchmarks.gridworld", seed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--most", type=int, default=400_000, help="environment steps of a run at most")
    arguments = parser.parse_args()
    summary: dict[str, Any] = {}
    for kinds in (1, 2, 4, 8):
        arms = {name: [run(kinds, seed, name == "with", arguments.most) for seed in range(1, arguments.seeds + 1)]
                for name in ("with", "without")}  # fmt: skip
        steps = [iqm([one["env_steps"] for one in arms[name]]) for name in ("without", "with")]
        ratio = steps[0] / steps[1]
        summary[f"{4 * kinds} moves"] = {**{name: {"per_seed": runs} for name, runs in arms.items()}, "gain": float(ratio)}
        print(f"{4 * kinds} moves: {ratio:.2f} times fewer steps with elimination")
    write_text(ROOT / "benchmarks" / "results" / "gridworld.json", json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""eta as a function of recent reward (Luketina et al. 2022): a tuner without context can only follow what changes; with one it may
know what to do when it sees again what it has seen before.

Four numbers tell how it goes: reward a step and share of episodes that reach the goal, both over the newest rounds, and how each
has changed since the rounds before these. They are normalised by what was seen of them, then bent by tanh. Luketina et al. put a
network of two layers on many rounds of reward; here it is a weight for each number.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h_dqn.self_tuning.tuner import Seen
from h_dqn.state import CheckpointError

ROUNDS = 10  # newest rounds, and as many before them
SIZE, KEPT = 4, 1000  # numbers, and rounds by which they are normalised


class Context:
    """What the newest rounds returned.

    Args:
        shuffled: hand out the context of some round before, as a control: as large, and without meaning.
        rng: decides which.
    """

    names = ("reward", "success", "reward_change", "success_change")

    def __init__(self, shuffled: bool, rng: np.random.Generator) -> None:
        self.shuffled, self.rng = shuffled, rng
        self._rounds = deque[list[float]](maxlen=2 * ROUNDS)  # reward a step and share of successes
        self._met = deque[list[float]](maxlen=KEPT)  # all four numbers
        self.now = np.zeros(SIZE)

    def add(self, seen: Seen) -> None:
        """A round; :attr:`now` is what the next one acts by."""
        batch, acted = seen.batch, seen.acted_D
        steps, ended = float(batch.length[acted].sum()), float(batch.done[acted].sum())
        if not steps:
            return
        before = self._rounds[-1][1] if self._rounds else 0.0
        success = float(batch.terminated[acted].sum()) / ended if ended else before
        self._rounds.append([float(batch.rewards[acted].sum()) / steps, success])
        newest, older = np.array(self._rounds)[-ROUNDS:], np.array(self._rounds)[:-ROUNDS]
        change = newest.mean(0) - older.mean(0) if len(older) else np.zeros(2)
        self._met.append([*newest.mean(0).tolist(), *change.tolist()])
        met = np.array(self._met)
        chosen = met[self.rng.integers(len(met))] if self.shuffled else met[-1]
        self.now = np.tanh((chosen - met.mean(0)) / np.maximum(met.std(0), 1e-8))

    def state_dict(self) -> dict[str, Any]:
        return {"rounds": [list(one) for one in self._rounds], "met": [list(one) for one in self._met], "now": self.now.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises CheckpointError for what is no such state."""
        sizes = {"rounds": 2, "met": SIZE}
        if any(len(one) != size for name, size in sizes.items() for one in state[name]) or len(state["now"]) != SIZE:
            raise CheckpointError("'tuning' has a context of another size")
        self._rounds = deque(([float(each) for each in one] for one in state["rounds"]), maxlen=2 * ROUNDS)
        self._met = deque(([float(each) for each in one] for one in state["met"]), maxlen=KEPT)
        self.now = np.array(state["now"], dtype=float)


def features(context: Context | None) -> NDArray[np.float64]:
    """What eta is linear in: 1, and the context where there is one."""
    return np.array([1.0]) if context is None else np.array([1.0, *context.now])

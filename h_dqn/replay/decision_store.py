"""The decisions of a replay as arrays. They have ascending numbers; number i lives in slot i % slots."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h_dqn.replay.trajectory_buffer import Ints
from h_dqn.state import checked

MASKS = ("available", "next_available")  # saved as bits


class DecisionStore:
    """Room for ``slots`` decisions of O options. ``store["env"]`` is the array (slots, ...) of one of their parts."""

    def __init__(self, slots: int, num_options: int) -> None:
        self.slots, self.options = slots, num_options
        self._arrays: dict[str, NDArray[Any]] = {
            "env": np.zeros(slots, np.int32),
            "first": np.zeros(slots, np.int64),  # row of the environment's trajectory where it was made
            "last": np.zeros(slots, np.int64),  # and where it ended
            "option": np.zeros(slots, np.int32),
            "terminated": np.zeros(slots, bool),
            "done": np.zeros(slots, bool),
            "available": np.zeros((slots, num_options), bool),
            "next_available": np.zeros((slots, num_options), bool),
            "continuation": np.zeros(slots, np.float32),
            "next": np.full(slots, -1, np.int64),  # number of the decision that came next in the episode, -1: none yet
        }

    def __getitem__(self, part: str) -> NDArray[Any]:
        return self._arrays[part]

    def parts(self, number: Ints, *names: str) -> list[NDArray[Any]]:
        """These parts of these decisions (B,)."""
        return [self._arrays[name][number % self.slots] for name in names]

    def write(self, number: Ints, **parts: Any) -> None:
        """Store parts of these decisions (B,)."""
        for name, value in parts.items():
            self._arrays[name][number % self.slots] = value

    def chains(self, number: Ints, n_step: int) -> tuple[Ints, Ints]:
        """``number`` (B,), and slots of the decisions that end the chains of up to ``n_step`` which begin with these."""
        end = number % self.slots
        for _ in range(n_step - 1):
            following = self["next"][end]
            end = np.where(following >= 0, following % self.slots, end)
        return number, end

    def state_dict(self, number: Ints) -> dict[str, Any]:
        """These decisions (B,)."""
        parts = {name: value[number % self.slots] for name, value in self._arrays.items()}
        return {**parts, **{name: np.packbits(parts[name], 1) for name in MASKS}}

    def load_state_dict(self, state: dict[str, Any], number: Ints, most: dict[str, int]) -> None:
        """Take back these decisions; all others are there no more. ``most``: the largest number that a part can have."""
        self["first"][:] = np.iinfo(np.int64).min // 2  # before all that is kept
        slot = number % self.slots
        for name, array in self._arrays.items():
            saved = state[name]
            if name in MASKS:
                packed = checked(saved, name, (len(number), -(-self.options // 8)), np.uint8)
                saved = np.unpackbits(packed, 1, count=self.options).view(bool)
            shape, least = (len(number), *array.shape[1:]), -1 if name == "next" else 0
            array[slot] = checked(saved, name, shape, array.dtype, least, most.get(name))

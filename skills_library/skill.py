"""A deep skill network (Tessler et al. 2017): a frozen Q-network that acts greedily for a fixed number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from h_dqn.networks import QNetwork, pick_device


class SkillError(ValueError):
    """A skill cannot be read, kept or used; the message says which one and why, in one line."""


@dataclass(frozen=True)
class DeepSkill:
    """A skill as an :class:`h_dqn.options.Option`.

    Args:
        name: its name in the library.
        network: Q-values over ``actions``; never changed.
        actions: names of the primitive actions that its outputs stand for.
        steps: k, after which it ends and hands control back.
        card: everything else that ``skill.json`` says about it (task, measurements, training).
    """

    name: str
    network: QNetwork
    actions: tuple[str, ...]
    steps: int = 5
    card: dict[str, Any] = field(default_factory=dict)
    _numbers: NDArray[np.int64] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, H, W) of the frames it sees."""
        s, h, w = self.network.spec["shape"]
        return s, h, w

    def on(self, actions: Sequence[str], shape: tuple[int, ...], steps: int | None = None) -> DeepSkill:
        """This skill for a world with these actions and (S, H, W) observations; k can be set anew.

        Raises :class:`SkillError` where the world lacks an action of the skill or shows other pictures.
        """
        if missing := [action for action in self.actions if action not in actions]:
            raise SkillError(f"skill '{self.name}' uses the action '{missing[0]}', which this task does not allow")
        if tuple(shape) != self.shape:
            raise SkillError(
                f"skill '{self.name}' sees {_size(self.shape)}, but this run shows {_size(shape)}; choose another preset"
            )
        numbers = np.array([list(actions).index(action) for action in self.actions])
        network = self.network.to(pick_device()).eval().requires_grad_(False)
        return replace(self, network=network, _numbers=numbers, steps=self.steps if steps is None else steps)

    def initiate(self, obs: NDArray[Any]) -> NDArray[np.bool_]:
        return np.ones(len(obs), bool)

    @torch.no_grad()
    def act(self, obs: NDArray[Any]) -> NDArray[np.int64]:
        if self._numbers is None:
            raise SkillError(f"skill '{self.name}' must be bound to a world first: skill.on(actions, shape)")
        device = next(self.network.parameters()).device
        best: NDArray[np.int64] = self._numbers[self.network(torch.from_numpy(obs).to(device)).argmax(1).cpu().numpy()]
        return best

    def terminate(self, obs: NDArray[Any], steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return (steps >= self.steps).astype(np.float64)


def _size(shape: Sequence[int]) -> str:
    return f"{shape[0]} frames of {shape[1]}x{shape[2]}"

"""A deep skill network (Tessler et al. 2017): a frozen Q-network that acts greedily for a fixed number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.networks import QNetwork, greedy, pick_device, values


class SkillError(ValueError):
    """A skill cannot be read, kept or used; the message says which one and why, in one line."""


@dataclass(frozen=True)
class DeepSkill:
    """A skill as an :class:`h_dqn.options.Option`.

    Args:
        name: its name in the library; ``NETWORK/HEAD`` for a head of a network with several.
        network: Q-values over all its outputs; never changed.
        actions: names of the primitive actions that the skill's own outputs stand for.
        steps: k, after which it ends and hands control back.
        card: everything else that ``skill.json`` says about it (task, measurements, training).
        first: the network's output where the skill's own begin.
        heads: the skills that a distilled network is made of; such a network is no skill itself.
    """

    name: str
    network: QNetwork
    actions: tuple[str, ...]
    steps: int = 5
    card: dict[str, Any] = field(default_factory=dict)
    first: int = 0
    heads: tuple[DeepSkill, ...] = ()
    _numbers: NDArray[np.int64] | None = None  # (outputs,) the world's action of each output, -1 where it is another skill's

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, H, W) of the frames it sees."""
        s, h, w = self.network.spec["shape"]
        return s, h, w

    def check_single(self) -> None:
        """Raises :class:`SkillError` for a distilled network, which is several skills and none itself."""
        if self.heads:
            raise SkillError(f"'{self.name}' holds several skills; name one: {', '.join(head.name for head in self.heads)}")

    def on(self, actions: Sequence[str], shape: tuple[int, ...], steps: int | None = None) -> DeepSkill:
        """This skill for a world with these actions and (S, H, W) observations; k can be set anew.

        Raises :class:`SkillError` where the world lacks an action of the skill or shows other pictures.
        """
        self.check_single()
        if missing := [action for action in self.actions if action not in actions]:
            raise SkillError(f"skill '{self.name}' uses the action '{missing[0]}', which this task does not allow")
        if tuple(shape) != self.shape:
            raise SkillError(
                f"skill '{self.name}' sees {_size(self.shape)}, but this run shows {_size(shape)}; choose another preset"
            )
        numbers = np.full(self.network.spec["outputs"], -1)
        numbers[self.first : self.first + len(self.actions)] = [list(actions).index(action) for action in self.actions]
        network = self.network.to(pick_device()).eval().requires_grad_(False)
        return replace(self, network=network, _numbers=numbers, steps=self.steps if steps is None else steps)

    def initiate(self, obs: NDArray[Any]) -> NDArray[np.bool_]:
        return np.ones(len(obs), bool)

    def act(self, obs: NDArray[Any]) -> NDArray[np.int64]:
        return self.act_together([self], np.zeros(len(obs), np.int64), obs)

    def act_together(self, skills: Sequence[DeepSkill], which: NDArray[np.int64], obs: NDArray[Any]) -> NDArray[np.int64]:
        """Row i acts by ``skills[which[i]]``, heads of this skill's network, in one pass of it; (N,)."""
        if any(skill._numbers is None for skill in skills):
            raise SkillError(f"skill '{self.name}' must be bound to a world first: skill.on(actions, shape)")
        numbers = np.stack([skill._numbers for skill in skills if skill._numbers is not None])[which]
        best: NDArray[np.int64] = numbers[np.arange(len(obs)), greedy(values(self.network, obs), numbers >= 0)]
        return best

    def values(self, obs: NDArray[Any]) -> Tensor:
        """Q-values of the skill's own actions, (N, actions)."""
        return values(self.network, obs)[:, self.first : self.first + len(self.actions)]

    def terminate(self, obs: NDArray[Any], steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return (steps >= self.steps).astype(np.float64)


def _size(shape: Sequence[int]) -> str:
    return f"{shape[0]} frames of {shape[1]}x{shape[2]}"

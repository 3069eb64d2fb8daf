"""A deep skill network (Tessler et al. 2017): a frozen Q-network that acts greedily, until it is done or its steps are over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.networks import QNetwork, pick_device, values
from h_dqn.options import Acts, Bools, Ints, Together

OPTION = "skill:"  # before a skill's name where it is an option beside primitive actions


class SkillError(ValueError):
    """A skill cannot be read, kept or used; the message says which one and why, in one line."""


@dataclass(frozen=True)
class DeepSkill:
    """A skill as an :class:`h_dqn.options.Option`.

    Args:
        name: its name in the library; ``NETWORK/HEAD`` for a head of a network with several.
        network: Q-values over all its outputs; never changed.
        actions: names of the primitive actions that the skill's own outputs stand for.
        steps: k, after which it ends and hands control back in any case.
        last_above, last_output: where the network's output ``last_output`` (by default the value of the best action) exceeds
            ``last_above``, the skill expects to reach its goal with that action, and then ends: goal-based termination. A skill
            learns such a sign for nothing: with -1 a step and 0 at the goal, an action that is not the last cannot be worth 0.
        card: everything else that ``skill.json`` says about it (task, measurements, training).
        first: the network's output where the skill's own begin.
        temperature: of the softmax by which it is played alone (:class:`h_dqn.networks.Boltzmann`). As an option it is greedy.
        heads: the skills that a distilled network is made of; such a network is no skill itself.
    """

    name: str
    network: QNetwork
    actions: tuple[str, ...]
    steps: int = 5
    last_above: float = np.inf
    last_output: int | None = None
    card: dict[str, Any] = field(default_factory=dict)
    first: int = 0
    temperature: float = 0.0
    heads: tuple[DeepSkill, ...] = ()
    _numbers: Ints | None = None  # (actions,) the world's number of each of the skill's actions

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, H, W) of the frames it sees."""
        s, h, w = self.network.spec["shape"]
        return s, h, w

    def check_single(self) -> None:
        """Raises :class:`SkillError` for a distilled network, which is several skills and none itself."""
        if self.heads:
            raise SkillError(f"'{self.name}' holds several skills; name one: {', '.join(head.name for head in self.heads)}")

    def on(self, actions: Sequence[str], shape: tuple[int, ...], steps: int | None = None, stop_at_goal: bool = True) -> DeepSkill:
        """This skill as an option in a world with these actions and (S, H, W) observations; how it ends can be set anew.

        The option is called ``skill:NAME``, as a skill and a primitive action may share a name (break).

        Raises :class:`SkillError` where the world lacks an action of the skill or shows other pictures.
        """
        self.check_single()
        if missing := [action for action in self.actions if action not in actions]:
            raise SkillError(f"skill '{self.name}' uses the action '{missing[0]}', which this task does not allow")
        if tuple(shape) != self.shape:
            raise SkillError(
                f"skill '{self.name}' sees {_size(self.shape)}, but this run shows {_size(shape)}; choose another preset"
            )
        numbers = np.array([list(actions).index(action) for action in self.actions])
        network = self.network.to(pick_device()).eval().requires_grad_(False)
        last_above = self.last_above if stop_at_goal else np.inf
        name, steps = f"{OPTION}{self.name}", self.steps if steps is None else steps
        return replace(self, name=name, network=network, _numbers=numbers, steps=steps, last_above=last_above)

    def initiate(self, obs: NDArray[Any]) -> Bools:
        return np.ones(len(obs), bool)

    def act(self, obs: NDArray[Any]) -> Acts:
        return self.together([self])(np.zeros(len(obs), np.int64), obs)

    def together(self, options: Sequence[DeepSkill]) -> Together:
        """Heads of this skill's network act in one pass of it, whose cost hardly grows with their number."""
        if any(skill._numbers is None for skill in options):
            raise SkillError(f"skill '{self.name}' must be bound to a world first: skill.on(actions, shape)")
        # (heads, most actions): the network's output and the world's action of each; a head with fewer repeats its first.
        most = max(len(skill.actions) for skill in options)
        own = np.stack([np.arange(most) * (np.arange(most) < len(skill.actions)) for skill in options])
        outputs = own + np.array([skill.first for skill in options])[:, None]
        numbers = np.stack([skill._numbers[row] for skill, row in zip(options, own, strict=True) if skill._numbers is not None])
        sign = np.array([-1 if skill.last_output is None else skill.last_output for skill in options])
        above = np.array([skill.last_above for skill in options])

        def act(which: Ints, obs: NDArray[Any]) -> Acts:
            row, q = np.arange(len(obs)), values(self.network, obs).numpy()
            best = q[row[:, None], outputs[which]].argmax(1)
            output = np.where(sign[which] < 0, outputs[which, best], sign[which])
            return numbers[which, best], q[row, output] > above[which]

        return act

    def values(self, obs: NDArray[Any]) -> Tensor:
        """Q-values of the skill's own actions, (N, actions)."""
        return self.judge(obs)[0]

    def judge(self, obs: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Q-values of the skill's own actions (N, actions), and where it expects its best action to be the last one, (N,) bool."""
        q = values(self.network, obs)
        own = q[:, self.first : self.first + len(self.actions)]
        return own, (own.max(1).values if self.last_output is None else q[:, self.last_output]) > self.last_above

    def terminate(self, obs: NDArray[Any], steps: Ints) -> NDArray[np.float64]:
        return (steps >= self.steps).astype(np.float64)


def count_weights(skills: Iterable[DeepSkill]) -> int:
    """Weights of these skills' networks, a network that they share counted once."""
    networks = {id(skill.network): skill.network for skill in skills}.values()
    return sum(weights.numel() for network in networks for weights in network.parameters())


def _size(shape: Sequence[int]) -> str:
    return f"{'a frame' if shape[0] == 1 else f'{shape[0]} frames'} of {shape[1]}x{shape[2]}"

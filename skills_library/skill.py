"""A deep skill network (Tessler et al. 2017): a frozen policy as an option, greedy, until it is done or its steps are over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.agent_state import AgentState
from h_dqn.networks import QNetwork
from h_dqn.options import Acts, Bools, Ints
from skills_library.card import frames_of
from skills_library.policy import PolicyHead, SavedPolicy, SkillError

LACKS = -1  # in place of an action's number: the environment has no such action
OPTION = "skill:"  # before a skill's name where it is an option beside primitive actions


@dataclass(frozen=True)
class Skill:
    """A head of a saved policy, still without environments: :meth:`on` makes an option of it.

    Args:
        policy: what is on disk; never changed.
        head: which of its heads.
    """

    policy: SavedPolicy
    head: PolicyHead

    @property
    def name(self) -> str:
        """Its name in the library; ``NETWORK/HEAD`` for a head of a network with several."""
        return self.head.name

    @property
    def network(self) -> QNetwork:
        """Q-values over all outputs of the policy, of which some are the skill's own."""
        return self.policy.network

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the primitive actions that its outputs stand for."""
        return self.head.outputs

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, H, W) of the observations it sees."""
        return self.network.spec.shape

    @property
    def card(self) -> dict[str, Any]:
        """Where it comes from: task, measured and training."""
        return {**self.policy.card, **self.head.card}

    def on(
        self,
        actions: Sequence[str],
        shape: tuple[int, ...],
        device: torch.device,
        steps: int | None = None,
        stop_at_goal: bool = True,
    ) -> SkillOption:
        """This skill as an option of environments with these actions and (S, H, W) observations.

        The option is called ``skill:NAME``, as a skill and a primitive action may share a name (break).

        Args:
            device: where it is computed.
            steps: most steps that it runs, if not as it says itself.
            stop_at_goal: whether it also ends where it expects to have reached its goal.
        It never takes an action that the environments lack.

        Raises :class:`SkillError` where they lack all of its actions or show other pictures.
        """
        if not set(self.actions) & set(actions):
            raise SkillError(f"skill '{self.name}' has no action that this task allows (its own: {', '.join(self.actions)})")
        if tuple(shape) != self.shape:
            raise SkillError(
                f"skill '{self.name}' sees {frames_of(self.shape)}, but this run shows {frames_of(shape)}; choose another preset"
            )
        numbers = np.array([list(actions).index(action) if action in actions else LACKS for action in self.actions])
        end = self.head.termination
        end = replace(end, steps=steps or end.steps, last_above=end.last_above if stop_at_goal else np.inf)
        head = replace(self.head, termination=end)
        return SkillOption(f"{OPTION}{self.name}", self.network.to(device).eval().requires_grad_(False), head, numbers)

    def values(self, obs: NDArray[np.uint8]) -> Tensor:
        """Q-values of the skill's own actions, (N, actions); with a core, where an episode begins."""
        return self.values_and_last(self.network.values(obs))[0]

    def values_and_last(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Of the network's Q-values (N, outputs) those of its actions, and where it expects its best to be the last, (N,) bool."""
        own, end = q[:, self.head.own], self.head.termination
        return own, (own.max(1).values if end.last_output is None else q[:, end.last_output]) > end.last_above


@dataclass(frozen=True)
class SkillOption:
    """A skill as an :class:`h_dqn.options.Option`; heads of one network act in one pass of it.

    ``actions`` (A,): the environment's number of each of the skill's actions, LACKS where it has none.
    """

    name: str
    network: QNetwork
    head: PolicyHead
    actions: Ints

    def initiate(self, obs: NDArray[Any]) -> Bools:
        return np.ones(len(obs), bool)

    def act(self, obs: NDArray[Any]) -> Acts:
        """With a core, what it does where an episode begins."""
        alone = self.together([self])
        alone.observe(obs, np.ones(len(obs), bool))
        return alone(np.zeros(len(obs), np.int64), obs, np.arange(len(obs)))

    def together(self, options: Sequence[SkillOption]) -> Heads:
        return Heads(options)

    def terminate(self, obs: NDArray[Any], steps: Ints) -> NDArray[np.float64]:
        return (steps >= self.head.termination.steps).astype(np.float64)


class Heads:
    """Heads of one network act in one pass of it, whose cost hardly grows with their number; they share what it remembers."""

    def __init__(self, options: Sequence[SkillOption]) -> None:
        self.state = AgentState(options[0].network)
        # (heads, most actions): the network's output and the environment's action of each; a head with fewer repeats its first.
        most = max(len(option.actions) for option in options)
        own = np.stack([np.arange(most) * (np.arange(most) < len(option.actions)) for option in options])
        self._outputs = own + np.array([option.head.first for option in options])[:, None]
        self._actions = np.stack([option.actions[row] for option, row in zip(options, own, strict=True)])
        ends = [option.head.termination for option in options]
        self._last = np.array([-1 if end.last_output is None else end.last_output for end in ends])
        self._above = np.array([end.last_above for end in ends])

    def observe(self, obs: NDArray[Any], begins: Bools) -> None:
        self.state.observe(obs, begins)

    def __call__(self, which: Ints, obs: NDArray[Any], env_ids: Ints) -> Acts:
        row, q = np.arange(len(obs)), self.state.values(obs, env_ids).numpy()
        best = np.where(self._actions[which] == LACKS, -np.inf, q[row[:, None], self._outputs[which]]).argmax(1)
        output = np.where(self._last[which] < 0, self._outputs[which, best], self._last[which])
        return self._actions[which, best], q[row, output] > self._above[which]

    def state_dict(self) -> dict[str, Any]:
        return self.state.state_dict()

    def load_state_dict(self, saved: Any) -> None:
        self.state.load_state_dict(saved)


def count_weights(networks: Iterable[QNetwork]) -> int:
    """Weights of these networks, each counted once."""
    return sum(weights.numel() for network in {id(one): one for one in networks}.values() for weights in network.parameters())

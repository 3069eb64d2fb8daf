"""Options: what a controller can choose. A primitive action is an option of one step.

An option is <I, pi, beta>: where it may start, what it does, when it ends (Sutton, Precup and Singh 1999). Everything is batched
over N environments; ``obs`` is what the vector environment gives, with the environment as first axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from h_dqn.settings import Count
from h_dqn.state import restore

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Acts = tuple[Ints, Bools]
KEEP = -1  # instead of an option, where one could be interrupted: it goes on, whichever it is


@dataclass(frozen=True)
class OptionConfig:
    """How options run, and what their steps teach."""

    option_steps: Count = 10
    """k: most steps that the controller lets a skill run"""
    stop_at_goal: bool = True
    """whether a skill also ends where it expects to have reached its goal"""
    interrupt: bool = False
    """whether a skill also ends where another option is worth more (Sutton, Precup and Singh 1999, section 4)"""
    intra_option: Literal["no", "primitives", "all"] = "primitives"
    """what a step teaches beside the option that took it: nothing, the primitive action that it was, or every option that
    would have done the same (Sutton, Precup and Singh 1998)"""


@runtime_checkable
class Listener(Protocol):
    """What is shown every observation of N environments once, whoever acts there: it may remember what it saw."""

    def observe(self, obs: NDArray[Any], begins: Bools) -> None:
        """The newest observations, with the environment as first axis; ``begins`` (N,): an episode begins there."""


class Option(Protocol):
    """One choice of the controller. Skills are frozen: none of these methods changes anything."""

    @property
    def name(self) -> str:
        """What it is called in tables and logs."""

    def initiate(self, obs: NDArray[Any]) -> Bools:
        """(N,) bool: where it may be chosen."""

    def act(self, obs: NDArray[Any]) -> Acts:
        """(N,) int: the primitive action it takes; (N,) bool: whether it expects to have reached its goal with it."""

    def terminate(self, obs: NDArray[Any], steps: Ints) -> NDArray[np.float64]:
        """(N,) probability that it ends at ``obs``, after ``steps`` (N,) steps of it."""


class Together(Listener, Protocol):
    """Options of one network in N environments. What the network remembers of them is in here, so that options stay as they are."""

    def __call__(self, which: Ints, obs: NDArray[Any], env_ids: Ints) -> Acts:
        """What the options at these positions (B,) do in these environments (B,), which show ``obs``."""

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""

    def load_state_dict(self, saved: Any) -> None:
        """Go on from :meth:`state_dict`."""


@runtime_checkable
class SharesNetwork(Option, Protocol):
    """An option that is one head of a network: options of the same ``network`` act together, in one pass of it."""

    @property
    def network(self) -> object:
        """What they share."""

    def together(self, options: Sequence[Any]) -> Together:
        """These options of the network, in environments that are still to be observed."""


class Primitive:
    """One primitive action, for one step."""

    def __init__(self, name: str, action: int) -> None:
        self.name, self.action = name, action

    def initiate(self, obs: NDArray[Any]) -> Bools:
        return np.ones(len(obs), bool)

    def act(self, obs: NDArray[Any]) -> Acts:
        return np.full(len(obs), self.action), np.ones(len(obs), bool)

    def terminate(self, obs: NDArray[Any], steps: Ints) -> NDArray[np.float64]:
        return np.ones(len(obs))


class Unavailable:
    """Stands for an output of an agent that is played where there is no such action: it is never chosen."""

    def __init__(self, name: str) -> None:
        self.name = name

    def initiate(self, obs: NDArray[Any]) -> Bools:
        return np.zeros(len(obs), bool)

    def act(self, obs: NDArray[Any]) -> Acts:
        raise AssertionError(f"'{self.name}' is not available")

    def terminate(self, obs: NDArray[Any], steps: Ints) -> NDArray[np.float64]:
        return np.ones(len(obs))


def primitives(names: Sequence[str]) -> list[Option]:
    """The primitive actions of an environment, in its order."""
    return [Primitive(name, action) for action, name in enumerate(names)]


class OptionRunner:
    """Runs one option in each of N environments, each with its own clock.

    ``current`` (N,) is the running option, -1 where a decision is due; ``steps`` (N,) counts its steps so far.
    """

    def __init__(self, options: Sequence[Option], num_envs: int, rng: np.random.Generator) -> None:
        self.options = list(options)
        self.current = np.full(num_envs, -1)
        self.steps = np.zeros(num_envs, np.int64)
        self._done = np.zeros(num_envs, bool)  # by the running option's own account, once its last action is carried out
        self._rng = rng
        owner = [id(option.network if isinstance(option, SharesNetwork) else option) for option in self.options]
        self._group = np.array([owner.index(one) for one in owner])  # the first option that acts together with this one
        self._position = np.zeros(len(owner), np.int64)  # of the option in its group
        self._together: dict[int, Together] = {}
        for first in np.unique(self._group):
            members = np.flatnonzero(self._group == first)
            self._position[members] = np.arange(len(members))
            option = self.options[first]
            if isinstance(option, SharesNetwork):
                self._together[first] = option.together([self.options[member] for member in members])

    def available(self, obs: NDArray[Any]) -> Bools:
        """Which options may start, (N, O); never an empty row, as every set of options holds a primitive."""
        return np.stack([option.initiate(obs) for option in self.options], 1)

    def observe(self, obs: NDArray[Any], begins: Bools) -> None:
        """See :class:`Listener`: an option that does not act remembers what it sees all the same."""
        for together in self._together.values():
            together.observe(obs, begins)

    def begin(self, due: Bools, chosen: Ints) -> None:
        """Start option ``chosen[i]`` in the i-th environment of ``due``."""
        self.current[due], self.steps[due], self._done[due] = chosen, 0, False

    def act(self, obs: NDArray[Any]) -> Ints:
        """The primitive action of the option that runs in each environment, (N,)."""
        actions = np.zeros(len(obs), np.int64)
        done = self._done
        group = self._group[self.current]
        for index in np.unique(group):
            here = group == index
            seen = obs if here.all() else obs[here]
            actions[here], done[here] = self._acts(self.current[here], seen, np.flatnonzero(here))
        return actions

    def would_do(self, index: int, obs: NDArray[Any]) -> Acts:
        """What option ``index`` would do in every environment, which show ``obs``, if it ran there."""
        return self._acts(np.full(len(obs), index), obs, np.arange(len(obs)))

    def _acts(self, option: Ints, obs: NDArray[Any], env_ids: Ints) -> Acts:
        """What options of one group do in these environments, (B,)."""
        together = self._together.get(self._group[option[0]])
        return self.options[option[0]].act(obs) if together is None else together(self._position[option], obs, env_ids)

    def advance(self, next_obs: NDArray[Any], done: Bools) -> Bools:
        """Count one step that led to ``next_obs`` and, where ``done``, ended the episode.

        Returns: (N,) option done: where the option ended, by its own account, by its termination rule or with the episode.
        """
        self.steps += 1
        option_done = done | self._done
        for index in np.unique(self.current):
            here = self.current == index
            beta = self.options[index].terminate(next_obs if here.all() else next_obs[here], self.steps[here])
            sure = (beta <= 0) | (beta >= 1)
            option_done[here] |= beta >= 1 if sure.all() else self._rng.random(len(beta)) < beta
        self.current = np.where(option_done, -1, self.current)
        return option_done

    def state_dict(self) -> dict[str, Any]:
        arrays = {"current": self.current.copy(), "steps": self.steps.copy(), "done": self._done.copy()}
        states = [together.state_dict() for together in self._together.values()]
        return {**arrays, "rng": self._rng.bit_generator.state, "states": states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        restore(self.current, state["current"], "current", -1, len(self.options) - 1)
        restore(self.steps, state["steps"], "steps", 0)
        restore(self._done, state["done"], "done")
        self._rng.bit_generator.state = state["rng"]
        for together, saved in zip(self._together.values(), state["states"], strict=True):
            together.load_state_dict(saved)

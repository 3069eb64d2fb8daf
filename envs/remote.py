"""Environments that are stepped in other processes, maybe on other machines: actions go there, observations come back.

The processes are actors of Ray (the extra ``ray``), which decides where each is, and starts one that died anew, elsewhere if its
node is gone. This module does not import Ray: whoever calls it is connected to a cluster already and hands it over.
"""

from __future__ import annotations

import socket
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import deepcopy
from itertools import accumulate
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array
from numpy.typing import NDArray

from envs.errors import OneLineError, WorldError
from envs.vector import Observation

MakeEnvs = Callable[[int], VectorEnv[Any, Any, Any]]
START_S = 600.0  # that Ray has to start actors, and these to make their environments
LOST = "its process ended, or its node is gone"


class Gone(Exception):
    """Of an actor that was started anew, and has these environments no more."""


class Host:
    """What an actor holds: vector environments, by number. All that are made in it share what their world shares in a process."""

    def __init__(self) -> None:
        self.envs: dict[int, VectorEnv[Any, Any, Any]] = {}

    def make(self, number: int, make: MakeEnvs, num_envs: int) -> tuple[Any, Any]:
        """Make environments; returns the spaces of one."""
        if number in self.envs:
            self.envs.pop(number).close()
        try:
            envs = self.envs[number] = make(num_envs)
        except OneLineError as error:
            raise WorldError(f"on the node {socket.gethostname()}: {error}") from None
        return envs.single_observation_space, envs.single_action_space

    def call(self, number: int, method: str, *arguments: Any, **named: Any) -> Any:
        """What a method of environments returns. Raises :class:`Gone` if they are not here."""
        if number not in self.envs:
            raise Gone
        return getattr(self.envs[number], method)(*arguments, **named)

    def close(self, number: int) -> None:
        if number in self.envs:
            self.envs.pop(number).close()


class Hosts:
    """Actors that are started at once, spread over the nodes of a cluster, and live as long as this process.

    Args:
        ray: the module, connected to a cluster.
        count: how many.
    """

    def __init__(self, ray: Any, count: int) -> None:
        self.ray, self._made = ray, 0
        actor = ray.remote(max_restarts=-1, scheduling_strategy="SPREAD")(Host)
        self.actors = [actor.remote() for _ in range(count)]

    def number(self) -> int:
        """A new one for environments."""
        self._made += 1
        return self._made


class Part:
    """The environments of one actor, those at ``where`` of all."""

    def __init__(self, hosts: Hosts, actor: Any, make: MakeEnvs, where: slice) -> None:
        self.ray, self.actor, self.make, self.where = hosts.ray, actor, make, where
        self.number = hosts.number()
        self.begin()

    def begin(self) -> None:
        """Have the actor make them, as soon as it is there."""
        self.here = False  # whether it has
        self.making = self.actor.make.remote(self.number, self.make, self.where.stop - self.where.start)

    def ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        """For :meth:`answer`: the call of a method, which runs meanwhile."""
        return self.actor.call.remote(self.number, method, *arguments, **named)

    def answer(self, asked: Any) -> Any:
        """What was returned. Raises :class:`Gone` if the actor died, which is begun anew then, and whatever was raised in it."""
        errors = self.ray.exceptions
        try:
            return self.ray.get(asked)
        except (errors.RayActorError, errors.ObjectLostError) as error:
            self.begin()
            raise Gone from error
        except errors.RayTaskError as error:
            if isinstance(error.cause, Gone):
                self.begin()
            raise error.cause from error

    def come_back(self) -> bool:
        """Whether the actor has made them since this was asked last. Does not wait."""
        if self.here or not self.ray.wait([self.making], timeout=0)[0]:
            return False
        try:
            self.spaces = self.answer(self.making)
        except Gone:
            return False
        self.here = True
        return True


class RemoteVectorEnv(VectorEnv[Observation, NDArray[np.int64], NDArray[Any]]):
    """N environments in actors, with the spaces, observations, rewards, ends and infos that they have in this process.

    An actor that dies costs the episodes that ran in it. ``info["lost"]``, (N,) bool, says of each of its environments, until a
    reset begins an episode in the actor that took its place: what it returned is no transition; its observation is a repetition,
    its reward 0, its episode truncated. No call waits for an actor that died, unless none is left. Infos of a reset are of the
    environments that it was for.

    Args:
        make: makes a vector environment of so many, with autoreset disabled and masked resets; must be picklable.
        num_envs: how many environments (N).
        hosts: the actors, which get about as many environments each.
    Raises :class:`envs.errors.WorldError` where no actor can be started, and whatever ``make`` raises in one.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED}

    def __init__(self, make: MakeEnvs, num_envs: int, hosts: Hosts) -> None:
        self.num_envs, self._ray = num_envs, hosts.ray
        ends = list(accumulate(shares(num_envs, len(hosts.actors))))
        places = map(slice, [0, *ends], ends)
        self._parts = [Part(hosts, actor, make, where) for actor, where in zip(hosts.actors, places, strict=False)]
        weakref.finalize(self, _close, self._parts).atexit = False
        self._wait(all)
        self.single_observation_space, self.single_action_space = self._parts[0].spaces
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._begun = np.zeros(num_envs, bool)  # an episode was begun, in the actor that is there
        self._seen: Any = create_empty_array(self.single_observation_space, num_envs, np.zeros)  # the newest observation

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start new episodes. ``seed`` s gives environment i the seed s + i; a list gives each its own; None goes on drawing."""
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)))
        seeds = list(range(seed, seed + self.num_envs)) if isinstance(seed, int) else seed or [None] * self.num_envs
        if mask.shape != (self.num_envs,) or len(seeds) != self.num_envs:
            raise ValueError(f"a reset is of {self.num_envs} environments, not of {mask.shape} and {len(seeds)} seeds")
        wanted = [part for part in self._parts if mask[part.where].any()]
        new = {id(part) for part in wanted if part.come_back()}
        if not any(part.here for part in self._parts):
            new |= self._wait(any)
        self._begun &= ~mask
        asked = {}
        for part in (part for part in wanted if part.here):
            own = np.ones_like(mask[part.where]) if id(part) in new else mask[part.where]
            asked[part] = part.ask("reset", seed=seeds[part.where], options={"reset_mask": own})
        infos = []
        seen = deepcopy(self._seen)
        for part, (obs, info) in self._answers(asked):
            _put(seen, part.where, obs)
            infos.append((part.where, info))
            self._begun[part.where] |= mask[part.where] & ~info.get("lost", np.zeros(1, bool))
        self._seen = seen
        return seen, self._info(infos)

    def step(self, actions: NDArray[np.int64]) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """One action an environment; all actors step theirs at once."""
        if np.shape(actions) != (self.num_envs,):
            raise ValueError(f"actions must be of shape ({self.num_envs},), not {np.shape(actions)}")
        asked = {part: part.ask("step", actions[part.where]) for part in self._parts if part.here}
        reward, terminated, truncated = np.zeros(self.num_envs), *np.zeros((2, self.num_envs), bool)
        answered, infos = np.zeros(self.num_envs, bool), []
        seen = deepcopy(self._seen)
        for part, (obs, *outcome, info) in self._answers(asked):
            _put(seen, part.where, obs)
            reward[part.where], terminated[part.where], truncated[part.where] = outcome
            answered[part.where] = ~info.get("lost", np.zeros(1, bool))
            infos.append((part.where, info))
        self._seen = seen
        self._begun &= answered
        lost = ~self._begun
        reward[lost], terminated[lost], truncated[lost] = 0.0, False, True
        return seen, reward, terminated, truncated, self._info(infos)

    def _answers(self, asked: dict[Part, Any]) -> Iterator[tuple[Part, Any]]:
        """What was returned to each that did not die meanwhile."""
        for part, one in asked.items():
            try:
                answer = part.answer(one)
            except Gone:
                continue
            yield part, answer

    def _info(self, infos: Iterable[tuple[slice, dict[str, Any]]]) -> dict[str, Any]:
        """The infos of parts as arrays over all environments; nothing, where a part says nothing."""
        whole: dict[str, Any] = {}
        for where, info in infos:
            for key, value in info.items():
                nothing = "" if value.dtype == object else 0
                whole.setdefault(key, np.full((self.num_envs, *value.shape[1:]), nothing, value.dtype))[where] = value
        away = [part.where for part in self._parts if not part.here]
        if away:
            whole.setdefault("reason", np.full(self.num_envs, "", object))
        for where in away:
            whole["reason"][where] = LOST
        return {**whole, "lost": ~self._begun}

    def _wait(self, enough: Callable[[Iterable[bool]], bool]) -> set[int]:
        """Wait until all parts are there, or any of them is; returns those that came."""
        came, end = set[int](), time.monotonic() + START_S
        while not enough(part.here for part in self._parts):
            left = [part.making for part in self._parts if not part.here]
            if not self._ray.wait(left, timeout=max(0.0, end - time.monotonic()))[0]:
                raise WorldError(f"Ray started too few of {len(self._parts)} actors in {START_S:.0f} s: is the cluster there, and "
                                 "has it a free processor? (ray status)")  # fmt: skip
            came |= {id(part) for part in self._parts if part.come_back()}
        return came

    def state_dict(self) -> dict[str, Any]:
        """Of each part what its environments save, None where its actor died."""
        asked = {part: part.ask("state_dict") for part in self._parts if part.here}
        states = {id(part): state for part, state in self._answers(asked)}
        return {"parts": [states.get(id(part)) for part in self._parts], "begun": self._begun.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError, KeyError or TypeError for a state that cannot be of these environments, in as many actors."""
        begun = np.asarray(state["begun"])
        if begun.shape != (self.num_envs,) or begun.dtype != bool or len(state["parts"]) != len(self._parts):
            raise ValueError("'begun' or 'parts' cannot be of these environments")
        saved = dict(zip(self._parts, state["parts"], strict=True))
        asked = {part: part.ask("load_state_dict", one) for part, one in saved.items() if one is not None and part.here}
        self._begun = np.zeros(self.num_envs, bool)
        for part, _ in self._answers(asked):
            self._begun[part.where] = begun[part.where]

    def close_extras(self, **_: Any) -> None:
        _close(self._parts)
        self._parts = []


def shares(number: int, count: int) -> list[int]:
    """``number`` as ``count`` numbers that are about equal, without zeros."""
    return [number // count + (n < number % count) for n in range(min(count, number))]


def _close(parts: list[Part]) -> None:
    with suppress(Exception):  # where the cluster is gone, so are they
        for part in parts:
            part.actor.close.remote(part.number)


def _put(into: dict[str, Any], where: slice, obs: Observation) -> None:
    """Write the observations of some environments into those of all."""
    for key, value in obs.items():
        if isinstance(value, dict):
            _put(into[key], where, value)
        else:
            into[key][where] = value

"""Replay for a semi-MDP: decisions of any length, over frames that are stored once.

Each world writes its own film: one row for each observation, with the reward of the step that left it. An episode's last
observation has a row like any other, and the next episode's first row follows it. A decision points into the film (first row,
last row), so its raw rewards, its length and both of its observations are there, and discounting waits until it is sampled.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.sum_tree import SumTree


@dataclass(frozen=True)
class Decisions:
    """A batch of B decisions (or of chains of n decisions, which look just the same). S frames a stack, K steps at most."""

    frames: Tensor  # (U, S, H, W) uint8: the observations where decisions were made or ended, each once
    values: NDArray[np.float32]  # (U, outputs) their Q-values where they are known already, NaN elsewhere
    start: NDArray[np.int64]  # (B,) which of ``frames`` it was made at
    end: NDArray[np.int64]  # (B,) which of ``frames`` it ended at
    option: NDArray[np.int64]  # (B,)
    rewards: NDArray[np.float32]  # (B, K) raw, 0 from its length on
    length: NDArray[np.int64]  # (B,) environment steps
    allowed: NDArray[np.bool_]  # (B, O) options that could be chosen where it was made
    terminated: NDArray[np.bool_]  # (B,) the world ended there, so that nothing is to come; a step limit is no such end
    ended: NDArray[np.bool_]  # (B,) the episode ended there, by a step limit too
    available: NDArray[np.bool_]  # (B, O) options that could be chosen at its end
    persists: NDArray[np.float32]  # (B,) chance that the option went on there, if it was only seen for a part (intra-option)
    following: NDArray[np.int64]  # (B,) index in this batch of the decision that came next in the episode, -1 if not in it
    weight: NDArray[np.float32]  # (B,) importance weight, 1 where sampling is uniform
    fresh: NDArray[np.bool_]  # (B,) whether ``fresh`` hands it out for the first time
    id: NDArray[np.int64]  # (B,) its number, for ``set_priority``


@dataclass(frozen=True)
class Tries:
    """Decisions and whether they did anything. Each has drawn a lot: those with the largest are a uniform sample of all.

    So a sample of all that were ever made can be kept up to date as they are made (reservoir sampling).
    """

    frames: NDArray[np.uint8]  # (T, S, H, W) where they were made
    option: NDArray[np.int64]  # (T,)
    futile: NDArray[np.bool_]  # (T,) none of its steps had an effect
    number: NDArray[np.int64]  # (T,) which decision it was
    drawn: NDArray[np.float64]  # (T,)

    def __or__(self, other: Tries) -> Tries:
        """All that are in one of them, each once."""
        missing = other[np.flatnonzero(~np.isin(other.number, self.number))]
        if not len(missing.number):
            return self
        return Tries(*(np.concatenate(pair) for pair in zip(vars(missing).values(), vars(self).values(), strict=True)))

    def __getitem__(self, index: NDArray[np.int64]) -> Tries:
        return Tries(*(array[index] for array in vars(self).values()))

    def largest(self, most: int) -> Tries:
        """At most so many of each option."""
        return self[_largest(self.option, self.drawn, most)]


def _largest(option: NDArray[np.int64], drawn: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Of each option, where its ``most`` largest lots are."""
    order = np.lexsort((-drawn, option))
    rank = np.arange(len(order)) - np.searchsorted(option[order], option[order])
    return order[rank < most]


class SMDPReplay:
    """Keeps about ``capacity`` environment steps of N worlds.

    Args:
        worlds: N.
        capacity: environment steps over all worlds; each world's film has ``capacity / N`` rows.
        shape: (S, H, W) of an observation; only its newest frame is stored.
        options: number of options O.
        twins: most decisions that are stored by ``inside`` for one step.
        successes: keeps apart the decisions of the newest episodes that reached the goal, of so many in all (0: does not).
        outputs: how many values are kept of each frame (O).
        priority: exponent of prioritised replay (Schaul et al. 2016); 0 samples uniformly over *decisions*, so that how often a
            decision is drawn does not depend on how long it was.
        device: where the frames are kept and handed out.
    """

    def __init__(
        self,
        worlds: int,
        capacity: int,
        shape: tuple[int, int, int],
        options: int,
        priority: float,
        rng: np.random.Generator,
        twins: int = 1,
        successes: int = 0,
        outputs: int | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.worlds, self.priority, self._rng = worlds, priority, rng
        self.rows = -(-capacity // worlds)
        self.stack = shape[0]
        self._frames = torch.zeros((worlds * self.rows + 1, *shape[1:]), dtype=torch.uint8, device=device)  # the last stays blank
        self._reward = np.zeros((worlds, self.rows), np.float32)
        self._invalid = np.zeros((worlds, self.rows), bool)
        self._values = np.full((worlds, self.rows, outputs or options), np.nan, np.float32)
        self._age = np.zeros((worlds, self.rows), np.uint8)  # frames of the same episode before this one, at most 255
        self._written = np.zeros(worlds, np.int64)  # rows ever written by each world
        # Decisions have ascending numbers; number i lives in slot i % slots. Few live ones share a first row (an option, and those
        # that its first step also was), so slots never collide.
        self.slots = (1 + twins) * worlds * self.rows
        self._decisions: dict[str, NDArray[Any]] = {
            "world": np.zeros(self.slots, np.int32),
            "first": np.zeros(self.slots, np.int64),
            "last": np.zeros(self.slots, np.int64),
            "option": np.zeros(self.slots, np.int32),
            "terminated": np.zeros(self.slots, bool),
            "ended": np.zeros(self.slots, bool),
            "allowed": np.zeros((self.slots, options), bool),
            "available": np.zeros((self.slots, options), bool),
            "persists": np.zeros(self.slots, np.float32),
            "next": np.full(self.slots, -1, np.int64),
        }
        self.made = 0  # decisions ever stored
        self.oldest = 0  # no decision of a lower number is whole any more
        self._fresh = 0  # none below is handed out by ``fresh`` again
        self._begun = np.zeros(worlds, np.int64)  # first row of the decision that is running
        self._option = np.full(worlds, -1)
        self._allowed = np.zeros((worlds, options), bool)
        self._previous = np.full(worlds, -1)  # number of the decision before it in the same episode, -1 at a start
        self._episode: list[list[int]] = [[] for _ in range(worlds)]  # numbers of the decisions of the running episode
        self._successes, self._keep = deque[list[int]](), successes
        self._tree = SumTree(self.slots if priority else 1)
        self._top = 1.0  # largest priority seen: what a new decision gets

    def __len__(self) -> int:
        """Decisions that can be sampled, give or take those of a world that writes more rows than the others."""
        return self.made - self.oldest

    # --- writing ---

    def begin_episode(self, worlds: NDArray[np.bool_], obs: NDArray[np.uint8]) -> None:
        """Store the first observation of a new episode in each world of the mask (N,)."""
        self._write(np.flatnonzero(worlds), obs, age=0)
        self._previous[worlds] = -1
        for n in np.flatnonzero(worlds):
            self._episode[n] = []

    def decide(
        self,
        worlds: NDArray[np.bool_],
        option: NDArray[np.int64],
        allowed: NDArray[np.bool_],
        values: NDArray[np.float32] | None = None,
    ) -> None:
        """Option ``option[n]``, of those ``allowed[n]`` (N, O), begins in each world n of the mask, at the newest row.

        ``values`` (N, outputs), by which it was chosen, are handed out by the next :meth:`fresh`, to spare working them out again.
        """
        if values is not None:
            self._values[worlds, (self._written[worlds] - 1) % self.rows] = values[worlds]
        self._begun[worlds] = self._written[worlds] - 1
        self._option[worlds], self._allowed[worlds] = option[worlds], allowed[worlds]

    def step(
        self,
        reward: NDArray[Any],
        obs: NDArray[np.uint8],
        worlds: NDArray[np.bool_] | None = None,
        invalid: NDArray[np.bool_] | None = None,
    ) -> None:
        """Every world (of the mask, if there is one) took one step.

        Args: reward (N,), the observation it led to, and ``invalid`` (N,) where its action had no effect (None: all had one).
        """
        stepped = np.arange(self.worlds) if worlds is None else np.flatnonzero(worlds)
        newest = (self._written[stepped] - 1) % self.rows
        self._reward[stepped, newest] = np.asarray(reward)[stepped]
        self._invalid[stepped, newest] = False if invalid is None else invalid[stepped]
        self._write(stepped, obs, age=np.minimum(self._age[stepped, newest], 254) + 1)

    def complete(
        self, worlds: NDArray[np.bool_], terminated: NDArray[np.bool_], ended: NDArray[np.bool_], available: NDArray[np.bool_]
    ) -> None:
        """The running decision is over at the newest row, in each world of the mask.

        Args: terminated (N,), ended (N,) the episode is over for whatever reason, available (N, O) options there.
        """
        n = np.flatnonzero(worlds)
        number = self._append(n, self._begun[n], self._option[n], terminated, ended, self._allowed, available, np.zeros(len(n)))
        linked = self._previous[n] >= 0
        self._decisions["next"][self._previous[n][linked] % self.slots] = number[linked]
        self._previous[n] = np.where(ended[n], -1, number)
        if self._keep:
            for world in n[terminated[n]]:
                self._successes.append(self._episode[world])
            while sum(map(len, self._successes)) > self._keep:
                self._successes.popleft()

    def inside(
        self,
        worlds: NDArray[np.bool_],
        option: NDArray[np.int64],
        terminated: NDArray[np.bool_],
        ended: NDArray[np.bool_],
        allowed: NDArray[np.bool_],
        available: NDArray[np.bool_],
        persists: NDArray[Any],
    ) -> None:
        """The newest step was also one of ``option[n]``, which would have done the same and gone on by chance ``persists[n]``.

        Intra-option learning (Sutton, Precup and Singh 1998): one frame teaches every option that agrees with it.
        """
        n = np.flatnonzero(worlds)
        self._append(n, self._written[n] - 2, option[n], terminated, ended, allowed, available, persists[n])

    def _append(
        self,
        n: NDArray[np.int64],
        first: NDArray[np.int64],
        option: NDArray[np.int64],
        terminated: NDArray[np.bool_],
        ended: NDArray[np.bool_],
        allowed: NDArray[np.bool_],
        available: NDArray[np.bool_],
        persists: NDArray[Any],
    ) -> NDArray[np.int64]:
        """Store decisions of the worlds ``n`` that end at the newest row; returns their numbers."""
        number = self.made + np.arange(len(n))
        slot = number % self.slots
        store = self._decisions
        store["world"][slot], store["option"][slot] = n, option
        store["first"][slot], store["last"][slot] = first, self._written[n] - 1
        store["terminated"][slot], store["ended"][slot] = terminated[n], ended[n]
        store["allowed"][slot], store["available"][slot] = allowed[n], available[n]
        store["persists"][slot], store["next"][slot] = persists, -1
        self.made += len(n)
        if self.priority:
            self._tree.set(slot, np.full(len(n), self._top))
        if self._keep:
            for world, i in zip(n.tolist(), number.tolist(), strict=True):
                self._episode[world].append(i)
        self._forget()
        return number

    def _write(self, worlds: NDArray[np.int64], obs: NDArray[np.uint8], age: int | NDArray[Any]) -> None:
        row = self._written[worlds] % self.rows
        place = self._tensor(worlds * self.rows + row)
        self._frames.index_copy_(0, place, self._tensor(obs[worlds, -1]))
        self._age[worlds, row] = age
        self._values[worlds, row] = np.nan
        self._written[worlds] += 1

    def _forget(self) -> None:
        while self.oldest < self.made:
            number = np.arange(self.oldest, min(self.oldest + 4 * self.worlds, self.made))
            whole = self._whole(number)
            gone = len(number) if not whole.any() else int(whole.argmax())
            if self.priority:
                self._tree.set(number[:gone] % self.slots, np.zeros(gone))
            self.oldest += gone
            if gone < len(number):
                return

    def _whole(self, number: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether all rows of these decisions, with the frames before their first, are still in the film."""
        slot = number % self.slots
        world, first = self._decisions["world"][slot], self._decisions["first"][slot]
        before = np.minimum(self._age[world, first % self.rows], self.stack - 1)
        return np.asarray(first - before >= self._written[world] - self.rows)

    # --- reading ---

    def sample(self, batch: int, n_step: int = 1, beta: float = 0.4, success: float = 0.0) -> Decisions:
        """``batch`` chains of up to ``n_step`` consecutive decisions of one episode, drawn with replacement.

        ``success``: share of them that is drawn from the newest successful episodes, once there are any.
        """
        number = np.empty(0, np.int64)
        while len(number) < batch:
            if self.priority:
                draw = self._tree.find(self._rng.random(batch) * self._tree.total)
                draw += (self.oldest - draw + self.slots - 1) // self.slots * self.slots  # slot -> number
            else:
                draw = self._rng.integers(self.oldest, self.made, batch)
            number = np.concatenate([number, draw[self._whole(draw)]])
        number = number[:batch]
        if success and (again := self._recall(round(success * batch))).size:
            number[: len(again)] = again
        weight = np.ones(batch, np.float32)
        if self.priority:
            chance = self._tree.weights[number % self.slots] / self._tree.total
            weight = ((len(self) * chance) ** -beta).astype(np.float32)
            weight /= weight.max()
        return self._gather(number, n_step, weight, self.made)

    def fresh(self, success: float = 0.0) -> Decisions:
        """All decisions that ended since this was last called, in the order in which they ended.

        ``success``: share of the batch that newest successful episodes are added to make, once there are any.
        """
        new, self._fresh = self._fresh, self.made
        number = np.arange(max(new, self.oldest), self.made)
        number = number[self._whole(number)]
        again = self._recall(round(len(number) * success / (1 - success)))
        number = np.concatenate([np.setdiff1d(again, number), number])
        decisions = self._gather(number, 1, np.ones(len(number), np.float32), new)
        self._values[:] = np.nan  # what is learned from these makes them stale
        return decisions

    def _recall(self, count: int) -> NDArray[np.int64]:
        """Numbers of about ``count`` decisions of successful episodes that are still whole, episode by episode."""
        again: list[int] = []
        for episode in self._rng.permutation(len(self._successes)) if count else ():
            again += self._successes[episode]
            if len(again) >= count:
                break
        number = np.array(again[:count], np.int64)
        return number[self._whole(number)]

    def tries(self, most: int) -> Tries:
        """Of the decisions that are kept, at most so many of each option: those with the largest lots."""
        number = np.arange(self.oldest, self.made)
        # The lot of decision i is number i of one and the same stream: it draws alike whenever it is asked.
        drawn = np.random.Generator(np.random.PCG64(0).advance(self.oldest)).random(len(number))
        whole = self._whole(number)
        number, drawn = number[whole], drawn[whole]
        option = self._decisions["option"][number % self.slots].astype(np.int64)
        of = _largest(option, drawn, most)
        slot = number[of] % self.slots
        frames = self._stacked(self._decisions["world"][slot], self._decisions["first"][slot])
        return Tries(frames.cpu().numpy(), option[of], self._futile(slot), number[of], drawn[of])

    def _futile(self, slot: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether no step of these decisions had an effect, (B,)."""
        world, first, last = (self._decisions[name][slot] for name in ("world", "first", "last"))
        step = np.arange((last - first).max(initial=1))
        invalid = self._invalid[world[:, None], (first[:, None] + step) % self.rows]
        return np.asarray((invalid | (step >= (last - first)[:, None])).all(1))

    def set_priority(self, number: NDArray[np.int64], error: NDArray[Any]) -> None:
        """New priorities |error|^priority for these decisions; those forgotten meanwhile are left alone."""
        live = number >= self.oldest
        weight = (np.abs(error[live]) + 1e-6) ** self.priority
        self._top = max(self._top, float(weight.max(initial=0.0)))
        self._tree.set(number[live] % self.slots, weight)

    def _gather(self, number: NDArray[np.int64], n_step: int, weight: NDArray[np.float32], new: int) -> Decisions:
        """These decisions, those from number ``new`` on marked as fresh."""
        store, slot = self._decisions, number % self.slots
        end = slot
        for _ in range(n_step - 1):
            following = store["next"][end]
            end = np.where(following >= 0, following % self.slots, end)
        world, first, last = store["world"][slot], store["first"][slot], store["last"][end]
        length = last - first
        step = np.arange(length.max(initial=1))
        rewards = self._reward[world[:, None], (first[:, None] + step) % self.rows]
        # Most decisions begin where another ended: each observation is built, and later judged, once.
        place, index = np.unique(np.concatenate([first, last]) * self.worlds + np.tile(world, 2), return_inverse=True)
        position = {n: i for i, n in enumerate(number.tolist())}
        return Decisions(
            frames=self._stacked(place % self.worlds, place // self.worlds),
            values=self._values[place % self.worlds, place // self.worlds % self.rows],
            start=index[: len(number)],
            end=index[len(number) :],
            option=store["option"][slot].astype(np.int64),
            rewards=np.where(step < length[:, None], rewards, 0).astype(np.float32),
            length=length,
            allowed=store["allowed"][slot],
            terminated=store["terminated"][end],
            ended=store["ended"][end],
            available=store["available"][end],
            persists=store["persists"][end],
            following=np.array([position.get(n, -1) for n in store["next"][end].tolist()], np.int64),
            weight=weight,
            fresh=number >= new,
            id=number,
        )

    def _stacked(self, world: NDArray[Any], row: NDArray[np.int64]) -> Tensor:
        """The observation at these rows, (B, S, H, W): the newest frame last, zeros before the episode's start."""
        back = np.arange(self.stack - 1, -1, -1)
        place = world[:, None].astype(np.int64) * self.rows + (row[:, None] - back) % self.rows
        place[self._age[world, row % self.rows][:, None] < back] = len(self._frames) - 1
        frames: Tensor = self._frames.index_select(0, self._tensor(place.ravel())).unflatten(0, place.shape)
        return frames

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._frames.device)

    # --- state ---

    def state_dict(self) -> dict[str, Any]:
        arrays = {name: value.copy() for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return {
            "arrays": arrays,
            "frames": self._frames.clone(),
            "decisions": {name: value.copy() for name, value in self._decisions.items()},
            "episodes": [list(episode) for episode in self._episode],
            "successes": [list(episode) for episode in self._successes],
            "numbers": {"made": self.made, "oldest": self.oldest, "_fresh": self._fresh, "_top": self._top},
            "tree": self._tree.weights.copy(),
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state["arrays"].items():
            getattr(self, name)[...] = value
        self._frames.copy_(state["frames"])
        for name, value in state["decisions"].items():
            self._decisions[name][...] = value
        self._episode = [list(episode) for episode in state["episodes"]]
        self._successes = deque(list(episode) for episode in state["successes"])
        for name, value in state["numbers"].items():
            setattr(self, name, value)
        self._tree.set(np.arange(self._tree.size), state["tree"])
        self._rng.bit_generator.state = state["rng"]

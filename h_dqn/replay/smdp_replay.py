"""Replay for a semi-MDP: decisions of any length, over frames that are stored once.

A decision points into the trajectory of its environment (first row, last row), so its raw rewards, its length and both of its
observations are there, and discounting waits until it is sampled.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.replay.decision_store import DecisionStore
from h_dqn.replay.decisions import Decisions, End, ReplayNeeds
from h_dqn.replay.gather import gather
from h_dqn.replay.reservoir import Reservoir, draw_for, largest_of_each
from h_dqn.replay.sum_tree import SumTree
from h_dqn.replay.trajectory_buffer import Bools, Ints, TrajectoryBuffer
from h_dqn.state import CheckpointError, checked, numbers, restore

RUNNING = ("first", "option", "available", "previous")  # what is known of the decisions that are running
BETA = 0.4  # exponent of the importance weights of prioritised replay


class SMDPReplay:
    """Keeps about ``capacity`` environment steps of N environments.

    Args:
        num_envs: N.
        capacity: environment steps over all environments.
        shape: (S, H, W) of an observation; only its newest frame is stored.
        num_options: O.
        rng: decides what is drawn.
        needs: what the learner asks for.
        device: where the frames are kept and handed out.
    """

    def __init__(
        self,
        num_envs: int,
        capacity: int,
        shape: tuple[int, int, int],
        num_options: int,
        rng: np.random.Generator,
        needs: ReplayNeeds | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.num_envs, self.needs, self._rng = num_envs, (needs := needs or ReplayNeeds()), rng
        rows = -(-capacity // num_envs)
        self.trajectories = TrajectoryBuffer(num_envs, rows, shape, needs.record_size, device, needs.state_size)
        # Few live decisions share a first row (an option, and those that its first step also was), so slots never collide.
        self.slots = (1 + needs.intra_option) * num_envs * self.trajectories.rows
        self._decisions = DecisionStore(self.slots, num_options)
        self.made = 0  # decisions ever stored
        self.oldest = 0  # no decision of a lower number is whole any more
        self._fresh = 0  # none below is handed out by ``fresh`` again
        self._first = np.zeros(num_envs, np.int64)  # first row of the decision that is running
        self._option = np.full(num_envs, -1)
        self._available = np.zeros((num_envs, num_options), bool)
        self._previous = np.full(num_envs, -1)  # number of the decision before it in the same episode, -1 at a start
        self._episode: list[list[int]] = [[] for _ in range(num_envs)]  # numbers of the decisions of the running episode
        self._successes = deque[list[int]]()
        self._tree = SumTree(self.slots if needs.priority else 1)
        self._top = 1.0  # largest priority seen: what a new decision gets

    def __len__(self) -> int:
        """Decisions that can be sampled, give or take those of an environment that writes more rows than the others."""
        return self.made - self.oldest

    # --- writing ---

    def begin_episode(self, envs: Bools, obs: NDArray[np.uint8]) -> None:
        """Store the first observation of a new episode in each environment of the mask (N,)."""
        self.trajectories.begin_episode(np.flatnonzero(envs), obs)
        self._previous[envs] = -1
        for n in np.flatnonzero(envs):
            self._episode[n] = []

    def begin_decision(self, envs: Bools, option: Ints, available: Bools, record: NDArray[np.float32] | None = None) -> None:
        """Option ``option[n]``, of those ``available[n]`` (N, O), begins in each environment n of the mask, where it is now.

        ``record`` (N, R), by which it was chosen, is handed out beside it.
        """
        if record is not None:
            self.trajectories.keep_record(envs, record)
        self._first[envs] = self.trajectories.written[envs] - 1
        self._option[envs], self._available[envs] = option[envs], available[envs]

    def step(
        self,
        reward: NDArray[Any],
        next_obs: NDArray[np.uint8],
        envs: Bools | None = None,
        invalid: Bools | None = None,
        state: Tensor | None = None,
    ) -> None:
        """Every environment (of the mask, if there is one) took one step.

        Args: reward (N,), what it led to and the state (N, C) before that; ``invalid`` (N,) where it did nothing (None: nowhere).
        """
        stepped = np.arange(self.num_envs) if envs is None else np.flatnonzero(envs)
        self.trajectories.step(stepped, reward, invalid, next_obs, state)

    def end_decision(self, envs: Bools, end: End) -> None:
        """The running decision is over where the environment is now, in each environment of the mask (N,)."""
        n = np.flatnonzero(envs)
        number = self._append(n, self._first[n], self._option[n], end._replace(available=self._available), np.zeros(len(n)))
        linked = self._previous[n] >= 0
        self._decisions["next"][self._previous[n][linked] % self.slots] = number[linked]
        self._previous[n] = np.where(end.done[n], -1, number)
        if self.needs.successes:
            for env in n[end.terminated[n]]:
                self._successes.append(self._episode[env])
            while sum(map(len, self._successes)) > self.needs.successes:
                self._successes.popleft()

    def add_intra_option(self, envs: Bools, option: Ints, end: End, continuation: NDArray[Any]) -> None:
        """The newest step was also one of ``option[n]``, which would have done the same and gone on by ``continuation[n]`` (N,).

        Intra-option learning (Sutton, Precup and Singh 1998): one step teaches every option that agrees with it.
        """
        n = np.flatnonzero(envs)
        self._append(n, self.trajectories.written[n] - 2, option[n], end, continuation[n])

    def _append(self, n: Ints, first: Ints, option: Ints, end: End, continuation: NDArray[Any]) -> Ints:
        """Store decisions of the environments ``n`` that end where they are now; returns their numbers."""
        number = self.made + np.arange(len(n))
        ends = {name: value[n] for name, value in end._asdict().items()}
        last = self.trajectories.written[n] - 1
        self._decisions.write(number, env=n, first=first, last=last, option=option, continuation=continuation, next=-1, **ends)
        self.made += len(n)
        if self.needs.priority:
            self._tree.set(number % self.slots, np.full(len(n), self._top))
        if self.needs.successes:
            for env, i in zip(n.tolist(), number.tolist(), strict=True):
                self._episode[env].append(i)
        self._forget()
        return number

    def _forget(self) -> None:
        while self.oldest < self.made:
            whole = self._whole(number := np.arange(self.oldest, min(self.oldest + 4 * self.num_envs, self.made)))
            gone = len(number) if not whole.any() else int(whole.argmax())
            if self.needs.priority:
                self._tree.set(number[:gone] % self.slots, np.zeros(gone))
            self.oldest += gone
            if gone < len(number):
                return

    def _whole(self, number: Ints) -> Bools:
        """Whether all rows of these decisions, with the frames before their first, are still there."""
        return self.trajectories.whole(*self._decisions.parts(number, "env", "first"))

    # --- reading ---

    def sample(self, batch: int, n_step: int = 1, success: float = 0.0) -> Decisions:
        """``batch`` chains of up to ``n_step`` consecutive decisions of one episode, drawn with replacement.

        ``success``: share of them that is drawn from the newest successful episodes, once there are any.
        """
        number = np.empty(0, np.int64)
        while len(number) < batch:
            if self.needs.priority:
                draw = self._tree.find(self._rng.random(batch) * self._tree.total)
                draw += (self.oldest - draw + self.slots - 1) // self.slots * self.slots  # slot -> number
            else:
                draw = self._rng.integers(self.oldest, self.made, batch)
            number = np.concatenate([number, draw[self._whole(draw)]])
        again = self._recall(round(success * batch))
        number = np.concatenate([again, number[len(again) : batch]])
        weight = np.ones(batch, np.float32)
        if self.needs.priority:
            chance = self._tree.weights[number % self.slots] / self._tree.total
            weight = ((len(self) * chance) ** -BETA).astype(np.float32)
            weight /= weight.max()
        return self._gather(number, weight, n_step)

    def fresh(self, success: float = 0.0) -> Decisions:
        """All decisions that ended since this was last called, in the order in which they ended.

        ``success``: share of the batch that newest successful episodes are added to make, once there are any.
        """
        new, self._fresh = self._fresh, self.made
        number = np.arange(max(new, self.oldest), self.made)
        number = number[self._whole(number)]
        again = self._recall(round(len(number) * success / (1 - success)))
        number = np.concatenate([np.setdiff1d(again, number), number])
        return self._gather(number, np.ones(len(number), np.float32), new=new)

    def near(self, count: int, steps: int) -> tuple[Ints, Ints, Ints]:
        """Stretches of ``steps`` rows around decisions drawn at random, so many; each decision began in one stretch.

        Returns: numbers of all decisions that began in these (B,), in which of them each did (B,), those drawn (count,).
        """
        live = (number := np.arange(self.oldest, self.made))[self._whole(number)]
        stretch = self.stretches(live, steps)
        drawn = stretch[self._rng.integers(0, len(live), count)]
        near = np.isin(stretch, drawn)
        return live[near], stretch[near], drawn

    def stretches(self, number: Ints, steps: int) -> Ints:
        """In which stretch of ``steps`` rows of one environment each of these decisions (B,) began, as a number (B,)."""
        env, first = self._decisions.parts(number, "env", "first")
        return np.asarray(first // steps * self.num_envs + env)

    def sequences(self, number: Ints, sequence: Ints, n_step: int = 1, ends: bool = True) -> Decisions:
        """Chains of decisions that begin with these (B,), in the sequences (B,) that are said; see :func:`in_sequences`."""
        chains, weight = self._decisions.chains(number, n_step), np.ones(len(number), np.float32)
        return gather(self.trajectories, self._decisions, chains, weight, self.made, sequence, ends)

    def forget_records(self, size: int) -> None:
        """The first ``size`` numbers of what was recorded beside decisions are not true any more, since something was learned."""
        self.trajectories.record[:, :, :size] = np.nan

    def _recall(self, count: int) -> Ints:
        """Numbers of about ``count`` decisions of successful episodes that are still whole, episode by episode."""
        again: list[int] = []
        for episode in self._rng.permutation(len(self._successes)) if count else ():
            again += self._successes[episode]
            if len(again) >= count:
                break
        number = np.array(again[:count], np.int64)
        return number[self._whole(number)]

    def tries(self, most: int) -> Reservoir:
        """Of the decisions that are kept, a uniform sample of at most so many of each option."""
        number = np.arange(self.oldest, self.made)
        drawn, whole = draw_for(number), self._whole(number)
        number, drawn = number[whole], drawn[whole]
        option = self._decisions["option"][number % self.slots].astype(np.int64)
        of = largest_of_each(option, drawn, most)
        env, first, last = self._decisions.parts(number[of], "env", "first", "last")
        frames = self.trajectories.stacked(env, first).cpu().numpy()
        return Reservoir(frames, option[of], self.trajectories.all_invalid(env, first, last - first), number[of], drawn[of])

    def set_priority(self, number: Tensor, error: Tensor) -> None:
        """New priorities |error|^priority for these decisions (B,); those forgotten meanwhile are left alone."""
        number_B, error_B = number.cpu().numpy(), error.cpu().numpy()
        live = number_B >= self.oldest
        weight = (np.abs(error_B[live]) + 1e-6) ** self.needs.priority
        self._top = max(self._top, float(weight.max(initial=0.0)))
        self._tree.set(number_B[live] % self.slots, weight)

    def _gather(self, number: Ints, weight: NDArray[np.float32], n_step: int = 1, new: int | None = None) -> Decisions:
        """Chains of ``n_step`` decisions; those from number ``new`` on (none) are fresh."""
        new = self.made if new is None else new
        return gather(self.trajectories, self._decisions, self._decisions.chains(number, n_step), weight, new)

    # --- state ---

    def state_dict(self) -> dict[str, Any]:
        """What may still be looked at, between two rounds: arrays and frames as they are, not copies of them."""
        return {
            "number": (number := self._needed()),
            "decisions": self._decisions.state_dict(number),
            "trajectories": self.trajectories.state_dict(None if self.needs.resampled else self._rows(number)),
            "running": {name: getattr(self, f"_{name}") for name in RUNNING},
            "episodes": self._episode,
            "successes": list(self._successes),
            "numbers": [self.made, self.oldest, self._fresh],
            "priority": [self._top, self._tree.weights[number % self.slots].copy() if self.needs.priority else None],
            "rng": self._rng.bit_generator.state,
        }

    def _needed(self) -> Ints:
        """Numbers of the decisions that may still be looked at."""
        if self.needs.resampled:
            return np.arange(self.oldest, self.made)
        episodes = np.array([number for episode in (*self._successes, *self._episode) for number in episode], np.int64)
        number = np.unique(np.concatenate([episodes, np.arange(max(self._fresh, self.oldest), self.made)]))
        return number[self._whole(number)]

    def _rows(self, number: Ints) -> Bools:
        """Rows (N, rows) that these decisions stand on, and those that are running."""
        running = np.arange(self.num_envs), self._first, self.trajectories.written - 1
        ended = self._decisions.parts(number, "env", "first", "last")
        return self.trajectories.rows_of(*(np.concatenate(pair) for pair in zip(ended, running, strict=True)))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises :class:`h_dqn.checkpoint.CheckpointError` for a state that cannot be of this replay."""
        self.made, self.oldest, self._fresh = made, _, _ = numbers(state["numbers"], "numbers", 0)
        self.trajectories.load_state_dict(state["trajectories"])
        number = checked(state["number"], "number", (None,), np.int64, self.oldest, made - 1)
        most = {"env": self.num_envs - 1, "option": self._available.shape[1] - 1, "previous": made - 1, "next": made - 1,
                **dict.fromkeys(("first", "last"), int(self.trajectories.written.max()))}  # fmt: skip
        self._decisions.load_state_dict(state["decisions"], number, most)
        for name in RUNNING:
            restore(getattr(self, f"_{name}"), state["running"][name], name, -1, most.get(name))
        self._episode = [numbers(one, "episodes", 0, made - 1) for one in state["episodes"]]
        self._successes = deque(numbers(one, "successes", 0, made - 1) for one in state["successes"])
        if len(self._episode) != self.num_envs or not max(self.oldest, self._fresh) <= made:
            raise CheckpointError("the replay is one of other environments")
        self._top, weights = state["priority"]
        if self.needs.priority:
            self._tree.set(number % self.slots, checked(weights, "priority", (len(number),), np.float64, 0))
        self._rng.bit_generator.state = state["rng"]

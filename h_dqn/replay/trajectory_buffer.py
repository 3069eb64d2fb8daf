"""What N environments showed, each frame stored once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.checkpoint import like
from h_dqn.state import CheckpointError, checked, restore

KEPT = ("reward", "invalid", "age")  # what is saved beside the frames

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class TrajectoryBuffer:
    """A ring of ``rows`` observations for each of N environments, with the reward of the step that left each of them.

    An episode's last observation has a row like any other, and the next episode's first row follows it. Row r of environment n is
    the r-th that it ever wrote; it stays until ``rows`` more were written.

    Args:
        num_envs: N.
        rows: observations kept of each environment.
        shape: (S, H, W) of an observation; only its newest frame is stored.
        record_size: numbers that can be kept beside each observation (R).
        device: where the frames are kept and handed out.
        state_size: numbers of the state that is kept beside each observation (C), so that a sequence can begin at any.
    """

    def __init__(
        self,
        num_envs: int,
        rows: int,
        shape: tuple[int, int, int],
        record_size: int,
        device: torch.device | None = None,
        state_size: int = 0,
    ) -> None:
        self.num_envs, self.rows, self.stack = num_envs, rows, shape[0]
        self.frames = torch.zeros((num_envs * rows + 1, *shape[1:]), dtype=torch.uint8, device=device)  # the last stays blank
        self.state = torch.zeros(num_envs * rows, state_size, device=device)  # what was remembered before the frame
        self.reward = np.zeros((num_envs, rows), np.float32)
        self.invalid = np.zeros((num_envs, rows), bool)  # the step had no effect
        self.record = np.full((num_envs, rows, record_size), np.nan, np.float32)
        self.age = np.zeros((num_envs, rows), np.uint8)  # frames of the same episode before this one, at most 255
        self.written = np.zeros(num_envs, np.int64)  # rows ever written by each environment

    def begin_episode(self, envs: Ints, obs: NDArray[np.uint8]) -> None:
        """Store the first observation of new episodes of these environments, of ``obs`` (N, S, H, W)."""
        self._write(envs, obs, 0)

    def step(
        self, envs: Ints, reward: NDArray[Any], invalid: Bools | None, next_obs: NDArray[np.uint8], state: Tensor | None = None
    ) -> None:
        """These environments took one step: its reward (N,), whether it had no effect (N,), what it led to, the state (N, C)."""
        newest = (self.written[envs] - 1) % self.rows
        self.reward[envs, newest] = np.asarray(reward)[envs]
        self.invalid[envs, newest] = False if invalid is None else invalid[envs]
        self._write(envs, next_obs, np.minimum(self.age[envs, newest], 254) + 1, state)

    def _write(self, envs: Ints, obs: NDArray[np.uint8], age: int | NDArray[Any], state: Tensor | None = None) -> None:
        row = self.written[envs] % self.rows
        if self.state.shape[1]:
            self.state[self.tensor(envs * self.rows + row)] = 0.0 if state is None else state[self.tensor(envs)]
        self.frames.index_copy_(0, self.tensor(envs * self.rows + row), self.tensor(obs[envs, -1]))
        self.age[envs, row] = age
        self.record[envs, row] = np.nan
        self.written[envs] += 1

    def keep_record(self, envs: Bools, record: NDArray[np.float32]) -> None:
        """Keep ``record[n]`` (N, R) beside the newest observation of each environment n of the mask."""
        self.record[envs, (self.written[envs] - 1) % self.rows] = record[envs]

    def whole(self, env: NDArray[Any], first: Ints) -> Bools:
        """Whether what began at row ``first`` (B,) of ``env`` (B,), and the frames before it, is still there."""
        before = np.minimum(self.age[env, first % self.rows], self.stack - 1)
        return np.asarray(first - before >= self.written[env] - self.rows)

    def rewards(self, env: NDArray[Any], first: Ints, length: Ints) -> NDArray[np.float32]:
        """Rewards of the ``length`` (B,) steps from row ``first`` on, (B, K); 0 from its length on."""
        step = np.arange(length.max(initial=1))
        rewards = self.reward[env[:, None], (first[:, None] + step) % self.rows]
        return np.where(step < length[:, None], rewards, 0).astype(np.float32)

    def all_invalid(self, env: NDArray[Any], first: Ints, length: Ints) -> Bools:
        """Whether none of the ``length`` (B,) steps from row ``first`` on had an effect, (B,)."""
        step = np.arange(length.max(initial=1))
        invalid = self.invalid[env[:, None], (first[:, None] + step) % self.rows]
        return np.asarray((invalid | (step >= length[:, None])).all(1))

    def records(self, env: NDArray[Any], row: Ints) -> NDArray[np.float32]:
        """What was kept beside these rows, (B, R); NaN where nothing was."""
        return np.asarray(self.record[env, row % self.rows])

    def states(self, env: NDArray[Any], row: Ints) -> Tensor:
        """What was remembered before the observations at these rows, (B, C)."""
        return self.state[self.tensor(env * self.rows + row % self.rows)]

    def begins(self, env: NDArray[Any], row: Ints) -> Bools:
        """Whether an episode begins at these rows, (B,)."""
        return np.asarray(self.age[env, row % self.rows] == 0)

    def stacked(self, env: NDArray[Any], row: Ints) -> Tensor:
        """The observations at these rows, (B, S, H, W): the newest frame last, zeros before the episode's start."""
        back = np.arange(self.stack - 1, -1, -1)
        place = env[:, None].astype(np.int64) * self.rows + (row[:, None] - back) % self.rows
        place[self.age[env, row % self.rows][:, None] < back] = len(self.frames) - 1
        frames: Tensor = self.frames.index_select(0, self.tensor(place.ravel())).unflatten(0, place.shape)
        return frames

    def tensor(self, array: NDArray[Any]) -> Tensor:
        """``array`` where the frames are."""
        return torch.from_numpy(array).to(self.frames.device)

    def rows_of(self, env: Ints, first: Ints, last: Ints) -> Bools:
        """The rows ``first`` to ``last`` (B,) of these environments (B,), with the frames before them, as a mask (N, rows)."""
        first = first - np.minimum(self.age[env, first % self.rows], self.stack - 1)
        of = np.zeros((self.num_envs, self.rows), bool)
        for back in range(int((last - first).max(initial=-1)) + 1):
            here = last - back >= first
            of[env[here], (last - back)[here] % self.rows] = True
        return of

    def state_dict(self, of: Bools | None = None) -> dict[str, Any]:
        """These rows (N, rows), or all that were written: of them the frames are not copied."""
        if of is None:
            of = np.arange(self.rows) < self.written[:, None]
            used = np.minimum(self.written, self.rows).tolist()
            frames = [self.frames[n * self.rows : n * self.rows + count] for n, count in enumerate(used)]
        else:
            frames = [self.frames[self.tensor(np.flatnonzero(of))]]
        env, row = np.nonzero(of)
        kept = {name: getattr(self, name)[env, row] for name in KEPT}
        kept["record"] = None if np.isnan(self.record).all() else self.record[env, row]
        place = env * self.rows + row
        return {"written": self.written, "row": place, "frames": frames, "kept": kept, "state": self.state[self.tensor(place)]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        restore(self.written, state["written"], "written", 0)
        row = checked(state["row"], "row", (None,), np.int64, 0, len(self.frames) - 2)
        at = 0
        for frames in state["frames"]:
            here = row[at : at + len(frames)]
            if frames.dtype != torch.uint8 or frames.shape != (len(here), *self.frames.shape[1:]):
                raise CheckpointError(f"frames of the replay have shape {tuple(frames.shape)}")
            self.frames[self.tensor(here)] = frames.to(self.frames.device)
            at += len(frames)
        state_RC = torch.zeros(len(row), self.state.shape[1])
        self.state[self.tensor(row)] = like({"state": state["state"]}, {"state": state_RC}, "states")["state"].to(self.state.device)
        for name in KEPT:
            array = getattr(self, name)
            array.reshape(-1)[row] = checked(state["kept"][name], name, row.shape, array.dtype)
        self.record[:] = np.nan
        if (record := state["kept"]["record"]) is not None:
            size = self.record.shape[2]
            self.record.reshape(-1, size)[row] = checked(record, "record", (len(row), size), np.float32)

"""What a run logs: one JSON object a line in ``metrics.jsonl`` (the truth), and the same numbers for TensorBoard."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from h_dqn.files import check_own
from h_dqn.reading import Unreadable, parse_json, read_bytes
from h_dqn.rollout import Step
from h_dqn.state import numbers, restore

Row = dict[str, float]
METRICS, BOARD = "metrics.jsonl", "tensorboard"
LARGEST, LONGEST = 64 << 20, 1 << 20  # bytes of the file, and of a line
WINDOW = 300  # newest episodes that success and return while training are of


class MetricsLog:
    """Appends rows to ``folder/metrics.jsonl`` and to TensorBoard files in ``folder/tensorboard``.

    Where the disk is full, rows wait until there is room; nothing is raised.

    Args:
        folder: of the run.
        state: of :meth:`state_dict`; rows that were written after it are cut off, as they will be written again.
        env_steps: of that state.
    """

    def __init__(self, folder: Path, state: dict[str, Any] | None = None, env_steps: int = 0) -> None:
        state = state or {"size": 0, "waiting": []}
        check_own(folder / METRICS)
        check_own(folder / BOARD)
        self._file = (folder / METRICS).open("ab", buffering=0)
        self._size = min(state["size"], self._file.seek(0, os.SEEK_END))
        self._file.truncate(self._size)
        self._waiting: list[bytes] = [line.encode() for line in state["waiting"]]
        self._board: SummaryWriter | None = SummaryWriter(str(folder / BOARD), purge_step=env_steps or None)

    def write(self, row: Row) -> None:
        self._waiting.append(json.dumps(row).encode() + b"\n")
        try:
            while self._waiting:
                if self._file.write(self._waiting[0]) < len(self._waiting[0]):
                    raise OSError(ENOSPC, "only a part of a row was written")
                self._size += len(self._waiting.pop(0))
        except OSError:
            self._file.truncate(self._size)  # no part of a row stays
        try:
            for name, value in row.items() if self._board else ():
                self._board.add_scalar(name, value, int(row["env_steps"]))  # type: ignore[union-attr]
        except OSError:
            self._board = None  # it holds the same numbers once more

    def state_dict(self) -> dict[str, Any]:
        """How much is written; the disk has it when this returns."""
        os.fsync(self._file.fileno())
        return {"size": self._size, "waiting": [line.decode() for line in self._waiting]}

    def close(self) -> None:
        self._file.close()
        with suppress(OSError):
            if self._board:
                self._board.close()


def read_metrics(folder: Path) -> Iterator[Row]:
    """The rows of a run; one that is only half written yet is left out.

    Raises OSError, and :class:`h_dqn.reading.Unreadable` for what no run logs.
    """
    number = 0
    try:
        for line in read_bytes(folder / METRICS, LARGEST).split(b"\n")[:-1]:
            number += 1
            row = parse_json(line) if len(line) <= LONGEST else None
            if not isinstance(row, dict) or not all(type(value) in (int, float) for value in row.values()):
                raise Unreadable("is no row of numbers")
            yield row
    except Unreadable as error:
        raise Unreadable(f"{folder / METRICS}: {f'line {number} ' * (number > 0)}{error}") from error


def settled(log: Iterable[Row]) -> list[Row]:
    """The rows from the first full window of episodes on: those that end first are the short ones, and most of them successes."""
    return [row for row in log if row.get("episodes", 0) >= WINDOW]


class EpisodeStatistics:
    """Counts while training: success and return over the last 300 episodes, use of each option since the last row and in all."""

    def __init__(self, num_envs: int, options: list[str]) -> None:
        self.names = options
        self.episodes = 0
        self.successes = 0
        self.env_failed = 0
        self._running = np.zeros(num_envs)  # return so far of the episode that runs
        self._success: deque[float] = deque(maxlen=WINDOW)
        self._return: deque[float] = deque(maxlen=WINDOW)
        self.chosen = np.zeros(len(options))  # decisions for each option, since the beginning
        self._decisions = np.zeros(len(options))
        self._frames = np.zeros(len(options))
        self._invalid = self._steps = 0

    def begin(self) -> None:
        """Episodes begin anew in every environment."""
        self._running[:] = 0

    def add(self, step: Step) -> None:
        stepped = ~step.env_failed
        whole = step.done & stepped
        self._running[stepped] += step.reward[stepped]
        self._success.extend(step.terminated[whole].astype(float))
        self._return.extend(self._running[whole])
        self.episodes += int(whole.sum())
        self.successes += int(step.terminated[whole].sum())
        self.env_failed += int(step.env_failed.sum())
        self._running[step.done] = 0
        chosen = np.bincount(step.option[step.due & stepped], minlength=len(self.names))
        self.chosen += chosen
        self._decisions += chosen
        self._frames += np.bincount(step.option[stepped], minlength=len(self.names))
        self._invalid += int(step.info["invalid_action"][stepped].sum()) if "invalid_action" in step.info else 0
        self._steps += int(stepped.sum())

    @property
    def settled(self) -> bool:
        """Whether 300 episodes have ended: those that end first are the short ones, and most of them successes."""
        return len(self._success) == WINDOW

    @property
    def newest(self) -> list[float]:
        """Whether each of the newest 300 training episodes reached the goal, the oldest first."""
        return list(self._success)

    @property
    def success(self) -> float:
        """Share of the last 300 training episodes (those with exploration) that reached the goal."""
        return float(np.mean(self._success)) if self._success else 0.0

    @property
    def train_return(self) -> float:
        """Mean sum of rewards of the same episodes."""
        return float(np.mean(self._return)) if self._return else 0.0

    @property
    def shares(self) -> Row:
        """Share of all decisions so far that chose each option, by its name."""
        return {name: float(chosen / max(1, self.chosen.sum())) for name, chosen in zip(self.names, self.chosen, strict=True)}

    def row(self) -> Row:
        """What is worth logging; begins to count the use of options anew."""
        row = {
            "episodes": float(self.episodes),
            "train_success": self.success,
            "train_return": self.train_return,
            "invalid_share": self._invalid / max(1, self._steps),
            "env_failed": float(self.env_failed),
        }
        for name, decisions, frames in zip(self.names, self._decisions, self._frames, strict=True):
            row[f"decisions/{name}"] = float(decisions / max(1, self._decisions.sum()))
            row[f"frames/{name}"] = float(frames / max(1, self._frames.sum()))
        self._decisions[:] = self._frames[:] = 0
        self._invalid = self._steps = 0
        return row

    def state_dict(self) -> dict[str, Any]:
        return {
            "newest": [list(self._success), list(self._return)],
            "sums": [self._running.copy(), self._decisions.copy(), self._frames.copy(), self.chosen.copy()],
            "counters": [self.episodes, self.successes, self.env_failed, self._invalid, self._steps],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._success, self._return = (deque(map(float, values), maxlen=WINDOW) for values in state["newest"])
        for array, saved in zip((self._running, self._decisions, self._frames, self.chosen), state["sums"], strict=True):
            restore(array, saved, "sums")
        counters = numbers(state["counters"], "counters", 0)
        self.episodes, self.successes, self.env_failed, self._invalid, self._steps = counters

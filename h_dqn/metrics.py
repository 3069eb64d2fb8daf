"""What a run logs: one JSON object a line in ``metrics.jsonl`` (the truth), and the same numbers for TensorBoard."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from h_dqn.rollout import Step

Row = dict[str, float]
WINDOW = 300  # newest episodes that success and return while training are of


class MetricsLog:
    """Appends rows to ``folder/metrics.jsonl`` and to TensorBoard files in ``folder/tensorboard``."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"))

    def write(self, row: Row) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for name, value in row.items():
            self._board.add_scalar(name, value, int(row["env_steps"]))

    def close(self) -> None:
        self._file.close()
        self._board.close()


def read_metrics(folder: Path) -> list[Row]:
    """The rows of a run."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def settled(log: list[Row]) -> list[Row]:
    """The rows from the first full window of episodes on: those that end first are the short ones, and most of them successes."""
    return [row for row in log if row["episodes"] >= WINDOW]


class EpisodeStatistics:
    """Counts while training: success and return over the last 300 episodes, use of each option since the last row."""

    def __init__(self, num_envs: int, options: list[str]) -> None:
        self.names = options
        self.episodes = 0
        self.successes = 0
        self.env_failed = 0
        self._running = np.zeros(num_envs)  # return so far of the episode that runs
        self._success: deque[float] = deque(maxlen=WINDOW)
        self._return: deque[float] = deque(maxlen=WINDOW)
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
        self._decisions += np.bincount(step.option[step.due & stepped], minlength=len(self.names))
        self._frames += np.bincount(step.option[stepped], minlength=len(self.names))
        self._invalid += int(step.info["invalid_action"][stepped].sum()) if "invalid_action" in step.info else 0
        self._steps += int(stepped.sum())

    @property
    def settled(self) -> bool:
        """Whether 300 episodes have ended: those that end first are the short ones, and most of them successes."""
        return len(self._success) == WINDOW

    @property
    def success(self) -> float:
        """Share of the last 300 training episodes (those with exploration) that reached the goal."""
        return float(np.mean(self._success)) if self._success else 0.0

    @property
    def train_return(self) -> float:
        """Mean sum of rewards of the same episodes."""
        return float(np.mean(self._return)) if self._return else 0.0

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
            "sums": [self._running.copy(), self._decisions.copy(), self._frames.copy()],
            "counters": [self.episodes, self.successes, self.env_failed, self._invalid, self._steps],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._success, self._return = (deque(values, maxlen=WINDOW) for values in state["newest"])
        self._running, self._decisions, self._frames = (np.array(values) for values in state["sums"])
        self.episodes, self.successes, self.env_failed, self._invalid, self._steps = state["counters"]

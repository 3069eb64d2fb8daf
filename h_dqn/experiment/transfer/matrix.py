"""The zero-shot matrix: success of every skill, and of chance, in every task, without any training.

Cells are played one by one, each on one thread, side by side in several processes where that is asked for; so the outcome does not
depend on how many there are.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from envs.task import TaskError
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.place import VOXEL, Place
from h_dqn.experiment.processes import end_with_parent, limited
from h_dqn.experiment.race import play
from h_dqn.experiment.transfer.plan import Inputs, TransferPlan, kept_inputs
from h_dqn.experiment.watch import Watcher
from h_dqn.experiment.worlds import task_envs
from h_dqn.reading import Unreadable, short
from h_dqn.statistics import wilson
from skills_library.manifest import SkillError

CANNOT = (UserError, TaskError, SkillError)  # who plays and what is played do not go together; a world that fails is another matter
Key = tuple[str, str | None, str]


@dataclass(frozen=True)
class Cell:
    """What a skill (None: chance) did in a task of a world, or why it cannot play it."""

    world: str
    skill: str | None
    task: str
    successes: int = 0
    episodes: int = 0
    env_steps: int = 0
    cannot: str = ""

    @property
    def key(self) -> Key:
        """Which cell it is."""
        return self.world, self.skill, self.task

    @property
    def rate(self) -> float | None:
        """Success; None where it cannot be played."""
        return None if self.cannot else self.successes / self.episodes

    @property
    def ci95(self) -> tuple[float, float]:
        """The 95 % interval of success (Wilson 1927), where it was played."""
        return wilson(self.successes, self.episodes)

    @classmethod
    def from_json(cls, entry: Any) -> Cell:
        """What ``asdict`` gave. Raises :class:`h_dqn.reading.Unreadable` for anything else."""
        if not isinstance(entry, dict) or set(entry) != {one.name for one in fields(cls)}:
            raise Unreadable(f"has no cell in {short(entry)}")
        counts = [entry[name] for name in ("successes", "episodes", "env_steps")]
        texts = [entry[name] for name in ("world", "task", "cannot")]
        if not all(type(one) is int for one in counts) or not all(isinstance(one, str) for one in texts):
            raise Unreadable(f"has no cell in {short(entry)}")
        if not 0 <= counts[0] <= counts[1] <= counts[2] or bool(counts[1]) == bool(entry["cannot"]):
            raise Unreadable(f"has a cell that cannot be: {short(entry)}")
        return cls(**entry)


Cells = Mapping[Key, Cell]


def keys(plan: TransferPlan, inputs: Inputs) -> list[Key]:
    """All cells, chance first."""
    return [(world, skill, task) for world in plan.worlds for skill in (None, *inputs.agents) for task in inputs.tasks]


def play_cell(inputs: Inputs, key: Key, episodes: int, seed: int, watcher: Watcher) -> Cell:
    """Play one cell, as ``h-dqn evaluate`` plays: without actions that the task lacks."""
    world, skill, task = key
    agent = None if skill is None else inputs.agents[skill]
    try:
        envs = task_envs(inputs.tasks[task], inputs.shape if agent is None else agent.shape, Place(world))
        return Cell(*key, *play(agent, envs, episodes, seed, watcher))
    except CANNOT as error:
        return Cell(*key, cannot=" ".join(str(error).split()))


def play_cells(
    todo: Sequence[Key], inputs: Inputs, plan: TransferPlan, folder: Path, told: Callable[[Cell], None], watcher: Watcher
) -> None:
    """Play these cells, with several ``jobs`` in as many processes; worlds that are programs of their own are played from this one.

    Args:
        todo: which.
        inputs, plan: of whom, and how.
        folder: which keeps the inputs.
        told: is given each cell as soon as it was played; what it raises ends the work.
        watcher: is told of each step that this process plays.
    Raises :class:`UserError` where a process is killed from outside.
    """
    shared = [key for key in todo if key[0] == VOXEL.world] if plan.jobs > 1 else []
    if shared:
        with ProcessPoolExecutor(min(plan.jobs, len(shared)), get_context("spawn"), _begin, (folder, plan)) as pool:
            try:
                for one in as_completed([pool.submit(_play, key) for key in shared]):
                    told(one.result())
            except BrokenProcessPool as error:
                raise UserError("a process that played was ended from outside; for lack of memory, try fewer --jobs") from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    with limited(1):
        for key in todo:
            if key not in shared:
                told(play_cell(inputs, key, plan.episodes, plan.seed, watcher))


# --- in a process that plays ---

_playing: list[tuple[TransferPlan, Inputs]] = []


def _begin(folder: Path, plan: TransferPlan) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who began it decides what becomes of it
    end_with_parent()
    _playing.append((plan, kept_inputs(plan, folder)))


def _play(key: Key) -> Cell:
    plan, inputs = _playing[0]
    with limited(1):
        return play_cell(inputs, key, plan.episodes, plan.seed, Watcher())

"""Whether a sequence is a test of lifelong learning at all: it is none for who cannot learn its tasks, or does not forget them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h_dqn.experiment.lifelong import Lifelong
from h_dqn.experiment.lifelong_plan import LifelongPlan
from h_dqn.experiment.lifelong_result import read_lifelong
from h_dqn.experiment.lives import new_life
from h_dqn.experiment.run_folder import RunFolder
from h_dqn.experiment.training import preset as named_preset
from h_dqn.experiment.watch import Watcher

SCRATCH, JOINT, FORGETS = 0.95, 0.9, 0.3  # least success of scratch on each task, of joint in the mean; least forgetting
AGENTS = ("scratch", "joint", "finetune")


@dataclass(frozen=True)
class Validity:
    """What three lives through a sequence show."""

    scratch: dict[str, float]
    """of each task, the success of a network of its own, where it was first learned"""
    joint: float
    """mean success of one network that learned all at once"""
    forgetting: float
    """of one network that goes on with its weights"""

    @property
    def wrong(self) -> list[str]:
        """What is against it, a line each; none if it is a test."""
        found = [f"scratch does not learn '{task}': {rate:.1%} of episodes, not {SCRATCH:.0%}"
                 for task, rate in self.scratch.items() if rate < SCRATCH]  # fmt: skip
        if self.joint < JOINT:
            found.append(f"one network does not learn all tasks at once: {self.joint:.1%}, not {JOINT:.0%}")
        if not self.forgetting >= FORGETS:
            found.append(f"fine-tuning forgets too little: {self.forgetting:.2f}, not {FORGETS:.2f}")
        return found


def measure(sequence: str | Path, runs: Path, seed: int = 1, watcher: Watcher | None = None, **how: Any) -> Validity:
    """Let three agents live through a sequence, told which task it is, or go on where that was stopped.

    Args:
        sequence: a sequence's name or the path of its file.
        runs: where their folders are kept, one an agent; what is over there is not done again.
        seed: decides everything random.
        watcher: is told how it goes on.
        how: ``preset``, what :class:`LifelongPlan` has, and any setting by its name.
    """
    own = {key: how.pop(key) for key in ("preset", "measure_every", "episodes", "end_episodes") if key in how}
    config = named_preset(own.get("preset", "life"), **how)
    lives = {}
    for agent in AGENTS:
        folder = runs / agent
        if RunFolder(folder).result is None:
            plan = LifelongPlan(str(sequence), agent, config, seed=seed, **own)
            life = Lifelong.resume(folder) if RunFolder(folder).begun else new_life(plan, runs, agent)
            life.learn(watcher)
        lives[agent] = read_lifelong(folder)
    names, of = ([one[key] for one in lives["scratch"][part]] for part, key in (("tasks", "name"), ("phases", "task")))
    after = lives["scratch"]["matrix"][1:]
    scratch = {f"{name} ({task + 1})": float(after[of.index(task)][task]) for task, name in enumerate(names)}
    last = lives["joint"]["metrics"]["average_performance"], lives["finetune"]["metrics"]["forgetting"]
    return Validity(scratch, float(last[0]), float("nan") if last[1] is None else float(last[1]))

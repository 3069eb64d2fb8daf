"""The plasticity probe: now and then a clone of the agent, with a fresh head, learns a task that is in no phase of its life.

How well a newest task is learned is a matter of transfer as well as of plasticity. The probe's task is always the same, with the
same seeds, so that what changes from one probe to the next is the network that it begins with. The life itself knows nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import h_dqn.lifelong_metrics as metrics
from envs.sequence import Phase
from envs.task import TaskSpec
from envs.task_file import load_task, read_task
from h_dqn.config import change
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.lifelong_agent import Player, Setting, network_of, options_of
from h_dqn.experiment.lifelong_envs import Looks
from h_dqn.experiment.lifelong_plan import LifelongPlan
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.networks import QNetwork
from h_dqn.train import Trainer

LOOKS = 5  # evaluations while it learns, evenly spaced, beside the one before


@dataclass(frozen=True)
class Probe:
    """One clone's learning."""

    env_steps: int
    """of the life, when it was cloned"""
    phase: int
    """in which the life was; -1 before any"""
    steps: tuple[int, ...]
    """(E,) environment steps that the clone had learned for at each evaluation"""
    success: tuple[float, ...]
    """(E,)"""
    taken: int
    """environment steps of all of it, evaluations included"""
    seconds: float

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Probe:
        """What ``asdict`` made of one, lists where tuples were."""
        return cls(**{**entry, "steps": tuple(entry["steps"]), "success": tuple(entry["success"])})

    @property
    def area(self) -> float:
        """Mean success while it learned (:func:`h_dqn.lifelong_metrics.area`)."""
        return metrics.area(np.array(self.steps), np.array(self.success))


def probe_task(name: str, phases: Sequence[Phase]) -> TaskSpec:
    """The probe's task with actions and items as the sequence has them.

    Raises :class:`UserError` for one that is in the sequence, or cannot be played by who plays it.
    """
    own, first = load_task(name), phases[0].task
    if own.text in {phase.task.text for phase in phases}:
        raise UserError(f"--probe-task {name}: is a task of this sequence; give one that it never meets")
    if lacking := [action for action in own.own_actions if action not in first.all_actions]:
        raise UserError(f"--probe-task {name}: has actions that the sequence lacks ({', '.join(lacking)}); give another task")
    items = tuple(dict.fromkeys((*first.items, *own.items)))
    return read_task(
        own.text, own.name, {"shared": {"actions": list(first.all_actions), "items": list(items), "hotbar": first.hotbar}}
    )


class Prober:
    """Makes probes, and counts what they cost.

    Args:
        plan: of the life.
        setting: what the agent lives in.
        phases: of the life.
    """

    def __init__(self, plan: LifelongPlan, setting: Setting, phases: Sequence[Phase]) -> None:
        self.plan, self.setting = plan, setting
        self.envs = TaskEnvs(probe_task(plan.probe_task, phases), setting.shape)
        self.seed = int(np.random.SeedSequence([plan.seed, 17]).generate_state(1)[0])  # one for all probes
        self._looks = Looks([self.envs], setting.told, self.seed)

    def due(self, env_steps: int, probes: Sequence[Probe]) -> bool:
        """Whether it is time for the next; the first is before any learning."""
        every = self.plan.probe_every
        return not probes or env_steps // every > probes[-1].env_steps // every

    def probe(self, network: QNetwork, env_steps: int, phase: int, told: Callable[[int], None]) -> Probe:
        """Let a clone of ``network`` with a fresh head learn, after so many environment steps of the life, in this phase.

        ``told`` is called all the time; what it raises ends it.
        """
        began, steps, success, taken = time.perf_counter(), list[int](), list[float](), 0
        with torch.random.fork_rng():  # the life goes on as if nothing had been
            config = change(self.setting.config, env_steps=self.plan.probe_steps)
            trainer = Trainer(self.envs, options_of(self.envs, self.setting.told), config, self.seed)
            trainer.learner.warm_start(self.setting.options, network, ())
            rounds = trainer.run()
            while True:
                if trainer.done or trainer.env_steps * LOOKS >= self.plan.probe_steps * len(steps):
                    player = Player(network_of(trainer.learner), self.setting.config.learner.temperature)
                    outcome, _ = self._looks.play(0, player, self.plan.episodes, told)
                    steps.append(trainer.env_steps)
                    success.append(outcome.success_rate)
                    taken += outcome.env_steps
                if trainer.done:
                    break
                next(rounds)
                told(0)
        seconds = time.perf_counter() - began
        return Probe(env_steps, phase, tuple(steps), tuple(success), taken + trainer.env_steps, seconds)


def figures_of(probes: Sequence[Probe]) -> dict[str, Any]:
    """Areas of the probes, and their slope: change a probe, from the first one after any learning on (None of fewer than two)."""
    areas = [probe.area for probe in probes]
    later = np.array(areas[1:])
    return {"probe_areas": areas, "probe_slope": metrics.slope(later) if len(later) > 1 else None} if areas else {}

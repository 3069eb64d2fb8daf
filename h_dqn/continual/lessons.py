"""Lessons: frames of a task with what a teacher says of them, kept to teach one network all tasks.

The worlds of old tasks are not played again. The network learns to act as each teacher did (Rusu et al. 2016), and to say what its
best action is worth, so that Q-learning can go on with it. It learns from whole sequences that begin where an episode does: what it
remembers there is never stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor, nn

from h_dqn.agent_state import AgentState
from h_dqn.networks import QNetwork
from h_dqn.options import Bools, Ints, Option, OptionRunner
from h_dqn.rollout import Rollout
from h_dqn.seeds import episode_seeds

EPSILON = 0.1  # share of random actions while lessons are collected
TAU = 0.05  # temperature at which policies are compared
VALUE = 1.0  # weight of the best action's value beside the policy
NOT_THERE = -1e9  # value of an action that cannot be chosen


@dataclass(frozen=True)
class Lesson:
    """L steps in N environments, from the beginning of an episode on."""

    frames: Tensor  # (L, N, S, H, W) uint8
    begins: Tensor  # (L, N) bool: where an episode begins
    q: Tensor  # (L, N, O) the teacher's values
    available: Tensor  # (O,) bool

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))


class Collector:
    """Plays, shown to teacher and driver alike; the policy of the rollout.

    Args:
        teacher, driver: networks, and which of their outputs stand for the options.
        temperature: of the driver's choice by softmax(Q / temperature).
        seed: decides its draws.
    """

    def __init__(self, teacher: tuple[QNetwork, slice], driver: tuple[QNetwork, slice], temperature: float, seed: int) -> None:
        self.states = AgentState(teacher[0]), AgentState(driver[0])
        self.outputs, self.temperature = (teacher[1], driver[1]), temperature
        self._rng = np.random.default_rng([seed, 12])
        self.begins = np.zeros(0, bool)

    def observe(self, obs: NDArray[np.uint8], begins: Bools) -> None:
        """See :class:`h_dqn.options.Listener`."""
        self.begins = begins.copy()
        for state in self.states:
            state.observe(obs, begins)

    def label(self, obs: NDArray[np.uint8]) -> Tensor:
        """The teacher's values of the newest observations (N, S, H, W), (N, O)."""
        return self.states[0].values(obs, np.arange(len(obs)))[:, self.outputs[0]].clone()

    def __call__(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
        q_BO = self.states[1].values(obs, env_ids)[:, self.outputs[1]].numpy()
        noisy = np.where(available, q_BO + self.temperature * self._rng.gumbel(size=q_BO.shape), -np.inf)
        random = self._rng.random(len(obs)) < EPSILON
        chance = (self._rng.random(available.shape) * available).argmax(1)
        chosen: Ints = np.where(random, chance, noisy.argmax(1))
        return chosen


def collect(envs: VectorEnv[Any, Any, Any], options: Sequence[Option], collector: Collector, steps: int, seed: int) -> Lesson:
    """So many steps of every environment; which episodes is decided by the seed."""
    runner = OptionRunner(options, envs.num_envs, np.random.default_rng([seed, 13]))
    rollout = Rollout(envs, runner, collector, episode_seeds("train", seed, envs.num_envs))
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    available = torch.from_numpy(runner.available(rollout.obs)[0])
    for _ in range(steps):
        obs = rollout.obs
        rows.append((torch.from_numpy(obs.copy()), torch.from_numpy(collector.begins), collector.label(obs)))
        rollout.step()
    frames, begins, q = (torch.stack(part) for part in zip(*rows, strict=True))
    return Lesson(frames, begins, q, available)


def imitation_loss(q_BO: Tensor, teacher_BO: Tensor, available: Tensor) -> Tensor:
    """KL(softmax(teacher / TAU) || softmax(q / TAU)) + VALUE * (max q - max teacher)^2, means over the batch, ()."""
    now, then = (values.masked_fill(~available, NOT_THERE) for values in (q_BO, teacher_BO))
    divergence = nn.functional.kl_div(
        (now / TAU).log_softmax(1), (then / TAU).log_softmax(1), reduction="batchmean", log_target=True
    )
    return divergence + VALUE * (now.max(1).values - then.max(1).values).square().mean()


def distil(
    student: QNetwork,
    lessons: Sequence[tuple[slice, Lesson]],
    new: int,
    updates: int,
    sequences: int,
    learning_rate: float,
    rng: np.random.Generator,
) -> Iterator[float]:
    """Teach the student the newest lessons while it rehearses the others; yields the loss of each step.

    Args:
        student: learns.
        lessons: which outputs each is for, and the lesson; the last ``new`` of them are new.
        updates: gradient steps.
        sequences: of the new ones in each step, and as many of the others, drawn at random.
        learning_rate: at first; falls linearly to a twentieth.
        rng: decides what is drawn.
    """
    student.requires_grad_(True)
    optimizer = torch.optim.Adam(student.parameters(), lr=learning_rate, eps=1e-5)
    old = len(lessons) - new
    for update in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - 0.95 * update / updates)
        drawn = [*(old + rng.integers(0, new, sequences)), *(rng.integers(0, old, sequences) if old else [])]
        yield teach(
            student, optimizer, [(*lessons[number], int(rng.integers(0, lessons[number][1].frames.shape[1]))) for number in drawn]
        )
    student.requires_grad_(False)


def teach(student: QNetwork, optimizer: torch.optim.Optimizer, drawn: Sequence[tuple[slice, Lesson, int]]) -> float:
    """One gradient step; see :func:`_loss`, which it returns."""
    loss = _loss(student, drawn)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(student.parameters(), 10.0)
    optimizer.step()
    return float(loss.detach())


def _loss(student: QNetwork, drawn: Sequence[tuple[slice, Lesson, int]]) -> Tensor:
    """Mean over sequences: of the environment that is said, of a lesson, for these outputs."""
    device = next(student.parameters()).device
    frames = torch.stack([lesson.frames[:, one] for _, lesson, one in drawn], 1).to(device)
    begins = torch.stack([lesson.begins[:, one] for _, lesson, one in drawn], 1).to(device)
    q_LWO = student.head(student.unroll(frames, begins).flatten(0, 1)).unflatten(0, begins.shape)
    losses = [
        imitation_loss(q_LWO[:, place, outputs], lesson.q[:, one].to(device), lesson.available.to(device))
        for place, (outputs, lesson, one) in enumerate(drawn)
    ]
    return torch.stack(losses).mean()

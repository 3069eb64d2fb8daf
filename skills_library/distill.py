"""Distillation: several deep skill networks become one, with shared layers and one head a skill (Rusu et al. 2016; Tessler et al.
2017, "skill distillation").

Each teacher's task is played in worlds of its own. The teacher labels every frame with its Q-values; the student's head learns
to act alike. Half of the worlds can be driven by the student itself, so that it is taught also where its own mistakes lead
(Ross, Gordon and Bagnell 2011, DAgger).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor, nn

from h_dqn.config import ConfigError
from h_dqn.networks import QNetwork, inherit, pick_device, values
from h_dqn.options import Option, OptionRunner
from h_dqn.rollout import Rollout
from h_dqn.seeds import episode_seeds
from h_dqn.targets import DISTILLATION_LOSSES
from h_dqn.train import MakeEnvs
from skills_library.skill import DeepSkill, SkillError


@dataclass(frozen=True)
class DistillConfig:
    """How to distil."""

    loss: Literal["kl", "softmax", "nll", "mse"] = "kl"
    """kl: divergence from the teacher's softened choice; softmax: squared error to it (Tessler et al.); nll: the teacher's best
    action as a class; mse: squared error of Q-values"""
    tau: float = 0.05
    """temperature of the teacher's softmax (kl, softmax); below 1 it is sharpened"""
    student_share: float = 0.5
    """share of the worlds that the student drives; 0: only the teachers' own frames"""
    env_steps: int = 240_000
    """environment steps in each teacher's task"""
    network: str = "slim"
    """a name in networks.ARCHITECTURES"""
    worlds: int = 64
    """worlds of each task"""
    round_steps: int = 16
    """steps of every world between two rounds of learning"""
    memory: int = 40_000
    """frames of each task that are kept to learn from"""
    batch_size: int = 64
    """frames of each task in a minibatch"""
    updates: int = 24
    """minibatches in a round of learning"""
    epsilon: float = 0.05
    """share of random actions, by whoever drives"""
    learning_rate: float = 1e-3
    """step size of the optimiser; falls linearly to a twentieth"""

    def check(self) -> None:
        """Raises ConfigError for a setting that cannot be."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            flag = "--" + entry.name.replace("_", "-")
            if entry.name in ("student_share", "epsilon"):
                if not 0 <= value <= 1:
                    raise ConfigError(f"{flag} must be from 0 to 1, not {value}")
            elif not isinstance(value, str) and not 0 < value < np.inf:
                raise ConfigError(f"{flag} must be a number above 0, not {value}")


class _Class:
    """One teacher, the worlds of its task, and what was seen there."""

    def __init__(
        self,
        teacher: DeepSkill,
        envs: VectorEnv[Any, Any, Any],
        options: Sequence[Option],
        drive: Callable[..., NDArray[np.int64]],
        seed: int,
        memory: int,
    ) -> None:
        self.teacher = teacher
        runner = OptionRunner(options, envs.num_envs, np.random.default_rng([seed, 6]))
        self.rollout = Rollout(envs, runner, drive, episode_seeds("train", seed, envs.num_envs))
        self.obs = np.zeros((memory, *teacher.shape), np.uint8)
        self.q = torch.zeros(memory, len(teacher.actions))
        self.last = torch.zeros(memory)
        self.label = self.q[:0]  # the teacher's values of what the worlds show now
        self.seen = 0

    def step(self) -> None:
        """Remember the frame of every world, labelled by the teacher, then let it be driven one step on."""
        obs = self.rollout.obs
        rows = (self.seen + np.arange(len(obs))) % len(self.obs)
        self.obs[rows] = obs
        self.label, last = self.teacher.judge(obs)
        self.q[rows], self.last[rows] = self.label, last.float()
        self.seen += len(obs)
        self.rollout.step()


class Distiller:
    """Teaches one network the skills of several.

    Args:
        teachers: their networks must see the same frames.
        make_envs: for each teacher, makes a vector environment of its task.
        options: for each teacher, the primitive actions of that environment that its outputs stand for.
        config: settings.
        seed: decides everything that is random.
    Raises :class:`SkillError` for teachers that do not fit together.
    """

    def __init__(
        self,
        teachers: Sequence[DeepSkill],
        make_envs: Sequence[MakeEnvs],
        options: Sequence[Sequence[Option]],
        config: DistillConfig,
        seed: int,
    ) -> None:
        shape = teachers[0].shape
        for teacher in teachers:
            if teacher.shape != shape:
                raise SkillError(f"skills '{teachers[0].name}' and '{teacher.name}' see different frames: {shape}, {teacher.shape}")
        torch.manual_seed(seed)
        self.config, self._rng = config, np.random.default_rng([seed, 5])
        # A head is an output for each action, and one for "this action is the last".
        self.first = np.cumsum([0, *(len(teacher.actions) + 1 for teacher in teachers)]).tolist()
        self.network = QNetwork(config.network, shape, self.first[-1]).to(pick_device())
        inherit(self.network, teachers[0].network)  # what one skill sees by is worth more to the others than chance
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, eps=1e-5, fused=True)
        self.classes = [
            _Class(teacher, make(config.worlds), actions, self._driver(head), seed, config.memory)
            for head, (teacher, make, actions) in enumerate(zip(teachers, make_envs, options, strict=True))
        ]
        self.env_steps = 0  # in each task

    def run(self) -> Iterator[dict[str, float]]:
        """Teach to the end; yields the loss of each skill after each round."""
        c = self.config
        while self.env_steps < c.env_steps:
            for _ in range(c.round_steps):
                for one in self.classes:
                    one.step()
            self.env_steps += c.worlds * c.round_steps
            for group in self.optimizer.param_groups:
                group["lr"] = c.learning_rate * (1 - 0.95 * min(1.0, self.env_steps / c.env_steps))
            losses = torch.stack([self._update() for _ in range(c.updates)]).mean(0)
            names = (one.teacher.name for one in self.classes)
            yield {"env_steps": self.env_steps, **{f"loss/{name}": float(x) for name, x in zip(names, losses, strict=True)}}

    def _update(self) -> Tensor:
        """One minibatch with frames of every task; each head learns from its own teacher's frames alone. Returns (heads,)."""
        size, loss = self.config.batch_size, DISTILLATION_LOSSES[self.config.loss]
        drawn = [self._rng.integers(0, min(one.seen, len(one.obs)), size) for one in self.classes]
        frames = np.concatenate([one.obs[rows] for one, rows in zip(self.classes, drawn, strict=True)])
        device = next(self.network.parameters()).device
        q = self.network(torch.from_numpy(frames).to(device)).split(size)
        losses = torch.stack(
            [
                loss(one.q[rows].to(device), q[head][:, self._outputs(head)], self.config.tau)
                + nn.functional.binary_cross_entropy_with_logits(q[head][:, self.first[head + 1] - 1], one.last[rows].to(device))
                for head, (one, rows) in enumerate(zip(self.classes, drawn, strict=True))
            ]
        )
        self.optimizer.zero_grad()
        losses.sum().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimizer.step()
        return losses.detach()

    def _driver(self, head: int) -> Callable[..., NDArray[np.int64]]:
        def drive(obs: NDArray[np.uint8], available: NDArray[np.bool_], worlds: NDArray[np.int64]) -> NDArray[np.int64]:
            label = self.classes[head].label[worlds]
            action = label.argmax(1).numpy()
            own = worlds < self.config.student_share * self.config.worlds
            if own.any():
                action[own] = values(self.network, obs[own])[:, self._outputs(head)].argmax(1).numpy()
            random = self._rng.random(len(obs)) < self.config.epsilon
            action[random] = self._rng.integers(0, label.shape[1], int(random.sum()))
            return np.asarray(action, np.int64)

        return drive

    def _outputs(self, head: int) -> slice:
        return slice(self.first[head], self.first[head + 1] - 1)

    def skills(self, name: str) -> DeepSkill:
        """The student as a network of the library: one head a teacher, named ``name/TEACHER``."""
        self.network.eval().requires_grad_(False)
        teachers = [one.teacher for one in self.classes]
        # These losses make softmax(student) the teacher's policy, only less sure of itself, so it is sharpened; the others copy
        # values or only their order.
        temperature = 0.3 if self.config.loss in ("kl", "nll") else 0.0
        heads = tuple(
            DeepSkill(
                f"{name}/{teacher.name}",
                self.network,
                teacher.actions,
                teacher.steps,
                last_above=0.0,
                last_output=first + len(teacher.actions),
                card={"task": teacher.card["task"]},
                first=first,
                temperature=temperature,
            )
            for teacher, first in zip(teachers, self.first, strict=False)
        )
        actions = tuple(action for teacher in teachers for action in (*teacher.actions, "last"))
        return DeepSkill(name, self.network, actions, heads=heads)

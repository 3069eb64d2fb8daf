"""Distillation: several deep skill networks become one, with shared layers and one head a skill (Rusu et al. 2016; Tessler et al.
2017, "skill distillation").

Each teacher's task is played in worlds of its own. The teacher labels every frame with its Q-values; the student's head learns
to act alike. Half of the worlds can be driven by the student itself, so that it is taught also where its own mistakes lead
(Ross, Gordon and Bagnell 2011, DAgger).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor, nn

from h_dqn.checkpoint import like, load_optimizer
from h_dqn.device import DeviceName, pick_device
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.options import Bools, Ints, Option, OptionRunner
from h_dqn.rollout import Policy, Rollout
from h_dqn.seeds import episode_seeds
from h_dqn.settings import Count, Positive, Share, check
from h_dqn.state import restore, whole
from h_dqn.targets import DISTILLATION_LOSSES
from h_dqn.train import MakeEnvs
from skills_library.policy import PolicyHead, SavedPolicy, SkillError, Termination
from skills_library.skill import Skill

MEMORY = ("frames", "age", "q", "last")  # what a lesson remembers, by row


@dataclass(frozen=True)
class DistillConfig:
    """How to distil."""

    loss: Literal["kl", "softmax", "nll", "mse"] = "kl"
    """kl: divergence from the teacher's softened choice; softmax: squared error to it (Tessler et al.); nll: the teacher's best
    action as a class; mse: squared error of Q-values"""
    tau: Positive = 0.05
    """temperature of the teacher's softmax (kl, softmax); below 1 it is sharpened"""
    student_share: Share = 0.5
    """share of the environments that the student drives; 0: only the teachers' own frames"""
    env_steps: Count = 240_000
    """environment steps in each teacher's task"""
    network: str = "slim"
    """a name in networks.ARCHITECTURES"""
    num_envs: Count = 64
    """environments of each task"""
    round_steps: Count = 16
    """steps of every environment between two rounds of learning"""
    memory: Count = 40_000
    """frames of each task that are kept to learn from"""
    batch_size: Count = 64
    """frames of each task in a minibatch"""
    updates: Count = 24
    """minibatches in a round of learning"""
    epsilon: Share = 0.05
    """share of random actions, by whoever drives"""
    learning_rate: Positive = 1e-3
    """step size of the optimiser; falls linearly to a twentieth"""
    device: DeviceName = "auto"
    """where to learn; auto: on CUDA where there is any"""

    def check(self) -> None:
        """Raises ConfigError for a setting that cannot be."""
        check(self)


class Lesson:
    """One teacher, the environments of its task, and the newest ``memory`` of what was seen there, each frame stored once."""

    def __init__(
        self,
        teacher: Skill,
        envs: VectorEnv[Any, Any, Any],
        options: Sequence[Option],
        driver: Policy,
        memory: int,
        seed: int,
    ) -> None:
        self.teacher = teacher
        runner = OptionRunner(options, envs.num_envs, np.random.default_rng([seed, 6]))
        self.rollout = Rollout(envs, runner, driver, episode_seeds("train", seed, envs.num_envs))
        self.memory, self.num_envs, stack = memory, envs.num_envs, teacher.shape[0]
        # A row a frame; the one before it in the same environment is N rows above, so some more are kept than are learned from.
        rows = memory + (stack - 1) * envs.num_envs
        self.frames, self.age = np.zeros((rows, *teacher.shape[1:]), np.uint8), np.zeros(rows, np.uint8)
        self.q, self.last = torch.zeros(rows, len(teacher.actions)), torch.zeros(rows)
        self._age = np.zeros(envs.num_envs, np.uint8)  # frames of the running episode before this one, as far as they are seen
        self.label = self.q[:0]  # the teacher's values of what the environments show now
        self.seen = 0

    def __len__(self) -> int:
        """Frames that can be drawn."""
        return min(self.seen, self.memory)

    def step(self) -> None:
        """Remember the frame of every environment, labelled by the teacher, then let it be driven one step on."""
        obs = self.rollout.obs
        rows = (self.seen + np.arange(len(obs))) % len(self.frames)
        self.frames[rows], self.age[rows] = obs[:, -1], self._age
        self.label, last = self.teacher.values_and_last(self.teacher.network.values(obs))
        self.q[rows], self.last[rows] = self.label, last.float()
        self.seen += len(obs)
        reset = self.rollout.step().reset
        self._age = np.where(reset, 0, np.minimum(self._age + 1, self.teacher.shape[0] - 1)).astype(np.uint8)

    def rows(self, drawn: Ints) -> Ints:
        """Rows of what was drawn (B,) of ``len(self)``: of the newest frames number i has a number of steps that leaves i."""
        return (self.seen - 1 - (self.seen - 1 - drawn) % self.memory) % len(self.frames)

    def observations(self, rows: Ints) -> NDArray[np.uint8]:
        """The stacks (B, S, H, W) whose newest frames are in these rows (B,)."""
        back = np.arange(self.teacher.shape[0] - 1, -1, -1)
        frames: NDArray[np.uint8] = self.frames[(rows[:, None] - back * self.num_envs) % len(self.frames)]
        frames[self.age[rows][:, None] < back] = 0  # before the episode began
        return frames

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how it goes on; the frames are not copied."""
        used = min(self.seen, len(self.frames))
        kept = {name: getattr(self, name)[:used] for name in MEMORY}
        return {**kept, "running": self._age, "seen": self.seen, "rollout": self.rollout.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises :class:`h_dqn.checkpoint.CheckpointError` for a state that cannot be of this lesson."""
        self.seen = whole(state["seen"], "seen", 0)
        used = min(self.seen, len(self.frames))
        for name in MEMORY:
            part = torch.as_tensor(getattr(self, name)[:used])  # shares its memory
            part.copy_(like({name: torch.as_tensor(state[name])}, {name: part}, "lesson")[name])
        restore(self._age, state["running"], "running", 0, self.teacher.shape[0] - 1)
        self.rollout.load_state_dict(state["rollout"])


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
        teachers: Sequence[Skill],
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
        self.config, self._rng, self.device = config, np.random.default_rng([seed, 5]), pick_device(config.device)
        # A head is an output for each action, and one for "this action is the last".
        self.first = np.cumsum([0, *(len(teacher.actions) + 1 for teacher in teachers)]).tolist()
        self.network = QNetwork(NetworkSpec(config.network, shape, self.first[-1])).to(self.device)
        self.network.torso.cut_from(teachers[0].network.torso)  # what one skill sees by is worth more to the others than chance
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, eps=1e-5, fused=True)
        for teacher in teachers:
            teacher.network.to(self.device)
        self.lessons = [
            Lesson(teacher, make(config.num_envs), actions, self._driver(head), config.memory, seed)
            for head, (teacher, make, actions) in enumerate(zip(teachers, make_envs, options, strict=True))
        ]
        self.env_steps = 0  # in each task

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how it goes on, between two rounds."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict()["state"],
            "rng": self._rng.bit_generator.state,
            "env_steps": self.env_steps,
            "lessons": [lesson.state_dict() for lesson in self.lessons],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises :class:`h_dqn.checkpoint.CheckpointError` for a state that cannot be of this distillation."""
        self.network.load_state_dict(like(state["network"], self.network.state_dict(), "network"))
        load_optimizer(self.optimizer, state["optimizer"])
        self._rng.bit_generator.state = state["rng"]
        self.env_steps = whole(state["env_steps"], "env_steps", 0)
        for lesson, saved in zip(self.lessons, state["lessons"], strict=True):
            lesson.load_state_dict(saved)

    def run(self) -> Iterator[dict[str, float]]:
        """Teach to the end; yields the loss of each skill after each round, between which it may be left."""
        c = self.config
        while self.env_steps < c.env_steps:
            for _ in range(c.round_steps):
                for lesson in self.lessons:
                    lesson.step()
            self.env_steps += c.num_envs * c.round_steps
            for group in self.optimizer.param_groups:
                group["lr"] = c.learning_rate * (1 - 0.95 * min(1.0, self.env_steps / c.env_steps))
            losses = torch.stack([self._update() for _ in range(c.updates)]).mean(0)
            names = (lesson.teacher.name for lesson in self.lessons)
            yield {"env_steps": self.env_steps, **{f"loss/{name}": float(x) for name, x in zip(names, losses, strict=True)}}

    def _update(self) -> Tensor:
        """One minibatch with frames of every task; each head learns from its own teacher's frames alone. Returns (heads,)."""
        size, loss = self.config.batch_size, DISTILLATION_LOSSES[self.config.loss]
        drawn = [one.rows(self._rng.integers(0, len(one), size)) for one in self.lessons]
        frames = np.concatenate([one.observations(rows) for one, rows in zip(self.lessons, drawn, strict=True)])
        q = self.network(torch.from_numpy(frames).to(self.device)).split(size)
        losses = torch.stack(
            [
                loss(one.q[rows].to(self.device), q[head][:, self._outputs(head)], self.config.tau)
                + nn.functional.binary_cross_entropy_with_logits(
                    q[head][:, self.first[head + 1] - 1], one.last[rows].to(self.device)
                )
                for head, (one, rows) in enumerate(zip(self.lessons, drawn, strict=True))
            ]
        )
        self.optimizer.zero_grad()
        losses.sum().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimizer.step()
        return losses.detach()

    def _driver(self, head: int) -> Policy:
        """Who acts in the task of this head: in some environments the student, in the others the teacher; now and then, chance."""

        def drive(obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
            label = self.lessons[head].label[env_ids]
            action = label.argmax(1).numpy()
            own = env_ids < self.config.student_share * self.config.num_envs
            if own.any():
                action[own] = self.network.values(obs[own])[:, self._outputs(head)].argmax(1).numpy()
            random = self._rng.random(len(obs)) < self.config.epsilon
            action[random] = self._rng.integers(0, label.shape[1], int(random.sum()))
            return np.asarray(action, np.int64)

        return drive

    def _outputs(self, head: int) -> slice:
        return slice(self.first[head], self.first[head + 1] - 1)

    def student(self, name: str) -> SavedPolicy:
        """The student as a policy of the library: one head a teacher, named ``name/TEACHER``."""
        self.network.eval().requires_grad_(False)
        # These losses make softmax(student) the teacher's policy, only less sure of itself, so it is sharpened; the others copy
        # values or only their order.
        temperature = 0.3 if self.config.loss in ("kl", "nll") else 0.0
        heads = tuple(
            PolicyHead(
                f"{name}/{teacher.name}",
                teacher.actions,
                first,
                Termination(teacher.head.termination.steps, last_above=0.0, last_output=first + len(teacher.actions)),
                temperature,
                {"task": teacher.card["task"]},
            )
            for teacher, first in zip((lesson.teacher for lesson in self.lessons), self.first, strict=False)
        )
        return SavedPolicy(name, self.network, heads)

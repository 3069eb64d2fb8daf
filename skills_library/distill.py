"""Distillation: several deep skill networks become one, with shared layers and one head a skill (Rusu et al. 2016; Tessler et al.
2017, "skill distillation").

Each teacher's task is played in worlds of its own. The teacher labels every frame with its Q-values; the student's head learns
to act alike. Half of the worlds can be driven by the student itself, so that it is taught also where its own mistakes lead
(Ross, Gordon and Bagnell 2011, DAgger). Teacher and student each remember, if they have a core, what was seen there, whoever drove;
a student with a core learns from sequences, each from the state on that it had there, at every step of them.

A student that has learned some of them already rehearses these while it learns the others: from their own teachers, never from
itself, so that what it misses does not add up. All heads that are rehearsed share as many environment steps and frames as the new
ones have, so that the cost does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from h_dqn.checkpoint import like, load_optimizer
from h_dqn.device import DeviceName, pick_device
from h_dqn.networks import MOST_UNITS, NetworkSpec, QNetwork
from h_dqn.options import Bools, Ints, Option
from h_dqn.rollout import Policy
from h_dqn.settings import ConfigError, Count, Positive, Range, Share, check
from h_dqn.state import restore, whole
from h_dqn.targets import DISTILLATION_LOSSES
from h_dqn.train import MakeEnvs
from skills_library.lesson import Lesson
from skills_library.policy import PolicyHead, SavedPolicy, SkillError, Termination
from skills_library.skill import Skill


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
    core: Annotated[int, Range(0, MOST_UNITS)] = 128
    """units of the student's recurrent core, without which it does not learn from teachers that have one (0: there is none)"""
    num_envs: Count = 64
    """environments of each task"""
    round_steps: Count = 16
    """steps of every environment between two rounds of learning, and of a sequence that a student with a core learns from"""
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


class Distiller:
    """Teaches one network the skills of several.

    Args:
        teachers: their networks must see the same frames.
        make_envs: for each teacher, makes a vector environment of its task.
        options: for each teacher, the primitive actions of that environment that its outputs stand for.
        config: settings.
        seed: decides everything that is random.
        student: a network that has learned some of them already: its heads named ``NETWORK/TEACHER`` with the teacher's outputs.
            They are rehearsed, and it is begun with, where it is of the form that the settings say; else all is learned anew.
    Raises :class:`SkillError` for teachers that do not fit together or to the student, ConfigError for too small a memory.
    """

    def __init__(
        self,
        teachers: Sequence[Skill],
        make_envs: Sequence[MakeEnvs],
        options: Sequence[Sequence[Option]],
        config: DistillConfig,
        seed: int,
        student: SavedPolicy | None = None,
    ) -> None:
        shape = teachers[0].shape
        for teacher in teachers:
            if teacher.shape != shape:
                raise SkillError(f"skills '{teachers[0].name}' and '{teacher.name}' see different frames: {shape}, {teacher.shape}")
            if teacher.network.core is not None and not config.core:
                raise SkillError(f"skill '{teacher.name}' remembers what it saw, so its student must, too; give --core 128")
        if config.core and config.memory < config.num_envs * config.round_steps:
            raise ConfigError("--memory must hold the --round-steps of all --num-envs for a student with a core")
        torch.manual_seed(seed)
        self.config, self._rng, self.device = config, np.random.default_rng([seed, 5]), pick_device(config.device)
        # A head is an output for each action, and one for "this action is the last".
        self.first = np.cumsum([0, *(len(teacher.actions) + 1 for teacher in teachers)]).tolist()
        self.network = QNetwork(NetworkSpec(config.network, shape, self.first[-1], core=config.core)).to(self.device)
        # What one skill sees and remembers by is worth more to the others than chance.
        self.network.torso.cut_from(teachers[0].network.torso)
        if self.network.core is not None and teachers[0].network.core is not None:
            self.network.core.cut_from(teachers[0].network.core)
        self.rehearsed = self._take_over(student, teachers) if student else np.zeros(len(teachers), bool)
        self.losses = np.ones(len(teachers))  # of each head, the newest: who is further from its teacher rehearses more
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, eps=1e-5, fused=True)
        for teacher in teachers:
            teacher.network.to(self.device)
        self.lessons = [
            Lesson(teacher, make(config.num_envs), actions, self._driver(head), self.network, config.memory, seed)
            for head, (teacher, make, actions) in enumerate(zip(teachers, make_envs, options, strict=True))
        ]
        self.env_steps = 0  # in each task that is new

    @torch.no_grad()
    def _take_over(self, student: SavedPolicy, teachers: Sequence[Skill]) -> Bools:
        """Begin with what ``student`` knows; which of the heads it has, (heads,)."""
        theirs, network = student.network, self.network
        known = np.zeros(len(teachers), bool)
        if replace(theirs.spec, outputs=network.spec.outputs) != network.spec:
            return known
        network.torso.load_state_dict(theirs.torso.state_dict())
        if network.core is not None and theirs.core is not None:
            network.core.load_state_dict(theirs.core.state_dict())
        for head, teacher in enumerate(teachers):
            same = [one for one in student.heads if one.name == f"{student.name}/{teacher.name}" and one.outputs == teacher.actions]
            for one in same:
                ours = slice(self.first[head], self.first[head + 1])
                for part, rows in theirs.head.named_parameters():
                    network.head.get_parameter(part)[ours] = rows[one.first : one.first + len(one.outputs) + 1]
                known[head] = True
        return known

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how it goes on, between two rounds."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict()["state"],
            "rng": self._rng.bit_generator.state,
            "env_steps": self.env_steps,
            "losses": self.losses.copy(),
            "lessons": [lesson.state_dict() for lesson in self.lessons],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises :class:`h_dqn.checkpoint.CheckpointError` for a state that cannot be of this distillation."""
        self.network.load_state_dict(like(state["network"], self.network.state_dict(), "network"))
        load_optimizer(self.optimizer, state["optimizer"])
        self._rng.bit_generator.state = state["rng"]
        self.env_steps = whole(state["env_steps"], "env_steps", 0)
        restore(self.losses, state["losses"], "losses", 0.0)
        for lesson, saved in zip(self.lessons, state["lessons"], strict=True):
            lesson.load_state_dict(saved)

    def run(self) -> Iterator[dict[str, float]]:
        """Teach to the end; yields the loss of each skill after each round, between which it may be left."""
        c = self.config
        while self.env_steps < c.env_steps:
            for lesson in self._turn():
                for _ in range(c.round_steps):
                    lesson.step()
            self.env_steps += c.num_envs * c.round_steps
            for group in self.optimizer.param_groups:
                group["lr"] = c.learning_rate * (1 - 0.95 * min(1.0, self.env_steps / c.env_steps))
            updates = [self._update() for _ in range(c.updates)]
            losses, weights = (torch.stack(parts).cpu().numpy() for parts in zip(*updates, strict=True))
            taught = weights.any(0)
            self.losses[taught] = (losses * weights).sum(0)[taught] / weights.sum(0)[taught]
            for lesson in self.lessons:
                lesson.student_state.forget()
            names = (lesson.teacher.name for lesson in self.lessons)
            yield {"env_steps": self.env_steps, **{f"loss/{name}": float(x) for name, x in zip(names, self.losses, strict=True)}}

    def _turn(self) -> list[Lesson]:
        """Who plays in this round: the new ones, and as many of those that are rehearsed, one after the other."""
        new, old = ([self.lessons[head] for head in np.flatnonzero(which)] for which in (~self.rehearsed, self.rehearsed))
        number = self.env_steps // (self.config.num_envs * self.config.round_steps)
        many = min(len(old), max(1, len(new)))
        return [*new, *(old[(number * many + turn) % len(old)] for turn in range(many))]

    def _sizes(self, unit: int) -> Ints:
        """How much of each lesson is in a minibatch, (heads,): ``unit`` of each new one; those that are rehearsed share as much."""
        sizes = np.where(self.rehearsed, 0, unit)
        ready = self.rehearsed & [len(lesson) > 0 for lesson in self.lessons]
        if ready.any():
            weight = np.where(ready, self.losses + self.losses[ready].mean() + 1e-9, 0.0)
            sizes += self._rng.multinomial(max(unit, int(sizes.sum())), weight / weight.sum())
        return sizes

    def _update(self) -> tuple[Tensor, Tensor]:
        """One minibatch; each head learns from its own teacher's frames alone.

        Returns the loss of each head, (heads,), and its weight, (heads,): 0 for those of which nothing was drawn.
        """
        loss = DISTILLATION_LOSSES[self.config.loss]
        drawn, q, weights = self._frames() if self.network.core is None else self._sequences()
        losses = [torch.zeros((), device=self.device)] * len(self.lessons)
        for head in (head for head, rows in enumerate(drawn) if len(rows)):
            one, rows = self.lessons[head], drawn[head]
            losses[head] = loss(
                one.q[rows].to(self.device), q[head][:, self._outputs(head)], self.config.tau
            ) + nn.functional.binary_cross_entropy_with_logits(q[head][:, self.first[head + 1] - 1], one.last[rows].to(self.device))
        each = torch.stack(losses)
        self.optimizer.zero_grad()
        (each * weights).sum().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimizer.step()
        return each.detach(), weights

    def _frames(self) -> tuple[list[Ints], Sequence[Tensor], Tensor]:
        """Frames of each lesson, drawn at random: their rows (B,), the student's values (B, outputs), and the heads' weights."""
        sizes = self._sizes(self.config.batch_size)
        pairs = zip(self.lessons, sizes, strict=True)
        drawn = [one.rows(self._rng.integers(0, max(1, len(one)), size)) for one, size in pairs]
        frames = np.concatenate([one.observations(rows) for one, rows in zip(self.lessons, drawn, strict=True)])
        q = self.network(torch.from_numpy(frames).to(self.device)).split(sizes.tolist())
        return drawn, q, torch.from_numpy(sizes / self.config.batch_size).to(self.device, torch.float32)

    def _sequences(self) -> tuple[list[Ints], Sequence[Tensor], Tensor]:
        """The same of about as many frames in sequences, time first."""
        length = self.config.round_steps
        unit = max(1, self.config.batch_size // length)
        sizes = self._sizes(unit)
        drawn = [one.sequences(self._rng, length, size) for one, size in zip(self.lessons, sizes, strict=True)]
        pairs = list(zip(self.lessons, drawn, strict=True))
        frames = np.concatenate([one.observations(rows.ravel()).reshape(*rows.shape, *one.teacher.shape) for one, rows in pairs], 1)
        begins = np.concatenate([one.age[rows] == 0 for one, rows in pairs], 1)
        state = torch.cat([one.state[rows[0]] for one, rows in pairs])
        x = self.network.unroll(*(part.to(self.device) for part in (torch.from_numpy(frames), torch.from_numpy(begins), state)))
        q = self.network.head(x.flatten(0, 1)).unflatten(0, begins.shape)
        parts = [part.flatten(0, 1) for part in q.split(sizes.tolist(), 1)]
        return [rows.ravel() for rows in drawn], parts, torch.from_numpy(sizes / unit).to(self.device, torch.float32)

    def _driver(self, head: int) -> Policy:
        """Who acts in the task of this head: in some environments the student, in the others the teacher; now and then, chance."""

        def drive(obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
            lesson = self.lessons[head]
            label = lesson.label[env_ids]
            action = label.argmax(1).numpy()
            own = env_ids < self.config.student_share * self.config.num_envs
            if own.any():
                action[own] = lesson.student_state.values(obs[own], env_ids[own])[:, self._outputs(head)].argmax(1).numpy()
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

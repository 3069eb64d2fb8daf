"""What a student of distillation learns from: one teacher at work in the environments of its task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from h_dqn.agent_state import AgentState
from h_dqn.checkpoint import like
from h_dqn.networks import QNetwork
from h_dqn.options import Bools, Ints, Option, OptionRunner
from h_dqn.rollout import Policy, Rollout
from h_dqn.seeds import episode_seeds
from h_dqn.state import restore, whole
from skills_library.skill import Skill

MEMORY = ("frames", "age", "q", "last", "state")  # what a lesson remembers, by row


class Lesson:
    """One teacher, the environments of its task, and the newest ``memory`` of what was seen there, each frame stored once."""

    def __init__(
        self,
        teacher: Skill,
        envs: VectorEnv[Any, Any, Any],
        options: Sequence[Option],
        driver: Policy,
        student: QNetwork,
        memory: int,
        seed: int,
    ) -> None:
        self.teacher = teacher
        # What both remember of the environments.
        self.teacher_state, self.student_state = self._states = AgentState(teacher.network), AgentState(student)
        runner = OptionRunner(options, envs.num_envs, np.random.default_rng([seed, 6]))
        self.rollout = Rollout(envs, runner, driver, episode_seeds("train", seed, envs.num_envs), listener=self)
        self.memory, self.num_envs, stack = memory, envs.num_envs, teacher.shape[0]
        # A row a frame; the one before it in the same environment is N rows above, so some more are kept than are learned from.
        rows = memory + (stack - 1) * envs.num_envs
        self.frames, self.age = np.zeros((rows, *teacher.shape[1:]), np.uint8), np.zeros(rows, np.uint8)
        self.q, self.last = torch.zeros(rows, len(teacher.actions)), torch.zeros(rows)
        self.state = torch.zeros(rows, student.spec.core)  # what the student remembered before it saw the frame
        self._age = np.zeros(envs.num_envs, np.uint8)  # frames of the running episode before this one, as far as they are seen
        self._oldest = max(1, stack - 1)
        self.label = self.q[:0]  # the teacher's values of what the environments show now
        self.seen = 0

    def __len__(self) -> int:
        """Frames that can be drawn."""
        return min(self.seen, self.memory)

    def observe(self, obs: NDArray[np.uint8], begins: Bools) -> None:
        """See :class:`h_dqn.options.Listener`."""
        for state in self._states:
            state.observe(obs, begins)

    def step(self) -> None:
        """Remember the frame of every environment, labelled by the teacher, then let it be driven one step on."""
        obs = self.rollout.obs
        rows = (self.seen + np.arange(len(obs))) % len(self.frames)
        self.frames[rows], self.age[rows] = obs[:, -1], self._age
        self.label, last = self.teacher.values_and_last(self.teacher_state.values(obs, np.arange(len(obs))))
        self.q[rows], self.last[rows] = self.label, last.float()
        if self.student_state.carried is not None:
            self.state[rows] = self.student_state.carried.cpu()
        self.seen += len(obs)
        reset = self.rollout.step().reset
        self._age = np.where(reset, 0, np.minimum(self._age + 1, self._oldest)).astype(np.uint8)

    def rows(self, drawn: Ints) -> Ints:
        """Rows of what was drawn (B,) of ``len(self)``: of the newest frames number i has a number of steps that leaves i."""
        return (self.seen - 1 - (self.seen - 1 - drawn) % self.memory) % len(self.frames)

    def sequences(self, rng: np.random.Generator, length: int, width: int) -> Ints:
        """Rows (length, width) of sequences drawn from the ``len(self)`` newest."""
        most = max(length, len(self) // self.num_envs)
        env, back = rng.integers(0, self.num_envs, width), rng.integers(length, most + 1, width)
        step = self.seen // self.num_envs - back + np.arange(length)[:, None]
        return (step * self.num_envs + env) % len(self.frames)

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
        states = [state.state_dict() for state in self._states]
        return {**kept, "running": self._age, "seen": self.seen, "states": states, "rollout": self.rollout.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises :class:`h_dqn.checkpoint.CheckpointError` for a state that cannot be of this lesson."""
        self.seen = whole(state["seen"], "seen", 0)
        used = min(self.seen, len(self.frames))
        for name in MEMORY:
            part = torch.as_tensor(getattr(self, name)[:used])  # shares its memory
            part.copy_(like({name: torch.as_tensor(state[name])}, {name: part}, "lesson")[name])
        restore(self._age, state["running"], "running", 0, self._oldest)
        for one, saved in zip(self._states, state["states"], strict=True):
            one.load_state_dict(saved)
        self.rollout.load_state_dict(state["rollout"])

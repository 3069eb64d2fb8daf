"""A slow network beside one that learns fast: it is taught all the time what the fast one does, and rehearses what it did before.

For who is never told where a task ends: nothing here asks which task it is (compare progress and compress, Schwarz et al. 2018, and
the meta learner of FAME).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from h_dqn.checkpoint import like, load_optimizer
from h_dqn.continual.body import network_of
from h_dqn.continual.lessons import Lesson, teach
from h_dqn.learners.base import Learner, Progress
from h_dqn.learners.method import Method
from h_dqn.networks import QNetwork
from h_dqn.replay import SMDPReplay
from h_dqn.replay.trajectory_buffer import TrajectoryBuffer
from h_dqn.state import numbers

WORTH = 0.5  # success of the newest episodes from which on what it does is worth keeping
WAITS = 3  # rounds before the first lesson: the episodes that end first are the short ones, and most of them successes
NEWEST, KEPT = 4, 60  # lessons that are new, and of all before a uniform sample


class Keeper(Method):
    """After each round in which it succeeds, keeps a lesson of it, and teaches the student a few steps.

    Args:
        student: the slow network.
        size: steps of a lesson, and environments whose frames are in it, the greediest.
        updates: gradient steps a round.
        sequences: new ones in each step, and as many from before.
        rate: the student's learning rate.
        seed: decides what is drawn.
    """

    looks_back = True

    def __init__(self, student: QNetwork, size: tuple[int, int], updates: int, sequences: int, rate: float, seed: int) -> None:
        self.student, self.size, self.updates, self.sequences = student, size, updates, sequences
        self.optimizer = torch.optim.Adam(student.parameters(), lr=rate, eps=1e-5)
        self._rng = np.random.default_rng([seed, 15])
        self.newest: list[Lesson] = []
        self.kept: list[Lesson] = []
        self.rounds = 0  # since the fast one began
        self.seen = 0  # lessons that were ever offered to those that are kept

    def end_round(self, learner: Learner, replay: SMDPReplay, progress: Progress) -> None:
        self.rounds += 1
        if self.rounds <= WAITS or progress.success < WORTH:
            return
        network = network_of(learner)
        lesson = gather(network, replay.trajectories, *self.size)
        if lesson is None:
            return
        if not self.newest and not self.seen:  # what it is taught first, it begins with
            self.student.load_state_dict({name: part for name, part in network.state_dict().items()
                                          if not name.startswith("elimination.")})  # fmt: skip
        self.newest.append(lesson)
        if len(self.newest) > NEWEST:
            self._keep(self.newest.pop(0))
        self.student.requires_grad_(True)
        outputs = slice(0, self.student.spec.outputs)
        for _ in range(self.updates):
            drawn = [self.newest[number] for number in self._rng.integers(0, len(self.newest), self.sequences)]
            if self.kept:
                drawn += [self.kept[number] for number in self._rng.integers(0, len(self.kept), self.sequences)]
            teach(self.student, self.optimizer, [(outputs, one, int(self._rng.integers(one.frames.shape[1]))) for one in drawn])
        self.student.requires_grad_(False)

    def _keep(self, lesson: Lesson) -> None:
        """A uniform sample of all lessons (Vitter 1985)."""
        self.seen += 1
        if len(self.kept) < KEPT:
            self.kept.append(lesson)
        elif (place := int(self._rng.integers(self.seen))) < KEPT:
            self.kept[place] = lesson

    def begin_anew(self) -> None:
        """What comes is another task: what is new now is of the one before, but the last, which may be of either."""
        for lesson in self.newest[:-1]:
            self._keep(lesson)
        self.newest, self.rounds = [], 0

    def state_dict(self) -> dict[str, Any]:
        return {
            "student": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict()["state"],
            "lessons": [[lesson.state_dict() for lesson in part] for part in (self.newest, self.kept)],
            "counters": [self.rounds, self.seen],
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.student.load_state_dict(like(state["student"], self.student.state_dict(), "student"))
        load_optimizer(self.optimizer, state["optimizer"])
        self.newest, self.kept = ([Lesson(**lesson) for lesson in part] for part in state["lessons"])
        self.rounds, self.seen = numbers(state["counters"], "counters", 0)
        self._rng.bit_generator.state = state["rng"]


@torch.no_grad()
def gather(network: QNetwork, rows: TrajectoryBuffer, length: int, envs: int) -> Lesson | None:
    """The newest ``length`` rows that begin with an episode, of so many environments, the last ones first, with what ``network``
    says of them; None where there are none."""
    env, first = list[int](), list[int]()
    for n in range(rows.num_envs - 1, -1, -1):
        oldest = max(0, int(rows.written[n]) - rows.rows)
        number: NDArray[np.int64] = np.arange(oldest, rows.written[n] - length + 1)
        begins = number[rows.begins(np.full(len(number), n), number)] if len(number) else number
        if len(begins) and len(env) < envs:
            env.append(n)
            first.append(int(begins[-1]))
    if not env:
        return None
    row_LN = np.array(first) + np.arange(length)[:, None]
    env_LN = np.broadcast_to(np.array(env), row_LN.shape)
    flat = env_LN.ravel(), row_LN.ravel()
    frames = rows.stacked(*flat).unflatten(0, row_LN.shape)
    begins_LN = rows.tensor(rows.begins(*flat)).unflatten(0, row_LN.shape)
    q = network.head(network.unroll(frames, begins_LN).flatten(0, 1)).unflatten(0, row_LN.shape)
    return Lesson(frames.cpu(), begins_LN.cpu(), q.cpu(), torch.ones(q.shape[-1], dtype=torch.bool))

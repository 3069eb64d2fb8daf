"""The newest frames of a run as lessons: what can still be kept of a task when it is noticed too late that it is over."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from h_dqn.continual.body import network_of
from h_dqn.continual.lessons import Lesson
from h_dqn.learners.base import Learner, Progress
from h_dqn.learners.method import Method
from h_dqn.networks import QNetwork
from h_dqn.replay import SMDPReplay
from h_dqn.replay.trajectory_buffer import TrajectoryBuffer

KEPT, DOUBTFUL = 4, 2  # newest lessons, a round each; the last of them, which may be of another task


class Newest(Method):
    """After each round, takes a lesson of what was just seen.

    Args:
        options: O, the primitive actions, which are the learner's first options.
        length: steps of a lesson, L.
        envs: environments whose frames are in it, the greediest; at most N.
    """

    looks_back = True

    def __init__(self, options: int, length: int, envs: int) -> None:
        self.options, self.length, self.envs = options, length, envs
        self.lessons: list[Lesson] = []

    def end_round(self, learner: Learner, replay: SMDPReplay, progress: Progress) -> None:
        lesson = gather(network_of(learner).alone(), replay.trajectories, self.length, self.envs, self.options)
        self.lessons = [*self.lessons, *([lesson] if lesson else [])][-KEPT:]

    @property
    def certain(self) -> list[Lesson]:
        """Those that are older than any change that could have been noticed by now."""
        return self.lessons[:-DOUBTFUL]

    def state_dict(self) -> dict[str, Any]:
        return {"lessons": [lesson.state_dict() for lesson in self.lessons]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.lessons = [Lesson(**lesson) for lesson in state["lessons"]]


@torch.no_grad()
def gather(network: QNetwork, rows: TrajectoryBuffer, length: int, envs: int, options: int) -> Lesson | None:
    """The newest ``length`` rows that begin with an episode, of so many environments, the last ones first, with what ``network``
    says of its first ``options`` there; None where there are none."""
    env, first = list[int](), list[int]()
    for n in range(rows.num_envs - 1, -1, -1):
        oldest = max(0, int(rows.written[n]) - rows.rows)
        number: NDArray[np.int64] = np.arange(max(oldest, int(rows.written[n]) - 2 * length), rows.written[n] - length + 1)
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
    q = network.head(network.unroll(frames, begins_LN).flatten(0, 1))[:, :options].unflatten(0, row_LN.shape)
    return Lesson(frames.cpu(), begins_LN.cpu(), q.cpu(), torch.ones(options, dtype=torch.bool))

"""Lessons, and the networks that are taught by them; changes that are noticed."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from h_dqn.config import change
from h_dqn.continual.change import changed, found
from h_dqn.continual.lessons import TAU, Collector, Lesson, collect, distil, imitation_loss
from h_dqn.continual.newest import DOUBTFUL, KEPT, Newest
from h_dqn.learners import Learner, Progress
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.options import primitives
from h_dqn.replay import SMDPReplay
from h_dqn.train import Trainer
from tests.conftest import Corridor
from tests.helpers import Q_LAMBDA, SHAPE, options

pytestmark = pytest.mark.usefixtures("tiny_network")


def network(outputs: int = 2, core: int = 0, seed: int = 1) -> QNetwork:
    torch.manual_seed(seed)
    made = QNetwork(NetworkSpec("tiny", SHAPE, outputs, core=core)).requires_grad_(False)
    nn.init.normal_(made.head.get_parameter("weight"))
    return made


def lesson_of(teacher: QNetwork, driver: QNetwork, steps: int = 25, length: int = 6) -> Lesson:
    every = slice(0, 2)
    collector = Collector((teacher, every), (driver, every), 0.5, seed=1)
    return collect(Corridor(4, length=length), primitives(["left", "right"]), collector, steps, seed=1)


@pytest.mark.parametrize("core", [0, 8])
def test_a_lesson_says_what_the_teacher_would_say_whoever_drives(core: int) -> None:
    teacher, driver = network(core=core, seed=1), network(core=core, seed=2)
    lesson = lesson_of(teacher, driver)
    assert lesson.frames.shape == (25, 4, *SHAPE)
    assert lesson.begins[0].all()
    assert lesson.begins[1:].any()  # limit 20: others begin meanwhile
    if core:
        x = teacher.unroll(lesson.frames, lesson.begins, torch.zeros(4, core))
        assert torch.allclose(teacher.head(x.flatten(0, 1)).unflatten(0, (25, 4)), lesson.q, atol=1e-5)
    else:
        assert torch.allclose(teacher(lesson.frames.flatten(0, 1)).unflatten(0, (25, 4)), lesson.q, atol=1e-5)
    assert not torch.equal(lesson.frames, lesson_of(teacher, network(core=core, seed=3)).frames)
    again = lesson_of(teacher, driver)
    assert all(torch.equal(a, b) for a, b in zip(vars(lesson).values(), vars(again).values(), strict=True))


def test_the_loss_of_imitation_by_hand() -> None:
    teacher, every = torch.tensor([[0.0, TAU, 9.0]]), torch.tensor([True, True, False])
    assert float(imitation_loss(teacher, teacher, every)) == pytest.approx(0.0, abs=1e-6)
    q = torch.tensor([[0.1, 0.1, -3.0]])
    p = torch.tensor([0.0, 1.0]).softmax(0)
    by_hand = float((p * (p / 0.5).log()).sum()) + (0.1 - TAU) ** 2  # what cannot be chosen plays no part
    assert float(imitation_loss(q, teacher, every)) == pytest.approx(by_hand, rel=1e-4)


def agreement(student: QNetwork, outputs: slice, lesson: Lesson) -> float:
    """Share of the frames at which both take the same action."""
    seen = lesson.frames.flatten(0, 1)
    if student.core is None:
        q = student(seen)
    else:
        state = torch.zeros(lesson.frames.shape[1], student.core.units)
        q = student.head(student.unroll(lesson.frames, lesson.begins, state).flatten(0, 1))
    return float((q[:, outputs].argmax(1) == lesson.q.flatten(0, 1).argmax(1)).float().mean())


def relabelled(lesson: Lesson, right: Tensor) -> Lesson:
    """The same with a teacher that goes right where this is so, else left."""
    best = right.long()[..., None] == torch.arange(2)
    return Lesson(lesson.frames, lesson.begins, torch.where(best, -0.1, -0.6), lesson.available)


@pytest.mark.parametrize("core", [0, 8])
def test_one_network_is_taught_two_tasks_and_forgets_the_first_only_without_rehearsal(core: int) -> None:
    """The tasks differ by their frames; they share one head, and their teachers do the opposite."""
    near, far = lesson_of(network(), network()), lesson_of(network(), network(), length=8)
    first = relabelled(near, torch.ones(near.begins.shape, dtype=torch.bool))
    second = relabelled(Lesson(255 - far.frames, far.begins, far.q, far.available), torch.zeros(far.begins.shape, dtype=torch.bool))
    student, every = network(core=core), slice(0, 2)
    list(distil(student, [(every, first)], 1, 80, 4, 3e-3, np.random.default_rng(1)))
    assert agreement(student, every, first) > 0.95
    without, rehearsed = deepcopy(student), student
    list(distil(without, [(every, second)], 1, 80, 4, 3e-3, np.random.default_rng(1)))
    losses = list(distil(rehearsed, [(every, first), (every, second)], 1, 80, 4, 3e-3, np.random.default_rng(1)))
    assert losses[-1] < 0.2 * losses[0]
    assert agreement(without, every, second) > 0.95
    assert agreement(without, every, first) < 0.5
    assert min(agreement(rehearsed, every, first), agreement(rehearsed, every, second)) > 0.95
    assert not any(weight.requires_grad for weight in student.parameters())


# --- the newest frames ---


class Watches(Newest):
    """Remembers all that it took."""

    def __init__(self) -> None:
        super().__init__(options=2, length=8, envs=6)
        self.taken: list[Lesson] = []

    def end_round(self, learner: Learner, replay: SMDPReplay, progress: Progress) -> None:
        super().end_round(learner, replay, progress)
        self.taken += self.lessons[-1:]


def test_the_newest_frames_begin_with_episodes_and_are_what_the_environments_showed() -> None:
    method = Watches()
    config = change(Q_LAMBDA, env_steps=1024, success_memory=0.0, core=8)
    trainer = Trainer(lambda n: Corridor(n), options(), config, 1, methods=[method])
    for _ in trainer.run():
        pass
    assert len(method.lessons) == KEPT < len(method.taken)
    assert method.certain == method.lessons[:-DOUBTFUL]
    for lesson in method.taken:
        assert lesson.frames.shape[0] == 8
        assert 1 <= lesson.frames.shape[1] <= 6
        assert lesson.q.shape == (*lesson.begins.shape, 2)
        assert lesson.begins[0].all()
        cells = lesson.frames[:, :, 0, 0].long().argmax(2)
        moved = (cells[1:] - cells[:-1]).abs()
        assert (moved[~lesson.begins[1:]] <= 1).all()  # in the corridor nobody goes further in a step
    network, last = trainer.learner.network, method.lessons[-1]
    assert isinstance(network, QNetwork)
    with torch.no_grad():
        said = network.head(network.unroll(last.frames, last.begins).flatten(0, 1))[:, :2].unflatten(0, last.begins.shape)
    assert torch.allclose(said, last.q, atol=1e-6)


# --- changes that are noticed ---


def test_a_change_is_noticed_where_success_falls_by_more_than_chance() -> None:
    """250 at .9 and 50 at .6: share .85, error .0553, 5.4 of these; at .7 there are 3.6."""
    good = [1.0] * 225 + [0.0] * 25
    assert changed([*good, *[1.0] * 30, *[0.0] * 20])
    assert not changed([*good, *[1.0] * 35, *[0.0] * 15])
    assert not changed([*[0.0] * 250, *[1.0] * 50])  # it got better
    assert not changed([0.0] * 300)
    assert not changed([1.0] * 300)
    assert not changed([1.0] * 40 + [0.0] * 50)  # too few before


def test_precision_and_recall_of_what_was_noticed() -> None:
    assert found([120, 130, 350], [100, 200, 300], 400) == (2 / 3, 2 / 3)
    assert found([], [100], 200) == (None, 0.0)
    assert found([50], [], 200) == (0.0, None)

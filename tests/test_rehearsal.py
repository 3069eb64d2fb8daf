"""A head more: the old ones are rehearsed from their own teachers, at a cost that does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from h_dqn.checkpoint import load_state, save_state
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.options import primitives
from skills_library.distill import DistillConfig, Distiller
from skills_library.policy import PolicyHead, SavedPolicy, Termination
from skills_library.skill import Skill
from tests.conftest import Corridor

ACTIONS = ("left", "right")
CONFIG = DistillConfig(env_steps=4096, num_envs=16, memory=2000, updates=12, batch_size=32, network="tiny", tau=1.0, device="cpu",
                       learning_rate=3e-3)  # fmt: skip
pytestmark = pytest.mark.usefixtures("tiny_network")


class Scripted(QNetwork):
    """A teacher that sees the cell it is in (the bright column) and has a fixed preference in each."""

    def __init__(self, prefer: Sequence[int]) -> None:
        super().__init__(NetworkSpec("scout", (1, 8, 8), 2))
        self.prefer = torch.tensor(prefer)

    def forward(self, frames_BSHW: torch.Tensor, state_BC: torch.Tensor | None = None) -> torch.Tensor:
        cell = frames_BSHW[:, 0, 0].float().argmax(1)
        return 4 * torch.nn.functional.one_hot(self.prefer[cell], 2).float()


def teacher(name: str, prefer: Sequence[int]) -> Skill:
    head = PolicyHead(name, ACTIONS, termination=Termination(5, 100.0), card={"task": {"name": "corridor"}})
    return Skill(SavedPolicy(name, Scripted(prefer), (head,)), head)


OLD = [teacher("odd", [0, 1, 0, 1, 0, 1, 0, 1]), teacher("even", [1, 0, 1, 0, 1, 0, 1, 0])]
NEW = teacher("pairs", [0, 0, 1, 1, 0, 0, 1, 1])


def distiller(teachers: Sequence[Skill], student: SavedPolicy | None = None, config: DistillConfig = CONFIG) -> Distiller:
    torch.manual_seed(0)  # the student begins with a teacher's layers
    many = len(teachers)
    return Distiller(teachers, [Corridor] * many, [primitives(ACTIONS)] * many, config, 1, student)


def taught(some: Distiller) -> SavedPolicy:
    for _ in some.run():
        pass
    return some.student("multi")


def agreement(policy: SavedPolicy, one: Skill) -> float:
    """Share of the cells in which the head does as its teacher."""
    envs = Corridor(8)
    envs.cell = np.arange(8)
    obs = envs._obs()
    own = Skill(policy, policy.find(f"multi/{one.name}")).values(obs)
    return float((own.argmax(1) == one.values(obs).argmax(1))[:5].float().mean())  # the goal and what is behind it are never seen


def test_a_head_more_and_the_old_ones_do_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    before = taught(distiller(OLD, config=replace(CONFIG, env_steps=16_384)))
    assert [agreement(before, one) for one in OLD] == [1, 1]
    some = distiller([*OLD, NEW], before)
    assert some.rehearsed.tolist() == [True, True, False]
    with torch.no_grad():
        frames = torch.from_numpy(Corridor(4).reset(seed=[1, 2, 3, 4])[0])
        assert torch.equal(some.network(frames)[:, :6], before.network(frames))  # it begins as what it was
    after = taught(some)
    assert [agreement(after, one) for one in (*OLD, NEW)] == [1, 1, 1]
    # Without rehearsal they fall.
    monkeypatch.setattr(Distiller, "_sizes", lambda self, unit: np.where(self.rehearsed, 0, unit))
    after = taught(distiller([*OLD, NEW], before))
    assert agreement(after, NEW) == 1
    assert min(agreement(after, one) for one in OLD) < 1


@pytest.mark.slow
def test_teachers_are_the_originals_whatever_the_student_makes_of_them() -> None:
    """A student that knows an old head wrongly learns it from the original."""
    before = taught(distiller(OLD, config=replace(CONFIG, env_steps=512)))
    before.network.head.get_parameter("weight").data.neg_()
    assert agreement(before, OLD[0]) < 1
    after = taught(distiller([*OLD, NEW], before, replace(CONFIG, env_steps=16_384)))
    assert [agreement(after, one) for one in (*OLD, NEW)] == [1, 1, 1]


def test_the_cost_does_not_grow_with_the_number_of_heads() -> None:
    drawn, played = [], []
    for many in (1, 4, 7):
        old = [teacher(f"t{n}", [n % 2] * 8) for n in range(many)]
        some = distiller([*old, NEW], taught(distiller(old, config=replace(CONFIG, env_steps=256))))
        rounds = some.run()
        for _ in range(8):
            next(rounds)
        drawn.append(int(some._sizes(CONFIG.batch_size).sum()))
        played.append(sum(lesson.seen for lesson in some.lessons))
        assert all(lesson.seen for lesson in some.lessons)
    assert drawn == [2 * CONFIG.batch_size] * 3
    assert played == [2 * 8 * CONFIG.num_envs * CONFIG.round_steps] * 3


def test_who_is_further_from_its_teacher_rehearses_more() -> None:
    some = distiller([*OLD, NEW], taught(distiller(OLD, config=replace(CONFIG, env_steps=256))))
    rounds = some.run()
    next(rounds), next(rounds)
    some.losses[:] = [3.0, 1.0, 0.0]
    sizes = np.mean([some._sizes(32) for _ in range(200)], 0)
    np.testing.assert_allclose(sizes, [32 * 5 / 8, 32 * 3 / 8, 32], rtol=0.1)


@pytest.mark.parametrize("core", [0, 8])
def test_rehearsal_goes_on_exactly_where_it_was(core: int, tmp_path: Path) -> None:
    config = replace(CONFIG, core=core, env_steps=2048)
    before = taught(distiller(OLD, config=replace(config, env_steps=512)))
    whole, part, other = (distiller([*OLD, NEW], before, config) for _ in range(3))
    assert whole.rehearsed.tolist() == [True, True, False]
    rows, running = list(whole.run()), part.run()
    first = [next(running) for _ in range(3)]
    other.load_state_dict(load_state(save_state(tmp_path, "state", part.state_dict())))
    assert [*first, *other.run()] == rows
    for a, b in zip(whole.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_student_of_another_form_is_begun_anew() -> None:
    before = taught(distiller(OLD, config=replace(CONFIG, env_steps=256)))
    assert not distiller([*OLD, NEW], before, replace(CONFIG, core=8)).rehearsed.any()

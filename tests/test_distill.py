"""Distillation: losses by hand, one student for teachers that disagree, heads that leave each other alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from h_dqn.checkpoint import load_state, save_state
from h_dqn.device import pick_device
from h_dqn.evaluation import evaluate
from h_dqn.networks import NetworkSpec, QNetwork, Torso
from h_dqn.options import OptionRunner, primitives
from h_dqn.settings import ConfigError
from h_dqn.targets import DISTILLATION_LOSSES
from skills_library.distill import DistillConfig, Distiller
from skills_library.library import Library
from skills_library.policy import PolicyHead, SavedPolicy, SkillError, Termination
from skills_library.skill import Skill, SkillOption
from tests.conftest import Corridor, TMaze

Q_T, Q_S = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.5, 0.5], [0.0, 1.0]])
ACTIONS, DEVICE = ("left", "right"), pick_device("cpu")


@pytest.mark.parametrize(
    ("loss", "tau", "expected"),
    [
        # KL of (p, 1 - p) with p = sigmoid(1) against the student's even choice, and of sigmoid(2) against sigmoid(1); their mean.
        ("kl", 1.0, ((0.7310586 * np.log(0.7310586 / 0.5) + 0.2689414 * np.log(0.2689414 / 0.5))
                     + (0.1192029 * np.log(0.1192029 / 0.2689414) + 0.8807971 * np.log(0.8807971 / 0.7310586))) / 2),
        ("kl", 0.01, (np.log(2) - np.log(0.7310586)) / 2),
        ("softmax", 1.0, ((0.2310586**2 + 0.2310586**2) + (0.1192029**2 + 0.1192029**2)) / 2),
        ("nll", 0.01, (np.log(2) - np.log(0.7310586)) / 2),
        ("mse", 0.01, ((0.25 + 0.25) + 1.0) / 2),
    ],
)  # fmt: skip
def test_losses_by_hand(loss: str, tau: float, expected: float) -> None:
    assert DISTILLATION_LOSSES[loss](Q_T, Q_S, tau).item() == pytest.approx(expected, rel=1e-5)


class Scripted(QNetwork):
    """A teacher that sees the cell it is in (the bright column) and has a fixed preference in each."""

    def __init__(self, prefer: list[int]) -> None:
        super().__init__(NetworkSpec("compact", (1, 32, 32), 2))
        self.prefer = torch.tensor(prefer)

    def forward(self, frames_BSHW: torch.Tensor, state_BC: torch.Tensor | None = None) -> torch.Tensor:
        cell = frames_BSHW[:, 0, 0].float().argmax(1).clamp(max=len(self.prefer) - 1)
        return torch.nn.functional.one_hot(self.prefer[cell], 2).float()


def skill_of(name: str, network: QNetwork, last_above: float = np.inf) -> Skill:
    head = PolicyHead(name, ACTIONS, termination=Termination(5, last_above), card={"task": {"name": "corridor"}})
    return Skill(SavedPolicy(name, network, (head,)), head)


def teacher(name: str, prefer: list[int], last_above: float = np.inf) -> Skill:
    return skill_of(name, Scripted(prefer), last_above)


SMALL = DistillConfig(
    core=0, env_steps=4096, num_envs=16, memory=2000, updates=12, batch_size=32, network="compact", device="cpu"
)  # fmt: skip


def wide(num_envs: int) -> Any:
    return Corridor(num_envs, length=6, limit=12, size=32)


def distiller(config: DistillConfig = SMALL, pair: list[Skill] | None = None) -> Distiller:
    torch.manual_seed(0)  # the student begins with a teacher's layers
    # They disagree in every cell, so that a head which learned from the wrong teacher would show.
    pair = pair or [teacher("to", [1, 1, 1, 1, 1, 1]), teacher("fro", [0, 0, 0, 0, 0, 0])]
    return Distiller(pair, [wide, wide], [primitives(ACTIONS)] * 2, config, seed=1)


def heads_of(student: Distiller) -> list[Skill]:
    policy = student.student("both")
    return [Skill(policy, head) for head in policy.heads]


def bound(student: Distiller) -> list[SkillOption]:
    return [head.on(ACTIONS, head.shape, DEVICE) for head in heads_of(student)]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_each_head_does_as_its_teacher(share: float) -> None:
    student = distiller(replace(SMALL, student_share=share))
    losses = list(student.run())
    assert losses[-1]["loss/to"] < losses[0]["loss/to"] / 2
    obs, _ = wide(16).reset(seed=list(range(16)))
    to, fro = bound(student)
    assert to.name == "skill:both/to"
    np.testing.assert_array_equal(to.act(obs)[0], np.ones(16))
    np.testing.assert_array_equal(fro.act(obs)[0], np.zeros(16))


def test_a_head_learns_where_its_teacher_is_done() -> None:
    """The best value of 'to' is always 1: above 0.5 everywhere, above 2 nowhere."""
    student = distiller(pair=[teacher("to", [1] * 6, 0.5), teacher("on", [1] * 6, 2.0)])
    for _ in student.run():
        pass
    obs, _ = wide(16).reset(seed=list(range(16)))
    to, on = bound(student)
    assert to.act(obs)[1].all()
    assert not on.act(obs)[1].any()
    stubborn = heads_of(student)[0].on(ACTIONS, (1, 32, 32), DEVICE, stop_at_goal=False)
    assert not stubborn.act(obs)[1].any()


def test_heads_act_in_one_pass_as_they_do_alone(tmp_path: Path) -> None:
    student = distiller()
    next(student.run())
    library = Library(tmp_path, shipped=tmp_path / "none")
    library.add(student.student("both"))
    skills = [skill.on(ACTIONS, skill.shape, DEVICE) for skill in library.skills(["both/fro", "both/to"])]
    assert skills[0].network is skills[1].network
    calls = []
    skills[0].network.register_forward_hook(lambda *_: calls.append(1))
    options = [*primitives(ACTIONS), *skills]
    runner = OptionRunner(options, 8, np.random.default_rng(1))
    obs = np.random.default_rng(2).integers(0, 255, (8, 1, 32, 32)).astype(np.uint8)
    chosen = np.array([0, 1, 2, 3, 2, 3, 3, 2])
    runner.begin(np.ones(8, bool), chosen)
    together = runner.act(obs)
    assert len(calls) == 1
    np.testing.assert_array_equal(together, [options[option].act(obs[i : i + 1])[0][0] for i, option in enumerate(chosen)])


def test_a_distilled_network_is_kept_and_named(tmp_path: Path) -> None:
    student = distiller()
    library = Library(tmp_path, shipped=tmp_path / "none")
    library.add(student.student("both"))
    assert [head.name for head in library.skills(["both"])] == ["both/to", "both/fro"]
    fro = library.skill("both/fro")
    assert fro.head.first == 3  # two actions, and "this is the last"
    assert fro.card["task"] == {"name": "corridor"}
    obs = np.random.default_rng(2).integers(0, 255, (3, 1, 32, 32)).astype(np.uint8)
    torch.testing.assert_close(fro.values(obs), heads_of(student)[1].values(obs))
    with pytest.raises(SkillError, match="holds several skills; name one: both/to, both/fro"):
        library.skill("both")
    with pytest.raises(SkillError, match="unknown skill 'both/up'; did you mean 'both/to'\\? \\(known: both/to, both/fro\\)"):
        library.skill("both/up")


class Remembers(QNetwork):
    """A teacher in the T-maze, which tells in its last cell what it was shown in the first one: its state says to which side."""

    def __init__(self) -> None:
        super().__init__(NetworkSpec("tiny", (1, 8, 8), 2, core=1))
        self.head = torch.nn.Identity()  # type: ignore[assignment]

    def features(self, frames_BSHW: torch.Tensor, state_BC: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor | None]:
        upper, lower, end = (frames_BSHW[:, 0, row, column].bool() for row, column in ((0, 0), (7, 0), (0, 2)))
        assert state_BC is not None
        side = torch.where(upper | lower, lower.float() - upper.float(), state_BC[:, 0])
        right = torch.where(end, side, 1.0)
        return torch.stack([-right, right], 1), side[:, None]


@pytest.mark.usefixtures("tiny_network")
@pytest.mark.parametrize("share", [pytest.param(0.0, marks=pytest.mark.slow), 0.5])
def test_a_student_with_a_core_remembers_as_its_teacher(share: float, tmp_path: Path) -> None:
    def make(num_envs: int) -> Any:
        return TMaze(num_envs, length=3)

    torch.manual_seed(0)  # the student begins with the teacher's layers
    actions = ("up", "down")
    head = PolicyHead("maze", actions, card={"task": {"name": "maze"}})
    maze = Skill(SavedPolicy("maze", Remembers(), (head,)), head)
    assert evaluate(make(8), primitives(actions), maze.policy.policy(1), 100, seed=1).success_rate == 1.0
    config = replace(SMALL, network="tiny", core=16, num_envs=32, env_steps=16_384, batch_size=128,
                     learning_rate=3e-3, student_share=share, tau=1.0)  # fmt: skip
    with pytest.raises(SkillError, match="'maze' remembers what it saw, so its student must, too; give --core"):
        Distiller([maze], [make], [primitives(actions)], replace(config, core=0), 1)
    with pytest.raises(ConfigError, match="--memory"):
        Distiller([maze], [make], [primitives(actions)], replace(config, memory=100), 1)
    whole, part, other = (Distiller([maze], [make], [primitives(actions)], config, 1) for _ in range(3))
    rows, running = list(whole.run()), part.run()
    first = [next(running) for _ in range(20)]
    other.load_state_dict(load_state(save_state(tmp_path, "state", part.state_dict())))
    assert [*first, *other.run()] == rows
    student = other.student("both")
    greedy = SavedPolicy("both", student.network, (replace(student.heads[0], temperature=0.0),))
    assert evaluate(make(8), primitives(actions), greedy.policy(1), 100, seed=1).success_rate > 0.95
    for a, b in zip(whole.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_teachers_must_see_the_same() -> None:
    other = skill_of("other", QNetwork(NetworkSpec("compact", (2, 32, 32), 2)))
    with pytest.raises(SkillError, match="see different frames"):
        distiller(pair=[teacher("to", [1]), other])


def test_the_same_seed_gives_the_same_student() -> None:
    one, two = distiller(), distiller()
    for student in (one, two):
        next(student.run())
    for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_student_begins_with_the_layers_of_its_first_teacher() -> None:
    source, student, other = (Torso(name, (1, 64, 64)) for name in ("compact", "slim", "scout"))
    before = [weights.clone() for weights in (*other.parameters(), *source.parameters())]
    student.cut_from(source)  # 240 of 256 hidden units
    for own, known in zip(student.parameters(), source.parameters(), strict=True):
        assert torch.equal(own, known[tuple(slice(units) for units in own.shape)])
    other.cut_from(source)
    source.cut_from(student)
    assert all(map(torch.equal, (*other.parameters(), *source.parameters()), before))
    whole = distiller()
    for own, known in zip(whole.network.torso.parameters(), whole.lessons[0].teacher.network.torso.parameters(), strict=True):
        assert torch.equal(own, known)

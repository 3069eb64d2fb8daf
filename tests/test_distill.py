"""Distillation: losses by hand, one student for teachers that disagree, heads that leave each other alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from h_dqn.networks import QNetwork, inherit
from h_dqn.options import OptionRunner, primitives
from h_dqn.targets import DISTILLATION_LOSSES
from skills_library.distill import DistillConfig, Distiller
from skills_library.library import Library
from skills_library.skill import DeepSkill, SkillError
from tests.conftest import Corridor

Q_T, Q_S = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.5, 0.5], [0.0, 1.0]])


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
        super().__init__("compact", (1, 32, 32), 2)
        self.prefer = torch.tensor(prefer)

    def forward(self, frames_BSHW: torch.Tensor) -> torch.Tensor:
        cell = frames_BSHW[:, 0, 0].float().argmax(1).clamp(max=len(self.prefer) - 1)
        return torch.nn.functional.one_hot(self.prefer[cell], 2).float()


def teacher(name: str, prefer: list[int], last_above: float = np.inf) -> DeepSkill:
    return DeepSkill(name, Scripted(prefer), ("left", "right"), 5, last_above, card={"task": {"name": "corridor"}})


SMALL = DistillConfig(env_steps=4096, worlds=16, memory=2000, updates=12, batch_size=32, network="compact")


def wide(worlds: int) -> Any:
    return Corridor(worlds, length=6, limit=12, size=32)


def distiller(config: DistillConfig = SMALL) -> Distiller:
    torch.manual_seed(0)  # the student begins with a teacher's layers
    # They disagree in every cell, so that a head which learned from the wrong teacher would show.
    teachers = [teacher("to", [1, 1, 1, 1, 1, 1]), teacher("fro", [0, 0, 0, 0, 0, 0])]
    return Distiller(teachers, [wide, wide], [primitives(["left", "right"])] * 2, config, seed=1)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_each_head_does_as_its_teacher(share: float) -> None:
    student = distiller(replace(SMALL, student_share=share))
    losses = list(student.run())
    assert losses[-1]["loss/to"] < losses[0]["loss/to"] / 2
    envs = wide(16)
    obs, _ = envs.reset(seed=list(range(16)))
    to, fro = (head.on(("left", "right"), head.shape) for head in student.skills("both").heads)
    assert to.name == "skill:both/to"
    np.testing.assert_array_equal(to.act(obs)[0], np.ones(16))
    np.testing.assert_array_equal(fro.act(obs)[0], np.zeros(16))


def test_a_head_learns_where_its_teacher_is_done() -> None:
    """The best value of 'to' is always 1: above 0.5 everywhere, above 2 nowhere."""
    pair = [teacher("to", [1] * 6, 0.5), teacher("on", [1] * 6, 2.0)]
    student = Distiller(pair, [wide, wide], [primitives(["left", "right"])] * 2, SMALL, seed=1)
    for _ in student.run():
        pass
    obs, _ = wide(16).reset(seed=list(range(16)))
    to, on = (head.on(("left", "right"), head.shape) for head in student.skills("both").heads)
    assert to.act(obs)[1].all()
    assert not on.act(obs)[1].any()
    assert not to.on(("left", "right"), to.shape, stop_at_goal=False).act(obs)[1].any()


def test_heads_act_in_one_pass_as_they_do_alone(tmp_path: Path) -> None:
    student = distiller()
    next(student.run())
    library = Library(tmp_path, shipped=tmp_path / "none")
    library.add(student.skills("both"))
    skills = [skill.on(("left", "right"), skill.shape) for skill in library.skills(["both/fro", "both/to"])]
    assert skills[0].network is skills[1].network
    calls = []
    skills[0].network.register_forward_hook(lambda *_: calls.append(1))
    options = [*primitives(["left", "right"]), *skills]
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
    library.add(student.skills("both"))
    whole = library.load("both")
    assert [head.name for head in library.skills(["both"])] == ["both/to", "both/fro"]
    assert library.load("both/fro").first == 3  # two actions, and "this is the last"
    obs = np.random.default_rng(2).integers(0, 255, (3, 1, 32, 32)).astype(np.uint8)
    torch.testing.assert_close(library.load("both/fro").values(obs), student.skills("both").heads[1].values(obs))
    with pytest.raises(SkillError, match="holds several skills; name one: both/to, both/fro"):
        whole.on(("left", "right"), whole.shape)
    with pytest.raises(SkillError, match="unknown skill 'both/up' \\(known: both/to, both/fro\\)"):
        library.load("both/up")


def test_teachers_must_see_the_same() -> None:
    other = DeepSkill("other", QNetwork("compact", (2, 32, 32), 2), ("left", "right"))
    with pytest.raises(SkillError, match="see different frames"):
        Distiller([teacher("to", [1]), other], [wide, wide], [primitives(["left", "right"])] * 2, SMALL, seed=1)


def test_the_same_seed_gives_the_same_student() -> None:
    one, two = distiller(), distiller()
    for student in (one, two):
        next(student.run())
    for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_student_begins_with_the_layers_of_its_first_teacher() -> None:
    source, student, other = (QNetwork(name, (1, 64, 64), 3) for name in ("compact", "slim", "scout"))
    before = [weights.clone() for weights in (*other.parameters(), *source.parameters())]
    inherit(student, source)  # 240 of 256 hidden units
    for own, known in zip(student.trunk.parameters(), source.trunk.parameters(), strict=True):
        assert torch.equal(own, known[: len(own)])
    inherit(other, source)
    inherit(source, student)
    assert all(map(torch.equal, (*other.parameters(), *source.parameters()), before))

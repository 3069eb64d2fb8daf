"""The skills that come with the package: all of them are whole, each can do its task, and they are what pack.toml says."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import pack
from benchmarks.pack import EPISODES, LARGEST, SKILLS, as_planned, plan, ship
from h_dqn.experiment.agent import agent_of
from h_dqn.experiment.demo import DemoPlan
from h_dqn.experiment.inputs import gather_inputs
from h_dqn.experiment.race import play
from h_dqn.experiment.watch import Watcher
from h_dqn.experiment.worlds import shape_of
from skills_library.library import PRETRAINED, Library
from tests.helpers import Capture, h_dqn, policy_of

PACK = Library(PRETRAINED, PRETRAINED)
HEADS = [card["name"] for card in PACK.cards()[0]]
TASKS = [cell.arm for cell in plan()[0] if cell.experiment == SKILLS]
FEW = 24  # episodes, the same for a skill and for chance


def test_it_is_what_its_file_says() -> None:
    cells, shipped = plan()
    assert sorted(shipped) == PACK.names()
    assert sorted(HEADS) == sorted([*(name for name in shipped if name in TASKS), *(f"multi/{task}" for task in TASKS)])
    assert all(as_planned(PACK, cell) for cell in cells if cell.arm in shipped and cell.experiment == SKILLS)
    assert sum(path.stat().st_size for path in PRETRAINED.rglob("*") if path.is_file()) <= LARGEST


def test_it_is_whole(in_tmp: Path, capsys: Capture) -> None:
    assert h_dqn("skills verify --all") == 0
    assert f"{len(PACK.names())} of {len(PACK.names())} versions of skills are whole" in capsys.readouterr().out


@pytest.mark.parametrize("name", HEADS)
def test_each_skill_does_more_in_its_task_than_chance(name: str) -> None:
    skill = PACK.skill(name)
    agent = agent_of(skill)
    own, chance = (play(one, agent.envs(), FEW, 7, Watcher())[0] for one in (agent, None))
    assert own > chance
    measured = skill.card["measured"]
    assert measured["episodes"] == EPISODES
    assert measured["ci95"][0] > 0.8


def test_the_demo_begins_from_it() -> None:
    for run in list(DemoPlan().runs.values())[1:]:
        inputs = gather_inputs(run)
        assert shape_of(run.config) == PACK.policy("multi").network.spec.shape
        assert {skill.shape for skill in inputs.skills} <= {shape_of(run.config)}


def test_too_much_is_not_shipped(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = [policy_of(number, f"walk{number}") for number in range(2)]
    size = ship(two, in_tmp / "pack")
    assert Library(in_tmp / "pack", in_tmp / "none").names() == ["walk0", "walk1"]
    assert size == sum(path.stat().st_size for path in (in_tmp / "pack").rglob("*") if path.is_file())
    monkeypatch.setattr(pack, "LARGEST", size - 1)
    with pytest.raises(SystemExit, match=f"{size:,} bytes are more than the {size - 1:,} that the pack may have"):
        ship(two, in_tmp / "other")
    assert not (in_tmp / "other").exists()

"""Skills and runs that version 0.1.0 wrote before its rooms were redone (``data/old_format``) load, and play as they did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h_dqn.experiment.agent import load_agent
from h_dqn.options import OptionConfig
from skills_library.library import Library
from skills_library.policy import Termination, load_policy, save_policy
from tests.helpers import Capture, h_dqn, last_json, refused

OLD = Path(__file__).parent / "data" / "old_format"
ROOMS = Path(__file__).parents[1] / "benchmarks" / "rooms" / "paper"
VALUES: dict[str, Any] = json.loads((OLD / "values.json").read_text())  # by the revision that wrote them
OBS = (np.arange(4 * 1 * 32 * 24).reshape(4, 1, 32, 24) * 7919 % 251).astype(np.uint8)
NEVER = {"success_rate": 0.0, "ci95": [0.0, 0.16112516018512968], "episodes": 20, "seed": 90001}
# What `h-dqn evaluate X --episodes 20 --json` printed then.
PLAYED: dict[str, dict[str, Any]] = {
    "navigation1": {**NEVER, "env_steps": 600, "decisions": 600, "mean_return": -30.0, "task": "navigation1"},
    "break": {**NEVER, "env_steps": 600, "decisions": 600, "mean_return": -30.0, "task": "break"},
    "multi/break": {**NEVER, "env_steps": 600, "decisions": 600, "mean_return": -30.0, "task": "break"},
    "runs/ctl": {**NEVER, "env_steps": 1200, "decisions": 556, "mean_return": -60.0, "task": "two_rooms"},
    "runs/heads": {**NEVER, "env_steps": 2000, "decisions": 662, "mean_return": -100.0, "task": "three_rooms"},
    "runs/flat": {
        **NEVER, "success_rate": 0.1, "ci95": [0.02786648096169142, 0.3010336471864123],
        "env_steps": 566, "decisions": 566, "mean_return": -28.2, "task": "pickup",
    },
}  # fmt: skip


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the old ones lie."""
    shutil.copytree(OLD, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("what", PLAYED)
def test_it_plays_as_it_did(what: str, old: Path, capsys: Capture) -> None:
    there = (ROOMS / PLAYED[what]["task"]).with_suffix(".toml")  # of that version; a room of one map
    on = f"--task {there}" if there.exists() else ""
    assert h_dqn(f"evaluate {what} {on} --episodes 20 --json") == 0
    found = last_json(capsys)
    assert {key: found[key] for key in PLAYED[what]} == PLAYED[what]


def test_every_folder_is_read() -> None:
    assert {str(path.parent.relative_to(OLD)) for path in OLD.rglob("skill.json")} == set(VALUES)
    assert not list(OLD.rglob("policy.json"))


@pytest.mark.parametrize("folder", VALUES)
def test_values_are_what_they_were_and_outlive_being_saved_anew(folder: str, tmp_path: Path) -> None:
    policy = load_policy(OLD / folder)
    save_policy(policy, tmp_path / policy.name)
    assert (tmp_path / policy.name / "policy.json").is_file()
    for one in (policy, again := load_policy(tmp_path / policy.name)):
        np.testing.assert_allclose(one.network.values(OBS), VALUES[folder], rtol=1e-5, atol=1e-6)
    assert (again.heads, again.options, again.card) == (policy.heads, policy.options, policy.card)


def test_what_was_said_of_it_is_kept() -> None:
    skill, multi = Library(OLD / "skills").skill("navigation1"), Library(OLD / "skills").policy("multi")
    assert skill.network.spec.eliminate, "it was trained with elimination"
    assert skill.actions == ("forward", "turn_left", "turn_right")
    assert skill.head.temperature == 0.03
    assert skill.head.termination.steps == 10
    assert skill.head.termination.last_above == pytest.approx(-0.05)
    assert skill.card["task"]["world"] == "voxel"
    assert skill.card["training"]["env_steps"] == 512
    first, second = multi.heads
    assert (first.name, first.outputs, first.first) == ("multi/navigation1", ("forward", "turn_left", "turn_right"), 0)
    assert (second.name, second.outputs, second.first) == ("multi/break", ("forward", "turn_left", "turn_right", "break"), 4)
    assert (first.termination, second.termination) == (Termination(10, 0.0, 3), Termination(10, 0.0, 8))
    assert first.temperature == 0.3


def test_a_controller_has_its_skills_in_the_order_of_its_outputs() -> None:
    agent = load_agent(OLD / "runs" / "heads")
    assert [skill.name for skill in agent.skills] == ["break", "multi/navigation1", "multi/break"]
    assert set(agent.head.outputs) >= {f"skill:{skill.name}" for skill in agent.skills}
    assert (agent.trained_on, agent.interrupt) == ("three_rooms", False)
    assert agent.saved.options == OptionConfig()


def test_other_commands_take_them_too(old: Path, capsys: Capture) -> None:
    assert h_dqn("skills list") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("navigation1", "break", "multi/navigation1", "multi/break"))
    assert h_dqn("skills show multi") == 0
    assert "| break | break | 0.0% of 4 unseen episodes" in capsys.readouterr().out
    small = "--preset smoke --size 24 --core 0 --network scout --env-steps 64 --episodes 2 --json"
    assert h_dqn(f"train controller three_rooms --skills multi break --from runs/heads --name again {small}") == 0
    assert last_json(capsys)["env_steps"] == 64
    assert h_dqn(f"evaluate navigation1 --episodes 2 --json --video {old / 'episode.mp4'}") == 0
    refused(capsys, "resume runs/ctl", "not what this version of h-dqn writes")

"""The public calls of ``h_dqn``: all of them are there, and each does what the command line does."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import h_dqn
from h_dqn.config import Config, ConfigError
from h_dqn.experiment import api
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.watch import Moment, Watcher
from h_dqn.options import Listener
from skills_library.distill import DistillConfig
from skills_library.policy import SkillError
from tests import helpers
from tests.helpers import Capture, last_json

SMOKE: dict[str, Any] = {"preset": "smoke", "episodes": 4, "env_steps": 64}


@pytest.mark.parametrize("name", api.__all__)
def test_every_name_is_there_and_explained(name: str) -> None:
    public = getattr(h_dqn, name)
    assert public is getattr(api, name)
    assert public.__doc__


def test_all_of_its_own_calls_are_public() -> None:
    calls = {name for name, value in vars(api).items() if inspect.isfunction(value) and value.__module__ == api.__name__}
    assert calls <= set(api.__all__)


def test_nothing_else_is_there() -> None:
    for name in ("no_such_call", "__no_such_call__", "FAST"):
        with pytest.raises(AttributeError, match=f"module 'h_dqn' has no attribute '{name}'"):
            getattr(h_dqn, name)


class Told(Watcher):
    def __init__(self) -> None:
        self.moments: list[Moment] = []

    def progress(self, moment: Moment) -> None:
        self.moments.append(moment)


def test_a_skill_is_trained_loaded_played_evaluated_and_filmed(in_tmp: Path, capsys: Capture) -> None:
    told = Told()
    run = h_dqn.train_skill("navigation1", seed=3, num_envs=4, watcher=told, **SMOKE)
    assert isinstance(run, h_dqn.Run)
    assert run.folder == Path("runs/skill-navigation1-s3")
    assert json.loads((run.folder / "result.json").read_text())["env_steps"] == 64
    assert (run.plan.config.env.num_envs, run.plan.seed) == (4, 3)
    assert [(moment.what, moment.env_steps) for moment in told.moments] == [("skill navigation1", 16 * n) for n in (1, 2, 3, 4)]
    skill = h_dqn.load_agent("navigation1")
    envs = h_dqn.make_envs("navigation1", num_envs=2, shape=skill.shape)
    obs, _ = envs.reset(seed=1)
    assert obs.shape == (2, *skill.shape)
    policy = skill.policy(seed=1)
    assert isinstance(policy, Listener)
    policy.observe(obs, np.ones(2, bool))  # an episode begins in each
    option = policy(obs, np.ones((2, len(skill.head.outputs)), bool), np.arange(2))
    envs.step(option)
    found = h_dqn.evaluate(skill, episodes=6, seed=7)
    assert isinstance(found, h_dqn.Evaluation)
    assert found == h_dqn.evaluate("navigation1", "navigation1", episodes=6, seed=7)
    assert found == h_dqn.evaluate(run.folder, episodes=6, seed=7)
    assert helpers.h_dqn("evaluate navigation1 --episodes 6 --seed 7 --json") == 0
    said = {
        **asdict(found),
        "ci95": list(found.ci95),
        "masked": [],
        "not_learned": [],
        "task": "navigation1",
        "seed": 7,
        "temperature": skill.head.temperature,
    }
    assert sum(said.pop("by_episode")) == 6 * found.success_rate
    assert len(said.pop("used")) == len(skill.head.outputs)
    assert last_json(capsys) == said
    h_dqn.film("navigation1", "episode.mp4")
    assert Path("episode.mp4").stat().st_size > 1000


def test_a_controller_and_a_distilled_network_are_made_of_skills(in_tmp: Path) -> None:
    library = h_dqn.Library(Path("kept"))
    for task in ("navigation1", "break"):
        h_dqn.train_skill(task, library="kept", runs="elsewhere", **SMOKE)
    assert {path.name for path in Path("elsewhere").iterdir()} == {"skill-navigation1-s1", "skill-break-s1"}
    config = DistillConfig(env_steps=64, num_envs=4, round_steps=4, memory=50, updates=1, network="compact", core=16)
    result = h_dqn.distil(library, ["navigation1", "break"], "both", config, episodes=2)
    assert set(result["heads"]) == {"navigation1", "break"}
    run = h_dqn.train_controller("three_rooms", ["both", "break"], library="kept", name="ctl", start="both/break", **SMOKE)
    agent = h_dqn.load_agent(run.folder)
    assert agent.head.outputs[-3:] == ("skill:both/navigation1", "skill:both/break", "skill:break")
    assert h_dqn.evaluate(agent, episodes=2).episodes == 2
    flat = h_dqn.train_flat("near_and_far", learner="dqn", learn_start=10, **SMOKE)
    assert flat.plan.config.learner.learn_start == 10
    assert not any("skill:" in name for name in h_dqn.load_agent(flat.folder).head.outputs)


def test_settings_are_given_by_name() -> None:
    config = h_dqn.preset("smoke", learning_rate=0.5, num_envs=3)
    assert isinstance(config, Config)
    assert h_dqn.change(config, num_envs=4).env.num_envs == 4
    for call, error, says in (
        (lambda: h_dqn.preset("quick"), UserError, "unknown preset 'quick'"),
        (lambda: h_dqn.preset("fast", worlds=3), ConfigError, "unknown setting 'worlds'"),
        (lambda: h_dqn.train_skill("navigation1", preset="smoke", num_envs=0), ConfigError, "--num-envs must be above 0"),
        (lambda: h_dqn.load_agent("nothing"), SkillError, "unknown skill 'nothing'"),
        (lambda: h_dqn.Place("mars"), UserError, "unknown world 'mars'"),
    ):
        with pytest.raises(error, match=says):
            call()

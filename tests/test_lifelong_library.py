"""The agent that keeps what it learned: its skills as options, and what it does where nobody tells it anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from envs.task_file import load_task
from h_dqn.agent_state import AgentState
from h_dqn.config import change
from h_dqn.continual.config import ContinualConfig
from h_dqn.experiment.agent import last_above
from h_dqn.experiment.lifelong_agent import Setting, Stage
from h_dqn.experiment.lifelong_library import Librarian
from h_dqn.experiment.lifelong_options import flat, random_skills, skill_options
from h_dqn.experiment.worlds import TaskEnvs, shape_of
from h_dqn.metrics import WINDOW, EpisodeStatistics
from h_dqn.networks import QNetwork
from h_dqn.options import OptionRunner, Primitive
from h_dqn.presets import PRESETS
from h_dqn.train import Trainer

FEW = ContinualConfig(lesson_envs=2, lesson_steps=8, distil_updates=2, trial_episodes=1, keep_every=100)
CONFIG = change(PRESETS["smoke"], env_steps=64, num_envs=4)
TASKS = ("exit", "crate")


def setting_of(regime: str = "id", **continual: Any) -> Setting:
    envs = envs_of("exit")
    return Setting(CONFIG, replace(FEW, **continual), envs.shape, envs.actions, len(TASKS), regime, 1)


def envs_of(task: str) -> TaskEnvs:
    return TaskEnvs(load_task(task), shape_of(CONFIG))


def lives(agent: Librarian, task: str) -> Stage:
    """A stage of a few steps, from its trials to what is kept."""
    stage = Stage(TASKS.index(task), envs_of(task), 64, 1)
    agent.prepare(stage)
    trainer = Trainer(stage.envs, agent.options(stage.envs), change(agent.config, env_steps=64), 1)
    agent.begin(trainer.learner)
    for _ in trainer.run():
        pass
    agent.remember(trainer.learner)
    agent.end(stage, stage.envs)
    return stage


# --- skills as options ---


def spread(network: QNetwork) -> QNetwork:
    """With values that differ."""
    nn.init.normal_(network.head.get_parameter("weight"), generator=torch.Generator().manual_seed(2))
    return network


def test_skills_do_what_their_head_says_and_end_where_they_are_sure() -> None:
    setting, envs = setting_of(), envs_of("exit")
    network, count = spread(setting.network(2 * len(setting.options))), len(setting.options)
    options = skill_options(setting, envs, network, {0: np.inf, 1: -np.inf})
    assert [option.name for option in options] == ["skill:0", "skill:1"]
    runner = OptionRunner([Primitive("forward", 0), *options], 6, np.random.default_rng(1))
    obs = np.random.default_rng(1).integers(0, 255, (6, *setting.shape)).astype(np.uint8)
    runner.observe(obs, np.ones(6, bool))
    runner.begin(np.ones(6, bool), np.array([0, 1, 2, 1, 2, 0]))
    state = AgentState(network)
    state.observe(obs, np.ones(6, bool))
    q = state.values(obs, np.arange(6)).numpy()
    best = [q[:, :count].argmax(1), q[:, count:].argmax(1)]
    assert runner.act(obs).tolist() == [0, best[0][1], best[1][2], best[0][3], best[1][4], 0]
    done = runner.advance(obs, np.zeros(6, bool))
    assert done.tolist() == [True, False, True, False, True, True]  # the second is always sure to be there


def test_what_is_kept_of_a_controller_are_its_primitive_actions() -> None:
    setting = setting_of()
    network = spread(setting.network(len(setting.options) + 2))
    frames = torch.randint(0, 255, (3, *setting.shape), dtype=torch.uint8)
    assert torch.allclose(flat(setting, network)(frames), network(frames)[:, : len(setting.options)], atol=1e-6)
    alone = setting.network()
    assert flat(setting, alone) is alone


def test_random_skills_are_skills_that_learned_nothing() -> None:
    setting = setting_of()
    frames = torch.randint(0, 255, (64, *setting.shape), dtype=torch.uint8)
    q = random_skills(setting, 2 * len(setting.options))(frames).unflatten(1, (2, -1))
    best = q.argmax(2)
    assert (best[:, 0] != best[:, 1]).any()
    assert torch.equal(q, random_skills(setting, 2 * len(setting.options))(frames).unflatten(1, (2, -1)))


def test_a_value_is_a_last_steps_if_it_is_above_the_middle_between_one_and_two_steps() -> None:
    """-1 a step, 0 for the last: -0.1 with two to go at a scale of .1, so -0.05."""
    task = load_task("exit")
    assert last_above(task, 0.1, 0.97) == pytest.approx(-0.05)


@pytest.mark.parametrize(("which", "found"), [("no", []), ("learned", ["skill:0"]), ("random", ["skill:0"])])
def test_the_second_task_may_be_learned_with_the_first_ones_skill(which: str, found: list[str]) -> None:
    agent = Librarian(setting_of(skill_options=which))
    lives(agent, "exit")
    options = agent.options(envs_of("crate"))
    assert [option.name for option in options] == [*agent.setting.options, *found] == agent.names
    lives(agent, "crate")
    assert agent.network.spec.outputs == len(agent.setting.options)
    assert agent.skills == [0, 1]


def test_the_use_of_options_is_counted_from_the_beginning() -> None:
    statistics = EpisodeStatistics(2, ["a", "b"])
    statistics.chosen[:] = [3, 1]
    statistics.row()
    assert statistics.shares == {"a": 0.75, "b": 0.25}


# --- nothing is told ---


def newest(successes: Callable[[int], float]) -> EpisodeStatistics:
    """Of a run in which the n-th of the newest episodes went like this."""
    statistics = EpisodeStatistics(2, ["a"])
    statistics._success.extend(successes(number) for number in range(WINDOW))
    statistics.episodes = 2 * WINDOW
    return statistics


def test_it_keeps_what_is_worth_it_now_and_then_and_notices_a_fall() -> None:
    agent = Librarian(setting_of("hidden"))
    good, poor, fallen = newest(lambda n: float(n % 10 > 0)), newest(lambda n: float(n % 10 > 6)), newest(lambda n: float(n < 250))
    assert agent.pauses(good, 99) is None
    assert agent.pauses(poor, 1000) is None
    assert agent.pauses(good, 100) == "keep"
    assert agent.pauses(fallen, 10) == "changed"
    agent.paused, agent.solved = None, True
    assert agent.pauses(good, 1000) is None  # what it knows already it need not learn again
    assert Librarian(setting_of("announced")).pauses(fallen, 1000) is None


def test_what_is_kept_again_of_a_task_takes_the_place_of_what_was_before() -> None:
    agent = Librarian(setting_of("hidden"))
    lives(agent, "exit")
    first = agent.lessons[0][1]
    agent.paused = "keep"
    assert lives(agent, "exit").notes["start"] == "goes on"
    assert [task for task, _ in agent.lessons] == [0]
    assert agent.lessons[0][1] is not first


def test_another_task_is_begun_with_what_was_kept_before_it() -> None:
    agent = Librarian(setting_of("hidden"))
    lives(agent, "exit")
    kept = agent.lessons[0][1]
    agent.paused, agent.worth = "changed", False
    over = Stage(0, envs_of("exit"), 64, 1)
    assert agent.end(over, envs_of("crate")) == 0  # the world is another one already: nothing is to be seen of the task any more
    assert agent.lessons[0][1] is kept
    agent.worth, agent.newest.lessons = True, [*kept, *kept]
    agent.end(over, envs_of("crate"))  # but what was seen of it last
    assert [task for task, _ in agent.lessons] == [0]
    assert agent.lessons[0][1] is not kept
    stage = lives(agent, "crate")
    assert "trials" in stage.notes
    assert [task for task, _ in agent.lessons] == ([0] if agent.solved else [0, 1])
    assert agent.skills == [0]  # one head for all

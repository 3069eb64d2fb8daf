"""``h-dqn explain``: it records what evaluation plays and redraws what was seen, and one seed gives one file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import h_dqn
from envs.task_file import load_task
from h_dqn.experiment.agent import Agent
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.explain import ExplainConfig, Explanation, explain_agent, write
from h_dqn.experiment.explain.explain import head_of
from h_dqn.experiment.explain.look import Looker
from h_dqn.experiment.explain.redraw import Redrawing, causes, spurious_cues
from h_dqn.experiment.explain.tables import shown_rows
from h_dqn.experiment.place import Place
from h_dqn.experiment.worlds import task_envs
from h_dqn.introspection.choice import paths_of
from h_dqn.introspection.record import Record, record
from h_dqn.policies import SoftmaxPolicy
from h_dqn.report import plain
from tests.helpers import Capture, last_json, refused, saved_policy
from tests.helpers import h_dqn as cli

SMALL = ExplainConfig(episodes=12, seed=3, points=300, saliency=20, alarm_episodes=12)


@pytest.fixture(scope="module")
def navigation() -> Agent:
    return h_dqn.load_agent("navigation1")


@pytest.fixture(scope="module")
def seen(navigation: Agent) -> Record:
    envs = navigation.envs()
    policy, made = navigation.policy(3), envs(12)
    assert isinstance(policy, SoftmaxPolicy)
    inner: Any = made.unwrapped
    return record(made, navigation.options(envs), policy, 12, 3, Looker(inner))


@pytest.fixture(scope="module")
def explained(navigation: Agent) -> Explanation:
    return explain_agent(navigation, navigation.envs(), SMALL)


def untrained(outputs: int) -> Agent:
    policy = saved_policy(outputs=outputs)
    return Agent(policy, policy.head)


def test_a_record_is_what_evaluation_plays(navigation: Agent, seen: Record) -> None:
    played = h_dqn.evaluate(navigation, episodes=12, seed=3)
    assert tuple(seen.success) == played.by_episode
    assert len(seen) == played.env_steps
    assert seen.returns().mean() == pytest.approx(played.mean_return)


def test_rows_of_an_episode_are_together_and_in_order(seen: Record) -> None:
    lengths = np.bincount(seen.episode)
    assert seen.step.tolist() == [step for length in lengths for step in range(length)]
    assert np.flatnonzero(seen.last).tolist() == (np.cumsum(lengths) - 1).tolist()
    paths = paths_of(seen, np.zeros(len(seen), int), 1, 1.0)
    assert [path.labels[-1] for path in paths] == [1 if success else 2 for success in seen.success]


def test_the_head_reads_what_was_recorded(navigation: Agent, seen: Record) -> None:
    """From a frame and the state before it, the network says again what it said then."""
    with torch.no_grad():
        q = head_of(navigation)(torch.from_numpy(seen.frames), torch.from_numpy(seen.state)).numpy()
        read = navigation.saved.network.head(torch.from_numpy(seen.features)).numpy()
    assert q == pytest.approx(seen.q, abs=1e-4)
    assert read == pytest.approx(seen.q, abs=1e-4)


def test_truth_of_a_step(seen: Record) -> None:
    ends = np.flatnonzero(seen.last & seen.success[seen.episode])
    assert (seen.truth["oracle steps"][ends] == 1).all()  # it took that step
    near = seen.truth["oracle steps"] == 1
    assert (seen.truth["target seen"][near] > 0).all()
    assert 0 < (seen.truth["target seen"] == 0).mean() < 1


@pytest.mark.parametrize("task", ["navigation1", "workshop", "fetch", "placement", "three_rooms"])
def test_what_is_drawn_anew_is_what_was_seen(task: str) -> None:
    """With nothing changed, along random walks. ``workshop`` is seen with a hotbar."""
    agent = untrained(3)
    envs = agent.envs(task)
    policy, made = agent.saved.policy(1, replace(agent.head, temperature=1e6)), envs(6)
    played = record(made, agent.options(envs), policy, 6, 1, dict)
    rows = np.arange(0, len(played), 3)
    drawn = Redrawing(played, envs, rows)
    assert (drawn.frames() == played.frames[rows]).all()
    changed = [cause.name for cause in causes(envs.task) if (drawn.frames(cause.change) != played.frames[rows]).any()]
    assert "texture of stone" in changed
    assert any(name.startswith(("without", "nothing carried")) for name in changed)
    assert (drawn.frames() == played.frames[rows]).all()  # nothing stays changed


def test_a_network_that_reads_one_cue_shows_it_first(seen: Record, navigation: Agent) -> None:
    """A planted cue: what is chosen hangs on the strip of past actions alone."""

    def network(frames: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        strip = frames[:, -1, :4].float().mean((1, 2))
        return torch.stack([strip, torch.full_like(strip, 0.01)], 1)

    later = np.flatnonzero(seen.step > 0)[:40]
    found = spurious_cues(seen, navigation.envs(), later, network, 0.03, 1)
    assert found[0].cause == "strip of past actions blanked"
    assert found[0].flips == 1
    assert all(one.shift == 0 for one in found[1:])


def test_failures_are_shown_first_and_whole(seen: Record) -> None:
    rows = shown_rows(seen, 100)
    assert len(rows) <= 100
    for episode in np.unique(seen.episode[rows]):
        assert (seen.episode[rows] == episode).sum() == (seen.episode == episode).sum()
    assert len(np.unique(seen.episode[shown_rows(seen, 1)])) == 1


def test_one_seed_gives_one_file(navigation: Agent, explained: Explanation, tmp_path: Path) -> None:
    again = explain_agent(navigation, navigation.envs(), SMALL)
    one, other = (write(each, tmp_path / name) for each, name in ((explained, "a"), (again, "b")))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_what_the_data_says(explained: Explanation) -> None:
    data = plain(explained.data)
    assert all(one["size"] > 0 and one["cluster"] < data["chosen"]["k"] for one in data["clusters"])
    assert sum(one["size"] for one in data["clusters"]) == data["steps"]
    assert data["causes"][0]["cause"] == "without the place of subgoal 1"
    ends = {data["chosen"]["k"], data["chosen"]["k"] + 1}
    assert all(edge["source"] not in ends for edge in data["edges"])
    assert json.loads(json.dumps(data, allow_nan=False)) == data


@pytest.mark.parametrize(("outputs", "episodes"), [(1, 3), (3, 1)])
def test_an_agent_that_knows_nothing(outputs: int, episodes: int) -> None:
    """One action, or one episode, without a core or any learning: a page all the same."""
    agent = untrained(outputs)
    found = explain_agent(agent, agent.envs(), ExplainConfig(episodes, 1, 200, 5, 5))
    alike = any("there is nothing to compare" in text for text in found.data["warnings"])
    assert alike == (found.data["alarm"] is None)
    assert alike or outputs == 1
    assert found.page().endswith("</html>\n")


def test_constant_features_are_one_cluster() -> None:
    agent = untrained(3)
    with torch.no_grad():
        for weights in agent.saved.network.parameters():
            weights.zero_()
    found = explain_agent(agent, agent.envs(), ExplainConfig(2, 1, 200, 5, 0))
    assert any("there is one cluster" in text for text in found.data["warnings"])
    assert found.page().endswith("</html>\n")


def test_other_worlds_are_refused(navigation: Agent) -> None:
    elsewhere = task_envs(load_task("navigation1"), navigation.shape, Place("luanti"))
    with pytest.raises(UserError, match="only the embedded world"):
        explain_agent(navigation, elsewhere, SMALL)


def test_the_command(in_tmp: Path, capsys: Capture) -> None:
    assert cli("explain navigation1 --episodes 5 --json") == 0
    told = last_json(capsys)
    assert told["episodes"] == 5
    assert Path(told["page"]).read_text().startswith("<!doctype html>")
    assert json.loads(Path(told["data"]).read_text())["seed"] == 70001
    assert cli("skills show navigation1") == 0
    assert told["page"] in capsys.readouterr().out
    refused(capsys, "explain nobody", "nobody")
    refused(capsys, f"explain navigation1 --out {told['page']}", "--out", "is a file")
    refused(capsys, f"explain navigation1 --export {told['page']}", "--export", "is a file")

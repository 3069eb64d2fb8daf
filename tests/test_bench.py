"""``h-dqn bench train``: who reached the goal and kept it, what is counted, and where the time goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import h_dqn.cli as cli
import h_dqn.train
from h_dqn.config import change
from h_dqn.experiment.bench import profile, train
from h_dqn.experiment.bench.train import EVERY, Validation, compare, race, reached
from h_dqn.experiment.worlds import task_envs
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.policies import greedy
from h_dqn.presets import PRESETS
from h_dqn.rollout import Policy

ROOT = Path(__file__).parents[1]


def validations(*success: float) -> list[Validation]:
    return [Validation(EVERY * n, float(n), float(n), value) for n, value in enumerate(success, 1)]


def test_the_goal_is_reached_where_it_is_kept() -> None:
    assert reached(validations(0.9, 0.96, 0.94, 0.95, 0.97, 0.96), 0.95) == validations(0, 0, 0, 0.95)[-1]
    assert reached(validations(0.9, 0.96, 0.97), 0.95) is None, "nobody knows yet"
    assert reached([], 0.95) is None


def test_a_learner_is_validated_now_and_then_until_it_is_good_or_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    envs, asked = task_envs("navigation1", (1, 24, 24)), list[int]()
    monkeypatch.setattr(train, "EPISODES", 4)
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("time.process_time", lambda: 2 * now[0])  # two threads

    def contender(over: Callable[[int, Callable[[], Policy]], bool]) -> None:
        def policy() -> Policy:
            asked.append(env_steps)
            now[0] += 1000  # which is not counted
            return lambda obs, available, env_ids: greedy(torch.zeros(available.shape), available)

        for env_steps in range(0, 10 * EVERY, 1000):
            now[0] += 1
            if over(env_steps, policy):
                return

    found = race(contender, envs, seed=1, goal=0.95, limit_s=34)
    assert asked == [EVERY * n for n in range(1, 5)]
    assert [one.env_steps for one in found] == asked
    assert [one.seconds for one in found] == [6.0, 11.0, 16.0, 21.0]
    assert [one.processor_seconds for one in found] == [12.0, 22.0, 32.0, 42.0]


@pytest.fixture
def small_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    sb3: Any = pytest.importorskip("h_dqn.experiment.bench.sb3", reason="Stable-Baselines3 is not installed")
    monkeypatch.setattr(train, "EPISODES", 4)
    monkeypatch.setattr(train, "EVERY", 256)
    for name, smaller in (("PPO", {"worlds": 4, "n_steps": 8, "batch_size": 16}), ("DQN", {"worlds": 4, "learning_starts": 32})):
        monkeypatch.setitem(sb3.PEERS, name, {**sb3.PEERS[name], **smaller})


def test_all_learn_on_the_same_worlds_each_with_its_own_frames(
    small_peers: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a task of one's own, ours with a core and one frame, the peers with two."""
    path = tmp_path / "mine.toml"
    path.write_text((ROOT / "envs" / "tasks" / "navigation1.toml").read_text())
    config = change(PRESETS["smoke"], stack=1, core=8, success_memory=0.0)
    found = compare(config, str(path), seed=1, goal=0.95, limit_s=0.0, peer_stack=2)
    assert [row["learner"] for row in found["rows"]] == ["h-dqn", "PPO", "DQN"]
    assert all(row["env_steps"] == 256 and row["processor_seconds"] > 0 and not row["reached"] for row in found["rows"])
    assert all(row["times_ours"] is None for row in found["rows"]), "ours has reached nothing"
    assert {name: settings.get("stack") or settings["env"]["stack"] for name, settings in found["settings"].items()} == {
        "h-dqn": 1,
        "PPO": 2,
        "DQN": 2,
    }
    assert cli.run(["bench", "train", "--preset", "smoke", "--limit-s", "0", "--task", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["h-dqn"]["env"]["num_envs"] == 8
    assert cli.run(["bench", "train", "--peer-stack", "0"]) == 2
    assert "--peer-stack must be above 0, not 0" in capsys.readouterr().err
    assert cli.run(["bench", "train", "--goal", "1.5"]) == 2
    assert "--goal must be above 0 and at most 1, not 1.5" in capsys.readouterr().err


# --- where the time goes ---------------------------------------------------------------------------------------------

CONVOLUTIONS = 9 * 7 * 16 * (1 * 6 * 6), 4 * 3 * 32 * (16 * 3 * 3), 2 * 1 * 32 * (32 * 3 * 3)  # of a frame of 40x32
HIDDEN, CORE, HEAD = 2 * 32 * 256, 3 * 16 * (256 + 16), (256 + 16) * 3
FORWARD = sum(CONVOLUTIONS) + HIDDEN + CORE + HEAD


def test_parts_of_the_time_are_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "train", "--profile", "--preset", "smoke", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    *parts, everything = found["rows"]
    assert [row["part"] for row in parts] == list(profile.PARTS)
    assert sum(row["share"] for row in parts) == pytest.approx(1.0)
    assert all(row["share"] > 0 for row in parts)
    rows = {row["part"]: row for row in parts}
    assert found["env_steps"] == 512 - 32  # without the first round
    assert rows[profile.ACTING]["multiply_adds"] == 480 * FORWARD
    assert rows[profile.FORWARD]["multiply_adds"] % FORWARD == 0
    learned = rows[profile.FORWARD]["multiply_adds"] // FORWARD
    assert rows[profile.BACKWARD]["multiply_adds"] == learned * (2 * FORWARD - CONVOLUTIONS[0]), "nobody asks for slopes of frames"
    assert rows[profile.DRAWING]["rays"] == 480 * 32 * 32
    assert everything["multiply_adds"] == sum(row["multiply_adds"] for row in parts)


@pytest.mark.parametrize("preset", ["smoke_replay", "smoke"])
def test_what_is_timed_is_given_back(preset: str) -> None:
    """Also with another learner and with a core."""
    config = change(PRESETS[preset], num_envs=8, size=32, core=PRESETS[preset].net.core and 8)
    before = torch.Tensor.backward, vars(h_dqn.train)["evaluate"]
    found = profile.profile(config, "navigation1", seed=1, steps=600)
    rows = {row["part"]: row for row in found["rows"]}
    assert {profile.ACTING, profile.GATHERING, profile.BOOTSTRAPS, profile.FORWARD, profile.BACKWARD} < set(rows)
    assert rows[profile.BACKWARD]["multiply_adds"] > rows[profile.FORWARD]["multiply_adds"] > 0
    assert (torch.Tensor.backward, vars(h_dqn.train)["evaluate"]) == before


@pytest.mark.parametrize("core", [0, 8])
def test_multiply_adds_are_those_that_torch_counts(core: int) -> None:
    network = QNetwork(NetworkSpec("compact", (2, 40, 32), 3, core=core))
    parts = [profile.cost(part) for part in (network.torso, network.core, network.head) if part is not None]
    frames, begins = torch.zeros(5, 4, 2, 40, 32, dtype=torch.uint8), torch.zeros(5, 4, dtype=torch.bool)
    with FlopCounterMode(display=False) as forward:
        x = network.unroll(frames, begins, torch.zeros(4, core)) if core else network.features(frames.flatten(0, 1))[0]
        q = network.head(x)
    with FlopCounterMode(display=False) as backward:
        q.sum().backward()
    assert forward.get_total_flops() == 2 * 20 * sum(part.forward for part in parts)
    assert backward.get_total_flops() == 2 * 20 * sum(part.backward for part in parts)

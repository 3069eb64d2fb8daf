"""The race of ``h-dqn bench train``: who reached the goal and kept it, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from h_dqn.experiment.bench import train
from h_dqn.experiment.bench.train import EVERY, Validation, race, reached
from h_dqn.experiment.worlds import task_envs
from h_dqn.policies import greedy
from h_dqn.rollout import Policy


def validations(*success: float) -> list[Validation]:
    return [Validation(EVERY * n, float(n), float(n), value) for n, value in enumerate(success, 1)]


def test_the_goal_is_reached_where_it_is_kept() -> None:
    assert reached(validations(0.9, 0.96, 0.94, 0.95, 0.97, 0.96)) == validations(0, 0, 0, 0.95)[-1]
    assert reached(validations(0.9, 0.96, 0.97)) is None, "nobody knows yet"
    assert reached([]) is None


def test_a_learner_is_validated_now_and_then_until_it_is_good_or_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    envs, asked = task_envs("navigation1", (1, 24, 24)), list[int]()
    monkeypatch.setattr(train, "EPISODES", 4)
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def contender(over: Callable[[int, Callable[[], Policy]], bool]) -> None:
        def policy() -> Policy:
            asked.append(env_steps)
            now[0] += 1000  # which is not counted
            return lambda obs, available, env_ids: greedy(torch.zeros(available.shape), available)

        for env_steps in range(0, 10 * EVERY, 1000):
            now[0] += 1
            if over(env_steps, policy):
                return

    found = race(contender, envs, seed=1, limit_s=17)
    assert asked == [EVERY * n for n in range(1, 5)]
    assert [one.env_steps for one in found] == asked
    assert [one.seconds for one in found] == [6.0, 11.0, 16.0, 21.0]


def test_peers_learn_on_our_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    sb3: Any = pytest.importorskip("h_dqn.experiment.bench.sb3", reason="Stable-Baselines3 is not installed")
    monkeypatch.setattr(train, "EPISODES", 4)
    monkeypatch.setattr(train, "EVERY", 256)
    envs = task_envs("navigation1", (2, 48, 40))
    for name, smaller in (("PPO", {"worlds": 4, "n_steps": 8, "batch_size": 16}), ("DQN", {"worlds": 4, "learning_starts": 32})):
        monkeypatch.setitem(sb3.PEERS, name, {**sb3.PEERS[name], **smaller})

        def begin(over: Any, name: str = name) -> None:
            sb3.peer(name, envs, 1, 0.1, over)

        (first, *_) = race(begin, envs, seed=1, limit_s=0.0)
        assert first.env_steps == 256
        assert first.processor_seconds > 0

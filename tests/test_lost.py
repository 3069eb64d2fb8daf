"""Environments that fail now and then: nothing that they invent is learned or counted, and nothing that was whole is left out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from h_dqn.config import change
from h_dqn.evaluation import Watched, evaluate
from h_dqn.options import primitives
from h_dqn.presets import PRESETS
from h_dqn.train import Trainer
from tests.conftest import Corridor, Walk

NOISE, INVENTED, SIDE = 13, 77.0, 32


class Failing(Corridor):
    """A corridor whose environments fail with a chance of 10 % a step, and are then away for up to two resets.

    ``log`` holds every whole step: (environment, cell, action, reward, next cell, terminated), before the truncation of an episode
    that failed. The second row of a frame is the number of its environment.
    """

    def __init__(self, num_envs: int, chance: float = 0.1) -> None:
        super().__init__(num_envs, size=SIDE)
        self.chance, self.rng = chance, np.random.default_rng(5)
        self.away = np.zeros(num_envs, np.int64)
        self.alive = np.zeros(num_envs, bool)
        self.log: list[tuple[int, int, int, float, int, bool]] = []
        self.seeds: list[Any] = []

    def _obs(self) -> NDArray[np.uint8]:
        obs = super()._obs()
        obs[:, 0, 1] = np.arange(self.num_envs)[:, None]
        return obs

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        back = mask & (self.away == 0)
        self.away[mask] = np.maximum(0, self.away[mask] - 1)
        self.alive |= back
        self.seeds += [(n, seed[n]) for n in np.flatnonzero(back) if seed is not None]
        obs, _ = super().reset(seed=seed, options={"reset_mask": back})
        obs[mask & ~back] = NOISE
        return obs, {"lost": mask & ~back}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        before = self.cell.copy()
        obs, reward, terminated, truncated, info = super().step(actions)
        lost = ~self.alive | (self.rng.random(self.num_envs) < self.chance)
        self.cell = np.where(lost, before, self.cell)
        for n in np.flatnonzero(~lost):
            self.log.append((int(n), int(before[n]), int(actions[n]), float(reward[n]), int(self.cell[n]), bool(terminated[n])))
        self.away[lost & self.alive] = self.rng.integers(0, 3, self.num_envs)[lost & self.alive]
        self.alive &= ~(lost | terminated | truncated)
        obs[lost] = NOISE
        reward[lost] = INVENTED
        return obs, reward, terminated & ~lost, truncated | lost, {**info, "lost": lost}


def run_of(options: list[Any], **changes: Any) -> tuple[Trainer, Failing, list[dict[str, float]]]:
    """A run at its end, the environments that it was in, and its rows."""
    made: list[Failing] = []

    def make(n: int) -> Failing:
        made.append(Failing(n))
        return made[-1]

    config = change(PRESETS["smoke_replay"], size=SIDE, stack=1, capacity=8000, env_steps=1500, evaluate_every=10**6,
                    validation_episodes=8, learn_start=10**6)  # fmt: skip
    config = change(config, **changes)
    run = Trainer(make, options, config, seed=3)
    rows = list(run.run())
    return run, made[0], rows


def test_replay_holds_every_whole_step_and_no_other() -> None:
    run, envs, _ = run_of(primitives(["left", "right"]))
    whole = run.replay.fresh()
    frames = whole.frames[:, -1].numpy()
    cell, env = frames[:, 0].argmax(1), frames[:, 1, 0]
    start, end = whole.start.numpy(), whole.end.numpy()
    np.testing.assert_array_equal(env[start], env[end])
    stored = Counter(
        zip(
            env[start].tolist(),
            cell[start].tolist(),
            whole.option.tolist(),
            whole.rewards[:, 0].tolist(),
            cell[end].tolist(),
            whole.terminated.tolist(),
            strict=True,
        )
    )
    assert stored == Counter(envs.log)
    assert run.env_steps == len(envs.log)
    assert run.statistics.env_failed > 50
    assert not (whole.frames == NOISE).any()
    assert all(value <= 0 for value in run.statistics.state_dict()["newest"][1])


@pytest.mark.parametrize("intra", ["no", "primitives", "all"])
def test_options_that_a_failure_cuts_off_keep_their_whole_steps(intra: str) -> None:
    run, envs, _ = run_of([*primitives(["left", "right"]), Walk("walk", 1, 3)], intra_option=intra)
    decisions = run.replay.fresh()
    assert set(np.unique(decisions.rewards)) <= {0.0, -1.0}
    assert not (decisions.frames == NOISE).any()
    if intra == "no":
        runner = run.rollout.runner
        running = runner.steps[runner.current >= 0].sum()  # steps of walks that are not over yet
        assert int(decisions.length.sum()) + running == len(envs.log)
        cut = (decisions.option == 2) & (decisions.length < 3) & ~decisions.terminated
        assert cut.any()
        assert sum(entry[5] for entry in envs.log) == decisions.terminated.sum()
    else:
        assert int(decisions.length.sum()) > len(envs.log), "steps of the walk taught others too"


def test_an_episode_that_failed_is_evaluated_again_with_its_seed() -> None:
    def right(obs: Any, available: Any, env_ids: Any) -> Any:
        return np.ones(len(obs), np.int64)

    sure, failing = Corridor(3, size=SIDE), Failing(3)
    expected = evaluate(sure, primitives(["left", "right"]), right, 40, seed=1)
    found = evaluate(failing, primitives(["left", "right"]), right, 40, seed=1)
    assert found == expected
    assert len({seed for _, seed in failing.seeds if seed is not None}) < len(failing.seeds)


def test_whoever_watches_is_told_of_whole_episodes_alone() -> None:
    told: list[int] = []

    def right(obs: Any, available: Any, env_ids: Any) -> Any:
        return np.ones(len(obs), np.int64)

    evaluate(Watched(Failing(3), told.append), primitives(["left", "right"]), right, 12, seed=1)
    assert told == sorted(told)
    assert 12 <= told[-1] <= 15


@pytest.mark.parametrize("core", [0, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("learner", ["q_lambda", "dqn"])
def test_a_run_with_failures_learns_to_its_end(learner: str, core: int) -> None:
    changes: dict[str, Any] = {"learn_start": 100, "priority": 0.0 if core else 0.5} if learner == "dqn" else {}
    run, _, rows = run_of(primitives(["left", "right"]), learner=learner, core=core, success_memory=0.0 if core else 0.2, **changes)
    assert rows[-1]["env_steps"] >= 1500
    assert np.isfinite(rows[-1]["loss"])
    assert run.statistics.row()["env_failed"] > 0
    assert 0 <= run.statistics.success <= 1

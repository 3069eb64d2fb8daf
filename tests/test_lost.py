"""Worlds that fail now and then: nothing that they invent is learned or counted, and nothing that was whole is left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from h_dqn.evaluate import evaluate
from h_dqn.options import primitives
from h_dqn.presets import PRESETS
from h_dqn.train import Trainer
from tests.conftest import Corridor, Walk

NOISE, INVENTED, SIDE = 13, 77.0, 32


class Failing(Corridor):
    """A corridor whose worlds are lost with a chance of 10 % a step, and then away for up to two resets.

    ``log`` holds every whole step: (world, cell, action, reward, next cell, terminated), before the truncation of a lost episode.
    """

    def __init__(self, num_envs: int, chance: float = 0.1) -> None:
        super().__init__(num_envs, size=SIDE)
        self.chance, self.rng = chance, np.random.default_rng(5)
        self.away = np.zeros(num_envs, np.int64)
        self.alive = np.zeros(num_envs, bool)
        self.log: list[tuple[int, int, int, float, int, bool]] = []
        self.seeds: list[Any] = []

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


def trainer(options: list[Any], **changes: Any) -> tuple[Trainer, Failing]:
    made: list[Failing] = []

    def make(n: int) -> Failing:
        made.append(Failing(n))
        return made[-1]

    config = replace(
        PRESETS["smoke_replay"], size=SIDE, stack=1, capacity=8000, env_steps=1500,
        learn_start=10**6, evaluate_every=10**6, validation_episodes=8, **changes,
    )  # fmt: skip
    return Trainer(make, options, config, seed=3), made[0]


def test_replay_holds_every_whole_step_and_no_other() -> None:
    run, world = trainer(primitives(["left", "right"]))
    for _ in range(200):
        run._step()
    whole = run.replay._gather(np.arange(run.replay.made), 1, np.ones(run.replay.made, np.float32), 0)
    cell = whole.frames[:, -1, 0].argmax(1)
    cells = [(int(cell[a]), int(cell[b])) for a, b in zip(whole.start, whole.end, strict=True)]
    stored = Counter(
        (int(run.replay._decisions["world"][i]), cells[i][0], int(whole.option[i]), float(whole.rewards[i, 0]), cells[i][1],
         bool(whole.terminated[i]))
        for i in range(run.replay.made)
    )  # fmt: skip
    assert stored == Counter(world.log)
    assert run.env_steps == len(world.log)
    assert run.tally.lost > 50
    assert not (whole.frames == NOISE).any()
    assert all(value <= 0 for value in run.tally._return)


@pytest.mark.parametrize("intra", ["no", "primitives", "all"])
def test_options_that_a_failure_cuts_off_keep_their_whole_steps(intra: str) -> None:
    run, world = trainer([*primitives(["left", "right"]), Walk("walk", 1, 3)], intra_option=intra)
    for _ in range(200):
        run._step()
    own = run.replay._decisions["persists"][: run.replay.made] == 0
    decisions = run.replay._gather(np.arange(run.replay.made), 1, np.ones(run.replay.made, np.float32), 0)
    assert set(np.unique(decisions.rewards)) <= {0.0, -1.0}
    assert not (decisions.frames == NOISE).any()
    if intra == "no":
        assert int(decisions.length[own].sum()) == len(world.log)
        cut = (decisions.option == 2) & (decisions.length < 3) & ~decisions.terminated
        assert cut.any()
        assert sum(entry[5] for entry in world.log) == decisions.terminated.sum()


def test_a_lost_episode_is_evaluated_again_with_its_seed() -> None:
    class Right:
        def __call__(self, obs: Any, available: Any, worlds: Any) -> Any:
            return np.ones(len(obs), np.int64)

    sure, failing = Corridor(3, size=SIDE), Failing(3)
    expected = evaluate(sure, primitives(["left", "right"]), Right(), 40, seed=1)
    found = evaluate(failing, primitives(["left", "right"]), Right(), 40, seed=1)
    assert found == expected
    assert len({seed for _, seed in failing.seeds if seed is not None}) < len(failing.seeds)


def test_a_run_with_failures_learns_to_its_end() -> None:
    run, _ = trainer(primitives(["left", "right"]))
    rows = list(run.run())
    assert rows[-1]["env_steps"] >= 1500
    assert run.tally.row()["lost"] > 0
    assert 0 <= run.tally.success <= 1

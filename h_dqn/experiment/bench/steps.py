"""Steps per second of any world, beside the speed of a plain Python loop, since a shared machine is not always as fast."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from envs.registry import WORLDS
from envs.task_file import load_task
from h_dqn.experiment.worlds import Place

STEPS, TURNS, ROUNDS = 2000, 1_000_000, 3


def spin() -> float:
    """Millions of turns a second of a Python loop that only counts."""
    began, turn = time.perf_counter(), 0
    while turn < TURNS:
        turn += 1
    return TURNS / 1e6 / (time.perf_counter() - began)


def steps_speed(place: Place, seed: int, num_envs: int = 1, size: int = 84) -> dict[str, Any]:
    """Steps per second of random play in three_rooms, resets included; median of rounds, each with its own spin loop."""
    envs = WORLDS[place.world].make(load_task("three_rooms"), num_envs, size, place.options)
    envs.reset(seed=seed)
    actions = np.random.default_rng(seed).integers(0, envs.single_action_space.n, (STEPS // num_envs, num_envs))  # type: ignore[attr-defined]
    speeds, spins, steps, resets = [], [], [], []
    for _ in range(ROUNDS):
        spins.append(spin())
        began = time.perf_counter()
        for row in actions:
            before = time.perf_counter()
            _, _, terminated, truncated, _ = envs.step(row)
            after = time.perf_counter()
            steps.append((after - before) / num_envs)
            if (ended := terminated | truncated).any():
                envs.reset(options={"reset_mask": ended})
                resets.append((time.perf_counter() - after) / ended.sum())
        speeds.append(actions.size / (time.perf_counter() - began))
    for _ in range(50):  # single resets: in the play above there are few
        before = time.perf_counter()
        envs.reset(options={"reset_mask": np.arange(num_envs) == 0})
        resets.append(time.perf_counter() - before)
    envs.close()
    speed, million = float(np.median(speeds)), float(np.median(spins))
    return {
        "steps_per_second": speed,
        "steps_per_million_turns": float(np.median(np.array(speeds) / spins)),
        "million_turns_per_second": million,
        "step_ms_median": 1e3 * float(np.median(steps)),
        "step_ms_p99": 1e3 * float(np.percentile(steps, 99)),
        "reset_ms_median": 1e3 * float(np.median(resets)),
        "worlds": num_envs,
        "size": size,
    }

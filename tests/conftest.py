"""Toy worlds with known optima, and the fixtures that several test modules use. What is no fixture is in ``helpers.py``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from h_dqn.networks import ARCHITECTURES, Architecture
from h_dqn.options import Acts

torch.set_num_threads(1)  # see __init__.py


class Corridor(VectorEnv[Any, Any, Any]):
    """Cells 0..length-1 shown as a bright column of a small frame; action 1 goes right, 0 left; the last cell is the goal.

    Reward -1 a step, 0 on the step that reaches the goal. Starts anywhere but at the goal. ``limit`` steps truncate.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED}

    def __init__(self, num_envs: int, length: int = 6, limit: int = 20, actions: int = 2, size: int = 8) -> None:
        self.num_envs, self.length, self.limit, self.size = num_envs, length, limit, size
        self.single_observation_space = gym.spaces.Box(0, 255, (1, size, size), np.uint8)
        self.single_action_space = gym.spaces.Discrete(actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.cell = np.zeros(num_envs, np.int64)
        self.steps = np.zeros(num_envs, np.int64)
        self._generators = [np.random.default_rng(n) for n in range(num_envs)]

    def _obs(self) -> NDArray[np.uint8]:
        obs = np.zeros((self.num_envs, 1, self.size, self.size), np.uint8)
        obs[np.arange(self.num_envs), 0, :, self.cell] = 255
        return obs

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        for n in np.flatnonzero(mask):
            if seed is not None and seed[n] is not None:
                self._generators[n] = np.random.default_rng(seed[n])
            self.cell[n] = self._generators[n].integers(self.length - 1)
            self.steps[n] = 0
        return self._obs(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self.cell = np.clip(self.cell + np.where(np.asarray(actions) == 1, 1, -1), 0, self.length - 1)
        self.steps += 1
        reached = self.cell == self.length - 1
        return self._obs(), np.where(reached, 0.0, -1.0), reached, (self.steps >= self.limit) & ~reached, {}

    def state_dict(self) -> dict[str, Any]:
        generators = [generator.bit_generator.state for generator in self._generators]
        return {"cell": self.cell.copy(), "steps": self.steps.copy(), "generators": generators}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.cell, self.steps = state["cell"].copy(), state["steps"].copy()
        for generator, saved in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = saved


class TMaze(Corridor):
    """A corridor from cell 0 on, which shows once, there, to which side the goal is: its upper or its lower half is bright.

    Action 1 goes right, 0 stays. In the last cell, action 1 goes down and 0 up: to the goal, or to an end without one. So half of
    the episodes succeed for who forgets, and for who remembers, all (Bakker 2002).
    """

    def __init__(self, num_envs: int, length: int = 4, limit: int = 20) -> None:
        super().__init__(num_envs, length, limit)
        self.down = np.zeros(num_envs, np.int64)

    def _obs(self) -> NDArray[np.uint8]:
        obs = super()._obs()
        for n in np.flatnonzero(self.cell == 0):
            obs[n, 0, : self.size // 2, 0] = 255 * (1 - self.down[n])
            obs[n, 0, self.size // 2 :, 0] = 255 * self.down[n]
        return obs

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        super().reset(seed=seed, options=options)
        for n in np.flatnonzero((options or {}).get("reset_mask", np.ones(self.num_envs, bool))):
            self.cell[n], self.down[n] = 0, self._generators[n].integers(2)
        return self._obs(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        actions, ends = np.asarray(actions), self.cell == self.length - 1
        reached = ends & (actions == self.down)
        self.cell = np.where(ends, self.cell, self.cell + actions)
        self.steps += 1
        return self._obs(), np.where(reached, 0.0, -1.0), reached, (ends | (self.steps >= self.limit)) & ~reached, {}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "down": self.down.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.down = state["down"].copy()


class Walk:
    """An option that takes one action for a fixed number of steps; ``where`` tells on which cells it may start."""

    def __init__(self, name: str, action: int, steps: int, where: tuple[int, ...] = tuple(range(8))) -> None:
        self.name, self.action, self.steps, self.where = name, action, steps, where

    def initiate(self, obs: NDArray[Any]) -> NDArray[np.bool_]:
        return np.isin(obs[:, -1, 0].argmax(1), self.where)

    def act(self, obs: NDArray[Any]) -> Acts:
        return np.full(len(obs), self.action), np.zeros(len(obs), bool)

    def terminate(self, obs: NDArray[Any], steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return (steps >= self.steps).astype(float)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist looks for the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that one process of several has to run (--dist loadgroup): what they share is costly, or there is only one of it."""
    for item in items:
        if item.path.stem in ("test_luanti", "test_ray"):  # each asserts that no engine is left here; they share a cluster
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        elif "trained" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("trained"))


@pytest.fixture
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network "tiny", for the corridor's frames."""
    monkeypatch.setitem(ARCHITECTURES, "tiny", Architecture(((16, 8, 8),), hidden=32, norm=True))


@pytest.fixture
def quick_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A multi-skill network that hardly learns, at once."""
    from h_dqn.experiment import multi

    how = replace(multi.REHEARSAL, num_envs=8, round_steps=4, memory=64, batch_size=8, updates=1)
    monkeypatch.setattr(multi, "REHEARSAL", how)


@pytest.fixture
def in_tmp(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value of a JSON document."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))

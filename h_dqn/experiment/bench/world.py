"""Frames per second of the embedded world, against MiniWorld in the same run, and how the speed scales.

A frame is one step of one environment with its RGB picture; resets are counted in. The peer needs the extra ``bench`` and OpenGL
(libgl1, libegl1).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numba
import numpy as np

from envs.compiled import njit
from h_dqn.experiment.errors import UserError

PEER = "MiniWorld-OneRoom-v0"
SECONDS = 2.0
NUM_ENVS, SIZES = (1, 8, 64, 256), (42, 64, 84, 128)


def world_speed() -> dict[str, Any]:
    """Frames per second of 64 environments at 84x84, of the peer, of other numbers and sizes, and beside what is possible."""
    peer = _peer()  # first, so that a missing peer is told before the work
    ours = _ours(64, 84)
    # Ours and the peer in turn, so that a drift of the machine's speed hits both.
    rounds = [(_speed(ours, 64), _speed(peer, 1)) for _ in range(3)]
    mine, theirs = (float(np.median(column)) for column in zip(*rounds, strict=True))
    scaling = [{"worlds": n, "size": size, "frames_per_second": _speed(_ours(n, size), n)} for n in NUM_ENVS for size in SIZES]
    threads = numba.get_num_threads()
    return {
        "frames_per_second": mine,
        "peer": "miniworld",
        "peer_frames_per_second": theirs,
        "ratio": mine / theirs,
        "rays_per_second_per_core": mine * 84 * 84 / threads,
        "bound_rays_per_second_per_core": ray_bound(),
        "threads": threads,
        "scaling": scaling,
    }


def _ours(n: int, size: int) -> Callable[[], None]:
    envs = gym.make_vec("envs:Voxel/Navigation1-v0", num_envs=n, size=size)
    envs.reset(seed=1)
    actions = np.random.default_rng(1).integers(0, envs.single_action_space.n, (997, n))  # type: ignore[attr-defined]
    turn = iter(range(10**9))

    def step() -> None:
        _, _, terminated, truncated, _ = envs.step(actions[next(turn) % len(actions)])
        if (ended := terminated | truncated).any():
            envs.reset(options={"reset_mask": ended})

    return step


def _peer() -> Callable[[], None]:
    if not os.environ.get("DISPLAY"):
        os.environ["PYGLET_HEADLESS"] = "1"
    try:
        import pyglet

        pyglet.options["headless"] = not os.environ.get("DISPLAY")
        import miniworld  # noqa: F401
    except ImportError as error:
        raise UserError(f"the peer of this benchmark is missing ({error}); install it with: pip install -e '.[bench]'") from error
    try:
        env: gym.Env[Any, Any] = gym.make(PEER, obs_width=84, obs_height=84)
        env.reset(seed=1)
    except Exception as error:
        raise UserError(
            f"MiniWorld cannot draw here ({error}); it needs OpenGL, on Debian: apt-get install libgl1 libegl1"
        ) from error
    env.action_space.seed(1)

    def step() -> None:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()

    return step


def _speed(step: Callable[[], None], frames: int) -> float:
    """Frames per second of a function that makes ``frames`` of them."""
    for _ in range(5):
        step()
    began, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < SECONDS:
        step()
        done += frames
    return done / passed


def ray_bound(clock: Callable[[], float] = time.perf_counter) -> float:
    """Rays per second on one core when each does only what no ray can do without: direction, texture, light, three bytes."""
    textures = np.random.default_rng(1).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    out = np.zeros((84, 84, 3), np.uint8)
    _shade(out, textures, 1)
    began, frames = clock(), 2000
    _shade(out, textures, frames)
    return frames * 84 * 84 / (clock() - began)


@njit(cache=True, fastmath=True)
def _shade(out, textures, frames):  # type: ignore[no-untyped-def]
    height, width = out.shape[0], out.shape[1]
    for frame in range(frames):
        for i in range(height):
            b = np.float32(1 - 2 * (i + 0.5) / height) + np.float32(1e-3) * frame
            for j in range(width):
                a = np.float32(2 * (j + 0.5) / width - 1)
                length = np.sqrt(a * a + b * b + np.float32(1))
                light = np.float32(1) / (np.float32(1) + np.float32(0.07) * length)
                u, v = a / b, 1 / b
                row, column = int((v - np.floor(v)) * 16) & 15, int((u - np.floor(u)) * 16) & 15
                for c in range(3):
                    out[i, j, c] = np.uint8(textures[row, column, c] * light)

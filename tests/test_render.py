"""The ray-caster against a slow reference that tries every ray against every surface of the scene."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from envs.task import AIR
from envs.task_file import parse_task
from envs.voxel.render import EYE, FOG, ITEM, OUTLINE, SHADE_DOWN, SHADE_UP, SHADE_X, SHADE_Z
from envs.voxel.rules import DRAW, cell_ahead
from envs.voxel.vector import VoxelVectorEnv

SCENE = """
#########
#.......#
#.D.c.l.#
#...p...#
#.w...h.#
#.......#
#########
"""


def scene(pitch: float = -20.0, n: int = 1, size: Any = (30, 40), **changes: Any) -> VoxelVectorEnv:
    doc: dict[str, Any] = {
        "step_limit": 50,
        "map": SCENE,
        "pitch": pitch,
        "legend": {
            "#": "brick",
            "D": ["door", "door", "stone"],
            "c": {"item": "crate"},
            "p": {"floor": "pad"},
            "w": ["stone"],
            "l": {"column": ["portal", "portal", "slate"]},
            "h": {"column": ["crate", "wood"]},
        },
        "goal": {"reach": "p"},
        "vary": {"tint": 0.2},
        **changes,
    }
    envs = VoxelVectorEnv(n, parse_task(doc, "scene"), size=size)
    envs.reset(seed=3)
    return envs


def surfaces(envs: VoxelVectorEnv, n: int) -> list[tuple[Any, int, str]]:
    """All boxes of the scene as (lower corner, upper corner), with material and kind, but for those in the camera's own cell."""
    worlds = envs.worlds
    found: list[tuple[Any, int, str]] = []
    depth, width, height = worlds.blocks[n].shape
    for z in range(depth):
        for x in range(width):
            if (x, z) == tuple(worlds.pose[n, :2]):
                continue
            for y in range(height):
                if worlds.blocks[n, z, x, y] != AIR:
                    found.append((((x, y, z), (x + 1, y + 1, z + 1)), int(worlds.blocks[n, z, x, y]), "block"))
            if worlds.items[n, z, x] != AIR:
                low = (x + 0.5 - ITEM, 0, z + 0.5 - ITEM)
                found.append(((low, tuple(c + 2 * ITEM for c in low)), int(worlds.items[n, z, x]), "item"))
    return found


def reference(envs: VoxelVectorEnv, n: int) -> np.ndarray:
    worlds, camera = envs.worlds, envs._camera
    height, width = envs.size
    x0, z0, heading = worlds.pose[n]
    eye = np.array([x0 + 0.5, float(EYE), z0 + 0.5])
    yaw, pitch = math.radians(30 * heading), float(camera.pitch)
    forward = np.array([math.sin(yaw) * math.cos(pitch), math.sin(pitch), -math.cos(yaw) * math.cos(pitch)])
    right = np.array([math.cos(yaw), 0.0, math.sin(yaw)])
    up = np.array([-math.sin(yaw) * math.sin(pitch), math.cos(pitch), math.cos(yaw) * math.sin(pitch)])
    top = worlds.blocks.shape[3]
    ahead = cell_ahead(x0, z0, heading)
    boxes = surfaces(envs, n)
    lows, highs = (np.array([corners[end] for corners, _, _ in boxes], float) for end in (0, 1))
    out = np.zeros((height, width, 3))
    for i in range(height):
        for j in range(width):
            a = (2 * (j + 0.5) / width - 1) * float(camera.zoom) * width / height
            b = (1 - 2 * (i + 0.5) / height) * float(camera.zoom)
            ray = forward + a * right + b * up
            plane = 1 if ray[1] < 0 else 2
            best = ((0 if plane == 1 else top) - eye[1]) / ray[1]
            point = eye + best * ray
            cell = (int(point[0]), int(point[2]))
            material = (
                int(worlds.floor[n][cell[1] % worlds.floor.shape[1], cell[0] % worlds.floor.shape[2]])
                if plane == 1
                else camera.ceiling
            )
            light, u, v, kind = float(SHADE_UP if plane == 1 else SHADE_DOWN), point[0], point[2], "plane"
            near, far = (lows - eye) / ray, (highs - eye) / ray
            enter = np.minimum(near, far)
            t = enter.max(1)
            hit = (t <= np.maximum(near, far).min(1)) & (t > 0) & (t < best)
            if hit.any():
                first = int(np.where(hit, t, np.inf).argmin())
                (low, high), material, kind = boxes[first]
                best, axis = t[first], int(enter[first].argmax())
                point = eye + best * ray
                cell = (math.floor((low[0] + high[0]) / 2), math.floor((low[2] + high[2]) / 2))
                local = (point - low) / (np.array(high) - low) if kind == "item" else point
                if axis == 0:
                    light, u, v = float(SHADE_X), local[2], -local[1]
                elif axis == 2:
                    light, u, v = float(SHADE_Z), local[0], -local[1]
                else:
                    light, u, v = float(SHADE_UP if ray[1] < 0 else SHADE_DOWN), local[0], -local[2] if kind == "item" else local[2]
            u, v = u % 1, v % 1
            texels = 16 * 2 * float(camera.zoom) / height * best
            if light in (float(SHADE_UP), float(SHADE_DOWN)):
                texels /= math.sqrt(abs(ray[1]))
            mip = sum(texels >= math.sqrt(2) * 2**level for level in range(4))
            if cell == ahead and (kind != "plane" or plane == 1) and min(u, 1 - u, v, 1 - v) < OUTLINE:
                light *= 0.35
            light /= 1 + float(FOG) * best * np.linalg.norm(ray)
            out[i, j] = (
                camera.textures[mip, worlds.texture_id[n, material], int(v * 16), int(u * 16)] * light * worlds.tint[n, material]
            )
    return np.minimum(out, 255)


@pytest.mark.parametrize("pitch", [-35.0, -20.0, 0.0, 25.0])
def test_pictures_equal_the_slow_reference(pitch: float) -> None:
    envs = scene(pitch, n=6)
    rng = np.random.default_rng(int(pitch) + 90)
    free = np.argwhere((envs.worlds.blocks[0, :, :, 0] == 0) & (envs.worlds.items[0] == 0))
    for n in range(6):
        z, x = free[rng.integers(len(free))]
        envs.worlds.pose[n] = x, z, rng.integers(12)
    pov = envs.reset(options={"reset_mask": np.zeros(6, bool)})[0]["pov"]
    pov = envs._advance(np.full(6, DRAW))[0]["pov"]
    for n in range(6):
        wrong = np.abs(pov[n] - reference(envs, n)).max(-1) > 2
        assert wrong.mean() < 0.015, f"{wrong.sum()} of {wrong.size} pixels differ, pose {envs.worlds.pose[n]}"


def look(envs: VoxelVectorEnv, x: int, z: int, heading: int) -> np.ndarray:
    envs.worlds.pose[0] = x + 1, z + 1, heading
    return np.asarray(envs._advance(np.array([DRAW]))[0]["pov"][0]).astype(int)


def test_light_falls_with_distance() -> None:
    envs = scene(0.0, vary={"textures": {"brick": ["plaster"]}})
    middle = [look(envs, x, 1, 9)[15, 18:22].mean() for x in (1, 4, 7)]
    assert middle[0] > middle[1] > middle[2]


def test_the_target_is_outlined() -> None:
    envs = scene(-20.0, size=84, vary={})
    near, far = look(envs, 1, 2, 3), look(envs, 1, 1, 6)
    assert (near.sum(-1) < 60).sum() > 40  # the door's dark outline
    assert not np.array_equal(near, far)


def test_the_held_item_shows_low_on_the_right() -> None:
    envs = scene(size=84)
    empty = look(envs, 3, 3, 0)
    envs.worlds.inventory[0, envs.spec_task.number("crate")] = 1
    changed = np.argwhere((look(envs, 3, 3, 0) != empty).any(-1))
    assert len(changed) > 300
    assert changed[:, 0].min() > 42
    assert changed[:, 1].min() > 42


def test_broken_blocks_and_taken_items_vanish() -> None:
    envs = scene(size=84)
    before = look(envs, 1, 2, 3)
    envs.step(np.array([3]))
    assert not np.array_equal(look(envs, 1, 2, 3), before)
    before = look(envs, 3, 2, 3)
    envs.step(np.array([4]))
    assert not np.array_equal(look(envs, 3, 2, 3)[:, :40], before[:, :40])


@pytest.mark.parametrize("size", [(1, 1), (7, 31), (42, 42), (128, 96)])
def test_any_size(size: tuple[int, int]) -> None:
    envs = scene(size=size)
    assert envs.reset(seed=1)[0]["pov"].shape == (1, *size, 3)
    assert look(envs, 1, 1, 4).any()

"""Our six actions as ticks of Minecraft: keys are held until the observations say that the action is done.

Nothing here trusts a key to have worked. Each loop looks at what came back (position, yaw, line of sight, inventory) and ends, with
False for its answer, when the world does not follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.minerl.drawing import FEET, Mission

EYE = 1.62  # height of the eye over the feet
SLIDE = 1.2  # walking at v blocks a tick, the agent slides on by this many v after the key is released
NEAR = 0.1  # blocks from a cell's middle that count as standing in it
STILL = 0.04  # blocks a tick that count as standing
TURNED = 0.5  # degrees
STUCK = 8  # ticks of pressing without moving after which something is in the way
WALK, ATTACK, ARRIVE, SETTLE = 60, 110, 15, 20  # most ticks of each


@dataclass(frozen=True)
class Sight:
    """What one tick shows."""

    pov: NDArray[np.uint8]  # (H, W, 3)
    pose: NDArray[np.float64]  # x, y, z, yaw, pitch
    ray: NDArray[np.float64]  # 1, x, y, z where the crosshair meets a block; zeros where it meets none
    counts: dict[str, int]  # by Minecraft's type


class Hands:
    """Acts in one episode.

    Args:
        tick: holds these keys for one tick and returns what it shows.
        first: what the reset showed.
    """

    def __init__(self, tick: Callable[..., Sight], mission: Mission, first: Sight) -> None:
        self._tick, self.mission, self.sight = tick, mission, first
        self.ticks = 0  # taken in this episode
        self._rays = False  # whether a line of sight was ever reported
        self.pitch = mission.start[4]

    def tick(self, **keys: Any) -> Sight:
        self.sight = self._tick(**keys)
        self.ticks += 1
        self._rays = self._rays or bool(self.sight.ray[0])
        return self.sight

    # --- what the parent asks for ---

    def settle(self) -> None:
        """Let Minecraft put the agent where the mission says; for a few ticks it may still be elsewhere."""
        x, _, z, yaw, pitch = self.mission.start
        wanted: dict[str, int] = {}
        for kind, count in self.mission.inventory:
            wanted[kind] = wanted.get(kind, 0) + count
        for _ in range(SETTLE):
            pose, counts = self.sight.pose, self.sight.counts
            if abs(pose[0] - x) < 0.3 and abs(pose[2] - z) < 0.3 and all(counts.get(kind, 0) >= n for kind, n in wanted.items()):
                break
            self.tick()
        self.look(yaw, pitch)

    def wait(self) -> bool:
        self.tick()
        return True

    def turn(self, yaw: float) -> bool:
        return self.look(yaw, self.pitch)

    def forward(self, x: int, z: int, axis: float, home: float) -> bool:
        """Into the cell (x, z), which lies in direction ``axis``; ends looking along ``home``."""
        before = self.sight.pose[[0, 2]]
        origin = np.floor(before) + 0.5
        self.look(axis, self.pitch)
        arrived = self._walk(np.array([x + 0.5, z + 0.5]), axis)
        if not arrived:
            self._walk(origin, axis)
        self.look(home, self.pitch)
        return arrived

    def smash(self, x: int, z: int, levels: list[int], axis: float, home: float) -> bool:
        """Break the blocks of the cell ahead at these levels over the floor."""
        gone = True
        for level in levels:
            self.look(axis, math.degrees(math.atan2(EYE - level - 0.5, 1)))
            here = (x, FEET + level, z)
            if self._rays:
                for _ in range(ATTACK):
                    if self._aimed_at() != here:
                        break
                    self.tick(attack=1)
            else:
                for _ in range(STUCK):
                    self.tick(attack=1)
            gone = gone and self._aimed_at() != here
        self.look(self.sight.pose[3], self.pitch)  # lets go of the attack key, whatever the yaw
        self.look(home, self.pitch)
        return gone

    def collect(self, x: int, z: int, kind: str, count: int, axis: float, home: float) -> bool:
        """Have ``count`` of ``kind``: Minecraft collects by itself whatever comes near, so go there and come back."""

        def enough() -> bool:
            return self.sight.counts.get(kind, 0) >= count

        if enough():
            self.tick()
            return True
        origin = np.floor(self.sight.pose[[0, 2]]) + 0.5
        there = np.array([x + 0.5, z + 0.5])
        away = bool((origin != there).any())
        if away:
            self.look(axis, self.pitch)
            self._walk(there, axis, enough)
        for _ in range(ARRIVE):
            if enough():
                break
            self.tick()
        if away:
            self._walk(origin, axis)
            self.look(home, self.pitch)
        return enough()

    def place(self, x: int, z: int, kind: str, axis: float, home: float) -> bool:
        """Put a block of ``kind`` on the floor of the cell ahead."""
        before = self.sight.counts.get(kind, 0)
        self.look(axis, math.degrees(math.atan2(EYE, 1)))
        self.tick(place=kind)
        for _ in range(ARRIVE):
            if self.sight.counts.get(kind, 0) < before:
                break
            self.tick()
        placed = self.sight.counts.get(kind, 0) < before
        self.look(home, self.pitch)
        return placed

    # --- loops ---

    def look(self, yaw: float, pitch: float) -> bool:
        """Turn to ``yaw`` and ``pitch``. What a turn did may show one tick late."""
        for _ in range(3):
            d_yaw, d_pitch = self._off(yaw, pitch)
            if max(abs(d_yaw), abs(d_pitch)) <= TURNED:
                return True
            self.tick(camera=(d_pitch, d_yaw))
            if max(map(abs, self._off(yaw, pitch))) > TURNED:
                self.tick()
        return max(map(abs, self._off(yaw, pitch))) <= TURNED

    def _off(self, yaw: float, pitch: float) -> tuple[float, float]:
        pose = self.sight.pose
        return float((yaw - pose[3] + 180) % 360 - 180), float(pitch - pose[4])

    def _walk(self, to: NDArray[np.float64], axis: float, stop: Callable[[], bool] = lambda: False) -> bool:
        """Straight to ``to`` (x, z), looking along ``axis``, forwards or backwards; ends standing there, or where ``stop`` says."""
        along = np.array([-math.sin(math.radians(axis)), math.cos(math.radians(axis))]).round()
        before, pressed = self.sight.pose[[0, 2]], 0
        for _ in range(WALK):
            now = self.sight.pose[[0, 2]]
            speed, left = float((now - before) @ along), float((to - now) @ along)
            if abs(speed) < STILL and abs(left) <= NEAR:
                return True
            if stop() or pressed >= STUCK:
                break
            before = now
            keys: dict[str, int] = {}
            # Standing, step; moving, go on as long as the slide would end short of it.
            if abs(speed) < STILL or (left - SLIDE * speed) * np.sign(speed) > NEAR:
                keys = {"forward" if left > 0 else "back": 1, "sneak": int(abs(left) < 0.35)}
            self.tick(**keys)
            moved = float(abs((self.sight.pose[[0, 2]] - now) @ along))
            pressed = pressed + 1 if keys and moved < 0.005 else 0
        self.tick()
        return bool(abs((to - self.sight.pose[[0, 2]]) @ along) < 0.35)

    def _aimed_at(self) -> tuple[int, int, int] | None:
        """The block under the crosshair. The ray's end lies on its surface, so it is followed a little further."""
        hit, *point = self.sight.ray.tolist()
        if not hit:
            return None
        eye = self.sight.pose[:3] + np.array([0, EYE, 0])
        ray = np.array(point) - eye
        x, y, z = np.floor(np.array(point) + 0.02 * ray / max(1e-6, float(np.linalg.norm(ray)))).astype(int).tolist()
        return x, y, z

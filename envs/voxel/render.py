"""First-person pixels: one ray a pixel, walked cell by cell over the map, all worlds in one compiled loop.

A ray is followed in two dimensions, since a room is a map of columns: each step enters the next cell (Amanatides and Woo 1987,
"A fast voxel traversal algorithm for ray tracing"), and only a cell that holds something is looked at block by block.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.compiled import njit, prange
from envs.materials import TEXTURE_SIZE, texture
from envs.task import AIR, FOV, HEADINGS, TaskSpec
from envs.voxel.rules import CLEAR, FULL, SKIP, advance_goal, cell_ahead, held_item, take_step

EYE = np.float32(1.625)  # height of the eye over the floor, in blocks
ITEM = np.float32(0.25)  # half the edge of an item on the floor
FOG = np.float32(0.04)  # how fast light falls with distance: 1 / (1 + FOG * distance)
OUTLINE = np.float32(0.05)  # width of the line round the target, in blocks
SHADE_X, SHADE_Z, SHADE_UP, SHADE_DOWN = np.float32(0.75), np.float32(0.9), np.float32(1.0), np.float32(0.6)
BACK = np.uint64(2**64 - 1)  # added to an unsigned number, it takes 1 away; unsigned, since a signed index is checked for its sign
FAR = np.float32(1e9)
LEVELS = 5
MIP = np.float32(math.sqrt(2))  # texels under a pixel's edge from which level 1 is nearer than level 0
BAND = 7  # rows of a picture that one thread draws in one go: a world of 84 has work for a dozen
FAST = {"contract", "arcp", "nsz", "reassoc"}  # not "ninf": a ray along an axis divides by zero


class Camera(NamedTuple):
    """What drawing needs and no step changes."""

    zoom: np.float32  # tangent of half the vertical field of view
    pitch: np.float32  # radians, upwards
    ceiling: int  # material
    textures: NDArray[np.uint8]  # (LEVELS, M, 16, 16, 3)
    up: NDArray[np.float32]  # (H,) of each row on the picture plane, which is 1 ahead
    right: NDArray[np.float32]  # (W,) of each column
    hand: NDArray[np.int16]  # (H, W, 3): where the held block covers the picture, see :func:`hand`

    @classmethod
    def of(cls, spec: TaskSpec, size: tuple[int, int] = (84, 84), fov: float = FOV) -> Camera:
        """``size``: (height, width) in pixels; ``fov``: vertical field of view in degrees.

        Raises ValueError for a field of view that cannot be.
        """
        if not 1 <= fov <= 179:
            raise ValueError(f"fov must be from 1 to 179 degrees, not {fov}")
        height, width = size
        zoom = math.tan(math.radians(fov) / 2)
        air = np.zeros((TEXTURE_SIZE, TEXTURE_SIZE, 3), np.uint8)
        return cls(
            zoom=np.float32(zoom),
            pitch=np.float32(math.radians(spec.pitch)),
            ceiling=spec.number(spec.ceiling),
            textures=mipmaps(np.stack([air, *(texture(material) for material in spec.materials.values())])),
            up=(zoom * (1 - (2 * np.arange(height) + 1) / height)).astype(np.float32),
            right=(zoom * ((2 * np.arange(width) + 1) / width - 1) * width / height).astype(np.float32),
            hand=hand(size),
        )


def mipmaps(textures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(M, 16, 16, 3) -> (LEVELS, M, 16, 16, 3): level l shows the mean of each square of 2^l texels (Williams 1983).

    A pixel that covers many texels shows their mean, not one of them: without it, far walls flicker and hide what is small.
    """
    m, size = len(textures), TEXTURE_SIZE
    levels = []
    for level in range(LEVELS):
        side = 1 << level
        squares = textures.reshape(m, size // side, side, size // side, side, 3).mean((2, 4))
        levels.append(squares.round().astype(np.uint8).repeat(side, 1).repeat(side, 2))
    return np.stack(levels)


@cache
def hand(size: tuple[int, int]) -> NDArray[np.int16]:
    """Where the held block covers the picture, (H, W, 3) int16: shade in percent (0: not covered), texture row, texture column.

    A cube in camera space, turned by 45 degrees and seen from above, low on the right as Minecraft shows it.
    """
    height, width = size
    v, u = np.mgrid[0:height, 0:width]
    # Position in the hand's own square: the lower right 40 % of the picture, both coordinates in -1..1.
    a = ((u + 0.5) / width - 0.78) / 0.20
    b = ((v + 0.5) / height - 0.84) / 0.20
    picture = np.zeros((height, width, 3), np.int16)
    # Isometric cube: the top is a rhombus, the two sides are parallelograms.
    for shade, s, t in (
        (100, (a / 0.8 + (b + 0.55) / 0.4) / 2 + 0.0, ((b + 0.55) / 0.4 - a / 0.8) / 2 + 0.0),
        (60, a / 0.8, (b + 0.15 + 0.5 * a) / 0.8),
        (80, a / 0.8 + 1, (b + 0.15 - 0.5 * a) / 0.8),
    ):
        if shade == 100:
            s, t = s + 0.5, t + 0.5
        inside = (s >= 0) & (s < 1) & (t >= 0) & (t < 1)
        picture[inside] = np.stack([np.full(inside.sum(), shade), t[inside] * TEXTURE_SIZE, s[inside] * TEXTURE_SIZE], 1).astype(
            np.int16
        )
    return picture


@njit(cache=True, fastmath=FAST, error_model="numpy", inline="always")
def hit_item(ox, oy, oz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Where a ray from o (relative to the middle of the item's cell floor) meets the little cube that lies there.

    Returns (t, shade, u, v), t = FAR for a miss; u and v in 0..1 on the face.
    """
    half = ITEM
    tx0, tx1 = (-half - ox) / dx, (half - ox) / dx
    ty0, ty1 = -oy / dy, (2 * half - oy) / dy
    tz0, tz1 = (-half - oz) / dz, (half - oz) / dz
    near_x, near_y, near_z = min(tx0, tx1), min(ty0, ty1), min(tz0, tz1)
    near = max(near_x, near_y, near_z)
    if near > min(max(tx0, tx1), max(ty0, ty1), max(tz0, tz1)) or near <= 0:
        return FAR, SHADE_UP, np.float32(0), np.float32(0)
    px, py, pz = ox + near * dx + half, oy + near * dy, oz + near * dz + half
    size = 2 * half
    if near == near_y:
        return near, SHADE_UP, px / size, pz / size
    if near == near_x:
        return near, SHADE_X, pz / size, py / size
    return near, SHADE_Z, px / size, py / size


# One function of its size: split, it would hand a dozen numbers on for each ray.
@njit(cache=True, fastmath=FAST, error_model="numpy")
def draw_rows(out, first, last, state, n, camera):  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912, PLR0915
    """Draw the rows from ``first`` to before ``last`` of the picture of world ``n`` into ``out`` (H, W, 3) uint8."""
    blocks, kind, floor, items, pose = state.blocks[n], state.kind[n], state.floor[n], state.items[n], state.pose[n]
    texture_id, tint, held = state.texture_id[n], state.tint[n], held_item(state.inventory[n], state.hand[n])
    zoom, pitch, ceiling, textures, hand = camera.zoom, camera.pitch, camera.ceiling, camera.textures, camera.hand
    height, width = hand.shape[0], hand.shape[1]
    top = np.float32(blocks.shape[2])
    x0, z0 = pose[0], pose[1]
    eye_x, eye_z = np.float32(x0 + 0.5), np.float32(z0 + 0.5)
    ahead_x, ahead_z = cell_ahead(x0, z0, pose[2])
    yaw = pose[2] * (2 * math.pi / HEADINGS)
    sin_yaw, cos_yaw = np.float32(math.sin(yaw)), np.float32(math.cos(yaw))
    sin_pitch, cos_pitch = np.float32(math.sin(pitch)), np.float32(math.cos(pitch))
    color, bright = np.empty(3 * width, np.uint8), np.empty(3 * width, np.float32)
    rows = out.reshape(height, 3 * width)
    for i in range(first, last):
        # The picture plane: ray = forward + a * right + b * up, with forward of length 1.
        b = camera.up[i]
        level, dy = cos_pitch - b * sin_pitch, sin_pitch + b * cos_pitch
        row_x, row_z = sin_yaw * level, -cos_yaw * level
        texels = np.float32(TEXTURE_SIZE * 2 * zoom / height)  # that a pixel's edge covers on a block's side one block away,
        flat = texels / np.float32(math.sqrt(abs(dy)))  # and on a floor, seen aslant (mean of its two directions)
        for j in range(width):
            if hand[i, j, 0] > 0 and held != AIR:
                material, t = held, np.float32(0)
                light, mip = hand[i, j, 0] * np.float32(0.01), 0
                row, column = hand[i, j, 1], hand[i, j, 2]
            else:
                a = camera.right[j]
                dx, dz = row_x + a * cos_yaw, row_z + a * sin_yaw
                far = (-EYE if dy < 0 else top - EYE) / dy  # where the ray leaves the room through floor or ceiling
                step_x, step_z = (np.uint64(1) if dx > 0 else BACK), (np.uint64(1) if dz > 0 else BACK)
                delta_x, delta_z = abs(1 / dx), abs(1 / dz)
                next_x, next_z = np.float32(0.5) * delta_x, np.float32(0.5) * delta_z
                x, z = np.uint64(x0), np.uint64(z0)
                while True:
                    if next_x < next_z:
                        t, across = next_x, True
                        next_x += delta_x
                    else:
                        t, across = next_z, False
                        next_z += delta_z
                    if t >= far:  # floor or ceiling, still in the cell before
                        t = far
                        u, v = eye_x + t * dx, eye_z + t * dz
                        if dy < 0:
                            material, light = floor[z, x], SHADE_UP
                        else:
                            material, light = ceiling, SHADE_DOWN
                        break
                    if across:
                        x += step_x
                    else:
                        z += step_z
                    what = kind[z, x]
                    if what == CLEAR:
                        continue
                    y = EYE + t * dy
                    material = blocks[z, x, min(int(y), blocks.shape[2] - 1)]
                    if material != AIR:  # the side of a block
                        v = top - y
                        if across:
                            light, u = SHADE_X, eye_z + t * dz
                        else:
                            light, u = SHADE_Z, eye_x + t * dx
                        break
                    if what != FULL:
                        if items[z, x] != AIR:
                            hit, light, u, v = hit_item(eye_x - x - np.float32(0.5), EYE, eye_z - z - np.float32(0.5), dx, dy, dz)
                            if hit < FAR:
                                t, material, v = hit, items[z, x], 1 - v
                                break
                        # A block's top or underside, between where the ray enters this cell and where it leaves it.
                        y_out = EYE + min(next_x, next_z, far) * dy
                        here = int(y)
                        if dy < 0:
                            lowest = max(int(math.floor(y_out)), 0)  # noqa: RUF046 (Numba's floor is a float)
                            while here > lowest and blocks[z, x, here - 1] == AIR:
                                here -= 1
                            if here > lowest:
                                t, material, light = (here - EYE) / dy, blocks[z, x, here - 1], SHADE_UP
                                u, v = eye_x + t * dx, eye_z + t * dz
                                break
                        else:
                            highest = min(int(y_out), blocks.shape[2] - 1)
                            while here < highest and blocks[z, x, here + 1] == AIR:
                                here += 1
                            if here < highest:
                                t, material, light = (here + 1 - EYE) / dy, blocks[z, x, here + 1], SHADE_DOWN
                                u, v = eye_x + t * dx, eye_z + t * dz
                                break
                covered = t * (texels if light in (SHADE_X, SHADE_Z) else flat)
                mip = 0 if covered < MIP else 1 if covered < 2 * MIP else 2 if covered < 4 * MIP else 3 if covered < 8 * MIP else 4
                if x == ahead_x and z == ahead_z and (dy < 0 or t < far):
                    edge_u, edge_v = u - math.floor(u), v - math.floor(v)
                    edge = min(min(edge_u, 1 - edge_u), min(edge_v, 1 - edge_v))
                    if edge < OUTLINE:
                        light *= np.float32(0.35)
                light /= 1 + FOG * t * np.float32(math.sqrt(dx * dx + dy * dy + dz * dz))
                # u and v are never negative here, so that the part below the point needs no floor.
                row, column = int(v * TEXTURE_SIZE) & (TEXTURE_SIZE - 1), int(u * TEXTURE_SIZE) & (TEXTURE_SIZE - 1)
            texel, gain = textures[mip, texture_id[material], row, column], tint[material]
            for c in range(3):
                color[3 * j + c], bright[3 * j + c] = texel[c], light * gain[c]
        for k in range(3 * width):  # without a branch, so that the processor does many of these at once
            rows[i, k] = np.uint8(np.int32(min(color[k] * bright[k], np.float32(255))))


@njit(cache=True)
def step_all(actions, invalid, state, rules):  # type: ignore[no-untyped-def]
    """Step every world whose action is none of DRAW and SKIP; the arguments are those of :func:`step_and_draw`."""
    for n in range(len(actions)):
        if actions[n] >= 0:
            invalid[n] = not take_step(actions[n], state, n, rules)
        advance_goal(state, n, rules)


@njit(cache=True, parallel=True)
def step_and_draw(actions, pov, invalid, state, rules, camera):  # type: ignore[no-untyped-def]
    """Step every world and draw every picture; an action may also be DRAW or SKIP.

    Args:
        actions: (N,) numbers of the task's actions.
        pov, invalid: (N, H, W, 3) uint8 and (N,) bool, to be written.
        state, rules, camera: see :class:`envs.voxel.world.State`, which changes, :class:`envs.voxel.world.Rules` and
            :class:`Camera`.
    """
    step_all(actions, invalid, state, rules)
    height = pov.shape[1]
    bands = (height + BAND - 1) // BAND
    for job in prange(len(actions) * bands):
        n, first = job // bands, job % bands * BAND
        if actions[n] != SKIP:
            draw_rows(pov[n], first, min(first + BAND, height), state, n, camera)


@njit(cache=True)
def step_and_draw_alone(actions, pov, invalid, state, rules, camera):  # type: ignore[no-untyped-def]
    """:func:`step_and_draw` in this thread alone: who has one world a process has as many processes as cores."""
    step_all(actions, invalid, state, rules)
    for n in range(len(actions)):
        if actions[n] != SKIP:
            draw_rows(pov[n], 0, pov.shape[1], state, n, camera)

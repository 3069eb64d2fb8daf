"""From a task to what the engine reads: a game with the task's rules, materials and textures, a world, settings and shaders."""

from __future__ import annotations

import base64
import json
import math
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from envs.materials import TEXTURE_SIZE, texture
from envs.task import HEADINGS, TaskError, TaskSpec
from envs.voxel import render
from envs.voxel.world import Worlds

ASSETS = Path(__file__).parent / "assets"
MARKER = 4  # rows of the window below the picture, for the marker; as many above, so that the picture stays in the middle
BLOCK = 16  # nodes along an edge of a mapblock
WIDEST = 2 * BLOCK
HIGHEST = BLOCK - 2
SIDES = (render.SHADE_UP, render.SHADE_DOWN, *[render.SHADE_X] * 2, *[render.SHADE_Z] * 2)  # in the engine's order
FOG_END = 36  # nodes; darkness that grows evenly up to there is near that of the embedded world in rooms of usual size
SLOTS = 432  # rooms that one engine holds: see assets/game/mods/hdqn/room.lua
SHADES = 16  # of each colour channel of a tint: red chooses among nodes, green and blue among the 256 colours of their palette
COARSE = 3  # of the shades, items use every third: the client never forgets a picture of a hand, so they must be few


def check_task(spec: TaskSpec) -> None:
    """Raises :class:`envs.task.TaskError` for what Luanti does not play, naming it. How large a room is depends on the episode."""
    if spec.verbs:
        raise TaskError(f"{spec.name}: verbs: Luanti does not play them")
    if spec.begin:
        raise TaskError(f"{spec.name}: goal.begin: Luanti does not play it")
    for char, cell in spec.legend.items():
        if cell.reward is not None:
            raise TaskError(f"{spec.name}: legend.{char}: reward: Luanti has one reward for all places of the goal")
    if spec.height > HIGHEST:
        raise TaskError(f"{spec.name}: height: Luanti plays rooms of at most {HIGHEST} blocks, not {spec.height}")


def visible_part(spec: TaskSpec, blocks: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """First row, first column, rows and columns of the part of an episode's blocks (D, W, height) that can be seen.

    A line at the border cannot if the next one is solid from floor to ceiling and cannot be broken. So most rooms fit one mapblock.

    Raises :class:`envs.task.TaskError` if the room is too large.
    """
    materials = list(spec.materials.values())
    unbreakable = np.array([False, *(material.solid and not material.breakable for material in materials)])
    wall: NDArray[np.bool_] = np.asarray(unbreakable[blocks].all(-1))
    first, last = [0, 0], [wall.shape[0] - 1, wall.shape[1] - 1]
    for axis, lines in enumerate((np.asarray(wall.all(1)), np.asarray(wall.all(0)))):
        while first[axis] + 1 < last[axis] and lines[first[axis]] and lines[first[axis] + 1]:
            first[axis] += 1
        while first[axis] < last[axis] - 1 and lines[last[axis]] and lines[last[axis] - 1]:
            last[axis] -= 1
    rows, columns = last[0] - first[0] + 1, last[1] - first[1] + 1
    if max(rows, columns) > WIDEST:
        raise TaskError(f"{spec.name}: map: Luanti plays rooms of at most {WIDEST} by {WIDEST} cells, not {rows} by {columns}")
    return first[0], first[1], rows, columns


class Compiler:
    """A task for one size of picture: writes the engine's files, and turns worlds into its messages.

    Raises :class:`envs.task.TaskError` as :func:`check_task` does.
    """

    def __init__(self, spec: TaskSpec, size: tuple[int, int], fov: float, plain: bool = False) -> None:
        check_task(spec)
        self.spec, self.size, self.fov, self.plain = spec, size, fov, plain
        self.window = (size[0] + 2 * MARKER, size[1])
        self.shades = np.linspace(1 - spec.tint, 1 + spec.tint, SHADES if spec.tint else 1)
        self._hand = cache(self._draw_hand)

    # --- files -------------------------------------------------------------------------------------------------------

    def write(self, folder: Path, port: int) -> None:
        """Everything but the pipes, into an empty folder: ``home``, and the engine's arguments ``world`` and ``minetest.conf``."""
        user, world = folder / "home" / ".minetest", folder / "world"
        game, mod = user / "games" / "hdqn", user / "games" / "hdqn" / "mods" / "hdqn"
        shutil.copytree(ASSETS / "game", game)
        shutil.copytree(ASSETS / "client", user / "clientmods" / "hdqn_client")
        (user / "clientmods" / "mods.conf").write_text("load_mod_hdqn_client = true\n")
        (mod / "task.json").write_text(json.dumps(self.rules()))
        (mod / "textures").mkdir()
        for name, picture in self.textures().items():
            (mod / "textures" / f"hdqn_{name}.png").write_bytes(png(picture))
        world.mkdir()
        backends = "\n".join(f"{part}_backend = files" for part in ("player", "auth", "mod_storage"))
        (world / "world.mt").write_text(f"gameid = hdqn\nbackend = dummy\n{backends}\n")
        (world / "map_meta.txt").write_text("mg_name = singlenode\nchunksize = 1\nmg_flags = nolight\n[end_of_params]\n")
        (folder / "shaders").mkdir()
        for source in (ASSETS / "shaders").rglob("*.glsl"):
            target = folder / "shaders" / source.relative_to(ASSETS / "shaders")
            target.parent.mkdir(exist_ok=True)
            target.write_text(self._with_constants(source.read_text()))
        settings = {
            "screen_w": self.window[1],
            "screen_h": self.window[0],
            "fov": f"{self._engine_fov():.6f}",
            "viewing_range": math.ceil(math.sqrt(2) * WIDEST),
            "port": port,
            "remote_port": port,
            "shader_path": folder / "shaders",
        }
        if self.plain:
            settings |= {"enable_shaders": "false", "enable_fog": "true", "fog_start": 0, "viewing_range": FOG_END}
        own = "".join(f"{key} = {value}\n" for key, value in settings.items())
        (folder / "minetest.conf").write_text((ASSETS / "minetest.conf").read_text() + own)

    def rules(self) -> dict[str, Any]:
        """The task as the server's mod reads it; materials are numbers, 0 is air."""
        spec, materials = self.spec, list(self.spec.materials.values())
        texture_ids = {number: {number} for number in range(1, len(materials) + 1)}
        for material, options in spec.textures.items():
            texture_ids[spec.number(material)] |= {spec.number(option) for option in options}
        return {
            "solid": [False, *(material.solid for material in materials)],
            "breakable": [False, *(material.breakable for material in materials)],
            "needs": [0, *(spec.number(material.needs) for material in materials)],
            "drops": [0, *(spec.number(material.drops) for material in materials)],
            "pit": [False, *(material.pit for material in materials)],
            "back": [False, *(material.back for material in materials)],
            "item": [False, *(material.item for material in materials)],
            "items": [spec.number(item) for item in spec.items],
            "shades": len(self.shades),
            "sides": [float(side) for side in SIDES] if self.plain else [],
            "sky": "#000000" if self.plain else "#404040",
            "nodes": [[number, texture_id] for number, options in texture_ids.items() for texture_id in sorted(options)],
            "actions": [name if name in spec.actions else "nothing" for name in spec.all_actions],
            "goal": [{"kind": subgoal.kind, "item": spec.number(subgoal.item)} for subgoal in spec.goal],
            "reward_step": spec.reward_step,
            "reward_success": spec.reward_success,
            "ceiling": spec.number(spec.ceiling),
            "pitch": spec.pitch,
            "eye": float(render.EYE),
            "yaws": [exact_yaw(heading) for heading in range(HEADINGS)],
        }

    def textures(self) -> dict[str, NDArray[np.uint8]]:
        """Pictures by name: each material's by its number, the palettes of tints by red, and what the client's mod draws with."""
        most, n = self.shades[-1], len(self.shades)
        brighter = most if self.plain else 1.0  # the engine's own light is at most 1
        found = {
            str(number): np.minimum(texture(material) * brighter, 255).astype(np.uint8)
            for number, material in enumerate(self.spec.materials.values(), 1)
        }
        # The engine keeps 127 / 255 of a palette's value, rounded down; this is the least value that keeps the right number.
        levels = np.ceil(np.round(127 * self.shades / most) * 255 / 127).clip(0, 255).astype(np.uint8)
        for red in range(n):
            palette = np.zeros((SHADES, SHADES, 3), np.uint8)
            palette[:n, :n, 0], palette[:n, :n, 1], palette[:n, :n, 2] = levels[red], levels[:, None], levels
            found[f"palette{red}"] = palette
        found["white"] = np.full((4, 4, 3), 255, np.uint8)
        found["empty"] = np.zeros((4, 4, 4), np.uint8)
        return found

    def _with_constants(self, source: str) -> str:
        zoom = math.tan(math.radians(self.fov) / 2)
        constants = {
            "SHADE_X": render.SHADE_X,
            "SHADE_Z": render.SHADE_Z,
            "SHADE_UP": render.SHADE_UP,
            "SHADE_DOWN": render.SHADE_DOWN,
            "FOG": render.FOG,
            "OUTLINE": render.OUTLINE,
            "LEVELS": render.LEVELS,
            "TEXELS": TEXTURE_SIZE * 2 * zoom / self.size[0],
            "CEILING": self.spec.height + 1,
            "MOST_GAIN": self.shades[-1],
        }
        defined = "".join(f"#define {name} {float(value):.9f}\n" for name, value in constants.items())
        extensions = "".join(line for line in source.splitlines(keepends=True) if line.startswith("#extension"))
        return (
            extensions + defined + "".join(line for line in source.splitlines(keepends=True) if not line.startswith("#extension"))
        )

    def _engine_fov(self) -> float:
        """The engine's own setting, in degrees: the window is higher than the picture, and narrow windows are given more."""
        height, width = self.window
        zoom = math.tan(math.radians(self.fov) / 2) * height / self.size[0]
        more = min(max(math.sqrt(1.6 * height / width), 1.0), 1.4)
        return math.degrees(2 * math.atan(zoom)) / more

    # --- messages ----------------------------------------------------------------------------------------------------

    def world(self, worlds: Worlds, n: int) -> str:
        """The state of world ``n`` as JSON, from which the engine builds its room.

        Raises :class:`envs.task.TaskError` if the room is too large.
        """
        spec, height = self.spec, self.spec.height
        north, west, rows, columns = visible_part(spec, worlds.blocks[n])
        tint = self._shade(worlds.tint[n]) @ [SHADES**2, SHADES, 1]
        texture_id = worlds.texture_id[n]
        hands = {}
        for number in worlds.rules.item_numbers.tolist():
            if worlds.inventory[n, number] or "pick_up" in spec.actions:
                hands[str(number)] = self._hand(int(texture_id[number]), int(tint[number]))
        return json.dumps(
            {
                "depth": spec.shape[0],
                "width": spec.shape[1],
                "height": height,
                "north": north,
                "west": west,
                "rows": rows,
                "columns": columns,
                "blocks": worlds.blocks[n].ravel().tolist(),
                "floor": worlds.floor[n].ravel().tolist(),
                "items": worlds.items[n].ravel().tolist(),
                "marks": worlds.marks[n].ravel().tolist(),
                "x": int(worlds.pose[n, 0]),
                "z": int(worlds.pose[n, 1]),
                "heading": int(worlds.pose[n, 2]) % HEADINGS,
                "start": worlds.start[n].tolist(),
                "inventory": worlds.inventory[n, 1:].tolist(),
                "subgoal": int(worlds.subgoal[n]),
                "steps": int(worlds.steps[n]),
                "limit": int(worlds.limit[n]),
                "texture_id": texture_id.tolist(),
                "tint": tint.tolist(),
                "hands": hands,
            },
            separators=(",", ":"),
        )

    def _shade(self, tint: NDArray[np.float32]) -> NDArray[np.intp]:
        """Numbers of the shades (M, 3) nearest to gains (M, 3)."""
        nearest = np.asarray(np.abs(tint[..., None] - self.shades).argmin(-1))
        items = [self.spec.number(item) for item in self.spec.items]
        nearest[items] = (nearest[items] + COARSE // 2) // COARSE * COARSE
        return nearest

    def nearest_tint(self, tint: NDArray[np.float32]) -> NDArray[np.float32]:
        """The gains on each material's colour (M, 3) that the engine can show, nearest to ``tint``."""
        return self.shades[self._shade(tint)].astype(np.float32)

    def _draw_hand(self, texture_id: int, tint: int) -> str:
        """The block in the hand, a picture of the whole window, as base64 of a PNG; there are at most 216 for a material."""
        gain = self.shades[[tint // SHADES**2, tint // SHADES % SHADES, tint % SHADES]]
        shape = render.hand(self.size).astype(np.int64)
        tile = texture(list(self.spec.materials.values())[texture_id - 1])
        picture = np.zeros((*self.window, 4), np.uint8)
        shown = picture[MARKER:-MARKER]
        light = shape[..., :1] * 0.01
        shown[..., :3] = np.minimum(tile[shape[..., 1], shape[..., 2]] * light * gain, 255).astype(np.uint8)
        shown[..., 3] = np.where(shape[..., 0] > 0, 255, 0)
        return base64.b64encode(png(picture)).decode()


def exact_yaw(heading: int) -> float:
    """The angle in radians, counter-clockwise from north, that the engine's own arithmetic turns into whole degrees.

    It moves the camera by differences of degrees; only those of whole numbers are exact, so that the first frame after a turn is
    like the later ones.
    """
    degrees = np.float32(-30 * heading % 360)
    radians = np.float32(np.deg2rad(degrees))
    for candidate in (radians, np.nextafter(radians, np.float32(7)), np.nextafter(radians, np.float32(-1))):
        if candidate * (np.float32(180) / np.float32(np.pi)) == degrees:
            return float(candidate)
    raise AssertionError(f"no angle becomes {degrees} degrees")


def png(picture: NDArray[np.uint8]) -> bytes:
    """(H, W, 3 or 4) RGB(A) as a PNG file."""
    code = cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    return bytes(cv2.imencode(".png", cv2.cvtColor(picture, code))[1])

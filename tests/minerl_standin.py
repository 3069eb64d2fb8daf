"""A stand-in for Minecraft 1.11 with MineRL's mod: its wire protocol, its way of moving, and the embedded world for a picture.

It reads the mission's XML and nothing else, knows nothing of the adapter, and can be told to fail in every phase of the protocol.
As a program: ``python -m tests.minerl_standin --help``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import socket
import struct
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import numpy as np

from envs.minerl.drawing import block_of, item_types
from envs.task import TaskSpec
from envs.task_file import load_task
from envs.voxel.render import Camera, step_and_draw
from envs.voxel.rules import DRAW, sort_columns
from envs.voxel.world import Worlds

NS = "{http://ProjectMalmo.microsoft.com}"
FLOOR, EYE, WIDTH, REACH = 3, 1.62, 0.3, 4.5
PHASES = ("hello", "quit", "mission", "peek", "step")
# What can go wrong, by phase.
FAULTS = {
    "hello": ("drop", "hang"),
    "quit": ("drop", "hang"),
    "mission": ("drop", "hang", "busy"),
    "peek": ("drop", "hang", "json", "empty", "done"),
    "step": ("drop", "half", "hang", "json", "empty", "crash"),
}


class Room:
    """What a mission draws, and an agent that walks in it a tick at a time."""

    def __init__(self, text: bytes, task: TaskSpec) -> None:
        root = ET.fromstring(text)

        def find(name: str) -> list[ET.Element]:
            return list(root.iter(NS + name))

        self.task = task
        self.height, self.width = (int(find(name)[0].text or 0) for name in ("Height", "Width"))
        cuboids = [element.attrib for element in find("DrawCuboid")]
        depth, width = int(cuboids[0]["z2"]) + 1, int(cuboids[0]["x2"]) + 1
        levels = int(cuboids[0]["y2"]) - FLOOR + 1
        self.grid = np.full((levels, depth, width), "air", object)
        for a in cuboids:
            (x1, y1, z1), (x2, y2, z2) = ([int(a[f"{axis}{end}"]) for axis in "xyz"] for end in (1, 2))
            self.grid[y1 - FLOOR : y2 - FLOOR + 1, z1 : z2 + 1, x1 : x2 + 1] = _name(a)
        for element in find("DrawBlock"):
            x, y, z = (int(element.attrib[axis]) for axis in "xyz")
            self.grid[y - FLOOR, z, x] = _name({"type": element.attrib["type"]})
        self.lying: list[list[Any]] = [
            [int(e.attrib["x"]) + 0.5, int(e.attrib["z"]) + 0.5, e.attrib["type"], 0] for e in find("DrawItem")
        ]
        start = find("Placement")[0].attrib
        self.x, self.y, self.z, self.yaw, self.pitch = (float(start[key]) for key in ("x", "y", "z", "yaw", "pitch"))
        self.vx = self.vz = 0.0
        self.inventory: list[list[Any]] = [[e.attrib["type"], int(e.attrib["quantity"])] for e in find("InventoryObject")]
        self.keys = dict.fromkeys(("forward", "back", "sneak", "attack"), 0)
        self.attacked: tuple[tuple[int, int, int] | None, int] = (None, 0)
        self.rest = 0  # ticks until the next block can be broken
        self.seconds = int(find("ServerQuitFromTimeUp")[0].attrib["timeLimitMs"]) / 1000
        self.ticks = 0
        self.changes = 0  # of the grid
        self._picture = Picture(self)

    # --- one tick ---

    def tick(self, commands: list[str]) -> None:
        place = None
        for command in commands:
            verb, _, rest = command.partition(" ")
            if verb == "camera":
                d_pitch, d_yaw = map(float, rest.split())
                self.pitch, self.yaw = max(-90.0, min(90.0, self.pitch + d_pitch)), (self.yaw + d_yaw) % 360
            elif verb == "place":
                place = rest if rest != "none" else None
            elif verb in self.keys:
                self.keys[verb] = int(rest)
            else:
                raise ValueError(f"unknown command {command!r}")
        self._walk()
        self._attack()
        if place is not None:
            self._place(place)
        self._collect()
        self.ticks += 1

    def _walk(self) -> None:
        """Minecraft's walking: 0.098 blocks a tick faster each tick, then a friction of 0.546; a third of it when sneaking."""
        push = 0.098 * (self.keys["forward"] - self.keys["back"]) * (0.3 if self.keys["sneak"] else 1)
        yaw = math.radians(self.yaw)
        self.vx, self.vz = self.vx - push * math.sin(yaw), self.vz + push * math.cos(yaw)
        x, z = self.x + self.vx, self.z + self.vz
        if self._free(x, self.z):
            self.x = x
        else:
            self.vx = 0.0
        if self._free(self.x, z):
            self.z = z
        else:
            self.vz = 0.0
        self.vx, self.vz = self.vx * 0.546, self.vz * 0.546

    def _free(self, x: float, z: float) -> bool:
        corners = [(x + dx, z + dz) for dx in (-WIDTH, WIDTH) for dz in (-WIDTH, WIDTH)]
        return all(self.grid[level, int(cz), int(cx)] == "air" for cx, cz in corners for level in (1, 2))

    def _look(self) -> tuple[float, float, float]:
        yaw, pitch = math.radians(self.yaw), math.radians(self.pitch)
        return -math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch)

    def ray(self) -> tuple[tuple[int, int, int], tuple[float, float, float], tuple[int, int, int]] | None:
        """The block under the crosshair (level, z, x), the point on it, and the cell before it."""
        look = self._look()
        eye = (self.x, self.y + EYE, self.z)
        at = [math.floor(value) for value in eye]
        # The distance along the ray to the next border on each axis, and from one border to the one after it.
        gap = [abs(1 / d) if d else math.inf for d in look]
        to = [((1 - v % 1 if d > 0 else v % 1) * g if d else math.inf) for v, d, g in zip(eye, look, gap, strict=True)]
        before = (at[1] - FLOOR, at[2], at[0])
        while True:
            axis = to.index(min(to))
            t = to[axis]
            to[axis] += gap[axis]
            at[axis] += 1 if look[axis] > 0 else -1
            cell = (at[1] - FLOOR, at[2], at[0])
            if any(not 0 <= index < length for index, length in zip(cell, self.grid.shape, strict=True)):
                return None
            if self.grid[cell] != "air":
                x, y, z = (value + t * d for value, d in zip(eye, look, strict=True))
                return cell, (x, y, z), before
            before = cell

    def _attack(self) -> None:
        self.rest = max(0, self.rest - 1)
        hit = self.ray() if self.keys["attack"] and not self.rest else None
        if hit is None:
            self.attacked = (None, 0)
            return
        cell = hit[0]
        held = self.attacked[1] + 1 if self.attacked[0] == cell else 1
        self.attacked = (cell, held)
        if held >= 3:
            kind = self.grid[cell]
            self.grid[cell] = "air"
            self.changes += 1
            if kind == "wooden_door":
                for level in (1, 2):
                    self.grid[level, cell[1], cell[2]] = "air"
            self.lying.append([cell[2] + 0.5, cell[1] + 0.5, kind, 10])
            self.attacked, self.rest = (None, 0), 5

    def _place(self, kind: str) -> None:
        hit = self.ray()
        stack = next((stack for stack in self.inventory if stack[0] == kind and stack[1]), None)
        if hit is None or stack is None:
            return
        level, z, x = hit[2]
        beside = abs(self.x - x - 0.5) > 0.5 + WIDTH or abs(self.z - z - 0.5) > 0.5 + WIDTH
        if self.grid[level, z, x] == "air" and beside:
            self.grid[level, z, x] = kind
            self.changes += 1
            stack[1] -= 1

    def _collect(self) -> None:
        for item in list(self.lying):
            item[3] = max(0, item[3] - 1)
            if not item[3] and abs(item[0] - self.x) < 1.425 and abs(item[1] - self.z) < 1.425:
                self.lying.remove(item)
                stack = next((stack for stack in self.inventory if stack[0] == item[2]), None)
                if stack:
                    stack[1] += 1
                else:
                    self.inventory.append([item[2], 1])

    # --- what it tells ---

    def info(self) -> dict[str, Any]:
        hit = self.ray()
        sight = {} if hit is None else {
            "LineOfSight": {
                "hitType": "block", "type": str(self.grid[hit[0]]).partition("/")[0], "inRange": True,
                "x": hit[1][0], "y": hit[1][1], "z": hit[1][2], "distance": math.dist(hit[1], (self.x, self.y + EYE, self.z)),
            }
        }  # fmt: skip
        stacks = [
            {"type": kind, "quantity": count, "metadata": 0, "index": i} for i, (kind, count) in enumerate(self.inventory) if count
        ]
        where = {"xpos": self.x, "ypos": self.y, "zpos": self.z, "yaw": self.yaw, "pitch": self.pitch}
        return {**where, "inventory": stacks, "life": 20.0, "food": 20, "air": 300, **sight}

    def frame(self) -> bytes:
        return self._picture.draw(self)[::-1].tobytes()  # rows bottom-up


class Picture:
    """Draws a room of Minecraft with the embedded world's renderer, by turning blocks back into the task's materials."""

    def __init__(self, room: Room) -> None:
        task = room.task
        self.worlds = Worlds(task, 1)
        self.camera = Camera.of(task, (room.height, room.width))
        types = item_types(task)
        self.number = {
            _name({"type": types[name]} if material.item else block_of(material)): task.number(name)
            for name, material in reversed(list(task.materials.items()))
        }
        self.through = {task.number(name) for name, material in task.materials.items() if not material.solid}
        self.worlds.texture_id[0] = np.arange(len(task.material_names))
        self.drawn = -1
        self.pov = np.zeros((1, room.height, room.width, 3), np.uint8)

    def draw(self, room: Room) -> np.ndarray[Any, Any]:
        worlds = self.worlds
        if self.drawn != room.changes:
            self.drawn = room.changes
            door = room.task.number("door")
            numbers = np.array([0 if name == "air" else self.number.get(name, door) for name in room.grid[:-1].ravel()], np.uint8)
            numbers = numbers.reshape(room.grid[:-1].shape)
            _, depth, width = room.grid.shape
            blocks = numbers[1:].transpose(1, 2, 0)
            # An opening with the colour of a curtain on its floor is a curtain.
            opening = np.isin(numbers[0], list(self.through))
            blocks[..., :2] = np.where(opening[..., None], numbers[0][..., None], blocks[..., :2])
            worlds.blocks[0, :depth, :width], worlds.floor[0, :depth, :width] = blocks, numbers[0]
        worlds.items[0] = 0
        for x, z, kind, _ in room.lying:
            if kind in self.number:
                worlds.items[0, int(z), int(x)] = self.number[kind]
        worlds.inventory[0] = 0
        for kind, count in room.inventory:
            if kind in self.number:
                worlds.inventory[0, self.number[kind]] += count
        sort_columns(worlds.blocks[0], worlds.items[0], worlds.kind[0])
        worlds.pose[0] = math.floor(room.x), math.floor(room.z), round((room.yaw - 180) / 30) % 12
        worlds.subgoal[0] = len(room.task.goal)  # rules are the adapter's business
        step_and_draw(np.array([DRAW]), self.pov, np.zeros(1, bool), worlds.state, worlds.rules, self.camera)
        picture: np.ndarray[Any, Any] = self.pov[0]
        return picture


def _name(attributes: Any) -> str:
    """A block's type with its colour or variant, as one word."""
    return "/".join([attributes["type"], *(attributes[key] for key in ("colour", "variant") if key in attributes)])


class StandIn:
    """Listens on a port, one mission at a time.

    Args:
        task: whose materials the picture is drawn with.
        fault: asked before each answer, with the phase; returns the name of a fault in ``FAULTS``, or None.
        tick_s: seconds that a tick takes.
        cheap: the same grey picture for every tick.
    """

    def __init__(
        self,
        task: str | TaskSpec = "navigation1",
        fault: Callable[[str], str | None] = lambda phase: None,
        tick_s: float = 0.0,
        port: int = 0,
        cheap: bool = False,
        crash: Callable[[], None] | None = None,
    ) -> None:
        self.task, self.fault, self.tick_s, self.cheap, self.crash = load_task(task), fault, tick_s, cheap, crash
        self.room: Room | None = None
        self.missions: list[dict[str, Any]] = []  # one entry a mission: uid, commands received and ticks answered whole
        self.faults: list[tuple[str, str]] = []
        self.connections = 0
        self._stop = threading.Event()
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _fails(self, phase: str, sock: socket.socket, allowed: tuple[str, ...] = ("drop", "hang")) -> str | None:
        """Carry out ``drop``, ``hang`` and ``crash``; other faults are returned for the caller."""
        name = self.fault(phase)
        if name is None:
            return None
        self.faults.append((phase, name))
        if name == "hang":
            self._stop.wait(3600) if self._gone(sock) else None
        if name in ("drop", "hang"):
            raise ConnectionResetError
        if name == "crash":
            if self.crash is not None:
                self.crash()
            raise ConnectionResetError
        return name

    def _gone(self, sock: socket.socket) -> bool:
        """Wait, silent, until the other side closes."""
        with contextlib.suppress(OSError):
            while not self._stop.is_set():
                sock.settimeout(0.2)
                try:
                    if not sock.recv(4096):
                        break
                except TimeoutError:
                    continue
        return False

    def _talk(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError, EOFError):
            hello = _receive(sock)
            self._fails("hello", sock)
            if hello != b"<MalmoEnv0.37.0/>":
                return
            while True:
                message = _receive(sock)
                if message.startswith(b"<Quit"):
                    self._fails("quit", sock)
                    self.room = None
                    _send(sock, struct.pack("!I", 1))
                elif message.startswith(b"<MissionInit"):
                    self._mission(sock, message, _receive(sock).decode())
                elif message.startswith(b"<Peek"):
                    self._peek(sock)
                elif message.startswith(b"<StepClient"):
                    self._step(sock, message.decode())
                elif message.startswith(b"<StepServer"):
                    pass
                elif message.startswith(b"<Status"):
                    _send(sock, b"{}")
                elif message.startswith(b"<Disconnect"):
                    return
                else:
                    raise ValueError(f"unknown message {message[:40]!r}")

    def _mission(self, sock: socket.socket, xml: bytes, token: str) -> None:
        uid, role, reset, agents, synchronous, *_ = token.split(":")
        assert (role, reset, agents, synchronous) == ("0", "0", "1", "true"), token
        if self._fails("mission", sock) == "busy":
            _send(sock, struct.pack("!I", 0))
            return
        self.room = Room(xml, self.task)
        self.missions.append({"uid": uid, "received": 0, "answered": 0})
        _send(sock, struct.pack("!I", 1))

    def _peek(self, sock: socket.socket) -> None:
        fault = self._fails("peek", sock)
        assert self.room is not None
        _send(sock, b"" if fault == "empty" else self._frame())
        _send(sock, b'{"xpos": 1.' if fault == "json" else json.dumps(self.room.info()).encode())
        _send(sock, struct.pack("!b", fault == "done"))

    def _step(self, sock: socket.socket, message: str) -> None:
        assert message.startswith("<StepClient0>"), message
        assert message.endswith("</StepClient0 >"), message
        if self.room is None:
            raise ConnectionResetError
        room, log = self.room, self.missions[-1]
        log["received"] += 1
        fault = self._fails("step", sock)
        if self.tick_s:
            time.sleep(self.tick_s)
        room.tick(message[len("<StepClient0>") : -len("</StepClient0 >")].split("\n"))
        _send(sock, b"" if fault == "empty" else self._frame())
        _send(sock, struct.pack("!dbb", 0.0, room.ticks / 20 > room.seconds, 1))
        if fault == "half":
            raise ConnectionResetError
        log["answered"] += fault is None  # before it is: whoever got the answer may look at once
        _send(sock, b'{"xpos": 1.' if fault == "json" else json.dumps(room.info()).encode())

    def _frame(self) -> bytes:
        assert self.room is not None
        if self.cheap:
            return bytes(self.room.height * self.room.width * 3)
        return self.room.frame()


def _receive(sock: socket.socket) -> bytes:
    (length,) = struct.unpack("!I", _exactly(sock, 4))
    return _exactly(sock, length)


def _exactly(sock: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = sock.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


def _send(sock: socket.socket, data: bytes) -> None:
    sock.sendall(struct.pack("!I", len(data)) + data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="navigation1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--count", type=int, default=1, help="so many, each on a port of its own")
    parser.add_argument("--tick", type=float, default=0.0, help="seconds that a tick takes")
    parser.add_argument("--cheap", action="store_true", help="the same picture for every tick")
    arguments = parser.parse_args()
    port = arguments.port
    stands = [
        StandIn(arguments.task, tick_s=arguments.tick, port=port + i if port else 0, cheap=arguments.cheap)
        for i in range(arguments.count)
    ]
    print(" ".join(f"127.0.0.1:{stand.port}" for stand in stands), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()

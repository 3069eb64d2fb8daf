"""MineRL's own client, in the worker: one Minecraft, attached to or started here, and the episodes played in it."""

# ruff: noqa: I001  (the shim comes first)
from __future__ import annotations

import contextlib
import logging
import socket
from typing import Any

import envs.minerl.shim  # noqa: F401
import minerl.env._multiagent as multiagent
import minerl.env.comms as comms
import numpy as np
from minerl.env.malmo import InstanceManager, MinecraftInstance

from envs.minerl.drawing import Mission
from envs.minerl.hands import Hands, Sight
from envs.minerl.link import receive_message
from envs.minerl.mission import KEYS, Room

InstanceManager.managed = False  # its reset must never start a Minecraft of its own: after a crash it would start one each time
comms.recv_message = receive_message  # its own would take whatever length a Minecraft announces
logging.getLogger("minerl").setLevel(logging.CRITICAL)  # what goes wrong is told once, by the worker


class ClientError(Exception):
    """What Minecraft or its client did wrong, in one line."""


PATIENCE = 0.8  # share of the parent's deadlines that the client waits for one answer: then this process need not be replaced


class Client:
    """Talks to the Minecraft that listens at ``host:port``."""

    def __init__(self, host: str, port: int, reset_s: float, step_s: float) -> None:
        self.host, self.port, self.reset_s, self.step_s = host, port, reset_s, step_s
        self._env: Any = None
        self._instance: Any = None
        self.hands: Hands | None = None

    def reset(self, mission: Mission) -> Hands:
        """Start an episode. Raises whatever the client raises."""
        self.hands = None
        room = Room(mission)
        if self._env is None:
            InstanceManager.DEFAULT_IP = self.host
            self._instance = MinecraftInstance(port=self.port, existing=True)
            self._instance.launch()
            self._instance.had_to_clean = False
            self._env = room.make(instances=[self._instance])
        else:
            self._env.task = room
            self._env._setup_spaces()
        multiagent.SOCKTIME = PATIENCE * self.reset_s
        first = self._sight(self._env.reset())
        self._instance.client_socket.settimeout(PATIENCE * self.step_s)
        place = "place" in mission.actions

        def tick(camera: tuple[float, float] = (0.0, 0.0), place_kind: str = "none", **keys: int) -> Sight:
            action: dict[str, Any] = {key: keys.get(key, 0) for key in KEYS}
            action["camera"] = np.array(camera, np.float32)
            if place:
                action["place"] = place_kind
            seen, _, done, info = self._env.step(action)
            if "error" in info:
                raise ClientError(f"the client reports: {info['error']}")
            if done:
                raise ClientError("Minecraft ended the mission")
            return self._sight(seen)

        def rename(place: str = "none", **keys: Any) -> Sight:
            return tick(place_kind=place, **keys)

        self.hands = Hands(rename, mission, first)
        self.hands.settle()
        return self.hands

    def _sight(self, seen: dict[str, Any]) -> Sight:
        counts = {kind: int(count) for kind, count in seen["inventory"].items()}
        return Sight(seen["pov"], seen["pose"], seen["line_of_sight"], counts)

    def drop(self) -> None:
        """Let go of a connection that failed; the next reset makes a new client."""
        self.hands = None
        instance, self._env, self._instance = self._instance, None, None
        with contextlib.suppress(Exception):
            sock: socket.socket = instance.client_socket
            sock.close()

"""A :class:`~envs.minerl.drawing.Mission` as MineRL's own classes write it. Imports ``minerl``: for the worker, and for tests."""

# ruff: noqa: I001  (the shim comes first)
from __future__ import annotations

from typing import Any

import envs.minerl.shim  # noqa: F401
import numpy as np
from minerl.herobraine.env_spec import EnvSpec
from minerl.herobraine.hero import handlers, spaces
from minerl.herobraine.hero.handlers.translation import TranslationHandler

from envs.minerl.drawing import Mission

# Held until they are sent as 0, so every tick sends all of them.
KEYS = ("forward", "back", "sneak", "attack")
BREAK_SPEED = 100.0  # a door of wood takes a bare hand 90 ticks otherwise


class Pose(TranslationHandler):
    """x, y, z, yaw, pitch. MineRL's own handler invents zeros where one is missing; this one raises KeyError."""

    def __init__(self) -> None:
        super().__init__(spaces.Box(-np.inf, np.inf, (5,), np.float64))

    def to_string(self) -> str:
        return "pose"

    def xml_template(self) -> str:
        return "<ObservationFromFullStats/>"

    def from_hero(self, info: dict[str, Any]) -> Any:
        return np.array([info[key] for key in ("xpos", "ypos", "zpos", "yaw", "pitch")], np.float64)


class LineOfSight(TranslationHandler):
    """Where the crosshair meets a block: 1, x, y, z; or zeros. The schema and the mod have it, MineRL's Python part does not."""

    def __init__(self) -> None:
        super().__init__(spaces.Box(-np.inf, np.inf, (4,), np.float64))

    def to_string(self) -> str:
        return "line_of_sight"

    def xml_template(self) -> str:
        return "<ObservationFromRay/>"

    def from_hero(self, info: dict[str, Any]) -> Any:
        sight = info.get("LineOfSight") or {}
        if sight.get("hitType") != "block":
            return np.zeros(4)
        return np.array([1.0, sight["x"], sight["y"], sight["z"]], np.float64)


class Room(EnvSpec):
    """The mission as MineRL's environment. Rewards and ends are left to us: the mod may lose a reward that comes with an end."""

    def __init__(self, mission: Mission) -> None:
        self.mission = mission
        super().__init__(mission.name)

    def create_observables(self) -> list[Any]:
        height, width = self.mission.size
        return [
            handlers.POVObservation((width, height)),
            handlers.FlatInventoryObservation(sorted(set(self.mission.carried))),
            Pose(),
            LineOfSight(),
        ]

    def create_actionables(self) -> list[Any]:
        keys = [handlers.KeybasedCommandAction(key, key) for key in KEYS]
        place = [handlers.PlaceBlock(["none", *self.mission.carried], _other="other", _default="none")]
        return [*keys, handlers.CameraAction(), *(place if "place" in self.mission.actions else [])]

    def create_rewardables(self) -> list[Any]:
        return []

    def create_agent_start(self) -> list[Any]:
        x, y, z, yaw, pitch = self.mission.start
        stacks = {slot: {"type": kind, "quantity": count} for slot, (kind, count) in enumerate(self.mission.inventory)}
        return [
            handlers.InventoryAgentStart(stacks),
            handlers.AgentStartPlacement(x, y, z, yaw, pitch),
            handlers.AgentStartBreakSpeedMultiplier(BREAK_SPEED),
        ]

    def create_agent_handlers(self) -> list[Any]:
        return []

    def create_monitors(self) -> list[Any]:
        return []

    def create_server_initial_conditions(self) -> list[Any]:
        return [
            handlers.TimeInitialCondition(allow_passage_of_time=False, start_time=6000),
            handlers.WeatherInitialCondition("clear"),
            handlers.SpawningInitialCondition(False),
        ]

    def create_server_decorators(self) -> list[Any]:
        # One decorator for everything: of two, MineRL keeps the last.
        lines = [
            f'<DrawCuboid x1="{x1}" y1="{y1}" z1="{z1}" x2="{x2}" y2="{y2}" z2="{z2}" {_attributes(block)}/>'
            for (x1, y1, z1, x2, y2, z2), block in self.mission.cuboids
        ]
        lines += [f'<DrawBlock x="{x}" y="{y}" z="{z}" {_attributes(block)}/>' for (x, y, z), block in self.mission.blocks]
        lines += [f'<DrawItem x="{x}" y="{y}" z="{z}" type="{kind}"/>' for (x, y, z), kind in self.mission.items]
        return [handlers.DrawingDecorator("".join(lines))]

    def create_server_world_generators(self) -> list[Any]:
        return [handlers.FlatWorldGenerator(force_reset=self.mission.fresh, generatorString="3;7,2*3,2;1;")]

    def create_server_quit_producers(self) -> list[Any]:
        return [handlers.ServerQuitFromTimeUp(self.mission.seconds * 1000), handlers.ServerQuitWhenAnyAgentFinishes()]

    def is_from_folder(self, folder: str) -> bool:
        return False

    def determine_success_from_rewards(self, rewards: list[float]) -> bool:
        return False

    def get_docstring(self) -> str:
        return self.mission.name


def _attributes(block: Any) -> str:
    return " ".join(f'{key}="{value}"' for key, value in block.items())

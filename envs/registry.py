"""The worlds by name. This is the only place that lists them; each decides itself how its environments are made, see
:class:`envs.world.World`.

Importing this is quick: what draws, learns or talks to an engine is imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from envs.luanti.world import LuantiWorld
from envs.minerl.world import MineRLOptions, MineRLWorld
from envs.world import World

__all__ = ["WORLDS", "World", "close_all"]

_LUANTI_REFUSES = frozenset({"verbs", "reward", "begin"})
_TABLE = (
    World("voxel", "the embedded world, drawn by a compiled ray-caster", "envs.voxel", "Voxel"),
    LuantiWorld(
        "luanti", "Luanti, a real engine, drawn as the embedded world is", "envs.luanti", "Luanti", refuses=_LUANTI_REFUSES
    ),
    LuantiWorld(
        "luanti-plain", "Luanti with its own drawing of the same textures", "envs.luanti", "LuantiPlain", refuses=_LUANTI_REFUSES
    ),
    MineRLWorld(
        "minerl", "Minecraft 1.11.2 through MineRL 0.4.4", "envs.minerl", "MineRL", options=MineRLOptions,
        plays_sequences=False, refuses=frozenset({"verbs", "begin", "pit", "back"}), can_play_twice=False,
    ),
)  # fmt: skip

WORLDS: Mapping[str, World] = MappingProxyType({world.name: world for world in _TABLE})


def close_all() -> None:
    """End whatever the worlds have started in this process, such as engines and Minecrafts."""
    for world in WORLDS.values():
        world.close_all()

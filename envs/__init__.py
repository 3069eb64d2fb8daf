"""Worlds and tasks. ``gymnasium.make("envs:Voxel/TwoRooms-v0")`` imports this package, which registers one id a task file."""

from pathlib import Path

import gymnasium as gym

TASKS = Path(__file__).parent / "tasks"


def camel(name: str) -> str:
    """``two_rooms`` -> ``TwoRooms``."""
    return "".join(part.capitalize() for part in name.split("_"))


def _register(room: str, world: str, name: str, **kwargs: str) -> None:
    gym.register(
        id=f"{world}/{name}-v0",
        entry_point=f"envs.{room}.env:{world}Env",
        vector_entry_point=f"envs.{room}.vector:{world}VectorEnv",
        kwargs=kwargs,
    )


for _room, _world in (("voxel", "Voxel"), ("luanti", "Luanti"), ("luanti", "LuantiPlain"), ("minerl", "MineRL")):
    _register(_room, _world, "Task")
    for _path in sorted(TASKS.glob("*.toml")):
        _register(_room, _world, camel(_path.stem), task=_path.stem)

"""Worlds and tasks. ``gymnasium.make("envs:Voxel/TwoRooms-v0")`` imports this package, which registers one id a task file."""

from pathlib import Path

import gymnasium as gym

TASKS = Path(__file__).parent / "tasks"


def camel(name: str) -> str:
    """``two_rooms`` -> ``TwoRooms``."""
    return "".join(part.capitalize() for part in name.split("_"))


def _register(world: str, name: str, **kwargs: str) -> None:
    gym.register(
        id=f"{world}/{name}-v0",
        entry_point=f"envs.{world.lower()}.env:{world}Env",
        vector_entry_point=f"envs.{world.lower()}.vector:{world}VectorEnv",
        kwargs=kwargs,
    )


for _world in ("Voxel", "MineRL"):
    _register(_world, "Task")
    for _path in sorted(TASKS.glob("*.toml")):
        _register(_world, camel(_path.stem), task=_path.stem)

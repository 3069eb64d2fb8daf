"""Worlds and tasks. ``gymnasium.make("envs:Voxel/TwoRooms-v0")`` imports this package, which registers one id a task file."""

from pathlib import Path

import gymnasium as gym

TASKS = Path(__file__).parent / "tasks"


def camel(name: str) -> str:
    """``two_rooms`` -> ``TwoRooms``."""
    return "".join(part.capitalize() for part in name.split("_"))


def _register(id: str, **kwargs: str) -> None:
    gym.register(
        id=id,
        entry_point="envs.voxel.env:VoxelEnv",
        vector_entry_point="envs.voxel.vector:VoxelVectorEnv",
        kwargs=kwargs,
    )


_register("Voxel/Task-v0")
for _path in sorted(TASKS.glob("*.toml")):
    _register(f"Voxel/{camel(_path.stem)}-v0", task=_path.stem)

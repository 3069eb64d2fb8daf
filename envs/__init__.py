"""Worlds and tasks. ``gymnasium.make("envs:Voxel/TwoRooms-v0")`` imports this package, which registers one id a world and task."""

from pathlib import Path

from envs.registry import WORLDS

TASKS = Path(__file__).parent / "tasks"

for _world in WORLDS.values():
    _world.register(sorted(path.stem for path in TASKS.glob("*.toml")))

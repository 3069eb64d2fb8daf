"""Worlds and tasks. ``gymnasium.make("envs:Voxel/TwoRooms-v0")`` imports this package, which registers one id a world and task.

Only ids that can be made are registered: a world that cannot play a task has none for it.
"""

import tomllib
from pathlib import Path

from envs.registry import WORLDS

TASKS = Path(__file__).parent / "tasks"


def _special(path: Path) -> bool:
    """Whether a task has verbs, or places with a reward of their own; without reading it whole, since importing this is quick."""
    doc = tomllib.loads(path.read_text(encoding="utf-8"))
    return "verbs" in doc or any(isinstance(cell, dict) and "reward" in cell for cell in doc["legend"].values())


_tasks = {path.stem: _special(path) for path in sorted(TASKS.glob("*.toml"))}
for _world in WORLDS.values():
    _world.register([name for name, special in _tasks.items() if _world.plays_all_tasks or not special])

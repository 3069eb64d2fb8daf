"""Worlds and tasks. ``gymnasium.make("envs:Voxel/TwoRooms-v0")`` imports this package, which registers one id a world and task.

Only ids that can be made are registered: a world that cannot play a task has none for it.
"""

import tomllib
from pathlib import Path
from typing import Any

from envs.materials import special
from envs.registry import WORLDS

TASKS = Path(__file__).parent / "tasks"


# What each shipped task's file says, by the task's name; ``envs.task_file.load_task`` makes a task of it, which takes time.
SHIPPED: dict[str, dict[str, Any]] = {
    path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(TASKS.glob("*.toml"))
}


for _world in WORLDS.values():
    _world.register([name for name, doc in SHIPPED.items() if not special(doc) & _world.refuses])

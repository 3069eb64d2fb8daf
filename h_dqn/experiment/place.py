"""Where tasks are played."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from envs.errors import unknown
from envs.registry import WORLDS
from h_dqn.experiment.errors import UserError


@dataclass(frozen=True)
class Place:
    """Which world plays, and what is set for it."""

    world: str = "voxel"
    """a name in envs.registry.WORLDS"""
    options: Any = None
    """an instance of that world's options; None for their defaults"""

    def __post_init__(self) -> None:
        if self.world not in WORLDS:
            raise UserError(unknown("world", self.world, WORLDS))


VOXEL = Place()

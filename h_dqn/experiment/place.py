"""Where tasks are played."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from envs.errors import unknown
from envs.registry import WORLDS
from h_dqn.experiment.errors import UserError
from h_dqn.settings import Count


@dataclass(frozen=True)
class Place:
    """Which world plays, and what is set for it."""

    world: str = "voxel"
    """a name in envs.registry.WORLDS"""
    options: Any = None
    """an instance of that world's options; None for their defaults"""
    ray: str | None = None
    """the Ray cluster whose actors step the environments, see :func:`h_dqn.experiment.cluster.connect`; None: this process does"""
    ray_actors: Count = 8
    """how many actors share the environments, if any"""

    def __post_init__(self) -> None:
        if self.world not in WORLDS:
            raise UserError(unknown("world", self.world, WORLDS))
        if self.ray is not None:
            WORLDS[self.world].check_shared(self.options)


VOXEL = Place()

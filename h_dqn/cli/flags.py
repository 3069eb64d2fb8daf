"""Flags that several commands share. A command is a dataclass: its fields are its flags, its docstring is its help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from envs.registry import WORLDS
from h_dqn.experiment.worlds import Place

Name = tyro.conf.Positional[str]
if TYPE_CHECKING:
    World = str
else:
    World = Literal[tuple(WORLDS)]


@dataclass(kw_only=True)
class WorldFlags:
    """Which world plays. The options of the world that is named are flags too (``world_options``; see ``commands.py``)."""

    world: World = "voxel"
    """which world plays the task; its own flags are shown by --world NAME --help"""

    @property
    def place(self) -> Place:
        return Place(self.world, getattr(self, "world_options", None))


@dataclass(kw_only=True)
class LibraryFlags:
    library: Path = Path("skills")
    """where skills are kept"""


@dataclass(kw_only=True)
class JsonFlags:
    json: bool = False
    """print the result as one JSON object"""

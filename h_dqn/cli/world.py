"""The flags that say which world plays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from envs.registry import WORLDS
from h_dqn.cli.flags import optional
from h_dqn.experiment.place import VOXEL, Place

_HELP = "which world plays (default: voxel); what can be set for one is shown by --world NAME --help\n" + "\n".join(
    f"{world.name}: {world.about}" for world in WORLDS.values()
)


@dataclass(kw_only=True)
class WorldFlags:
    """Which world plays. The options of the world that is named are flags too (``world_options``; see ``commands.py``)."""

    world: Annotated[str, optional("NAME", help=_HELP)] = "voxel"

    @property
    def place(self) -> Place:
        return Place(self.world, getattr(self, "world_options", None))


def world_words(place: Place) -> list[str]:
    """The flag that a command needs to play in this world; none for the one that it plays in by itself."""
    return [] if place.world == VOXEL.world else ["--world", place.world]

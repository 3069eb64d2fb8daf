"""Where Minecrafts are, how they are started, and when they count as failed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from envs.errors import WorldError

ADDRESSES = "H_DQN_MINERL_ADDRESS"  # in the environment: the default of Settings.addresses, with commas between them


class MineRLError(WorldError):
    """No Minecraft can be used, or none any more; one line says why and what to do."""


def read_addresses(addresses: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """``("host:9000",)`` -> ``(("host", 9000),)``. Raises :class:`MineRLError` for anything else."""
    found = []
    for address in addresses:
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise MineRLError(f"address '{address}': must be host:port, such as localhost:9000")
        found.append((host, int(port)))
    return tuple(found)


def default_addresses() -> tuple[tuple[str, int], ...]:
    return read_addresses(filter(None, os.environ.get(ADDRESSES, "").split(",")))


@dataclass(frozen=True)
class Settings:
    """How Minecrafts are found or started, and how they are supervised.

    Args:
        addresses: host and port of each Minecraft that runs already (default: those of ``ADDRESSES``); empty: they are started
            here.
        launch_s, reset_s, step_s: seconds after which a start, the beginning of an episode, and an action count as failed.
        restarts: failures in a row, with no whole action between them, after which an instance is given up.
        episodes: an instance that was started here is restarted after so many, since Minecraft leaks memory.
        memory: bytes that a worker and its Minecraft may hold before they are restarted.
        minecraft: the folder of launchClient.sh, if not that of the installed package.
    """

    addresses: tuple[tuple[str, int], ...] = field(default_factory=default_addresses)
    launch_s: float = 300.0
    reset_s: float = 120.0
    step_s: float = 30.0
    restarts: int = 20
    episodes: int = 500
    memory: int = 6 * 2**30
    minecraft: str | None = None

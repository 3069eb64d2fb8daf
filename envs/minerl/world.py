"""Minecraft as one of the worlds: its options, what it refuses, what it needs, and the Minecrafts that environments share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envs.errors import WorldError
from envs.verdict import Verdict
from envs.world import World

if TYPE_CHECKING:
    from envs.minerl.settings import Settings
    from envs.task import TaskSpec


@dataclass(frozen=True, kw_only=True)
class MineRLOptions:
    """What a user may set for the world of Minecraft."""

    minerl_address: tuple[str, ...] = ()
    """minerl: host:port of each Minecraft that runs already; default: $H_DQN_MINERL_ADDRESS; without any, they are started here"""
    minerl_instances: int = 1
    """minerl: how many Minecrafts are started, where there are no addresses"""

    def __post_init__(self) -> None:
        if not 1 <= self.minerl_instances <= 1000:
            raise WorldError(f"--minerl-instances must be from 1 to 1000, not {self.minerl_instances}")

    @property
    def settings(self) -> Settings:
        """Raises :class:`envs.minerl.settings.MineRLError` for an address that is none."""
        from envs.minerl.settings import Settings, read_addresses

        return Settings(addresses=read_addresses(self.minerl_address)) if self.minerl_address else Settings()

    @property
    def count(self) -> int:
        """How many Minecrafts there are."""
        return len(self.settings.addresses) or self.minerl_instances


@dataclass(frozen=True)
class MineRLWorld(World):
    """See ``envs/minerl/README.md``. All environments made with equal options in one process play in the same Minecrafts."""

    def check(self, task: TaskSpec) -> None:
        from envs.minerl.drawing import check_task

        check_task(task)

    def limit(self, num_envs: int, options: Any = None) -> int:
        count: int = self._given(options).count
        return min(num_envs, count)

    def check_shared(self, options: Any = None) -> None:
        if self._given(options).settings.addresses:
            raise WorldError("with --ray each actor starts --minerl-instances Minecrafts of its own; those that run already "
                             "(--minerl-address, $H_DQN_MINERL_ADDRESS) are on other machines without it")  # fmt: skip

    def doctor(self, options: Any = None, start: bool = False) -> Iterator[Verdict]:
        from envs.minerl.doctor import checks

        return checks(self._given(options).settings.addresses)

    def close_all(self) -> None:
        if pool := sys.modules.get("envs.minerl.pool"):  # else none was started
            pool.close_pools()

    def _settings(self, options: Any) -> dict[str, Any]:
        from envs.minerl.pool import shared_pool

        options = self._given(options)
        return {"pool": shared_pool(options.count, options.settings)}

"""Minecrafts that several environments share, and waiting for them."""

from __future__ import annotations

import atexit
import logging
import select
import time
from collections.abc import Callable, Sequence
from typing import Any

from envs.minerl.folders import sweep
from envs.minerl.instance import GIVEN_UP, PLAYING, Instance
from envs.minerl.settings import MineRLError, Settings

logger = logging.getLogger(__name__)
TELL_S, MOST_TELL_S = 10.0, 60.0  # seconds of waiting until that is first said; and the most between two times


class Pool:
    """Minecrafts that vector environments share: each instance plays for whoever began its last episode."""

    def __init__(self, count: int, settings: Settings) -> None:
        if settings.addresses and count > len(settings.addresses):
            raise MineRLError(f"{count} worlds need {count} addresses of Minecrafts, not {len(settings.addresses)}")
        sweep()
        addresses = settings.addresses or (None,) * count
        self.instances = [Instance(settings, address) for address in addresses[:count]]
        _open.add(self)

    def __deepcopy__(self, memo: Any) -> Pool:
        """The same Minecrafts: Gymnasium copies an environment's arguments with its ``spec``."""
        return self

    @property
    def usable(self) -> bool:
        """Whether it is open, and not all of its Minecrafts have been given up."""
        return self in _open and not all(instance.state == GIVEN_UP for instance in self.instances)

    def close(self) -> None:
        _open.discard(self)
        for instance in self.instances:
            instance.stop()
        for instance in self.instances:
            for thread in instance.cleanups:
                thread.join(30)


_open: set[Pool] = set()
_shared: dict[tuple[int, Settings], Pool] = {}


def shared_pool(count: int, settings: Settings) -> Pool:
    """The pool that all who ask for the same in this process share; made at the first call, and anew where it is used up."""
    pool = _shared.get((count, settings))
    if pool is None or not pool.usable:
        if pool is not None:
            pool.close()
        pool = _shared[count, settings] = Pool(count, settings)
    return pool


@atexit.register
def close_pools() -> None:
    """End all that is still open, as when a command or the program ends."""
    for pool in list(_open):
        pool.close()
    _shared.clear()


def wait(instances: Sequence[Instance], done: Callable[[], bool]) -> None:
    """Move the instances on until ``done``, and say now and then what is waited for.

    Raises :class:`MineRLError` if all of them have been given up.
    """
    began, tell_after = time.monotonic(), TELL_S
    while True:
        for instance in instances:
            instance.pump()
        if done():
            return
        waiting = [instance for instance in instances if instance.state != GIVEN_UP]
        if not waiting:
            raise MineRLError("; ".join(dict.fromkeys(instance.reason for instance in instances)))
        now = time.monotonic()
        if now - began >= tell_after:
            tell_after = min(2 * tell_after, tell_after + MOST_TELL_S)
            which = [instance for instance in waiting if instance.state != PLAYING]
            logger.warning("waiting for Minecraft for %.0f s: %s", now - began, "; ".join(map(str, which)))
        links = [instance._link.sock for instance in waiting if instance.busy and instance._link is not None]
        soonest = min(instance.next_event() for instance in waiting) - now
        select.select(links, [], [], min(1.0, max(0.001, soonest)))

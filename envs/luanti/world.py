"""Luanti as one of the worlds: what it refuses, and what it needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envs.verdict import Verdict
from envs.world import World

if TYPE_CHECKING:
    from envs.task import TaskSpec


@dataclass(frozen=True)
class LuantiWorld(World):
    """See ``envs/luanti/README.md``."""

    def check(self, task: TaskSpec) -> None:
        import numpy as np

        from envs.luanti.compile import check_task, visible_part

        check_task(task)
        for seed in range(8):  # the size of a room is drawn with it
            visible_part(task, task.sample(np.random.default_rng(seed)).blocks)

    def doctor(self, options: Any = None, start: bool = False) -> Iterator[Verdict]:
        from envs.luanti.doctor import checks

        self._given(options)
        return checks(self.env_id, start)

    def close_all(self) -> None:
        if engine := sys.modules.get("envs.luanti.engine"):  # else none was started
            engine.stop_all()

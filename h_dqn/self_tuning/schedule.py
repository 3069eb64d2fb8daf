"""A schedule: eta goes through given discounts in equal parts of the run, one after another. Whoever writes it knows what comes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from h_dqn.self_tuning.tuner import Seen, Tuner
from h_dqn.settings import ConfigError


class Schedule(Tuner):
    """See the file's head, and :class:`h_dqn.self_tuning.tuner.Tuner`."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._discounts = self.config.discount_schedule
        if not self._discounts:
            raise ConfigError("--tuner schedule needs --discount-schedule")
        self._go(0.0)

    def _go(self, share: float) -> None:
        number = min(int(share * len(self._discounts)), len(self._discounts) - 1)
        self.head.place.fill_(self.head.place_of(self._discounts[number]))

    def places(self) -> Tensor:
        return self.head.place.cpu().expand(self.num_envs)

    def move(self, seen: Seen) -> None:
        """To where the schedule is."""
        self._go(seen.share)

"""How many gradient steps were made."""

from __future__ import annotations

from typing import Any

from torch import nn

from h_dqn.learners.method import Method
from h_dqn.state import whole


class CountUpdates(Method):
    """Changes nothing; counts."""

    def __init__(self) -> None:
        self.updates = 0

    def after_update(self, network: nn.Module) -> None:
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = whole(state["updates"], "updates", 0)

"""L2 towards the first weights (Kumar, Marklund and Van Roy 2023, "L2 init"): a network that never goes far can go anywhere."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from h_dqn.continual.body import Weights, copied, like_body, weighted_distance
from h_dqn.learners.base import Learner
from h_dqn.learners.method import Method


class L2Init(Method):
    """Adds weight * sum of (w - w0)^2 over the layers that tasks share; w0 are the weights of the very first phase's begin."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.first: Weights = {}

    def begin_phase(self, learner: Learner, phase: int) -> None:
        self.first = self.first or copied(learner.network)

    def loss(self, network: nn.Module) -> Tensor | None:
        return self.weight * weighted_distance(network, self.first) if self.first else None

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.first = like_body(state["first"], self.first, "first")

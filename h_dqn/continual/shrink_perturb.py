"""Shrink and perturb (Ash and Adams 2020): weights lose a little of what they are, and become a little random again."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from h_dqn.continual.body import body
from h_dqn.learners.base import Learner
from h_dqn.learners.method import Method


class ShrinkPerturb(Method):
    """After each gradient step w becomes (1 - rate) w + rate * (w of a new random network), in the matrices of the shared layers.

    What is random has the spread of the matrix at the very first phase's begin; gains and biases are left alone.

    Args:
        rate: 0 changes nothing.
        seed: decides the draws.
    """

    def __init__(self, rate: float, seed: int) -> None:
        self.rate = rate
        self._generator = torch.Generator().manual_seed(seed)
        self.spread: dict[str, float] = {}

    def begin_phase(self, learner: Learner, phase: int) -> None:
        self.spread = self.spread or {
            name: float(weight.detach().std()) for name, weight in body(learner.network).items() if weight.dim() > 1
        }

    @torch.no_grad()
    def after_update(self, network: nn.Module) -> None:
        for name, weight in body(network).items():
            if name in self.spread:
                drawn = torch.randn(weight.shape, generator=self._generator).to(weight.device) * self.spread[name]
                weight.lerp_(drawn, self.rate)

    def state_dict(self) -> dict[str, Any]:
        return {"spread": self.spread, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.spread = {str(name): float(value) for name, value in state["spread"].items()}
        self._generator.set_state(state["generator"])

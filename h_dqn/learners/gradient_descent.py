"""The gradient step that learners share: optimiser, learning rate, clipping, and the methods around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from h_dqn.checkpoint import load_optimizer
from h_dqn.learners.method import Method
from h_dqn.settings import Positive, Share


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights move."""

    optimizer: Literal["adam", "rmsprop"] = "adam"
    """adam, or the centred RMSProp of the DQN papers"""
    learning_rate: Positive = 1e-3
    """step size of the optimiser"""
    final_learning_rate: Share = 0.05
    """learning rate at the end of the run, as a share of the first one; it falls linearly"""
    max_grad_norm: Positive = 10.0
    """gradients are scaled down to this norm"""


class GradientDescent:
    """Moves the weights of ``network``, or only ``weights`` of it, down a loss.

    Args:
        network: what the methods look at.
        config: optimiser and learning rate.
        methods: each may add to the loss, change the gradients, and follow the step.
        weights: those that move (all of the network).
    """

    def __init__(
        self,
        network: nn.Module,
        config: OptimizerConfig,
        methods: Sequence[Method] = (),
        weights: Sequence[nn.Parameter] | None = None,
    ) -> None:
        self.network, self.config, self.methods = network, config, tuple(methods)
        self.weights = list(network.parameters()) if weights is None else list(weights)
        on_cuda = self.weights[0].is_cuda
        rate = torch.tensor(config.learning_rate, device="cuda") if on_cuda else config.learning_rate  # for a CUDA graph to read
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.Adam(self.weights, lr=rate, eps=1e-5, fused=True, capturable=on_cuda)
            if config.optimizer == "adam"
            # The DQN papers put the 0.01 inside the root; torch adds it outside, so its root stands here.
            else torch.optim.RMSprop(self.weights, lr=rate, alpha=0.95, eps=0.1, centered=True, capturable=on_cuda)
        )

    def anneal(self, share: float) -> None:
        """Set the learning rate for this share of the run, 0..1."""
        rate = self.config.learning_rate * (1 - share * (1 - self.config.final_learning_rate))
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate

    def step(self, loss: Tensor) -> None:
        """One step down ``loss`` ()."""
        for method in self.methods:
            if (term := method.loss(self.network)) is not None:
                loss = loss + term
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        for method in self.methods:
            method.edit_gradients(self.network)
        nn.utils.clip_grad_norm_(self.weights, self.config.max_grad_norm)
        self.optimizer.step()
        for method in self.methods:
            method.after_update(self.network)

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()["state"], "methods": [method.state_dict() for method in self.methods]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_optimizer(self.optimizer, state["optimizer"])
        for method, saved in zip(self.methods, state["methods"], strict=True):
            method.load_state_dict(saved)

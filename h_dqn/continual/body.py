"""The layers that tasks share: all of a network but its head and its elimination network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from h_dqn.checkpoint import like
from h_dqn.learners.base import Learner
from h_dqn.networks import QNetwork
from h_dqn.state import CheckpointError

Weights = dict[str, Tensor]


def q_network(network: nn.Module) -> QNetwork:
    assert isinstance(network, QNetwork), "these methods are for learners of a Q-network"
    return network


def body(network: nn.Module) -> dict[str, nn.Parameter]:
    """Its weights by name."""
    return {name: weight for name, weight in network.named_parameters() if not name.startswith(("head.", "elimination."))}


def copied(network: nn.Module) -> Weights:
    """The body's weights as they are."""
    return {name: weight.detach().clone() for name, weight in body(network).items()}


def weighted_distance(network: nn.Module, anchor: Mapping[str, Tensor], importance: Mapping[str, Tensor] | None = None) -> Tensor:
    """Sum over all weights of the body of importance (1) * (w - anchor)^2, ()."""
    parts = []
    for name, weight in body(network).items():
        square = (weight - anchor[name]).square()
        parts.append((square if importance is None else square * importance[name]).sum())
    return torch.stack(parts).sum()


def per_sample_squares(network: nn.Module, terms: Callable[[], list[tuple[Tensor, Tensor]]]) -> Weights:
    """Sum over all terms (weight (), value ()) of weight * (dvalue / dw)^2, for each weight of the body.

    Each gradient is squared by itself: the square of a batch's gradient would be another number, which can be 0.
    """
    weights = body(network)
    sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    pairs = terms()
    for number, (factor, value) in enumerate(pairs):
        gradients = torch.autograd.grad(value, list(weights.values()), retain_graph=number + 1 < len(pairs), allow_unused=True)
        for name, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                sums[name] += factor.detach() * gradient.square()
    return sums


def like_body(saved: object, known: Mapping[str, Tensor] | None, what: str) -> Weights:
    """Saved weights of a body, or none; where it is known what they are like, they must be so."""
    if not isinstance(saved, dict) or not all(isinstance(part, Tensor) and part.isfinite().all() for part in saved.values()):
        raise CheckpointError(f"'{what}' holds no weights")
    return like(saved, known, what) if known and saved else dict(saved)


def network_of(learner: Learner) -> QNetwork:
    return q_network(learner.network)

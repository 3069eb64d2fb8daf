"""Elastic weight consolidation (Kirkpatrick et al. 2017): weights that mattered to tasks before are held where they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from h_dqn.continual.body import Weights, body, copied, like_body, network_of, per_sample_squares, weighted_distance
from h_dqn.learners.base import Learner
from h_dqn.learners.method import Method
from h_dqn.networks import QNetwork
from h_dqn.replay import SMDPReplay


class EWC(Method):
    """Adds lambda / 2 * sum over weights of F (w - w*)^2 (their equation 3).

    The convention, without which no lambda says anything: F is the Fisher information of the policy softmax(Q / temperature),
    exact in the actions and a mean over observations of the finished phase; of each task divided by its mean over all weights, so
    that lambda does not depend on the scale of Q; summed over tasks. w* are the weights after the newest task. Heads are free.

    Args:
        weight: lambda.
        samples: observations that F is worked out from.
        temperature: of the policy.
    """

    looks_back = True

    def __init__(self, weight: float, samples: int, temperature: float) -> None:
        self.weight, self.samples, self.temperature = weight, samples, temperature
        self.importance: Weights = {}
        self.anchor: Weights = {}

    def loss(self, network: nn.Module) -> Tensor | None:
        if not self.anchor:
            return None
        return self.weight / 2 * weighted_distance(network, self.anchor, self.importance)

    def end_phase(self, learner: Learner, replay: SMDPReplay, phase: int) -> None:
        network, batch = network_of(learner), replay.sample(self.samples)
        frames, state = batch.frames[batch.start], batch.state[batch.start]
        self.consolidate(network, fisher(network, frames, state, batch.available, self.temperature))

    def consolidate(self, network: nn.Module, information: Weights) -> None:
        """The newest task mattered by this much."""
        mean = torch.cat([part.flatten() for part in information.values()]).mean()
        for name, part in information.items():
            before = self.importance.get(name, torch.zeros_like(part))
            self.importance[name] = before + (part / mean if mean > 0 else part)
        self.anchor = copied(network)

    def state_dict(self) -> dict[str, Any]:
        return {"importance": self.importance, "anchor": self.anchor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.anchor = like_body(state["anchor"], self.anchor, "anchor")
        self.importance = like_body(state["importance"], self.anchor, "importance")


def fisher(network: QNetwork, frames: Tensor, state: Tensor, available: Tensor, temperature: float) -> Weights:
    """E_s sum_o p(o|s) (d log p(o|s) / dw)^2 of p = softmax(Q / temperature), for each weight of the body.

    frames (B, S, H, W), state (B, C), available (B, O).
    """
    sums = {name: torch.zeros_like(weight) for name, weight in body(network).items()}
    for one in range(len(frames)):
        row = slice(one, one + 1)

        def terms(row: slice = row) -> list[tuple[Tensor, Tensor]]:
            q_O = network.head(network.features(frames[row], state[row])[0])[0]
            log_p = (q_O / temperature).masked_fill(~available[row][0], -torch.inf).log_softmax(0)
            possible = available[row][0].nonzero().squeeze(1)
            return [(log_p[o].exp(), log_p[o]) for o in possible]

        for name, part in per_sample_squares(network, terms).items():
            sums[name] += part / len(frames)
    return sums

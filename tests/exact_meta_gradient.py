"""The meta-gradient of the discount (Xu, van Hasselt and Silver 2018), for Q-learning over decisions of any length.

The inner update teaches Q towards targets that depend on the discount gamma; the outer loss judges, on decisions that the update
did not see and under a reference discount that never changes, what came out. Its derivative with respect to gamma goes exactly
through the update, by forward mode: one number has one tangent, Z = d state / d gamma, which is carried from update to update:

    Z' = (I + df/dstate) Z + df/dgamma        (equation 4; nothing is unrolled or stored)

Functions of tensors alone, with shape letters as in ``targets.py``: B decisions, K most steps of one, O options. ``state`` is a
dict, tuple or list of tensors, such as (weights, target weights); only what must not carry gamma's effect is to be detached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vjp
from torch.utils._pytree import tree_map

from h_dqn.targets import smdp_target

Weights = dict[str, Tensor]
QFunction = Callable[[Weights, Any], Tensor]
BETAS, EPS = (0.9, 0.999), 1e-8  # of Adam


@dataclass(frozen=True)
class Segment:
    """B decisions. ``inputs`` is whatever the Q-function reads: with the weights it gives the values (B,) of what was chosen."""

    inputs: Any
    rewards_BK: Tensor  # raw, as a target under another discount needs them
    lengths_B: Tensor
    bootstrap_B: Tensor  # value at the end of each decision
    terminated_B: Tensor

    def target(self, discount: Tensor | float) -> Tensor:
        """(B,); see :func:`h_dqn.targets.smdp_target`."""
        gamma = torch.as_tensor(discount, dtype=self.rewards_BK.dtype)
        return smdp_target(self.rewards_BK, self.lengths_B, self.bootstrap_B, self.terminated_B, gamma)


def td_gradient(q: QFunction, weights: Weights, inputs: Any, target_B: Tensor, clip: float = 0.0) -> Weights:
    """Gradient of 1/2 mean (target - Q)^2, or of Huber's loss of width ``clip``, with the target held fixed (semi-gradient).

    Held fixed for this gradient alone: the target's own dependence on gamma stays, for the derivative that is taken later.
    """

    values_B, pull_back = vjp(lambda w: q(w, inputs), weights)[:2]
    error_B = target_B - values_B
    if clip:
        error_B = error_B.clamp(-clip, clip)
    gradient: Weights = pull_back(-error_B / len(error_B))[0]
    return gradient


def sgd(weights: Weights, gradient: Weights, rate: float) -> Weights:
    """One step of gradient descent."""
    return {name: value - rate * gradient[name] for name, value in weights.items()}


def adam(
    weights: Weights,
    gradient: Weights,
    moments: tuple[Weights, Weights],
    step: int,
    rate: float,
    through_scale: bool = False,
) -> tuple[Weights, tuple[Weights, Weights]]:
    """One step of Adam, the ``step``-th from 1 on; returns the weights and the moments after it.

    ``through_scale``: whether gamma's effect on the second moment counts. Exact, but Adam's first steps are a sign function, whose
    derivative is 0; without it the denominator is a step size like any other (Oh et al. 2025), and stays finite at gradient 0.
    """
    first, second, after = {}, {}, {}
    for name, g in gradient.items():
        scale = g if through_scale else g.detach()
        first[name] = BETAS[0] * moments[0][name] + (1 - BETAS[0]) * g
        second[name] = BETAS[1] * moments[1][name] + (1 - BETAS[1]) * scale**2
        mean, square = first[name] / (1 - BETAS[0] ** step), second[name] / (1 - BETAS[1] ** step)
        after[name] = weights[name] - rate * mean / (square.sqrt() + EPS)
    return after, (first, second)


def prediction_loss(q: QFunction, weights: Weights, segment: Segment, discount: float) -> Tensor:
    """1/2 mean (target - Q)^2 of held-out decisions under the reference discount: how well Q foretells."""
    return 0.5 * (segment.target(discount).detach() - q(weights, segment.inputs)).square().mean()


def preference_loss(values_BO: Tensor, option_B: Tensor, return_B: Tensor, temperature: float) -> Tensor:
    """-mean G log softmax(Q / temperature)[o] of held-out decisions: how well Q prefers what turned out well.

    The policy gradient's loss (Xu et al. 2018, equation 8, its first term): argmax has no derivative, so a softmax stands for it.
    """
    log_chance_B = (values_BO / temperature).log_softmax(1).gather(1, option_B[:, None]).squeeze(1)
    return -(return_B.detach() * log_chance_B).mean()


def meta_gradient(
    update: Callable[[Any, Tensor], Any],
    loss: Callable[[Any], Tensor],
    state: Any,
    discount: Tensor | float,
    sensitivity: Any = None,
) -> tuple[Tensor, Tensor, Any, Any]:
    """The outer loss after an update, and its derivative with respect to the discount.

    Args:
        update: (state, discount ()) -> the state after the inner update.
        loss: state -> the outer loss ().
        state: what is updated.
        discount: gamma.
        sensitivity: Z, like ``state``; None where it does not depend on gamma yet.
    Returns: the loss, d loss / d gamma, the new state, the new Z.
    """
    gamma = torch.as_tensor(discount)
    z = tree_map(torch.zeros_like, state) if sensitivity is None else sensitivity
    after, z = jvp(update, (state, gamma), (z, torch.ones_like(gamma)))[:2]
    value, slope = jvp(loss, (after,), (z,))[:2]
    return value, slope, after, z


def discount_of(eta: Tensor, low: float, high: float) -> Tensor:
    """gamma = low + (high - low) * sigmoid(eta): a number without bounds becomes a discount within them."""
    return low + (high - low) * eta.sigmoid()

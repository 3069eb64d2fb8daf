"""What learners of Q-values share: values of a batch's observations, and the parts of an option's target.

Functions of tensors. Shape letters as in ``h_dqn/README.md``: B decisions, U observations of a batch, O options, V values known of
an observation, of which the first O are its Q-values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from h_dqn.elimination import ELIMINATED
from h_dqn.networks import QNetwork
from h_dqn.replay import Decisions
from h_dqn.targets import action_gap, option_bootstrap

# Which observations of a batch (B,), options available there (B, O) -> values (B, V).
Evaluate = Callable[[Tensor, Tensor], Tensor]


def features(network: QNetwork, batch: Decisions, index: Tensor) -> Tensor:
    """What ``network``'s head reads of these observations (B,) of the batch, (B, F).

    In sequences its core is unrolled from what was remembered before the first of each; else each is read with its own state.
    """
    if batch.begins is None:
        return network.features(batch.frames[index], batch.state[index])[0]
    length, width = batch.begins.shape
    x_LWF = network.unroll(batch.frames.unflatten(0, (length, width)), batch.begins, batch.state[:width])
    return x_LWF.flatten(0, 1)[index]


def in_minibatches(evaluate: Evaluate, index: Tensor, available: Tensor, size: int) -> Tensor:
    """``evaluate``, on a CPU a minibatch at a time: activations of a whole round would outgrow its caches."""
    size = size if index.device.type == "cpu" else max(1, len(index))
    parts = zip(index.split(size), available.split(size), strict=True)
    return torch.cat([evaluate(rows, possible) for rows, possible in parts])


def observation_values(batch: Decisions, evaluate: Evaluate, known: Tensor, starts: bool) -> Tensor:
    """Values of the batch's observations, (U, V); NaN where they are not asked for.

    Args:
        evaluate: works them out.
        known: (U, V) those that are known already, NaN elsewhere.
        starts: whether they are needed where decisions were made too, or only where they ended.
    """
    start, end = batch.start, batch.end
    available_UO = torch.zeros(len(known), batch.available.shape[1], dtype=torch.bool, device=known.device)
    available_UO[start], available_UO[end] = batch.available, batch.next_available
    wanted = torch.zeros(len(known), dtype=torch.bool, device=known.device)
    wanted[torch.cat([start, end]) if starts else end] = True
    wanted &= known.isnan().any(1)
    values = known.clone()
    values[wanted] = evaluate(wanted.nonzero().squeeze(1), available_UO[wanted])
    return values


def scaled_rewards(batch: Decisions, scale: float, cost: float) -> Tensor:
    """Rewards (B, G) as they are learned: scaled, and less what the decision itself costs, at its first step."""
    rewards = batch.rewards * scale
    rewards[:, 0] -= cost
    return rewards


def deliberation_cost(cost: float, success: float, scale: float) -> float:
    """What a decision costs now, as it is learned (Harb et al. 2018); an option that goes on does not pay again.

    While no way to the goal is known, long options must not look better for that cost alone: it comes with success.
    """
    return cost * success * scale


def discount_exponent(length: Tensor, by: Literal["step", "decision"]) -> Tensor:
    """The power of the discount before a decision's bootstrap, (B,): its steps, or 1 as in Tessler et al.'s code."""
    return length if by == "step" else torch.ones_like(length)


def continuation(batch: Decisions, q_end_BO: Tensor) -> Tensor:
    """Probability that each option went on where its decision ended, (B,); what is eliminated there does not."""
    return batch.continuation * (q_end_BO.gather(1, batch.option[:, None]).squeeze(1) > ELIMINATED)


def bootstrap(batch: Decisions, q_UO: Tensor, best_B: Tensor, cost: float) -> Tensor:
    """What is expected from the end of each decision on, (B,).

    Args:
        q_UO: values of the observations.
        best_B: value of the best option at the end.
        cost: what a decision costs, which an option that goes on does not pay.
    """
    q_end = q_UO[batch.end]
    return option_bootstrap(q_end + cost, best_B, batch.option, continuation(batch, q_end))


def advantage_learning(batch: Decisions, q_UO: Tensor, alpha: float) -> Tensor:
    """What advantage learning adds to the targets, (B,); see :func:`h_dqn.targets.action_gap`."""
    if not alpha:
        return torch.zeros(len(batch.option), device=q_UO.device)
    gap = action_gap(q_UO[batch.start], batch.option, batch.available, alpha)
    gap = torch.where(gap > ELIMINATED / 2, gap, 0.0)  # an old success may be of an option that is eliminated by now
    # Beside a value that goes on, a whole gap would be no contraction: values would explode.
    return (1 - continuation(batch, q_UO[batch.end])) * gap


def td_loss(prediction_B: Tensor, target_B: Tensor, weight_B: Tensor, clip: float) -> Tensor:
    """Mean squared TD error, or Huber's loss of width ``clip``, (); of predictions (B, G) of G heads the sum over the heads."""
    error = nn.functional.huber_loss(prediction_B, target_B, "none", clip) if clip else 0.5 * (target_B - prediction_B) ** 2
    return (weight_B * (error if error.dim() == 1 else error.sum(1))).mean()

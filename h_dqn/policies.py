"""How options are chosen from Q-values where nothing is explored: greedily, or by a softmax."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.options import Bools, Ints


def greedy(q_BO: Tensor, available: Bools) -> Ints:
    """The best available option of each row: (B, O), (B, O) -> (B,)."""
    best: Ints = q_BO.masked_fill(~torch.from_numpy(available), -torch.inf).argmax(1).numpy()
    return best


class SoftmaxPolicy:
    """Chooses option o with a probability proportional to exp(Q(s, o) / temperature); temperature 0 is greedy.

    An agent without memory that always takes the best option walks in circles wherever two of its errors point at each other; the
    best policy of such an agent is stochastic (Singh, Jaakkola and Jordan 1994). Options that are clearly worse are hardly chosen.

    Args:
        values: obs (B, S, H, W) -> Q-values (B, O).
        seed: decides the draws.
    """

    def __init__(self, values: Callable[[NDArray[np.uint8]], Tensor], temperature: float, seed: int) -> None:
        self.values, self.temperature, self._rng = values, temperature, np.random.default_rng([seed, 8])

    def __call__(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
        """The option of each row, (B,), among those ``available`` (B, O)."""
        q_BO = self.values(obs)
        if self.temperature:  # the largest of Q / T + Gumbel noise is a draw from the softmax
            q_BO = q_BO / self.temperature + torch.from_numpy(self._rng.gumbel(size=q_BO.shape))
        return greedy(q_BO, available)

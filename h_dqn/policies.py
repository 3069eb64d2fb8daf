"""How options are chosen from Q-values where nothing is explored: greedily, or by a softmax."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.agent_state import AgentState
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
        state: of the network that the Q-values are from; it is this policy's own.
        seed: decides the draws.
        outputs: those of the network that stand for the O options (all).
    """

    def __init__(self, state: AgentState, temperature: float, seed: int, outputs: slice = slice(None)) -> None:
        self.state, self.temperature, self.outputs = state, temperature, outputs
        self._rng = np.random.default_rng([seed, 8])

    def observe(self, obs: NDArray[np.uint8], begins: Bools) -> None:
        """See :class:`h_dqn.options.Listener`."""
        self.state.observe(obs, begins)

    def __call__(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
        """The option of each row, (B,), among those ``available`` (B, O)."""
        q_BO = self.state.values(obs, env_ids)[:, self.outputs]
        if self.temperature:  # the largest of Q / T + Gumbel noise is a draw from the softmax
            q_BO = q_BO / self.temperature + torch.from_numpy(self._rng.gumbel(size=q_BO.shape))
        return greedy(q_BO, available)

"""How well decisions turned out, and what eta had to do with it: the policy gradient of eta, which both meta-gradients share.

Environments act by the mixture mu = epsilon / O + (1 - epsilon) softmax(Q_eta / T), over the options that may be chosen. By the
policy gradient theorem (Sutton and Barto 2018, section 13.2)

    d J / d eta = E[ sum_t A_t d log mu(o_t | s_t) / d eta ]

where A is the advantage of mu itself under the reference discount. With a reference discount of 1 that is exact; below 1 the later
decisions of an episode weigh as much as the first, as they do in nearly all actor-critics (Nota and Thomas 2020).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from h_dqn.checkpoint import like, load_optimizer
from h_dqn.elimination import ELIMINATED
from h_dqn.replay import Decisions
from h_dqn.self_tuning.tuner import Choosing, Seen
from h_dqn.targets import q_lambda, skill_reward

TEMPERATURE = 0.05  # of the softmax by which environments act
LAMBDA = 0.95  # of the returns that decisions are judged by


def score(slope_BO: Tensor, choice: Choosing) -> Tensor:
    """d log mu(o) / d eta of the options that were chosen, (B,), under the mixture that chose them.

    Args:
        slope_BO: d Q_eta / d eta, where Q_eta are the values that were acted by.
        choice: these values, what could be chosen, how often at random, and what was.
    """
    possible_BO = choice.available_BO & (choice.q_BO > ELIMINATED)
    pi_BO = (choice.q_BO / TEMPERATURE).masked_fill(~possible_BO, -torch.inf).softmax(1)
    slope_BO = torch.where(possible_BO, slope_BO, 0.0)
    d_pi_BO = pi_BO * (slope_BO - (pi_BO * slope_BO).sum(1, keepdim=True)) / TEMPERATURE
    pi_B, d_pi_B = (each.gather(1, choice.option_B[:, None]).squeeze(1) for each in (pi_BO, d_pi_BO))
    greedy_B = 1 - choice.epsilon_B
    return greedy_B * d_pi_B / (choice.epsilon_B / possible_BO.sum(1) + greedy_B * pi_B)


def reference_returns(batch: Decisions, critic_U: Tensor, reward_scale: float, discount: float) -> Tensor:
    """lambda-returns (D,) of the decisions under the reference discount, in which an episode ends where its step limit cuts it.

    The limit may be the very thing that makes one discount better than another: with a bootstrap there, a far goal that is out of
    reach would be judged as if it were reached.
    """
    reward_D = skill_reward(batch.rewards * reward_scale, batch.length, discount)
    return q_lambda(reward_D, discount**batch.length, critic_U[batch.end], batch.done, batch.following, LAMBDA)


class Judge:
    """An outer critic: what the environments' own policy is worth under the reference discount, linear in the torso's features.

    No gradient of it reaches the torso.
    """

    def __init__(self, features: int, discount: float, learning_rate: float, device: torch.device) -> None:
        self.discount = discount
        self.critic = nn.Linear(features, 1).to(device)
        for weights in self.critic.parameters():
            nn.init.zeros_(weights)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=learning_rate, eps=1e-5, fused=True)
        self._return_D = self._acted_D = torch.empty(0)  # of the round

    def __call__(self, x_BF: Tensor) -> Tensor:
        """Values (B, 1) of these features."""
        value_B1: Tensor = self.critic(x_BF)
        return value_B1

    def slope(self, seen: Seen, critic_U: Tensor, score_DP: Tensor) -> list[float]:
        """The round's sum of advantages times scores, (P,); an advantage counts in its standard deviations."""
        batch, acted = seen.batch, seen.acted_D
        self._return_D = reference_returns(batch, critic_U, seen.reward_scale, self.discount)
        self._acted_D = acted.float()
        if acted.sum() < 2:
            return [0.0] * score_DP.shape[1]
        advantage_A = (self._return_D - critic_U[batch.start])[acted]
        slope_P: list[float] = (advantage_A @ score_DP[acted] / advantage_A.std().clamp(min=1e-8)).tolist()
        return slope_P

    @torch.no_grad()
    def learn(self, x_BF: Tensor, rows_B: Tensor) -> None:
        """One gradient step of the critic down its mean squared error, on decisions of the round; old ones are of another policy.

        The gradient of a linear layer is written out: autograd takes several times as long.
        """
        slope_B = 2 / len(rows_B) * self._acted_D[rows_B] * (self.critic(x_BF).squeeze(1) - self._return_D[rows_B])
        self.critic.weight.grad, self.critic.bias.grad = (slope_B @ x_BF)[None], slope_B.sum()[None]
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"critic": self.critic.state_dict(), "optimizer": self.optimizer.state_dict()["state"]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.critic.load_state_dict(like(state["critic"], self.critic.state_dict(), "tuning"))
        load_optimizer(self.optimizer, state["optimizer"])

"""Settings that tune themselves while the agent learns, by their meta-gradients (Xu, van Hasselt and Silver 2018).

What the outer loss needs of a setting eta is how it bends the values that are chosen by: S(s, o) = d Q(s, o) / d eta. In the last
layer, which learns Q = w . x towards the target y by w' = w + a (y - w . x) x, the tangent Z = d w / d eta goes through the same
update (equation 4 of the paper):

    Z' = Z + a (dy/d eta - Z . x) x,    dy/d eta with the bootstrap's own tangent Z . x' in it

and that is temporal-difference learning of S = Z . x: each value carries its derivative along, as a dual number does, and both
learn alike. It takes one more output for each option, and forgets nothing of what an update does many updates later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jvp

from h_dqn.config import BOUNDS
from h_dqn.meta_gradient import preference_loss

TRACE = 0.9  # lambda of the returns that the outer loss judges by
WARM_UP = 100  # rounds of successes alone, or twice as many where half of the episodes succeed, before a setting moves
OFFSETS = (0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)  # of eta, by which worlds act in turn


class SelfTuning(nn.Module):
    """What tunes a controller's settings. Shape letters as in ``targets.py``; P settings, features D.

    Args:
        features: D.
        options: O.
        begin: the settings by name, and where they begin: ``discount`` and ``trace`` are known.
        reference: the discount by which the outer loss judges; it never changes.
        rate: of the outer Adam, which moves eta. A setting is sigmoid(eta), so that of the discount is the logarithm of the
            horizon, about: 0.05 is at most a twentieth of it a round.
        learning_rate: of the two layers.
    """

    low: Tensor
    high: Tensor

    def __init__(
        self, features: int, options: int, begin: dict[str, float], reference: float, rate: float, learning_rate: float
    ) -> None:
        super().__init__()
        self.names, self.options, self.reference = tuple(begin), options, reference
        self.eta = nn.Parameter(torch.tensor(list(begin.values())).logit())
        for end, bound in enumerate(("low", "high")):
            self.register_buffer(bound, torch.tensor([BOUNDS[name][end] for name in begin]).logit())
        self.sensitivity = nn.Linear(features, len(begin) * options)  # S
        self.critic = nn.Linear(features, 1)  # the return under the reference discount
        layers = [*self.sensitivity.parameters(), *self.critic.parameters()]
        for weights in layers:
            nn.init.zeros_(weights)
        self.optimizer = torch.optim.Adam(layers, lr=learning_rate, eps=1e-5, fused=True)
        self.outer = torch.optim.Adam([self.eta], lr=rate)
        self.warmth = 0.0  # how much of the warm-up is over

    @property
    def warm(self) -> bool:
        """Whether the warm-up is over."""
        return self.warmth > WARM_UP

    @property
    def outputs(self) -> int:
        """P * O + 1: what :meth:`forward` says of a frame."""
        return len(self.names) * self.options + 1

    def forward(self, x_BD: Tensor) -> Tensor:
        """Features -> (B, outputs): S of each setting, and the critic's value."""
        return torch.cat([self.sensitivity(x_BD), self.critic(x_BD)], 1)

    def split(self, outputs_BV: Tensor) -> tuple[Tensor, Tensor]:
        """What :meth:`forward` gave as S (P, B, O) and the critic's values (B,)."""
        s_BM, critic_B1 = outputs_BV.split([self.outputs - 1, 1], 1)
        return s_BM.unflatten(1, (len(self.names), self.options)).movedim(1, 0), critic_B1.squeeze(1)

    def bend(self, q_BO: Tensor, outputs_BV: Tensor, worlds_B: Tensor) -> Tensor:
        """The values by which these worlds act: to first order, those of a setting that is a step higher or lower in some of them.

        Only what is tried can be judged: where all worlds run for a far goal in vain, none shows that the near one is better. It
        costs something, so they act by the values as they are while eta does not move yet.
        """
        if not self.warm:
            return q_BO
        turn = torch.div(worlds_B, len(OFFSETS), rounding_mode="floor") % len(self.names)  # the setting that is tried
        s_BO = self.split(outputs_BV)[0][turn, torch.arange(len(q_BO))]
        return q_BO + torch.tensor(OFFSETS)[worlds_B % len(OFFSETS), None] * s_BO

    def settings(self, eta_P: Tensor) -> dict[str, Tensor]:
        """The settings by name, each ()."""
        return dict(zip(self.names, eta_P.sigmoid(), strict=True))

    def judge(self, q_BO: Tensor, s_PBO: Tensor, option_B: Tensor, allowed_BO: Tensor, advantage_B: Tensor) -> Tensor:
        """d J' / d eta, (P,), of decisions that nothing was learned from yet: did eta make what turned out well more likely?

        J' is the policy gradient's loss for a softmax policy (:func:`h_dqn.meta_gradient.preference_loss`). Its temperature is the
        spread of the values themselves, as a larger discount brings all of them closer together, and that changes no preference.

        Args:
            q_BO, s_PBO: Q-values where the decisions were made, and S there.
            option_B: what was chosen.
            allowed_BO: what could be chosen.
            advantage_B: return under the reference discount, less the critic's value.
        """
        count_B1 = allowed_BO.sum(1, keepdim=True)
        counts_B = allowed_BO.gather(1, option_B[:, None]).squeeze(1)
        advantage_B = counts_B * advantage_B / advantage_B.std().clamp(min=1e-8)

        def loss(q: Tensor) -> Tensor:
            apart = torch.where(allowed_BO, q, 0.0)
            apart = torch.where(allowed_BO, q - apart.sum(1, keepdim=True) / count_B1, 0.0)
            spread = (apart.square().sum(1) / count_B1[:, 0]).mean().sqrt().clamp(min=1e-6)
            return preference_loss(torch.where(allowed_BO, apart / spread, -1e4), option_B, advantage_B, 1.0)

        return torch.stack([jvp(loss, (q_BO,), (s_BO,))[1] for s_BO in s_PBO])

    @torch.no_grad()
    def move(self, head: nn.Linear, slope_P: Tensor, success: float) -> Tensor:
        """One step of eta against ``slope_P``; returns how far it went, (P,).

        ``success``, the share of the newest episodes that reached the goal, is what the warm-up goes on by: while none does,
        nothing tells what a horizon is good for, and eta would only drift. What the outer loss likes is good for the values as
        they are; while a far goal is being learned that is a short horizon, by which it would be learned later.

        ``head``, whose outputs are the Q-values, goes with it to first order: values differ much in size from discount to
        discount, and a head that had to learn the difference would lag behind.
        """
        self.warmth += success
        before = self.eta.clone()
        if self.warm:
            self.eta.grad = slope_P
            self.outer.step()
            self.eta.copy_(torch.minimum(torch.maximum(self.eta, self.low), self.high))
        moved = self.eta - before
        for value, tangent in ((head.weight, self.sensitivity.weight), (head.bias, self.sensitivity.bias)):
            value.add_(torch.einsum("p,po...->o...", moved, tangent.unflatten(0, (len(self.names), self.options))))
        return moved

    @torch.no_grad()
    def dual(self, target: Callable[..., Tensor], q_UO: Tensor, s_PUO: Tensor) -> tuple[Tensor, Tensor]:
        """``target(q_UO, discount=..., ...)`` (D,) and its derivative by eta, which reaches it through both, (D, P)."""

        def of(eta_P: Tensor, q: Tensor) -> Tensor:
            return target(q, **self.settings(eta_P))

        one_PP, at = torch.eye(len(self.names)).to(self.eta), (self.eta.detach(), q_UO)
        targets, slopes = zip(*(jvp(of, at, tangents)[:2] for tangents in zip(one_PP, s_PUO, strict=True)), strict=True)
        return targets[0], torch.stack(slopes, 1)

    def learn(self, x_BD: Tensor, option_B: Tensor, slope_BP: Tensor, return_B: Tensor, fresh_B: Tensor) -> None:
        """One gradient step of both layers; the critic learns from fresh decisions alone, as old ones are of another policy."""
        s_PBO, critic_B = self.split(self(x_BD))
        s_BP = s_PBO[:, torch.arange(len(option_B)), option_B].T
        loss = ((s_BP - slope_BP).square().sum(1) + fresh_B * (critic_B - return_B).square()).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def row(self) -> dict[str, float]:
        """What is worth logging: each setting, its meta-gradient (a running mean) and that one's signal-to-noise ratio."""
        state = self.outer.state.get(self.eta, {})
        mean_P, square_P = state.get("exp_avg", torch.zeros_like(self.eta)), state.get("exp_avg_sq", torch.zeros_like(self.eta))
        row: dict[str, float] = {}
        for name, value, mean, square in zip(
            self.names, self.eta.detach().sigmoid().tolist(), mean_P.tolist(), square_P.tolist(), strict=True
        ):
            row |= {name: value, f"{name}_slope": mean, f"{name}_snr": abs(mean) / max(square, 1e-12) ** 0.5}
        return row | ({"horizon": 1 / (1 - row["discount"])} if "discount" in row else {})

    def state(self) -> dict[str, Any]:
        """What is to be kept to go on exactly."""
        optimizers = [self.optimizer.state_dict(), self.outer.state_dict()]
        return {"module": self.state_dict(), "optimizers": optimizers, "warmth": self.warmth}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.load_state_dict(state["module"])
        for optimizer, saved in zip((self.optimizer, self.outer), state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.warmth = state["warmth"]

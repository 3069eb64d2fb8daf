"""Meta-parameters that tune themselves while the agent learns, by their meta-gradients (Xu, van Hasselt and Silver 2018).

What the outer loss needs of a meta-parameter eta is how it changes the values that are chosen by: S(s, o) = d Q(s, o) / d eta. In
the last layer, which learns Q = w . x towards the target y by w' = w + a (y - w . x) x, the tangent Z = d w / d eta goes through
the same update (equation 4 of the paper):

    Z' = Z + a (dy/d eta - Z . x) x,    dy/d eta with the bootstrap's own tangent Z . x' in it

and that is temporal-difference learning of S = Z . x: each value carries its derivative along, as a dual number does, and both
learn alike. It takes one more output for each option, and forgets nothing of what an update does many updates later.

A learner calls :meth:`SelfTuning.perturb` where it acts, and once a round :meth:`SelfTuning.meta_update`, whose targets it learns
by, and :meth:`SelfTuning.learn` beside each of its own gradient steps. Shape letters as in ``h_dqn/README.md``: P meta-parameters,
V = O + P O + 1 values known of an observation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import jvp

from h_dqn.checkpoint import like, load_optimizer
from h_dqn.elimination import ELIMINATED
from h_dqn.networks import Head, LinearHead
from h_dqn.replay import Decisions
from h_dqn.settings import ConfigError, Positive, Range
from h_dqn.targets import q_lambda, skill_reward

BOUNDS = {"discount": (0.8, 0.995), "td_lambda": (0.05, 0.95)}
LAMBDA = 0.9  # of the returns that the outer loss judges by
WARM_UP = 100  # rounds of successes alone, or twice as many where half of the episodes succeed, before eta moves
OFFSETS = (0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)  # of eta, by which environments act in turn


@dataclass(frozen=True)
class SelfTuningConfig:
    """Meta-parameters that tune themselves."""

    tune_discount: bool = False
    """whether the discount tunes itself by its meta-gradient (Xu et al. 2018), from the given one on"""
    tune_lambda: bool = False
    """whether lambda does, too"""
    reference_discount: Annotated[float, Range(0, 1)] = 0.995
    """tune_discount, tune_lambda. gamma', by which it is judged what they are good for; never changes"""
    meta_rate: Positive = 0.05
    """tune_discount, tune_lambda. most that eta moves in a round of learning; the discount is sigmoid(eta), so that this is also
    the share by which the horizon 1 / (1 - gamma) changes, about"""
    perturb: bool = True
    """tune_discount, tune_lambda. whether an eighth of the environments each act by a larger and a smaller eta"""
    meta_step: Literal["gradient", "random_walk"] = "gradient"
    """tune_discount, tune_lambda. gradient: eta goes down the outer loss; random_walk: anywhere, as a control"""

    @property
    def tuned(self) -> tuple[str, ...]:
        """Names of the meta-parameters that tune themselves."""
        return tuple(name for name, on in (("discount", self.tune_discount), ("td_lambda", self.tune_lambda)) if on)


class TunedTargets(NamedTuple):
    """What a round's D decisions are learned towards."""

    target_D: Tensor  # of Q
    slope_DP: Tensor  # of S: the target's derivative by each eta
    return_D: Tensor  # of the critic: lambda-returns under the reference discount
    fresh_D: Tensor  # 1 where the decision was not learned from before

    def at(self, rows: Tensor) -> TunedTargets:
        """Those of a minibatch."""
        return TunedTargets(*(part[rows] for part in self))


class SelfTuning:
    """Moves meta-parameters of Q-learning: ``discount`` and ``td_lambda`` are known.

    Args:
        head: the last layer that the Q-values come from; it goes along when eta moves.
        options: O.
        begin: the meta-parameters by name, and where they begin.
        config: the reference discount, and how far eta moves. A meta-parameter is sigmoid(eta), so that eta of the discount is the
            logarithm of the horizon, about: 0.05 is at most a twentieth of it a round.
        learning_rate: of the two layers.
        rng: decides the random walk.
    Raises ConfigError where a meta-parameter begins out of bounds, and for a head that is not linear.
    """

    def __init__(
        self,
        head: Head,
        options: int,
        begin: dict[str, float],
        config: SelfTuningConfig,
        learning_rate: float,
        rng: np.random.Generator,
    ) -> None:
        for name, value in begin.items():
            if not BOUNDS[name][0] <= value <= BOUNDS[name][1]:
                flag, low, high = name.replace("_", "-"), *BOUNDS[name]
                raise ConfigError(f"--tune-{flag.removeprefix('td-')}: --{flag} must begin from {low} to {high}, not at {value}")
        if not isinstance(head, LinearHead):
            raise ConfigError("--tune-discount and --tune-lambda need --head linear, whose weights follow them")
        self.head, self.names, self.options, self.config, self._rng = head, tuple(begin), options, config, rng
        device = head.weight.device
        self.eta = nn.Parameter(torch.tensor(list(begin.values())).logit().to(device))
        self._low, self._high = (torch.tensor([BOUNDS[name][end] for name in begin]).logit().to(device) for end in (0, 1))
        self.sensitivity = nn.Linear(head.in_features, len(begin) * options).to(device)  # S
        self.critic = nn.Linear(head.in_features, 1).to(device)  # the return under the reference discount
        layers = [*self.sensitivity.parameters(), *self.critic.parameters()]
        for weights in layers:
            nn.init.zeros_(weights)
        self.optimizer = torch.optim.Adam(layers, lr=learning_rate, eps=1e-5, fused=True)
        self.outer = torch.optim.Adam([self.eta], lr=config.meta_rate)
        self.warmth = 0.0  # how much of the warm-up is over

    @property
    def warm(self) -> bool:
        """Whether the warm-up is over."""
        return self.warmth > WARM_UP

    @property
    def outputs(self) -> int:
        """P O + 1: what is known of an observation beside its Q-values."""
        return len(self.names) * self.options + 1

    def meta_parameters(self, eta_P: Tensor) -> dict[str, Tensor]:
        """The meta-parameters by name, each ()."""
        return dict(zip(self.names, eta_P.sigmoid(), strict=True))

    def __call__(self, x_BF: Tensor) -> Tensor:
        """Features, those that the head reads (of a core too) -> (B, outputs): S of each meta-parameter, and the critic's value."""
        return torch.cat([self.sensitivity(x_BF), self.critic(x_BF)], 1)

    def split(self, outputs_BV: Tensor) -> tuple[Tensor, Tensor]:
        """What :meth:`__call__` gave as S (P, B, O) and the critic's values (B,)."""
        s_BM, critic_B1 = outputs_BV.split([self.outputs - 1, 1], 1)
        return s_BM.unflatten(1, (len(self.names), self.options)).movedim(1, 0), critic_B1.squeeze(1)

    # --- acting ---

    def perturb(self, q_BO: Tensor, outputs_BV: Tensor, env_ids_B: Tensor) -> Tensor:
        """The values by which these environments act: to first order, those of an eta that is a step larger or smaller in some.

        Only what is tried can be judged: where all environments run for a far goal in vain, none shows that the near one is better.
        It costs something, so they act by the values as they are while eta does not move yet.
        """
        if not self.warm or not self.config.perturb:
            return q_BO
        tried = torch.div(env_ids_B, len(OFFSETS), rounding_mode="floor") % len(self.names)  # which meta-parameter
        s_BO = self.split(outputs_BV)[0][tried, torch.arange(len(q_BO))]
        return q_BO + torch.tensor(OFFSETS)[env_ids_B % len(OFFSETS), None] * s_BO

    # --- learning, once a round ---

    @torch.no_grad()
    def meta_update(
        self, batch: Decisions, values_UV: Tensor, targets: Callable[..., Tensor], reward_scale: float, success: float
    ) -> TunedTargets:
        """Move eta by what was just seen, before anything is learned from it, and say what is to be learned then.

        Args:
            batch: the round's decisions.
            values_UV: of each of its observations the Q-values and what :meth:`__call__` says.
            targets: ``targets(q_UO, discount=..., ...)`` gives the targets of Q (D,).
            reward_scale: factor of the rewards.
            success: share of the newest episodes that reached the goal.
        """
        q_UO, (s_PUO, critic_U) = values_UV[:, : self.options], self.split(values_UV[:, self.options :])
        gamma, fresh = self.config.reference_discount, batch.fresh
        # The return under the reference discount, in which a step limit is an end.
        reward_D = skill_reward(batch.rewards * reward_scale, batch.length, gamma)
        return_D = q_lambda(reward_D, gamma**batch.length, critic_U[batch.end], batch.done, batch.following, LAMBDA)
        # The outer loss's slope, of decisions that nothing was learned from yet.
        here = batch.start[fresh]
        available = batch.available[fresh] & (q_UO[here] > ELIMINATED)
        slope_P = self.outer_slope(q_UO[here], s_PUO[:, here], batch.option[fresh], available, return_D[fresh] - critic_U[here])
        moved_P = self.move(slope_P, success)
        # Targets by the new eta, of values that have followed it, and their derivatives.
        q_UO = q_UO + torch.einsum("p,puo->uo", moved_P, s_PUO)
        target_D, slope_DP = self.dual(targets, q_UO, s_PUO)
        return TunedTargets(target_D, slope_DP, return_D, fresh.float())

    def outer_slope(self, q_BO: Tensor, s_PBO: Tensor, option_B: Tensor, available_BO: Tensor, advantage_B: Tensor) -> Tensor:
        """d J' / d eta, (P,), of decisions that nothing was learned from yet: did eta make what turned out well more likely?

        J' is the policy gradient's loss for a softmax policy (:func:`preference_loss`). Its temperature is the
        spread of the values themselves, as a larger discount brings all of them closer together, and that changes no preference.

        Args:
            q_BO, s_PBO: Q-values where the decisions were made, and S there.
            option_B: what was chosen.
            available_BO: what could be chosen.
            advantage_B: return under the reference discount, less the critic's value.
        """
        if self.config.meta_step == "random_walk":  # the outer Adam makes steps of one size of it, whatever the slope's own size
            return torch.from_numpy(self._rng.normal(size=len(self.names))).to(self.eta)
        count_B1 = available_BO.sum(1, keepdim=True)
        counts_B = available_BO.gather(1, option_B[:, None]).squeeze(1)
        advantage_B = counts_B * advantage_B / advantage_B.std().clamp(min=1e-8)

        def loss(q: Tensor) -> Tensor:
            apart = torch.where(available_BO, q, 0.0)
            apart = torch.where(available_BO, q - apart.sum(1, keepdim=True) / count_B1, 0.0)
            spread = (apart.square().sum(1) / count_B1[:, 0]).mean().sqrt().clamp(min=1e-6)
            return preference_loss(torch.where(available_BO, apart / spread, -1e4), option_B, advantage_B, 1.0)

        return torch.stack([jvp(loss, (q_BO,), (s_BO,))[1] for s_BO in s_PBO])

    @torch.no_grad()
    def move(self, slope_P: Tensor, success: float) -> Tensor:
        """One step of eta against ``slope_P``; returns how far it went, (P,).

        ``success``, the share of the newest episodes that reached the goal, is what the warm-up goes on by: while none does,
        nothing tells what a horizon is good for, and eta would only drift. What the outer loss likes is good for the values as
        they are; while a far goal is being learned that is a short horizon, by which it would be learned later.

        The head, whose outputs are the Q-values, goes with eta to first order: values differ much in size from discount to
        discount, and a head that had to learn the difference would lag behind.
        """
        self.warmth += success
        before = self.eta.clone()
        if self.warm:
            self.eta.grad = slope_P
            self.outer.step()
            self.eta.copy_(torch.minimum(torch.maximum(self.eta, self._low), self._high))
        moved = self.eta - before
        pairs = (self.head.weight, self.sensitivity.weight), (self.head.bias, self.sensitivity.bias)
        for value, tangent in pairs:
            value.add_(torch.einsum("p,po...->o...", moved, tangent.unflatten(0, (len(self.names), self.options))))
        return moved

    @torch.no_grad()
    def dual(self, targets: Callable[..., Tensor], q_UO: Tensor, s_PUO: Tensor) -> tuple[Tensor, Tensor]:
        """``targets(q_UO, discount=..., ...)`` (D,) and its derivative by eta, which reaches it through both, (D, P)."""

        def of(eta_P: Tensor, q: Tensor) -> Tensor:
            return targets(q, **self.meta_parameters(eta_P))

        one_PP, at = torch.eye(len(self.names)).to(self.eta), (self.eta.detach(), q_UO)
        values, slopes = zip(*(jvp(of, at, tangents)[:2] for tangents in zip(one_PP, s_PUO, strict=True)), strict=True)
        return values[0], torch.stack(slopes, 1)

    def learn(self, x_BF: Tensor, option_B: Tensor, tuned: TunedTargets) -> None:
        """One gradient step of both layers; the critic learns from fresh decisions alone, as old ones are of another policy."""
        s_PBO, critic_B = self.split(self(x_BF))
        s_BP = s_PBO[:, torch.arange(len(option_B)), option_B].T
        loss = ((s_BP - tuned.slope_DP).square().sum(1) + tuned.fresh_D * (critic_B - tuned.return_D).square()).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    # --- log and state ---

    def metrics(self) -> dict[str, float]:
        """Each meta-parameter, its meta-gradient (a running mean) and that one's signal-to-noise ratio; the horizon."""
        state = self.outer.state.get(self.eta, {})
        mean_P, square_P = (state.get(name, torch.zeros_like(self.eta)) for name in ("exp_avg", "exp_avg_sq"))
        metrics: dict[str, float] = {}
        for name, value, mean, square in zip(
            self.names, self.eta.detach().sigmoid().tolist(), mean_P.tolist(), square_P.tolist(), strict=True
        ):
            metrics |= {name: value, f"{name}_slope": mean, f"{name}_snr": abs(mean) / max(square, 1e-12) ** 0.5}
        return metrics | ({"horizon": 1 / (1 - metrics["discount"])} if "discount" in metrics else {})

    def state_dict(self) -> dict[str, Any]:
        return {
            "eta": self.eta.detach(),
            "layers": [self.sensitivity.state_dict(), self.critic.state_dict()],
            "optimizers": [self.optimizer.state_dict()["state"], self.outer.state_dict()["state"]],
            "warmth": self.warmth,
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.eta.data.copy_(like({"eta": state["eta"]}, {"eta": self.eta.data}, "tuning")["eta"])
        for layer, saved in zip((self.sensitivity, self.critic), state["layers"], strict=True):
            layer.load_state_dict(like(saved, layer.state_dict(), "tuning"))
        for optimizer, saved in zip((self.optimizer, self.outer), state["optimizers"], strict=True):
            load_optimizer(optimizer, saved)
        self.warmth = state["warmth"]
        self._rng.bit_generator.state = state["rng"]


def preference_loss(values_BO: Tensor, option_B: Tensor, return_B: Tensor, temperature: float) -> Tensor:
    """-mean G log softmax(Q / temperature)[o] of held-out decisions: how well Q prefers what turned out well.

    The policy gradient's loss (Xu et al. 2018, equation 8, its first term): argmax has no derivative, so a softmax stands for it.
    ``return_B`` is the return under the reference discount, less any baseline, and constant.
    """
    log_chance_B = (values_BO / temperature).log_softmax(1).gather(1, option_B[:, None]).squeeze(1)
    return -(return_B.detach() * log_chance_B).mean()

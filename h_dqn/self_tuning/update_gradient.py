"""The meta-gradient through the update (Xu, van Hasselt and Silver 2018), carried along from update to update.

What the outer loss needs of a meta-parameter eta is how it changes the values that are chosen by: S(s, o) = d Q(s, o) / d eta. In
the last layer, which learns Q = w . x towards the target y by w' = w + a (y - w . x) x, the tangent Z = d w / d eta goes through
the same update (equation 4 of the paper):

    Z' = Z + a (dy/d eta - Z . x) x,    dy/d eta with the bootstrap's own tangent Z . x' in it

and that is temporal-difference learning of S = Z . x: each value carries its derivative along, as a dual number does, and both
learn alike. It takes one more output for each option, and forgets nothing of what an update does many updates later.

The outer objective is the policy gradient of ``judge.py``, with S in the place where ``family_gradient.py`` has the difference of
two heads. There is one head, whose values lag behind eta: Xu et al. show eta to the network for that reason.

Here eta is the logit of a meta-parameter, so that for the discount it is the logarithm of the horizon, about. P meta-parameters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jvp

from h_dqn.checkpoint import like, load_optimizer
from h_dqn.self_tuning.judge import TEMPERATURE, Judge, score
from h_dqn.self_tuning.tuner import Choosing, Seen, Signal, Targets, Walking, offsets
from h_dqn.settings import ConfigError

BOUNDS = {"discount": (0.8, 0.995), "td_lambda": (0.05, 0.95)}


class UpdateGradient(Walking):
    """See the file's head, and :class:`h_dqn.self_tuning.tuner.Tuner`.

    Raises ConfigError where a meta-parameter begins out of bounds.
    """

    temperature = TEMPERATURE

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        begin = {name: given[3][name] for name in self.config.tuned}
        learning_rate, device = given[4], self.head.weight.device
        for name, value in begin.items():
            if not BOUNDS[name][0] <= value <= BOUNDS[name][1]:
                flag, low, high = name.replace("_", "-"), *BOUNDS[name]
                raise ConfigError(f"--tune-{flag.removeprefix('td-')}: --{flag} must begin from {low} to {high}, not at {value}")
        self.names = tuple(begin)
        self.eta = torch.tensor(list(begin.values())).logit()
        self._low, self._high = (torch.tensor([BOUNDS[name][end] for name in begin]).logit() for end in (0, 1))
        self.options = self.head.options
        self.says, self.marks = len(begin) * self.options + 1, len(begin)
        self.sensitivity = nn.Linear(self.head.in_features, len(begin) * self.options).to(device)  # S
        for weights in self.sensitivity.parameters():
            nn.init.zeros_(weights)
        self.optimizer = torch.optim.Adam(self.sensitivity.parameters(), lr=learning_rate, eps=1e-5, fused=True)
        self.judge = Judge(self.head.in_features, self.config.reference_discount, learning_rate, device)
        self.signal = Signal(self.names)
        self.aside = self.config.perturb
        self._moved_P = torch.zeros(len(begin), device=device)  # how far eta went in the round
        self._slope_DP = torch.empty(0)  # of the round's targets

    def say(self, x_BF: Tensor) -> Tensor:
        """S of each meta-parameter, and the critic's value."""
        return torch.cat([self.sensitivity(x_BF), self.judge(x_BF)], 1)

    def sensitivities(self, said_BE: Tensor) -> Tensor:
        """S, (P, B, O), of what was said."""
        s_BPO: Tensor = said_BE[:, :-1].unflatten(1, (len(self.names), self.options))  # type: ignore[no-untyped-call, unused-ignore]
        return s_BPO.movedim(1, 0)

    # --- acting ---

    def act(self, q_BGO: Tensor, said_BE: Tensor, env_ids_B: Tensor) -> Tensor:
        """To first order, the values of an eta that is larger or smaller by 1 in some environments, of one meta-parameter each."""
        q_BO = q_BGO[:, 0]
        if not (self.moving and self.aside):
            return q_BO
        tried_B = torch.div(env_ids_B, 8, rounding_mode="floor") % len(self.names)
        s_BO = self.sensitivities(said_BE)[tried_B, torch.arange(len(q_BO))]
        return q_BO + offsets(env_ids_B)[:, None].to(s_BO) * s_BO

    def mark(self, choice: Choosing) -> Tensor:
        """The score of each decision, by each meta-parameter."""
        return torch.stack([score(s_BO, choice) for s_BO in self.sensitivities(choice.said_BE)], 1)

    # --- learning, once a round ---

    @torch.no_grad()
    def move(self, seen: Seen) -> None:
        """Up where what a larger eta makes likelier turned out better than expected, by a step as large as that is sure.

        The head goes with eta to first order: values differ much in size from discount to discount, and a head that had to learn
        the difference would lag behind.
        """
        self._moved_P = torch.zeros_like(self._moved_P)
        slope_P = self.judge.slope(seen, seen.said_UE[:, -1], seen.marks_DM)
        if not seen.warm:
            return
        self.moving = True
        self.signal.add(slope_P)
        before = self.eta
        step = self.config.meta_rate * torch.from_numpy(self.signal.step()).float()
        self.eta = torch.minimum(torch.maximum(before + step, self._low), self._high)
        moved_P = (self.eta - before).to(self.head.weight)
        for value, tangent in ((self.head.weight, self.sensitivity.weight), (self.head.bias, self.sensitivity.bias)):
            value.add_(torch.einsum("p,po...->o...", moved_P, tangent.unflatten(0, (len(self.names), self.options))))
        self._moved_P = moved_P
        if "discount" in self.names:
            self.head.discounts.fill_(float(self.meta_parameters(self.eta)["discount"]))

    @torch.no_grad()
    def targets(self, seen: Seen, targets: Targets) -> Tensor:
        """Targets by the new eta, of values that have followed it; their derivatives are kept for :meth:`learn`."""
        s_PUO = self.sensitivities(seen.said_UE)
        q_UO = seen.q_UGO[:, 0] + torch.einsum("p,puo->uo", self._moved_P, s_PUO)
        target_D, self._slope_DP = self.dual(targets, q_UO, s_PUO)
        return target_D[:, None]

    @torch.no_grad()
    def dual(self, targets: Targets, q_UO: Tensor, s_PUO: Tensor) -> tuple[Tensor, Tensor]:
        """``targets(q_UO, 0, discount=..., ...)`` (D,) and its derivative by eta, which reaches it through both, (D, P)."""

        def of(eta_P: Tensor, q: Tensor) -> Tensor:
            return targets(q, 0, **self.meta_parameters(eta_P))

        one_PP, at = torch.eye(len(self.names)).to(q_UO), (self.eta.to(q_UO), q_UO)
        values, slopes = zip(*(jvp(of, at, tangents)[:2] for tangents in zip(one_PP, s_PUO, strict=True)), strict=True)
        return values[0], torch.stack(slopes, 1)

    def learn(self, x_BF: Tensor, option_B: Tensor, rows_B: Tensor) -> None:
        """One gradient step of S and of the critic."""
        s_PBO = self.sensitivity(x_BF).unflatten(1, (len(self.names), self.options)).movedim(1, 0)
        s_BP = s_PBO[:, torch.arange(len(option_B)), option_B].T
        loss = (s_BP - self._slope_DP[rows_B]).square().sum(1).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.judge.learn(x_BF, rows_B)

    def meta_parameters(self, eta_P: Tensor) -> dict[str, Tensor]:
        """The meta-parameters by name, each ()."""
        return dict(zip(self.names, eta_P.sigmoid(), strict=True))

    # --- log and state ---

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), **dict(zip(self.names, self.eta.sigmoid().tolist(), strict=True)), **self.signal.metrics()}

    def state_dict(self) -> dict[str, Any]:
        own = {"eta": self.eta, "sensitivity": self.sensitivity.state_dict(), "optimizer": self.optimizer.state_dict()["state"]}
        return {**super().state_dict(), **own, "judge": self.judge.state_dict(), "signal": self.signal.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.eta = like({"eta": state["eta"]}, {"eta": self.eta}, "tuning")["eta"]
        self.sensitivity.load_state_dict(like(state["sensitivity"], self.sensitivity.state_dict(), "tuning"))
        load_optimizer(self.optimizer, state["optimizer"])
        self.judge.load_state_dict(state["judge"])
        self.signal.load(state["signal"])

"""Heads: what stands on a torso's features and says what each option is worth.

A head is all that knows how values are represented. Torso, learner and library ask it for three things only, so that another kind
(dueling, distributional) is one class in :data:`HEADS`. A family of discounts is several linear heads side by side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn


class Head(nn.Module, ABC):
    """Features (B, F) -> Q-values (B, O). A subclass is made as ``Kind(features, outputs, initial_value)``."""

    @abstractmethod
    def forward(self, x_BF: Tensor) -> Tensor:
        """Q-values (B, O)."""

    def prediction(self, x_BF: Tensor, option_B: Tensor) -> Tensor:
        """What the loss compares with a target, (B,): Q(s, o) of the options that were chosen."""
        q_B: Tensor = self(x_BF).gather(1, option_B[:, None]).squeeze(1)
        return q_B

    def family(self, x_BF: Tensor) -> Tensor:
        """Q-values of each discount, (B, G, O); there is one."""
        q_BO: Tensor = self(x_BF)
        return q_BO.unsqueeze(1)

    @abstractmethod
    def grow(self, names: Sequence[str], source: Head, known: Sequence[str]) -> None:
        """Take over from ``source``, whose outputs are the options ``known``, the outputs that are among ``names`` too.

        Options that are new are worth at first what those that were taken over are worth on average, so that they are tried; where
        none was, they keep their starting value.
        """


class LinearHead(nn.Linear, Head):
    """One linear unit an option, all of which say ``initial_value`` at the start."""

    def __init__(self, features: int, outputs: int, initial_value: float = 0.0) -> None:
        super().__init__(features, outputs)
        nn.init.zeros_(self.weight)
        nn.init.constant_(self.bias, initial_value)

    @torch.no_grad()
    def grow(self, names: Sequence[str], source: Head, known: Sequence[str]) -> None:
        assert isinstance(source, LinearHead)
        taken = [known.index(name) for name in names if name in known]
        for index, name in enumerate(names if taken else ()):
            rows = known.index(name) if name in known else taken
            self.weight[index] = source.weight[rows].reshape(-1, self.in_features).mean(0)
            self.bias[index] = source.bias[rows].mean()


class LinearFamily(nn.Linear, Head):
    """G linear heads of O outputs: the values of G discounts, side by side on one torso (Fedus et al. 2019 learn them so).

    eta is a place among them, 0..G-1; between two heads, values are interpolated, and so are the logarithms of their horizons.

    Args:
        features: F.
        outputs: O.
        initial_values: what all outputs of each head say at the start.
        discounts: of the heads, rising.
    Attributes:
        discounts: (G,) of the heads, in double precision.
        place: () eta, by which the network plays.
    """

    discounts: Tensor
    place: Tensor

    def __init__(self, features: int, outputs: int, initial_values: Sequence[float], discounts: Sequence[float]) -> None:
        super().__init__(features, len(discounts) * outputs)
        self.options, self.count = outputs, len(discounts)
        nn.init.zeros_(self.weight)
        with torch.no_grad():
            self.bias.copy_(torch.tensor(initial_values).repeat_interleave(outputs))
        self.register_buffer("discounts", torch.tensor(discounts, dtype=torch.float64))
        self.register_buffer("place", torch.zeros((), dtype=torch.float64))

    def forward(self, x_BF: Tensor) -> Tensor:
        """Q-values at eta, (B, O)."""
        return nn.functional.linear(x_BF, *self._at_place())

    def family(self, x_BF: Tensor) -> Tensor:
        q_BM: Tensor = super().forward(x_BF)
        return q_BM.unflatten(1, (self.count, self.options))  # type: ignore[no-any-return, no-untyped-call, unused-ignore]

    def prediction(self, x_BF: Tensor, option_B: Tensor) -> Tensor:
        """Q(s, o) of each head, (B, G), of the options that were chosen."""
        return self.family(x_BF).gather(2, option_B[:, None, None].expand(-1, self.count, 1)).squeeze(2)

    @torch.no_grad()
    def grow(self, names: Sequence[str], source: Head, known: Sequence[str]) -> None:
        """Each head takes over what the source's one head says."""
        assert isinstance(source, LinearHead)
        for index, name in enumerate(names):
            if name in known:
                self.weight[index :: self.options] = source.weight[known.index(name)]
                self.bias[index :: self.options] = source.bias[known.index(name)]

    @property
    def discount(self) -> float:
        """The discount at eta."""
        log_horizon_1G = (1 - self.discounts).log().neg()[None, :, None]
        return 1 - float((-interpolate(log_horizon_1G, self.place[None])).exp())

    def place_of(self, discount: float) -> float:
        """The place of this discount, or the nearest that there is."""
        horizons = [-np.log(1 - each) for each in self.discounts.tolist()]
        return float(np.interp(-np.log(1 - discount), horizons, range(self.count)))

    @torch.no_grad()
    def alone(self) -> LinearHead:
        """The one head that says what this says at eta."""
        head = LinearHead(self.in_features, self.options).to(self.weight.device)
        for ours, theirs in zip((head.weight, head.bias), self._at_place(), strict=True):
            ours.copy_(theirs)
        return head

    def _at_place(self) -> tuple[Tensor, Tensor]:
        """Weight and bias at eta."""
        weight_1GM, bias_1GO = self.weight.view(1, self.count, -1), self.bias.view(1, self.count, -1)
        weight, bias = (interpolate(each, self.place[None])[0] for each in (weight_1GM, bias_1GO))
        return weight.view(self.options, self.in_features), bias


def interpolate(q_BGO: Tensor, place_B: Tensor) -> Tensor:
    """Values (B, O) at places 0..G-1 between G heads."""
    if q_BGO.shape[1] == 1:
        return q_BGO[:, 0]
    low_BO, high_BO, share_B = _neighbours(q_BGO, place_B)
    return torch.lerp(low_BO, high_BO, share_B[:, None])


def between(q_BGO: Tensor, place_B: Tensor) -> Tensor:
    """The derivative of :func:`interpolate` by the place, (B, O): the difference of the two heads that it lies between."""
    if q_BGO.shape[1] == 1:
        return torch.zeros_like(q_BGO[:, 0])
    low_BO, high_BO, _ = _neighbours(q_BGO, place_B)
    return high_BO - low_BO


def _neighbours(q_BGO: Tensor, place_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low_B = place_B.floor().clamp(0, q_BGO.shape[1] - 2).long()
    rows = torch.arange(len(q_BGO), device=q_BGO.device)
    return q_BGO[rows, low_B], q_BGO[rows, low_B + 1], (place_B - low_B).to(q_BGO.dtype)


HEADS: dict[str, type[Head]] = {"linear": LinearHead}  # type: ignore[type-abstract, unused-ignore]

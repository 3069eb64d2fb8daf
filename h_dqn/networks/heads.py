"""Heads: what stands on a torso's features and says what each option is worth.

A head is all that knows how values are represented. Torso, learner and library ask it for three things only, so that another kind
(dueling, distributional) is one class in :data:`HEADS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

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


HEADS: dict[str, type[Head]] = {"linear": LinearHead}  # type: ignore[type-abstract, unused-ignore]

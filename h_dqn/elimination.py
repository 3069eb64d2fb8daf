"""Action elimination (Zahavy et al. 2018): options that do nothing where the agent is are not tried, chosen or bootstrapped from.

Shape letters: B batch, N tries, O options, D features, R directions that a bandit keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import Tensor, nn

FUTILE = 0.5  # l: the signal's mean is below it for what may be of use, and above it for what is not


class LinearBandits(nn.Module):
    """For each option a ridge regression of its elimination signal on features, with a bound on its error.

    With V_o = ridge * I + sum x x^T over the tries of option o and theta_o = V_o^-1 sum x e, the signal's mean at x lies within

        sqrt(beta_o) * sqrt(x^T V_o^-1 x),
        sqrt(beta_o) = noise * sqrt(2 log(O / delta) + log(det V_o / ridge^D)) + sqrt(ridge) * norm

    of theta_o . x, for all options, tries and x at once, with probability 1 - delta (Abbasi-Yadkori, Pal and Szepesvari 2011,
    theorem 2; Zahavy et al. 2018, section 4). An option is eliminated where even the lower end is above :data:`FUTILE`.

    Args:
        options: O.
        features: D.
        rank: R, most directions that are kept of each V_o: O * R * D numbers instead of O * D * D. Those left out count as never
            tried, so the bound only grows and stays true. None keeps all.
        delta: chance that the bound fails anywhere.
        noise: R of the theory; 0.5 is right for any signal that is 0 or 1.
        norm: S, most that |theta_o| can be, for features of length 1.
    """

    theta: Tensor
    directions: Tensor
    radius: Tensor

    def __init__(
        self,
        options: int,
        features: int,
        rank: int | None = None,
        ridge: float = 0.1,
        delta: float = 0.05,
        noise: float = 0.5,
        norm: float = 1.0,
    ) -> None:
        super().__init__()
        self.ridge, self.delta, self.noise, self.norm = ridge, delta, noise, norm
        self.rank = min(rank or features, features)
        self.register_buffer("theta", torch.zeros(options, features))
        # x^T V^-1 x = (|x|^2 - |W x|^2) / ridge, where the rows of W are V's eigenvectors u times sqrt(s / (s + ridge)).
        self.register_buffer("directions", torch.zeros(options, self.rank, features))
        self.register_buffer("radius", torch.full((options,), self._radius(torch.zeros(()), options).item()))  # sqrt(beta)

    def _radius(self, log_det: Tensor, options: int) -> Tensor:
        return self.noise * (2 * math.log(options / self.delta) + log_det).sqrt() + math.sqrt(self.ridge) * self.norm

    @torch.no_grad()
    def refit(self, x_ND: Tensor, option_N: Tensor, signal_N: Tensor) -> None:
        """Forget everything and learn from these tries."""
        order = option_N.argsort(stable=True)
        counts = option_N.bincount(minlength=len(self.theta)).tolist()
        x, signal = x_ND[order].double().split(counts), signal_N[order].double().split(counts)
        gram = torch.stack([rows.T @ rows for rows in x])
        moment = torch.stack([rows.T @ e for rows, e in zip(x, signal, strict=True)])
        s, u = torch.linalg.eigh(gram)  # ascending
        s = s.clamp(min=0)
        self.theta.copy_((u @ ((u.mT @ moment[..., None]) / (s + self.ridge)[..., None])).squeeze(-1))
        self.directions.copy_(((s / (s + self.ridge)).sqrt()[:, None] * u).mT[:, -self.rank :])
        self.radius.copy_(self._radius((s / self.ridge).log1p().sum(1), len(self.theta)))

    def forward(self, x_BD: Tensor) -> tuple[Tensor, Tensor]:
        """The signal's estimated mean and half the width of its interval, both (B, O)."""
        seen_BO = torch.einsum("ord,bd->bor", self.directions, x_BD).square().sum(2)
        spread_BO = (x_BD.square().sum(1, keepdim=True) - seen_BO).clamp(min=0) / self.ridge
        return x_BD @ self.theta.T, self.radius * spread_BO.sqrt()

    def admissible(self, x_BD: Tensor, available_BO: Tensor) -> Tensor:
        """The available options that are not eliminated, (B, O) bool; where that would leave none, all that are available."""
        mean_BO, width_BO = self(x_BD)
        left_BO = available_BO & (mean_BO - width_BO <= FUTILE)
        return torch.where(left_BO.any(1, keepdim=True), left_BO, available_BO)


class Elimination(nn.Module):
    """The elimination network: a small net of its own learns to foretell which option does nothing, and lends its features.

    As in Zahavy et al. 2018 the bandits stand on a frozen copy of those features, which is renewed by :meth:`refit`.

    Args:
        learning: frames (B, S, H, W) -> features (B, D).
        features: D.
        options: O.
    """

    def __init__(self, learning: nn.Module, features: int, options: int) -> None:
        super().__init__()
        self.learning = learning
        self.head = nn.Linear(features, options)
        self.frozen = deepcopy(learning).requires_grad_(False)
        self.bandits = LinearBandits(options, features)

    def loss(self, frames_BSHW: Tensor, option_B: Tensor, futile_B: Tensor) -> Tensor:
        """Mean squared error of the foretold signal, of the options that were tried."""
        foretold_B = self.head(self.learning(frames_BSHW)).gather(1, option_B[:, None]).squeeze(1)
        return nn.functional.mse_loss(foretold_B, futile_B.float())

    @torch.no_grad()
    def refit(self, tries: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """New features and, on them, bandits that know these ``tries``: chunks of frames, options and signals."""
        self.frozen.load_state_dict(self.learning.state_dict())
        seen = [(self._features(frames), option, futile) for frames, option, futile in tries]
        x, option, futile = (torch.cat(parts) for parts in zip(*seen, strict=True))
        self.bandits.refit(x, option, futile)

    def admissible(self, frames_BSHW: Tensor, available_BO: Tensor) -> Tensor:
        """See :meth:`LinearBandits.admissible`."""
        return self.bandits.admissible(self._features(frames_BSHW), available_BO)

    def _features(self, frames_BSHW: Tensor) -> Tensor:
        x_BD: Tensor = nn.functional.normalize(self.frozen(frames_BSHW))
        return x_BD


def most_tries(radius: float, gap: float) -> float:
    """Most times that an option that does nothing is tried: 4 beta / (u - l)^2 + 1 (Zahavy et al. 2018, proposition 1)."""
    return 4 * radius**2 / gap**2 + 1

"""Action elimination (Zahavy et al. 2018): options that do nothing where the agent is are not tried, chosen or bootstrapped from.

Shape letters: B batch, N tries, O options, D features, R directions that a bandit keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import Tensor, nn

RIDGE = 1.0  # on features of frames, most of which differ little: what tells few tries apart must not count as unknown
FUTILE = 0.5  # l: the signal's mean is below it for what may be of use, and above it for what is not


class LinearBandits(nn.Module):
    """For each option a ridge regression of its elimination signal on features, with a bound on its error.

    With V_o = ridge * I + sum x x^T over the tries of option o, theta_o = V_o^-1 sum x e and s^2 = x^T V_o^-1 x, the signal's mean
    at x lies within

        noise_o * sqrt(2 log(O / delta) + log(det V_o / ridge^D)) * s + norm * ridge * |V_o^-1 x| + log(O / delta) * s^2

    of theta_o . x with probability 1 - delta for all options. The first part is that of Abbasi-Yadkori, Pal and Szepesvari 2011,
    theorem 2, as in Zahavy et al. 2018, section 4. There noise_o is 1/2 for any signal that is 0 or 1; here it is what the
    regression leaves unexplained. The second is what the ridge pulls theta_o towards 0; their sqrt(ridge) * norm * s is a bound of
    it, which counts directions that were tried often as if they had hardly been tried. The third stands for what could not be seen
    (as in empirical Bernstein bounds, Maurer and Pontil 2009): the chance of log(O / delta) / m or more to do something is missed
    in all of m tries with probability delta / O. What never does anything is known after a few dozen tries; where the features do
    not tell when something does, far more.

    Args:
        options: O.
        features: D.
        rank: R, most directions that are kept of each V_o: O * R * D numbers instead of O * D * D. Those left out count as never
            tried, so the bound only grows and stays true. None keeps all.
        delta: chance that the bound fails.
        norm: S, most that |theta_o| is taken to be.
    """

    theta: Tensor
    directions: Tensor
    known: Tensor
    noise: Tensor

    def __init__(
        self, options: int, features: int, rank: int | None = None, ridge: float = 0.1, delta: float = 0.05, norm: float = 1.0
    ) -> None:
        super().__init__()
        self.ridge, self.delta, self.norm = ridge, delta, norm
        self.rank = min(rank or features, features)
        self.unseen = math.log(options / delta)
        self.register_buffer("theta", torch.zeros(options, features))
        # With V's eigenvectors u, its eigenvalues s + ridge, and k = s / (s + ridge), which goes from 0 to 1 as more is known:
        # ridge x^T V^-1 x = |x|^2 - sum k (u . x)^2 and |ridge V^-1 x|^2 = |x|^2 - sum k (2 - k) (u . x)^2.
        self.register_buffer("directions", torch.zeros(options, self.rank, features))  # u
        self.register_buffer("known", torch.zeros(options, self.rank))  # k
        self.register_buffer("noise", torch.zeros(options))  # the factor of s

    @torch.no_grad()
    def refit(self, x_ND: Tensor, option_N: Tensor, signal_N: Tensor, count_N: Tensor | None = None) -> None:
        """Forget everything and learn from these tries; ``count_N``: how often each was made (once)."""
        options, order = len(self.theta), option_N.argsort(stable=True)
        count_N = torch.ones_like(option_N) if count_N is None else count_N
        parts = option_N.bincount(minlength=options).tolist()
        x, e, often = (rows[order].double().split(parts) for rows in (x_ND, signal_N, count_N))
        gram = torch.stack([rows.T @ (rows * n[:, None]) for rows, n in zip(x, often, strict=True)])
        moment = torch.stack([rows.T @ (signal * n) for rows, signal, n in zip(x, e, often, strict=True)])
        s, u = torch.linalg.eigh(gram)  # ascending
        s = s.clamp(min=0)
        known = s / (s + self.ridge)
        theta = (u @ ((u.mT @ moment[..., None]) / (s + self.ridge)[..., None])).squeeze(-1)
        self.theta.copy_(theta)
        self.directions.copy_(u.mT[:, -self.rank :])
        self.known.copy_(known[:, -self.rank :])
        missed = torch.stack(
            [(n * (signal - rows @ t).square()).sum() for rows, signal, n, t in zip(x, e, often, theta, strict=True)]
        )
        fitted = known.sum(1)  # the degrees of freedom that the fit has used up
        noise = (missed / (torch.stack([n.sum() for n in often]) - fitted).clamp(min=1)).sqrt()
        log_det = (s / self.ridge).log1p().sum(1)
        self.noise.copy_(noise * (2 * math.log(options / self.delta) + log_det).sqrt())

    def forward(self, x_BD: Tensor) -> tuple[Tensor, Tensor]:
        """The signal's estimated mean and half the width of its interval, both (B, O)."""
        part_BOR = torch.einsum("ord,bd->bor", self.directions, x_BD).square()
        seen_BO, settled_BO = (torch.einsum("bor,or->bo", part_BOR, k) for k in (self.known, self.known * (2 - self.known)))
        length_B1 = x_BD.square().sum(1, keepdim=True)
        square_BO, pull_BO = (length_B1 - seen_BO).clamp(min=0) / self.ridge, (length_B1 - settled_BO).clamp(min=0)
        return x_BD @ self.theta.T, self.noise * square_BO.sqrt() + self.norm * pull_BO.sqrt() + self.unseen * square_BO

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
        self.bandits = LinearBandits(options, features, ridge=RIDGE)

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


def most_tries(options: int, features: int, tries: int, ridge: float = 0.1, delta: float = 0.05, gap: float = 0.5) -> float:
    """Most times that an option which does nothing is tried, in theory: 4 beta / gap^2 + 1 (Zahavy et al. 2018, proposition 1).

    With beta as there: noise 1/2, |theta| and |x| at most 1, after ``tries`` tries; ``gap``: u - l, 1 less :data:`FUTILE`.
    """
    log_det = features * math.log(1 + tries / (ridge * features))
    radius = 0.5 * math.sqrt(2 * math.log(options / delta) + log_det) + math.sqrt(ridge)
    return 4 * radius**2 / gap**2 + 1

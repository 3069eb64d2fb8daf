"""Action elimination (Zahavy et al. 2018): options that do nothing where the agent is are not tried, chosen or bootstrapped from.

From the inside out: bandits with a bound (:class:`LinearBandits`), the network whose features they stand on
(:class:`EliminationNetwork`, kept with the Q-network), and what teaches both (:class:`Elimination`, which a learner calls).
Shape letters as in ``h_dqn/README.md``; R directions that a bandit keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from h_dqn.checkpoint import load_optimizer
from h_dqn.replay import Reservoir, SMDPReplay
from h_dqn.state import checked, whole

ELIMINATED = -1e9  # stands for the Q-value of an option that is not to be chosen
RIDGE = 1.0  # on features of frames, most of which differ little: what tells few tries apart must not count as unknown
THRESHOLD = 0.5  # l: the signal's mean is below it for what may be of use, and above it for what is not
LEARNING_RATE = 1e-3  # of the elimination network
FIRST_REFIT, REFIT_GROWTH = 4_000, 1.25  # decisions before the bandits are first fitted, and between two fits, as a factor
SAMPLE = 1000  # tries of each option in the replay that they are fitted to, at most
# What is eliminated is no longer tried: of each option so many tries outlive the replay, or the reason would be forgotten and
# everything tried again whenever the replay has turned over. Not many, or what was eliminated by mistake would never be tried.
RESERVOIR = 100


@dataclass(frozen=True)
class EliminationConfig:
    """Action elimination."""

    eliminate: bool = False
    """whether options are eliminated where they surely do nothing (Zahavy et al. 2018)"""


class LinearBandits(nn.Module):
    """For each option a ridge regression of its elimination signal on features, with a bound on its error.

    With V_o = ridge * I + sum x x^T over the tries of option o, theta_o = V_o^-1 sum x e and s^2 = x^T V_o^-1 x, the signal's mean
    at x lies within

        noise_o * sqrt(2 log(O / delta) + log(det V_o / ridge^F)) * s + norm * ridge * |V_o^-1 x| + log(O / delta) * s^2

    of theta_o . x with probability 1 - delta for all options. The first part is that of Abbasi-Yadkori, Pal and Szepesvari 2011,
    theorem 2, as in Zahavy et al. 2018, section 4. There noise_o is 1/2 for any signal that is 0 or 1; here it is what the
    regression leaves unexplained. The second is what the ridge pulls theta_o towards 0; their sqrt(ridge) * norm * s is a bound of
    it, which counts directions that were tried often as if they had hardly been tried. The third stands for what could not be seen
    (as in empirical Bernstein bounds, Maurer and Pontil 2009): the chance of log(O / delta) / m or more to do something is missed
    in all of m tries with probability delta / O. What never does anything is known after a few dozen tries; where the features do
    not tell when something does, far more.

    Args:
        options: O.
        features: F.
        rank: R, most directions that are kept of each V_o: O * R * F numbers instead of O * F * F. Those left out count as never
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
    def refit(self, x_TF: Tensor, option_T: Tensor, signal_T: Tensor, count_T: Tensor | None = None) -> None:
        """Forget everything and learn from these tries; ``count_T``: how often each was made (once)."""
        options, order = len(self.theta), option_T.argsort(stable=True)
        count_T = torch.ones_like(option_T) if count_T is None else count_T
        parts = option_T.bincount(minlength=options).tolist()
        x, e, often = (rows[order].double().split(parts) for rows in (x_TF, signal_T, count_T))
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

    def forward(self, x_BF: Tensor) -> tuple[Tensor, Tensor]:
        """The signal's estimated mean and half the width of its interval, both (B, O)."""
        part_BOR = torch.einsum("ord,bd->bor", self.directions, x_BF).square()
        seen_BO, settled_BO = (torch.einsum("bor,or->bo", part_BOR, k) for k in (self.known, self.known * (2 - self.known)))
        length_B1 = x_BF.square().sum(1, keepdim=True)
        square_BO, pull_BO = (length_B1 - seen_BO).clamp(min=0) / self.ridge, (length_B1 - settled_BO).clamp(min=0)
        return x_BF @ self.theta.T, self.noise * square_BO.sqrt() + self.norm * pull_BO.sqrt() + self.unseen * square_BO

    def admissible(self, x_BF: Tensor, available_BO: Tensor) -> Tensor:
        """The available options that are not eliminated, (B, O) bool; where that would leave none, all that are available."""
        mean_BO, width_BO = self(x_BF)
        left_BO = available_BO & (mean_BO - width_BO <= THRESHOLD)
        return torch.where(left_BO.any(1, keepdim=True), left_BO, available_BO)


class EliminationNetwork(nn.Module):
    """A small network that learns to foretell which option does nothing, and lends its features to the bandits.

    It sees the frames alone, whatever the Q-network remembers.

    As in Zahavy et al. 2018 the bandits stand on a frozen copy of those features, which is renewed by :meth:`refit`.

    Args:
        torso: frames (B, S, H, W) -> features (B, F).
        features: F.
        options: O.
    """

    def __init__(self, torso: nn.Module, features: int, options: int) -> None:
        super().__init__()
        self.torso = torso
        self.head = nn.Linear(features, options)
        self.frozen_torso = deepcopy(torso).requires_grad_(False)
        self.bandits = LinearBandits(options, features, ridge=RIDGE)

    def loss(self, frames_BSHW: Tensor, option_B: Tensor, signal_B: Tensor) -> Tensor:
        """Mean squared error of the foretold elimination signal, of the options that were tried."""
        foretold_B = self.head(self.torso(frames_BSHW)).gather(1, option_B[:, None]).squeeze(1)
        return nn.functional.mse_loss(foretold_B, signal_B.float())

    @torch.no_grad()
    def refit(self, tries: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """New features and, on them, bandits that know these ``tries``: minibatches of frames, options and signals."""
        self.frozen_torso.load_state_dict(self.torso.state_dict())
        seen = [(self._features(frames), option, signal) for frames, option, signal in tries]
        x, option, signal = (torch.cat(parts) for parts in zip(*seen, strict=True))
        self.bandits.refit(x, option, signal)

    def admissible(self, frames_BSHW: Tensor, available_BO: Tensor) -> Tensor:
        """See :meth:`LinearBandits.admissible`."""
        return self.bandits.admissible(self._features(frames_BSHW), available_BO)

    def _features(self, frames_BSHW: Tensor) -> Tensor:
        x_BF: Tensor = nn.functional.normalize(self.frozen_torso(frames_BSHW))
        return x_BF


class Elimination:
    """Teaches an elimination network while a learner learns: its optimiser, its schedule and its memory.

    A learner calls :meth:`count` where it explores and :meth:`update` once a round; everything else is in here.

    Args:
        network: what is taught.
        batch_size: tries in a minibatch.
        rng: decides the order of minibatches.
    """

    def __init__(self, network: EliminationNetwork, batch_size: int, rng: np.random.Generator) -> None:
        self.network, self.batch_size, self._rng = network, batch_size, rng
        weights = [*network.torso.parameters(), *network.head.parameters()]
        self.optimizer = torch.optim.Adam(weights, lr=LEARNING_RATE, eps=1e-5, fused=True)
        self._reservoir: Reservoir | None = None
        self._refit_at = FIRST_REFIT  # decisions at which the bandits are fitted next
        self._offered = np.zeros(2)  # options available where decisions were due since the last update; those that were left

    def count(self, available: NDArray[np.bool_], admissible: NDArray[np.bool_]) -> None:
        """For the log: these options were available where a decision was due, and these of them are left, both (B, O)."""
        self._offered += np.array([available.sum(), admissible.sum()])

    def update(self, replay: SMDPReplay, decisions: int) -> dict[str, float]:
        """Learn from the tries in the replay when ``decisions`` have grown enough; returns what is worth logging."""
        if decisions >= self._refit_at:
            tries = replay.tries(SAMPLE)
            if self._reservoir:
                tries |= self._reservoir
            self._reservoir = tries.largest(RESERVOIR)
            for minibatch in self._minibatches(tries):
                self.optimizer.zero_grad()
                self.network.loss(*minibatch).backward()
                self.optimizer.step()
            self.network.refit(self._minibatches(tries))
            self._refit_at = int(decisions * REFIT_GROWTH)
        eliminated = float(1 - self._offered[1] / max(1.0, self._offered[0]))
        self._offered[:] = 0
        return {"eliminated": eliminated}

    def _minibatches(self, tries: Reservoir) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Frames, options and signals, shuffled."""
        device = next(self.network.parameters()).device
        order, size = self._rng.permutation(len(tries.option)), self.batch_size
        for rows in np.split(order, range(size, len(order), size)):
            frames, option, signal = (torch.from_numpy(part[rows]) for part in (tries.frames, tries.option, tries.signal))
            yield frames.to(device), option.to(device), signal.to(device)

    def state_dict(self) -> dict[str, Any]:
        reservoir = self._reservoir and vars(self._reservoir)
        return {"optimizer": self.optimizer.state_dict()["state"], "reservoir": reservoir, "refit_at": self._refit_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_optimizer(self.optimizer, state["optimizer"])
        self._reservoir = None
        if (saved := state["reservoir"]) is not None:
            (tries,), frame = checked(saved["drawn"], "drawn", (None,), np.float64, 0, 1).shape, saved["frames"].shape[1:]
            option = checked(saved["option"], "option", (tries,), np.int64, 0, self.network.head.out_features - 1)
            frames = checked(saved["frames"], "frames", (tries, *frame), np.uint8)
            signal, number = (checked(saved[name], name, (tries,), kind) for name, kind in (("signal", bool), ("number", np.int64)))
            self._reservoir = Reservoir(frames, option, signal, number, saved["drawn"])
        self._refit_at = whole(state["refit_at"], "refit_at", 0)


def most_tries(options: int, features: int, tries: int, ridge: float = 0.1, delta: float = 0.05, gap: float = 0.5) -> float:
    """Most times that an option which does nothing is tried, in theory: 4 beta / gap^2 + 1 (Zahavy et al. 2018, proposition 1).

    With beta as there: noise 1/2, |theta| and |x| at most 1, after ``tries`` tries; ``gap``: u - l, 1 less :data:`THRESHOLD`.
    """
    log_det = features * math.log(1 + tries / (ridge * features))
    radius = 0.5 * math.sqrt(2 * math.log(options / delta) + log_det) + math.sqrt(ridge)
    return 4 * radius**2 / gap**2 + 1

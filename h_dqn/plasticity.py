"""Signs of a network that learns less and less: units that are dormant, features that have lost their rank."""

from __future__ import annotations

import torch
from torch import Tensor


def dormant_share(activation_BF: Tensor, tau: float = 0.025) -> float:
    """Share of the units of a layer whose mean |activation|, divided by the layer's mean of it, is at most ``tau``.

    Sokar et al. 2023 (ReDo), definition 3.1. ``activation_BF``: (B, F) after the layer's ReLU: before it, or after a layer norm, no
    unit is dormant. A layer that says nothing at all is dormant as a whole.
    """
    _check(activation_BF)
    mean_F = activation_BF.abs().mean(0)
    layer = mean_F.mean()
    return float((mean_F <= tau * layer).float().mean()) if layer > 0 else 1.0


def effective_rank(feature_BF: Tensor) -> float:
    """exp of the entropy of the singular values of features (B, F), as shares of their sum (Roy and Vetterli 2007); 0 for zeros."""
    sigma = _singular_values(feature_BF)
    share = sigma / sigma.sum().clamp_min(torch.finfo(sigma.dtype).tiny)
    return float(torch.special.entr(share).sum().exp()) if sigma[0] > 0 else 0.0


def srank(feature_BF: Tensor, share: float = 0.99) -> int:
    """How many of the largest singular values of features (B, F) hold ``share`` of their sum; 0 for zeros (Kumar et al. 2021)."""
    sigma = _singular_values(feature_BF)
    if not 0 < share <= 1:
        raise ValueError(f"a share of {share} is none")
    if sigma[0] <= 0:
        return 0
    held = sigma.cumsum(0) / sigma.sum()
    return int((held < share - 1e-12).sum()) + 1


def stable_rank(feature_BF: Tensor) -> float:
    """Sum of the squared singular values of features (B, F), divided by the largest one's square; 0 for zeros.

    Rudelson and Vershynin 2007. Others call :func:`srank` so.
    """
    sigma = _singular_values(feature_BF)
    return float(sigma.square().sum() / sigma[0].square()) if sigma[0] > 0 else 0.0


def _singular_values(feature_BF: Tensor) -> Tensor:
    """From the largest on, in double precision."""
    _check(feature_BF)
    sigma: Tensor = torch.linalg.svdvals(feature_BF.detach().double())
    return sigma


def _check(feature_BF: Tensor) -> None:
    if feature_BF.dim() != 2 or not feature_BF.numel() or not bool(torch.isfinite(feature_BF).all()):
        raise ValueError("must be numbers of several units, (B, F), none of them missing")

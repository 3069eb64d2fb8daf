"""Features on a plane: principal components, and t-SNE (van der Maaten and Hinton 2008) where openTSNE is installed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


class Components(NamedTuple):
    """Principal components of some rows."""

    mean: NDArray[np.float64]  # (F,)
    axes: NDArray[np.float64]  # (P, F) unit vectors, the one with the most variance first
    variance: NDArray[np.float64]  # (P,)

    def project(self, x_RF: Floats, whiten: bool = False) -> NDArray[np.float64]:
        """(R, P); with ``whiten`` each component has variance 1 over the rows that the components are of."""
        found: NDArray[np.float64] = (x_RF - self.mean) @ self.axes.T
        return found / np.sqrt(self.variance) if whiten else found


def components(x_RF: Floats, most: int = 50, least_share: float = 1e-6) -> Components:
    """The components of ``x_RF`` with the most variance, at most ``most``; none has less than ``least_share`` of the first one's.

    Each points to where its largest entry is positive, so that the same rows give the same signs. Constant rows have one component
    of variance 1, in which all are 0.
    """
    x = np.asarray(x_RF, np.float64)
    mean = x.mean(0)
    variance, axes = np.linalg.eigh(np.cov(x - mean, rowvar=False, bias=True).reshape(x.shape[1], x.shape[1]))
    variance, axes = variance[::-1], axes[:, ::-1].T
    keep = min(most, int((variance > max(least_share * variance[0], 1e-12)).sum()))
    if not keep:
        return Components(mean, np.eye(1, x.shape[1]), np.ones(1))
    axes = axes[:keep] * np.sign(np.take_along_axis(axes[:keep], np.abs(axes[:keep]).argmax(1)[:, None], 1))
    return Components(mean, axes, variance[:keep])


def plane(scores_RP: Floats) -> NDArray[np.float32]:
    """The first two components, (R, 2); the second is 0 where there is none."""
    padded = np.pad(scores_RP[:, :2], ((0, 0), (0, max(0, 2 - scores_RP.shape[1]))))
    return padded.astype(np.float32)


def tsne(scores_RP: Floats, seed: int, perplexity: float = 30.0) -> NDArray[np.float32] | None:
    """(R, 2) by openTSNE: it begins with the principal components, so that the seed hardly matters. None where it is not installed.

    The perplexity is below a third of the rows; of fewer than 10 rows there is no map.
    """
    try:
        from openTSNE import TSNE
    except ImportError:
        return None
    if len(scores_RP) < 10 or not np.ptp(scores_RP, axis=0).any():
        return None
    fit: Any = TSNE(perplexity=min(perplexity, (len(scores_RP) - 1) / 3), initialization="pca", negative_gradient_method="bh",
                    early_exaggeration=12, n_jobs=1, random_state=seed).fit(np.asarray(scores_RP, np.float64))  # fmt: skip
    return np.asarray(fit, np.float32)


def neighbours_kept(x_RP: Floats, y_R2: Floats, k: int = 15, most: int = 1000) -> tuple[float, float]:
    """Share of the ``k`` nearest neighbours in ``x_RP`` that are among those in ``y_R2`` too, and what chance alone would give.

    Of more than ``most`` rows, so many are looked at, evenly spread.
    """
    rows = np.unique(np.linspace(0, len(x_RP) - 1, min(most, len(x_RP))).astype(int))
    k = min(k, len(rows) - 1)
    if k < 1:
        return 1.0, 1.0
    near = [_nearest(np.asarray(part, np.float64)[rows], k) for part in (x_RP, y_R2)]
    shared = [len(set(a) & set(b)) for a, b in zip(*near, strict=True)]
    return float(np.mean(shared)) / k, k / (len(rows) - 1)


def _nearest(x: NDArray[np.float64], k: int) -> list[list[int]]:
    square = (x * x).sum(1)
    away = square[:, None] + square - 2 * x @ x.T
    np.fill_diagonal(away, np.inf)
    return np.argsort(away, axis=1, kind="stable")[:, :k].tolist()  # type: ignore[no-any-return]

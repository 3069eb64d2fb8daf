"""Spatio-temporal clusters (Zahavy et al. 2016, section 4.3): states that are alike, with what came just before and after."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
FEW, TRIES = 100, 4  # iterations of k-means, and how often it begins anew


def windows(x_RP: NDArray[np.floating[Any]], episode_R: Labels, w: int) -> NDArray[np.float32]:
    """Each row with the ``w`` before and after it, side by side, (R, (2 w + 1) P); an episode's ends are repeated.

    k-means of these is the paper's assignment, argmin over clusters of the distance of the whole window; their update of the
    centroids does not fit that distance.
    """
    rows = np.arange(len(x_RP))
    first = np.searchsorted(episode_R, episode_R, "left")
    last = np.searchsorted(episode_R, episode_R, "right") - 1
    shifted = [x_RP[np.clip(rows + shift, first, last)] for shift in range(-w, w + 1)]
    return np.concatenate(shifted, 1, dtype=np.float32)


def kmeans(x_RP: NDArray[np.float32], k: int, seed: int) -> NDArray[np.float32]:
    """Centroids (K, P) by k-means++ (Arthur and Vassilvitskii 2007), K at most the number of different rows."""
    k = min(k, len(np.unique(x_RP, axis=0)))
    cv2.setRNGSeed(seed % 2**31)
    ends = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, FEW, 1e-6)
    no_labels: Any = None
    centroids = cv2.kmeans(np.ascontiguousarray(x_RP, np.float32), k, no_labels, ends, TRIES, cv2.KMEANS_PP_CENTERS)[2]
    order = np.lexsort(np.asarray(centroids).T[::-1])  # so that a cluster's number says nothing of how it was found
    return np.asarray(centroids, np.float32)[order]


def nearest(x_RP: NDArray[np.float32], centroids_KP: NDArray[np.float32]) -> tuple[Labels, NDArray[np.float64]]:
    """(R,) the nearest centroid of each row, and (R,) the square of its distance."""
    x, c = np.asarray(x_RP, np.float64), np.asarray(centroids_KP, np.float64)
    away = np.maximum((x * x).sum(1)[:, None] + (c * c).sum(1) - 2 * x @ c.T, 0)
    labels = away.argmin(1)
    return labels, away[np.arange(len(x)), labels]


def without_flicker(labels_R: Labels, episode_R: Labels, persist: int) -> Labels:
    """Runs of a label shorter than ``persist`` become part of the run before, in the same episode; an episode's first stays."""
    out = labels_R.copy()
    changes = np.flatnonzero((np.diff(labels_R) != 0) | (np.diff(episode_R) != 0)) + 1
    starts, ends = np.r_[0, changes], np.r_[changes, len(labels_R)]
    for start, end in zip(starts, ends, strict=True):
        if end - start < persist and start and episode_R[start - 1] == episode_R[start]:
            out[start:end] = out[start - 1]
    return out


def medoids(labels_R: Labels, distance_R: NDArray[np.float64], k: int) -> Labels:
    """(K,) the row of each cluster that is nearest to its centroid; -1 of an empty one."""
    found = np.full(k, -1)
    for one in range(k):
        rows = np.flatnonzero(labels_R == one)
        if len(rows):
            found[one] = rows[distance_R[rows].argmin()]
    return found


def agreement(one_R: Labels, other_R: Labels) -> float:
    """Adjusted Rand index of two clusterings (Hubert and Arabie 1985): 1 where they are the same, about 0 by chance."""
    table = np.zeros((one_R.max() + 1, other_R.max() + 1))
    np.add.at(table, (one_R, other_R), 1)

    def pairs(counts: Any) -> float:
        return float((counts * (counts - 1) / 2).sum())

    together, a, b, n = pairs(table), pairs(table.sum(1)), pairs(table.sum(0)), len(one_R)
    expected = a * b / max(1.0, n * (n - 1) / 2)
    return 1.0 if (a + b) / 2 == expected else (together - expected) / ((a + b) / 2 - expected)

"""Which clustering: a model for each number of clusters K and window w, judged by criteria, and the one that most of them agree on.

Everything is fitted to some episodes and judged on the others: components, centroids, model. (The code of Zahavy et al. built its
model on all of them.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from h_dqn.introspection import clusters, samdp
from h_dqn.introspection.projection import Components, components
from h_dqn.introspection.record import Record
from h_dqn.introspection.samdp import Path, Samdp

NUMBERS, WINDOWS = (6, 8, 10, 12, 14, 16), (0, 1, 2, 3)
PERSIST = 2  # steps: shorter runs of a cluster are flicker
VALUE_WEIGHT = 0.6  # spread of the value, where all components together have variance 1
HELD_OUT = 5  # of so many episodes one is held out


class Scale(NamedTuple):
    """What the network's values are of."""

    gamma: float
    reward_scale: float


@dataclass(frozen=True)
class Criteria:
    """What is known of a candidate. Smaller is better but for ``correlation`` and ``likelihood``."""

    k: int
    window: int
    vmse: float
    correlation: float
    """of the model's values with the network's"""
    inertia: float
    """mean squared distance from the centroid, a step of the window"""
    entropy: float
    intensity: float
    likelihood: float
    """mean log probability of the next cluster, in held-out episodes"""


@dataclass(frozen=True)
class Clustering:
    """A candidate: K clusters, and as K and K + 1 the ends, success and failure."""

    criteria: Criteria
    labels: NDArray[np.int64]  # (R,) without flicker
    distance: NDArray[np.float64]  # (R,) squared, from the nearest centroid
    model: Samdp
    v_dqn: NDArray[np.float64]  # (K,) mean max Q

    @property
    def k(self) -> int:
        return len(self.v_dqn)


def points(record: Record, fitted: NDArray[np.bool_]) -> tuple[NDArray[np.float64], Components]:
    """What is clustered, (R, P + 1): components of the features, of the rows ``fitted`` (R,), and the value beside them.

    The components keep their variances: whitened, the smallest count as much as the largest, and which clusters there are depends
    on the seed.
    """
    found = components(record.features[fitted])
    value = record.value.astype(np.float64)
    scaled = (value - value[fitted].mean()) / max(value[fitted].std(), 1e-9) * VALUE_WEIGHT
    return np.column_stack([found.project(record.features) / np.sqrt(found.variance.sum()), scaled]), found


def held_out(record: Record) -> NDArray[np.bool_]:
    """(E,) every fifth episode; none where there are fewer than five."""
    episodes = np.arange(len(record.seeds))
    return np.asarray((episodes % HELD_OUT == HELD_OUT - 1) & (len(episodes) >= HELD_OUT))


def paths_of(record: Record, labels_R: NDArray[np.int64], k: int, reward_scale: float) -> list[Path]:
    """The episodes as paths through clusters."""
    ends = np.flatnonzero(record.last) + 1
    found = []
    for episode, (start, end) in enumerate(zip(np.r_[0, ends[:-1]], ends, strict=True)):
        over = k if record.success[episode] else k + 1
        found.append(Path(np.r_[labels_R[start:end], over], record.reward[start:end] * reward_scale))
    return found


def cluster(record: Record, x_RP: NDArray[Any], k: int, window: int, scale: Scale, seed: int) -> Clustering:
    """One candidate."""
    held = held_out(record)
    fitted = ~held[record.episode]
    wide = clusters.windows(x_RP, record.episode, window)
    centroids = clusters.kmeans(wide[fitted], k, seed)
    k = len(centroids)
    raw, distance = clusters.nearest(wide, centroids)
    labels = clusters.without_flicker(raw, record.episode, PERSIST)
    paths = paths_of(record, labels, k, scale.reward_scale)
    mine, others = ([path for path, out in zip(paths, held, strict=True) if out == want] for want in (False, True))
    cut = record.last & ~record.success[record.episode] & fitted
    model = samdp.model(mine, k + 2, scale.gamma, {k: 0.0, k + 1: float(record.value[cut].mean()) if cut.any() else 0.0})
    sizes = np.bincount(labels[fitted], minlength=k)
    v_dqn = np.bincount(labels[fitted], record.value[fitted], minlength=k) / np.maximum(sizes, 1)
    live = sizes > 0
    criteria = Criteria(
        k, window, samdp.vmse(v_dqn[live], model.value[:k][live]), samdp.correlation(v_dqn[live], model.value[:k][live]),
        float(distance[fitted].mean()) / (2 * window + 1), samdp.entropy(model.p[:k], sizes), samdp.intensity(mine),
        samdp.likelihood(others or mine, model.counts),
    )  # fmt: skip
    return Clustering(criteria, labels, distance, model, v_dqn)


def choose(candidates: Iterable[Clustering]) -> tuple[Clustering, list[Criteria]]:
    """The one that all criteria rank high, and the criteria of all."""
    every = list(candidates)
    said = [one.criteria for one in every]
    rankings = [
        [one.vmse for one in said],
        [one.inertia for one in said],
        [one.entropy for one in said],
        [one.intensity for one in said],
        [-one.likelihood for one in said],
    ]
    return every[samdp.smallest_common(rankings)], said

"""The semi-aggregated MDP (Zahavy et al. 2016, "Visualizing dynamics"): clusters as states, from one to the next as skills.

What is different from their code: the model is of the episodes that it is given, and held-out ones never are; a dwell counts the
step of entry; gamma^k is averaged, not k; no edge is cut; the ends of episodes (success, failure) are clusters of their own.

An episode is a path: the cluster at each of its L observations, then the end that it came to, L + 1 in all, and L rewards between
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


class Path(NamedTuple):
    """One episode."""

    labels: Labels  # (L + 1,)
    rewards: Floats  # (L,)


class Edge(NamedTuple):
    """From entering one cluster to entering the next."""

    source: int
    target: int
    steps: int  # k
    reward: float  # sum of gamma^s r_s over these steps
    step: int  # of the episode, when the source was entered


@dataclass(frozen=True)
class Samdp:
    """The model, over K clusters. Where no edge goes, ``p``, ``reward`` and ``discount`` are 0."""

    counts: Floats  # (K, K) N
    p: Floats  # (K, K) N / row sum
    steps: Floats  # (K, K) mean k
    discount: Floats  # (K, K) mean gamma^k
    reward: Floats  # (K, K) mean discounted reward
    value: Floats  # (K,) v

    def greedy(self) -> Labels:
        """(K,) the best edge out of each cluster, argmax of reward + discount * value; -1 where none goes."""
        worth = np.where(self.counts > 0, self.reward + self.discount * self.value, -np.inf)
        return np.where(self.counts.any(1), worth.argmax(1), -1)


def edges_of(path: Path, gamma: float) -> list[Edge]:
    """The edges of an episode, one for each change of cluster."""
    entries = np.r_[0, np.flatnonzero(np.diff(path.labels)) + 1]
    found = []
    for start, end in zip(entries[:-1].tolist(), entries[1:].tolist(), strict=True):
        reward = float((gamma ** np.arange(end - start) * path.rewards[start:end]).sum())
        found.append(Edge(int(path.labels[start]), int(path.labels[end]), end - start, reward, start))
    return found


def model(paths: Sequence[Path], clusters: int, gamma: float, ends: dict[int, float]) -> Samdp:
    """The model of these episodes.

    Args:
        paths: of the episodes.
        clusters: K, ends included.
        gamma: discount of a step.
        ends: clusters where episodes end, and their values: 0 where the world terminated, of a truncation mean max Q.
    """
    counts, steps, discount, reward = (np.zeros((clusters, clusters)) for _ in range(4))
    for path in paths:
        for edge in edges_of(path, gamma):
            at = edge.source, edge.target
            counts[at] += 1
            steps[at] += edge.steps
            discount[at] += gamma**edge.steps
            reward[at] += edge.reward
    many = np.maximum(counts, 1)
    p = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    discount, reward = discount / many, reward / many
    return Samdp(counts, p, steps / many, discount, reward, values(p, discount, reward, ends))


def values(p: Floats, discount: Floats, reward: Floats, ends: dict[int, float]) -> Floats:
    """v = (I - M)^-1 b, M = P E[gamma^k], b = sum_j P r; the values of ``ends`` are given."""
    m, b = p * discount, (p * reward).sum(1)
    for end, value in ends.items():
        m[end], b[end] = 0, value
    return np.linalg.solve(np.eye(len(p)) - m, b)


# --- criteria of a clustering ---


def vmse(v_dqn: Floats, v: Floats) -> float:
    """|v_dqn - v| / |v_dqn|."""
    return float(np.linalg.norm(v_dqn - v)) / max(float(np.linalg.norm(v_dqn)), 1e-12)


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Pearson's; NaN where either does not vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def entropy(p: Floats, sizes: NDArray[Any]) -> float:
    """Entropy of the next cluster, in nats: mean over clusters, weighted by their sizes. Empty rows count 0."""
    rows = -(p * np.log(np.where(p > 0, p, 1))).sum(1)
    return float((sizes * rows).sum() / max(1, sizes.sum()))


def likelihood(paths: Sequence[Path], counts: Floats) -> float:
    """Mean log probability of the next cluster in (held-out) episodes, with one more of each possible edge counted."""
    smoothed = counts + 1 - np.eye(len(counts))
    shares = smoothed / smoothed.sum(1, keepdims=True)
    logs = np.log(np.where(shares > 0, shares, 1))  # no edge goes from a cluster to itself
    each = [logs[edge.source, edge.target] for path in paths for edge in edges_of(path, 1.0)]
    return float(np.mean(each)) if each else float("nan")


def intensity(paths: Sequence[Path]) -> float:
    """Segments a step."""
    return sum(len(edges_of(path, 1.0)) for path in paths) / max(1, sum(len(path.rewards) for path in paths))


def smallest_common(rankings: Sequence[Sequence[float]]) -> int:
    """The candidate that stays when of each ranking (smaller is better) only the top p are kept, p as small as leaves one at all.

    Of several that stay, the one whose ranks sum to the least.
    """
    ranks = np.array([np.argsort(np.argsort(np.nan_to_num(np.array(one, float), nan=np.inf), kind="stable")) for one in rankings])
    order = np.lexsort((ranks.sum(0), ranks.max(0)))
    return int(order[0])


# --- what the model says of the agent ---


def greedy_correlation(paths: Sequence[Path], greedy: Labels, returns: NDArray[Any], cluster: int) -> float:
    """Pearson, over episodes that leave ``cluster``, of the share of these moves that are greedy, and the episode's return."""
    shares, theirs = [], []
    for path, value in zip(paths, returns, strict=True):
        moves = [edge.target == greedy[cluster] for edge in edges_of(path, 1.0) if edge.source == cluster]
        if moves:
            shares.append(float(np.mean(moves)))
            theirs.append(float(value))
    return correlation(np.array(shares), np.array(theirs))


def bad_edges(top: Sequence[Path], bottom: Sequence[Path]) -> set[tuple[int, int]]:
    """Edges that occur in the worst episodes and in none of the best ("eject")."""
    good, bad = ({(edge.source, edge.target) for path in paths for edge in edges_of(path, 1.0)} for paths in (top, bottom))
    return bad - good

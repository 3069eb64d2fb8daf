"""The tables of an explanation: which rows are shown and what is known of each, clusters, edges and failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h_dqn.experiment.explain.look import caption, facts
from h_dqn.introspection import samdp
from h_dqn.introspection.choice import Clustering, Scale, paths_of
from h_dqn.introspection.record import Record
from h_dqn.report import column

Rows = NDArray[np.int64]
EDGE_SHARE = 0.02  # of the moves out of a cluster; rarer edges are not listed, unless they are bad


def shown_rows(seen: Record, most: int) -> Rows:
    """Rows of whole episodes, failures and successes in turn as long as there are both, so that at most ``most`` rows are shown.

    At least one episode is shown.
    """
    bad, good = np.flatnonzero(~seen.success), np.flatnonzero(seen.success)
    both = min(len(bad), len(good))
    order = np.r_[np.column_stack([bad[:both], good[:both]]).ravel(), bad[both:], good[both:]]
    lengths = np.bincount(seen.episode)[order]
    fits = max(1, int((np.cumsum(lengths) <= most).sum()))
    return np.concatenate([np.flatnonzero(seen.episode == episode) for episode in order[:fits]])


def columns_of(seen: Record, shown: Rows, labels_R: Rows) -> dict[str, Any]:
    """What is known of each shown row: numbers to colour by, and those that the page needs to find its way."""
    gap = np.abs(np.diff(np.sort(seen.q, 1)[:, -2:], axis=1)).sum(1)
    numbers = {
        "value": seen.value,
        "gap to the second": gap,
        "step": seen.step,
        "reward": seen.reward,
        **{name: values for name, values in seen.truth.items() if values.ndim == 1},
    }
    categories = {"cluster": labels_R, "option": seen.option, "action": seen.action, "success": seen.success[seen.episode]}
    return {
        "count": len(shown),
        "episode": column(seen.episode[shown].astype(np.int32)),
        "q": column(seen.q[shown]),
        "due": column(seen.due[shown]),
        "numbers": {name: column(values[shown].astype(np.float32)) for name, values in numbers.items()},
        "categories": {name: column(values[shown].astype(np.uint8)) for name, values in categories.items()},
    }


def clusters_of(seen: Record, best: Clustering, medoids: Rows, options: list[str], shown: Rows) -> list[dict[str, Any]]:
    """One entry a cluster. ``medoid`` is the place among the shown rows of its row nearest to the centroid, of those shown."""
    true = facts(seen.truth, options, seen.option)
    failed = ~seen.success[seen.episode]
    greedy, model = best.model.greedy(), best.model
    found = []
    for k in range(best.k):
        rows = best.labels == k
        if not rows.any():
            continue
        here = np.flatnonzero(rows[shown])
        inside = here[best.distance[shown[here]].argmin()] if len(here) else None
        leaving = model.p[k] > 0
        found.append({
            "cluster": k, "size": int(rows.sum()), "episodes": len(np.unique(seen.episode[rows])),
            "value": float(model.value[k]), "v_dqn": float(best.v_dqn[k]),
            "dwell": float((model.p[k] * model.steps[k])[leaving].sum()), "failed": float(failed[rows].mean()),
            "greedy": int(greedy[k]), "medoid": inside, "caption": caption(true, rows),
        })  # fmt: skip
    return found


def edges_of(seen: Record, best: Clustering, scale: Scale, together: Mapping[tuple[int, int], Any]) -> list[dict[str, Any]]:
    """The edges of the model; K is success, K + 1 failure. ``together``: events that go with edges."""
    paths = paths_of(seen, best.labels, best.k, scale.reward_scale)
    bad = bad_edges(seen, best, scale)
    greedy = best.model.greedy()
    returns = seen.returns()
    follows = [samdp.greedy_correlation(paths, greedy, returns, k) for k in range(best.k)]
    return [
        {
            "source": int(i), "target": int(j), "count": int(best.model.counts[i, j]), "p": float(best.model.p[i, j]),
            "steps": float(best.model.steps[i, j]), "reward": float(best.model.reward[i, j]),
            "worth": float(best.model.reward[i, j] + best.model.discount[i, j] * best.model.value[j]),
            "greedy": bool(greedy[i] == j), "bad": (int(i), int(j)) in bad, "follows": follows[i],
            "event": together.get((int(i), int(j))),
        }
        for i, j in np.argwhere(best.model.counts > 0)
        if best.model.p[i, j] >= EDGE_SHARE or (int(i), int(j)) in bad
    ]  # fmt: skip


def bad_edges(seen: Record, best: Clustering, scale: Scale) -> set[tuple[int, int]]:
    """Edges that failures go and no success does, those into the end itself aside."""
    paths = paths_of(seen, best.labels, best.k, scale.reward_scale)
    top = [path for path, success in zip(paths, seen.success, strict=True) if success]
    bottom = [path for path, success in zip(paths, seen.success, strict=True) if not success]
    return {(i, j) for i, j in samdp.bad_edges(top, bottom) if j < best.k}


def failures_of(seen: Record, best: Clustering, scale: Scale) -> list[dict[str, Any]]:
    """One entry an episode that failed, those whose first bad edge came earliest first."""
    bad = bad_edges(seen, best, scale)
    paths = paths_of(seen, best.labels, best.k, scale.reward_scale)
    returns = seen.returns()
    found = []
    for episode in np.flatnonzero(~seen.success):
        rows = seen.episode == episode
        first = next((edge for edge in samdp.edges_of(paths[episode], 1.0) if (edge.source, edge.target) in bad), None)
        visits = np.bincount(best.labels[rows], minlength=best.k)
        found.append({
            "episode": int(episode), "steps": int(rows.sum()), "return": float(returns[episode]),
            "first_bad": None if first is None else first.step + first.steps,
            "edge": None if first is None else [first.source, first.target],
            "most_in": int(visits.argmax()), "share": float(visits.max() / rows.sum()),
            "value_at_end": float(seen.value[rows][-1]), "seed": str(seen.seeds[episode]),
        })  # fmt: skip
    return sorted(found, key=lambda one: (one["first_bad"] is None, one["first_bad"] or 0, one["episode"]))

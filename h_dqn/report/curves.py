"""Curves of several seeds on one axis: means with intervals. Pure functions of rows of ``metrics.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h_dqn.statistics import mean_interval

POINTS = 160  # of a curve
TAIL = 0.1  # share of a run, at its end, over which its last level is the mean
# What runs log that has a chart of its own, in this order.
CURVES = {
    "train_success": "success while training, last 300 episodes",
    "validation_success": "success in validation",
    "train_return": "return while training",
    "invalid_share": "share of steps without effect",
    "eliminated": "share of options eliminated",
    "loss": "loss",
    "epsilon": "share of random choices",
}
PATHS = {"discount": "discount", "horizon": "horizon, steps", "td_lambda": "lambda", "discount_slope": "its meta-gradient"}
SHARES = {"frames/": "environment steps", "decisions/": "decisions"}
Row = Mapping[str, float]
Floats = NDArray[np.float64]


def series(rows: Sequence[Row], metric: str) -> tuple[Floats, Floats]:
    """Environment steps and values of the rows that have the metric, steps rising."""
    found = [(row["env_steps"], row[metric]) for row in rows if metric in row and "env_steps" in row]
    x, y = np.array(found, float).reshape(-1, 2).T
    rising = np.r_[True, np.diff(np.maximum.accumulate(x)) > 0] if len(x) else np.zeros(0, bool)
    return x[rising], y[rising]


def curve(seeds: Sequence[Sequence[Row]], metric: str, points: int = POINTS) -> dict[str, Any] | None:
    """A metric over environment steps: mean over seeds, and the 95 % interval (Student's t) of more than one.

    Seeds are read between their rows, at the same steps, up to where the first of them ends. Returns ``x``, ``y``, ``low`` and
    ``high`` (None of one seed); None where no seed has the metric twice.
    """
    found = [(x, y) for x, y in (series(rows, metric) for rows in seeds) if len(x) > 1]
    if not found:
        return None
    first, last = max(x[0] for x, _ in found), min(x[-1] for x, _ in found)
    if first >= last:
        return None
    x = np.linspace(first, last, points)
    each = np.array([np.interp(x, steps, values) for steps, values in found])
    spread = [mean_interval(column) for column in each.T.tolist()]
    mean, half = np.array(spread).T
    known = bool(np.isfinite(half).all())
    return {"x": x, "y": mean, "low": mean - half if known else None, "high": mean + half if known else None, "seeds": len(found)}


def charts(arms: Mapping[str, Sequence[Sequence[Row]]], metrics: Mapping[str, str], points: int = POINTS) -> list[dict[str, Any]]:
    """For each metric that any arm has: its curves, by arm.

    Args:
        arms: name -> rows of each seed.
        metrics: which -> the title of its chart.
        points: of each curve.
    """
    found = []
    for metric, title in metrics.items():
        each = {name: curve(seeds, metric, points) for name, seeds in arms.items()}
        if any(each.values()):
            found.append({"metric": metric, "title": title, "curves": [{"name": name, **one} for name, one in each.items() if one]})
    return found


def shares(name: str, seeds: Sequence[Sequence[Row]], prefix: str, points: int = POINTS) -> dict[str, Any]:
    """Shares of each option of an arm over time, mean over seeds: of the metrics that begin with ``prefix``."""
    options = dict.fromkeys(key for rows in seeds for row in rows for key in row if key.startswith(prefix))
    found = {key.removeprefix(prefix): curve(seeds, key, points) for key in options}
    known = {key: one for key, one in found.items() if one}
    x: Any = next((one["x"] for one in known.values()), [])
    return {"arm": name, "of": SHARES[prefix], "x": x, "options": [{"name": key, "y": one["y"]} for key, one in known.items()]}


def level(rows: Sequence[Row], metric: str) -> float:
    """Mean over the last tenth of the run's steps; NaN without the metric."""
    x, y = series(rows, metric)
    return float(y[x >= x[-1] * (1 - TAIL)].mean()) if len(x) else math.nan


def share_of_area(rows: Sequence[Row], metric: str) -> float:
    """Mean of the metric over environment steps, from its first row on: how much there was, and how early. NaN without it."""
    x, y = series(rows, metric)
    return float(np.trapezoid(y, x) / (x[-1] - x[0])) if len(x) > 1 else math.nan


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Mean over seeds, half of its 95 % interval, and how many there are; of no known value, None."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return {"mean": None, "half": None, "seeds": 0}
    mean, half = mean_interval(known)
    return {"mean": mean, "half": half if math.isfinite(half) else None, "seeds": len(known)}

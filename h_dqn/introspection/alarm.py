"""An alarm that foretells failure from what the network knows now, and a policy that hands over when it rings ("eject").

The alarm is a logistic regression on the first components of the features, the value of the best option, its distance to the
second and the share of time that is gone. Who only leaves out the episodes in which an alarm rings selects, and controls nothing:
here somebody else goes on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from h_dqn.introspection.projection import Components
from h_dqn.introspection.record import thoughts
from h_dqn.options import Bools, Ints
from h_dqn.policies import SoftmaxPolicy

Floats = NDArray[np.floating[Any]]


class Alarm(NamedTuple):
    """Risk of failure = sigmoid(weights . signs / scale + offset)."""

    components: Components
    most_steps: int  # of an episode
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]  # the last is the offset

    def risk(self, features_BF: Floats, q_BO: Floats, step_B: NDArray[Any]) -> NDArray[np.float64]:
        """(B,) 0..1."""
        x = (signs(self.components, features_BF, q_BO, step_B / self.most_steps) - self.mean) / self.scale
        return sigmoid(x @ self.weights[:-1] + self.weights[-1])


def signs(components: Components, features_BF: Floats, q_BO: Floats, time_B: Floats) -> NDArray[np.float64]:
    """What the alarm reads, (B, signs)."""
    best = np.sort(q_BO, 1)
    second = best[:, -2] if q_BO.shape[1] > 1 else best[:, -1]
    return np.column_stack([components.project(features_BF, whiten=True), best[:, -1], best[:, -1] - second, time_B])


def build(components: Components, most_steps: int, columns: tuple[Floats, Floats, NDArray[Any]], failed_R: Bools) -> Alarm:
    """An alarm from rows of recorded episodes.

    Args:
        components: of the features; a few.
        most_steps: of an episode.
        columns: features (R, F), Q-values (R, O), step (R,).
        failed_R: whether the row's episode failed in the end.
    """
    x = signs(components, columns[0], columns[1], columns[2] / most_steps)
    mean, scale = x.mean(0), np.maximum(x.std(0), 1e-9)
    return Alarm(components, most_steps, mean, scale, logistic((x - mean) / scale, failed_R))


def logistic(x_RP: Floats, y_R: Bools, ridge: float = 1.0, steps: int = 25) -> NDArray[np.float64]:
    """Weights of a logistic regression, (P + 1,), the last of them the offset, which alone is not shrunk: Newton's method."""
    x = np.column_stack([x_RP, np.ones(len(x_RP))])
    pull = np.full(x.shape[1], ridge)
    pull[-1] = 1e-3
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        p = sigmoid(x @ weights)
        slope = x.T @ (p - y_R) + pull * weights
        curve = (x * (p * (1 - p))[:, None]).T @ x + np.diag(pull)
        weights = weights - np.linalg.solve(curve, slope)
    return weights


def sigmoid(x: Floats) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), also of large numbers."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -40, 40))))


def area(risk: Floats, failed: Bools) -> float:
    """Area under the curve of true against false alarms: the chance that a failure has the larger risk. NaN without both kinds."""
    bad, good = risk[failed], risk[~failed]
    if not len(bad) or not len(good):
        return float("nan")
    return float((bad[:, None] > good).mean() + 0.5 * (bad[:, None] == good).mean())


class HandOver:
    """Chooses as ``policy`` does until the alarm rings in an episode, and from then on as its softmax at another temperature.

    Attributes:
        rang: (N,) whether it rang in the episode that runs.
    """

    def __init__(self, policy: SoftmaxPolicy, alarm: Alarm, threshold: float, temperature: float) -> None:
        self.policy, self.alarm, self.threshold = policy, alarm, threshold
        self.other = SoftmaxPolicy(policy.state, temperature, 1, policy.outputs)
        self.rang: Bools = np.zeros(0, bool)
        self._step: Ints = np.zeros(0, np.int64)

    def observe(self, obs: NDArray[np.uint8], begins: Bools) -> None:
        """See :class:`h_dqn.options.Listener`."""
        self.policy.observe(obs, begins)
        self._step = np.where(begins, 0, self._step + 1) if len(self._step) else np.zeros(len(obs), np.int64)
        if not len(self.rang):
            self.rang = np.zeros(len(obs), bool)
        thought = thoughts(self.policy, obs)
        risk = self.alarm.risk(thought["features"], thought["q"], self._step)
        self.rang = (self.rang & ~begins) | (risk > self.threshold)

    def __call__(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
        """See :class:`h_dqn.policies.SoftmaxPolicy`."""
        rang = self.rang[env_ids]
        chosen = np.zeros(len(obs), np.int64)
        for policy, here in ((self.policy, ~rang), (self.other, rang)):
            if here.any():
                chosen[here] = policy(obs[here], available[here], env_ids[here])
        return chosen

"""The meta-gradient through the family: a policy gradient in eta.

The values of two neighbouring heads say what a change of eta does to what is chosen: at once, and exactly, as nothing has to be
learned anew for it. So

    d eta  ~  sum over the decisions of a round of  A  d log mu(o | s) / d eta,    d Q_eta / d eta = Q_{k+1} - Q_k

(``judge.py``). It is not the derivative of Xu, van Hasselt and Silver (2018), who take it through an update and let none through
the values' dependence on eta: that is ``update_gradient.py``. What both have in common is the outer objective, a return under a
discount that never changes, and values that know eta.

eta may depend on how it has gone of late (``context.py``): eta = b + w . c, and the slope of a weight is that of eta times its c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from h_dqn.networks import between
from h_dqn.self_tuning.context import Context, features
from h_dqn.self_tuning.judge import TEMPERATURE, Judge, score
from h_dqn.self_tuning.tuner import Choosing, Seen, Signal, Walking
from h_dqn.state import restore


class FamilyGradient(Walking):
    """See the file's head, and :class:`h_dqn.self_tuning.tuner.Tuner`."""

    says, marks, temperature = 1, 1, TEMPERATURE

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        learning_rate = given[4]
        self.judge = Judge(self.head.in_features, self.config.reference_discount, learning_rate, self.head.weight.device)
        how = self.config.context
        self.context = None if how == "none" else Context(how == "shuffled", self.rng)
        names = ("discount", *(f"context_{name}" for name in Context.names * (self.context is not None)))
        self.signal = Signal(names)
        self.weights = np.array([float(self.head.place), *[0.0] * (len(names) - 1)])  # b and w
        self.aside = self.config.perturb

    def say(self, x_BF: Tensor) -> Tensor:
        """The critic's value."""
        return self.judge(x_BF)

    def mark(self, choice: Choosing) -> Tensor:
        """The score of each decision: how much likelier a larger eta would have made it."""
        return score(between(choice.q_BGO, self.places()[choice.env_ids_B]), choice)[:, None]

    def move(self, seen: Seen) -> None:
        """Up where what a larger eta makes likelier turned out better than expected, by a step as large as that is sure."""
        (slope,) = self.judge.slope(seen, seen.said_UE[:, 0], seen.marks_DM)
        if seen.warm:
            self.moving = True
            self.signal.add((slope * features(self.context)).tolist())
            self.weights += self.config.meta_rate * self.signal.step()
            self.weights[0] = self.weights[0].clip(0, self.head.count - 1)
        if self.context is not None:
            self.context.add(seen)
        self.head.place.fill_(float(self.weights @ features(self.context))).clamp_(0, self.head.count - 1)

    def learn(self, x_BF: Tensor, option_B: Tensor, rows_B: Tensor) -> None:
        """A step of the critic."""
        self.judge.learn(x_BF, rows_B)

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), **self.signal.metrics()}

    def state_dict(self) -> dict[str, Any]:
        own = {"judge": self.judge.state_dict(), "signal": self.signal.state(), "weights": self.weights.copy()}
        return {**super().state_dict(), **own, "context": self.context and self.context.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.judge.load_state_dict(state["judge"])
        self.signal.load(state["signal"])
        restore(self.weights, state["weights"], "weights")
        if self.context is not None:
            self.context.load_state_dict(state["context"])

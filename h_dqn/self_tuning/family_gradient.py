"""The meta-gradient through the family: a policy gradient in eta.

The values of two neighbouring heads say what a change of eta does to what is chosen: at once, and exactly, as nothing has to be
learned anew for it. So

    d eta  ~  sum over the decisions of a round of  A  d log mu(o | s) / d eta,    d Q_eta / d eta = Q_{k+1} - Q_k

(``judge.py``). It is not the derivative of Xu, van Hasselt and Silver (2018), who take it through an update and let none through
the values' dependence on eta: that is ``update_gradient.py``. What both have in common is the outer objective, a return under a
discount that never changes, and values that know eta.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from h_dqn.networks import between, interpolate
from h_dqn.self_tuning.judge import TEMPERATURE, Judge, score
from h_dqn.self_tuning.tuner import Choosing, Seen, Signal, Walking


class FamilyGradient(Walking):
    """See the file's head, and :class:`h_dqn.self_tuning.tuner.Tuner`."""

    says, marks, temperature = 1, 1, TEMPERATURE

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        learning_rate = given[4]
        self.judge = Judge(self.head.in_features, self.config.reference_discount, learning_rate, self.head.weight.device)
        self.signal = Signal(("discount",))
        self.aside = self.config.perturb

    def say(self, x_BF: Tensor) -> Tensor:
        """The critic's value."""
        return self.judge(x_BF)

    def mark(self, choice: Choosing) -> Tensor:
        """The score of each decision: how much likelier a larger eta would have made it."""
        place_B = self.places()[choice.env_ids_B]
        q_BO = interpolate(choice.q_BGO, place_B)
        return score(q_BO, between(choice.q_BGO, place_B), choice)[:, None]

    def move(self, seen: Seen) -> None:
        """Up where what a larger eta makes likelier turned out better than expected, by a step as large as that is sure."""
        slope = self.judge.slope(seen, seen.said_UE[:, 0], seen.marks_DM)
        if seen.warm:
            self.moving = True
            self.signal.add(slope)
            self.go(self.config.meta_rate * float(self.signal.step()[0]))

    def learn(self, x_BF: Tensor, option_B: Tensor, rows_B: Tensor) -> None:
        """A step of the critic."""
        self.judge.learn(x_BF, rows_B)

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), **self.signal.metrics()}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "judge": self.judge.state_dict(), "signal": self.signal.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.judge.load_state_dict(state["judge"])
        self.signal.load(state["signal"])

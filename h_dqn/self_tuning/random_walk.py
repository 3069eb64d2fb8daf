"""A random walk of eta, as a control: steps of the size that the meta-gradient makes where it sees nothing but noise."""

from __future__ import annotations

from typing import Any

from h_dqn.self_tuning.tuner import Seen, Signal, Walking


class RandomWalk(Walking):
    """See the file's head, and :class:`h_dqn.self_tuning.tuner.Tuner`."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.signal = Signal(("discount",))
        self.aside = self.config.perturb

    def move(self, seen: Seen) -> None:
        """Anywhere."""
        if seen.warm:
            self.moving = True
            self.signal.add([float(self.rng.normal())])
            self.go(self.config.meta_rate * float(self.signal.step()[0]))

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), **self.signal.metrics()}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "signal": self.signal.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.signal.load(state["signal"])

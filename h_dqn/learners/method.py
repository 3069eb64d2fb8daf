"""Methods: what changes how a learner learns, without being a learner (EWC, PackNet, L2 towards initial weights, ...)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from h_dqn.learners.base import Learner, Progress
    from h_dqn.replay import SMDPReplay


class Method:
    """A method overrides what it needs; the rest does nothing. The learner calls the first four, the trainer the last two."""

    looks_back = False  # whether it draws from the replay, so that all of that must be saved

    def loss(self, network: nn.Module) -> Tensor | None:
        """A term that is added to the loss of each gradient step, ()."""
        return None

    def edit_gradients(self, network: nn.Module) -> None:
        """Change the gradients between the backward pass and their clipping."""

    def after_update(self, network: nn.Module) -> None:
        """Whatever follows a gradient step."""

    def end_round(self, learner: Learner, replay: SMDPReplay, progress: Progress) -> None:
        """A round of learning is over; the replay holds what was just seen. An optimiser is left as it is."""

    def begin_phase(self, learner: Learner, phase: int) -> None:
        """A phase of the run begins; the first is number 0."""

    def end_phase(self, learner: Learner, replay: SMDPReplay, phase: int) -> None:
        """A phase of the run is over; the replay still holds what was seen in it."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass

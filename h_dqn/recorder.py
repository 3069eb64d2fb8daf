"""From steps to decisions: what happened in a rollout is written into the replay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.options import Acts, Option, OptionConfig, Primitive
from h_dqn.replay import End, SMDPReplay
from h_dqn.rollout import Rollout, Step


class Recorder:
    """Stores each decision of a rollout, and what else its steps teach (intra-option learning).

    Args:
        replay: where it is stored.
        options: what may be chosen.
        config: what steps teach beside the option that took them.
    """

    def __init__(self, replay: SMDPReplay, options: Sequence[Option], config: OptionConfig) -> None:
        self.replay, self.options, self.config = replay, options, config
        actions = {option.action: index for index, option in enumerate(options) if isinstance(option, Primitive)}
        self._primitive = np.array([actions[action] for action in sorted(actions)])  # the option that is each primitive action

    def begin(self, rollout: Rollout) -> None:
        """Episodes begin in every environment of ``rollout``."""
        self.replay.begin_episode(~rollout.missing, rollout.obs)

    def others(self, rollout: Rollout) -> dict[int, Acts]:
        """By number, what each skill would do where ``rollout`` is now, if the next step is to teach all of them."""
        if self.config.intra_option != "all":
            return {}
        skills = (index for index in range(len(self.options)) if index not in self._primitive)
        return {index: rollout.runner.would_do(index, rollout.obs) for index in skills}

    def add(self, others: dict[int, Acts], step: Step, record: NDArray[np.float32] | None, state: Tensor | None = None) -> None:
        """One step.

        Args:
            others: what :meth:`others` said before it.
            step: what happened.
            record: (N, R), which is kept where a decision was made.
            state: (N, C) what the agent remembered before it saw what the step led to.
        """
        replay, failed = self.replay, step.env_failed
        end = End(step.terminated, step.done, step.available, step.next_available)
        if failed.any():
            # What failed was no step. A decision that ran before it is cut off there, as by a step limit, with the steps it had.
            cut = failed & ~step.due & ~step.missing
            replay.end_decision(cut, End(np.zeros_like(failed), failed, step.available, step.available))
        replay.begin_decision(step.due & ~failed, step.option, step.available, record)
        replay.step(step.reward, step.next_obs, ~failed if failed.any() else None, step.info.get("invalid_action"), state)
        if (option_done := step.option_done & ~failed).any():
            replay.end_decision(option_done, end)
        self._teach_others(others, step, end)
        if step.reset.any():
            replay.begin_episode(step.reset, step.obs)

    def _teach_others(self, others: dict[int, Acts], step: Step, end: End) -> None:
        """Intra-option learning: the step also counts for options other than the one that took it, if they would have done it."""
        if self.config.intra_option == "no":
            return
        primitive, skilled = self._primitive[step.action], ~np.isin(step.option, self._primitive) & ~step.env_failed
        self.replay.add_intra_option(skilled, primitive, end, np.zeros(len(primitive)))
        for index, (action, done) in others.items():
            agrees = (action == step.action) & ~step.env_failed & ~(step.due & (step.option == index))
            # Its clock is not known here, so it goes on by the probability that it has in the mean.
            continuation: NDArray[Any] = np.where(done, 0.0, 1 - 1 / self.config.option_steps)
            self.replay.add_intra_option(agrees, np.full(len(action), index), end, continuation)

"""n-step double DQN (Mnih et al. 2015, van Hasselt et al. 2016) over semi-MDP replay (Tessler et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.learners.base import Choice, Metrics, Progress
from h_dqn.learners.method import Method
from h_dqn.learners.value_learner import ValueConfig, ValueLearner
from h_dqn.learners.values import (
    advantage_learning,
    bootstrap,
    deliberation_cost,
    discount_exponent,
    observation_values,
    scaled_rewards,
)
from h_dqn.options import Bools, Ints
from h_dqn.replay import Decisions, ReplayNeeds, SMDPReplay
from h_dqn.settings import ConfigError, Count, CountOrZero, NotNegative, Positive
from h_dqn.state import whole
from h_dqn.targets import smdp_target

if TYPE_CHECKING:
    from h_dqn.config import Config

TARGETS_TOGETHER = 32  # minibatches whose targets are worked out at once


@dataclass(frozen=True)
class DQNConfig(ValueConfig):
    """Deep Q-network."""

    learn_start: CountOrZero = 20_000
    """decisions before the first update"""
    updates_per_decision: Positive = 4.0
    """minibatches learned for each decision made"""
    n_step: Count = 1
    """consecutive decisions in one target: more brings reward back faster, with more variance"""
    priority: NotNegative = 0.0
    """exponent of prioritised replay (0: uniform)"""
    sequence_steps: Count = 32
    """core. environment steps of a sequence that is learned from"""


class DQN(ValueLearner):
    """See :class:`ValueLearner`."""

    config: DQNConfig

    def __init__(
        self, config: Config, shape: tuple[int, int, int], options: int, seed: int, methods: Sequence[Method] = ()
    ) -> None:
        assert isinstance(config.learner, DQNConfig)
        c = config.learner
        if c.deliberation_cost and c.n_step > 1:
            raise ConfigError("--deliberation-cost is charged once for each chain of decisions: it goes with --n-step 1")
        if c.priority and config.net.core:
            raise ConfigError("--priority is of single decisions: it goes with --core 0")
        if c.success_memory and config.net.core:
            raise ConfigError("--success-memory is of single decisions here: with --learner dqn it goes with --core 0")
        super().__init__(config, shape, options, seed, methods)
        self.needs = ReplayNeeds(priority=c.priority, successes=self._successes, state_size=config.net.core)
        self._updates = 0  # minibatches learned

    def act(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints, progress: Progress) -> Choice:
        q_BO = self.acting_values(obs, available, env_ids)
        return Choice(self.explore(q_BO, available, env_ids, progress.success))

    def update(self, replay: SMDPReplay, progress: Progress) -> Metrics:
        c = self.config
        self.descent.anneal(progress.share)
        losses: list[Tensor] = []
        while (due := ceil((self.decisions - c.learn_start) * c.updates_per_decision) - self._updates) > 0 and len(replay):
            # What is sampled: several minibatches at once.
            count = min(due, TARGETS_TOGETHER)
            self._updates += count
            if self.network.core is not None:
                losses += self._learn_sequences(replay, count, progress.success)
                continue
            batch = replay.sample(count * c.batch_size, c.n_step, c.success_memory)
            # The targets.
            target_B = self.targets(batch, progress.success)
            # The loss and the step, a minibatch at a time.
            errors = []
            for rows in torch.arange(len(batch), device=self.device).split(c.batch_size):
                obs, option = batch.frames[batch.start[rows]], batch.option[rows]
                loss, error, _ = self.step(obs, option, target_B[rows], batch.weight[rows])
                losses.append(loss)
                errors.append(error)
            if c.priority:
                replay.set_priority(batch.id, torch.cat(errors))
        metrics = self.finish_update(replay, progress)
        return {**metrics, "loss": float(torch.stack(losses).mean())} if losses else metrics

    def _learn_sequences(self, replay: SMDPReplay, count: int, success: float) -> Iterator[Tensor]:
        """``count`` minibatches of whole sequences, each from its stored state on (Kapturowski et al. 2019, R2D2); their losses."""
        c = self.config
        width = max(1, c.batch_size // c.sequence_steps)
        number, sequence, drawn = replay.near(count * width, c.sequence_steps)
        for some in drawn.reshape(count, width):
            here = np.flatnonzero(np.isin(sequence, some))
            batch = replay.sequences(number[here], sequence[here], c.n_step)
            yield self.sequence_step(batch, self.targets(batch, success))[0]

    @torch.no_grad()
    def targets(self, batch: Decisions, success: float) -> Tensor:
        """Targets (B,) of chains of decisions: n-step double Q-learning and advantage learning."""
        c = self.config
        unknown_UO = torch.full((len(batch.frames), self.options), torch.nan, device=self.device)
        q_UO = observation_values(batch, self.evaluator(self.target, batch), unknown_UO, c.advantage_learning_alpha > 0)
        cost = deliberation_cost(c.deliberation_cost, success, c.reward_scale)
        rewards, exponent = scaled_rewards(batch, c.reward_scale, cost), discount_exponent(batch.length, c.discount_by)
        best_B = self.best_at_end(batch, q_UO[batch.end], self.online_at_end(batch))
        bootstrap_B = bootstrap(batch, q_UO, best_B, cost)
        target_B = smdp_target(rewards, batch.length, bootstrap_B, batch.terminated, c.discount, exponent)
        return target_B + advantage_learning(batch, q_UO, c.advantage_learning_alpha)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._updates = whole(state["updates"], "updates", 0)

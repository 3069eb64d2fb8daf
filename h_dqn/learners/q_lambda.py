"""Q(lambda) on what was just seen: parallelised Q-learning (Gallici et al. 2024) over decisions, with no need of a target network.

A deep skill network is this learner with primitive actions alone; the H-DRLN controller is it with skills among its options.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
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
from h_dqn.networks import QNetwork
from h_dqn.options import Bools, Ints
from h_dqn.replay import Decisions, ReplayNeeds, SMDPReplay
from h_dqn.self_tuning import SelfTuning, SelfTuningConfig
from h_dqn.settings import ConfigError, Count, Share
from h_dqn.targets import q_lambda, skill_reward

if TYPE_CHECKING:
    from h_dqn.config import Config


@dataclass(frozen=True)
class QLambdaConfig(ValueConfig):
    """Q(lambda)."""

    td_lambda: Share = 0.6
    """lambda of Q(lambda): 0 trusts the next value alone, 1 the rewards to the end of what was seen"""
    epochs: Count = 1
    """passes over the decisions of a round"""
    tuning: SelfTuningConfig = field(default_factory=SelfTuningConfig)


class QLambda(ValueLearner):
    """See :class:`ValueLearner`. The values by which options were chosen are recorded, and are bootstrap values too, since nothing
    is learned in between: they are worked out once."""

    config: QLambdaConfig

    def __init__(
        self, config: Config, shape: tuple[int, int, int], options: int, seed: int, methods: Sequence[Method] = ()
    ) -> None:
        assert isinstance(config.learner, QLambdaConfig)
        c = config.learner
        super().__init__(config, shape, options, seed, methods)
        self._steps = config.round_steps
        self._together = max(1, c.batch_size // self._steps)  # sequences in a minibatch of them
        self.tuning: SelfTuning | None = None
        if c.tuning.tuned:
            if c.target_period:
                raise ConfigError("--tune-discount and --tune-lambda go with --target-period 0")
            begin = {name: getattr(c, name) for name in c.tuning.tuned}
            rng = np.random.default_rng([seed, 9])
            self.tuning = SelfTuning(self.network.head, options, begin, c.tuning, c.descent.learning_rate, rng)
        self.needs = ReplayNeeds(
            past=bool(c.success_memory or self.elimination),
            resampled=self.elimination is not None or any(method.looks_back for method in methods),
            record_size=options + (self.tuning.outputs if self.tuning else 0),
            successes=self._successes,
            state_size=config.net.core,
        )

    def act(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints, progress: Progress) -> Choice:
        frames, possible = torch.from_numpy(obs).to(self.device), torch.from_numpy(available).to(self.device)
        values_BV = self.values(self.network, self.agent_state.features(frames, env_ids), frames, possible).cpu()
        q_BO = values_BV[:, : self.options]
        if self.tuning:
            q_BO = self.tuning.perturb(q_BO, values_BV[:, self.options :], torch.from_numpy(env_ids))
        return Choice(self.explore(q_BO, available, env_ids, progress.success), values_BV.numpy())

    def update(self, replay: SMDPReplay, progress: Progress) -> Metrics:
        c = self.config
        self.descent.anneal(progress.share)
        # What is sampled: all that ended in this round, and some of the newest successes.
        batch = replay.fresh(c.success_memory)
        replay.forget_records()
        losses, metrics = [], {}
        if len(batch):
            # The targets, and before them a step of the meta-parameters.
            values_UV = self.batch_values(batch)
            targets, tuned = partial(self.targets, batch, progress.success), None
            if self.tuning:
                tuned = self.tuning.meta_update(batch, values_UV, targets, c.reward_scale, progress.success)
                metrics = self.tuning.metrics()
            target_D = tuned.target_D if tuned else targets(values_UV[:, : self.options])
            # The loss and the step, a minibatch at a time.
            for _ in range(c.epochs):
                for rows, loss, features in self.one_pass(replay, batch, target_D):
                    losses.append(loss)
                    if self.tuning and tuned:
                        self.tuning.learn(features, batch.option[rows], tuned.at(rows))
        metrics |= self.finish_update(replay, progress)
        return {**metrics, "loss": float(torch.stack(losses).mean())} if losses else metrics

    def one_pass(self, replay: SMDPReplay, batch: Decisions, target_D: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Learn all decisions once, a minibatch at a time; yields which they are (B,), the loss () and their features (B, F).

        With a core, a minibatch is of whole sequences: all that one environment did, or a stretch as long of an old success. Each
        begins with the oldest decision of its own, which may have been made before the round, and with what was remembered there.
        """
        if self.network.core is None:
            order = torch.from_numpy(self._rng.permutation(len(batch))).to(self.device)
            for rows in order.split(self.config.batch_size):
                obs, option = batch.frames[batch.start[rows]], batch.option[rows]
                loss, _, x = self.step(obs, option, target_D[rows], batch.weight[rows])
                yield rows, loss, x
        else:
            number, env, fresh = (of.cpu().numpy() for of in (batch.id, batch.env, batch.fresh))
            sequence = np.where(fresh, env, replay.num_envs + replay.stretches(number, self._steps))
            drawn = self._rng.permutation(np.unique(sequence))
            for some in np.split(drawn, range(self._together, len(drawn), self._together)):
                here = np.flatnonzero(np.isin(sequence, some))
                rows = torch.from_numpy(here).to(self.device)
                part = replay.sequences(number[here], sequence[here], ends=False)
                loss, _, x = self.sequence_step(part, target_D[rows])
                yield rows, loss, x

    @torch.no_grad()
    def targets(
        self,
        batch: Decisions,
        success: float,
        q_UO: Tensor,
        discount: float | Tensor | None = None,
        td_lambda: float | Tensor | None = None,
    ) -> Tensor:
        """Targets (D,) of the decisions, by values (U, O) of their observations: Q(lambda) and advantage learning.

        Discount and lambda are those of the settings unless something else is given.
        """
        c = self.config
        gamma, lambda_ = c.discount if discount is None else discount, c.td_lambda if td_lambda is None else td_lambda
        cost = deliberation_cost(c.deliberation_cost, success, c.reward_scale)
        reward_D = skill_reward(scaled_rewards(batch, c.reward_scale, cost), batch.length, gamma)
        discount_D = gamma ** discount_exponent(batch.length, c.discount_by)
        bootstrap_D = bootstrap(batch, q_UO, self.best_at_end(batch, q_UO[batch.end]), cost)
        returns_D = q_lambda(reward_D, discount_D, bootstrap_D, batch.terminated, batch.following, lambda_)
        return returns_D + advantage_learning(batch, q_UO, c.advantage_learning_alpha)

    @torch.no_grad()
    def batch_values(self, batch: Decisions) -> Tensor:
        """Values (U, V) of the observations: those recorded when options were chosen, where no target network knows better."""
        recorded = batch.record if self.target is self.network else torch.full_like(batch.record, torch.nan)
        starts = bool(self.config.advantage_learning_alpha or self.tuning)
        return observation_values(batch, self.evaluator(self.target, batch), recorded, starts)

    @torch.no_grad()
    def values(self, network: QNetwork, x: Tensor, frames: Tensor, available: Tensor) -> Tensor:
        """Q-values, and beside them what :class:`SelfTuning` says of the same features, where there is one: (B, V)."""
        q = super().values(network, x, frames, available)
        return torch.cat([q, self.tuning(x)], 1) if self.tuning else q

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "tuning": self.tuning and self.tuning.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if self.tuning:
            self.tuning.load_state_dict(state["tuning"])

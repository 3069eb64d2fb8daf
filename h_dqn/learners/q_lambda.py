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

from h_dqn.elimination import ELIMINATED
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
from h_dqn.networks import LinearFamily, NetworkSpec, QNetwork
from h_dqn.options import Bools, Ints
from h_dqn.replay import Decisions, ReplayNeeds, SMDPReplay
from h_dqn.self_tuning import TUNERS, Choosing, Seen, SelfTuningConfig, Tuner
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
        self.tuner: Tuner | None = None
        if c.tuning.tuned:
            begin = {"discount": c.discount, **{name: getattr(c, name) for name in c.tuning.tuned}}
            assert isinstance(self.network.head, LinearFamily)
            rng = np.random.default_rng([seed, 9])
            tuner = TUNERS[c.tuning.tuner]
            self.tuner = tuner(self.network.head, c.tuning, config.env.num_envs, begin, c.descent.learning_rate, rng)
            if self.tuner.says and c.target_period:
                raise ConfigError(f"--tuner {c.tuning.tuner} goes with --target-period 0")
        heads = self.network.head.count if isinstance(self.network.head, LinearFamily) else 1
        self._known = heads * options + (self.tuner.says if self.tuner else 0)  # V
        self.needs = ReplayNeeds(
            past=bool(c.success_memory or self.elimination),
            resampled=self.elimination is not None or any(method.looks_back for method in methods),
            record_size=self._known + (1 + self.tuner.marks if self.tuner else 0),
            successes=self._successes,
            state_size=config.net.core,
        )

    def make_network(self, spec: NetworkSpec, initial_value: float) -> QNetwork:
        """With a head for each discount of the family, where there is one."""
        c = self.config
        if not c.tuning.tuned:
            return super().make_network(spec, initial_value)
        if spec.head != "linear":
            raise ConfigError("--tune-discount needs --head linear, of which a family can be made")
        discounts = c.tuning.family(c.discount)
        # The value of never arriving, as `initial_value` is for the given discount, is longer or shorter with the horizon.
        initial = [initial_value * (1 - c.discount) / (1 - discount) for discount in discounts]
        return QNetwork(spec, initial_value, lambda features, outputs: LinearFamily(features, outputs, initial, discounts))

    # --- acting ---

    def observe(self, obs: NDArray[np.uint8], begins: Bools) -> None:
        super().observe(obs, begins)
        if self.tuner:
            self.tuner.observe(begins)

    def act(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints, progress: Progress) -> Choice:
        values_BV = self._values_here(obs, available, env_ids)
        if self.tuner is None:
            return Choice(self.explore(values_BV, available, env_ids, progress.success), values_BV.numpy())
        tuner, (q_BGO, said_BE), envs_B = self.tuner, self.split(values_BV), torch.from_numpy(env_ids)
        q_BO, epsilon_B = tuner.act(q_BGO, said_BE, envs_B), torch.from_numpy(self.exploration.epsilon[env_ids]).float()
        noisy_BO = q_BO
        if tuner.temperature:  # the largest of Q / T + Gumbel noise is a draw from the softmax
            noise_BO = torch.from_numpy(tuner.rng.gumbel(scale=tuner.temperature, size=q_BO.shape)).float()
            noisy_BO = torch.where(q_BO > ELIMINATED, q_BO + noise_BO, q_BO)
        option = self.explore(noisy_BO, available, env_ids, progress.success)
        option_B = torch.from_numpy(option)
        marks_BM = tuner.mark(Choosing(q_BGO, q_BO, said_BE, envs_B, torch.from_numpy(available), epsilon_B, option_B))
        return Choice(option, torch.cat([values_BV, option_B[:, None].float(), marks_BM], 1).numpy())

    def acting_values(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Tensor:
        if self.tuner is None:
            return super().acting_values(obs, available, env_ids)
        return self.tuner.act(*self.split(self._values_here(obs, available, env_ids)), torch.from_numpy(env_ids))

    @torch.no_grad()
    def _values_here(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Tensor:
        """:meth:`values` (B, V) where these environments are, on the CPU."""
        frames, possible = torch.from_numpy(obs).to(self.device), torch.from_numpy(available).to(self.device)
        return self.values(self.network, self.agent_state.features(frames, env_ids), frames, possible).cpu()

    # --- learning ---

    def update(self, replay: SMDPReplay, progress: Progress) -> Metrics:
        c = self.config
        self.descent.anneal(progress.share)
        # What is sampled: all that ended in this round, and some of the newest successes.
        batch = replay.fresh(c.success_memory)
        replay.forget_records(self._known)
        losses = []
        if len(batch):
            # The targets, and before them a step of eta.
            values_UV, targets = self.batch_values(batch), partial(self.targets, batch, progress.success, self.online_at_end(batch))
            if self.tuner is None:
                target = targets(values_UV)
            else:
                seen = self.seen(batch, values_UV, progress.share)
                self.tuner.move(seen)
                target = self.tuner.targets(seen, targets)
            # The loss and the step, a minibatch at a time.
            for _ in range(c.epochs):
                for rows, loss, features in self.one_pass(replay, batch, target):
                    losses.append(loss)
                    if self.tuner:
                        self.tuner.learn(features, batch.option[rows], rows)
        metrics = {**(self.tuner.metrics() if self.tuner else {}), **self.finish_update(replay, progress)}
        return {**metrics, "loss": float(torch.stack(losses).mean())} if losses else metrics

    def seen(self, batch: Decisions, values_UV: Tensor, share: float) -> Seen:
        """What a round has shown, for the tuner."""
        record_DR = batch.record[batch.start, self._known :]
        acted_D = batch.fresh & (record_DR[:, 0] == batch.option)  # what was recorded is what was chosen; NaN equals nothing
        warm = 2 * self.exploration.fallen >= self.config.exploration.epsilon_decisions
        return Seen(batch, *self.split(values_UV), record_DR[:, 1:], acted_D, self.config.reward_scale, share, warm)

    def split(self, values_BV: Tensor) -> tuple[Tensor, Tensor]:
        """Values of each head (B, G, O), and what the tuner said (B, E)."""
        said = self.tuner.says if self.tuner else 0
        q_BM, said_BE = values_BV.split([self._known - said, said], 1)
        return q_BM.unflatten(1, (-1, self.options)), said_BE

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
        online_DV: Tensor | None,
        q_UO: Tensor,
        head: int = 0,
        discount: float | Tensor | None = None,
        td_lambda: float | Tensor | None = None,
    ) -> Tensor:
        """Targets (D,) of the decisions, by values (U, O) of their observations: Q(lambda) and advantage learning.

        ``online_DV``: see :meth:`online_at_end`. ``head``: whose values ``q_UO`` are. Discount and lambda are those of the settings
        unless something else is given.
        """
        c = self.config
        gamma, lambda_ = c.discount if discount is None else discount, c.td_lambda if td_lambda is None else td_lambda
        cost = deliberation_cost(c.deliberation_cost, success, c.reward_scale)
        reward_D = skill_reward(scaled_rewards(batch, c.reward_scale, cost), batch.length, gamma)
        discount_D = gamma ** discount_exponent(batch.length, c.discount_by)
        best_D = self.best_at_end(batch, q_UO[batch.end], None if online_DV is None else self.split(online_DV)[0][:, head])
        returns_D = q_lambda(reward_D, discount_D, bootstrap(batch, q_UO, best_D, cost), batch.terminated, batch.following, lambda_)
        return returns_D + advantage_learning(batch, q_UO, c.advantage_learning_alpha)

    @torch.no_grad()
    def batch_values(self, batch: Decisions) -> Tensor:
        """Values (U, V) of the observations: those recorded when options were chosen, where no target network knows better."""
        known = batch.record[:, : self._known]
        recorded = known if self.target is self.network else torch.full_like(known, torch.nan)
        starts = bool(self.config.advantage_learning_alpha or (self.tuner and self.tuner.says))
        return observation_values(batch, self.evaluator(self.target, batch), recorded, starts)

    @torch.no_grad()
    def values(self, network: QNetwork, x: Tensor, frames: Tensor, available: Tensor) -> Tensor:
        """Q-values of each head, and beside them what the tuner says of the same features, where there is one: (B, V)."""
        q = self.network.mask_eliminated(network.head.family(x), frames, available).flatten(1)
        return torch.cat([q, self.tuner.say(x)], 1) if self.tuner else q

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "tuning": self.tuner and self.tuner.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if self.tuner:
            self.tuner.load_state_dict(state["tuning"])

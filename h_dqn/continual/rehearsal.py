"""Rehearsal: half of what is learned in each gradient step are decisions of the whole life, drawn from a memory.

CLEAR (Rolnick et al. 2019) also holds policy and value there to what they were.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from h_dqn.continual.body import network_of, q_network
from h_dqn.continual.memory import Memory, Stored
from h_dqn.continual.task_heads import TaskHeads
from h_dqn.learners.base import Learner, Progress
from h_dqn.learners.method import Method
from h_dqn.learners.value_learner import ValueConfig
from h_dqn.learners.values import features, scaled_rewards
from h_dqn.replay import SMDPReplay
from h_dqn.targets import action_gap, masked_max, skill_reward, smdp_target


class Rehearsal(Method):
    """Adds the TD loss of decisions from the memory, as many as are in a minibatch.

    Heads of tasks that are not learned now stay as they are: the layers below learn to serve them.

    Args:
        memory: of the whole life.
        heads: of all tasks.
        config: of the learner.
        offered: decisions of each round that are offered to the memory.
    """

    looks_back = True

    def __init__(self, memory: Memory, heads: TaskHeads, config: ValueConfig, offered: int) -> None:
        self.memory, self.heads, self.config, self.offered = memory, heads, config, offered

    def loss(self, network: nn.Module) -> Tensor | None:
        if not len(self.memory):
            return None
        batch, network = self.memory.sample(self.config.batch_size), q_network(network)
        q_BO = self.heads.values(network, network.features(batch.frames, batch.state)[0], batch.task)
        with torch.no_grad():
            x_BF = network.features(batch.next_frames, batch.next_state)[0]
            best_B = masked_max(self.heads.values(network, x_BF, batch.task), batch.next_available)
            gap_B = action_gap(q_BO, batch.option, batch.available, self.config.advantage_learning_alpha)
            target_B = batch.reward + batch.discount * best_B + gap_B
        td_loss = 0.5 * (target_B - q_BO.gather(1, batch.option[:, None]).squeeze(1)).square().mean()
        return td_loss + self.hold(q_BO, batch)

    def hold(self, q_BO: Tensor, batch: Stored) -> Tensor:
        """What else is asked of the values (B, O) of stored decisions, ()."""
        return q_BO.new_zeros(())

    @torch.no_grad()
    def end_round(self, learner: Learner, replay: SMDPReplay, progress: Progress) -> None:
        if not len(replay):
            return
        batch, network, c = replay.sample(self.offered), network_of(learner), self.config
        q_BO, gamma = network.head(features(network, batch, batch.start)), c.discount
        reward_B = skill_reward(scaled_rewards(batch, c.reward_scale, 0.0), batch.length, gamma)
        no_reward = torch.zeros_like(batch.rewards)
        discount_B = smdp_target(no_reward, batch.length, torch.ones_like(reward_B), batch.terminated, gamma)
        stored = Stored(
            batch.frames[batch.start], batch.state[batch.start], batch.frames[batch.end], batch.state[batch.end], batch.option,
            reward_B, discount_B, batch.available, batch.next_available, q_BO, torch.full_like(batch.option, self.heads.current),
        )  # fmt: skip
        self.memory.offer(stored)

    def state_dict(self) -> dict[str, Any]:
        return self.memory.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.memory.load_state_dict(state)


class CLEAR(Rehearsal):
    """Adds to it policy_weight * KL(then || now) of softmax(Q / temperature) and value_weight * (max Q now - max Q then)^2.

    The published weights are .01 and .005, for an actor-critic; its policy is here the softmax by which the agent is evaluated.
    """

    policy_weight = 0.01
    value_weight = 0.005

    def hold(self, q_BO: Tensor, batch: Stored) -> Tensor:
        now, then = ((q / (self.config.temperature or 1.0)).masked_fill(~batch.available, -1e9) for q in (q_BO, batch.q))
        divergence = nn.functional.kl_div(now.log_softmax(1), then.log_softmax(1), reduction="batchmean", log_target=True)
        change = masked_max(q_BO, batch.available) - masked_max(batch.q, batch.available)
        return self.policy_weight * divergence + self.value_weight * change.square().mean()

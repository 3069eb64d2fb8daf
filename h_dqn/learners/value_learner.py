"""What learners of Q-values are made of: networks, exploration, elimination, gradient steps. How they learn is in their files."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.agent_state import AgentState
from h_dqn.checkpoint import like
from h_dqn.cuda_graph import CudaGraph
from h_dqn.device import pick_device
from h_dqn.elimination import ELIMINATED, Elimination
from h_dqn.exploration import EpsilonGreedy, ExplorationConfig
from h_dqn.learners.base import Learner, Metrics, Progress
from h_dqn.learners.gradient_descent import GradientDescent, OptimizerConfig
from h_dqn.learners.method import Method
from h_dqn.learners.values import Evaluate, features, in_minibatches, td_loss
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.options import KEEP, Bools, Ints
from h_dqn.policies import SoftmaxPolicy, greedy
from h_dqn.replay import Decisions, SMDPReplay
from h_dqn.rollout import Policy
from h_dqn.settings import Count, CountOrZero, NotNegative, Share, ShareBelowOne
from h_dqn.state import numbers
from h_dqn.targets import double_q_bootstrap, masked_max

if TYPE_CHECKING:
    from h_dqn.config import Config


@dataclass(frozen=True)
class ValueConfig:
    """What learners of Q-values share."""

    discount: Share = 0.97
    """gamma, per environment step"""
    discount_by: Literal["step", "decision"] = "step"
    """step: gamma^k after k steps, as the semi-MDP has it; decision: gamma, however long it was, as in Tessler et al.'s code"""
    reward_scale: NotNegative = 0.1
    """rewards are multiplied by this when they are sampled; keeps Q-values near 1"""
    deliberation_cost: NotNegative = 0.0
    """what each decision costs beside the rewards (Harb et al. 2018), times the share of the newest episodes that
    reached the goal: of two ways alike, the one of fewer decisions is taken"""
    advantage_learning_alpha: ShareBelowOne = 0.8
    """alpha of advantage learning: widens the gap between the best option and the others by 1 / (1 - alpha); 0: off"""
    success_memory: ShareBelowOne = 0.0
    """share of what is learned that is drawn from the newest successful episodes, once there are any"""
    target_period: CountOrZero = 0
    """decisions between two copies into a target network (0: there is none)"""
    double: bool = True
    """the online network picks the option that the target network values"""
    batch_size: Count = 256
    """decisions in a minibatch; with a core about so many, in whole sequences"""
    td_clip: NotNegative = 0.0
    """gradient of the loss is clipped where the TD error exceeds this (0: squared loss)"""
    temperature: NotNegative = 0.03
    """of the choice by softmax(Q / temperature) wherever the agent is evaluated; 0: greedy. An agent without memory needs a little
    chance to get out of its own circles; a third of a step's worth leaves what is clear as it is"""
    descent: OptimizerConfig = field(default_factory=OptimizerConfig)
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)


class ValueLearner(Learner):
    """Q-values over O options from (S, H, W) stacks of frames. A subclass says what is sampled and what the targets are.

    Args:
        config: settings of the run.
        shape: (S, H, W).
        options: O.
        seed: decides the first weights, the exploration and the order of minibatches.
        methods: what changes how it learns.
    """

    config: ValueConfig
    network: QNetwork

    def __init__(
        self, config: Config, shape: tuple[int, int, int], options: int, seed: int, methods: Sequence[Method] = ()
    ) -> None:
        torch.manual_seed(seed)
        c = config.learner
        assert isinstance(c, ValueConfig)
        self.config, self.options = c, options
        self.device = pick_device(config.device)
        net = config.net
        spec = NetworkSpec(net.network, shape, options, net.head, config.elimination.eliminate, net.core)
        self.network = self.make_network(spec, net.initial_value).to(self.device)
        self.target = deepcopy(self.network) if c.target_period else self.network
        self.agent_state = AgentState(self.network)  # of the environments that it learns in
        learning = [self.network.torso, self.network.core, self.network.head]
        weights = [weight for part in learning if part is not None for weight in part.parameters()]
        self.descent = GradientDescent(self.network, c.descent, methods, weights)
        self._rng = np.random.default_rng([seed, 1])
        self.exploration = EpsilonGreedy(c.exploration, config.env.num_envs, self._rng)
        elimination = self.network.elimination
        self.elimination = Elimination(elimination, c.batch_size, self._rng) if elimination else None
        self.decisions = 0  # made while training
        self._copied = 0  # decisions made before the last copy into the target network
        self._successes = int(c.success_memory > 0) * config.replay.capacity // 100
        self._graph_steps()

    def make_network(self, spec: NetworkSpec, initial_value: float) -> QNetwork:
        """The network, before it has learned."""
        return QNetwork(spec, initial_value)

    # --- acting ---

    def observe(self, obs: NDArray[np.uint8], begins: Bools) -> None:
        self.agent_state.observe(obs, begins)

    def told_skills(self, skills: Bools) -> None:
        self.exploration.skills = skills if self.config.exploration.skill_share and skills.any() else None

    @property
    def state(self) -> Tensor | None:
        return self.agent_state.carried

    def explore(self, q_BO: Tensor, available: Bools, env_ids: Ints, success: float) -> Ints:
        """The best of these values, or with the probability epsilon any option that is not eliminated, (B,)."""
        admissible = available & (q_BO > ELIMINATED).numpy()
        option = self.exploration.choose(q_BO, available, admissible, env_ids)
        if self.elimination:
            self.elimination.count(available, admissible)
        self.exploration.advance(len(option), success)
        self.decisions += len(option)
        return option

    def acting_values(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Tensor:
        """The Q-values by which these environments act, (B, O)."""
        return self.agent_state.values(obs, env_ids, available)

    def interrupt(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
        """The best option, but with the probability epsilon the running one is kept: exploring needs long ones."""
        better, asks = np.full(len(obs), KEEP), self.exploration.follows(env_ids)
        if asks.any():
            better[asks] = greedy(self.acting_values(obs[asks], available[asks], env_ids[asks]), available[asks])
        return better

    def policy(self, seed: int) -> Policy:
        return SoftmaxPolicy(AgentState(self.network), self.config.temperature, seed)

    # --- learning ---

    @torch.no_grad()
    def values(self, network: QNetwork, x: Tensor, frames: Tensor, available: Tensor) -> Tensor:
        """Q-values (B, O) of ``network``, the online or the target one, by its features (B, F); what is eliminated is masked.

        That is for the online network to say, so that a target network and it agree about it.
        """
        return self.network.mask_eliminated(network.head(x), frames, available)

    def evaluator(self, network: QNetwork, batch: Decisions) -> Evaluate:
        """:meth:`values` of observations of a batch; in minibatches, where they stand in no sequences."""

        @torch.no_grad()
        def evaluate(index: Tensor, available: Tensor) -> Tensor:
            return self.values(network, features(network, batch, index), batch.frames[index], available)

        return partial(in_minibatches, evaluate, size=self.config.batch_size) if batch.begins is None else evaluate

    def online_at_end(self, batch: Decisions) -> Tensor | None:
        """:meth:`values` (B, V) of the online network at each decision's end; None where it has no say in what is best there."""
        if self.target is self.network or not self.config.double:
            return None
        return self.evaluator(self.network, batch)(batch.end, batch.next_available)

    def best_at_end(self, batch: Decisions, q_end_BO: Tensor, q_online_BO: Tensor | None) -> Tensor:
        """Value of the best option at each decision's end, (B,); with a target network the online one may say which that is."""
        if q_online_BO is None:
            return masked_max(q_end_BO, batch.next_available)
        return double_q_bootstrap(q_online_BO, q_end_BO, batch.next_available)

    def gradient_step(self, obs: Tensor, option: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step of Q(obs, option) towards the target; returns the loss (), the TD errors (B,), the features (B, F).

        A family of G discounts has targets, and errors, (B, G).
        """
        return self._descend(self.network.torso(obs), option, target, weight)

    def sequence_step(self, batch: Decisions, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same of all decisions of a batch in sequences, with a core."""
        return self._descend(features(self.network, batch, batch.start), batch.option, target, batch.weight)

    def _descend(self, x: Tensor, option: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q = self.network.head.prediction(x, option)
        loss = td_loss(q, target, weight, self.config.td_clip)
        self.descent.step(loss)
        return loss.detach(), target - q.detach(), x.detach()

    def _graph_steps(self) -> None:
        """On a CUDA device a gradient step becomes one graph, unless a method may do in it what no graph can hold."""
        self.step = self.gradient_step if self.descent.methods else CudaGraph(self.gradient_step, self.config.batch_size)

    def finish_update(self, replay: SMDPReplay, progress: Progress) -> Metrics:
        """What follows learning in every round: elimination, the target network, the log."""
        self.agent_state.forget()
        metrics: Metrics = self.elimination.update(replay, self.decisions) if self.elimination else {}
        if self.config.target_period and self.decisions - self._copied >= self.config.target_period:
            self.target.load_state_dict(self.network.state_dict())
            self._copied = self.decisions
        for method in self.descent.methods:
            method.end_round(self, replay, progress)
        return {"epsilon": float(self.exploration.epsilon.mean()), **metrics}

    def warm_start(self, names: Sequence[str], source: QNetwork, known: Sequence[str]) -> None:
        self.network.warm_start(names, source, known)
        self.target.load_state_dict(self.network.state_dict())

    # --- state ---

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),  # written once where both are one
            "descent": self.descent.state_dict(),
            "elimination": self.elimination and self.elimination.state_dict(),
            "counters": [self.decisions, self._copied, self.exploration.fallen],
            "rng": self._rng.bit_generator.state,
            "agent_state": self.agent_state.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for part, network in (("network", self.network), ("target", self.target)):
            network.load_state_dict(like(state[part], network.state_dict(), part))
        self.descent.load_state_dict(state["descent"])
        self._graph_steps()  # the optimiser's state is in a new place
        if self.elimination:
            self.elimination.load_state_dict(state["elimination"])
        self.decisions, self._copied, self.exploration.fallen = numbers(state["counters"], "counters", 0)
        self._rng.bit_generator.state = state["rng"]
        self.agent_state.load_state_dict(state["agent_state"])

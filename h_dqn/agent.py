"""The algorithm: deep Q-learning over options.

One class, two ways to learn from the same decisions (``Config.learner``):

* ``rollout``: parallelised Q-learning (Gallici et al. 2024) with Q(lambda) over decisions, without replay or target network;
* ``replay``: n-step double DQN (Mnih et al. 2015, van Hasselt et al. 2016) over semi-MDP replay (Tessler et al. 2017).

A deep skill network is this agent with primitive actions alone; the H-DRLN controller is this agent with skills among its options.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from h_dqn.config import BOUNDS, Config
from h_dqn.cuda_graph import CudaGraph
from h_dqn.networks import ELIMINATED, Boltzmann, QNetwork, adopt, greedy, pick_device, values
from h_dqn.options import KEEP
from h_dqn.replay import Decisions, SMDPReplay, Tries
from h_dqn.self_tuning import TRACE, SelfTuning
from h_dqn.targets import action_gap, double_q_bootstrap, masked_max, option_bootstrap, q_lambda, skill_reward, smdp_target

JUDGED_TOGETHER = 32  # minibatches of the replay learner whose targets are worked out at once
SCOUTING_RATE = 1e-3  # learning rate of the elimination network
FIRST_REFIT, REFIT_GROWTH = 4_000, 1.25  # decisions before its bandits are first fitted, and between two fits, as a factor
TRIES = 1000  # of each option in the replay that they are fitted to, at most
# What is eliminated is no longer tried: of each option so many tries outlive the replay, or the reason would be forgotten and
# everything tried again whenever the replay has turned over. Not many, or what was eliminated by mistake would never be tried.
REMEMBERED = 100


class Agent:
    """Q-values over O options from (S, H, W) stacks of frames.

    Args:
        config: settings; of its fields this class reads those of exploration and learning.
        shape: (S, H, W).
        options: O.
        seed: decides the first weights, the exploration and the order of minibatches.
    """

    def __init__(self, config: Config, shape: tuple[int, int, int], options: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.config, self.options = config, options
        self.device = pick_device(config.device)
        self.network = QNetwork(config.network, shape, options, config.initial_value, config.eliminate).to(self.device)
        self.target = deepcopy(self.network) if config.target_period else self.network
        self._weights = [*self.network.trunk.parameters(), *self.network.head.parameters()]
        on_cuda = self.device.type == "cuda"
        rate = torch.tensor(config.learning_rate, device=self.device) if on_cuda else config.learning_rate  # for a graph to read
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.Adam(self._weights, lr=rate, eps=1e-5, fused=True, capturable=on_cuda)
            if config.optimizer == "adam"
            # The DQN papers put the 0.01 inside the root; torch adds it outside, so its root stands here.
            else torch.optim.RMSprop(self._weights, lr=rate, alpha=0.95, eps=0.1, centered=True, capturable=on_cuda)
        )
        self._learn_minibatch = CudaGraph(self._regress, config.batch_size)
        elimination = self.network.elimination
        self.scouting = elimination and torch.optim.Adam(
            [*elimination.learning.parameters(), *elimination.head.parameters()], lr=SCOUTING_RATE, eps=1e-5, fused=True
        )
        begin: dict[str, float] = {name: getattr(config, name) for name in BOUNDS if getattr(config, f"tune_{name}")}
        features, reference = self.network.trunk.features, config.reference_discount
        self.tuning = (
            SelfTuning(features, options, begin, reference, config.meta_rate, config.learning_rate).to(self.device)
            if begin
            else None
        )
        self.outputs = options + (self.tuning.outputs if self.tuning else 0)  # what is known of a frame: see _outputs
        self.decisions = 0  # made while training
        self.success = 0.0  # share of the newest episodes that reached the goal; who trains keeps it up to date
        self.chosen_by = np.zeros((config.worlds, self.outputs), np.float32)  # by which each world's option was chosen last
        self._fallen = 0  # decisions by which epsilon has fallen
        self._updates = 0  # minibatches of the replay learner
        self._copied = 0  # decisions made before the last copy into the target network
        self._offered = np.zeros(2)  # options available where a decision was due since the last round; those of them that were left
        self._tries: Tries | None = None  # those remembered
        self._refit_at = FIRST_REFIT  # decisions at which the bandits of the elimination network are fitted next
        self._rng = np.random.default_rng([seed, 1])

    def start_from(self, source: QNetwork, names: Sequence[str], known: Sequence[str]) -> None:
        """Begin with what another network knows; see :func:`h_dqn.networks.adopt`."""
        adopt(self.network, names, source, known)
        self.target.load_state_dict(self.network.state_dict())

    @property
    def epsilon(self) -> NDArray[np.float64]:
        """Share of random choices in each world now, (N,); falls linearly with the decisions made, and rises while none succeeds.

        The worlds form a ladder from epsilon down to epsilon ** (1 + ladder) (Horgan et al. 2018, section 4): the first go on
        exploring, the last act almost greedily, so that the loops a greedy agent would be caught in are seen and unlearned.
        """
        c = self.config
        epsilon = c.epsilon_start + self._fallen / max(1, c.epsilon_decisions) * (c.epsilon_end - c.epsilon_start)
        rungs: NDArray[np.float64] = epsilon ** (1 + np.linspace(0, c.epsilon_ladder, c.worlds))
        return rungs

    def choose(self, obs: NDArray[np.uint8], available: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The best available option of each row, (B,)."""
        return greedy(values(self.network, obs, available), available)

    def interrupt(self, obs: NDArray[np.uint8], available: NDArray[np.bool_], worlds: NDArray[np.int64]) -> NDArray[np.int64]:
        """As :meth:`choose`, but with the chance epsilon of its world the running option is kept: exploring needs long ones."""
        better, asks = np.full(len(obs), KEEP), self._rng.random(len(obs)) >= self.epsilon[worlds]
        if asks.any():
            better[asks] = self.choose(obs[asks], available[asks])
        return better

    def player(self, seed: int) -> Boltzmann:
        """How the agent chooses where it is evaluated."""
        return Boltzmann(partial(values, self.network), self.config.temperature, seed)

    def explore(self, obs: NDArray[np.uint8], available: NDArray[np.bool_], worlds: NDArray[np.int64]) -> NDArray[np.int64]:
        """As :meth:`choose`, but each row takes, with the chance epsilon of its world (B,), a random option that is left."""
        known = self._outputs(self.network, self._tensor(obs), self._tensor(available)).cpu()
        self.chosen_by[worlds] = known.numpy()
        q_BO = known[:, : self.options]
        if self.tuning:
            q_BO = self.tuning.bend(q_BO, known[:, self.options :], torch.from_numpy(worlds))
        chosen = greedy(q_BO, available)
        random = self._rng.random(len(chosen)) < self.epsilon[worlds]
        admissible = available & (q_BO > ELIMINATED).numpy()
        self._offered += np.array([available.sum(), admissible.sum()])
        chosen[random] = (self._rng.random(available.shape) * admissible).argmax(1)[random]
        self.decisions += len(chosen)
        self._fallen += len(chosen) if self.success or not self.config.epsilon_waits else -len(chosen)
        self._fallen = min(max(self._fallen, 0), self.config.epsilon_decisions)
        return chosen

    def learn(self, replay: SMDPReplay, progress: float) -> dict[str, float]:
        """One round of learning; ``progress`` 0..1 of the run sets the learning rate. Returns what is worth logging."""
        c = self.config
        rate = c.learning_rate * (1 - progress * (1 - c.final_learning_rate))
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate
        losses, row = self._learn_rollout(replay) if c.learner == "rollout" else self._learn_replay(replay)
        elimination = self.network.elimination
        if elimination and self.scouting and self.decisions >= self._refit_at:
            tries = replay.tries(TRIES)
            if self._tries:
                tries |= self._tries
            self._tries = tries.largest(REMEMBERED)
            for some in self._shuffled(tries):
                self.scouting.zero_grad()
                elimination.loss(*some).backward()
                self.scouting.step()
            elimination.refit(self._shuffled(tries))
            self._refit_at = int(self.decisions * REFIT_GROWTH)
        if c.target_period and self.decisions - self._copied >= c.target_period:
            self.target.load_state_dict(self.network.state_dict())
            self._copied = self.decisions
        row |= {"loss": float(torch.stack(losses).mean())} if losses else {}
        if elimination:
            row["eliminated"] = float(1 - self._offered[1] / max(1.0, self._offered[0]))
            self._offered[:] = 0
        return row

    def _learn_rollout(self, replay: SMDPReplay) -> tuple[list[Tensor], dict[str, float]]:
        batch = replay.fresh(self.config.success_memory)
        if not len(batch.option):
            return [], {}
        row, aside = self._tune(batch) if self.tuning else ({}, None)
        target_D = self.lambda_targets(batch) if aside is None else aside[0]
        start, option, weight = self._tensor(batch.start), self._tensor(batch.option), self._tensor(batch.weight)
        losses = []
        for _ in range(self.config.epochs):
            order = self._tensor(self._rng.permutation(len(target_D)))
            for rows in torch.split(order, self.config.batch_size):
                seen = batch.frames[start[rows]]
                loss, _, features = self._learn_minibatch(seen, option[rows], target_D[rows], weight[rows])
                losses.append(loss)
                if self.tuning and aside is not None:
                    self.tuning.learn(features, option[rows], *(part[rows] for part in aside[1:]))
        return losses, row

    @torch.no_grad()
    def _tune(self, batch: Decisions) -> tuple[dict[str, float], tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Move the settings that tune themselves by what was just seen, before anything is learned from it.

        Returns: what is worth logging; targets (D,), their derivatives by eta (D, P), returns under the reference discount (D,),
        and which decisions are fresh (D,).
        """
        tuning, c = self.tuning, self.config
        assert tuning is not None
        known_UV = self._known(batch)
        q_UO, (s_PUO, critic_U) = known_UV[:, : self.options], tuning.split(known_UV[:, self.options :])
        length, option, start, end = (self._tensor(part) for part in (batch.length, batch.option, batch.start, batch.end))
        fresh = self._tensor(batch.fresh)
        reward = skill_reward(self._tensor(batch.rewards) * c.reward_scale, length, tuning.reference)
        ended, following = self._tensor(batch.ended), self._tensor(batch.following)
        return_D = q_lambda(reward, tuning.reference**length, critic_U[end], ended, following, TRACE)
        here = start[fresh]
        allowed = self._tensor(batch.allowed)[fresh] & (q_UO[here] > ELIMINATED)
        slope = tuning.judge(q_UO[here], s_PUO[:, here], option[fresh], allowed, return_D[fresh] - critic_U[here])
        q_UO = q_UO + torch.einsum("p,puo->uo", tuning.move(self.network.head, slope, self.success), s_PUO)
        target_D, slope_DP = tuning.dual(partial(self.lambda_targets, batch), q_UO, s_PUO)
        return tuning.row(), (target_D, slope_DP, return_D, fresh.float())

    def _learn_replay(self, replay: SMDPReplay) -> tuple[list[Tensor], dict[str, float]]:
        c = self.config
        losses: list[Tensor] = []
        while (due := ceil((self.decisions - c.learn_start) * c.updates_per_decision) - self._updates) > 0 and len(replay):
            count = min(due, JUDGED_TOGETHER)
            self._updates += count
            batch = replay.sample(count * c.batch_size, c.n_step, success=c.success_memory)
            start, option, weight = self._tensor(batch.start), self._tensor(batch.option), self._tensor(batch.weight)
            target_B = self.n_step_targets(batch)
            errors = []
            for rows in torch.arange(len(target_B), device=self.device).split(c.batch_size):
                loss, error, _ = self._learn_minibatch(batch.frames[start[rows]], option[rows], target_B[rows], weight[rows])
                losses.append(loss)
                errors.append(error)
            if c.priority:
                replay.set_priority(batch.id, torch.cat(errors).cpu().numpy())
        return losses, {}

    @torch.no_grad()
    def n_step_targets(self, batch: Decisions) -> Tensor:
        """Targets (B,) of the replay learner."""
        rewards, length = self._rewards(batch), self._tensor(batch.length)
        bootstrap, gap = self._judged(batch)
        terminated = self._tensor(batch.terminated)
        return smdp_target(rewards, length, bootstrap, terminated, self.config.discount, self._exponent(length)) + gap

    @torch.no_grad()
    def lambda_targets(
        self,
        batch: Decisions,
        q_UO: Tensor | None = None,
        discount: float | Tensor | None = None,
        trace: float | Tensor | None = None,
    ) -> Tensor:
        """Targets (B,) of the rollout learner, by the config and by what is known of the frames unless something else is given."""
        c, length = self.config, self._tensor(batch.length)
        gamma, trace = c.discount if discount is None else discount, c.trace if trace is None else trace
        reward = skill_reward(self._rewards(batch), length, gamma)
        bootstrap, gap = self._judged(batch, q_UO)
        terminated, following = self._tensor(batch.terminated), self._tensor(batch.following)
        return q_lambda(reward, gamma ** self._exponent(length), bootstrap, terminated, following, trace) + gap

    @property
    def _cost(self) -> float:
        """What a decision costs now, as it is learned; an option that goes on does not pay again.

        While no way to the goal is known, long options must not look better for that cost alone: it comes with success.
        """
        return self.config.deliberation * self.success * self.config.reward_scale

    def _rewards(self, batch: Decisions) -> Tensor:
        """Rewards (B, K) as they are learned: scaled, and less what the decision itself costs, at its first step."""
        rewards = self._tensor(batch.rewards) * self.config.reward_scale
        rewards[:, 0] -= self._cost
        return rewards

    def _exponent(self, length: Tensor) -> Tensor:
        return length if self.config.discount_by == "step" else torch.ones_like(length)

    def _known(self, batch: Decisions) -> Tensor:
        """What is known of each frame of the batch, as :meth:`_outputs`; NaN where neither target nor gap needs it."""
        start, end = self._tensor(batch.start), self._tensor(batch.end)
        known = self._tensor(batch.values).clone()
        here_UO = torch.zeros(len(known), self.options, dtype=torch.bool, device=self.device)  # what can be chosen at each frame
        here_UO[start], here_UO[end] = self._tensor(batch.allowed), self._tensor(batch.available)
        wanted = torch.zeros(len(known), dtype=torch.bool, device=self.device)
        wanted[torch.cat([start, end]) if self.config.gap or self.tuning else end] = True
        if self.target is self.network:  # those that the options were chosen by are still right
            wanted &= known.isnan().any(1)
        known[wanted] = self._values(self.target, batch.frames[wanted], here_UO[wanted])
        return known

    def _judged(self, batch: Decisions, q_UO: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What is expected from the end of each decision on, and the action gap where it was made; both (B,)."""
        option, start, end = self._tensor(batch.option), self._tensor(batch.start), self._tensor(batch.end)
        allowed, available = self._tensor(batch.allowed), self._tensor(batch.available)
        q_UO = self._known(batch)[:, : self.options] if q_UO is None else q_UO
        q_end = q_UO[end]
        persists = self._tensor(batch.persists) * (q_end.gather(1, option[:, None]).squeeze(1) > ELIMINATED)
        gap = torch.zeros(len(option), device=self.device)
        if self.config.gap:
            gap = action_gap(q_UO[start], option, allowed, self.config.gap)
            gap = torch.where(gap > ELIMINATED / 2, gap, 0.0)  # an old success may be of an option that is eliminated by now
            gap = (1 - persists) * gap  # beside a value that goes on, a whole gap would be no contraction: values would explode
        best = (
            double_q_bootstrap(self._values(self.network, batch.frames[end], available), q_end, available)
            if self.config.double and self.target is not self.network
            else masked_max(q_end, available)
        )
        return option_bootstrap(q_end + self._cost, best, option, persists), gap

    @torch.no_grad()
    def _outputs(self, network: QNetwork, frames: Tensor, available: Tensor) -> Tensor:
        """Q-values (B, O), and beside them what :class:`SelfTuning` says, where there is one.

        What is eliminated is for the online network to say, so that a target network and it agree about that.
        """
        x = network.trunk(frames)
        q = self.network.admit(network.head(x), frames, available)
        return torch.cat([q, self.tuning(x)], 1) if self.tuning else q

    def _values(self, network: QNetwork, frames: Tensor, available: Tensor) -> Tensor:
        """:meth:`_outputs`, on a CPU a minibatch at a time: activations of a whole round would outgrow its caches."""
        size = self.config.batch_size if self.device.type == "cpu" else max(1, len(frames))
        return torch.cat(
            [
                self._outputs(network, rows, possible)
                for rows, possible in zip(frames.split(size), available.split(size), strict=True)
            ]
        )

    def _regress(self, obs: Tensor, option: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One gradient step of Q(obs, option) towards the target; returns the loss, the TD errors (B,), the features (B, D)."""
        x = self.network.trunk(obs)
        q = self.network.head(x).gather(1, option[:, None]).squeeze(1)
        error = target - q.detach()
        clip = self.config.td_clip
        loss_B = nn.functional.huber_loss(q, target, "none", clip) if clip else 0.5 * (target - q) ** 2
        loss = (weight * loss_B).mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._weights, self.config.max_grad_norm)
        self.optimizer.step()
        return loss.detach(), error, x.detach()

    def _shuffled(self, tries: Tries) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Frames, options and signals, a minibatch at a time, in any order."""
        order, chunk = self._rng.permutation(len(tries.option)), self.config.batch_size
        for rows in np.split(order, range(chunk, len(order), chunk)):
            yield self._tensor(tries.frames[rows]), self._tensor(tries.option[rows]), self._tensor(tries.futile[rows])

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": self.optimizer.state_dict()["state"],
            "scouting": self.scouting and self.scouting.state_dict(),
            "tuning": self.tuning and self.tuning.state(),
            "tries": self._tries and vars(self._tries),
            "counters": [self.decisions, self._fallen, self._updates, self._copied, self._refit_at],
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.target.load_state_dict(state["target"])
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state["optimizer"]})
        self._learn_minibatch = CudaGraph(self._regress, self.config.batch_size)  # the optimiser's state is in a new place
        if self.scouting:
            self.scouting.load_state_dict(state["scouting"])
        if self.tuning:
            self.tuning.load_state(state["tuning"])
        self._tries = state["tries"] and Tries(**state["tries"])
        self.decisions, self._fallen, self._updates, self._copied, self._refit_at = state["counters"]
        self._rng.bit_generator.state = state["rng"]

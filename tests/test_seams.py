"""What can be added without an edit to the package: a learner, a head, a method. Each is written here and learns the corridor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from h_dqn.checkpoint import load_state, save_state
from h_dqn.config import Config, change
from h_dqn.learners import LEARNERS, Choice, Kind, Learner, Method, Metrics, Progress
from h_dqn.networks import HEADS, Head, Torso
from h_dqn.options import Bools, Ints
from h_dqn.replay import ReplayNeeds, SMDPReplay
from h_dqn.rollout import Policy
from h_dqn.settings import Positive, Share
from h_dqn.targets import q_lambda, skill_reward
from h_dqn.train import Trainer
from tests.conftest import Corridor
from tests.helpers import Q_LAMBDA, learned, options

pytestmark = pytest.mark.usefixtures("tiny_network")


def solves(trainer: Trainer) -> bool:
    outcome = trainer.evaluate(100, seed=1)
    return outcome.success_rate == 1.0 and outcome.env_steps <= 100 * 3 * 1.1


# --- a learner: an actor-critic over decisions ---


@dataclass(frozen=True)
class ActorCriticConfig:
    """A learner brings its own settings."""

    discount: Share = 0.9
    td_lambda: Share = 0.8
    learning_rate: Positive = 3e-3
    entropy: Positive = 0.01
    temperature: float = 1.0


class ActorCriticNetwork(nn.Module):
    def __init__(self, architecture: str, shape: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        self.torso = Torso(architecture, shape)
        self.logits, self.value = nn.Linear(self.torso.features, outputs), nn.Linear(self.torso.features, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        x = self.torso(frames)
        return self.logits(x), self.value(x).squeeze(1)


class ActorCritic(Learner):
    """Advantage actor-critic; what it records of a decision is the log-probability by which it was chosen."""

    def __init__(
        self, config: Config, shape: tuple[int, int, int], options: int, seed: int, methods: Sequence[Method] = ()
    ) -> None:
        torch.manual_seed(seed)
        self.config: ActorCriticConfig = config.learner
        self.network = ActorCriticNetwork(config.net.network, shape, options)
        self.needs = ReplayNeeds(past=False, record_size=1)
        self._optimizer = torch.optim.Adam(self.network.parameters(), self.config.learning_rate)
        self._generator = torch.Generator().manual_seed(seed)
        self.recorded = 0  # decisions whose record came back as it was given

    def act(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints, progress: Progress) -> Choice:
        with torch.no_grad():
            logits = self.network(torch.from_numpy(obs))[0].masked_fill(~torch.from_numpy(available), -torch.inf)
        option = torch.multinomial(logits.softmax(1), 1, generator=self._generator)
        return Choice(option.squeeze(1).numpy(), logits.log_softmax(1).gather(1, option).numpy())

    def update(self, replay: SMDPReplay, progress: Progress) -> Metrics:
        batch, c = replay.fresh(), self.config
        if not len(batch):
            return {}
        logits, value = self.network(batch.frames)
        reward = skill_reward(batch.rewards, batch.length, c.discount)
        bootstrap, discount = value.detach()[batch.end], c.discount**batch.length
        returns = q_lambda(reward, discount, bootstrap, batch.terminated, batch.following, c.td_lambda)
        chance = logits[batch.start].masked_fill(~batch.available, -1e9).log_softmax(1)
        log_chance = chance.gather(1, batch.option[:, None]).squeeze(1)
        recorded = batch.record[batch.start, 0]
        self.recorded += int(recorded.isfinite().sum())
        ratio = (log_chance.detach() - recorded.nan_to_num(0.0)).exp().clamp(max=1.0)
        advantage = returns - value[batch.start]
        actor = -(ratio * advantage.detach() * log_chance).mean()
        loss = actor + 0.5 * advantage.square().mean() + c.entropy * (chance.exp() * chance).sum(1).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return {"loss": float(loss.detach())}

    def policy(self, seed: int) -> Policy:
        def choose(obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
            with torch.no_grad():
                best: Ints = self.network(torch.from_numpy(obs))[0].argmax(1).numpy()
            return best

        return choose

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])


def test_a_learner_is_added_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LEARNERS, "actor_critic", Kind(ActorCriticConfig, ActorCritic))
    config = change(replace(Q_LAMBDA, learner=ActorCriticConfig()), env_steps=30_000, intra_option="no", num_envs=32)
    trainer = learned(config)
    assert solves(trainer)
    assert isinstance(trainer.learner, ActorCritic)
    assert trainer.learner.recorded > 0.9 * trainer.decisions, "what it records of a decision comes back"


# --- a head: dueling (Wang et al. 2016, equation 9) ---


class DuelingHead(Head):
    def __init__(self, features: int, outputs: int, initial_value: float = 0.0) -> None:
        super().__init__()
        self.value, self.advantage = nn.Linear(features, 1), nn.Linear(features, outputs)
        for layer in (self.value, self.advantage):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.value.bias, initial_value)

    def forward(self, x_BF: Tensor) -> Tensor:
        a_BO = self.advantage(x_BF)
        q_BO: Tensor = self.value(x_BF) + a_BO - a_BO.mean(1, keepdim=True)
        return q_BO

    @torch.no_grad()
    def grow(self, names: Sequence[str], source: Head, known: Sequence[str]) -> None:
        assert isinstance(source, DuelingHead)
        self.value.load_state_dict(source.value.state_dict())
        for index, name in enumerate(names):
            if name in known:
                self.advantage.weight[index] = source.advantage.weight[known.index(name)]
                self.advantage.bias[index] = source.advantage.bias[known.index(name)]


@pytest.mark.parametrize("learner", ["q_lambda", "dqn"])
def test_a_head_is_added_by_its_name(learner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HEADS, "dueling", DuelingHead)
    changes = {"learn_start": 200, "updates_per_decision": 0.25, "target_period": 200, "capacity": 2000} if learner == "dqn" else {}
    trainer = learned(change(Q_LAMBDA, learner=learner, head="dueling", **changes))
    assert isinstance(trainer.learner.network.head, DuelingHead)
    assert solves(trainer)


# --- a method: L2 towards the weights that a phase begins with ---


class L2ToStart(Method):
    def __init__(self, weight: float) -> None:
        self.weight, self.start = weight, list[Tensor]()
        self.calls: list[str] = []

    def begin_phase(self, learner: Learner, phase: int) -> None:
        self.start = [weights.detach().clone() for weights in learner.network.parameters()]
        self.calls.append(f"begin {phase}")

    def end_phase(self, learner: Learner, replay: SMDPReplay, phase: int) -> None:
        self.calls.append(f"end {phase}")

    def loss(self, network: nn.Module) -> Tensor:
        pairs = zip(network.parameters(), self.start, strict=True)
        return self.weight * torch.stack([(weights - start).square().sum() for weights, start in pairs]).sum()

    def state_dict(self) -> dict[str, Any]:
        return {"start": self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.start = state["start"]


def moved(trainer: Trainer, start: Sequence[Tensor]) -> float:
    pairs = zip(trainer.learner.network.parameters(), start, strict=True)
    return float(torch.stack([(weights.detach() - begin).square().sum() for weights, begin in pairs]).sum())


def test_a_method_changes_how_a_learner_learns() -> None:
    weak, strong = L2ToStart(1e-4), L2ToStart(100.0)
    gentle, held = learned(Q_LAMBDA, methods=[weak]), learned(Q_LAMBDA, methods=[strong])
    assert solves(gentle)
    assert moved(held, strong.start) < 0.01 * moved(gentle, weak.start)
    assert weak.calls == ["begin 0", "end 0"]


def test_a_method_may_edit_gradients_and_follow_each_step() -> None:
    class Freeze(Method):
        """No layer of the torso moves; counts the steps."""

        steps = 0

        def edit_gradients(self, network: nn.Module) -> None:
            assert isinstance(network.torso, Torso)
            for weights in network.torso.parameters():
                weights.grad = torch.zeros_like(weights)

        def after_update(self, network: nn.Module) -> None:
            self.steps += 1

    method = Freeze()
    trainer = Trainer(lambda n: Corridor(n), options(), change(Q_LAMBDA, env_steps=1024), seed=1, methods=[method])
    before = [weights.clone() for weights in trainer.learner.network.parameters()]
    for _ in trainer.run():
        pass
    after = list(trainer.learner.network.parameters())
    assert method.steps > 10
    assert all(torch.equal(a, b) for a, b in zip(before[:-2], after[:-2], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(before[-2:], after[-2:], strict=True))


def test_a_method_sees_the_phases_of_a_run() -> None:
    method = L2ToStart(0.0)
    later = [(512, lambda n: Corridor(n, length=4))]
    for _ in Trainer(lambda n: Corridor(n), options(), change(Q_LAMBDA, env_steps=1024), 1, later, [method]).run():
        pass
    assert method.calls == ["begin 0", "end 0", "begin 1", "end 1"]


def test_a_method_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """Stopped in the second phase, towards whose beginning it pulls."""
    later = [(512, lambda n: Corridor(n, length=4))]
    config = change(Q_LAMBDA, env_steps=1024)
    whole, part, other = (Trainer(lambda n: Corridor(n), options(), config, 1, later, [L2ToStart(0.1)]) for _ in range(3))
    rows, running = list(whole.run()), part.run()
    for _ in range(6):
        next(running)
    file = save_state(tmp_path, "checkpoint", part.state_dict())
    other.load_state_dict(load_state(file))
    assert [{**row, "seconds": 0} for row in rows[6:]] == [{**row, "seconds": 0} for row in other.run()]
    for a, b in zip(whole.learner.network.parameters(), other.learner.network.parameters(), strict=True):
        assert torch.equal(a, b)

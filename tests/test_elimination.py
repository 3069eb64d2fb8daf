"""The bandits against a naive twin, the bound's coverage, and the mask in each of its three places."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from h_dqn.config import Config, change
from h_dqn.elimination import ELIMINATED, LinearBandits, most_tries
from h_dqn.learners import Progress
from h_dqn.learners.dqn import DQN
from h_dqn.learners.q_lambda import QLambda
from h_dqn.networks import ARCHITECTURES, Architecture, QNetwork
from h_dqn.options import primitives
from h_dqn.policies import greedy
from h_dqn.train import Trainer
from skills_library.policy import PolicyHead, SavedPolicy, load_policy, save_policy
from tests.conftest import Corridor
from tests.helpers import DQN_CONFIG, Q_LAMBDA, SHAPE, batch_of, learner_with, targets_of

pytestmark = pytest.mark.usefixtures("tiny_network")
CONFIG, CONFIG_DQN = change(Q_LAMBDA, eliminate=True), change(DQN_CONFIG, eliminate=True)


@pytest.fixture(autouse=True)
def _tiny_elimination_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "scout", Architecture(((8, 8, 8),), hidden=8, norm=True))


def tries(n: int, options: int, features: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Unit features, options (the last is never tried) and signals of 0 and 1."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.nn.functional.normalize(torch.randn(n, features, generator=draw))
    return x, torch.randint(options - 1, (n,), generator=draw), torch.randint(2, (n,), generator=draw).float()


def test_bandits_are_ridge_regressions() -> None:
    """Against V = ridge I + X^T X, its inverse and its determinant, worked out option by option."""
    ridge, delta, norm = 0.3, 0.1, 2.0
    x, option, signal = tries(200, 4, 5, seed=1)
    bandits = LinearBandits(4, 5, ridge=ridge, delta=delta, norm=norm)
    bandits.refit(x, option, signal)
    at = torch.randn(7, 5)
    mean, width = bandits(at)
    for o in range(4):
        rows = x[option == o].double()
        v = ridge * torch.eye(5, dtype=torch.float64) + rows.T @ rows
        theta = torch.linalg.solve(v, rows.T @ signal[option == o].double())
        noise = 0.0
        if len(rows):
            hat = rows @ torch.linalg.solve(v, rows.T)
            missed = signal[option == o].double() - hat @ signal[option == o].double()
            noise = float((missed.square().sum() / (len(rows) - hat.trace())).sqrt())
        beta = noise * (2 * torch.log(v.det() ** 0.5 * ridge ** (-5 / 2) / (delta / 4))).sqrt()
        spread = torch.stack([row @ torch.linalg.solve(v, row) for row in at.double()])
        assert torch.allclose(mean[:, o].double(), at.double() @ theta, atol=1e-5)
        pull = torch.stack([torch.linalg.solve(v, row).norm() for row in at.double()]) * ridge * norm
        expected = beta * spread.sqrt() + pull + math.log(4 / delta) * spread
        assert torch.allclose(width[:, o].double(), expected, rtol=1e-4, atol=1e-4)
    half = torch.arange(len(x)) % 2 == 0
    again = LinearBandits(4, 5, ridge=ridge, delta=delta, norm=norm)
    again.refit(x[half], option[half], signal[half], torch.full((int(half.sum()),), 2))
    bandits.refit(torch.cat([x[half], x[half]]), torch.cat([option[half]] * 2), torch.cat([signal[half]] * 2))
    for one, other in zip(again(at), bandits(at), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_keeping_fewer_directions_takes_less_memory_and_only_widens_the_bound() -> None:
    x, option, signal = tries(300, 4, 16, seed=2)
    full, low = LinearBandits(4, 16), LinearBandits(4, 16, rank=4)
    for bandits in (full, low):
        bandits.refit(x, option, signal)
    at = torch.nn.functional.normalize(torch.randn(50, 16))
    assert low.directions.numel() == full.directions.numel() // 4
    assert torch.equal(low(at)[0], full(at)[0])
    assert (low(at)[1] >= full(at)[1] - 1e-5).all()
    assert (low(at)[1][:, :3] > full(at)[1][:, :3] + 0.05).any()


@pytest.mark.parametrize(("share", "holds"), [(1.0, True), (0.2, False)])
def test_the_bound_covers_the_truth(share: float, holds: bool) -> None:
    """Signals of 0 and 1 with a linear mean: it leaves the interval, for any option at any time, in a share delta of the runs.

    A fifth of the interval does not hold it, so this test can fail.
    """
    runs, failed, delta = 100, 0, 0.05
    for seed in range(runs):
        draw = torch.Generator().manual_seed(seed)
        x = torch.nn.functional.normalize(torch.rand(120, 4, generator=draw))
        truth = torch.rand(3, 4, generator=draw) * 0.5  # means in 0..1, norms of at most 1
        option = torch.randint(3, (120,), generator=draw)
        signal = (torch.rand(120, generator=draw) < (x * truth[option]).sum(1)).float()
        bandits, outside = LinearBandits(3, 4, delta=delta, norm=1.0), False
        for t in range(10, 121, 10):
            bandits.refit(x[:t], option[:t], signal[:t])
            mean, width = bandits(x)
            outside |= bool(((mean - x @ truth.T).abs() > share * width + 1e-6).any())
        failed += outside
    assert (failed <= delta * runs) == holds


def test_what_does_nothing_is_eliminated_within_the_bound_and_what_is_of_use_never() -> None:
    """Two kinds of states (one-hot), option o does nothing in the other kind; tried at random among what is left."""
    bandits, rng = LinearBandits(4, 2), np.random.default_rng(1)
    x, option, signal = torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    wrong = np.zeros((2, 4), int)
    for _ in range(600):
        kind = int(rng.integers(2))
        here = torch.eye(2)[kind : kind + 1]
        left = bandits.admissible(here, torch.ones(1, 4, dtype=torch.bool))[0].numpy()
        assert left[[kind, kind + 2]].all()
        tried = int(rng.choice(np.flatnonzero(left)))
        futile = tried % 2 != kind
        wrong[kind, tried] += futile
        x, option = torch.cat([x, here]), torch.cat([option, torch.tensor([tried])])
        signal = torch.cat([signal, torch.tensor([float(futile)])])
        bandits.refit(x, option, signal)
    assert not left[1 - kind]
    assert 0 < wrong.max() <= most_tries(4, 2, 600)


def test_a_mask_is_never_empty() -> None:
    """Where all available options are eliminated, all of them are left."""
    bandits = LinearBandits(3, 2)
    x = torch.tensor([[1.0, 0.0]]).repeat(900, 1)
    bandits.refit(x, torch.arange(900) % 3, torch.tensor([1.0, 1.0, 0.0]).repeat(300))
    available = torch.tensor([[True, True, True], [True, True, False], [False, True, False]])
    left = bandits.admissible(x[:3], available)
    assert left.tolist() == [[False, False, True], [True, True, False], [False, True, False]]


class Knows(torch.nn.Module):
    """Bandits that are sure that option 2 does nothing."""

    def admissible(self, x_BD: torch.Tensor, available_BO: torch.Tensor) -> torch.Tensor:
        return available_BO & torch.tensor([True, True, False]).to(available_BO)


def sure(config: Config) -> QLambda | DQN:
    """A learner that takes option 2 for the best by far, were it not eliminated."""
    learner = learner_with([1.0, 2.0, 9.0], config)
    learner.target.head.load_state_dict(learner.network.head.state_dict())
    assert learner.network.elimination is not None
    learner.network.elimination.bandits = Knows()  # type: ignore[assignment]
    return learner


OBS, EVERY = np.zeros((64, *SHAPE), np.uint8), np.ones((64, 3), bool)


def explored(learner: QLambda | DQN) -> set[int]:
    return set(learner.act(OBS, EVERY, np.arange(64), Progress(0.0, 0.0)).option.tolist())


@pytest.mark.parametrize("config", [CONFIG, CONFIG_DQN], ids=["q_lambda", "dqn"])
def test_what_is_eliminated_is_not_tried(config: Config) -> None:
    assert explored(sure(change(config, num_envs=64, epsilon_ladder=0.0, epsilon_start=1.0))) == {0, 1}


@pytest.mark.parametrize("config", [CONFIG, CONFIG_DQN], ids=["q_lambda", "dqn"])
def test_what_is_eliminated_is_not_chosen(config: Config) -> None:
    learner = sure(change(config, num_envs=64, epsilon_ladder=0.0, epsilon_start=0.0))
    assert explored(learner) == {1}
    for chosen in (
        greedy(learner.network.values(OBS, EVERY), EVERY),
        learner.policy(seed=1)(OBS, EVERY, np.arange(64)),
        learner.interrupt(OBS, EVERY, np.arange(64)),
    ):
        assert set(chosen.tolist()) == {1}


@pytest.mark.parametrize("target_period", [0, 100])
@pytest.mark.parametrize("double", [True, False])
def test_what_is_eliminated_is_not_bootstrapped_from(target_period: int, double: bool) -> None:
    """One decision of option 0 for a reward of 1: the target is 1 + 0.9 * Q(option 1), not 1 + 0.9 * Q(option 2)."""
    batch = batch_of(rewards=torch.ones(1, 1), option=torch.tensor([0]))
    for config in (change(CONFIG, td_lambda=0.0), CONFIG_DQN):
        learner = sure(change(config, target_period=target_period, double=double))
        assert (learner.target is learner.network) == (not target_period)
        assert targets_of(learner, batch).tolist() == pytest.approx([1 + 0.9 * 2])


def test_an_old_try_of_what_is_eliminated_now_has_a_sane_target() -> None:
    """A success that is remembered may hold one; neither the action gap nor going on with it may spoil its value."""
    learner = sure(change(CONFIG, advantage_learning_alpha=0.5, td_lambda=0.0))
    batch = batch_of(rewards=torch.ones(1, 1), option=torch.tensor([2]), continuation=torch.tensor([0.5]))
    assert targets_of(learner, batch).tolist() == pytest.approx([1 + 0.9 * 2])


class Cluttered(Corridor):
    """A corridor with actions beside left and right, none of which does anything."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs, actions=30)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        before, actions = self.cell.copy(), np.asarray(actions)
        _, _, reached, _, info = super().step(actions)
        nothing = actions > 1
        self.cell = np.where(nothing, before, self.cell)
        reached = reached & ~nothing
        truncated = (self.steps >= self.limit) & ~reached
        return self._obs(), np.where(reached, 0.0, -1.0), reached, truncated, {**info, "invalid_action": nothing}


def cluttered(config: Config) -> tuple[Trainer, QNetwork]:
    trainer = Trainer(lambda n: Cluttered(n), primitives([str(n) for n in range(30)]), config, 1)
    for _ in trainer.run():
        pass
    assert isinstance(trainer.learner.network, QNetwork)
    return trainer, trainer.learner.network


def left(network: QNetwork) -> NDArray[np.bool_]:
    """(cells, actions): what is not eliminated in the corridor."""
    envs = Cluttered(5)
    envs.cell = np.arange(5)
    return np.asarray(network.values(envs._obs()).numpy() > ELIMINATED)


EXPLORES = change(CONFIG, env_steps=12_000, epsilon_end=1.0, epsilon_ladder=0.0)


def test_a_cluttered_corridor_is_cleared(tmp_path: Path) -> None:
    """Explored at random to the end: what is of use stays everywhere, the rest goes, and what is seen is worth more.

    A skill made of it remembers what it eliminates.
    """
    trainer, network = cluttered(EXPLORES)
    without, _ = cluttered(change(EXPLORES, eliminate=False, env_steps=3_000))
    admitted = left(network)
    assert admitted[:, :2].all()
    assert admitted[:, 2:].mean() < 0.05
    assert trainer.statistics.row()["invalid_share"] < 0.5 < 0.9 < without.statistics.row()["invalid_share"]
    assert trainer.evaluate(200, seed=1).success_rate == 1.0
    names = tuple(str(n) for n in range(30))
    save_policy(SavedPolicy("clear", network, (PolicyHead("clear", names),)), tmp_path / "clear")
    np.testing.assert_array_equal(left(load_policy(tmp_path / "clear").network), admitted)


def test_what_was_eliminated_stays_so_when_its_tries_have_left_the_replay() -> None:
    _, network = cluttered(change(EXPLORES, capacity=2_000))
    admitted = left(network)
    assert admitted[:, :2].all()
    assert admitted[:, 2:].mean() < 0.05

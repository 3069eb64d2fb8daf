"""Meta-parameters that tune themselves: their sensitivities, their meta-gradient, and where they go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn import self_tuning
from h_dqn.config import Config, ConfigError, change
from h_dqn.learners import make_learner
from h_dqn.learners.q_lambda import QLambda
from h_dqn.networks import LinearHead
from h_dqn.options import primitives
from h_dqn.self_tuning import BOUNDS, SelfTuning, SelfTuningConfig
from h_dqn.targets import option_bootstrap, q_lambda, skill_reward
from h_dqn.train import Trainer
from tests.conftest import Corridor
from tests.helpers import Q_LAMBDA, SHAPE, learned, value_learner

pytestmark = pytest.mark.usefixtures("tiny_network")
TUNED = change(Q_LAMBDA, tune_discount=True, temperature=0.05)


def tuning(discount: float = 0.9, config: SelfTuningConfig | None = None, **others: float) -> SelfTuning:
    """Of a head with three options on four features."""
    begin = {"discount": discount, **others}
    return SelfTuning(LinearHead(4, 3), 3, begin, config or SelfTuningConfig(), 1e-3, np.random.default_rng(1))


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_a_sensitivity_is_the_derivative_of_the_value() -> None:
    """In cell s of the corridor, d = 5 - s steps from the goal, Q(right) = -(1 - gamma^(d-1)) / (1 - gamma); here gamma = 0.9.

    By eta, where gamma = sigmoid(eta): gamma (1 - gamma) times the derivative by gamma, here of a sum of powers.
    """
    stays = change(TUNED, env_steps=15_000, final_learning_rate=0.05, epsilon_end=0.5, meta_rate=1e-9, perturb=False)
    learner = learned(stays).learner
    assert isinstance(learner, QLambda)
    assert learner.tuning is not None
    assert learner.tuning.warm
    assert learner.tuning.metrics()["discount"] == pytest.approx(0.9)
    envs = Corridor(5)
    envs.cell = np.arange(5)
    with torch.no_grad():
        x = learner.network.torso(torch.from_numpy(envs._obs()).to(learner.device))
        (s_BO,), _ = learner.tuning.split(learner.tuning(x))
    worked = [-0.9 * 0.1 * sum(i * 0.9 ** (i - 1) for i in range(5 - cell - 1)) for cell in range(5)]
    assert worked[0] == pytest.approx(-0.09 * (1 + 1.8 + 2.43))
    assert s_BO[:, 1].cpu().numpy() == pytest.approx(worked, abs=0.1)
    assert s_BO[:, 2].cpu().numpy() == pytest.approx(worked, abs=0.1)


@pytest.mark.usefixtures("double")
def test_a_target_carries_its_derivative() -> None:
    """Against finite differences: of the discount and of lambda, through rewards, bootstrap and lambda-return together."""
    rng = np.random.default_rng(4)
    rewards, length = torch.from_numpy(rng.normal(size=(6, 5))), torch.from_numpy(rng.integers(1, 6, 6))
    option, end = torch.from_numpy(rng.integers(0, 3, 6)), torch.from_numpy(rng.integers(0, 4, 6))
    terminated, following = torch.tensor([False, False, True, False, False, False]), torch.tensor([1, 2, -1, 4, 5, -1])

    def target(q_UO: Tensor, discount: Tensor, td_lambda: Tensor) -> Tensor:
        bootstrap = option_bootstrap(q_UO[end], q_UO[end].max(1).values, option, torch.full((6,), 0.3))
        return q_lambda(skill_reward(rewards, length, discount), discount**length, bootstrap, terminated, following, td_lambda)

    tuned = tuning(td_lambda=0.6)
    q_UO, s_PUO = torch.from_numpy(rng.normal(size=(4, 3))), torch.from_numpy(rng.normal(size=(2, 4, 3)))
    y_D, slope_DP = tuned.dual(target, q_UO, s_PUO)
    eta = tuned.eta.detach()
    for p in range(2):
        step = torch.zeros(2)
        step[p] = 1e-6
        up = target(q_UO + 1e-6 * s_PUO[p], **tuned.meta_parameters(eta + step))
        down = target(q_UO - 1e-6 * s_PUO[p], **tuned.meta_parameters(eta - step))
        torch.testing.assert_close(slope_DP[:, p], (up - down) / 2e-6, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(y_D, target(q_UO, **tuned.meta_parameters(eta)))


EVERY = torch.ones(2, 3, dtype=torch.bool)


def test_what_turned_out_well_pulls_the_meta_parameter() -> None:
    """A larger eta would raise option 0, which was better than expected in the first state and worse in the second."""
    q, s = torch.tensor([[1.0, 0.8, 0.0], [1.0, 0.8, 0.0]]), torch.tensor([[[0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    option, good = torch.tensor([0, 0]), torch.tensor([1.0, -1.0])
    assert tuning().outer_slope(q, s, option, EVERY, good) < 0 < tuning().outer_slope(q, s, option, EVERY, -good)
    assert tuning().outer_slope(q, s.flip(1), option, EVERY, good) > 0


def test_what_brings_all_values_closer_together_changes_no_preference() -> None:
    q, advantage = torch.tensor([[1.0, 0.8, 0.0], [0.3, -0.2, 0.7]]), torch.tensor([1.0, -0.5])
    nearer = -0.3 * q + torch.tensor([[7.0], [-2.0]])  # and shifts them
    slope = tuning().outer_slope(q, nearer[None], torch.tensor([0, 2]), EVERY, advantage)
    assert slope.item() == pytest.approx(0.0, abs=1e-6)


def test_options_that_could_not_be_chosen_have_no_say() -> None:
    q, s = torch.tensor([[1.0, 0.8, -1e9], [0.3, -0.2, 0.7]]), torch.tensor([[[0.5, 0.1, 9.0], [0.2, 0.0, -0.3]]])
    available = torch.tensor([[True, True, False], [True, True, True]])
    option, advantage = torch.tensor([0, 2]), torch.tensor([1.0, -0.5])
    slope = tuning().outer_slope(q, s, option, available, advantage)
    q[0, 2], s[0, 0, 2] = 5.0, -40.0
    assert tuning().outer_slope(q, s, option, available, advantage).item() == pytest.approx(slope.item())
    assert slope.abs() > 1e-3


def test_a_random_walk_does_not_look_at_what_happened() -> None:
    """The control: as large a step, in a direction that only the generator decides."""
    walk = SelfTuningConfig(tune_discount=True, meta_step="random_walk")
    q, s, option = torch.rand(2, 3), torch.rand(1, 2, 3), torch.tensor([0, 2])
    one, other = (
        [tuning(config=walk).outer_slope(q, s, option, EVERY, advantage).item() for _ in range(2)]
        for advantage in (torch.tensor([1.0, -0.5]), torch.tensor([-9.0, 4.0]))
    )
    assert one == other
    walked = tuning(config=walk)
    steps = [walked.outer_slope(q, s, option, EVERY, torch.ones(2)).item() for _ in range(400)]
    assert abs(np.mean(steps)) < 0.2
    assert np.std(steps) == pytest.approx(1.0, abs=0.15)


def test_the_values_follow_the_meta_parameter() -> None:
    """After a step, the head says what the tangent foretold; before the warm-up is over, nothing moves; bounds hold.

    Without successes the warm-up never ends.
    """
    tuned = tuning(td_lambda=0.6)
    for layer in (tuned.head, tuned.sensitivity):
        torch.nn.init.normal_(layer.weight)
    x = torch.randn(5, 4)
    before, (s_PBO, _) = tuned.head(x), tuned.split(tuned(x))
    for success in [0.0] * 2 * self_tuning.WARM_UP + [0.5] * 2 * self_tuning.WARM_UP:
        assert not tuned.move(torch.ones(2), success).any()
    moved = tuned.move(torch.tensor([-1.0, 2.0]), 0.1)
    assert moved.tolist() == pytest.approx([0.05, -0.05], abs=1e-3)
    torch.testing.assert_close(tuned.head(x), before + moved[0] * s_PBO[0] + moved[1] * s_PBO[1])
    for sign, end in ((1.0, 0), (-1.0, 1)):
        for _ in range(400):
            tuned.move(torch.full((2,), sign), 1.0)
        found = {name: value.item() for name, value in tuned.meta_parameters(tuned.eta).items()}
        assert found == pytest.approx({name: BOUNDS[name][end] for name in ("discount", "td_lambda")})


def test_environments_try_a_larger_and_a_smaller_eta_once_it_moves() -> None:
    q, s = torch.zeros(16, 3), torch.cat([torch.full((16, 3), 1.0), torch.full((16, 3), 10.0), torch.zeros(16, 1)], 1)
    tried = [0, 0, 0, -1, 0, 0, 0, 1]
    for perturb in (True, False):
        tuned = tuning(config=SelfTuningConfig(perturb=perturb), td_lambda=0.6)
        assert not tuned.perturb(q, s, torch.arange(16)).any()
        tuned.warmth = self_tuning.WARM_UP + 1
        found = tuned.perturb(q, s, torch.arange(16))[:, 0].tolist()
        assert found == ([*tried, *(10 * offset for offset in tried)] if perturb else [0] * 16)


class Fork(Corridor):
    """A corridor with an exit at either end: the near one is worth 1, the far one 2; a limit tells whether it can be reached."""

    def __init__(self, num_envs: int, limit: int) -> None:
        super().__init__(num_envs, length=8, limit=limit)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.cell[self.steps == 0] = np.where(self.cell[self.steps == 0] > 4, 6, 2)
        return self._obs(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        super().step(actions)
        near, far = self.cell == 0, self.cell == 7
        return self._obs(), near + 2.0 * far, near | far, (self.steps >= self.limit) & ~near & ~far, {}


@pytest.mark.parametrize(
    ("begins", "limit", "env_steps", "ends"),
    [(0.8, 20, 30_000, (0.9, 1.0)), pytest.param(0.95, 4, 50_000, (0.0, 0.85), marks=pytest.mark.slow)],
)
def test_the_discount_goes_where_the_reward_is(begins: float, limit: int, env_steps: int, ends: tuple[float, float]) -> None:
    """Two steps to 1 and five to 2: the far exit looks better from gamma^3 = 1/2 on, gamma = 0.79, less what exploring costs."""
    config = change(TUNED, env_steps=env_steps, discount=begins, epsilon_end=0.2)
    trainer = Trainer(lambda n: Fork(n, limit), primitives(["left", "right"]), config, 1)
    discounts = [row["discount"] for row in trainer.run()]
    assert ends[0] <= np.mean(discounts[-50:]) <= ends[1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"learner": "dqn"}, "tune_discount"),
        ({"target_period": 100}, "--tune-discount and --tune-lambda go with --target-period 0"),
        ({"discount": 0.999}, "--tune-discount: --discount must begin from 0.8 to 0.995, not at 0.999"),
        ({"tune_lambda": True, "td_lambda": 1.0}, "--tune-lambda: --td-lambda must begin from 0.05 to 0.95, not at 1"),
    ],
)
def test_what_cannot_be_tuned_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make_learner(change(Config(), tune_discount=True, **changes), (2, 64, 64), 3, 1)


def test_off_costs_nothing() -> None:
    learner = value_learner(Q_LAMBDA, 3)
    assert isinstance(learner, QLambda)
    assert learner.tuning is None
    assert learner.needs.record_size == 3
    assert make_learner(TUNED, SHAPE, 3, seed=1).needs.record_size == 7

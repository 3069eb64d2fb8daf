"""Settings that tune themselves: their sensitivities, their meta-gradient, and where they go."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn import self_tuning
from h_dqn.agent import Agent
from h_dqn.config import BOUNDS, Config, ConfigError
from h_dqn.options import primitives
from h_dqn.self_tuning import SelfTuning
from h_dqn.targets import option_bootstrap, q_lambda, skill_reward
from h_dqn.train import Trainer
from tests.conftest import Corridor
from tests.test_agent import TINY, options
from tests.test_agent import _tiny_network as _tiny_network

TUNED = replace(TINY, tune_discount=True, temperature=0.05)
FIXED = 10**9  # rounds of warm-up: the setting stays where it began


def tuning(discount: float = 0.9, **others: float) -> SelfTuning:
    return SelfTuning(4, 3, {"discount": discount, **others}, reference=0.995, rate=0.05, learning_rate=1e-3)


def test_a_sensitivity_is_the_derivative_of_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """In cell s of the corridor, d = 5 - s steps from the goal, Q(right) = -(1 - gamma^(d-1)) / (1 - gamma); here gamma = 0.9.

    By eta, where gamma = sigmoid(eta): gamma (1 - gamma) times the derivative by gamma, here of a sum of powers.
    """
    monkeypatch.setattr(self_tuning, "WARM_UP", FIXED)
    config = replace(TUNED, env_steps=30_000, final_learning_rate=0.05, epsilon_end=0.5)
    trainer = Trainer(lambda n: Corridor(n), options(), config, 1)
    assert [row["discount"] for row in trainer.run()] == pytest.approx([0.9] * 235)
    envs = Corridor(5)
    envs.cell = np.arange(5)
    assert trainer.agent.tuning is not None
    with torch.no_grad():
        x = trainer.agent.network.cpu().trunk(torch.from_numpy(envs._obs()))
        (s_BO,), _ = trainer.agent.tuning.split(trainer.agent.tuning.cpu()(x))
    worked = [-0.9 * 0.1 * sum(i * 0.9 ** (i - 1) for i in range(5 - cell - 1)) for cell in range(5)]
    assert worked[0] == pytest.approx(-0.09 * (1 + 1.8 + 2.43))
    assert s_BO[:, 1].numpy() == pytest.approx(worked, abs=0.1)
    assert s_BO[:, 2].numpy() == pytest.approx(worked, abs=0.1)


def test_a_target_carries_its_derivative() -> None:
    """Against finite differences: of the discount and of lambda, through rewards, bootstrap and trace together."""
    rng = np.random.default_rng(4)
    rewards, length = torch.from_numpy(rng.normal(size=(6, 5))), torch.from_numpy(rng.integers(1, 6, 6))
    option, end = torch.from_numpy(rng.integers(0, 3, 6)), torch.from_numpy(rng.integers(0, 4, 6))
    terminated, following = torch.tensor([False, False, True, False, False, False]), torch.tensor([1, 2, -1, 4, 5, -1])

    def target(q_UO: Tensor, discount: Tensor, trace: Tensor) -> Tensor:
        bootstrap = option_bootstrap(q_UO[end], q_UO[end].max(1).values, option, torch.full((6,), 0.3, dtype=torch.float64))
        return q_lambda(skill_reward(rewards, length, discount), discount**length, bootstrap, terminated, following, trace)

    tuned = tuning(trace=0.6).double()
    q_UO, s_PUO = torch.from_numpy(rng.normal(size=(4, 3))), torch.from_numpy(rng.normal(size=(2, 4, 3)))
    torch.set_default_dtype(torch.float64)
    try:
        y_D, slope_DP = tuned.dual(target, q_UO, s_PUO)
    finally:
        torch.set_default_dtype(torch.float32)
    for p in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[p] = 1e-6
        eta = tuned.eta.detach()
        up = target(q_UO + 1e-6 * s_PUO[p], **tuned.settings(eta + step))
        down = target(q_UO - 1e-6 * s_PUO[p], **tuned.settings(eta - step))
        torch.testing.assert_close(slope_DP[:, p], (up - down) / 2e-6, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(y_D, target(q_UO, **tuned.settings(tuned.eta.detach())))


EVERY = torch.ones(2, 3, dtype=torch.bool)


def test_what_turned_out_well_pulls_the_setting() -> None:
    """A larger eta would raise option 0, which was better than expected in the first state and worse in the second."""
    q, s = torch.tensor([[1.0, 0.8, 0.0], [1.0, 0.8, 0.0]]), torch.tensor([[[0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    option, good = torch.tensor([0, 0]), torch.tensor([1.0, -1.0])
    assert tuning().judge(q, s, option, EVERY, good) < 0 < tuning().judge(q, s, option, EVERY, -good)
    assert tuning().judge(q, s.flip(1), option, EVERY, good) > 0


def test_what_brings_all_values_closer_together_changes_no_preference() -> None:
    q, advantage = torch.tensor([[1.0, 0.8, 0.0], [0.3, -0.2, 0.7]]), torch.tensor([1.0, -0.5])
    nearer = -0.3 * q + torch.tensor([[7.0], [-2.0]])  # and shifts them
    assert tuning().judge(q, nearer[None], torch.tensor([0, 2]), EVERY, advantage).item() == pytest.approx(0.0, abs=1e-6)


def test_options_that_could_not_be_chosen_have_no_say() -> None:
    q, s = torch.tensor([[1.0, 0.8, -1e9], [0.3, -0.2, 0.7]]), torch.tensor([[[0.5, 0.1, 9.0], [0.2, 0.0, -0.3]]])
    allowed = torch.tensor([[True, True, False], [True, True, True]])
    option, advantage = torch.tensor([0, 2]), torch.tensor([1.0, -0.5])
    slope = tuning().judge(q, s, option, allowed, advantage)
    q[0, 2], s[0, 0, 2] = 5.0, -40.0
    assert tuning().judge(q, s, option, allowed, advantage).item() == pytest.approx(slope.item())
    assert slope.abs() > 1e-3


def test_the_values_follow_the_setting() -> None:
    """After a step, the head says what the tangent foretold; before the warm-up is over, nothing moves; bounds hold.

    Without successes the warm-up never ends.
    """
    tuned, head = tuning(trace=0.6), torch.nn.Linear(4, 3)
    torch.nn.init.normal_(tuned.sensitivity.weight)
    x = torch.randn(5, 4)
    before, (s_PBO, _) = head(x), tuned.split(tuned(x))
    for success in [0.0] * 2 * self_tuning.WARM_UP + [0.5] * 2 * self_tuning.WARM_UP:
        assert not tuned.move(head, torch.ones(2), success).any()
    moved = tuned.move(head, torch.tensor([-1.0, 2.0]), 0.1)
    assert moved.tolist() == pytest.approx([0.05, -0.05], abs=1e-3)
    torch.testing.assert_close(head(x), before + moved[0] * s_PBO[0] + moved[1] * s_PBO[1])
    for sign, end in ((1.0, 0), (-1.0, 1)):
        for _ in range(400):
            tuned.move(head, torch.full((2,), sign), 1.0)
        found = {name: value.item() for name, value in tuned.settings(tuned.eta).items()}
        assert found == pytest.approx({name: BOUNDS[name][end] for name in ("discount", "trace")})


def test_worlds_try_a_larger_and_a_smaller_setting_once_it_moves() -> None:
    tuned = tuning(trace=0.6)
    q, s = torch.zeros(16, 3), torch.cat([torch.full((16, 3), 1.0), torch.full((16, 3), 10.0), torch.zeros(16, 1)], 1)
    bent = [0, 0, 0, -1, 0, 0, 0, 1]
    assert not tuned.bend(q, s, torch.arange(16)).any()
    tuned.warmth = self_tuning.WARM_UP + 1
    assert tuned.bend(q, s, torch.arange(16))[:, 0].tolist() == [*bent, *(10 * b for b in bent)]


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


@pytest.mark.parametrize(("begins", "limit", "ends"), [(0.8, 20, (0.9, 1.0)), (0.95, 4, (0.0, 0.85))])
def test_the_discount_goes_where_the_reward_is(begins: float, limit: int, ends: tuple[float, float]) -> None:
    """Two steps to 1 and five to 2: the far exit looks better from gamma^3 = 1/2 on, gamma = 0.79, less what exploring costs."""
    config = replace(TUNED, env_steps=60_000, discount=begins, epsilon_end=0.2)
    trainer = Trainer(lambda n: Fork(n, limit), primitives(["left", "right"]), config, 1)
    discounts = [row["discount"] for row in trainer.run()]
    assert ends[0] <= np.mean(discounts[-50:]) <= ends[1]


@pytest.mark.parametrize("changes", [{"learner": "replay"}, {"target_period": 100}, {"discount": 0.999}])
def test_what_cannot_be_tuned_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--tune-discount"):
        replace(Config(), tune_discount=True, **changes).check()


def test_off_costs_nothing() -> None:
    agent = Agent(TINY, (1, 8, 8), 3, seed=1)
    assert agent.tuning is None
    assert agent.outputs == 3
    assert partial(Agent, TUNED, (1, 8, 8), 3)(seed=1).outputs == 7

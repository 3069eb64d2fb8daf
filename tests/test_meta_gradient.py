"""The outer loss of self-tuning and exact meta-gradients, in double precision: closed forms, finite differences, reverse mode."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from h_dqn.targets import smdp_target
from tests.exact_meta_gradient import (
    Segment,
    Weights,
    adam,
    discount_of,
    meta_gradient,
    prediction_loss,
    preference_loss,
    sgd,
    td_gradient,
)


def f64(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def decision(rewards: tuple[float, ...], bootstrap: float, terminated: bool = False) -> Segment:
    """One decision of the scalar Q-function."""
    return Segment(None, f64(*rewards)[None], torch.tensor([len(rewards)]), f64(bootstrap), torch.tensor([terminated]))


def scalar(weights: Weights, inputs: Any) -> Tensor:
    return weights["q"]


INNER, OUTER, GAMMA = decision((1, 2, 3), 2.0), decision((0.5,), 2.0), torch.tensor(0.9, dtype=torch.float64)


def one_step(weights: Weights, gamma: Tensor, rate: float = 0.1, clip: float = 0.0, inner: Segment = INNER) -> Weights:
    return sgd(weights, td_gradient(scalar, weights, inner.inputs, inner.target(gamma), clip), rate)


def outer(weights: Weights) -> Tensor:
    return prediction_loss(scalar, weights, OUTER, 0.99)


def test_one_scalar_step() -> None:
    """y = 1 + 2 * .9 + 3 * .81 + 2 * .729 = 6.688, so q' = 1 + .1 * 5.688; dy/dgamma = 2 + 6 * .9 + 6 * .81 = 12.26."""
    loss, slope, after, z = meta_gradient(one_step, outer, {"q": f64(1.0)}, GAMMA)
    assert after["q"].item() == pytest.approx(1.5688, abs=1e-12)
    assert z["q"].item() == pytest.approx(1.226, abs=1e-12)
    assert loss.item() == pytest.approx(0.41514272, abs=1e-8)
    assert slope.item() == pytest.approx(-1.1171312, abs=1e-8)
    step = 1e-6
    up, down = (outer(one_step({"q": f64(1.0)}, GAMMA + d)).item() for d in (step, -step))
    assert slope.item() == pytest.approx((up - down) / (2 * step), abs=1e-6)


def test_through_the_sigmoid() -> None:
    """With gamma = sigmoid(eta), d gamma / d eta = .9 * .1."""
    eta = torch.tensor(0.9, dtype=torch.float64).logit()
    _, slope, _, _ = meta_gradient(lambda w, e: one_step(w, discount_of(e, 0.0, 1.0)), outer, {"q": f64(1.0)}, eta)
    assert slope.item() == pytest.approx(-0.100541808, abs=1e-9)


def test_what_must_not_be_done_to_rewards_and_targets() -> None:
    """Rewards that were discounted when they were stored lose sum i gamma^(i-1) r_i; a detached target loses everything."""
    stored = decision((INNER.target(GAMMA).item() - 2 * 0.729,), 2.0)

    def stale(weights: Weights, gamma: Tensor) -> Weights:
        target = stored.rewards_BK[:, 0] + gamma**3 * stored.bootstrap_B
        return sgd(weights, td_gradient(scalar, weights, None, target), 0.1)

    def cut(weights: Weights, gamma: Tensor) -> Weights:
        return sgd(weights, td_gradient(scalar, weights, None, INNER.target(gamma).detach()), 0.1)

    # d eta, as the fact is stated: -0.039855888 = d J / d gamma * .09
    assert meta_gradient(stale, outer, {"q": f64(1.0)}, GAMMA)[1].item() * 0.09 == pytest.approx(-0.039855888, abs=1e-8)
    assert meta_gradient(cut, outer, {"q": f64(1.0)}, GAMMA)[1].item() == 0


def test_a_table_learns_nothing_about_gamma_from_states_that_it_did_not_update() -> None:
    def row(weights: Weights, inputs: int) -> Tensor:
        return weights["q"][inputs : inputs + 1]

    def update(weights: Weights, gamma: Tensor) -> Weights:
        return sgd(weights, td_gradient(row, weights, 0, INNER.target(gamma)), 0.1)

    for held, expected in ((0, -1.1171312), (1, 0.0)):
        segment = Segment(held, OUTER.rewards_BK, OUTER.lengths_B, OUTER.bootstrap_B, OUTER.terminated_B)

        def loss(weights: Weights, held_out: Segment = segment) -> Tensor:
            return prediction_loss(row, weights, held_out, 0.99)

        slope = meta_gradient(update, loss, {"q": f64(1.0, 1.0)}, GAMMA)[1]
        assert slope.item() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("k", [1, 4])
def test_a_self_loop_carries_the_whole_sensitivity(k: int) -> None:
    """q* = r / (1 - gamma) for decisions of any length, so Z -> r / (1 - gamma)^2; one step alone sees (1 - gamma^k) / 2 of it."""

    def update(weights: Weights, gamma: Tensor) -> Weights:
        target = smdp_target(torch.ones(1, k, dtype=torch.float64), torch.tensor([k]), weights["q"], torch.tensor([False]), gamma)
        return sgd(weights, td_gradient(scalar, weights, None, target), 0.5)

    def nothing(weights: Weights) -> Tensor:
        return weights["q"].sum()

    state: Any = {"q": f64(0.0)}
    z: Any = None
    for _ in range(600):
        _, _, state, z = meta_gradient(update, nothing, state, GAMMA, z)
    assert state["q"].item() == pytest.approx(10.0, abs=1e-6)
    assert z["q"].item() == pytest.approx(100.0, abs=1e-6)
    alone = meta_gradient(update, nothing, state, GAMMA)[3]
    assert alone["q"].item() / 100 == pytest.approx(0.5 * (1 - 0.9**k), abs=1e-8)


def test_preference_for_the_better_of_two_options() -> None:
    """a pays 1 at once, b pays 2 at its tenth step; under gamma' = .99 b is better, so gamma is pulled up."""
    rewards = torch.zeros(2, 10, dtype=torch.float64)
    rewards[0, 0], rewards[1, 9] = 1.0, 2.0
    lengths, ends = torch.tensor([1, 10]), torch.tensor([True, True])

    def update(weights: Weights, gamma: Tensor) -> Weights:
        # Each of the two is a minibatch of its own, as the worked case has it.
        target = smdp_target(rewards, lengths, f64(0.0, 0.0), ends, gamma)
        gradient = td_gradient(lambda w, _: w["q"], weights, None, target)
        return sgd(weights, {"q": 2 * gradient["q"]}, 0.2)

    returns = f64(1.0, 2 * 0.99**9)

    def loss(weights: Weights) -> Tensor:
        """J' = -E over the policy of the return; its gradient is that of the sampled loss, chance by chance."""
        return -((weights["q"] / 0.5).softmax(0) * returns).sum()

    value, slope, after, _ = meta_gradient(update, loss, {"q": f64(0.4, 0.6)}, GAMMA)
    assert after["q"].tolist() == pytest.approx([0.52, 0.6349681956], abs=1e-9)
    assert value.item() == pytest.approx(-1.4608502187, abs=1e-9)
    assert slope.item() == pytest.approx(-0.6324241386, abs=1e-9)
    assert slope.item() * 0.09 == pytest.approx(-0.0569181725, abs=1e-9)
    chance = (after["q"] / 0.5).softmax(0)
    assert chance[1].item() == pytest.approx(0.5572321608, abs=1e-9)
    for baseline in (0.0, 1.3):  # a baseline changes nothing in the mean

        def sampled(weights: Weights, baseline: float = baseline) -> Tensor:
            each = [preference_loss((weights["q"])[None], torch.tensor([o]), returns[o : o + 1] - baseline, 0.5) for o in range(2)]
            return torch.dot(torch.stack(each), chance)

        assert meta_gradient(update, sampled, {"q": f64(0.4, 0.6)}, GAMMA)[1].item() == pytest.approx(-0.6324241386, abs=1e-9)


@pytest.mark.parametrize(("through_scale", "z"), [(True, 3.7894e-11), (False, 0.0215541490)])
def test_the_first_step_of_adam(through_scale: bool, z: float) -> None:
    def update(weights: Weights, gamma: Tensor) -> Weights:
        gradient = td_gradient(scalar, weights, None, INNER.target(gamma))
        zero = {"q": f64(0.0)}
        return adam(weights, gradient, (zero, zero), 1, 0.01, through_scale=through_scale)[0]

    _, slope, after, found = meta_gradient(update, outer, {"q": f64(1.0)}, GAMMA)
    assert after["q"].item() == pytest.approx(1.01, abs=1e-9)
    assert found["q"].item() == pytest.approx(z, rel=1e-4, abs=1e-12)
    if not through_scale:
        assert slope.item() == pytest.approx(-0.0316845991, abs=1e-9)


def test_a_gradient_of_zero_stays_finite() -> None:
    def update(weights: Weights, gamma: Tensor) -> Weights:
        zero = {"q": f64(0.0)}
        return adam(weights, {"q": 0 * gamma[None]}, (zero, zero), 1, 0.01)[0]

    assert meta_gradient(update, outer, {"q": f64(1.0)}, GAMMA)[1].isfinite()


@pytest.mark.parametrize(("error", "z"), [(5.688, 0.0), (0.5, 1.226)])
def test_a_clipped_error_says_nothing_about_gamma(error: float, z: float) -> None:
    start = {"q": INNER.target(GAMMA) - error}
    found = meta_gradient(lambda w, g: one_step(w, g, clip=1.0), outer, start, GAMMA)[3]
    assert found["q"].item() == pytest.approx(z, abs=1e-9)


def mlp(weights: Weights, obs: Tensor) -> Tensor:
    """(B, 4) -> (B, 3)."""
    return torch.tanh(obs @ weights["a"]) @ weights["b"]


def random_case(seed: int) -> tuple[Any, Any, Any]:
    """Update, outer loss and state of four Polyak-averaged Q-learning steps, each on a batch of its own."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    weights = {"a": normal(4, 8) / 2, "b": normal(8, 3) / 3}
    batches = [
        (
            normal(6, 4),
            torch.randint(3, (6,), generator=draw),
            normal(6, 5),
            torch.randint(1, 6, (6,), generator=draw),
            normal(6, 4),
        )
        for _ in range(5)
    ]
    ends = torch.tensor([False, False, True, False, False, False])

    def chosen(weights: Weights, inputs: tuple[Tensor, Tensor]) -> Tensor:
        return mlp(weights, inputs[0]).gather(1, inputs[1][:, None]).squeeze(1)

    def update(state: tuple[Weights, Weights], gamma: Tensor) -> tuple[Weights, Weights]:
        online, target = state
        for obs, option, rewards, lengths, after in batches[:4]:
            y = smdp_target(rewards, lengths, mlp(target, after).max(1).values, ends, gamma)
            online = sgd(online, td_gradient(chosen, online, (obs, option), y), 0.1)
            target = {name: 0.7 * value + 0.3 * online[name] for name, value in target.items()}
        return online, target

    def loss(state: tuple[Weights, Weights]) -> Tensor:
        obs, option, rewards, _, _ = batches[4]
        return preference_loss(mlp(state[0], obs), option, rewards[:, 0], 0.3)

    return update, loss, (weights, {name: value.clone() for name, value in weights.items()})


@pytest.mark.parametrize("seed", range(3))
def test_forward_is_reverse_is_finite_differences(seed: int) -> None:
    update, loss, state = random_case(seed)
    forward = meta_gradient(update, loss, state, GAMMA)[1].item()
    reverse = torch.func.grad(lambda gamma: loss(update(state, gamma)))(GAMMA).item()
    step = 1e-5
    differences = (loss(update(state, GAMMA + step)) - loss(update(state, GAMMA - step))).item() / (2 * step)
    assert abs(forward) > 1e-4
    assert forward == pytest.approx(reverse, abs=1e-12)
    assert forward == pytest.approx(differences, abs=1e-8)


def test_carrying_it_from_update_to_update_is_unrolling_them() -> None:
    update, loss, state = random_case(7)
    whole = meta_gradient(lambda s, g: update(update(s, g), g), loss, state, GAMMA)[1]
    _, _, middle, z = meta_gradient(update, loss, state, GAMMA)
    carried = meta_gradient(update, loss, middle, GAMMA, z)[1]
    assert carried.item() == pytest.approx(whole.item(), abs=1e-12)
    assert meta_gradient(update, loss, middle, GAMMA)[1].item() != pytest.approx(whole.item(), rel=1e-2)


@given(st.floats(-1e6, 1e6), st.floats(0, 0.9), st.floats(0.01, 0.1))
def test_a_discount_stays_within_its_bounds(eta: float, low: float, width: float) -> None:
    gamma = discount_of(torch.tensor(eta, dtype=torch.float64), low, low + width).item()
    assert low <= gamma <= low + width + 1e-12

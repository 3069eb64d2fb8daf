"""The policy gradient of eta is the derivative of the true return: on random semi-MDPs that are small enough to be enumerated.

Options take one to three steps; some are not available in some states, some are eliminated; a step limit cuts episodes, in the
middle of an option too; choices are epsilon-greedy mixtures of a softmax.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.elimination import ELIMINATED
from h_dqn.networks import between, interpolate
from h_dqn.self_tuning.judge import TEMPERATURE, reference_returns, score
from h_dqn.self_tuning.tuner import Choosing
from tests.helpers import batch_of

STATES, OPTIONS, HEADS, LIMIT = 4, 3, 3, 6  # of a world; the step limit is six
CASES, EPISODES = 200, 400


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@dataclass(frozen=True)
class World:
    """S states and O options; state S is the end."""

    q_SGO: Tensor  # values by each head, ELIMINATED where an option is
    available_SO: Tensor
    length_SO: NDArray[np.int64]  # 1..3 steps
    reward_SO3: NDArray[np.float64]
    next_SOS: NDArray[np.float64]  # chance of each state at the option's end, that of the world's end last
    epsilon: float

    def chances(self, place: Tensor) -> Tensor:
        """mu, (S, O), written out anew."""
        q_SO = interpolate(self.q_SGO, place.expand(STATES))
        possible_SO = self.available_SO & (self.q_SGO[:, 0] > ELIMINATED)
        pi_SO = torch.where(possible_SO, (q_SO / TEMPERATURE).exp(), 0.0)
        uniform_SO = possible_SO / possible_SO.sum(1, keepdim=True)
        return self.epsilon * uniform_SO + (1 - self.epsilon) * pi_SO / pi_SO.sum(1, keepdim=True)

    def values(self, place: Tensor, discount: float) -> tuple[Tensor, Tensor]:
        """V (T, S) and Q (T, S, O) of mu at each step of an episode, backwards from the step limit."""
        mu_SO, zero = self.chances(place), torch.zeros(STATES + 1)
        v = [zero] * (LIMIT + 1)
        q: list[Tensor] = [torch.zeros(STATES, OPTIONS)] * LIMIT
        power_3 = discount ** np.arange(3)
        for t in reversed(range(LIMIT)):
            steps_SO = np.minimum(self.length_SO, LIMIT - t)
            reward_SO = (np.where(np.arange(3) < steps_SO[..., None], self.reward_SO3, 0.0) * power_3).sum(2)
            after_SOS = torch.from_numpy(self.next_SOS * (discount**steps_SO)[..., None])
            q[t] = torch.from_numpy(reward_SO) + (after_SOS * torch.stack(v)[torch.from_numpy(t + steps_SO)]).sum(2)
            v[t] = torch.cat([(mu_SO * q[t]).sum(1), zero[:1]])
        return torch.stack(v[:LIMIT]), torch.stack(q)

    def choosing(self, place_B: Tensor, states_B: Tensor, option_B: Tensor) -> Choosing:
        count = len(states_B)
        q_BGO = self.q_SGO[states_B]
        return Choosing(q_BGO, interpolate(q_BGO, place_B), torch.empty(count, 0), torch.zeros(count, dtype=torch.long),
                        self.available_SO[states_B], torch.full((count,), self.epsilon), option_B)  # fmt: skip


def random_world(rng: np.random.Generator) -> World:
    available = rng.random((STATES, OPTIONS)) < 0.8
    available[np.arange(STATES), rng.integers(0, OPTIONS, STATES)] = True
    q = TEMPERATURE * 1.5 * rng.normal(size=(STATES, HEADS, OPTIONS))
    eliminated = (rng.random((STATES, OPTIONS)) < 0.2) & (available.sum(1, keepdims=True) > 1)
    eliminated &= np.arange(OPTIONS) != available.argmax(1)[:, None]  # one that is available is always left
    q = np.where(eliminated[:, None], ELIMINATED, q)
    chance = rng.dirichlet(np.full(STATES + 1, 0.5), (STATES, OPTIONS))
    return World(
        torch.from_numpy(q), torch.from_numpy(available), rng.integers(1, 4, (STATES, OPTIONS)),
        rng.normal(size=(STATES, OPTIONS, 3)), chance, float(rng.uniform(0.05, 0.6)),
    )  # fmt: skip


def slope_of_return(world: World, place: float, discount: float) -> float:
    """d J / d eta, where J is the mean return from state 0, by reverse mode through the recursion."""
    eta = torch.tensor(place, requires_grad=True)
    world.values(eta, discount)[0][0, 0].backward()
    assert eta.grad is not None
    return float(eta.grad)


def scores(world: World, place: float, states_B: Tensor, option_B: Tensor) -> Tensor:
    place_B = torch.full((len(states_B),), place)
    return score(between(world.q_SGO[states_B], place_B), world.choosing(place_B, states_B, option_B))


def visits(world: World, place: float, discount: float) -> NDArray[np.float64]:
    """Chance that a decision is made in state s at step t, times discount^t, (T, S); from state 0."""
    mu_SO = world.chances(torch.tensor(place)).numpy()
    chance_TS = np.zeros((LIMIT + 3, STATES))
    chance_TS[0, 0] = 1.0
    for t in range(LIMIT):
        for s, o in np.ndindex(STATES, OPTIONS):
            steps = world.length_SO[s, o]
            if t + steps < LIMIT:
                chance_TS[t + steps] += discount**steps * chance_TS[t, s] * mu_SO[s, o] * world.next_SOS[s, o, :STATES]
    return chance_TS[:LIMIT]


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_the_expected_score_times_advantage_is_the_slope_of_the_return(discount: float) -> None:
    """By enumeration, to the last digits. Below 1, what is weighted by discount^t is; the tuner leaves that weight out."""
    rng = np.random.default_rng(1)
    slopes = []
    for _ in range(CASES):
        world, place = random_world(rng), float(rng.uniform(0, HEADS - 1))
        at = torch.tensor(place)
        v_TS, q_TSO = (each.detach() for each in world.values(at, discount))
        states_B, option_B = (torch.from_numpy(each.ravel()) for each in np.indices((STATES, OPTIONS)))
        score_SO = scores(world, place, states_B, option_B).view(STATES, OPTIONS)
        mu_SO = world.chances(at)
        each_TS = (mu_SO * torch.where(mu_SO > 0, score_SO, 0.0) * (q_TSO - v_TS[:, :STATES, None])).sum(2)
        found = float((torch.from_numpy(visits(world, place, discount)) * each_TS).sum())
        slopes.append(slope_of_return(world, place, discount))
        assert found == pytest.approx(slopes[-1], abs=1e-10)
    assert np.abs(slopes).mean() > 0.01


@dataclass
class Sample:
    """Decisions of EPISODES episodes, in the order in which they ended."""

    episode: list[int]
    state: list[int]
    option: list[int]
    time: list[int]
    rewards: list[list[float]]
    steps: list[int]
    end_state: list[int]
    following: list[int]


def sample(world: World, place: float, rng: np.random.Generator) -> Sample:
    mu_SO, next_SOS = (each.cumsum(-1) for each in (world.chances(torch.tensor(place)).numpy(), world.next_SOS))
    found = Sample(*([] for _ in range(8)))
    for episode in range(EPISODES):
        s = t = 0
        while s < STATES and t < LIMIT:
            o = min(int(mu_SO[s].searchsorted(rng.random(), "right")), OPTIONS - 1)
            steps = min(int(world.length_SO[s, o]), LIMIT - t)
            after = min(int(next_SOS[s, o].searchsorted(rng.random(), "right")), STATES)
            reward = [*world.reward_SO3[s, o, :steps], *[0.0] * (3 - steps)]
            goes_on = after < STATES and t + steps < LIMIT
            number = len(found.state)
            row = (episode, s, o, t, reward, steps, after, number + 1 if goes_on else -1)
            for column, value in zip(vars(found).values(), row, strict=True):
                column.append(value)
            s, t = after, t + steps
    return found


def test_the_mean_over_sampled_decisions_is_the_slope_of_the_return() -> None:
    """By the learner's own functions: scores, and lambda-returns less the critic, of mu's own values. In standard errors."""
    rng = np.random.default_rng(2)
    z = []
    for _ in range(CASES):
        world, place = random_world(rng), float(rng.uniform(0, HEADS - 1))
        v_TS = world.values(torch.tensor(place), 1.0)[0].detach()
        got = sample(world, place, rng)
        count = len(got.state)
        state_D, option_D, time_D = (torch.tensor(each) for each in (got.state, got.option, got.time))
        following_D, steps_D = torch.tensor(got.following), torch.tensor(got.steps)
        end_time_D, end_D = (time_D + steps_D).clamp(max=LIMIT - 1), torch.tensor(got.end_state)
        batch = batch_of(
            start=torch.arange(count), end=torch.arange(count, 2 * count), option=option_D, rewards=torch.tensor(got.rewards),
            length=steps_D, done=following_D < 0, following=following_D,
        )  # fmt: skip
        critic_U = torch.cat([v_TS[time_D, state_D], v_TS[end_time_D, end_D]])
        advantage_D = reference_returns(batch, critic_U, 1.0, 1.0) - critic_U[:count]
        each_D = advantage_D * scores(world, place, state_D, option_D)
        by_episode = torch.zeros(EPISODES).index_add_(0, torch.tensor(got.episode), each_D).numpy()
        error = by_episode.std(ddof=1) / EPISODES**0.5
        z.append((by_episode.mean() - slope_of_return(world, place, 1.0)) / error)
    found = np.array(z)
    assert (np.abs(found) < 3).mean() >= 0.99
    assert np.abs(found).max() < 4
    assert found.std() == pytest.approx(1.0, abs=0.15)  # so that three standard errors mean what they should
    assert abs(found.mean()) < 0.25


def test_a_worked_score() -> None:
    """Two options worth 0.05 and 0 at T = 0.05: pi = (e, 1) / (1 + e); eta raises the first by 0.1; a fifth is chosen at random.

    d pi_0 = pi_0 (1 - pi_0) * 0.1 / 0.05 = 0.393224; mu_0 = 0.1 + 0.8 * 0.731059 = 0.684847, so 0.8 * 0.393224 / 0.684847.
    """
    every = torch.ones(2, 2, dtype=torch.bool)
    q_BO, nothing = torch.tensor([[0.05, 0.0]] * 2), torch.empty(2, 0)
    choice = Choosing(q_BO[:, None], q_BO, nothing, torch.arange(2), every, torch.full((2,), 0.2), torch.tensor([0, 1]))
    found = score(torch.tensor([[0.1, 0.0]] * 2), choice)
    assert found.tolist() == pytest.approx([0.459342, -0.998175], abs=1e-5)


def test_a_step_limit_is_an_end_for_the_judge() -> None:
    """Two decisions, the second cut by the limit: no bootstrap from what lies behind it."""
    batch = batch_of(
        start=torch.tensor([0, 1]), end=torch.tensor([1, 2]), option=torch.tensor([0, 0]), rewards=torch.tensor([[1.0], [2.0]]),
        length=torch.tensor([1, 1]), done=torch.tensor([False, True]), following=torch.tensor([1, -1]),
    )  # fmt: skip
    found = reference_returns(batch, torch.tensor([0.0, 3.0, 100.0]), 1.0, 0.9)
    assert found.tolist() == pytest.approx([1 + 0.9 * (0.05 * 3 + 0.95 * 2), 2.0])

"""A family of discounts, and who moves eta in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.config import Config, ConfigError, change
from h_dqn.elimination import ELIMINATED
from h_dqn.learners import Progress, make_learner
from h_dqn.learners.q_lambda import QLambda
from h_dqn.networks import LinearFamily, LinearHead, NetworkSpec, QNetwork, between, interpolate
from h_dqn.options import primitives
from h_dqn.self_tuning import TUNERS, Choosing, Seen, SelfTuningConfig, Tuner
from h_dqn.self_tuning.judge import TEMPERATURE, score
from h_dqn.self_tuning.tuner import WINDOW, Signal, Walking
from h_dqn.self_tuning.update_gradient import BOUNDS, UpdateGradient
from h_dqn.targets import option_bootstrap, q_lambda, skill_reward
from h_dqn.train import Trainer
from tests.conftest import Corridor
from tests.helpers import Q_LAMBDA, SHAPE, batch_of, learned, value_learner

pytestmark = pytest.mark.usefixtures("tiny_network")
FAMILY = (0.8, 0.9, 0.95, 0.98)
TUNED = change(Q_LAMBDA, tune_discount=True, tuner="family_gradient")


def family(*discounts: float, features: int = 4, options: int = 3) -> LinearFamily:
    return LinearFamily(features, options, [0.0] * len(discounts), discounts)


def tuner_of(name: Any, discount: float = 0.9, num_envs: int = 16, **settings: Any) -> Tuner:
    """Of heads with three options on four features."""
    begin = {"discount": discount, **({"td_lambda": 0.6} if settings.get("tune_lambda") else {})}
    config = SelfTuningConfig(**{"tune_discount": True, "tuner": name, "discounts": FAMILY, **settings})
    head = family(*config.family(discount))
    return TUNERS[config.tuner](head, config, num_envs, begin, 1e-3, np.random.default_rng(1))


def seen(tuner: Tuner, warm: bool = True, share: float = 0.0, **changes: Any) -> Seen:
    """A round of decisions, by values and a critic that are 0."""
    marks = torch.as_tensor(changes.pop("marks", np.zeros((1, tuner.marks))), dtype=torch.float32)
    batch = batch_of(**changes)
    heads, count = tuner.head.count, len(batch.frames)
    acted = torch.ones(len(batch), dtype=torch.bool)
    return Seen(batch, torch.zeros(count, heads, 3), torch.zeros(count, tuner.says), marks, acted, 1.0, share, warm)


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# --- the family ---


@pytest.mark.parametrize(
    "changes",
    [{}, {"target_period": 200}, {"core": 16, "success_memory": 0.0}, {"eliminate": True, "advantage_learning_alpha": 0.5}],
)
def test_a_family_of_one_is_the_agent_without_it_to_the_bit(changes: dict[str, Any]) -> None:
    config = change(Q_LAMBDA, env_steps=2048, **changes)
    one = {"tune_discount": True, "tuner": "schedule", "discounts": (0.9,), "discount_schedule": (0.9,)}
    alone, single = learned(config), learned(change(config, **one))
    theirs, ours = alone.learner.network.state_dict(), single.learner.network.state_dict()
    assert set(ours) - set(theirs) == {"head.discounts", "head.place"}
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    assert alone.statistics.row() == single.statistics.row()


def test_each_head_learns_the_values_of_its_own_discount() -> None:
    """In cell s of the corridor, d = 5 - s steps from the goal, Q(right) = -(1 - gamma^(d-1)) / (1 - gamma)."""
    discounts = (0.5, 0.8, 0.95)
    steady = {"tuner": "schedule", "discounts": discounts, "discount_schedule": (0.8,), "discount": 0.8}
    network = learned(change(TUNED, env_steps=10_000, final_learning_rate=0.05, epsilon_end=0.5, **steady)).learner.network
    assert isinstance(network, QNetwork)
    envs = Corridor(5)
    envs.cell = np.arange(5)
    with torch.no_grad():
        q_BGO = network.head.family(network.torso(torch.from_numpy(envs._obs())))
    for k, gamma in enumerate(discounts):
        worked = [-(1 - gamma ** (5 - cell - 1)) / (1 - gamma) for cell in range(5)]
        assert q_BGO[:, k, 1].numpy() == pytest.approx(worked, abs=0.3)
        assert q_BGO[:, k, 2].numpy() == pytest.approx(worked, abs=0.3)


def test_values_between_two_heads_are_interpolated() -> None:
    q_BGO = torch.tensor([[[0.0, 1.0], [2.0, ELIMINATED], [6.0, 1.0]]]).expand(4, -1, -1).clone()
    q_BGO[:, :, 1] = ELIMINATED
    place_B = torch.tensor([0.0, 0.25, 1.5, 2.0])
    assert interpolate(q_BGO, place_B)[:, 0].tolist() == pytest.approx([0.0, 0.5, 4.0, 6.0])
    assert (interpolate(q_BGO, place_B)[:, 1] == ELIMINATED).all()
    assert between(q_BGO, place_B).tolist() == [[2.0, 0.0], [2.0, 0.0], [4.0, 0.0], [4.0, 0.0]]
    assert interpolate(q_BGO[:, :1], place_B)[:, 0].tolist() == [0.0] * 4


def test_a_place_is_a_discount_and_a_discount_a_place() -> None:
    """Horizons are 5, 10, 20 and 50 steps; half way from 5 to 10 is 5 * sqrt(2)."""
    head = family(*FAMILY)
    assert [head.place_of(discount) for discount in (*FAMILY, 0.5, 0.999)] == pytest.approx([0, 1, 2, 3, 0, 3])
    head.place.fill_(0.5)
    assert 1 / (1 - head.discount) == pytest.approx(5 * 2**0.5)
    assert head.place_of(head.discount) == pytest.approx(0.5)


def test_what_is_kept_says_what_the_family_says_at_eta() -> None:
    network = QNetwork(NetworkSpec("tiny", SHAPE, 3), family=lambda f, o: LinearFamily(f, o, [0.0] * 4, FAMILY))
    assert isinstance(network.head, LinearFamily)
    torch.nn.init.normal_(network.head.weight)
    network.head.place.fill_(1.3)
    obs = np.random.default_rng(1).integers(0, 255, (7, 1, 8, 8), np.uint8)
    alone = network.alone()
    assert isinstance(alone.head, LinearHead)
    torch.testing.assert_close(alone.values(obs), network.values(obs), rtol=0, atol=0)
    q_BGO = network.head.family(network.torso(torch.from_numpy(obs)))
    torch.testing.assert_close(alone.values(obs), interpolate(q_BGO, torch.full((7,), 1.3)))
    assert network.plays_by() == {"discounts": list(FAMILY), "eta": 1.3, "discount": pytest.approx(1 - 0.1 / 2**0.3)}
    assert alone.plays_by() == {}
    assert alone.alone() is alone


def test_a_family_begins_from_one_head_and_from_the_value_of_never_arriving() -> None:
    """-1 a step for ever is -5, -10, -20 and -50 under these discounts."""
    learner = value_learner(change(TUNED, discount=0.9, discounts=FAMILY, initial_value=-10.0), 3)
    x = torch.zeros(1, 32)
    assert learner.network.head.family(x)[0].mean(1).tolist() == pytest.approx([-5, -10, -20, -50])
    source = value_learner(Q_LAMBDA, 2).network
    torch.nn.init.normal_(source.head.get_parameter("weight"))
    learner.warm_start(["right", "jump", "left"], source, ["left", "right"])
    x = torch.randn(5, 32)
    for k in range(4):
        torch.testing.assert_close(learner.network.head.family(x)[:, k, [2, 0]], source.head(x))
    assert learner.network.head.family(x)[:, 3, 1].tolist() == pytest.approx([-50] * 5)


def test_the_family_reaches_from_a_near_discount_to_the_given_one() -> None:
    config = SelfTuningConfig(tune_discount=True)
    assert (config.family(0.9), config.family(0.985)) == ((0.8, 0.98), (0.8, 0.985))


# --- acting ---


def test_environments_try_either_side_of_eta_once_it_moves() -> None:
    for perturb in (True, False):
        tuner = tuner_of("family_gradient", perturb=perturb)
        assert tuner.places().tolist() == [1.0] * 16
        tuner.move(seen(tuner))
        assert tuner.places().tolist() == [*[1.0] * 3, 0.5 if perturb else 1.0, *[1.0] * 3, 1.5 if perturb else 1.0] * 2
    tuner = tuner_of("update_gradient")
    q, said = torch.zeros(16, 1, 3), torch.cat([torch.full((16, 3), 2.0), torch.zeros(16, 1)], 1)
    assert not tuner.act(q, said, torch.arange(16)).any()
    tuner.move(seen(tuner))
    assert tuner.act(q, said, torch.arange(16))[:, 0].tolist() == [0, 0, 0, -2, 0, 0, 0, 2] * 2


def test_a_decision_is_marked_with_the_slope_of_its_own_probability() -> None:
    """Against finite differences of log mu, by what a learner recorded where it acted."""
    learner = value_learner(change(TUNED, discounts=FAMILY, epsilon_end=0.3, epsilon_start=0.3), 3)
    assert isinstance(learner, QLambda)
    assert isinstance(learner.tuner, Walking)
    torch.nn.init.normal_(learner.network.head.get_parameter("weight"), std=0.05)
    learner.tuner.moving = True
    obs, envs = np.random.default_rng(1).integers(0, 255, (16, 1, 8, 8), np.uint8), np.arange(16)
    available = np.random.default_rng(2).random((16, 3)) < 0.7
    available[:, 1] = True
    epsilon_B = learner.exploration.epsilon[envs]
    record = learner.act(obs, available, envs, Progress(0.0, 0.0)).record
    assert record is not None
    option_B, found_B = record[:, -2].astype(int), record[:, -1]
    assert available[envs, option_B].all()
    q_BGO = learner.split(torch.from_numpy(record[:, : learner._known]))[0].double()

    def log_mu(shift: float) -> NDArray[np.float64]:
        q = interpolate(q_BGO, learner.tuner.places() + shift).numpy()  # type: ignore[union-attr]
        pi = np.where(available, np.exp(q / TEMPERATURE), 0)
        mu = epsilon_B[:, None] * available / available.sum(1, keepdims=True)
        mu = mu + (1 - epsilon_B[:, None]) * pi / pi.sum(1, keepdims=True)
        return np.asarray(np.log(mu[envs, option_B]))

    worked = (log_mu(1e-5) - log_mu(-1e-5)) / 2e-5
    assert np.abs(worked).max() > 0.1
    inside = (learner.tuner.places() % 1 > 0).numpy()  # where the slope is the same at both sides
    assert inside.sum() == 4
    assert found_B[inside] == pytest.approx(worked[inside], rel=1e-3, abs=1e-4)
    up = (log_mu(1e-5) - log_mu(0)) / 1e-5
    assert found_B == pytest.approx(up, rel=1e-3, abs=1e-3)


def test_only_what_was_chosen_is_judged() -> None:
    """A step inside a skill also teaches the primitive action that it took, but nobody chose that one."""
    learner = value_learner(TUNED, 3)
    assert isinstance(learner, QLambda)
    size = learner.needs.record_size
    record = torch.full((3, size), torch.nan)
    record[0, -2:], record[1, -2:] = torch.tensor([1.0, 0.5]), torch.tensor([2.0, 0.7])
    batch = batch_of(
        frames=torch.zeros((3, 1, 8, 8), dtype=torch.uint8), record=record, start=torch.tensor([0, 1, 1, 2]),
        end=torch.tensor([1, 2, 2, 2]), option=torch.tensor([1, 2, 0, 1]), available=torch.ones(4, 3, dtype=torch.bool),
        fresh=torch.tensor([True, True, True, True]),
    )  # fmt: skip
    found = learner.seen(batch, torch.zeros(3, learner._known), 0.0)
    assert found.acted_D.tolist() == [True, True, False, False]
    assert found.marks_DM[:2, 0].tolist() == pytest.approx([0.5, 0.7])


# --- who moves eta ---


def rewarded(marks: list[list[float]], rewards: list[float]) -> dict[str, Any]:
    """Decisions of one step each, which end their episodes, in environments 0, 1, ..."""
    count = len(rewards)
    return {
        "marks": marks, "start": torch.zeros(count, dtype=torch.long), "end": torch.zeros(count, dtype=torch.long),
        "option": torch.zeros(count, dtype=torch.long), "rewards": torch.tensor(rewards)[:, None],
        "length": torch.ones(count, dtype=torch.long), "done": torch.ones(count, dtype=torch.bool),
        "terminated": torch.ones(count, dtype=torch.bool),
        "following": torch.full((count,), -1), "env": torch.arange(count),
    }  # fmt: skip


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_turned_out_well_pulls_eta(sign: float) -> None:
    """Decisions that a larger eta makes likelier (score 1) had more (or less) than the others; before the warm-up nothing moves."""
    tuner = tuner_of("family_gradient", meta_rate=0.1)
    round_ = rewarded([[1.0], [-1.0]], [sign, -sign])
    for _ in range(5):
        tuner.move(seen(tuner, warm=False, **round_))
    assert float(tuner.head.place) == pytest.approx(1.0)
    tuner.move(seen(tuner, **round_))
    assert float(tuner.head.place) == pytest.approx(1.0), "one round is no sure sign"
    tuner.move(seen(tuner, **round_))
    assert float(tuner.head.place) == pytest.approx(1.0 + 0.1 * sign)
    for _ in range(40):
        tuner.move(seen(tuner, **round_))
    assert float(tuner.head.place) == (3.0 if sign > 0 else 0.0)
    slope = tuner.metrics()["discount_slope"]
    assert slope == pytest.approx(sign * 2 / 2**0.5)  # (1 * 1 + -1 * -1) over the advantages' standard deviation


def test_a_step_is_as_large_as_the_signal_is_sure() -> None:
    signal = Signal(("discount",))
    assert signal.step() == 0
    for slope in (1.0, 3.0):
        signal.add([slope])
    assert signal.sureness()[0] == pytest.approx(2.0 / 1.0)  # mean 2, standard error sqrt(2) / sqrt(2)
    assert signal.step()[0] == 1
    signal.add([-3.0])
    assert signal.step()[0] == pytest.approx((1 / 3) / (np.std([1, 3, -3], ddof=1) / 3**0.5))
    for slope in range(WINDOW):
        signal.add([float(slope)])
    assert signal.mean()[0] == pytest.approx((WINDOW - 1) / 2)


def test_eta_depends_on_recent_reward() -> None:
    """Where reward is high a larger eta turns out well, where it is low a smaller one: eta comes to follow the reward.

    A shuffled context says nothing of now.
    """
    found = {}
    for how in ("reward", "shuffled", "none"):
        tuner = tuner_of("family_gradient", discount=0.95, context=how)
        places: dict[float, list[float]] = {1.0: [], -1.0: []}
        for number in range(600):
            sign = 1.0 if number % 80 < 40 else -1.0
            round_ = rewarded([[1.0], [-1.0]], [sign * 2, sign])
            if number >= 400 and number % 40 >= 20:
                places[sign].append(float(tuner.head.place))
            tuner.move(seen(tuner, **round_))
        found[how] = np.mean(places[1.0]) - np.mean(places[-1.0])
    assert found["reward"] > 1.5
    assert found["reward"] > found["none"] + 0.3
    assert abs(found["shuffled"] - found["none"]) < abs(found["reward"] - found["none"])


def test_the_critic_learns_the_return_under_the_reference_discount_of_what_was_chosen() -> None:
    tuner = tuner_of("family_gradient")
    x = torch.ones(2, 4)
    for _ in range(4000):
        tuner.move(seen(tuner, **rewarded([[0.0], [0.0]], [0.5, 0.7])))
        tuner.learn(x, torch.zeros(2, dtype=torch.long), torch.arange(2))
    assert tuner.say(x).flatten().tolist() == pytest.approx([0.6, 0.6], abs=0.02)


def test_a_random_walk_does_not_look_at_what_happened() -> None:
    """As large steps as the gradient makes of noise, in a direction that only the generator decides."""
    places = []
    for sign in (1.0, -1.0):
        tuner = tuner_of("random_walk", discount=0.95)
        walked = []
        for _ in range(300):
            tuner.move(seen(tuner, **rewarded([[], []], [sign, -sign])))
            walked.append(float(tuner.head.place))
        places.append(walked)
    assert places[0] == places[1]
    assert 0.5 < np.ptp(places[0]) <= 3


@pytest.mark.parametrize("better", [3, 7])
def test_eta_goes_to_the_side_that_had_more(better: int) -> None:
    """Environment 3 tries a smaller eta, 7 a larger one."""
    tuner = tuner_of("return_difference")
    rng = np.random.default_rng(1)
    for episode in range(1, 60):
        returns = [float(rng.normal(1.0 if env == better else 0.0)) for env in range(8)]
        tuner.observe(np.ones(16, bool))
        tuner.move(seen(tuner, **rewarded([[0.0, float(episode)]] * 8, returns)))
    assert float(tuner.head.place) == pytest.approx(0.0 if better == 3 else 3.0, abs=0.5)


def test_a_bandit_plays_by_the_head_of_the_best_newest_episodes() -> None:
    """Head 2 is best, then head 0; an eighth of the environments play by any head all the time, the others by the best."""
    tuner = tuner_of("bandit")
    assert tuner.places().tolist() == [1.0] * 16
    for best in (2, 0):
        for episode in range(120):
            tuner.observe(np.ones(16, bool))
            place_N = tuner.places()
            marks = [[place, episode + 1.0] for place in place_N.tolist()]
            tuner.move(seen(tuner, **rewarded(marks, [1.0 if place == best else 0.0 for place in place_N.tolist()])))
        assert float(tuner.head.place) == best
        tuner.observe(np.ones(16, bool))
        settled = np.delete(tuner.places().numpy(), [7, 15])
        assert (settled == best).all()
    drawn = []
    for _ in range(200):
        tuner.observe(np.arange(16) == 7)  # the others' episodes go on
        drawn.append(int(tuner.places()[7]))
        assert (np.delete(tuner.places().numpy(), [7, 15]) == 0).all()
    assert set(drawn) == {0, 1, 2, 3}


def test_a_bandit_tries_all_heads_with_few_environments_too() -> None:
    tuner, drawn = tuner_of("bandit", num_envs=2), []
    for episode in range(300):
        tuner.observe(np.ones(2, bool))
        place_N = tuner.places().tolist()
        tuner.move(seen(tuner, **rewarded([[place, episode + 1.0] for place in place_N], [float(place == 1) for place in place_N])))
        drawn += place_N
    assert {place: drawn.count(place) > 6 for place in (0, 1, 2, 3)} == dict.fromkeys(range(4), True)
    assert drawn.count(1) > 0.8 * len(drawn)


def test_returns_are_added_up_over_an_episode_and_not_beyond() -> None:
    """Environment 0: 1 + 2 at place 3 in two rounds; an episode that was left (5) does not count to the next one (7)."""
    tuner = tuner_of("bandit")
    episodes = tuner.episodes  # type: ignore[attr-defined]

    def ended(reward: float, done: bool, place: float, episode: float) -> Any:
        round_ = rewarded([[place, episode]], [reward])
        return episodes.ended(seen(tuner, **{**round_, "done": torch.tensor([done])}))

    assert ended(1.0, False, 3.0, 1.0) == []
    assert ended(2.0, True, 3.0, 1.0) == [(3.0, 0, 3.0)]
    assert ended(5.0, False, 2.0, 2.0) == []
    assert ended(7.0, True, 1.0, 3.0) == [(1.0, 0, 7.0)]


def test_a_schedule_goes_through_its_discounts() -> None:
    tuner = tuner_of("schedule", discount_schedule=(0.98, 0.8, 0.9))
    found = []
    for share in (0.0, 0.3, 0.34, 0.6, 0.67, 1.0):
        tuner.move(seen(tuner, share=share))
        found.append(tuner.metrics()["discount"])
    assert found == pytest.approx([0.98, 0.98, 0.8, 0.8, 0.9, 0.9])
    assert tuner.places().tolist() == [1.0] * 16


# --- the meta-gradient through the update ---


def test_a_sensitivity_is_the_derivative_of_the_value() -> None:
    """In cell s of the corridor, d = 5 - s steps from the goal, Q(right) = -(1 - gamma^(d-1)) / (1 - gamma); here gamma = 0.9.

    By eta, where gamma = sigmoid(eta): gamma (1 - gamma) times the derivative by gamma, here of a sum of powers.
    """
    stays = change(
        TUNED, env_steps=15_000, final_learning_rate=0.05, epsilon_end=0.5, tuner="update_gradient", meta_rate=1e-9, perturb=False
    )
    learner = learned(stays).learner
    assert isinstance(learner, QLambda)
    assert isinstance(learner.tuner, UpdateGradient)
    assert learner.tuner.moving
    assert learner.tuner.metrics()["discount"] == pytest.approx(0.9)
    envs = Corridor(5)
    envs.cell = np.arange(5)
    with torch.no_grad():
        (s_BO,) = learner.tuner.sensitivities(learner.tuner.say(learner.network.torso(torch.from_numpy(envs._obs()))))
    worked = [-0.9 * 0.1 * sum(i * 0.9 ** (i - 1) for i in range(5 - cell - 1)) for cell in range(5)]
    assert worked[0] == pytest.approx(-0.09 * (1 + 1.8 + 2.43))
    assert s_BO[:, 1].numpy() == pytest.approx(worked, abs=0.1)
    assert s_BO[:, 2].numpy() == pytest.approx(worked, abs=0.1)


@pytest.mark.usefixtures("double")
def test_a_target_carries_its_derivative() -> None:
    """Against finite differences: of the discount and of lambda, through rewards, bootstrap and lambda-return together."""
    rng = np.random.default_rng(4)
    rewards, length = torch.from_numpy(rng.normal(size=(6, 5))), torch.from_numpy(rng.integers(1, 6, 6))
    option, end = torch.from_numpy(rng.integers(0, 3, 6)), torch.from_numpy(rng.integers(0, 4, 6))
    terminated, following = torch.tensor([False, False, True, False, False, False]), torch.tensor([1, 2, -1, 4, 5, -1])

    def target(q_UO: Tensor, head: int, discount: Tensor, td_lambda: Tensor) -> Tensor:
        bootstrap = option_bootstrap(q_UO[end], q_UO[end].max(1).values, option, torch.full((6,), 0.3))
        return q_lambda(skill_reward(rewards, length, discount), discount**length, bootstrap, terminated, following, td_lambda)

    tuned = tuner_of("update_gradient", tune_lambda=True)
    assert isinstance(tuned, UpdateGradient)
    q_UO, s_PUO = torch.from_numpy(rng.normal(size=(4, 3))), torch.from_numpy(rng.normal(size=(2, 4, 3)))
    y_D, slope_DP = tuned.dual(target, q_UO, s_PUO)
    for p in range(2):
        step = torch.zeros(2)
        step[p] = 1e-6
        up = target(q_UO + 1e-6 * s_PUO[p], 0, **tuned.meta_parameters(tuned.eta + step))
        down = target(q_UO - 1e-6 * s_PUO[p], 0, **tuned.meta_parameters(tuned.eta - step))
        torch.testing.assert_close(slope_DP[:, p], (up - down) / 2e-6, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(y_D, target(q_UO, 0, **tuned.meta_parameters(tuned.eta)))


def test_the_values_follow_the_meta_parameter() -> None:
    """After a step, the head says what the tangent foretold; bounds hold."""
    tuned = tuner_of("update_gradient", tune_lambda=True)
    assert isinstance(tuned, UpdateGradient)
    for layer in (tuned.head, tuned.sensitivity):
        torch.nn.init.normal_(layer.weight)
    x = torch.randn(5, 4)
    with torch.no_grad():
        before, s_PBO, eta = tuned.head(x), tuned.sensitivities(tuned.say(x)), tuned.eta
        up_down = rewarded([[1.0, -1.0], [-1.0, 1.0]], [1.0, -1.0])
        for _ in range(2):
            tuned.move(seen(tuned, **up_down))
        moved = tuned.eta - eta
        assert moved.tolist() == pytest.approx([0.05, -0.05], abs=1e-3)
        torch.testing.assert_close(tuned.head(x), before + moved[0] * s_PBO[0] + moved[1] * s_PBO[1])
    for sign, ends in ((1.0, (1, 0)), (-1.0, (0, 1))):
        for _ in range(400):
            tuned.move(seen(tuned, **rewarded([[1.0, -1.0], [-1.0, 1.0]], [sign, -sign])))
        found = {name: value.item() for name, value in tuned.meta_parameters(tuned.eta).items()}
        expected = {name: BOUNDS[name][end] for name, end in zip(("discount", "td_lambda"), ends, strict=True)}
        assert found == pytest.approx(expected)
        assert tuned.head.discount == pytest.approx(expected["discount"])


# --- all of it ---


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
    "tuner", ["family_gradient", *(pytest.param(name, marks=pytest.mark.slow) for name in ("update_gradient", "bandit"))]
)
@pytest.mark.parametrize(("begins", "limit", "ends"), [(0.8, 20, (0.85, 1.0)), (0.95, 4, (0.0, 0.85))])
def test_the_discount_goes_where_the_reward_is(tuner: str, begins: float, limit: int, ends: tuple[float, float]) -> None:
    """Two steps to 1 and five to 2: the far exit looks better from gamma^3 = 1/2 on, gamma = 0.79, less what exploring costs."""
    discounts = (0.5, 0.7, 0.85, 0.95)
    config = change(TUNED, env_steps=15_000, discount=begins, epsilon_end=0.2, tuner=tuner, discounts=discounts)
    trainer = Trainer(lambda n: Fork(n, limit), primitives(["left", "right"]), config, 1)
    found = [row["discount"] for row in trainer.run()]
    assert ends[0] <= np.mean(found[-50:]) <= ends[1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"learner": "dqn"}, "tune_discount"),
        ({"target_period": 100, "tuner": "family_gradient"}, "--tuner family_gradient goes with --target-period 0"),
        ({"discounts": (0.8, 0.9), "discount": 0.95}, "--tune-discount: --discount must begin from 0.8 to 0.9, not at 0.95"),
        ({"discounts": (0.9, 0.8), "discount": 0.8}, "--discounts must rise, not be 0.9 0.8"),
        ({"discount": 0.5}, "--tune-discount: --discount must begin from 0.8 to 0.98, not at 0.5"),
        ({"tuner": "update_gradient", "discount": 0.999}, "--discount must begin from 0.8 to 0.995, not at 0.999"),
        ({"tune_lambda": True}, "--tune-lambda needs --tuner update_gradient"),
        ({"tune_lambda": True, "tuner": "update_gradient", "td_lambda": 1.0}, "--td-lambda must begin from 0.05 to 0.95, not at 1"),
        ({"tuner": "return_difference", "num_envs": 4}, "--tuner return_difference needs --num-envs 8 or more"),
        ({"tuner": "schedule"}, "--tuner schedule needs --discount-schedule"),
    ],
)
def test_what_cannot_be_tuned_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make_learner(change(Config(), tune_discount=True, **changes), (2, 64, 64), 3, 1)


def test_a_discount_of_a_family_is_checked() -> None:
    with pytest.raises(ConfigError, match="--discounts must be from 0 to below 1, not 1"):
        change(Config(), discounts=(0.8, 1.5)).check()
    with pytest.raises(ConfigError, match="--discounts must be values"):
        change(Config(), discounts=0.8).check()


def test_off_costs_nothing() -> None:
    learner = value_learner(Q_LAMBDA, 3)
    assert isinstance(learner, QLambda)
    assert learner.tuner is None
    assert learner.needs.record_size == 3
    assert isinstance(learner.network.head, LinearHead)


def test_masks_keep_options_out_of_the_score() -> None:
    """Of options that could not be chosen, or are eliminated, neither value nor slope has a say."""

    def found(value: float, slope: float) -> list[float]:
        q = torch.tensor([[0.1, 0.08, value], [0.03, -0.02, ELIMINATED]])
        s = torch.tensor([[0.5, 0.1, slope], [0.2, 0.0, slope]])
        available = torch.tensor([[True, True, False], [True, True, True]])
        epsilon, option = torch.full((2,), 0.3), torch.tensor([0, 1])
        return score(s, Choosing(q[:, None], q, torch.empty(2, 0), torch.arange(2), available, epsilon, option)).tolist()

    assert found(5.0, 9.0) == pytest.approx(found(0.0, -40.0))
    assert abs(found(0.0, 0.0)[0]) > 1e-3

"""The learners on a corridor whose optimum is known, their masks, their determinism, and going on from a saved state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from h_dqn import cuda_graph, elimination
from h_dqn.checkpoint import load_state, save_state
from h_dqn.config import Config, ConfigError, change
from h_dqn.learners import LEARNERS, Kind, Progress, make_learner
from h_dqn.learners.q_lambda import QLambda, QLambdaConfig
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.options import KEEP, Bools, Ints
from h_dqn.policies import greedy
from h_dqn.presets import PRESETS
from h_dqn.replay import Decisions
from h_dqn.train import Trainer
from tests.conftest import Corridor
from tests.helpers import DQN_CONFIG, Q_LAMBDA, batch_of, learned, learner_with, options, targets_of, value_learner

pytestmark = pytest.mark.usefixtures("tiny_network")
VARIANTS = {
    "q_lambda": Q_LAMBDA,
    "q_lambda, wide gap": change(Q_LAMBDA, advantage_learning_alpha=0.5),
    "dqn": DQN_CONFIG,
    "dqn, three steps, prioritised": change(DQN_CONFIG, n_step=3, priority=0.5),
    "dqn, no target network": change(DQN_CONFIG, target_period=0),
    "dqn, success memory": change(DQN_CONFIG, success_memory=0.2),
    "q_lambda, success memory": change(Q_LAMBDA, success_memory=0.2, capacity=2000),
    "q_lambda, target network": change(Q_LAMBDA, target_period=200),
    "q_lambda, all options learn": change(Q_LAMBDA, intra_option="all"),
    "q_lambda, interrupted": change(Q_LAMBDA, interrupt=True),
    "q_lambda, elimination": change(Q_LAMBDA, eliminate=True, env_steps=6144),  # beyond the first fit
    "dqn, elimination": change(DQN_CONFIG, eliminate=True, env_steps=6144),
    "q_lambda, a discount that tunes itself": change(Q_LAMBDA, tune_discount=True, tuner="family_gradient"),
    "q_lambda, discount and lambda tune themselves": change(
        Q_LAMBDA, tune_discount=True, tune_lambda=True, tuner="update_gradient"
    ),
    "q_lambda, returns at either side": change(Q_LAMBDA, tune_discount=True, tuner="return_difference"),
    "q_lambda, a family, bandit, double": change(Q_LAMBDA, tune_discount=True, tuner="bandit", target_period=200),
    "q_lambda, a family, context, interrupted": change(
        Q_LAMBDA, tune_discount=True, tuner="family_gradient", context="reward", interrupt=True, intra_option="all"
    ),
    "q_lambda, eliminates and tunes itself": change(Q_LAMBDA, eliminate=True, tune_discount=True),
    "q_lambda, gamma once a decision": change(Q_LAMBDA, discount_by="decision"),
    "q_lambda, a core": change(Q_LAMBDA, core=16, success_memory=0.0),
    "q_lambda, a core, success memory": change(Q_LAMBDA, core=16, success_memory=0.2, capacity=2000),
    "q_lambda, a core, all options learn, interrupted": change(
        Q_LAMBDA, core=16, success_memory=0.0, intra_option="all", interrupt=True
    ),
    "q_lambda, a core, eliminates and tunes itself": change(
        Q_LAMBDA, core=16, success_memory=0.0, eliminate=True, tune_discount=True
    ),
    "q_lambda, a core, target network": change(Q_LAMBDA, core=16, success_memory=0.0, target_period=200),
    "dqn, a core, three steps": change(DQN_CONFIG, core=16, success_memory=0.0, sequence_steps=8, n_step=3),
}


SLOW = ("dqn, a core, three steps",)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in VARIANTS])
def test_learns_the_corridor(name: str) -> None:
    """The optimum walks right from every cell: (5 - cell) steps on average 3, so a mean return of -2."""
    trainer = learned(VARIANTS[name])
    outcome = trainer.evaluate(200, seed=1)
    assert outcome.success_rate == 1.0
    assert outcome.env_steps == pytest.approx(200 * 3, rel=0.1)
    assert outcome.mean_return == pytest.approx(1 - outcome.env_steps / 200)


def test_every_learner_is_among_the_variants() -> None:
    assert {type(config.learner) for config in VARIANTS.values()} == {kind.settings for kind in LEARNERS.values()}


@pytest.mark.parametrize("config", [Q_LAMBDA, DQN_CONFIG], ids=["q_lambda", "dqn"])
def test_values_are_those_of_the_corridor(config: Config) -> None:
    """Q of 'right' and of 'right3' in cell s, from d = 5 - s steps to the goal: -(1 - gamma^(d-1)) / (1 - gamma)."""
    network = q_network(learned(change(config, env_steps=8_000, final_learning_rate=0.05)))
    envs = Corridor(5)
    envs.cell = np.arange(5)
    q = network.values(envs._obs()).numpy()
    steps = 5 - np.arange(5)
    worked = -(1 - 0.9 ** (steps - 1)) / (1 - 0.9)
    assert q[:, 1] == pytest.approx(worked, abs=0.35)
    assert q[:, 2] == pytest.approx(worked, abs=0.35)


def q_network(trainer: Trainer) -> QNetwork:
    assert isinstance(trainer.learner.network, QNetwork)
    return trainer.learner.network


@pytest.mark.parametrize("config", [Q_LAMBDA, DQN_CONFIG], ids=["q_lambda", "dqn"])
def test_a_discount_once_a_decision_makes_long_options_look_worse(config: Config) -> None:
    """The slip of Tessler et al.'s code: three steps of -1, then -10, are -2.71 - 0.9 * 10 instead of -2.71 - 0.9^3 * 10."""
    batch = batch_of(option=torch.tensor([2]), rewards=-torch.ones(1, 3), length=torch.tensor([3]))
    for by, target in (("step", -2.71 - 7.29), ("decision", -2.71 - 9.0)):
        learner = learner_with([-10.0] * 3, change(config, target_period=0, discount_by=by))
        assert targets_of(learner, batch).item() == pytest.approx(target)


def test_a_network_grows_by_name() -> None:
    small, large = value_learner(Q_LAMBDA, 2), value_learner(change(Q_LAMBDA, initial_value=-5.0), 3, seed=2)
    with torch.no_grad():
        small.network.head.get_parameter("weight").normal_()
    obs = np.random.default_rng(1).integers(0, 255, (7, 1, 8, 8), np.uint8)
    large.warm_start(["right", "jump", "left"], small.network, ["left", "right"])
    before, after = small.network.values(obs), large.network.values(obs)
    assert torch.equal(after[:, [2, 0]], before)
    torch.testing.assert_close(after[:, 1], before.mean(1))  # a new option is worth what the others are, and so is tried
    again = value_learner(change(Q_LAMBDA, initial_value=-5.0), 3, seed=2)
    again.warm_start(["right", "jump", "left"], small.network, [])
    assert torch.equal(again.network.values(obs), torch.full((7, 3), -5.0))
    with pytest.raises(ConfigError, match="--from"):
        make_learner(change(Q_LAMBDA, network="compact"), (1, 32, 32), 2, 1).warm_start(["left"], small.network, ["left"])


def test_a_warm_start_reaches_the_target_network() -> None:
    small, large = learner_with([1.0, 2.0]), value_learner(DQN_CONFIG, 2, seed=2)
    large.warm_start(["left", "right"], small.network, ["left", "right"])
    obs = np.zeros((1, 1, 8, 8), np.uint8)
    assert large.target is not large.network
    assert large.target.values(obs).tolist() == large.network.values(obs).tolist() == [[1.0, 2.0]]


def test_same_seed_same_weights() -> None:
    for config in (Q_LAMBDA, DQN_CONFIG):
        short = change(config, env_steps=1024)
        a, b, c = (learned(short, seed).learner.network.state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(a[name], b[name]) for name in a)
        assert any(not torch.equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize("name", VARIANTS)
def test_goes_on_bit_for_bit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when elimination has been fitted, and when meta-parameters are moving."""
    monkeypatch.setattr(elimination, "FIRST_REFIT", 200)
    config = change(VARIANTS[name], env_steps=1536, evaluate_every=512, epsilon_decisions=300)
    whole = Trainer(lambda n: Corridor(n), options(), config, 1)
    part = Trainer(lambda n: Corridor(n), options(), config, 1)
    rows = list(whole.run())
    running = part.run()
    for _ in range(5):
        next(running)
    file = save_state(tmp_path, "checkpoint", part.state_dict())
    other = Trainer(lambda n: Corridor(n), options(), config, 1)
    other.load_state_dict(load_state(file))
    rest = list(other.run())
    assert [{**row, "seconds": 0} for row in rows[5:]] == [{**row, "seconds": 0} for row in rest]
    moves = isinstance(config.learner, QLambdaConfig) and config.learner.tuning.tuner != "bandit"
    assert not moves or len({row["discount"] for row in rest if "discount" in row}) != 1, "it moves"
    assert not config.elimination.eliminate or q_network(other).get_buffer("elimination.bandits.known").any(), "it was fitted"
    a, b = whole.learner.network.state_dict(), other.learner.network.state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_goes_on_in_other_environments(tmp_path: Path) -> None:
    """Three phases of unlike corridors, stopped and gone on with in the second."""
    config = change(Q_LAMBDA, env_steps=1536)
    later = [(512, lambda n: Corridor(n, length=4)), (1024, lambda n: Corridor(n, length=8))]
    whole, part, other = (Trainer(lambda n: Corridor(n), options(), config, 1, later) for _ in range(3))

    def length(trainer: Trainer) -> int:
        assert isinstance(trainer.rollout.envs, Corridor)
        return trainer.rollout.envs.length

    rows, lengths = [], []
    for row in whole.run():
        rows.append(row)
        lengths.append(length(whole))
    assert lengths == [6] * 4 + [4] * 4 + [8] * 4
    running = part.run()
    for _ in range(6):
        next(running)
    file = save_state(tmp_path, "checkpoint", part.state_dict())
    other.load_state_dict(load_state(file))
    assert [{**row, "seconds": 0} for row in rows[6:]] == [{**row, "seconds": 0} for row in other.run()]
    assert length(other) == 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["q_lambda", "dqn", "q_lambda, discount and lambda tune themselves"])
def test_a_cuda_graph_does_what_its_steps_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    for warm_up in (cuda_graph.WARM_UP, 10**9):
        monkeypatch.setattr(cuda_graph, "WARM_UP", warm_up)
        network = learned(change(VARIANTS[name], device="cuda")).learner.network
        weights.append(torch.nn.utils.parameters_to_vector(network.parameters()))
    torch.testing.assert_close(*weights)


def test_without_cuda_the_step_itself_is_called() -> None:
    calls: list[Tensor] = []

    def step(given: Tensor) -> tuple[Tensor]:
        calls.append(given)
        return (given + 1,)

    given = torch.zeros(4)
    assert cuda_graph.CudaGraph(step, 4)(given)[0].tolist() == [1.0] * 4
    assert calls[0] is given


def test_values_by_which_was_chosen_are_not_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []

    class Checked(QLambda):
        """Works all values of each round out again, and compares the targets."""

        def batch_values(self, batch: Decisions) -> Tensor:
            known = super().batch_values(batch)
            again = super().batch_values(replace(batch, record=torch.full_like(batch.record, torch.nan)))
            shares.append(float(batch.record.isfinite().all(1).float().mean()))
            targets = (self.targets(batch, 0.0, None, values) for values in (known, again))
            torch.testing.assert_close(*targets, rtol=1e-4, atol=1e-5)
            return known

    monkeypatch.setitem(LEARNERS, "q_lambda", Kind(QLambdaConfig, Checked))
    learned(change(Q_LAMBDA, env_steps=1024))
    assert np.mean(shares) > 0.3


OBS, NO_SECOND, FIRST = np.zeros((400, 1, 8, 8), np.uint8), np.tile([True, False, True], (400, 1)), np.zeros(400, int)
BEGUN = Progress(0.0, 0.0)


@pytest.mark.parametrize("epsilon", [0.0, 0.25, 1.0])
def test_what_explores_is_not_interrupted(epsilon: float) -> None:
    config = change(Q_LAMBDA, epsilon_start=epsilon, epsilon_end=epsilon, epsilon_ladder=0.0)
    better = learner_with([1.0, 3.0, 2.0], config).interrupt(OBS, NO_SECOND, FIRST)
    assert set(better.tolist()) <= {KEEP, 2}
    assert abs((better == KEEP).mean() - epsilon) < 0.07


@pytest.mark.parametrize("temperature", [0.0, 0.03])
def test_mask_in_the_greedy_choice(temperature: float) -> None:
    learner = learner_with([1.0, 3.0, 2.0], change(Q_LAMBDA, temperature=temperature))

    def chosen(available: Bools) -> Ints:
        played = learner.policy(seed=1)(OBS, available, FIRST)
        np.testing.assert_array_equal(played, greedy(learner.network.values(OBS), available))
        return played

    assert set(chosen(NO_SECOND)) == {2}
    assert set(chosen(np.ones_like(NO_SECOND))) == {1}


@pytest.mark.parametrize("config", [Q_LAMBDA, DQN_CONFIG], ids=["q_lambda", "dqn"])
def test_mask_while_exploring(config: Config) -> None:
    learner = learner_with([1.0, 3.0, 2.0], change(config, epsilon_start=1.0, epsilon_end=1.0))
    drawn = np.bincount(learner.act(OBS, NO_SECOND, FIRST, BEGUN).option, minlength=3)
    assert drawn[1] == 0
    assert drawn[0] == pytest.approx(200, abs=50)


def test_mask_in_the_bootstrap() -> None:
    batch = batch_of(next_available=torch.from_numpy(NO_SECOND[:1]))
    assert targets_of(learner_with([1.0, 3.0, 2.0]), batch).item() == pytest.approx(-1 + 0.9 * 2)
    learner = learner_with([1.0, 3.0, 2.0], DQN_CONFIG)
    assert targets_of(learner, batch).item() == pytest.approx(-1.0), "the target network says 0"
    learner.target.load_state_dict(learner.network.state_dict())
    assert targets_of(learner, batch).item() == pytest.approx(-1 + 0.9 * 2)


def test_truncation_bootstraps_and_termination_does_not() -> None:
    for config in (Q_LAMBDA, change(DQN_CONFIG, target_period=0)):
        learner = learner_with([1.0, 3.0, 2.0], config)
        assert targets_of(learner, batch_of()).item() == pytest.approx(-1 + 0.9 * 3)
        assert targets_of(learner, batch_of(terminated=torch.tensor([True]))).item() == pytest.approx(-1.0)


def test_each_environment_draws_its_own_exploration() -> None:
    config = change(Q_LAMBDA, num_envs=2, epsilon_start=0.5, epsilon_end=0.5, epsilon_ladder=3.0)
    learner = learner_with([0.0, 1.0, 0.0], config)
    for env, low, high in ((0, 0.25, 0.42), (1, 0.01, 0.09)):  # two thirds of 1/2, and of 1/16
        chosen = learner.act(OBS, np.ones_like(NO_SECOND), np.full(len(OBS), env), BEGUN).option
        assert low < (chosen != 1).mean() < high


def test_epsilon_falls_linearly_and_rises_while_nothing_succeeds() -> None:
    config = change(Q_LAMBDA, epsilon_start=1.0, epsilon_end=0.1, epsilon_decisions=1000, epsilon_ladder=0.0)
    learner = value_learner(config, 3)

    def decide(decisions: int, success: float) -> float:
        for _ in range(decisions // 50):
            learner.act(OBS[:50], NO_SECOND[:50], FIRST[:50], Progress(0.0, success))
        return float(learner.exploration.epsilon.mean())

    assert decide(500, success=0.0) == pytest.approx(1.0)
    assert decide(500, success=0.01) == pytest.approx(0.55)
    assert decide(1500, success=0.5) == pytest.approx(0.1)
    assert decide(250, success=0.0) == pytest.approx(0.325)
    learner = value_learner(change(config, epsilon_waits=False), 3)
    assert decide(500, success=0.0) == pytest.approx(0.55)
    assert decide(750, success=0.0) == pytest.approx(0.1)


def test_a_run_ends_when_it_is_good_enough() -> None:
    config = change(Q_LAMBDA, evaluate_every=1000, env_steps=100_000)
    trainer = learned(change(config, until=0.95))
    assert trainer.reached_95
    assert trainer.env_steps == trainer.reached_95[0] < 20_000
    assert trainer.best
    assert trainer.best[0] >= 0.95
    with_another = Trainer(lambda n: Corridor(n), options(), change(config, until=0.95), 1, [(9_000, lambda n: Corridor(n))])
    for _ in with_another.run():
        pass
    assert 9_000 < with_another.env_steps < 29_000, "the first phase is played to its end"


def test_deliberation_costs_as_much_as_success_is_known() -> None:
    for config in (Q_LAMBDA, DQN_CONFIG):
        learner = learner_with([0.0, 0.0, 0.0], change(config, deliberation_cost=0.5, reward_scale=0.1))
        batch = batch_of(
            rewards=torch.tensor([[-1.0, -1.0]]), length=torch.tensor([2]), terminated=torch.tensor([True])
        )  # fmt: skip
        for success, target in ((0.0, -0.1 * 1.9), (0.4, -0.1 * 2.1), (1.0, -0.1 * 2.4)):
            assert targets_of(learner, batch, success).item() == pytest.approx(target)


def test_an_option_that_may_go_on_pays_once_and_keeps_a_part_of_its_gap() -> None:
    """It ends there by chance 1/2: the value of going on is without a second cost, and half a choice's gap is added."""
    config = change(Q_LAMBDA, deliberation_cost=0.5, reward_scale=0.1, advantage_learning_alpha=0.8)
    batch = batch_of(option=torch.tensor([2]), continuation=torch.tensor([0.5]))
    worked = 0.1 * (-1.0 - 0.5) + 0.9 * (0.5 * (2 + 0.1 * 0.5) + 0.5 * 3) + 0.5 * 0.8 * (2 - 3)
    assert targets_of(learner_with([1.0, 3.0, 2.0], config), batch, success=1.0).item() == pytest.approx(worked)


def test_the_value_of_an_option_that_goes_on_does_not_explode() -> None:
    """In a place that leads to itself: Q = r + gamma * (0.9 Q + 0.1 V) + 0.1 * alpha * (Q - V), where V = 0."""
    learner = learner_with([0.0, 0.0, 0.0], change(Q_LAMBDA, advantage_learning_alpha=0.8))
    assert isinstance(learner, QLambda)
    batch, q = batch_of(option=torch.tensor([2]), continuation=torch.tensor([0.9])), torch.zeros(1, 3)
    for _ in range(200):
        q[0, 2] = learner.targets(batch, 0.0, None, q)[0]
    assert q[0, 2].item() == pytest.approx(-1 / (1 - 0.9 * 0.9 - 0.1 * 0.8))


def test_a_chain_of_decisions_pays_for_one_only_and_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--deliberation-cost .* goes with --n-step 1"):
        value_learner(change(DQN_CONFIG, deliberation_cost=0.5, n_step=2), 3)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_and_acts(name: str) -> None:
    config = PRESETS[name]
    shape = (config.env.stack, config.env.size, config.env.size)
    learner = make_learner(config, shape, 4, seed=1)
    obs = np.zeros((2, *shape), np.uint8)
    learner.observe(obs, np.ones(2, bool))
    choice = learner.act(obs, np.ones((2, 4), bool), np.arange(2), BEGUN)
    assert choice.option.shape == (2,)
    assert (0 if choice.record is None else choice.record.shape[1]) == learner.needs.record_size
    assert isinstance(learner.network, QNetwork)
    assert learner.network.spec.network == config.net.network


def test_nature_network_is_that_of_the_paper() -> None:
    """1,688,745 weights with nine outputs, as counted in the paper's code."""
    network = QNetwork(NetworkSpec("nature", (4, 84, 84), 9))
    assert sum(weight.numel() for weight in network.parameters()) == 1_688_745


def test_frames_too_small_are_refused() -> None:
    with pytest.raises(ConfigError, match="too small"):
        QNetwork(NetworkSpec("nature", (4, 16, 16), 3))

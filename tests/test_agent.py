"""The agent on a corridor whose optimum is known, its masks, its determinism, and going on from a saved state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from h_dqn import cuda_graph
from h_dqn.agent import Agent
from h_dqn.checkpoint import load_state, save_state
from h_dqn.config import Config, ConfigError
from h_dqn.networks import ARCHITECTURES, QNetwork, values
from h_dqn.options import KEEP, Option, primitives
from h_dqn.presets import PRESETS
from h_dqn.replay import Decisions
from h_dqn.train import Trainer
from tests.conftest import Corridor, Walk

TINY = Config(
    env_steps=8192, learning_rate=3e-3, worlds=16, size=8, stack=1, network="tiny", round_steps=8, batch_size=32, discount=0.9,
    reward_scale=1.0,
    initial_value=0.0, epsilon_decisions=2000, epsilon_end=0.1, evaluate_every=10**9, validation_episodes=32, gap=0.0,
)  # fmt: skip
SHAPE = (1, 8, 8)
REPLAY = replace(TINY, learner="replay", capacity=2000, learn_start=200, updates_per_decision=0.25, target_period=200,
                 learning_rate=3e-3)  # fmt: skip
VARIANTS = {
    "rollout": TINY,
    "rollout, wide gap": replace(TINY, gap=0.5),
    "replay": REPLAY,
    "replay, three steps, prioritised": replace(REPLAY, n_step=3, priority=0.5),
    "replay, no target network": replace(REPLAY, target_period=0),
    "replay, success memory": replace(REPLAY, success_memory=0.2),
    "rollout, success memory": replace(TINY, success_memory=0.2, capacity=2000),
    "rollout, target network": replace(TINY, target_period=200),
    "rollout, all options learn": replace(TINY, intra_option="all"),
    "rollout, interrupted": replace(TINY, interrupt=True),
    "rollout, elimination": replace(TINY, eliminate=True),
    "replay, elimination": replace(REPLAY, eliminate=True),
    "rollout, discount and lambda tune themselves": replace(TINY, tune_discount=True, tune_trace=True),
    "rollout, eliminates and tunes itself": replace(TINY, eliminate=True, tune_discount=True),
    "rollout, gamma once a decision": replace(TINY, discount_by="decision"),
}


@pytest.fixture(autouse=True)
def _tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from h_dqn.networks import Architecture

    monkeypatch.setitem(ARCHITECTURES, "tiny", Architecture(((16, 8, 8),), hidden=32, norm=True))


def options() -> list[Option]:
    return [*primitives(["left", "right"]), Walk("right3", 1, 3)]


def learned(config: Config, seed: int = 1, which: list[Option] | None = None) -> Trainer:
    trainer = Trainer(lambda n: Corridor(n), which or options(), config, seed)
    for _ in trainer.run():
        pass
    return trainer


@pytest.mark.parametrize("name", VARIANTS)
def test_learns_the_corridor(name: str) -> None:
    """The optimum walks right from every cell: (5 - cell) steps on average 3, so a mean return of -2."""
    trainer = learned(VARIANTS[name])
    outcome = trainer.evaluate(200, seed=1)
    assert outcome.success_rate == 1.0
    assert outcome.env_steps == pytest.approx(200 * 3, rel=0.1)
    assert outcome.mean_return == pytest.approx(1 - outcome.env_steps / 200)


@pytest.mark.parametrize("config", [TINY, REPLAY], ids=["rollout", "replay"])
def test_values_are_those_of_the_corridor(config: Config) -> None:
    """Q of 'right' and of 'right3' in cell s, from d = 5 - s steps to the goal: -(1 - gamma^(d-1)) / (1 - gamma)."""
    agent = learned(replace(config, env_steps=20_000, final_learning_rate=0.05)).agent
    envs = Corridor(5)
    envs.cell = np.arange(5)
    q = values(agent.network, envs._obs()).numpy()
    steps = 5 - np.arange(5)
    worked = -(1 - 0.9 ** (steps - 1)) / (1 - 0.9)
    assert q[:, 1] == pytest.approx(worked, abs=0.35)
    assert q[:, 2] == pytest.approx(worked, abs=0.35)


def test_a_discount_once_a_decision_makes_long_options_look_worse() -> None:
    """The slip of Tessler et al.'s code, where 'right3' is followed by gamma instead of gamma^3: here from cell 0, d = 5.

    It takes three steps, and from cell 3 the last two cost -1: R + gamma * -1 instead of R + gamma^3 * -1, with R = -2.71.
    """
    config = replace(TINY, env_steps=20_000, final_learning_rate=0.05, intra_option="no")
    start = np.zeros((1, 1, 8, 8), np.uint8)
    start[0, 0, :, 0] = 255
    by_step, by_decision = (
        values(learned(replace(config, discount_by=by)).agent.network, start)[0, 2].item() for by in ("step", "decision")
    )
    assert by_step == pytest.approx(-2.71 - 0.729, abs=0.2)
    assert by_decision < by_step


def test_a_network_grows_by_name() -> None:
    small, large = Agent(TINY, SHAPE, 2, seed=1), Agent(replace(TINY, initial_value=-5.0), SHAPE, 3, seed=2)
    with torch.no_grad():
        small.network.head.weight.normal_()
    obs = np.random.default_rng(1).integers(0, 255, (7, 1, 8, 8), np.uint8)
    large.start_from(small.network, ["right", "jump", "left"], ["left", "right"])
    before, after = values(small.network, obs), values(large.network, obs)
    assert torch.equal(after[:, [2, 0]], before)
    assert torch.equal(after[:, 1], torch.full((7,), -5.0))
    with pytest.raises(ConfigError, match="--from"):
        Agent(replace(TINY, network="compact"), (1, 32, 32), 2, seed=1).start_from(small.network, ["left"], ["left"])


def test_same_seed_same_weights() -> None:
    for config in (TINY, REPLAY):
        short = replace(config, env_steps=1024)
        a, b, c = (learned(short, seed).agent.network.state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(a[name], b[name]) for name in a)
        assert any(not torch.equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize("name", VARIANTS)
def test_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    config = replace(VARIANTS[name], env_steps=1536, evaluate_every=512)
    whole = Trainer(lambda n: Corridor(n), options(), config, 1)
    part = Trainer(lambda n: Corridor(n), options(), config, 1)
    rows = list(whole.run())
    running = part.run()
    for _ in range(5):
        next(running)
    save_state(tmp_path / "checkpoint", part.state_dict())
    other = Trainer(lambda n: Corridor(n), options(), config, 1)
    other.load_state_dict(load_state(tmp_path / "checkpoint"))
    rest = list(other.run())
    assert [{**row, "seconds": 0} for row in rows[5:]] == [{**row, "seconds": 0} for row in rest]
    a, b = whole.agent.network.state_dict(), other.agent.network.state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_goes_on_in_other_worlds(tmp_path: Path) -> None:
    """Three phases of unlike corridors, stopped and gone on with in the second."""
    config = replace(TINY, env_steps=1536)
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
    save_state(tmp_path / "checkpoint", part.state_dict())
    other.load_state_dict(load_state(tmp_path / "checkpoint"))
    assert [{**row, "seconds": 0} for row in rows[6:]] == [{**row, "seconds": 0} for row in other.run()]
    assert length(other) == 8


def agent_with(q: list[float], config: Config = TINY) -> Agent:
    """An agent whose Q-values are these everywhere."""
    agent = Agent(config, SHAPE, len(q), seed=1)
    with torch.no_grad():
        agent.network.head.weight.zero_()
        agent.network.head.bias.copy_(torch.tensor(q))
    return agent


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["rollout", "replay", "rollout, discount and lambda tune themselves"])
def test_a_cuda_graph_does_what_its_steps_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    for warm_up in (cuda_graph.WARM_UP, 10**9):
        monkeypatch.setattr(cuda_graph, "WARM_UP", warm_up)
        network = learned(replace(VARIANTS[name], device="cuda")).agent.network
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


def batch_of(**changes: Any) -> Decisions:
    zero = np.zeros(1, np.int64)
    every = np.ones((1, 3), bool)
    plain: dict[str, Any] = {
        "frames": torch.zeros((1, 1, 8, 8), dtype=torch.uint8), "values": np.full((1, 3), np.nan, np.float32),
        "start": zero, "end": zero, "option": np.array([1]), "rewards": np.array([[-1.0]], np.float32), "length": np.array([1]),
        "allowed": every, "terminated": np.array([False]), "ended": np.array([False]), "available": every,
        "fresh": np.array([True]), "following": np.array([-1]),
        "persists": np.zeros(1, np.float32), "weight": np.ones(1, np.float32), "id": np.array([0]),
    }  # fmt: skip
    return Decisions(**{**plain, **changes})


def test_values_by_which_was_chosen_are_not_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(VARIANTS["rollout"], env_steps=1024)
    trainer = Trainer(lambda n: Corridor(n), options(), config, 1)
    agent, plain, shares = trainer.agent, trainer.agent.lambda_targets, []

    def checked(batch: Decisions) -> torch.Tensor:
        shares.append(np.isfinite(batch.values).all(1).mean())
        targets = plain(batch)
        again = plain(replace(batch, values=np.full_like(batch.values, np.nan)))
        torch.testing.assert_close(targets, again, rtol=1e-4, atol=1e-5)
        return targets

    monkeypatch.setattr(agent, "lambda_targets", checked)
    for _ in trainer.run():
        pass
    assert np.mean(shares) > 0.3


OBS, NO_SECOND = np.zeros((400, 1, 8, 8), np.uint8), np.tile([True, False, True], (400, 1))


@pytest.mark.parametrize("epsilon", [0.0, 0.25, 1.0])
def test_what_explores_is_not_interrupted(epsilon: float) -> None:
    agent = agent_with([1.0, 3.0, 2.0])
    agent.config = replace(agent.config, epsilon_start=epsilon, epsilon_end=epsilon, epsilon_ladder=0.0)
    better = agent.interrupt(OBS, NO_SECOND, np.zeros(400, int))
    assert set(better.tolist()) <= {KEEP, 2}
    assert abs((better == KEEP).mean() - epsilon) < 0.07


def test_mask_in_the_greedy_choice() -> None:
    assert set(agent_with([1.0, 3.0, 2.0]).choose(OBS, NO_SECOND)) == {2}
    assert set(agent_with([1.0, 3.0, 2.0]).choose(OBS, np.ones_like(NO_SECOND))) == {1}


def test_mask_while_exploring() -> None:
    agent = agent_with([1.0, 3.0, 2.0], replace(TINY, epsilon_start=1.0, epsilon_end=1.0))
    drawn = np.bincount(agent.explore(OBS, NO_SECOND, np.zeros(len(OBS), int)), minlength=3)
    assert drawn[1] == 0
    assert drawn[0] == pytest.approx(200, abs=50)


def test_mask_in_the_bootstrap() -> None:
    batch = batch_of(available=NO_SECOND[:1])
    assert agent_with([1.0, 3.0, 2.0]).lambda_targets(batch).item() == pytest.approx(-1 + 0.9 * 2)
    assert agent_with([1.0, 3.0, 2.0], REPLAY).n_step_targets(batch_of(available=NO_SECOND[:1])).item() == pytest.approx(-1.0)
    agent = agent_with([1.0, 3.0, 2.0], REPLAY)
    agent.target.load_state_dict(agent.network.state_dict())
    assert agent.n_step_targets(batch).item() == pytest.approx(-1 + 0.9 * 2)


def test_truncation_bootstraps_and_termination_does_not() -> None:
    for agent in (agent_with([1.0, 3.0, 2.0]), agent_with([1.0, 3.0, 2.0], replace(REPLAY, target_period=0))):
        targets = agent.lambda_targets if agent.config.learner == "rollout" else agent.n_step_targets
        assert targets(batch_of()).item() == pytest.approx(-1 + 0.9 * 3)
        assert targets(batch_of(terminated=np.array([True]))).item() == pytest.approx(-1.0)


def test_each_world_draws_its_own_exploration() -> None:
    agent = agent_with([0.0, 1.0, 0.0], replace(TINY, worlds=2, epsilon_start=0.5, epsilon_end=0.5, epsilon_ladder=3.0))
    for world, low, high in ((0, 0.25, 0.42), (1, 0.01, 0.09)):  # two thirds of 1/2, and of 1/16
        chosen = agent.explore(OBS, np.ones_like(NO_SECOND), np.full(len(OBS), world))
        assert low < (chosen != 1).mean() < high


def test_epsilon_falls_linearly_and_rises_while_nothing_succeeds() -> None:
    config = replace(TINY, epsilon_start=1.0, epsilon_end=0.1, epsilon_decisions=1000, epsilon_ladder=0.0)
    agent = Agent(config, SHAPE, 3, seed=1)

    def decide(decisions: int, success: float) -> float:
        agent.success = success
        for _ in range(decisions // 50):
            agent.explore(OBS[:50], NO_SECOND[:50], np.zeros(50, int))
        return float(agent.epsilon.mean())

    assert decide(500, success=0.0) == pytest.approx(1.0)
    assert decide(500, success=0.01) == pytest.approx(0.55)
    assert decide(1500, success=0.5) == pytest.approx(0.1)
    assert decide(250, success=0.0) == pytest.approx(0.325)
    agent.config = replace(config, epsilon_waits=False)
    assert decide(250, success=0.0) == pytest.approx(0.1)


def test_a_run_ends_when_it_is_good_enough() -> None:
    config = replace(TINY, evaluate_every=1000, env_steps=100_000)
    trainer = learned(replace(config, until=0.95))
    assert trainer.reached_95
    assert trainer.env_steps == trainer.reached_95[0] < 20_000
    assert trainer.best
    assert trainer.best[0] >= 0.95
    with_another = Trainer(lambda n: Corridor(n), options(), replace(config, until=0.95), 1, [(30_000, lambda n: Corridor(n))])
    for _ in with_another.run():
        pass
    assert 30_000 < with_another.env_steps < 50_000, "the first phase is played to its end"


def test_deliberation_costs_as_much_as_success_is_known() -> None:
    agent = agent_with([0.0, 0.0, 0.0], replace(TINY, deliberation=0.5, reward_scale=0.1, discount=0.9, gap=0.0))
    batch = batch_of(rewards=np.array([[-1.0, -1.0]], np.float32), length=np.array([2]), terminated=np.array([True]))
    for success, target in ((0.0, -0.1 * 1.9), (0.4, -0.1 * 2.1), (1.0, -0.1 * 2.4)):
        agent.success = success
        assert float(agent.lambda_targets(batch)) == pytest.approx(target)


def test_an_option_that_may_go_on_pays_once_and_keeps_a_part_of_its_gap() -> None:
    """It ends there by chance 1/2: the value of going on is without a second cost, and half a choice's gap is added."""
    agent = agent_with([1.0, 3.0, 2.0], replace(TINY, deliberation=0.5, reward_scale=0.1, discount=0.9, gap=0.8))
    agent.success = 1.0
    batch = batch_of(option=np.array([2]), persists=np.array([0.5], np.float32))
    worked = 0.1 * (-1.0 - 0.5) + 0.9 * (0.5 * (2 + 0.1 * 0.5) + 0.5 * 3) + 0.5 * 0.8 * (2 - 3)
    assert float(agent.lambda_targets(batch)) == pytest.approx(worked)


def test_the_value_of_an_option_that_goes_on_does_not_explode() -> None:
    """In a place that leads to itself: Q = r + gamma * (0.9 Q + 0.1 V) + 0.1 * alpha * (Q - V), where V = 0."""
    agent = agent_with([0.0, 0.0, 0.0], replace(TINY, discount=0.9, gap=0.8))
    batch, q = batch_of(option=np.array([2]), persists=np.array([0.9], np.float32)), torch.zeros(1, 3)
    for _ in range(200):
        q[0, 2] = agent.lambda_targets(batch, q)[0]
    assert q[0, 2].item() == pytest.approx(-1 / (1 - 0.9 * 0.9 - 0.1 * 0.8))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_and_acts(name: str) -> None:
    config = PRESETS[name]
    shape = (config.stack, config.size, config.size)
    agent = Agent(config, shape, 4, seed=1)
    obs = np.zeros((2, *shape), np.uint8)
    assert agent.explore(obs, np.ones((2, 4), bool), np.arange(2)).shape == (2,)
    assert agent.network.spec["architecture"] == config.network


def test_nature_network_is_that_of_the_paper() -> None:
    """1,688,745 weights with nine outputs, as counted in the paper's code."""
    network = QNetwork("nature", (4, 84, 84), 9)
    assert sum(weight.numel() for weight in network.parameters()) == 1_688_745


def test_frames_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        QNetwork("nature", (4, 16, 16), 3)

"""The recurrent core: against the cell of torch, one step at a time; whoever remembers sees everything; and what it is for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.agent_state import AgentState
from h_dqn.checkpoint import load_state, save_state
from h_dqn.config import Config, ConfigError, change
from h_dqn.evaluation import evaluate
from h_dqn.learners import LEARNERS, Kind
from h_dqn.learners.q_lambda import QLambda, QLambdaConfig
from h_dqn.learners.values import features
from h_dqn.networks import GRU, NetworkSpec, QNetwork
from h_dqn.options import OptionRunner, primitives
from h_dqn.replay import Decisions, SMDPReplay
from h_dqn.rollout import Rollout
from h_dqn.state import CheckpointError
from h_dqn.train import Trainer
from skills_library.policy import PolicyHead, SavedPolicy, SkillError, Termination, load_policy, save_policy
from skills_library.skill import Skill, SkillOption
from tests.conftest import Corridor, TMaze, Walk
from tests.helpers import DQN_CONFIG, Q_LAMBDA, value_learner

pytestmark = pytest.mark.usefixtures("tiny_network")
Frames = NDArray[np.uint8]
RECURRENT: Config = change(Q_LAMBDA, core=16, success_memory=0.0)
CPU = torch.device("cpu")


def network(outputs: int = 2, core: int = 5, seed: int = 1) -> QNetwork:
    """A network whose values depend on all that it saw."""
    torch.manual_seed(seed)
    made = QNetwork(NetworkSpec("tiny", (1, 8, 8), outputs, core=core))
    torch.nn.init.normal_(made.head.get_parameter("weight"))
    return made


# --- the unit ---


def test_slopes_are_those_of_finite_differences() -> None:
    torch.manual_seed(1)
    gru, begins = GRU(4, 3).double(), torch.rand(6, 2) < 0.3
    given = [torch.randn(6, 2, 4, dtype=torch.double), torch.randn(2, 3, dtype=torch.double), *gru.parameters()]
    assert torch.autograd.gradcheck(lambda x, h, *_: gru.unroll(x, begins, h), [one.requires_grad_() for one in given])


def test_a_sequence_is_read_as_step_by_step() -> None:
    torch.manual_seed(2)
    gru, x, state = GRU(4, 3), torch.randn(9, 5, 4), torch.randn(5, 3)
    begins = torch.rand(9, 5) < 0.3
    h, naive = state, []
    for t in range(9):
        h = gru(x[t], torch.where(begins[t][:, None], 0.0, h))
        naive.append(h)
    torch.testing.assert_close(gru.unroll(x, begins, state), torch.stack(naive))
    for gates in (gru.weight_hh.T, gru.weight_ih.T):
        torch.testing.assert_close(gates @ gates.T, torch.eye(len(gates)))


# --- a twin that reads whole episodes, one step of one environment at a time, with torch.nn.GRUCell ---


class Logged(Corridor):
    """A corridor that writes down what it showed: of each environment a list of frames, and whether an episode begins there."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs, limit=7)
        self.log: list[list[tuple[Frames, bool]]] = [[] for _ in range(num_envs)]

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Frames, dict[str, Any]]:
        obs, info = super().reset(seed=seed, options=options)
        for n in np.flatnonzero((options or {}).get("reset_mask", np.ones(self.num_envs, bool))):
            self.log[n].append((obs[n], True))
        return obs, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        found = super().step(actions)
        for n in range(self.num_envs):
            self.log[n].append((found[0][n], False))
        return found


def naive_values(net: QNetwork, log: list[tuple[Frames, bool]]) -> Tensor:
    """The values of each observation of one environment, (rows, O)."""
    assert net.core is not None
    cell = torch.nn.GRUCell(net.torso.features, net.core.units)
    cell.load_state_dict(net.core.state_dict())
    values, h = list[Tensor](), None
    with torch.no_grad():
        for frames, begins in log:
            x = net.torso(torch.from_numpy(frames[None]))
            h = cell(x, None if begins else h)
            values.append(net.head(torch.cat([x, h], 1))[0])
    return torch.stack(values)


@pytest.mark.parametrize("intra_option", ["primitives", "all"])
def test_values_are_those_of_whole_episodes(intra_option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those recorded in acting, those worked out from single states that were kept, and those of sequences within a round."""
    checked = [0, 0]
    made: list[Logged] = []

    class Frozen(QLambda):
        """Learns nothing, and compares."""

        def batch_values(self, batch: Decisions) -> Tensor:
            found = super().batch_values(batch)
            self.compare(batch, [found[batch.start], found[batch.end]], 0)
            return found

        def one_pass(self, replay: SMDPReplay, batch: Decisions, target_D: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
            for ends in (True, False):
                part = replay.sequences(batch.id.numpy(), batch.env.numpy(), ends=ends)
                assert part.begins is not None
                assert part.begins.any()
                q_BO = [self.network.head(features(self.network, part, of)).detach() for of in (part.start, part.end)[: 1 + ends]]
                self.compare(part, q_BO, 1)
            yield from ()

        def compare(self, batch: Decisions, values: list[Tensor], kind: int) -> None:
            naive = [naive_values(self.network, log) for log in made[0].log]
            for i, (env, number) in enumerate(zip(batch.env.tolist(), batch.id.numpy(), strict=True)):
                first, last = (int(row) for row in trainer.replay._decisions.parts(number, "first", "last"))
                for found, row in zip(values, (first, last), strict=False):
                    if not found[i].isnan().any():
                        torch.testing.assert_close(found[i], naive[env][row], rtol=1e-4, atol=1e-5)
                        checked[kind] += 1

    def make(n: int) -> Logged:
        made.append(Logged(n))
        return made[-1]

    monkeypatch.setitem(LEARNERS, "q_lambda", Kind(QLambdaConfig, Frozen))
    config = change(RECURRENT, env_steps=4 * 6 * 5, num_envs=4, round_steps=6, intra_option=intra_option, option_steps=3)
    trainer = Trainer(make, [*primitives(["left", "right"]), Walk("right3", 1, 3)], config, 1)
    torch.nn.init.normal_(trainer.learner.network.head.weight)  # type: ignore[arg-type, union-attr]
    for _ in trainer.run():
        pass
    assert min(checked) > 150


# --- whoever remembers sees every observation ---


def bound(net: QNetwork, heads: int = 1) -> list[SkillOption]:
    """Options that are heads of one network, of two actions each, and run for three steps."""
    made = tuple(PolicyHead(f"m/{i}", ("left", "right"), 2 * i, Termination(3)) for i in range(heads))
    policy = SavedPolicy("m", net, made)
    return [Skill(policy, head).on(("left", "right"), (1, 8, 8), CPU) for head in made]


def test_an_option_listens_while_another_acts() -> None:
    """The steps of the skills are those of the twin, whichever option ran before; and one pass of the core serves both of them."""
    net, envs = network(outputs=4), Logged(5)
    calls: list[int] = []
    net.torso.register_forward_hook(lambda *_: calls.append(1))
    rng = np.random.default_rng(1)
    runner = OptionRunner([*primitives(["left", "right"]), *bound(net, 2)], 5, np.random.default_rng(2))
    rollout = Rollout(envs, runner, lambda obs, available, env_ids: rng.integers(0, 4, len(obs)), list(range(5)))
    acted = 0
    for turn in range(30):
        rows = [len(log) - 1 for log in envs.log]
        step = rollout.step()
        assert len(calls) <= turn + 1
        if turn % 5 == 0:
            counted = len(calls)
            values = torch.stack([naive_values(net, log)[row] for log, row in zip(envs.log, rows, strict=True)])
            del calls[counted:]
            for n in np.flatnonzero(step.option >= 2):
                head = 2 * (step.option[n] - 2)
                assert step.action[n] == int(values[n, head : head + 2].argmax())
                acted += 1
    assert acted > 5


def test_a_policy_is_asked_for_some_and_remembers_all() -> None:
    net, envs = network(), Logged(6)
    state, rng = AgentState(net), np.random.default_rng(1)
    obs, _ = envs.reset(seed=list(range(6)))
    begins = np.ones(6, bool)
    for _ in range(25):
        state.observe(obs, begins)
        some = np.flatnonzero(rng.random(6) < 0.4)
        naive = torch.stack([naive_values(net, log)[-1] for log in envs.log])
        torch.testing.assert_close(state.values(obs[some], some), naive[some])
        obs, _, terminated, truncated, _ = envs.step(rng.integers(0, 2, 6))
        begins = terminated | truncated
        if begins.any():
            obs, _ = envs.reset(options={"reset_mask": begins})


def test_what_is_remembered_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    options = bound(network(outputs=4), 2)

    def rollout() -> Rollout:
        rng = np.random.default_rng(3)
        runner = OptionRunner(options, 5, np.random.default_rng(2))
        return Rollout(Corridor(5), runner, lambda obs, available, env_ids: rng.integers(0, 2, len(obs)), list(range(5)))

    whole, other = rollout(), rollout()
    for _ in range(11):
        whole.step()
    saved = load_state(save_state(tmp_path, "state", whole.state_dict()))
    other.load_state_dict(saved)
    other.policy = whole.policy
    np.testing.assert_array_equal(whole.runner.act(whole.obs), other.runner.act(other.obs))
    state = saved["runner"]["states"][0]["state"]
    assert state.abs().sum() > 0
    for wrong in (torch.full_like(state, torch.nan), state[:3], state.double(), torch.zeros(5, 4)):
        saved["runner"]["states"][0]["state"] = wrong
        with pytest.raises(CheckpointError):
            other.load_state_dict(saved)


def test_evaluation_remembers_too() -> None:
    """A skill in a controller and alone: the number of environments changes nothing."""
    net = network()
    (skill,) = bound(net)
    policy = SavedPolicy("m", net, (skill.head,))
    for environments in (3, 7):
        alone = evaluate(Corridor(environments), primitives(["left", "right"]), policy.policy(1), 40, seed=1)
        within = evaluate(Corridor(environments), [skill], lambda obs, available, env_ids: np.zeros(len(obs), int), 40, seed=1)
        assert (alone.success_rate, alone.env_steps) == (within.success_rate, within.env_steps)
        if environments == 3:
            before = alone
    assert alone == before


# --- what it is for ---


@pytest.mark.parametrize(
    ("learner", "core"),
    [("q_lambda", 16), ("q_lambda", 0), pytest.param("dqn", 16, marks=pytest.mark.slow)],
    ids=["q_lambda", "q_lambda without", "dqn"],
)
def test_who_remembers_finds_the_goal(learner: str, core: int) -> None:
    shared: dict[str, Any] = {"core": core, "success_memory": 0.0, "epsilon_decisions": 2000, "epsilon_ladder": 0.5}
    config = (
        change(Q_LAMBDA, env_steps=10_000, epochs=4, batch_size=64, advantage_learning_alpha=0.5, **shared)
        if learner == "q_lambda"
        else change(DQN_CONFIG, env_steps=5000, sequence_steps=8, **shared)
    )
    trainer = Trainer(lambda n: TMaze(n, length=3), primitives(["up", "down"]), config, 1)
    for _ in trainer.run():
        pass
    success = trainer.evaluate(200, seed=1).success_rate
    assert success > 0.9 if core else success < 0.65


# --- kept and refused ---


def test_a_skill_says_that_it_remembers(tmp_path: Path) -> None:
    torch.manual_seed(1)
    for core in (7, 0):
        net = QNetwork(NetworkSpec("compact", (1, 32, 32), 2, core=core))
        torch.nn.init.normal_(net.head.get_parameter("weight"))
        save_policy(SavedPolicy("walk", net, (PolicyHead("walk", ("left", "right")),)), folder := tmp_path / str(core))
        manifest = json.loads((folder / "policy.json").read_text())
        assert manifest["network"].get("core", 0) == core
        assert ("core" in manifest["network"]) == bool(core), "what was written before there were cores says nothing of them"
        assert ("recurrent" in (folder / "CARD.md").read_text()) == bool(core)
        again, obs = load_policy(folder).network, np.zeros((2, 1, 32, 32), np.uint8)
        assert again.spec == net.spec
        torch.testing.assert_close(again.values(obs), net.values(obs))
    for wrong in (0, -1, 7.0, True, "7", None, 10**6, 8):
        manifest["network"]["core"] = wrong
        (tmp_path / "7" / "policy.json").write_text(json.dumps({**manifest, "network": {**manifest["network"], "core": wrong}}))
        with pytest.raises(SkillError):
            load_policy(tmp_path / "7")


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--success-memory .* --core 0"):
        value_learner(change(DQN_CONFIG, core=8, success_memory=0.2), 2)
    with pytest.raises(ConfigError, match=r"--priority .* --core 0"):
        value_learner(change(DQN_CONFIG, core=8, success_memory=0.0, priority=0.5), 2)


def test_a_run_begins_from_a_network_with_the_same_core() -> None:
    source, learner = network(core=16), value_learner(RECURRENT, 2, seed=5)
    learner.warm_start(["left", "right"], source, ["left", "right"])
    obs = np.random.default_rng(1).integers(0, 255, (4, 1, 8, 8), np.uint8)
    torch.testing.assert_close(learner.network.values(obs), source.values(obs))
    for core, said in ((8, "a core of 8 units"), (0, "no core")):
        with pytest.raises(ConfigError, match=f"--from: it is .* with {said} .* this run's .* a core of 16"):
            learner.warm_start(["left"], network(core=core), ["left"])

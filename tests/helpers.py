"""What several test modules need of learners and of the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from h_dqn.config import Config, change
from h_dqn.experiment.lifelong_page import FILMS
from h_dqn.experiment.lifelong_probe import Probe, figures_of
from h_dqn.experiment.lifelong_result import LIFELONG, Seen, figures, intervals, matrix
from h_dqn.experiment.watch import Moment, Watcher
from h_dqn.learners import Learner, Method, make_learner
from h_dqn.learners.dqn import DQN
from h_dqn.learners.q_lambda import QLambda
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.options import Option, primitives
from h_dqn.replay import Decisions
from h_dqn.report import sheets
from h_dqn.train import Trainer
from skills_library.policy import PolicyHead, SavedPolicy, Termination
from skills_library.skill import Skill
from tests.conftest import Corridor, Walk

Capture = pytest.CaptureFixture[str]

# --- learners on the corridor; they need the fixture ``tiny_network`` ---

SHAPE = (1, 8, 8)
Q_LAMBDA: Config = change(
    Config(), env_steps=4096, learning_rate=3e-3, num_envs=16, size=8, stack=1, network="tiny", core=0, success_memory=0.2,
    round_steps=8, batch_size=32,
    discount=0.9, reward_scale=1.0, initial_value=0.0, epsilon_decisions=2000, epsilon_end=0.1, evaluate_every=10**9,
    validation_episodes=32, advantage_learning_alpha=0.0,
)  # fmt: skip
DQN_CONFIG: Config = change(Q_LAMBDA, learner="dqn", capacity=2000, learn_start=200, updates_per_decision=0.25, target_period=200)


def options() -> list[Option]:
    """What can be chosen in the corridor: a step to either side, and three to the right."""
    return [*primitives(["left", "right"]), Walk("right3", 1, 3)]


def learned(config: Config, seed: int = 1, methods: Sequence[Method] = ()) -> Trainer:
    """A run on the corridor, at its end."""
    trainer = Trainer(lambda n: Corridor(n), options(), config, seed, methods=methods)
    for _ in trainer.run():
        pass
    return trainer


def value_learner(config: Config, outputs: int, seed: int = 1) -> QLambda | DQN:
    learner = make_learner(config, SHAPE, outputs, seed)
    assert isinstance(learner, QLambda | DQN)
    return learner


def learner_with(q: list[float], config: Config = Q_LAMBDA) -> QLambda | DQN:
    """A learner whose Q-values are these everywhere, those of its target network aside."""
    learner = value_learner(config, len(q))
    learner.network.head.load_state_dict({"weight": torch.zeros(len(q), 32), "bias": torch.tensor(q)})
    return learner


def batch_of(**changes: Any) -> Decisions:
    """One decision of three options, which took one step for a reward of -1; with ``changes``."""
    every = torch.ones(1, 3, dtype=torch.bool)
    plain: dict[str, Any] = {
        "frames": torch.zeros((1, 1, 8, 8), dtype=torch.uint8), "state": torch.zeros(1, 0), "begins": None,
        "record": torch.full((1, 3), torch.nan),
        "start": torch.tensor([0]), "end": torch.tensor([0]), "option": torch.tensor([1]), "rewards": torch.tensor([[-1.0]]),
        "length": torch.tensor([1]), "available": every, "next_available": every, "terminated": torch.tensor([False]),
        "done": torch.tensor([False]), "continuation": torch.zeros(1), "following": torch.tensor([-1]), "weight": torch.ones(1),
        "fresh": torch.tensor([True]), "env": torch.tensor([0]), "id": torch.tensor([0]),
    }  # fmt: skip
    return Decisions(**{**plain, **changes})


def targets_of(learner: Learner, batch: Decisions, success: float = 0.0) -> Tensor:
    """What the learner would learn these decisions towards, (B,)."""
    if isinstance(learner, QLambda):
        return learner.targets(batch, success, learner.online_at_end(batch), learner.batch_values(batch))
    assert isinstance(learner, DQN)
    return learner.targets(batch, success)


# --- the command line ---


def h_dqn(line: str) -> int:
    """The exit code of ``h-dqn LINE``, run in this process."""
    from h_dqn.cli import run

    return run(line.split())


def last_json(capsys: Capture) -> dict[str, Any]:
    """The object on the last line of standard output."""
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(result, dict)
    return result


def refused(capsys: Capture, line: str, *parts: str) -> None:
    """The line ends with exit code 2 and one line on standard error that holds all parts."""
    capsys.readouterr()
    before = sorted(Path.cwd().rglob("*"))
    assert h_dqn(line) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("h-dqn: error: ")
    assert captured.err.count("\n") == 1, captured.err
    assert captured.out == ""
    for part in parts:
        assert part in captured.err
    assert sorted(Path.cwd().rglob("*")) == before


# --- a task as a file has it ---

ROOM: dict[str, Any] = {
    "step_limit": 20,
    "map": "#####\n#..e#\n#...#\n#####",
    "legend": {"#": "stone", "e": {"floor": "pad"}},
    "goal": {"reach": "e"},
}


# What a change makes of a shipped task of one room: rooms of any shape, or one of two maps; and time by what the oracle needs.
DRAWN_ROOMS: dict[str, Any] = {
    "step_limit": {"oracle": 2, "least": 12, "most": 40},
    "vary": {"layout": "any", "shrink": [0, 0]},
}
TWO_MAPS: dict[str, Any] = {
    "map": ["##########\n#.....ii.#\n##.##.##.#\n##.e##.iD#\n##########", "#####\n#.i.#\n#.#.#\n#.D.#\n#e..#\n#####"],
    "vary": {"mirror": True, "shrink": [0, 0]},
}


def toml_of(doc: dict[str, Any]) -> str:
    """A task file with this step limit, map, legend and goal."""
    legend = "\n".join(f'"{key}" = {_toml_value(value)}' for key, value in doc["legend"].items())
    goal = "\n".join(f'{key} = "{value}"' for key, value in doc["goal"].items())
    return f'step_limit = {doc["step_limit"]}\nmap = """\n{doc["map"]}\n"""\n[legend]\n{legend}\n[goal]\n{goal}\n'


def _toml_value(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else "{ " + ", ".join(f'{k} = "{v}"' for k, v in value.items()) + " }"


# --- skills ---

ACTIONS = ("forward", "turn_left", "turn_right")


def saved_policy(name: str = "walk", outputs: int = 3, end: Termination | None = None) -> SavedPolicy:
    """A skill that nobody trained."""
    torch.manual_seed(1)
    network = QNetwork(NetworkSpec("compact", (2, 32, 32), outputs))
    torch.nn.init.normal_(network.head.get_parameter("weight"))
    actions = ("forward", "turn_left", "turn_right")[:outputs]
    head = PolicyHead(name, actions, termination=end or Termination(), card={"task": {"name": "navigation1"}})
    return SavedPolicy(name, network, (head,))


def policy_of(number: int, name: str = "walk") -> SavedPolicy:
    """One of many policies of one name."""
    policy = saved_policy(name)
    with torch.no_grad():
        for weight in policy.network.parameters():
            weight.add_(number)
    return policy


def planted(name: str, prefer: int, actions: tuple[str, ...] = ACTIONS, low: float = 0.9, size: int = SHAPE[1]) -> Skill:
    """A skill that takes this one of its actions always; it sees one frame of ``size`` pixels a side."""
    network = QNetwork(NetworkSpec("scout", (1, size, size), len(actions)))
    torch.nn.init.zeros_(network.head.get_parameter("weight"))
    bias = torch.nn.functional.one_hot(torch.tensor(prefer), len(actions)) * 10.0
    network.head.get_parameter("bias").data[:] = bias
    head = PolicyHead(name, actions, temperature=0.03, card={"task": {"name": name}, "measured": {"ci95": [low, 1.0]}})
    return Skill(SavedPolicy(name, network.eval().requires_grad_(False), (head,)), head)


# --- lives ---


class Ends(Watcher):
    """Ends the work at the n-th round."""

    def __init__(self, rounds: int) -> None:
        self.left = rounds

    def progress(self, moment: Moment) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def life_folder(folder: Path, phases: Sequence[int] = (0, 1, 0), tasks: Sequence[str] = ("exit", "crate"), **changes: Any) -> Path:
    """A folder as a life leaves it: a task is at 0 before its phase, at .5 in the middle of it, and at 1 from its end on.

    ``changes``: of ``lifelong.json``; an ``agent``, a ``regime`` or a ``seed`` is the plan's.
    """
    plan = {"kind": "lifelong", "task": "tiny", "agent": "library", "regime": "id", "preset": "fast", "seed": 1, "episodes": 20,
            "end_episodes": 40, "probe_every": 100, "probe_steps": 60, "probe_task": "navigation1"}  # fmt: skip
    plan |= {name: changes.pop(name) for name in list(changes) if name in plan}
    success, seen = [0.0] * len(tasks), list[Seen]()

    def look(phase: int, steps: int, end: bool) -> None:
        outcomes = tuple("1" * round(40 * rate) + "0" * round(40 - 40 * rate) for rate in success) if end else ()
        seen.append(Seen(100 * max(phase, 0) + steps, phase, steps, end, tuple(success), outcomes))

    look(-1, 0, True)
    for phase, task in enumerate(phases):
        success[task] = max(success[task], 0.5)
        look(phase, 50, False)
        success[task] = 1.0
        look(phase, 100, True)
    probes = [Probe(100 * n, n - 1, (0, 60), (0.0, 0.5), 80, 0.1) for n in range(len(phases) + 1)]
    found = {**figures(seen, phases, [100] * len(phases)), **figures_of(probes)}
    features = {"dormant": 0.1, "effective_rank": 9.0}
    life = {
        "plan": plan,
        "tasks": [{"name": name, "hash": f"{number}"} for number, name in enumerate(tasks)],
        "phases": [{"task": task, "env_steps": 100, "announced": bool(i % 2 == 0)} for i, task in enumerate(phases)],
        "stages": [{"phase": i, "start": "skill 0" if i else "scratch", "trials": {"None": 0.1, "0": 0.9}, "features": features,
                    "options": {"forward": 0.6, "skill 0": 0.4}} for i in range(len(phases))],
        "evaluations": [asdict(one) for one in seen],
        "matrix": matrix(seen).tolist(),
        "noticed": {"env_steps": [130], "precision": 1.0, "recall": 0.5},
        "probes": [asdict(one) for one in probes],
        "metrics": found,
        "intervals": intervals(seen, phases, 20),
        "ledger": {"env_steps": 300, "seconds": 2.5, "weights": 1000},
        **changes,
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / LIFELONG).write_text(json.dumps(life))
    rows = [{"env_steps": step, "train_success": step / 300, "discount": 0.9, "eliminated": 0.1, "decisions/forward": 1.0}
            for step in (10.0, 150.0, 290.0)]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pictures = sheets(np.full((3, 8, 8, 3), 99, np.uint8))
    films = [
        {"task": name, "success": True, "captions": ["start", "forward", "forward   reached"], "pictures": pictures}
        for name in tasks
    ]
    (folder / FILMS).write_text(json.dumps(films[:2]))
    return folder

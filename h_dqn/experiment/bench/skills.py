"""What many skills cost: weights and time of a decision, for an array of networks and for one network with a head each."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from h_dqn.config import Config
from h_dqn.device import pick_device
from h_dqn.experiment.worlds import shape_of
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.options import OptionRunner
from skills_library.distill import DistillConfig
from skills_library.policy import PolicyHead, SavedPolicy, Termination
from skills_library.skill import Skill, SkillOption, count_weights

SHAPE, ACTIONS = shape_of(Config()), ("forward", "turn_left", "turn_right", "use")
COUNTS, NUM_ENVS, REPEATS, ROUNDS = (4, 16, 64), 64, 30, 7


def array_of(count: int) -> list[SkillOption]:
    """Skills with a network each, as training makes them."""
    return [
        _bound(QNetwork(NetworkSpec(Config().net.network, SHAPE, len(ACTIONS))), (PolicyHead(f"s{n}", ACTIONS),))[0]
        for n in range(count)
    ]


def heads_of(count: int) -> list[SkillOption]:
    """The same number of skills as heads of one network, as distillation makes them."""
    outputs = len(ACTIONS) + 1
    firsts = [n * outputs for n in range(count)]
    heads = tuple(PolicyHead(f"m/{n}", ACTIONS, n, Termination(5, 0.0, n + len(ACTIONS))) for n in firsts)
    return _bound(QNetwork(NetworkSpec(DistillConfig().network, SHAPE, count * outputs)), heads)


def _bound(network: QNetwork, heads: tuple[PolicyHead, ...]) -> list[SkillOption]:
    policy = SavedPolicy("m", network, heads)
    return [Skill(policy, head).on(ACTIONS, SHAPE, pick_device()) for head in heads]


def skills_cost() -> dict[str, Any]:
    """Weights, and microseconds of a decision while 64 environments run a skill each; ratios to four skills beside them."""
    rng = np.random.default_rng(1)
    obs = rng.integers(0, 255, (NUM_ENVS, *SHAPE)).astype(np.uint8)
    kinds = {"array": array_of, "distilled": heads_of}
    made = {(kind, count): make(count) for kind, make in kinds.items() for count in COUNTS}
    runners = {}
    for key, skills in made.items():
        runners[key] = OptionRunner(skills, NUM_ENVS, rng)
        runners[key].begin(np.ones(NUM_ENVS, bool), np.arange(NUM_ENVS) % key[1])
    # All in turn, several times, so that a drift of the machine's speed hits each alike.
    times: dict[tuple[str, int], list[float]] = {key: [] for key in runners}
    for _ in range(ROUNDS):
        for key, runner in runners.items():
            runner.act(obs)
            began = time.perf_counter()
            for _ in range(REPEATS):
                runner.act(obs)
            times[key].append((time.perf_counter() - began) / REPEATS / NUM_ENVS * 1e6)
    median = {key: float(np.median(taken)) for key, taken in times.items()}
    rows = [
        {
            "kind": kind,
            "skills": count,
            "weights": count_weights(skill.network for skill in skills),
            "microseconds": median[kind, count],
            "ratio_to_4": median[kind, count] / median[kind, COUNTS[0]],
        }
        for (kind, count), skills in made.items()
    ]
    return {"rows": rows, "distilled_64_to_4": rows[-1]["ratio_to_4"], "worlds": NUM_ENVS}

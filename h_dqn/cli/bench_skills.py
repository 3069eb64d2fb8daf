"""What many skills cost: weights and time of a decision, for an array of networks and for one network with a head each."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from h_dqn.cli.worlds import shape_of
from h_dqn.config import Config
from h_dqn.networks import QNetwork
from h_dqn.options import OptionRunner
from skills_library.distill import DistillConfig
from skills_library.skill import DeepSkill, count_weights

SHAPE, ACTIONS = shape_of(Config()), ("forward", "turn_left", "turn_right", "use")
COUNTS, WORLDS, REPEATS, ROUNDS = (4, 16, 64), 64, 30, 7


def array_of(count: int) -> list[DeepSkill]:
    """Skills with a network each, as training makes them."""
    return [DeepSkill(f"s{n}", QNetwork(Config().network, SHAPE, len(ACTIONS)), ACTIONS).on(ACTIONS, SHAPE) for n in range(count)]


def heads_of(count: int) -> list[DeepSkill]:
    """The same number of skills as heads of one network, as distillation makes them."""
    outputs = len(ACTIONS) + 1
    network = QNetwork(DistillConfig().network, SHAPE, count * outputs)
    return [
        DeepSkill(
            f"m/s{n}", network, ACTIONS, last_above=0.0, last_output=n * outputs + len(ACTIONS), first=n * outputs
        ).on(ACTIONS, SHAPE)
        for n in range(count)
    ]  # fmt: skip


def skills_cost() -> dict[str, Any]:
    """Weights, and microseconds of a decision while 64 worlds each run one of the skills; ratios to four skills beside them."""
    rng = np.random.default_rng(1)
    obs = rng.integers(0, 255, (WORLDS, *SHAPE)).astype(np.uint8)
    kinds = {"array": array_of, "distilled": heads_of}
    made = {(kind, count): make(count) for kind, make in kinds.items() for count in COUNTS}
    runners = {}
    for key, skills in made.items():
        runners[key] = OptionRunner(skills, WORLDS, rng)
        runners[key].begin(np.ones(WORLDS, bool), np.arange(WORLDS) % key[1])
    # All in turn, several times, so that a drift of the machine's speed hits each alike.
    times: dict[tuple[str, int], list[float]] = {key: [] for key in runners}
    for _ in range(ROUNDS):
        for key, runner in runners.items():
            runner.act(obs)
            began = time.perf_counter()
            for _ in range(REPEATS):
                runner.act(obs)
            times[key].append((time.perf_counter() - began) / REPEATS / WORLDS * 1e6)
    median = {key: float(np.median(taken)) for key, taken in times.items()}
    rows = [
        {
            "kind": kind,
            "skills": count,
            "weights": count_weights(skills),
            "microseconds": median[kind, count],
            "ratio_to_4": median[kind, count] / median[kind, COUNTS[0]],
        }
        for (kind, count), skills in made.items()
    ]
    return {"rows": rows, "distilled_64_to_4": rows[-1]["ratio_to_4"], "worlds": WORLDS}

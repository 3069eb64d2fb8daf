"""What our switches cost: environment steps a second of learning navigation1 with each of them."""

from __future__ import annotations

from typing import Any

from h_dqn.config import Config, change
from h_dqn.experiment.worlds import TaskEnvs, shape_of, task_envs
from h_dqn.train import Trainer

ROUNDS = 200  # of learning, in which speed is measured: about as long as a skill is trained
SWITCHES: dict[str, dict[str, Any]] = {
    "neither": {},
    "eliminate": {"eliminate": True},
    "tune_discount": {"tune_discount": True},
    "both": {"eliminate": True, "tune_discount": True},
}


def switches_cost(config: Config, task: str, seed: int) -> dict[str, Any]:
    """Environment steps a second with `--eliminate`, `--tune-discount`, both and neither."""
    envs = task_envs(task, shape_of(config))
    found = speeds(envs, {name: change(config, **on) for name, on in SWITCHES.items()}, seed)
    return {"task": envs.task.name, "seed": seed, "env_steps_per_second": found}


def speeds(envs: TaskEnvs, configs: dict[str, Config], seed: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Environment steps a second of learning with each of these settings, round by round in turn; a first round is not timed."""
    trainers = {
        name: Trainer(envs, envs.primitives(), change(config, evaluate_every=10**9), seed) for name, config in configs.items()
    }
    runs = [trainer.run() for trainer in trainers.values()]
    for each in runs:
        next(each)
    before = {name: (trainer.env_steps, trainer.seconds) for name, trainer in trainers.items()}
    for _ in range(rounds):
        for each in runs:
            next(each)
    return {name: (trainers[name].env_steps - steps) / (trainers[name].seconds - began) for name, (steps, began) in before.items()}

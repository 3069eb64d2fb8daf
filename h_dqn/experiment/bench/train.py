"""What learning takes: our preset fast beside the PPO and DQN of Stable-Baselines3, in the same run; and what our switches cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from h_dqn.config import Config, change
from h_dqn.evaluation import evaluate
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.worlds import TaskEnvs, shape_of, task_envs
from h_dqn.presets import PRESETS
from h_dqn.rollout import Policy
from h_dqn.train import Trainer

TASK = "navigation1"
GOAL, EPISODES = 0.95, 500  # success in a validation, and its episodes
EVERY, HELD = 5_000, 2  # environment steps between validations; how many more have to say the same
OURS = "h-dqn"
ROUNDS = 200  # of learning, in which speed is measured: about as long as a skill is trained
SWITCHES: dict[str, dict[str, Any]] = {
    "neither": {},
    "eliminate": {"eliminate": True},
    "tune_discount": {"tune_discount": True},
    "both": {"eliminate": True, "tune_discount": True},
}

Referee = Callable[[int, Callable[[], Policy]], bool]  # environment steps so far, how the learner acts now -> whether it is over
Contender = Callable[[Referee], None]  # learns, and asks the referee after each step or round


@dataclass(frozen=True)
class Validation:
    """Success of a learner after so many environment steps, which took so long; validations are not counted."""

    env_steps: int
    seconds: float
    processor_seconds: float
    success: float


def reached(validations: list[Validation], goal: float = GOAL, held: int = HELD) -> Validation | None:
    """The first validation at the goal that the next ``held`` ones agree with."""
    for n in range(len(validations) - held):
        if all(one.success >= goal for one in validations[n : n + held + 1]):
            return validations[n]
    return None


def race(contender: Contender, envs: TaskEnvs, seed: int, limit_s: float) -> list[Validation]:
    """Let a learner learn until it has reached the goal, or for so many seconds; its validations."""
    validations = list[Validation]()
    seconds = processor_seconds = 0.0
    began, used = time.perf_counter(), time.process_time()

    def over(env_steps: int, policy: Callable[[], Policy]) -> bool:
        nonlocal seconds, processor_seconds, began, used
        if env_steps < EVERY * (len(validations) + 1):
            return False
        seconds += time.perf_counter() - began
        processor_seconds += time.process_time() - used
        found = evaluate(envs(250), envs.primitives(), policy(), EPISODES, seed, split="validate")
        validations.append(Validation(env_steps, seconds, processor_seconds, found.success_rate))
        began, used = time.perf_counter(), time.process_time()
        return reached(validations) is not None or seconds > limit_s

    contender(over)
    return validations


def compare(task: str = TASK, seed: int = 1, limit_s: float = 600.0) -> dict[str, Any]:
    """All learners on the same task, pictures, rewards and machine, with as many threads, validated alike.

    Args:
        task: name or path of a task.
        seed: decides everything random.
        limit_s: seconds of learning after which one is given up.
    Raises :class:`UserError` where Stable-Baselines3 is missing.
    """
    try:
        from h_dqn.experiment.bench.sb3 import PEERS, peer
    except ImportError as error:
        raise UserError(f"the peer of this benchmark is missing ({error}); install it with: pip install -e '.[bench]'") from error

    config = change(PRESETS["fast"], evaluate_every=10**9)
    envs, scale = task_envs(task, shape_of(config)), config.learner.reward_scale
    contenders: dict[str, Contender] = {OURS: lambda over: _learn(envs, config, seed, over)}
    contenders |= {name: partial(peer, name, envs, seed, scale) for name in PEERS}
    validations = {name: race(contender, envs, seed, limit_s) for name, contender in contenders.items()}
    return {
        "task": envs.task.name,
        "seed": seed,
        "goal": GOAL,
        "held_over": HELD,
        "rows": [_row(name, rows, reached(validations[OURS])) for name, rows in validations.items()],
        "settings": PEERS,
        "validations": {name: [asdict(row) for row in rows] for name, rows in validations.items()},
        "env_steps_per_second": speeds(envs, {name: change(config, **on) for name, on in SWITCHES.items()}, seed),
    }


def _learn(envs: TaskEnvs, config: Config, seed: int, over: Referee) -> None:
    trainer = Trainer(envs, envs.primitives(), config, seed)
    for _ in trainer.run():
        if over(trainer.env_steps, lambda: trainer.learner.policy(seed)):
            break


def _row(name: str, validations: list[Validation], ours: Validation | None) -> dict[str, Any]:
    """Where the goal was reached; else where it was given up, and ratios are lower bounds."""
    at = reached(validations) or (validations[-1] if validations else Validation(0, 0.0, 0.0, 0.0))
    return {
        "learner": name,
        "reached": reached(validations) is not None,
        **asdict(at),
        "times_ours": None if ours is None else at.processor_seconds / ours.processor_seconds,
    }


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

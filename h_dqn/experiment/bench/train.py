"""What learning takes: ours beside the PPO and the DQN of Stable-Baselines3, on the same task in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from h_dqn.config import Config, change, to_json
from h_dqn.evaluation import evaluate
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.worlds import TaskEnvs, shape_of, task_envs
from h_dqn.rollout import Policy
from h_dqn.train import Trainer

EPISODES = 500  # of a validation
EVERY, HELD = 5_000, 2  # environment steps between validations; how many more have to say the same
OURS = "h-dqn"

Referee = Callable[[int, Callable[[], Policy]], bool]  # environment steps so far, how the learner acts now -> whether it is over
Contender = Callable[[Referee], None]  # learns, and asks the referee after each step or round


@dataclass(frozen=True)
class Validation:
    """Success of a learner after so many environment steps, which took so long; validations are not counted."""

    env_steps: int
    seconds: float
    processor_seconds: float
    success: float


def reached(validations: list[Validation], goal: float, held: int = HELD) -> Validation | None:
    """The first validation at the goal that the next ``held`` ones agree with."""
    for n in range(len(validations) - held):
        if all(one.success >= goal for one in validations[n : n + held + 1]):
            return validations[n]
    return None


def race(contender: Contender, envs: TaskEnvs, seed: int, goal: float, limit_s: float) -> list[Validation]:
    """Let a learner learn until it has reached the goal, or for so many seconds of processor time; its validations."""
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
        return reached(validations, goal) is not None or processor_seconds > limit_s

    contender(over)
    return validations


def compare(config: Config, task: str, seed: int, goal: float, limit_s: float, peer_stack: int) -> dict[str, Any]:
    """All learners on the same task, pictures, rewards and machine, with as many threads, validated alike.

    Args:
        config: how ours learns. The peers see frames of the same form, have the same convolutions, and rewards of the same scale.
        task: name or path of a task.
        seed: decides everything random.
        goal: success in three validations in a row that ends a learner's race.
        limit_s: seconds of processor time after which a learner is given up.
        peer_stack: frames that a peer sees at once; it has no core that remembers.
    Raises :class:`UserError` where Stable-Baselines3 is missing, for a ``peer_stack`` of no frames, and for an impossible goal.
    """
    if not 0 < goal <= 1:
        raise UserError(f"--goal must be above 0 and at most 1, not {goal}")
    if peer_stack < 1:
        raise UserError(f"--peer-stack must be above 0, not {peer_stack}")
    try:
        from h_dqn.experiment.bench.sb3 import PEERS, peer
    except ImportError as error:
        raise UserError(f"the peer of this benchmark is missing ({error}); install it with: pip install -e '.[bench]'") from error

    config = change(config, evaluate_every=10**9)
    ours = task_envs(task, shape_of(config))
    theirs = replace(ours, shape=(peer_stack, *ours.shape[1:]))
    contenders: dict[str, tuple[Contender, TaskEnvs]] = {OURS: (partial(_learn, ours, config, seed), ours)}
    contenders |= {name: (partial(peer, name, theirs, config, seed), theirs) for name in PEERS}
    _load_kernels(ours)
    validations = {name: race(contender, envs, seed, goal, limit_s) for name, (contender, envs) in contenders.items()}
    return {
        "task": ours.task.name,
        "seed": seed,
        "goal": goal,
        "held_over": HELD,
        "threads": torch.get_num_threads(),
        "rows": [_row(name, rows, goal, reached(validations[OURS], goal)) for name, rows in validations.items()],
        "settings": {OURS: to_json(config), **{name: {"stack": peer_stack, **settings} for name, settings in PEERS.items()}},
        "validations": {name: [asdict(row) for row in rows] for name, rows in validations.items()},
    }


def _load_kernels(envs: TaskEnvs) -> None:
    """So that the first to learn does not pay for what the others find done."""
    worlds = envs(2)
    worlds.reset(seed=1)
    worlds.step(np.zeros(2, np.int64))


def _learn(envs: TaskEnvs, config: Config, seed: int, over: Referee) -> None:
    trainer = Trainer(envs, envs.primitives(), config, seed)
    for _ in trainer.run():
        if over(trainer.env_steps, lambda: trainer.learner.policy(seed)):
            break


def _row(name: str, validations: list[Validation], goal: float, ours: Validation | None) -> dict[str, Any]:
    """Where the goal was reached; else where it was given up, and ratios are lower bounds."""
    at = reached(validations, goal) or (validations[-1] if validations else Validation(0, 0.0, 0.0, 0.0))
    return {
        "learner": name,
        "reached": reached(validations, goal) is not None,
        **asdict(at),
        "times_ours": None if ours is None else at.processor_seconds / ours.processor_seconds,
    }

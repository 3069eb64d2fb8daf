"""Seconds to 95 % on navigation1: our fast preset and Stable-Baselines3's DQN, in the same run; and what our switches cost."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h_dqn.config import Config, change
from h_dqn.evaluation import evaluate
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.worlds import TaskEnvs, shape_of, task_envs
from h_dqn.presets import PRESETS
from h_dqn.train import WORTH_VALIDATING, Trainer

TASK, GOAL, EPISODES = "navigation1", 0.95, 500

# Its settings for Atari, changed as a small task suggests: less exploration, earlier and more updates, several worlds, and our
# discount and scale of rewards. The best of ten that were tried on another seed, with the scale 0.15; without it, they were further
# from the goal after 400 seconds than with it after 160.
PEER_SETTINGS: dict[str, Any] = {
    "learning_rate": 5e-4,
    "buffer_size": 100_000,
    "learning_starts": 2_000,
    "batch_size": 64,
    "gamma": 0.97,
    "train_freq": 1,
    "gradient_steps": 2,
    "target_update_interval": 500,
    "exploration_fraction": 0.03,
    "exploration_final_eps": 0.02,
}
PEER_ENVS, PEER_STEPS, NEWEST = 8, 500_000, 100
ROUNDS = 200  # of learning, in which speed is measured: about as long as a skill is trained
SWITCHES: dict[str, dict[str, Any]] = {
    "neither": {},
    "eliminate": {"eliminate": True},
    "tune_discount": {"tune_discount": True},
    "both": {"eliminate": True, "tune_discount": True},
}


def compare(seed: int, limit_s: float) -> dict[str, Any]:
    """Both learners on the same task, observations and machine; each stops when it reaches the goal on unseen episodes."""
    config = change(PRESETS["fast"], until=GOAL, evaluate_every=5_000, validation_episodes=EPISODES)
    envs = task_envs(TASK, shape_of(config))
    peer = _peer(envs, seed, limit_s, config.learner.reward_scale)
    trainer = Trainer(envs, envs.primitives(), config, seed)
    for _ in trainer.run():
        pass
    our_steps, our_seconds = trainer.reached_95 or (None, None)
    result = {"task": TASK, "seed": seed, "goal": GOAL, "seconds_to_95": our_seconds, "env_steps_to_95": our_steps}
    return {
        **result,
        "peer": "stable-baselines3 DQN",
        "peer_seconds_to_95": peer["seconds"] if peer["reached"] else None,
        "peer_env_steps_to_95": peer["env_steps"] if peer["reached"] else None,
        "peer_at_its_end": peer,
        "peer_settings": {**PEER_SETTINGS, "worlds": PEER_ENVS, "reward_scale": config.learner.reward_scale},
        "ratio": None if our_seconds is None else peer["seconds"] / our_seconds,
        "ratio_is_a_lower_bound": not peer["reached"],
        "env_steps_per_second": speeds(envs, {name: change(config, **on) for name, on in SWITCHES.items()}, seed),
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


def _peer(envs: TaskEnvs, seed: int, limit_s: float, scale: float) -> dict[str, Any]:
    """Whether the peer reached the goal within the limit, and after how many seconds and environment steps it did or gave up.

    Validations count, as for ours. ``train_success``: share of the newest episodes that it reached the goal in, exploring.
    """
    try:
        from stable_baselines3 import DQN
        from stable_baselines3.common.callbacks import BaseCallback

        from h_dqn.experiment.bench.sb3 import Adapter
    except ImportError as error:
        raise UserError(f"the peer of this benchmark is missing ({error}); install it with: pip install -e '.[bench]'") from error

    recent: list[bool] = []

    def train_success() -> float:
        return float(np.mean(recent[-NEWEST:] or [False]))

    class Stop(BaseCallback):  # type: ignore[misc, unused-ignore]
        """Ends learning at the goal or the time limit; validates as our trainer does, when training nears the goal."""

        reached = False

        def _on_step(self) -> bool:
            if self.n_calls % (5_000 // PEER_ENVS) == 0 and len(recent) >= NEWEST and train_success() > WORTH_VALIDATING:
                made = envs(250)

                def choose(obs: NDArray[np.uint8], available: Any, rows: Any) -> NDArray[np.int64]:
                    chosen: NDArray[np.int64] = self.model.predict(obs, deterministic=True)[0]
                    return chosen

                found = evaluate(made, envs.primitives(), choose, EPISODES, seed, split="validate")
                self.reached = found.success_rate >= GOAL
            return not self.reached and time.perf_counter() - began < limit_s

    model = DQN("CnnPolicy", Adapter(envs(PEER_ENVS), seed, recent, scale), seed=seed, **PEER_SETTINGS)
    stop = Stop()
    began = time.perf_counter()
    model.learn(PEER_STEPS, callback=stop)
    seconds, steps = time.perf_counter() - began, model.num_timesteps
    return {"reached": stop.reached, "seconds": seconds, "env_steps": steps, "train_success": train_success()}

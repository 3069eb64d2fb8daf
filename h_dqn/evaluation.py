"""Evaluation: how often a policy reaches the goal, with an interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

from h_dqn.options import Option, OptionRunner
from h_dqn.rollout import Policy, Rollout, failed
from h_dqn.seeds import Split, episode_seeds
from h_dqn.statistics import wilson


@dataclass(frozen=True)
class Evaluation:
    """Outcome of ``episodes`` episodes; an episode succeeds when its environment terminates.

    ``masked``: actions of the agent that the task lacks, so that it could not choose them. ``not_learned``: actions of the task
    that the agent lacks, so that it was played without them. ``by_episode``: which of the episodes succeeded, in the order of their
    seeds, so that two agents can be compared episode by episode. ``used`` (O, 2): of each option, in the episodes that succeeded,
    the decisions that chose it and the environment steps that it ran.
    """

    success_rate: float
    ci95: tuple[float, float]
    episodes: int
    env_steps: int
    decisions: int
    mean_return: float
    masked: tuple[str, ...] = ()
    not_learned: tuple[str, ...] = ()
    by_episode: tuple[bool, ...] = field(default=(), repr=False)
    used: tuple[tuple[int, int], ...] = field(default=(), repr=False)


class Watched(VectorWrapper):
    """The same environments; ``told`` learns after each step how many episodes are over, and what it raises ends the playing."""

    def __init__(self, envs: VectorEnv[Any, Any, Any], told: Callable[[int], None]) -> None:
        super().__init__(envs)
        self.told, self.over = told, 0

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(actions)
        self.over += int(((terminated | truncated) & ~failed(info, self.num_envs)).sum())
        self.told(self.over)
        return obs, reward, terminated, truncated, info


def evaluate(
    envs: VectorEnv[Any, Any, Any],
    options: Sequence[Option],
    policy: Policy,
    episodes: int,
    seed: int,
    *,
    split: Split = "evaluate",
    interrupt: bool = False,
) -> Evaluation:
    """Play ``episodes`` episodes, each from its own seed, so that the outcome does not depend on the number of environments.

    An episode in which the environment failed is played again and only then counted.

    Args:
        envs: a vector environment of the task.
        options: what the policy chooses among.
        policy: chooses wherever a decision is due.
        episodes: how many are counted.
        seed: decides which.
        split: of which seeds; evaluation, validation and training share none.
        interrupt: an option ends where ``policy`` would pick another.
    """
    seeds = episode_seeds(split, seed, max(episodes, envs.num_envs))
    # Episodes are dealt out in order; what an environment plays after the last one does not count.
    counted = np.arange(envs.num_envs) < episodes
    runner = OptionRunner(options, envs.num_envs, np.random.default_rng([seed, 2]))
    first, later = seeds[: envs.num_envs], iter(seeds[envs.num_envs :])
    rollout = Rollout(envs, runner, policy, first, later, policy if interrupt else None)
    given, done, successes = min(envs.num_envs, episodes), 0, np.zeros(episodes, bool)
    playing = np.arange(envs.num_envs)  # which episode
    # Of the running episode of each environment, and of all that are done: steps, decisions, reward.
    running, sums = np.zeros((envs.num_envs, 3)), np.zeros(3)
    # The same of each option: its decisions and its steps, of which those of successful episodes are kept.
    using, used, every = np.zeros((envs.num_envs, len(options), 2), int), np.zeros((len(options), 2), int), np.arange(envs.num_envs)
    while done < episodes:
        step = rollout.step()
        running += np.stack([np.ones(envs.num_envs), step.due, step.reward], 1)
        using[every, step.option] += np.stack([step.due, np.ones(envs.num_envs, bool)], 1)
        running[step.env_failed] = using[step.env_failed] = 0
        for n in np.flatnonzero(counted & step.done & ~step.env_failed):
            done += 1
            sums += running[n]
            used += using[n] * step.terminated[n]
            successes[playing[n]] = step.terminated[n]
            playing[n], counted[n] = given, given < episodes
            given += int(counted[n])
        running[step.done] = using[step.done] = 0
    steps, decisions = int(sums[0]), int(sums[1])
    succeeded, by_episode = int(successes.sum()), tuple(map(bool, successes))
    interval, mean_return = wilson(succeeded, episodes), float(sums[2]) / episodes
    by_option = tuple((int(chosen), int(ran)) for chosen, ran in used)
    return Evaluation(
        succeeded / episodes, interval, episodes, steps, decisions, mean_return, by_episode=by_episode, used=by_option
    )

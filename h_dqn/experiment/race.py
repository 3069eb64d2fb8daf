"""The start of a new skill: the skill of the library that already succeeds in its task now and then, or layers alone, or nothing.

All skills play a few episodes of the task, those that succeed play more (successive halving, Jamieson and Talwalkar 2016). One that
surely succeeds more often than chance is what learning begins from, its outputs too. Otherwise only layers are taken over, from the
skill whose actions are most alike: what one skill sees by is worth more to another than chance. Every step is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from h_dqn.config import change
from h_dqn.evaluation import Watched, evaluate
from h_dqn.experiment.agent import Agent, agent_of
from h_dqn.experiment.evaluate import evaluate_agent
from h_dqn.experiment.inputs import Inputs
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.run import Run
from h_dqn.experiment.watch import Watcher
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.networks import NetworkSpec
from h_dqn.options import Bools, Ints
from h_dqn.statistics import wilson
from skills_library.library import Library
from skills_library.manifest import SkillError
from skills_library.policy import SavedPolicy
from skills_library.skill import Skill

RANDOM = "random"
RUNGS = ((6, 1000), (8, 4), (16, 2))  # episodes more, of at most so many skills
SURE = 1.645  # of the normal distribution: 95 % on one side
GOOD = 0.8  # success while exploring at which there is nothing left to ask


@dataclass(frozen=True)
class Trial:
    """What somebody who was not trained on a task does in it."""

    name: str
    successes: int = 0
    episodes: int = 0
    env_steps: int = 0

    def also(self, successes: int, episodes: int, env_steps: int) -> Trial:
        """With so many more."""
        return Trial(self.name, self.successes + successes, self.episodes + episodes, self.env_steps + env_steps)


@dataclass(frozen=True)
class Began:
    """How a run began, and what finding that out took."""

    start: str
    trial_steps: int = 0
    """environment steps that are no part of the run"""
    zero_shot: Mapping[str, float] = field(default_factory=dict)
    """success of each skill, and of chance, before any training"""

    def after(self, trials: Sequence[Trial]) -> Began:
        """The same after these trials."""
        steps = self.trial_steps + sum(trial.env_steps for trial in trials)
        return Began(self.start, steps, {one.name: one.successes / one.episodes for one in trials if one.episodes})


def ahead(one: Trial, other: Trial) -> bool:
    """Whether ``one`` surely succeeds more often: their intervals have nothing in common."""
    if not one.episodes or not other.episodes:
        return False
    return wilson(one.successes, one.episodes, SURE)[0] > wilson(other.successes, other.episodes, SURE)[1]


def survivors(trials: Sequence[Trial], most: int) -> list[Trial]:
    """Those that succeeded at all, the best first, at most so many; of two alike, the one that was faster."""
    found = [trial for trial in trials if trial.successes]
    return sorted(found, key=lambda trial: (-trial.successes / trial.episodes, trial.env_steps))[:most]


def learns(first: Trial, newest: Trial) -> bool:
    """Whether who began from a skill does better than it did at first, or as well as can be asked for while it explores."""
    return ahead(newest, first) or newest.successes >= GOOD * newest.episodes > 0


def most_alike(skills: Sequence[Skill], actions: Sequence[str]) -> Skill | None:
    """The skill whose actions have most in common with these, of several the one measured best; one that does not surely succeed
    in its own task more often than it fails has nothing to give.
    """

    def low(skill: Skill) -> float:
        return float((skill.card.get("measured", {}).get("ci95") or [0.0])[0])

    def alike(skill: Skill) -> tuple[float, float]:
        return len(set(skill.actions) & set(actions)) / len(set(skill.actions) | set(actions)), low(skill)

    return max((skill for skill in skills if low(skill) > 1 / 2), key=alike, default=None)


class Chance:
    """A policy: each available option with the same probability."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 7])

    def __call__(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
        chosen: Ints = (self._rng.random(available.shape) * available).argmax(1)
        return chosen


def fits(policy: SavedPolicy, spec: NetworkSpec) -> bool:
    """Whether a network of this form can begin from a policy: it is one skill, with a network of the same form."""
    theirs = policy.network.spec
    form = (theirs.network, theirs.shape, theirs.head, theirs.core)
    return len(policy.heads) == 1 and form == (spec.network, spec.shape, spec.head, spec.core)


def fitting(library: Library, spec: NetworkSpec, leave: str) -> list[Skill]:
    """The skills of the library from whose networks one of this form can begin, but for the one called ``leave``."""
    found = []
    for name in library.names():
        try:
            policy = library.policy(name)
        except SkillError:
            continue  # one that is damaged hides no other
        if name != leave and fits(policy, spec):
            found.append(Skill(policy, policy.head))
    return found


def playing(library: Library, envs: TaskEnvs) -> list[Agent]:
    """The skills of the library that see what these environments show and have one of their actions, heads of networks too."""
    found = []
    for name in library.names():
        try:
            skills = library.skills([name])
        except SkillError:
            continue
        found += [agent_of(one) for one in skills if one.shape == envs.shape and set(one.actions) & set(envs.actions)]
    return found


def zero_shot(skills: Sequence[Skill], envs: TaskEnvs, seed: int, most: int, watcher: Watcher) -> tuple[Skill | None, list[Trial]]:
    """The skill that surely succeeds more often than chance, or None; and all trials, that of chance first.

    Args:
        most: environment steps that all of it may take together; no rung is begun that could take more.
    """
    agents = {skill.name: agent_of(skill) for skill in skills if set(skill.actions) & set(envs.actions)}
    trials = {name: Trial(name) for name in (RANDOM, *agents)}
    left = list(agents)
    for rung, (episodes, many) in enumerate(RUNGS):
        if rung:
            left = [trial.name for trial in survivors([trials[name] for name in left], many)]
        spent = sum(trial.env_steps for trial in trials.values())
        if not left or spent + episodes * (len(left) + 1) * envs.task.step_limit > most:
            break
        for name in (*left, RANDOM):
            trials[name] = trials[name].also(*play(agents.get(name), envs, episodes, seed + rung, watcher))
    best = survivors([trials[name] for name in left], 1)
    surely = bool(best) and ahead(best[0], trials[RANDOM])
    return (next(skill for skill in skills if skill.name == best[0].name) if surely else None), list(trials.values())


def play(agent: Agent | None, envs: TaskEnvs, episodes: int, seed: int, watcher: Watcher) -> tuple[int, int, int]:
    """Successes, episodes and environment steps of an agent, or of chance."""
    if agent is None:
        made = Watched(envs(min(episodes, 250)), watcher.evaluated)
        outcome = evaluate(made, envs.primitives(), Chance(seed), episodes, seed)
    else:
        outcome = evaluate_agent(agent, envs, episodes, seed, watcher)
    return sum(outcome.by_episode), episodes, outcome.env_steps


def run_from(plan: Plan, inputs: Inputs, folder: Path, helper: Agent | None, outputs: bool = True) -> Run:
    """A training run that begins from a skill, or its layers alone, or (None) as its inputs say.

    Who begins with a skill's outputs explores no more than at a run's end: at first it is led by what that skill does.
    """
    if helper is not None:
        inputs = replace(inputs, start=helper, start_outputs=outputs)
        if outputs:
            plan = replace(plan, config=change(plan.config, epsilon_start=plan.config.learner.exploration.epsilon_end))
    return Run(plan, folder, inputs)

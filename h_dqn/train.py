"""Training: environments, options, learner and replay put together. Skill, flat baseline and controller differ in options alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from h_dqn.checkpoint import like
from h_dqn.config import Config
from h_dqn.device import pick_device
from h_dqn.evaluation import Evaluation, Watched, evaluate
from h_dqn.learners import Method, Progress, make_learner
from h_dqn.metrics import EpisodeStatistics, Row
from h_dqn.options import Bools, Ints, Option, OptionRunner, Primitive
from h_dqn.recorder import Recorder
from h_dqn.replay import SMDPReplay
from h_dqn.rollout import Rollout
from h_dqn.seeds import Split, episode_seeds
from h_dqn.state import CheckpointError, numbers, whole

MakeEnvs = Callable[[int], VectorEnv[Any, Any, Any]]
WORTH_VALIDATING = 0.5  # share of the newest episodes that reached the goal, explorers among them


class Diverged(RuntimeError):
    """What is learned is no number any more; the message says when, and what to try."""


class Trainer:
    """One run of learning.

    Args:
        make_envs: makes a vector environment of so many environments, with stacks of frames as observations.
        options: what may be chosen: primitives, or primitives and skills.
        config: settings.
        seed: decides everything that is random.
        later: in which environments it goes on, and from how many environment steps on.
        methods: what changes how the learner learns; see :class:`h_dqn.learners.Method`.
    """

    def __init__(
        self,
        make_envs: MakeEnvs,
        options: Sequence[Option],
        config: Config,
        seed: int,
        later: Sequence[tuple[int, MakeEnvs]] = (),
        methods: Sequence[Method] = (),
    ) -> None:
        self.options, self.config, self.seed, self.methods = list(options), config, seed, tuple(methods)
        self._phases: list[tuple[int, MakeEnvs]] = [(0, make_envs), *later]
        envs = make_envs(config.env.num_envs)
        space = envs.single_observation_space.shape
        assert space is not None
        shape = space[0], space[1], space[2]
        self.learner = make_learner(config, shape, len(options), seed, self.methods)
        self.learner.told_skills(np.array([not isinstance(option, Primitive) for option in options]))
        self.replay = self._replay(shape)
        self.recorder = Recorder(self.replay, self.options, config.options)
        self.statistics = EpisodeStatistics(config.env.num_envs, [option.name for option in options])
        self._record: NDArray[np.float32] | None = None  # (N, R) what the learner recorded at the newest decision of each
        if self.learner.needs.record_size:
            self._record = np.zeros((config.env.num_envs, self.learner.needs.record_size), np.float32)
        self.env_steps = self.decisions = 0
        self.seconds = 0.0
        self.evaluated: Callable[[int], None] = lambda episodes: None  # see Watched; what it raises ends an evaluation
        self.best: tuple[float, dict[str, Any]] | None = None
        self.reached_95: tuple[int, float] | None = None
        self._unvalidated: Row | None = None  # figures of a round that ends with a validation, until that is over
        self._ended = False
        self._begun = 0  # phases
        self._enter(envs)

    def _replay(self, shape: tuple[int, int, int]) -> SMDPReplay:
        c, needs = self.config, self.learner.needs
        if c.options.intra_option == "all":
            needs = replace(needs, intra_option=len(self.options))
        # What was just seen: at most two rows a step, and a skill that began before.
        recent = c.env.num_envs * (2 * c.round_steps + c.options.option_steps + c.env.stack)
        capacity = c.replay.capacity if needs.past else recent
        rng, device = np.random.default_rng([self.seed, 3]), pick_device(c.device)
        return SMDPReplay(c.env.num_envs, capacity, shape, len(self.options), rng, needs, device)

    def _enter(self, envs: VectorEnv[Any, Any, Any] | None = None) -> None:
        """Go on in the environments of the next phase; episodes that run elsewhere are left as they are."""
        c, num_envs = self.config, self.config.env.num_envs
        self.make_envs = self._phases[self._begun][1]
        self._begun += 1
        self._validation_envs: VectorEnv[Any, Any, Any] | None = None
        self.best = self.reached_95 = None  # what was elsewhere
        runner = OptionRunner(self.options, num_envs, np.random.default_rng([self.seed, 4, self._begun]))
        seeds = episode_seeds("train", self.seed, self._begun * num_envs)[-num_envs:]
        interrupt = self.learner.interrupt if c.options.interrupt else None
        made = envs or self.make_envs(num_envs)
        self.rollout = Rollout(made, runner, self._act, seeds, interrupt=interrupt, listener=self.learner)
        self.recorder.begin(self.rollout)
        self.statistics.begin()

    @property
    def progress(self) -> Progress:
        return Progress(min(1.0, self.env_steps / self.config.env_steps), self.statistics.success)

    @property
    def phase(self) -> int:
        """Which phase it is in; the first is number 0."""
        return self._begun - 1

    @property
    def done(self) -> bool:
        """Whether this is the end of the run."""
        c = self.config
        good = self._begun == len(self._phases) and self.best is not None and 0 < c.until <= self.best[0]
        return good or self.hopeless or self.env_steps >= c.env_steps

    @property
    def hopeless(self) -> bool:
        """Whether it has gone on for long without a single success (``give_up``)."""
        return not self.statistics.successes and 0 < self.config.give_up <= self.env_steps / self.config.env_steps

    def run(self) -> Iterator[Row]:
        """Learn to the end of the run; yields a row of metrics after each round.

        A row holds ``validation_success`` if this round ended with a validation. It may be closed between two rows, and a
        trainer that got this one's ``state_dict`` goes on exactly where it stopped, also if ``evaluated`` ended a validation.
        """
        if not self.env_steps:
            self._begin_phase()
        while self._unvalidated is not None or not self.done:
            if self._unvalidated is None:  # else a validation was ended before it was over
                metrics, due = self._round()
                if not due:
                    yield self._row(metrics)
                    continue
                self._unvalidated = metrics
            began, success = time.perf_counter(), self._validate()
            self.seconds += time.perf_counter() - began
            row, self._unvalidated = {**self._unvalidated, "validation_success": success}, None
            yield self._row(row)
        if not self._ended:
            self._end_phase()
            self._ended = True

    def _round(self) -> tuple[Row, bool]:
        """Play and learn once; figures of that, and whether a validation is due."""
        c = self.config
        if self._begun < len(self._phases) and self.env_steps >= self._phases[self._begun][0]:
            self._end_phase()
            self._enter()
            self._begin_phase()
        began, before = time.perf_counter(), self.env_steps
        for _ in range(c.round_steps):
            self._step()
        metrics = self.learner.update(self.replay, self.progress)
        if not isfinite(metrics.get("loss", 0.0)):
            raise Diverged(f"learning went wrong after {self.env_steps:,} steps: the loss is {metrics['loss']}; "
                           "try a smaller --learning-rate, --reward-scale or --max-grad-norm")  # fmt: skip
        self.seconds += time.perf_counter() - began
        due = self.env_steps // c.validation.evaluate_every > before // c.validation.evaluate_every
        return metrics, self.env_steps >= c.env_steps or (due and self.statistics.success > WORTH_VALIDATING)

    def _row(self, metrics: Row) -> Row:
        return {"env_steps": self.env_steps, "decisions": self.decisions, "seconds": self.seconds, **metrics}

    def _begin_phase(self) -> None:
        for method in self.methods:
            method.begin_phase(self.learner, self._begun - 1)

    def _end_phase(self) -> None:
        for method in self.methods:
            method.end_phase(self.learner, self.replay, self._begun - 1)

    def _act(self, obs: NDArray[np.uint8], available: Bools, env_ids: Ints) -> Ints:
        choice = self.learner.act(obs, available, env_ids, self.progress)
        if self._record is not None and choice.record is not None:
            self._record[env_ids] = choice.record
        self.decisions += len(env_ids)
        return choice.option

    def _step(self) -> None:
        others, step = self.recorder.others(self.rollout), self.rollout.step()
        self.recorder.add(others, step, self._record, self.learner.state)
        self.statistics.add(step)
        self.env_steps += int((~step.env_failed).sum())

    def _validate(self) -> float:
        """Success on validation seeds; remembers the best weights and when 95 % was first reached."""
        episodes = self.config.validation.validation_episodes
        if self._validation_envs is None:
            # As few environments as keep the processor busy: those that are done early play on for nothing.
            self._validation_envs = self.make_envs(min(64, episodes))
        success = self._evaluate(self._validation_envs, episodes, self.seed, "validate").success_rate
        if self.best is None or success >= self.best[0]:
            self.best = (success, deepcopy(self.learner.network.state_dict()))
        if success >= 0.95 and self.reached_95 is None:
            self.reached_95 = (self.env_steps, self.seconds)
        return success

    def use_best(self) -> None:
        """Give the learner the weights that did best in validation."""
        if self.best is not None:
            self.learner.network.load_state_dict(self.best[1])

    def evaluate(self, episodes: int, seed: int) -> Evaluation:
        """Success of the learner's policy as it is, on unseen episodes."""
        return self._evaluate(self.make_envs(min(250, episodes)), episodes, seed, "evaluate")

    def _evaluate(self, envs: VectorEnv[Any, Any, Any], episodes: int, seed: int, split: Split) -> Evaluation:
        policy, interrupt = self.learner.policy(seed), self.config.options.interrupt
        envs = Watched(envs, self.evaluated)
        return evaluate(envs, self.options, policy, episodes, seed, split=split, interrupt=interrupt)

    def state_dict(self) -> dict[str, Any]:
        return {
            "rollout": self.rollout.state_dict(),
            "learner": self.learner.state_dict(),
            "replay": self.replay.state_dict(),
            "statistics": self.statistics.state_dict(),
            "counters": [self.env_steps, self.decisions, self._begun],
            "seconds": self.seconds,
            "unvalidated": self._unvalidated,
            "ended": self._ended,
            "best": self.best,
            "reached_95": self.reached_95,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises :class:`h_dqn.checkpoint.CheckpointError` for a state that cannot be of this run."""
        self.env_steps, self.decisions, begun = numbers(state["counters"], "counters", 0)
        if not 1 <= begun <= len(self._phases):
            raise CheckpointError(f"the state is of phase {begun}, the run has {len(self._phases)}")
        while self._begun < begun:
            self._enter()
        self.seconds, self._ended = float(state["seconds"]), state["ended"] is True
        self._unvalidated = state["unvalidated"] and {str(name): float(value) for name, value in state["unvalidated"].items()}
        self.learner.load_state_dict(state["learner"])  # before the rollout, which shows it where it goes on
        self.rollout.load_state_dict(state["rollout"])
        self.replay.load_state_dict(state["replay"])
        self.statistics.load_state_dict(state["statistics"])
        self.best = state["best"] and (float(state["best"][0]), like(state["best"][1], self.learner.network.state_dict(), "best"))
        self.reached_95 = state["reached_95"] and (whole(state["reached_95"][0], "reached_95", 0), float(state["reached_95"][1]))

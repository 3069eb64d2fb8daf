"""Training: worlds, options, agent and replay put together. Skill, flat baseline and controller differ in their options alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from h_dqn.agent import Agent
from h_dqn.config import Config
from h_dqn.evaluate import Evaluation, evaluate
from h_dqn.metrics import Row, Tally
from h_dqn.options import Option, OptionRunner, Primitive
from h_dqn.replay import SMDPReplay
from h_dqn.rollout import Rollout, Step
from h_dqn.seeds import Split, episode_seeds

MakeEnvs = Callable[[int], VectorEnv[Any, Any, Any]]
WORTH_VALIDATING = 0.5  # share of the newest episodes that reached the goal, explorers among them


class Trainer:
    """One run of learning.

    Args:
        make_envs: makes a vector environment of so many worlds, with stacks of frames as observations.
        options: what may be chosen: primitives, or primitives and skills.
        config: settings.
        seed: decides everything that is random.
        later: in which worlds it goes on, and from how many environment steps on.
    """

    def __init__(
        self,
        make_envs: MakeEnvs,
        options: Sequence[Option],
        config: Config,
        seed: int,
        later: Sequence[tuple[int, MakeEnvs]] = (),
    ) -> None:
        self.options, self.config, self.seed = list(options), config, seed
        self._phases: list[tuple[int, MakeEnvs]] = [(0, make_envs), *later]
        envs = make_envs(config.worlds)
        space = envs.single_observation_space.shape
        assert space is not None
        shape = space[0], space[1], space[2]
        self.agent = Agent(config, shape, len(options), seed)
        # A round of the rollout learner looks at what was just seen: at most two rows a step, and a skill that began before.
        recent = config.worlds * (2 * config.round_steps + config.option_steps + config.stack)
        forgets = config.learner == "rollout" and not config.success_memory and not config.eliminate
        self.replay = SMDPReplay(
            config.worlds,
            recent if forgets else config.capacity,
            shape,
            len(options),
            config.priority if config.learner == "replay" else 0.0,
            np.random.default_rng([seed, 3]),
            twins=len(options) if config.intra_option == "all" else 1,
            successes=int(config.success_memory > 0) * config.capacity // 100,
            outputs=self.agent.outputs,
            device=self.agent.device,
        )
        actions = {option.action: index for index, option in enumerate(options) if isinstance(option, Primitive)}
        self._primitive = np.array([actions[action] for action in sorted(actions)])  # the option that is each primitive action
        self.tally = Tally(config.worlds, [option.name for option in options])
        self.env_steps = 0
        self.seconds = 0.0
        self.best: tuple[float, dict[str, Any]] | None = None
        self.reached_95: tuple[int, float] | None = None
        self._begun = 0  # phases
        self._enter(envs)

    def _enter(self, envs: VectorEnv[Any, Any, Any] | None = None) -> None:
        """Go on in the worlds of the next phase; episodes that run elsewhere are left as they are."""
        c, worlds = self.config, self.config.worlds
        self.make_envs = self._phases[self._begun][1]
        self._begun += 1
        self._validation_envs: VectorEnv[Any, Any, Any] | None = None
        self.best = None  # what did best elsewhere
        runner = OptionRunner(self.options, worlds, np.random.default_rng([self.seed, 4, self._begun]))
        seeds = episode_seeds("train", self.seed, self._begun * worlds)[-worlds:]
        interrupt = self.agent.interrupt if c.interrupt else None
        self.rollout = Rollout(envs or self.make_envs(worlds), runner, self.agent.explore, seeds, interrupt=interrupt)
        self.replay.begin_episode(~self.rollout.away, self.rollout.obs)
        self.tally.begin()

    @property
    def done(self) -> bool:
        """Whether this is the end of the run."""
        c = self.config
        good = self._begun == len(self._phases) and self.best is not None and 0 < c.until <= self.best[0]
        return good or self.env_steps >= c.env_steps

    def run(self) -> Iterator[Row]:
        """Learn to the end of the run; yields a row of metrics after each round.

        A row holds ``validation_success`` if this round ended with a validation. It may be closed between two rows, and a
        trainer that got this one's ``state_dict`` goes on exactly where it stopped.
        """
        c = self.config
        while not self.done:
            if self._begun < len(self._phases) and self.env_steps >= self._phases[self._begun][0]:
                self._enter()
            began, before = time.perf_counter(), self.env_steps
            for _ in range(c.round_steps):
                self._step()
            row = self.agent.learn(self.replay, min(1.0, self.env_steps / c.env_steps))
            due = self.env_steps // c.evaluate_every > before // c.evaluate_every
            if self.env_steps >= c.env_steps or (due and self.tally.success > WORTH_VALIDATING):
                row["validation_success"] = self._validate(self.seconds + time.perf_counter() - began)
            self.seconds += time.perf_counter() - began
            counters = {"env_steps": self.env_steps, "decisions": self.agent.decisions, "seconds": self.seconds}
            yield {**counters, "epsilon": float(self.agent.epsilon.mean()), **row}

    def _step(self) -> None:
        away = self.rollout.away
        before, step = self.rollout.obs, self.rollout.step()
        lost = step.lost
        if lost.any():
            # What failed was no step. A decision that ran before it is cut off there, as by a step limit, with the steps it had.
            cut = lost & ~step.due & ~away
            self.replay.complete(cut, np.zeros_like(lost), lost, step.allowed)
        values = self.agent.chosen_by if self.config.learner == "rollout" else None
        self.replay.decide(step.due & ~lost, step.option, step.allowed, values)
        self.replay.step(step.reward, step.reached, None if not lost.any() else ~lost, step.info.get("invalid_action"))
        if (over := step.over & ~lost).any():
            self.replay.complete(over, step.terminated, step.ended, step.available)
        self._teach_others(before, step)
        if step.began.any():
            self.replay.begin_episode(step.began, step.obs)
        self.tally.add(step)
        self.agent.success = self.tally.success
        self.env_steps += int((~lost).sum())

    def _teach_others(self, before: NDArray[np.uint8], step: Step) -> None:
        """Intra-option learning: the step also counts for options other than the one that took it, if they would have done it."""
        if self.config.intra_option == "no":
            return
        nothing = np.zeros(len(before))
        primitive, skilled = self._primitive[step.action], ~np.isin(step.option, self._primitive) & ~step.lost
        self.replay.inside(skilled, primitive, step.terminated, step.ended, step.allowed, step.available, nothing)
        if self.config.intra_option == "all":
            for index, option in enumerate(self.options):
                if index not in self._primitive:
                    action, done = option.act(before)
                    agrees = (action == step.action) & ~step.lost & ~(step.due & (step.option == index))
                    # Its clock is not known here, so it goes on by the chance that it has in the mean.
                    persists = np.where(done, 0.0, 1 - 1 / self.config.option_steps)
                    self.replay.inside(
                        agrees, np.full(len(before), index), step.terminated, step.ended, step.allowed, step.available, persists
                    )

    def _validate(self, seconds: float) -> float:
        """Success on validation seeds; remembers the best weights and when 95 % was first reached."""
        if self._validation_envs is None:
            # As few worlds as keep the processor busy: those that are done early play on for nothing.
            self._validation_envs = self.make_envs(min(64, self.config.validation_episodes))
        episodes = self.config.validation_episodes
        success = self._evaluate(self._validation_envs, episodes, self.seed, "validate").success_rate
        if self.best is None or success >= self.best[0]:
            self.best = (success, deepcopy(self.agent.network.state_dict()))
        if success >= 0.95 and self.reached_95 is None:
            self.reached_95 = (self.env_steps, seconds)
        return success

    def use_best(self) -> None:
        """Give the agent the weights that did best in validation."""
        if self.best is not None:
            self.agent.network.load_state_dict(self.best[1])

    def evaluate(self, episodes: int, seed: int) -> Evaluation:
        """Success of the agent as it is, on unseen episodes."""
        return self._evaluate(self.make_envs(min(250, episodes)), episodes, seed, "evaluate")

    def _evaluate(self, envs: VectorEnv[Any, Any, Any], episodes: int, seed: int, split: Split) -> Evaluation:
        return evaluate(envs, self.options, self.agent.player(seed), episodes, seed, split, self.config.interrupt)

    def state_dict(self) -> dict[str, Any]:
        return {
            "rollout": self.rollout.state_dict(),
            "agent": self.agent.state_dict(),
            "replay": self.replay.state_dict(),
            "tally": self.tally.state_dict(),
            "counters": [self.env_steps, self.seconds, self._begun],
            "best": self.best,
            "reached_95": self.reached_95,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.env_steps, self.seconds, begun = state["counters"]
        while self._begun < begun:
            self._enter()
        for part in ("rollout", "agent", "replay", "tally"):
            getattr(self, part).load_state_dict(state[part])
        self.agent.success = self.tally.success
        self.best = state["best"] and (state["best"][0], state["best"][1])
        self.reached_95 = state["reached_95"] and (state["reached_95"][0], state["reached_95"][1])

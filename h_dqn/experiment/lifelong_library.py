"""The agent that keeps what it learned: a skill for each task, all of them in one network, which begins the next one too."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch

from h_dqn.agent_state import AgentState
from h_dqn.continual.change import changed
from h_dqn.continual.keeper import Keeper
from h_dqn.continual.lessons import Collector, Lesson, collect, distil
from h_dqn.evaluation import evaluate
from h_dqn.experiment.lifelong_agent import FineTuned, Player, Setting, Stage, loaded, network_of, options_of
from h_dqn.experiment.race import Trial, ahead
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.learners import Learner, Method
from h_dqn.learners.value_learner import ValueLearner
from h_dqn.metrics import WINDOW, EpisodeStatistics
from h_dqn.networks import LinearHead, QNetwork
from h_dqn.policies import SoftmaxPolicy
from h_dqn.state import CheckpointError

EVERY = 120_000  # environment steps in which a slow network makes the gradient steps of one distillation
FINALISTS, LONGER = 2, 3  # skills that are tried for so many times the episodes more


class Librarian(FineTuned):
    """Begins each task with the skill that fits best, learns, and teaches it to one network beside all others, from stored frames.

    1. Where a task begins, its skills are tried. One that solves it already is what plays it from then on: nothing is learned. One
       that surely succeeds more often than chance is begun with; else the layers alone are.
    2. It learns as others do.
    3. Frames of the task are kept with what was learned about them (:mod:`h_dqn.continual.lessons`), half of them where the network
       that is taught drives; it learns these and rehearses those before. No old task is played again.

    Without the task's number that network has one head for all tasks.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.outputs = len(setting.options) * (setting.tasks if setting.told else 1)
        self.student = setting.network(self.outputs)
        self.lessons: list[tuple[int, list[Lesson]]] = []  # of each skill: the task that it is known by, and what it is taught by
        self.solved = False  # whether the task that it is in is known
        self.start: int | None = None  # the skill that it is begun with
        self.learning = False

    def rows(self, key: int) -> slice:
        """The outputs of the network that are for a task."""
        return slice(key * len(self.setting.options), (key + 1) * len(self.setting.options))

    @property
    def skills(self) -> list[int]:
        """Tasks that the network has learned, by the numbers that they are known by, the newest last."""
        return list(dict.fromkeys(key for key, _ in reversed(self.lessons)))[::-1]

    # --- 1. the start ---

    def prepare(self, stage: Stage) -> int:
        super().prepare(stage)
        self.solved, self.start, self.learning, episodes = False, None, True, self.setting.continual.trial_episodes
        if not self.skills or not episodes:
            stage.notes["start"] = "scratch" if not self.skills else "layers"
            return 0
        own = self.heads.current
        tries = {key: self._try(stage, key, episodes, 0) for key in (None, *([own] if own in self.skills else self.skills))}
        best = sorted((key for key in tries if key is not None), key=lambda key: -tries[key].successes)[:FINALISTS]
        for key in (None, *(key for key in best if tries[key].successes)):
            more = self._try(stage, key, LONGER * episodes, 1)
            tries[key] = tries[key].also(more.successes, more.episodes, more.env_steps)
        first = max(best, key=lambda key: tries[key].successes / tries[key].episodes)
        self.start = first if ahead(tries[first], tries[None]) else None
        self.solved = tries[first].successes >= self.setting.continual.known * tries[first].episodes and self.start == own
        stage.notes["start"] = "known" if self.solved else f"skill {first}" if self.start is not None else "layers"
        stage.notes["trials"] = {str(key): one.successes / one.episodes for key, one in tries.items()}
        return sum(one.env_steps for one in tries.values())

    def _try(self, stage: Stage, key: int | None, episodes: int, rung: int) -> Trial:
        """As :func:`tried`, of a skill, or of chance (None)."""
        return tried(self.setting, stage, self.setting.network() if key is None else self._skill(key), episodes, rung)

    def to_learn(self, env_steps: int) -> int:
        c = self.setting.continual
        return 0 if self.solved else env_steps - 2 * c.lesson_envs * c.lesson_steps

    def begin(self, learner: Learner) -> None:
        if not self.skills:
            return
        options, key = self.setting.options, self.start if self.start is not None else 0
        learner.warm_start(options, self._skill(key), options if self.start is not None else ())
        if self.start is not None:
            led(learner)

    def _skill(self, key: int) -> QNetwork:
        """A network that has one skill alone."""
        network, own = self.setting.network(), self.rows(key)
        network.warm_start((), self.student, ())
        ours, theirs = self._linear(network), self._linear(self.student)
        with torch.no_grad():
            ours.weight.copy_(theirs.weight[own])
            ours.bias.copy_(theirs.bias[own])
        return network

    @staticmethod
    def _linear(network: QNetwork) -> LinearHead:
        assert isinstance(network.head, LinearHead), "skills are rows of a linear head"
        return network.head

    # --- 2. learning ---

    def remember(self, learner: Learner) -> None:
        if not self.solved:
            self.network, self.begun = deepcopy(network_of(learner)).requires_grad_(False), True

    def player(self, task: int) -> Player:
        key, temperature = self.key(task), self.setting.config.learner.temperature
        newest = self.learning and not self.solved
        if newest and (key == self.heads.current or key not in self.skills):
            return Player(self.network, temperature)
        if key in self.skills or not self.skills:
            return Player(self.student, temperature, self.rows(key))
        return Player(self.student, temperature, self.rows(self.skills[-1]))

    # --- 3. what is kept ---

    def end(self, stage: Stage, here: TaskEnvs) -> int:
        self.learning = False
        if self.solved:
            return 0
        c, key, teacher = self.setting.continual, self.heads.current, (self.network, slice(None))
        own, taught = self.rows(key), list[Lesson]()
        if self.setting.told:
            self.lessons = [one for one in self.lessons if one[0] != key]
        self.lessons.append((key, taught))
        if len(self.lessons) == 1:
            self._take_over(own, whole=True)
        elif self.setting.told:
            self._take_over(own, whole=False)
        rng = np.random.default_rng([stage.seed, 14])
        envs, options = here(c.lesson_envs), options_of(here, self.setting.told)
        for lot, driver in enumerate((teacher, (self.student, own))):
            collector = Collector(teacher, driver, self.setting.config.learner.temperature, stage.seed + lot)
            taught.append(collect(envs, options, collector, c.lesson_steps, stage.seed + lot))
            if len(self.lessons) > 1:
                stage.notes["imitation_loss"] = self._teach(len(taught), c.distil_updates // 2, rng)
        return 2 * c.lesson_envs * c.lesson_steps

    def _teach(self, new: int, updates: int, rng: np.random.Generator) -> float:
        lessons = [(self.rows(key), lesson) for key, taught in self.lessons for lesson in taught]
        rate = self.setting.config.learner.descent.learning_rate
        losses = list(distil(self.student, lessons, new, updates, self.setting.continual.distil_sequences, rate, rng))
        return float(np.mean(losses[-20:])) if losses else 0.0

    @torch.no_grad()
    def _take_over(self, own: slice, whole: bool) -> None:
        """The head that was learned begins the network's own for this task; the first task gives its layers, too."""
        if whole:
            self.student.warm_start((), self.network, ())
        ours, theirs = self._linear(self.student), self._linear(self.network)
        ours.weight[own], ours.bias[own] = theirs.weight, theirs.bias

    # --- the ledger, and state ---

    @property
    def weights(self) -> int:
        return sum(weight.numel() for weight in self.student.parameters())

    @property
    def kept_bytes(self) -> int:
        kept = [part for _, taught in self.lessons for lesson in taught for part in vars(lesson).values()]
        return super().kept_bytes + sum(int(part.nbytes) for part in kept)

    def state_dict(self) -> dict[str, Any]:
        lessons = [[key, [lesson.state_dict() for lesson in taught]] for key, taught in self.lessons]
        start = -1 if self.start is None else self.start
        own = {"student": self.student.state_dict(), "lessons": lessons, "flags": [self.solved, self.learning], "start": start}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.student = loaded(self.setting, state["student"], self.outputs)
        self.lessons = [(int(key), [Lesson(**lesson) for lesson in taught]) for key, taught in state["lessons"]]
        if any(not 0 <= key < self.setting.tasks for key, _ in self.lessons):
            raise CheckpointError("a lesson is of no task")
        self.solved, self.learning = (flag is True for flag in state["flags"])
        self.start = None if state["start"] < 0 else int(state["start"])


class Watchful(FineTuned):
    """The same for who is told nothing: what plays is a slow network, taught all the time what a fast one does.

    Where the newest episodes succeed much less than those before, it takes the world for another one: the fast one begins anew,
    from the slow one's skill if that surely beats chance there, else from its layers alone.
    """

    def own_methods(self) -> list[Method]:
        c, config = self.setting.continual, self.setting.config
        rounds = max(1, EVERY // (config.env.num_envs * config.round_steps))
        self.student, self.start = self.setting.network(), False
        self.keeper = Keeper(self.student, (config.round_steps, c.lesson_envs), max(1, c.distil_updates // rounds),
                             c.distil_sequences, config.learner.descent.learning_rate / 2, self.setting.seed)  # fmt: skip
        return [self.keeper]

    def prepare(self, stage: Stage) -> int:
        super().prepare(stage)
        self.keeper.begin_anew()
        self.start, episodes = False, (1 + LONGER) * self.setting.continual.trial_episodes
        if not self.keeper.kept or not episodes:
            return 0
        skill, chance = (tried(self.setting, stage, network, episodes, 0) for network in (self.student, self.setting.network()))
        self.start = ahead(skill, chance)
        stage.notes["start"] = "skill" if self.start else "layers"
        return skill.env_steps + chance.env_steps

    def begin(self, learner: Learner) -> None:
        if self.keeper.kept:
            learner.warm_start(self.setting.options, self.student, self.setting.options if self.start else ())
            if self.start:
                led(learner)

    def notices(self, statistics: EpisodeStatistics) -> bool:
        return statistics.episodes >= 2 * WINDOW and changed(statistics.newest)

    def player(self, task: int) -> Player:
        return Player(self.student, self.setting.config.learner.temperature)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "start": self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.start = state["start"] is True


def tried(setting: Setting, stage: Stage, network: QNetwork, episodes: int, rung: int) -> Trial:
    """What a network does where a stage begins; one that has learned nothing is chance."""
    policy = SoftmaxPolicy(AgentState(network), setting.config.learner.temperature, stage.seed + rung)
    options = options_of(stage.envs, setting.told)
    outcome = evaluate(stage.envs(episodes), options, policy, episodes, stage.seed + rung, split="validate")
    return Trial("", sum(outcome.by_episode), episodes, outcome.env_steps)


def led(learner: Learner) -> None:
    """It begins with a skill: at first it is led by what that does, and so explores no more than at a run's end."""
    if isinstance(learner, ValueLearner):
        learner.exploration.fallen = learner.exploration.config.epsilon_decisions

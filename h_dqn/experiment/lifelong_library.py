"""The agent that keeps what it learned: a skill for each task, all of them in one network, which begins the next one too."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch

from h_dqn.agent_state import AgentState
from h_dqn.config import change
from h_dqn.continual.change import RECENT, changed
from h_dqn.continual.lessons import Collector, Lesson, collect, distil
from h_dqn.continual.newest import Newest
from h_dqn.evaluation import evaluate
from h_dqn.experiment.agent import last_above
from h_dqn.experiment.lifelong_agent import HIDDEN, FineTuned, Pause, Player, Setting, Stage, loaded, network_of, options_of
from h_dqn.experiment.lifelong_options import flat, random_skills, skill_options
from h_dqn.experiment.race import Trial, ahead
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.learners import Learner, Method
from h_dqn.learners.value_learner import ValueLearner
from h_dqn.metrics import WINDOW, EpisodeStatistics
from h_dqn.networks import LinearHead, QNetwork
from h_dqn.options import Option
from h_dqn.policies import SoftmaxPolicy
from h_dqn.state import CheckpointError
from skills_library.skill import OPTION

FINALISTS, LONGER = 2, 3  # skills that are tried for so many times the episodes more
WORTH = 0.5  # success of the newest episodes from which on what was learned is worth keeping where no boundary is told
SKILL_SHARE = 0.5  # of the random choices that are a skill, where nothing else is said


class Librarian(FineTuned):
    """Begins each task with the skill that fits best, learns, and teaches it to one network beside all others, from stored frames.

    1. Where a task begins, its skills are tried. One that solves it already is what plays it from then on: nothing is learned. One
       that surely succeeds more often than chance is begun with; else the layers alone are.
    2. It learns as others do.
    3. Frames of the task are kept with what was learned about them (:mod:`h_dqn.continual.lessons`), half of them where the network
       that is taught drives; it learns these and rehearses those before. No old task is played again.

    Without the task's number that network has one head for all tasks. Told nothing at all, it keeps what it has learned every
    so many steps; where the newest episodes succeed much less than those before, it takes the world for another task, and
    begins it as if it had been told.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.outputs = len(setting.options) * (setting.tasks if setting.told else 1)
        self.student = setting.network(self.outputs)
        self.lessons: list[tuple[int, list[Lesson]]] = []  # of each task: its number, and what it is taught by
        self.ends: dict[int, float] = {}  # of each skill, see :func:`h_dqn.experiment.agent.last_above`
        self.met = -1  # number of the task that it is in; if none is given, tasks are numbered as they are met
        self.solved = False  # whether the task that it is in is known
        self.start: int | None = None  # the skill that it is begun with
        self.learning = False
        self.paused: Pause | None = None  # why the learner before this one stopped
        self.worth = False  # whether it succeeded well, but for the newest episodes
        self.explored = 0  # decisions after which it explores as the learner did when it stopped
        share = setting.config.learner.exploration.skill_share
        if setting.continual.skill_options != "no":
            self.config = change(self.config, skill_share=share or SKILL_SHARE)

    def own_methods(self) -> list[Method]:
        c = self.setting.continual
        self.newest = Newest(len(self.setting.options), c.lesson_steps, c.lesson_envs)
        return [self.newest] if self.setting.regime == HIDDEN else []

    def rows(self, key: int) -> slice:
        """The outputs of the network that are for a skill."""
        return slice(key * len(self.setting.options), (key + 1) * len(self.setting.options))

    @property
    def skills(self) -> list[int]:
        """What the network has learned, by number: a head for each task that is told, else one."""
        return list(self.ends)

    # --- 1. the start ---

    def prepare(self, stage: Stage) -> int:
        super().prepare(stage)
        self.learning, episodes = True, self.setting.continual.trial_episodes
        if self.paused == "keep":
            stage.notes["start"] = "goes on"
            return 0
        self.met = stage.task if self.setting.told else self.met + 1
        self.solved, self.start = False, None
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
        if self.solved:
            return env_steps if self.setting.regime == HIDDEN else 0  # it may become another one
        return env_steps - 2 * c.lesson_envs * c.lesson_steps

    def begin(self, learner: Learner) -> None:
        options = self.setting.options
        self.newest.lessons = self.newest.lessons if self.paused == "keep" else []
        if self.paused == "keep":
            learner.warm_start(self.names, self.network, options)
            explores(learner, self.explored)
        elif self.skills:
            learner.warm_start(self.names, self._skill(self.start or 0), options if self.start is not None else ())
            if self.start is not None:  # led by what that does, it explores no more than at a run's end
                explores(learner, self.config.learner.exploration.epsilon_decisions)
        self.paused = None

    # --- skills as options ---

    @property
    def names(self) -> list[str]:
        """Of what it can choose."""
        return [*self.setting.options, *(f"{OPTION}{key}" for key in self.skills if self.setting.continual.skill_options != "no")]

    def options(self, envs: TaskEnvs) -> list[Option]:
        which, plain = self.setting.continual.skill_options, super().options(envs)
        if which == "no":
            return plain
        if which == "learned":
            return [*plain, *skill_options(self.setting, envs, self.student, self.ends)]
        network = random_skills(self.setting, self.outputs)
        return [*plain, *skill_options(self.setting, envs, network, dict.fromkeys(self.ends, np.inf))]

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
            self.network, self.begun = deepcopy(flat(self.setting, network_of(learner))).requires_grad_(False), True
        if isinstance(learner, ValueLearner):
            self.explored = learner.exploration.fallen

    def pauses(self, statistics: EpisodeStatistics, env_steps: int) -> Pause | None:
        if self.setting.regime != HIDDEN or statistics.episodes < 2 * WINDOW:
            return None
        newest = statistics.newest
        self.worth = bool(np.mean(newest[:-RECENT]) >= WORTH)
        if changed(newest):
            self.paused = "changed"
        elif (
            not self.solved and env_steps >= self.setting.continual.keep_every and self.worth and np.mean(newest[-RECENT:]) >= WORTH
        ):
            self.paused = "keep"
        return self.paused

    def player(self, task: int) -> Player:
        key, temperature = self.key(task), self.setting.config.learner.temperature
        newest = self.learning and not self.solved and not (self.skills and self.setting.regime == HIDDEN)
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
        if self.paused == "changed":
            self._keep_late(stage)
            return 0
        c, key, teacher = self.setting.continual, self.heads.current, (self.network, slice(None))
        own, taught = self.rows(key), list[Lesson]()
        self._know(taught, here)
        rng = np.random.default_rng([stage.seed, 14])
        envs, options = here(c.lesson_envs), options_of(here, self.setting.told)
        for lot, driver in enumerate((teacher, (self.student, own))):
            collector = Collector(teacher, driver, self.setting.config.learner.temperature, stage.seed + lot)
            taught.append(collect(envs, options, collector, c.lesson_steps, stage.seed + lot))
            if len(self.lessons) > 1:
                stage.notes["imitation_loss"] = self._teach(len(taught), c.distil_updates // 2, rng)
        return 2 * c.lesson_envs * c.lesson_steps

    def _keep_late(self, stage: Stage) -> None:
        """The task is over already: what is left of it are the newest frames but the last."""
        if self.worth and (taught := self.newest.certain):
            self._know(taught, stage.envs)
            rng = np.random.default_rng([stage.seed, 14])
            stage.notes["imitation_loss"] = self._teach(len(taught), self.setting.continual.distil_updates, rng)

    def _know(self, taught: list[Lesson], envs: TaskEnvs) -> None:
        """From now on these are the lessons of the task that it is in; nothing is taught yet."""
        key, learner = self.heads.current, self.config.learner
        self.ends[key] = last_above(envs.task, learner.reward_scale, learner.discount)
        self.lessons = [*(one for one in self.lessons if one[0] != self.met), (self.met, taught)]
        if len(self.lessons) == 1 or self.setting.told:
            self._take_over(self.rows(key), whole=len(self.lessons) == 1)

    def _teach(self, new: int, updates: int, rng: np.random.Generator) -> float:
        lessons = [(self.rows(self.key(task)), lesson) for task, taught in self.lessons for lesson in taught]
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
        return {
            **super().state_dict(),
            "student": self.student.state_dict(),
            "lessons": [[task, [lesson.state_dict() for lesson in taught]] for task, taught in self.lessons],
            "ends": list(self.ends.items()),
            "flags": [self.solved, self.learning],
            "met": self.met,
            "start": -1 if self.start is None else self.start,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.student = loaded(self.setting, state["student"], self.outputs)
        self.lessons = [(int(task), [Lesson(**lesson) for lesson in taught]) for task, taught in state["lessons"]]
        self.ends = {int(key): float(end) for key, end in state["ends"]}
        self.met = int(state["met"])
        if any(not 0 <= key < self.outputs // len(self.setting.options) for key in self.ends):
            raise CheckpointError("a skill is of no task")
        self.solved, self.learning = (flag is True for flag in state["flags"])
        self.start = None if state["start"] < 0 else int(state["start"])


def tried(setting: Setting, stage: Stage, network: QNetwork, episodes: int, rung: int) -> Trial:
    """What a network does where a stage begins; one that has learned nothing is chance."""
    policy = SoftmaxPolicy(AgentState(network), setting.config.learner.temperature, stage.seed + rung)
    options = options_of(stage.envs, setting.told)
    outcome = evaluate(stage.envs(episodes), options, policy, episodes, stage.seed + rung, split="validate")
    return Trial("", sum(outcome.by_episode), episodes, outcome.env_steps)


def explores(learner: Learner, fallen: int) -> None:
    """It explores as after so many decisions."""
    if isinstance(learner, ValueLearner):
        learner.exploration.fallen = fallen

"""One agent through a sequence of tasks: ``h-dqn lifelong``. All tasks are evaluated all the time, and every step is counted.

run.json        the plan, the tasks as they were, versions
metrics.jsonl   a row of figures now and then
checkpoint/     what it takes to go on exactly, while it is not over
lifelong.json   evaluations, task-by-time matrix, metrics, ledger
films.json      an episode each of two tasks, as it plays them in the end
life.html       all of it as a page
result.json     the most important of these: the life is over
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from envs.registry import WORLDS
from envs.sequence import load_sequence
from h_dqn.config import change
from h_dqn.continual.count import CountUpdates
from h_dqn.evaluation import Evaluation
from h_dqn.experiment.inputs import Inputs, kept_inputs
from h_dqn.experiment.lifelong_agent import HIDDEN, FineTuned, Setting, Stage, options_of
from h_dqn.experiment.lifelong_agents import make_agent
from h_dqn.experiment.lifelong_envs import Looks, mixed, stages
from h_dqn.experiment.lifelong_page import FILMS, write_page
from h_dqn.experiment.lifelong_plan import LifelongPlan
from h_dqn.experiment.lifelong_probe import Probe, Prober
from h_dqn.experiment.lifelong_result import LIFELONG, Seen
from h_dqn.experiment.lifelong_told import begins_with, how_far, life_entry, so_far
from h_dqn.experiment.run import LOG_EVERY
from h_dqn.experiment.run_folder import MISFITS, RunFolder
from h_dqn.experiment.watch import Stop, Watcher, stop_on_signal
from h_dqn.experiment.worlds import VOXEL, TaskEnvs, shape_of
from h_dqn.files import write_text
from h_dqn.metrics import MetricsLog, Row
from h_dqn.state import numbers, whole
from h_dqn.train import Trainer

NEVER = 2**62  # environment steps: no validation, since no weights are picked
LEDGER = ("trial_steps", "evaluation_steps", "seconds", "evaluation_seconds")
COUNTERS = ("_number", "phase", "_base", "_before", "_extra", "_begun", "_first")
Told = Callable[[int], None]


class Lifelong:
    """A life, in a folder that is enough to go on with it.

    Args:
        plan: which agent lives through what.
        folder: where all of it is kept.
        inputs: the phases, if they were read already.
    Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` for a plan that cannot be.
    """

    def __init__(self, plan: LifelongPlan, folder: Path, inputs: Inputs | None = None) -> None:
        self.inputs = inputs or Inputs(load_sequence(plan.task).phases)
        self.phases = self.inputs.phases
        for phase in self.phases:
            WORLDS[VOXEL.world].check(phase.task)
        config = change(plan.config, evaluate_every=NEVER, validation_episodes=1, until=0.0)
        self.plan, self.folder, self._files = replace(plan, config=config), folder, RunFolder(folder)
        tasks = {phase.task.hash: phase.task for phase in self.phases}
        self.task_of = [list(tasks).index(phase.task.hash) for phase in self.phases]
        self.envs = [TaskEnvs(task, shape_of(config)) for task in tasks.values()]
        face = shape_of(config), self.envs[0].actions
        self.setting = Setting(config, plan.continual, *face, len(tasks), plan.regime, plan.seed)
        self.agent: FineTuned = make_agent(plan.agent, self.setting)
        self.stages = stages(self.phases, HIDDEN if self.agent.joint else plan.regime)
        self.looks = Looks(self.envs, self.setting.told, plan.seed)
        self.prober = Prober(plan, self.setting, self.phases) if plan.probe_every else None
        self.seen, self.probes, self.notes = list[Seen](), list[Probe](), list[dict[str, Any]]()
        self.ledger = dict.fromkeys(LEDGER, 0.0)
        self.count = CountUpdates()
        self.phase = 0
        self._number = 0  # of the stage
        self._base = self._before = 0  # environment steps of the stages before; of the trainers before
        self._extra = 0  # of this trainer's time, outside of it
        self._begun = self._first = 0  # trainers before this one; phase in which this one began
        self.noticed: list[int] = []  # environment steps at which the agent noticed a change
        self.stage: Stage | None = None
        self._trainer: Trainer | None = None
        self._logged: dict[str, Any] | None = None
        self._say = Watcher().say

    @classmethod
    def resume(cls, folder: Path, library: Path | None = None) -> Lifelong:
        """A life that was stopped; :meth:`learn` goes on where its newest checkpoint is."""
        files = RunFolder(folder)
        entry = files.read()
        try:
            return cls(LifelongPlan.from_json(entry["plan"]), folder, kept_inputs(entry["inputs"], folder))
        except MISFITS as error:
            raise files.misfit(error) from error

    @property
    def env_steps(self) -> int:
        """Environment steps so far, trials included."""
        return self._before + self._extra + (self._trainer.env_steps if self._trainer else 0)

    def learn(self, watcher: Watcher | None = None) -> dict[str, Any]:
        """Live to the end, from the newest checkpoint on. Returns the figures of ``result.json``."""
        watcher = watcher or Watcher()
        self._say = watcher.say
        if not self._files.begun:
            self._files.begin({"plan": self.plan.to_json(), "inputs": self.inputs.to_json()}, {})
        with self._files.at_work(self._load):
            if self._logged is not None:
                self._say(f"going on after {self.env_steps:,} steps")
            log = MetricsLog(self.folder, self._logged, self.env_steps)
            try:
                with stop_on_signal() as stop:
                    told = stop.checking(watcher.evaluated)
                    if not self.seen:
                        self._look(-1, True, told)
                    while self._number < len(self.stages):
                        self._live(log, stop, watcher)
                    return self._finish()
            except BaseException as error:
                self._files.leave(error, self.env_steps, watcher)
                raise
            finally:
                log.close()

    # --- a stage ---

    def _live(self, log: MetricsLog, stop: Stop, watcher: Watcher) -> None:
        """One stage, or what is left of it."""
        if self._trainer is None:
            self._begin()
            self._say(begins_with(self))
            self._save(log, watcher)
        trainer, told = self._trainer, stop.checking(watcher.evaluated)
        assert trainer is not None
        for rounds, row in enumerate(trainer.run()):
            self._tell(row, rounds, log, watcher)
            over = self.env_steps >= self._starts[self.phase + 1]
            if over and not trainer.done:
                self.agent.remember(trainer.learner)
                self._look(self.phase, True, told)
                self.phase += 1
            elif not trainer.done and self._due:
                self.agent.remember(trainer.learner)
                self._look(self.phase, False, told)
            if not over and not trainer.done and (why := self.agent.pauses(trainer.statistics, trainer.env_steps)):
                self._end_trainer(trainer)
                self.noticed += [self.env_steps] * (why == "changed")
                return
            if not over and not trainer.done:  # else a phase ends, in one piece: what methods look at there is not saved
                if stop.number or self._files.checkpoints.due:
                    self._save(log, watcher)
                stop.check()
        self._end(trainer, told)
        self._save(log, watcher)
        stop.check()

    def _begin(self) -> None:
        """The next stage: what comes before learning, and who learns."""
        self.stage = stage = self._new_stage({})
        began = time.perf_counter()
        self._extra = self.agent.prepare(stage)
        self.ledger["seconds"] += time.perf_counter() - began
        self.ledger["trial_steps"] += self._extra
        self._trainer = self._new_trainer(stage)
        self.agent.begin(self._trainer.learner)

    def _new_stage(self, notes: dict[str, Any]) -> Stage:
        """What is left of the stage."""
        task = self.task_of[self._first]
        seed = int(np.random.SeedSequence([self.plan.seed, self._begun]).generate_state(1)[0])
        return Stage(task, self.envs[task], self._starts[self.stages[self._number][-1] + 1] - self._before, seed, notes)

    def _new_trainer(self, stage: Stage) -> Trainer:
        left = max(1, self.agent.to_learn(stage.env_steps - self._extra))
        config, methods = change(self.agent.config, env_steps=left), [self.count, *self.agent.methods]
        if self.agent.joint:
            config = change(config, num_envs=max(config.env.num_envs, len(self.envs)))
            return Trainer(mixed(self.envs), options_of(stage.envs, False), config, stage.seed, methods=methods)
        later = [(self._starts[phase] - self._before - self._extra, self.envs[self.task_of[phase]])
                 for phase in self.stages[self._number] if phase > self._first]  # fmt: skip
        return Trainer(stage.envs, self.agent.options(stage.envs), config, stage.seed, later, methods)

    def _end(self, trainer: Trainer, told: Told) -> None:
        self._end_trainer(trainer, told)
        self.phase = self._first = self.stages[self._number][-1] + 1
        self._number, self._base = self._number + 1, self._before

    def _end_trainer(self, trainer: Trainer, told: Told | None = None) -> None:
        """What follows learning; where the stage is over, all is evaluated then."""
        assert self.stage is not None
        self.agent.remember(trainer.learner)
        self.stage.notes["options"] = trainer.statistics.shares
        self.ledger["seconds"] += trainer.seconds
        began = time.perf_counter()
        after = self.agent.end(self.stage, self.envs[self.task_of[self.phase]])
        self.ledger["seconds"] += time.perf_counter() - began
        self.ledger["trial_steps"] += after
        self._extra += after
        if told is not None:
            for phase in range(self.phase, self.stages[self._number][-1] + 1):  # several, if they are shorter than a round
                self._look(phase, True, told)
        self.notes.append({"phase": self.phase, **self.stage.notes})
        self._before, self._extra, self._trainer, self.stage = self.env_steps, 0, None, None
        self._begun, self._first = self._begun + 1, self.phase

    @property
    def _starts(self) -> list[int]:
        """Environment steps at which each phase begins, as far as it is known: stages before may have taken some more."""
        first = self.stages[self._number][0]
        steps = [phase.env_steps for phase in self.phases]
        return [self._base + sum(steps[first:phase]) for phase in range(len(steps) + 1)]

    @property
    def _due(self) -> bool:
        """Whether it is time to look at all tasks."""
        every, last = self.plan.measure_every, self.seen[-1]
        since = self.env_steps - self._starts[self.phase]
        return since // every > (last.phase_steps // every if last.phase == self.phase else 0)

    def _tell(self, row: Row, rounds: int, log: MetricsLog, watcher: Watcher) -> None:
        trainer = self._trainer
        assert trainer is not None
        watcher.progress(how_far(self, trainer))
        if rounds % LOG_EVERY == 0 or trainer.done:
            log.write({**row, **trainer.statistics.row(), "env_steps": self.env_steps, "phase": self.phase})

    def _look(self, phase: int, end: bool, told: Told) -> None:
        """Evaluate all tasks with weights as they are."""
        began, played = time.perf_counter(), list[Evaluation]()
        for task in range(len(self.envs)):
            episodes = self.plan.end_episodes if end else self.plan.episodes
            outcome, policy = self.looks.play(task, self.agent.player(task), episodes, told)
            played.append(outcome)
            self.ledger["evaluation_steps"] += outcome.env_steps
            if self.stage is not None and end and task == self.task_of[phase]:
                self.stage.notes["features"] = policy.features()
        since = self.env_steps - self._starts[phase] if phase >= 0 else 0
        self.seen.append(Seen.of(self.env_steps, phase, since, end, played))
        if end and phase >= 0:
            self._say(so_far(self))
        self.ledger["evaluation_seconds"] += time.perf_counter() - began
        if self.prober is not None and self.prober.due(self.env_steps, self.probes):
            clone_of = self.agent.player(self.task_of[max(phase, 0)]).network
            self.probes.append(self.prober.probe(clone_of, self.env_steps, phase, told))

    # --- what is kept ---

    def _save(self, log: MetricsLog, watcher: Watcher) -> None:
        state = {
            "agent": self.agent.state_dict(),
            "methods": [method.state_dict() for method in (self.count, *self.agent.methods)],
            "trainer": self._trainer and self._trainer.state_dict(),
            "counters": [getattr(self, name) for name in COUNTERS],
            "noticed": self.noticed,
            "probes": [asdict(one) for one in self.probes],
            "stage": self.stage and self.stage.notes,
            "seen": [asdict(one) for one in self.seen],
            "notes": self.notes,
            "ledger": self.ledger,
            "log": log.state_dict(),
        }
        self._files.save(state, self.env_steps, watcher)

    def _load(self, state: Any) -> None:
        for name, value in zip(COUNTERS, numbers(state["counters"], "counters", 0), strict=True):
            setattr(self, name, value)
        self.noticed = numbers(state["noticed"], "noticed", 0)
        self.agent.load_state_dict(state["agent"])
        for method, saved in zip((self.count, *self.agent.methods), state["methods"], strict=True):
            method.load_state_dict(saved)
        self.probes = [Probe.read(one) for one in state["probes"]]
        self.seen = [Seen.read(one) for one in state["seen"]]
        self.notes, self.ledger = list(state["notes"]), {name: float(state["ledger"][name]) for name in LEDGER}
        if state["trainer"] is not None:
            self.stage = self._new_stage(dict(state["stage"]))
            self._trainer = self._new_trainer(self.stage)
            self._trainer.load_state_dict(state["trainer"])
        size, waiting = whole(state["log"]["size"], "size", 0), [str(line) for line in state["log"]["waiting"]]
        self._logged = {"size": size, "waiting": waiting}

    def _finish(self) -> dict[str, Any]:
        life = life_entry(self)
        write_text(self.folder / LIFELONG, json.dumps(life, indent=1, allow_nan=False) + "\n")
        filmed = list(dict.fromkeys((self.task_of[0], *reversed(self.task_of))))[:2]  # the first, and the last other one
        films = [self.looks.film(task, self.agent.player(task)) for task in filmed]
        write_text(self.folder / FILMS, json.dumps(films) + "\n")
        write_page(self.folder)
        told = {name: life["metrics"][name] for name in ("average_performance", "forgetting") if life["metrics"][name] is not None}
        result = {**told, **life["ledger"], "seed": self.plan.seed, "run": str(self.folder)}
        self._files.finish(result)
        return result

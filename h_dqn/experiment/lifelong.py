"""One agent through a sequence of tasks: ``h-dqn lifelong``. All tasks are evaluated all the time, and every step is counted.

run.json        the plan, the tasks as they were, versions
metrics.jsonl   a row of figures now and then
checkpoint/     what it takes to go on exactly, while it is not over
lifelong.json   evaluations, task-by-time matrix, metrics, ledger
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
from h_dqn.continual.change import found as found_changes
from h_dqn.continual.count import CountUpdates
from h_dqn.experiment.inputs import Inputs, kept_inputs
from h_dqn.experiment.lifelong_agent import HIDDEN, FineTuned, Setting, Stage, options_of
from h_dqn.experiment.lifelong_agents import make_agent
from h_dqn.experiment.lifelong_envs import Looks, mixed, stages
from h_dqn.experiment.lifelong_plan import LifelongPlan
from h_dqn.experiment.lifelong_result import LIFELONG, Seen, figures, matrix
from h_dqn.experiment.run import LOG_EVERY
from h_dqn.experiment.run_folder import MISFITS, RunFolder
from h_dqn.experiment.watch import Moment, Stop, Watcher, stop_on_signal
from h_dqn.experiment.worlds import VOXEL, TaskEnvs, shape_of
from h_dqn.files import write_text
from h_dqn.metrics import MetricsLog, Row
from h_dqn.state import numbers, whole
from h_dqn.train import Trainer

NEVER = 2**62  # environment steps: no validation, since no weights are picked
LEDGER = ("trial_steps", "evaluation_steps", "seconds", "evaluation_seconds")
COUNTERS = ("_number", "_phase", "_base", "_before", "_extra", "_begun", "_first")
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
        self.looks = Looks(self.envs, self.setting.told, plan.seed, plan.end_episodes)
        self.seen, self.notes = list[Seen](), list[dict[str, Any]]()
        self.ledger = dict.fromkeys(LEDGER, 0.0)
        self._count = CountUpdates()
        self._phase = 0
        self._number = 0  # of the stage
        self._base = 0  # environment steps of the stages before
        self._before = 0  # of the trainers before
        self._extra = 0  # of this trainer's time, outside of it
        self._begun = 0  # trainers before this one
        self._first = 0  # phase in which this trainer began
        self.noticed: list[int] = []  # environment steps at which the agent noticed a change
        self._stage: Stage | None = None
        self._trainer: Trainer | None = None
        self._logged: dict[str, Any] | None = None

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
        if not self._files.begun:
            self._files.begin({"plan": self.plan.to_json(), "inputs": self.inputs.to_json()}, {})
        with self._files.at_work(self._load):
            if self._logged is not None:
                watcher.say(f"going on after {self.env_steps:,} steps")
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
            self._save(log, watcher)
        trainer, told = self._trainer, stop.checking(watcher.evaluated)
        assert trainer is not None
        for rounds, row in enumerate(trainer.run()):
            self._tell(row, rounds, log, watcher)
            over = self.env_steps >= self._starts[self._phase + 1]
            if over and not trainer.done:
                self.agent.remember(trainer.learner)
                self._look(self._phase, True, told)
                self._phase += 1
            elif not trainer.done and self._due:
                self.agent.remember(trainer.learner)
                self._look(self._phase, False, told)
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
        self._stage = stage = self._new_stage({})
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
        config, methods = change(self.agent.config, env_steps=left), [self._count, *self.agent.methods]
        if self.agent.joint:
            config = change(config, num_envs=max(config.env.num_envs, len(self.envs)))
            return Trainer(mixed(self.envs), options_of(stage.envs, False), config, stage.seed, methods=methods)
        later = [(self._starts[phase] - self._before - self._extra, self.envs[self.task_of[phase]])
                 for phase in self.stages[self._number] if phase > self._first]  # fmt: skip
        return Trainer(stage.envs, self.agent.options(stage.envs), config, stage.seed, later, methods)

    def _end(self, trainer: Trainer, told: Told) -> None:
        self._end_trainer(trainer, told)
        self._phase = self._first = self.stages[self._number][-1] + 1
        self._number, self._base = self._number + 1, self._before

    def _end_trainer(self, trainer: Trainer, told: Told | None = None) -> None:
        """What follows learning; where the stage is over, all is evaluated then."""
        assert self._stage is not None
        self.agent.remember(trainer.learner)
        self._stage.notes["options"] = trainer.statistics.shares
        self.ledger["seconds"] += trainer.seconds
        began = time.perf_counter()
        after = self.agent.end(self._stage, self.envs[self.task_of[self._phase]])
        self.ledger["seconds"] += time.perf_counter() - began
        self.ledger["trial_steps"] += after
        self._extra += after
        if told is not None:
            for phase in range(self._phase, self.stages[self._number][-1] + 1):  # several, if they are shorter than a round
                self._look(phase, True, told)
        self.notes.append({"phase": self._phase, **self._stage.notes})
        self._before, self._extra, self._trainer, self._stage = self.env_steps, 0, None, None
        self._begun, self._first = self._begun + 1, self._phase

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
        since = self.env_steps - self._starts[self._phase]
        return since // every > (last.phase_steps // every if last.phase == self._phase else 0)

    def _tell(self, row: Row, rounds: int, log: MetricsLog, watcher: Watcher) -> None:
        trainer = self._trainer
        assert trainer is not None
        total, speed = sum(phase.env_steps for phase in self.phases), trainer.env_steps / max(trainer.seconds, 1e-9)
        success = trainer.statistics.success if trainer.statistics.settled else None
        what = f"{self.plan.agent}: {self._phase + 1} of {len(self.phases)}, {self.phases[self._phase].task.name}"
        watcher.progress(Moment(what, self.env_steps, total, speed, success))
        if rounds % LOG_EVERY == 0 or trainer.done:
            log.write({**row, **trainer.statistics.row(), "env_steps": self.env_steps, "phase": self._phase})

    def _look(self, phase: int, end: bool, told: Told) -> None:
        """Evaluate all tasks with weights as they are."""
        began, success = time.perf_counter(), []
        for task in range(len(self.envs)):
            episodes = self.plan.end_episodes if end else self.plan.episodes
            outcome, policy = self.looks.play(task, self.agent.player(task), episodes, told)
            success.append(outcome.success_rate)
            self.ledger["evaluation_steps"] += outcome.env_steps
            if self._stage is not None and end and task == self.task_of[phase]:
                self._stage.notes["features"] = policy.features()
        since = self.env_steps - self._starts[phase] if phase >= 0 else 0
        self.seen.append(Seen(self.env_steps, phase, since, end, tuple(success)))
        self.ledger["evaluation_seconds"] += time.perf_counter() - began

    # --- what is kept ---

    def _save(self, log: MetricsLog, watcher: Watcher) -> None:
        state = {
            "agent": self.agent.state_dict(),
            "methods": [method.state_dict() for method in (self._count, *self.agent.methods)],
            "trainer": self._trainer and self._trainer.state_dict(),
            "counters": [getattr(self, name) for name in COUNTERS],
            "noticed": self.noticed,
            "stage": self._stage and self._stage.notes,
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
        for method, saved in zip((self._count, *self.agent.methods), state["methods"], strict=True):
            method.load_state_dict(saved)
        self.seen = [Seen(**{**one, "success": tuple(map(float, one["success"]))}) for one in state["seen"]]
        self.notes, self.ledger = list(state["notes"]), {name: float(state["ledger"][name]) for name in LEDGER}
        if state["trainer"] is not None:
            self._stage = self._new_stage(dict(state["stage"]))
            self._trainer = self._new_trainer(self._stage)
            self._trainer.load_state_dict(state["trainer"])
        size, waiting = whole(state["log"]["size"], "size", 0), [str(line) for line in state["log"]["waiting"]]
        self._logged = {"size": size, "waiting": waiting}

    def _finish(self) -> dict[str, Any]:
        found = figures(self.seen, self.task_of, [phase.env_steps for phase in self.phases])
        changes = [one.env_steps for one in self.seen if one.end and 0 <= one.phase < len(self.phases) - 1]
        precision, recall = found_changes(self.noticed, changes, self.env_steps)
        ledger = {
            "env_steps": self.env_steps, **self.ledger, "updates": self._count.updates, "weights": self.agent.weights,
            "kept_bytes": self.agent.kept_bytes,
        }  # fmt: skip
        life: dict[str, Any] = {
            "plan": self.plan.to_json(),
            "tasks": [{"name": envs.task.name, "hash": envs.task.hash} for envs in self.envs],
            "phases": [{"task": task, "env_steps": phase.env_steps, "announced": phase.announced}
                       for task, phase in zip(self.task_of, self.phases, strict=True)],
            "stages": self.notes,
            "evaluations": [asdict(one) for one in self.seen],
            "matrix": matrix(self.seen).tolist(),
            "noticed": {"env_steps": self.noticed, "precision": precision, "recall": recall},
            "metrics": found,
            "ledger": ledger,
        }  # fmt: skip
        write_text(self.folder / LIFELONG, json.dumps(life, indent=1, allow_nan=False) + "\n")
        told = {name: found[name] for name in ("average_performance", "forgetting") if found[name] is not None}
        result = {**told, **ledger, "seed": self.plan.seed, "run": str(self.folder)}
        self._files.finish(result)
        return result

"""A run: everything from a plan to what was learned, in one folder that is enough to go on with it.

run.json        the plan, the tasks as they were, versions
skills/ start/  the skills that may be chosen, and what it began from, as they were
metrics.jsonl   a row of figures now and then, and TensorBoard files of the same
checkpoint/     what it takes to go on exactly, while it is not over
agent/          the policy that was learned
result.json     its success on unseen episodes: the run is over; curve.png
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from h_dqn.config import change, to_json
from h_dqn.device import pick_device
from h_dqn.evaluation import Evaluation
from h_dqn.experiment.agent import AGENT, last_above, measured
from h_dqn.experiment.beside import beside
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.inputs import Inputs, differences, gather_inputs, kept_inputs
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.plots import learning_curve
from h_dqn.experiment.run_folder import MISFITS, RunFolder, keep
from h_dqn.experiment.watch import Moment, Stop, Stopped, Watcher, stop_on_signal
from h_dqn.experiment.worlds import TaskEnvs, shape_of
from h_dqn.metrics import MetricsLog
from h_dqn.networks import QNetwork
from h_dqn.options import Option
from h_dqn.reading import Unreadable
from h_dqn.settings import check
from h_dqn.state import whole
from h_dqn.train import Trainer
from skills_library.library import Library
from skills_library.policy import PolicyHead, SavedPolicy, Termination, save_policy

LOG_EVERY = 5  # rounds between two rows of metrics


class Run:
    """One training run: learns, logs, and keeps what was learned. Whatever ends it, :meth:`resume` goes on.

    Args:
        plan: what is learned, and how.
        folder: where all of it is kept.
        inputs: what it is made of, if that was read already.
    Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` for a plan that cannot be.
    """

    def __init__(self, plan: Plan, folder: Path, inputs: Inputs | None = None) -> None:
        check(plan)
        self.inputs = inputs or gather_inputs(plan)
        shape, phases = shape_of(plan.config), self.inputs.phases
        envs = [TaskEnvs(phase.task, shape, plan.place) for phase in phases]
        ends = list(accumulate(phase.env_steps for phase in phases))
        self.envs = envs[-1]  # of the last phase
        config = change(plan.config, env_steps=ends[-1], num_envs=self.envs.limit(plan.config.env.num_envs))
        self.plan, self.folder = replace(plan, config=config, library=str(Path(plan.library).absolute())), folder
        self.differences: list[str] = []  # what was another when the run began
        how, device = config.options, pick_device(config.device)
        bound = [skill.on(self.envs.actions, shape, device, how.option_steps, how.stop_at_goal) for skill in self.inputs.skills]
        self.options: list[Option] = [*self.envs.primitives(), *bound]
        later = list(zip(ends, envs[1:], strict=False))
        self.trainer = Trainer(envs[0], self.options, config, plan.seed, later)
        if (start := self.inputs.start) is not None:
            # What its outputs are worth holds for its own task alone; what its layers see is good for others too.
            same = start.trained_on == self.envs.task.name or self.inputs.start_outputs
            known = start.head.outputs if same else ()
            self.trainer.learner.warm_start([option.name for option in self.options], start.saved.network, known)
        self._files = RunFolder(folder)
        self._logged: dict[str, Any] | None = None  # how much of the metrics belongs to the checkpoint that it goes on from
        self._unlogged = 0  # rounds since the newest row of metrics
        self._finishing = False

    @classmethod
    def resume(cls, folder: Path, library: Path | None = None) -> Run:
        """A run that was stopped; :meth:`learn` goes on where its newest checkpoint is.

        Args:
            folder: of the run.
            library: where the skill is kept, if not where the run began to.
        """
        files = RunFolder(folder)
        entry = files.read()
        try:
            plan, inputs = Plan.from_json(entry["plan"]), kept_inputs(entry["inputs"], folder)
            run = cls(replace(plan, library=str(library)) if library else plan, folder, inputs)
        except MISFITS as error:
            raise files.misfit(error) from error
        run.differences = [*differences(inputs, plan), *entry["changed"]]
        return run

    def learn(self, watcher: Watcher | None = None) -> dict[str, Any]:
        """Run to the end, from the newest checkpoint on. Returns the figures of ``result.json``.

        A signal ends it after the round that runs, with a checkpoint; after an error the one before is what it goes on from.
        """
        watcher = watcher or Watcher()
        if not self._files.begun:
            if self.plan.kind == "skill":
                Library(Path(self.plan.library)).create()
            self._files.begin({"plan": self.plan.to_json(), "inputs": self.inputs.to_json()}, self.inputs.files())
        with self._files.at_work(self._load):
            if self._logged is not None:
                watcher.say(f"going on after {self.trainer.env_steps:,} steps")
            for line in self.differences:
                watcher.say(f"not as it was: {line}; the run goes on with its own")
            log = MetricsLog(self.folder, self._logged, self.trainer.env_steps)
            try:
                with stop_on_signal() as stop:
                    self.trainer.evaluated = stop.checking(watcher.evaluated)
                    self._learn(log, stop, watcher)
                    return self._finish(watcher)
            except BaseException as error:
                if isinstance(error, Stopped) and not error.at_once and not self._finishing:
                    watcher.say("\nstopping: saving what was learned ...")
                    if self._save(log, watcher):
                        save_policy(self.policy(), self.folder / AGENT)
                self._files.leave(error, self.trainer.env_steps, watcher)
                raise
            finally:
                log.close()

    def _load(self, state: Any) -> None:
        self.trainer.load_state_dict(state["trainer"])
        self._unlogged = whole(state["unlogged"], "unlogged", 0)
        size, waiting = whole(state["log"]["size"], "size", 0), [str(line) for line in state["log"]["waiting"]]
        self._logged = {"size": size, "waiting": waiting}

    def _learn(self, log: MetricsLog, stop: Stop, watcher: Watcher) -> None:
        trainer, total = self.trainer, self.plan.config.env_steps
        began, first, phase = time.perf_counter(), trainer.env_steps, trainer.phase
        what = f"{self.plan.kind} {self.envs.task.name}"
        for row in trainer.run():
            speed = (trainer.env_steps - first) / (time.perf_counter() - began)
            success = trainer.statistics.success if trainer.statistics.settled else None
            watcher.progress(Moment(what, trainer.env_steps, total, speed, success))
            self._unlogged += 1
            if self._unlogged >= LOG_EVERY or "validation_success" in row:  # as the last one has
                log.write({**row, **trainer.statistics.row()})
                self._unlogged = 0
            stop.check()
            if self._files.checkpoints.due or trainer.phase != phase:
                phase = trainer.phase
                self._save(log, watcher)
        self._save(log, watcher)

    def _save(self, log: MetricsLog, watcher: Watcher) -> bool:
        state = {"trainer": self.trainer.state_dict(), "log": log.state_dict(), "unlogged": self._unlogged}
        return self._files.save(state, self.trainer.env_steps, watcher)

    def _finish(self, watcher: Watcher) -> dict[str, Any]:
        """Evaluate what was learned, and keep it."""
        self._finishing = True
        self.trainer.use_best()
        watcher.say(f"evaluating on {self.plan.episodes} unseen episodes ...")
        outcome = self.trainer.evaluate(self.plan.episodes, self.plan.seed)
        if not outcome.success_rate:
            watcher.say(f"it reached the goal in none of {outcome.episodes} episodes{self._advice()}")
        library = Library(Path(self.plan.library)) if self.plan.kind == "skill" else None
        policy, did_better = self.policy(outcome), None
        if library is not None and library.exists:
            did_better = beside(library, policy.name, self.envs, outcome, self.plan.seed, self.trainer.evaluated)
        keep(policy, self.folder / AGENT, library, watcher, did_better)
        result = self._result(outcome)
        try:
            learning_curve({self.folder.name: self.folder}, self.folder / "curve.png")
        except Unreadable as error:
            watcher.say(f"no curve is drawn: {error}")
        self._files.finish(result)
        return result

    def _advice(self) -> str:
        if self.trainer.statistics.successes:
            return ", though in some while it learned; more --env-steps may help"
        return (
            f", nor in any of {self.trainer.statistics.episodes:,} while it learned: by chance the goal is not found. Try a task "
            "that is nearer to it, --from a skill, or train controller with --skills that get closer"
        )

    def _result(self, outcome: Evaluation) -> dict[str, Any]:
        steps_95, seconds_95 = self.trainer.reached_95 or (None, None)
        return {
            **measured(outcome, self.plan.seed),
            "mean_return": outcome.mean_return,
            "temperature": self.plan.config.learner.temperature,
            "seconds_to_95": seconds_95,
            "env_steps_to_95": steps_95,
            "env_steps": self.trainer.env_steps,
            "decisions": self.trainer.decisions,
            "seconds": self.trainer.seconds,
            "run": str(self.folder),
        }

    def policy(self, outcome: Evaluation | None = None) -> SavedPolicy:
        """What was learned, as it is kept."""
        plan, trainer, task, learned = self.plan, self.trainer, self.envs.task, self.trainer.learner.network
        config = plan.config
        if not isinstance(learned, QNetwork):
            raise UserError(f"{self.folder}: only learners of a Q-network can be kept, not {type(learned).__name__}")
        network, plays_by = learned.alone(), learned.plays_by()
        training = {
            "env_steps": trainer.env_steps,
            "decisions": trainer.decisions,
            "seconds": round(trainer.seconds, 1),
            "seed": plan.seed,
            "preset": plan.preset,
            "config": to_json(config),
            **({"plays_by": plays_by} if plays_by else {}),
        }
        card = {
            "task": {"name": task.name, "hash": task.hash, "world": plan.place.world, "text": "" if task.change else task.text},
            "measured": measured(outcome, plan.seed) if outcome is not None else {},
        }
        above = np.inf
        if plan.kind == "skill":
            above = last_above(task, config.learner.reward_scale, plays_by.get("discount", config.learner.discount))
        names = tuple(option.name for option in self.options)
        end = Termination(config.options.option_steps, above)
        head = PolicyHead(task.name, names, 0, end, config.learner.temperature, card)
        return SavedPolicy(task.name, network, (head,), config.options, {"training": training})

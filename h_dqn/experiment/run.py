"""A run: everything from a plan to what was learned, in one folder that is enough to go on with it.

run.json        the plan, the tasks as they were, versions
skills/ start/  the skills that may be chosen, and what it began from, as they were
metrics.jsonl   a row of figures now and then, and TensorBoard files of the same
checkpoint/     what it takes to go on exactly, while it is not over
agent/          the policy that was learned
result.json     its success on unseen episodes: the run is over; curve.png
"""

from __future__ import annotations

import datetime
import json
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from h_dqn.checkpoint import CheckpointError, Checkpoints, whole
from h_dqn.config import change, to_json
from h_dqn.device import pick_device
from h_dqn.evaluation import Evaluation
from h_dqn.experiment.agent import AGENT, measured
from h_dqn.experiment.errors import FOR_PEOPLE, UserError, out_of_memory
from h_dqn.experiment.inputs import Inputs, differences, gather_inputs, kept_inputs
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.plots import learning_curve
from h_dqn.experiment.versions import versions
from h_dqn.experiment.watch import Moment, Stop, Stopped, Watcher, stop_on_signal
from h_dqn.experiment.worlds import TaskEnvs, shape_of
from h_dqn.files import lock, sweep, write_folder, write_text
from h_dqn.metrics import MetricsLog
from h_dqn.networks import QNetwork
from h_dqn.options import Option
from h_dqn.settings import check
from h_dqn.train import Diverged, Trainer
from skills_library.library import Library
from skills_library.policy import PolicyHead, SavedPolicy, Termination, save_policy

LOG_EVERY = 5  # rounds between two rows of metrics
RUN, RESULT, CHECKPOINT = "run.json", "result.json", "checkpoint"  # in a run's folder


def new_folder(root: Path, name: str | None, default: str) -> Path:
    """The folder of a new run: the name that the user gave must be free; a default name gets a number where it is taken."""
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file; give a folder for --runs")
    if name is not None:
        if (root / name).exists():
            raise UserError(f"{root / name} exists already; give another --name, or remove that folder")
        return root / name
    folder, number = root / default, 2
    while folder.exists():
        folder, number = root / f"{default}-{number}", number + 1
    return folder


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
        self.envs = envs[-1]  # of the last phase
        config = change(plan.config, env_steps=phases[-1].end, num_envs=self.envs.limit(plan.config.env.num_envs))
        self.plan, self.folder = replace(plan, config=config, library=str(Path(plan.library).absolute())), folder
        self.differences: list[str] = []  # what was another when the run began
        how, device = config.options, pick_device(config.device)
        bound = [skill.on(self.envs.actions, shape, device, how.option_steps, how.stop_at_goal) for skill in self.inputs.skills]
        self.options: list[Option] = [*self.envs.primitives(), *bound]
        later = [(phase.end, make) for phase, make in zip(phases, envs[1:], strict=False)]
        self.trainer = Trainer(envs[0], self.options, config, plan.seed, later)
        if (start := self.inputs.start) is not None:
            # What its outputs are worth holds for its own task alone; what its layers see is good for others too.
            known = start.head.outputs if start.trained_on == self.envs.task.name else ()
            self.trainer.learner.warm_start([option.name for option in self.options], start.saved.network, known)
        self.checkpoints = Checkpoints(folder / CHECKPOINT)
        self._unlogged = 0  # rounds since the newest row of metrics
        self._finishing = False

    @classmethod
    def resume(cls, folder: Path, library: Path | None = None) -> Run:
        """A run that was stopped; :meth:`learn` goes on where its newest checkpoint is.

        Args:
            folder: of the run.
            library: where the skill is kept, if not where the run began to.
        """
        try:
            entry = json.loads((folder / RUN).read_text(encoding="utf-8"))
            plan = Plan.from_json(entry["plan"])
            inputs = kept_inputs(entry["inputs"], folder)
        except FOR_PEOPLE as error:
            raise UserError(f"{folder}/{RUN}: {error}") from error
        except FileNotFoundError as error:
            raise UserError(f"{folder}: no run is kept here (there is no {error.filename})") from error
        except (OSError, LookupError, ValueError, TypeError, AttributeError, StopIteration, RecursionError) as error:
            raise UserError(f"{folder}/{RUN}: not what this version of h-dqn writes ({error!r}); train it anew") from error
        if (folder / RESULT).exists():
            raise UserError(f"{folder}: this run is over; its result is in {folder / RESULT}")
        run = cls(replace(plan, library=str(library)) if library else plan, folder, inputs)
        run.differences = differences(inputs, plan) + [
            f"{name} is {now}, not {entry['versions'].get(name)}"
            for name, now in versions().items()
            if entry["versions"].get(name) != now
        ]
        return run

    def learn(self, watcher: Watcher | None = None) -> dict[str, Any]:
        """Run to the end, from the newest checkpoint on. Returns the figures of ``result.json``.

        A signal ends it after the round that runs, with a checkpoint; after an error the one before is what it goes on from.
        """
        watcher = watcher or Watcher()
        if not (self.folder / RUN).exists():
            self._begin()
        with lock(self.folder):
            if (self.folder / RESULT).exists():
                raise UserError(f"{self.folder}: this run is over; its result is in {self.folder / RESULT}")
            sweep(self.folder)
            log = self._restore(watcher)
            try:
                with stop_on_signal(lambda: self.trainer.validating) as stop:
                    self._learn(log, stop, watcher)
                return self._finish(watcher)
            except BaseException as error:
                self._leave(error, log, watcher)
                raise
            finally:
                log.close()

    def _begin(self) -> None:
        """Make the folder, with all that is needed to go on from the first step."""
        entry = {
            "plan": self.plan.to_json(),
            "inputs": self.inputs.to_json(),
            "versions": versions(),
            "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        if self.plan.kind == "skill":
            Library(Path(self.plan.library)).create()
        text = json.dumps(entry, indent=2, allow_nan=False) + "\n"
        write_folder(self.folder, {RUN: text.encode(), **self.inputs.files()})

    def _restore(self, watcher: Watcher) -> MetricsLog:
        """Go back to the newest checkpoint, if there is one."""
        state = self.checkpoints.load()
        if state is None:
            return MetricsLog(self.folder)
        try:
            self.trainer.load_state_dict(state["trainer"])
            log = MetricsLog(self.folder, state["log"], self.trainer.env_steps)
            self._unlogged = whole(state["unlogged"], "unlogged", 0)
        except FOR_PEOPLE:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:  # a part is not what it is now
            if out_of_memory(error):
                raise
            raise CheckpointError(f"{self.folder / CHECKPOINT}: does not fit this run ({error}); train it anew") from error
        watcher.say(f"going on after {self.trainer.env_steps:,} steps")
        for line in self.differences:
            watcher.say(f"  not as it was: {line}; the run goes on with its own")
        return log

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
            if self.checkpoints.due or trainer.phase != phase:
                phase = trainer.phase
                self._save(log, watcher)
        self._save(log, watcher)

    def _save(self, log: MetricsLog, watcher: Watcher) -> bool:
        """Write a checkpoint. A full disk ends nothing."""
        try:
            state = {"trainer": self.trainer.state_dict(), "log": log.state_dict(), "unlogged": self._unlogged}
            self.checkpoints.save(state, self.trainer.env_steps)
        except OSError as error:
            watcher.say(f"{self.folder / CHECKPOINT}: cannot be written ({error.strerror}); the run goes on, without a new one")
            return False
        return True

    def _leave(self, error: BaseException, log: MetricsLog, watcher: Watcher) -> None:
        """The run ends before its end: keep what can be kept, and say how it goes on."""
        if isinstance(error, Diverged):
            return  # nor would it go on better
        steps = self.trainer.env_steps
        if isinstance(error, Stopped) and not self.trainer.midway and not self._finishing:
            watcher.say("\nstopping: saving what was learned ...")
            if self._save(log, watcher):
                save_policy(self.policy(), self.folder / AGENT)
        watcher.say(f"stopped after {steps:,} steps. Go on with: h-dqn resume {self.folder}")

    def _finish(self, watcher: Watcher) -> dict[str, Any]:
        """Evaluate what was learned, and keep it."""
        self._finishing = True
        self.trainer.use_best()
        watcher.say(f"evaluating on {self.plan.episodes} unseen episodes ...")
        outcome = self.trainer.evaluate(self.plan.episodes, self.plan.seed)
        if not outcome.success_rate:
            watcher.say(f"it reached the goal in none of {outcome.episodes} episodes{self._advice()}")
        self._keep(self.policy(outcome), watcher)
        result = self._result(outcome)
        learning_curve({self.folder.name: self.folder}, self.folder / "curve.png")
        write_text(self.folder / RESULT, json.dumps(result, indent=2) + "\n")
        shutil.rmtree(self.folder / CHECKPOINT, ignore_errors=True)
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
        plan, trainer, task, network = self.plan, self.trainer, self.envs.task, self.trainer.learner.network
        config = plan.config
        if not isinstance(network, QNetwork):
            raise UserError(f"{self.folder}: only learners of a Q-network can be kept, not {type(network).__name__}")
        training = {
            "env_steps": trainer.env_steps,
            "decisions": trainer.decisions,
            "seconds": round(trainer.seconds, 1),
            "seed": plan.seed,
            "preset": plan.preset,
            "config": to_json(config),
        }
        card = {
            "task": {"name": task.name, "hash": task.hash, "world": plan.place.world, "text": task.text},
            "measured": measured(outcome, plan.seed) if outcome is not None else {},
        }
        above = np.inf
        if plan.kind == "skill":
            # What an action is worth lies, if it is the last, above this, else below: the middle between one and two steps to the
            # goal.
            learner = config.learner
            last, other = task.reward_success, task.reward_step + learner.discount * task.reward_success
            above = learner.reward_scale * (last + other) / 2
        names = tuple(option.name for option in self.options)
        end = Termination(config.options.option_steps, above)
        head = PolicyHead(task.name, names, 0, end, config.learner.temperature, card)
        return SavedPolicy(task.name, network, (head,), config.options, {"training": training})

    def _keep(self, policy: SavedPolicy, watcher: Watcher) -> None:
        """Save the policy in the run and, if it is a skill, in the library. A full disk must not lose it."""
        library = Library(Path(self.plan.library))
        try:
            save_policy(policy, self.folder / AGENT)
            if self.plan.kind == "skill" and not library.exists:  # a run of somebody else's may name any folder
                watcher.say(f"{library.folder} is no library, so the skill stays in {self.folder / AGENT}")
            elif self.plan.kind == "skill":
                kept = library.add(policy)
                if kept.current < (newest := len(kept.ids)):
                    watcher.say(f"kept as version {newest} of '{policy.name}'; version {kept.current} did better and stays "
                                f"current. To use the new one: h-dqn skills use {policy.name} {newest}")  # fmt: skip
        except Exception as error:
            rescue = Path(tempfile.mkdtemp(prefix="h-dqn-")) / self.envs.task.name
            save_policy(policy, rescue)
            raise UserError(f"{self.folder}: cannot be written ({error}); what was learned was saved to {rescue}") from error

"""A run: everything from a plan to what was learned, in one folder.

run.json        the plan
metrics.jsonl   a row of figures now and then, and TensorBoard files of the same
agent/          the policy that was learned; skills/ those that it uses
result.json     its success on unseen episodes; curve.png
checkpoint/     only of a run that was interrupted: what it takes to go on exactly
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

import h_dqn
from envs.errors import WorldError
from envs.registry import WORLDS
from h_dqn.checkpoint import load_state, save_state, write_text
from h_dqn.config import Config, change, from_json, to_json
from h_dqn.device import pick_device
from h_dqn.evaluation import Evaluation
from h_dqn.experiment.agent import AGENT, SKILLS, load_agent, measured
from h_dqn.experiment.errors import FOR_PEOPLE, UserError, out_of_memory
from h_dqn.experiment.plots import learning_curve
from h_dqn.experiment.watch import Moment, Watcher, stop_on_signal
from h_dqn.experiment.worlds import VOXEL, Place, TaskEnvs, phases, shape_of
from h_dqn.metrics import MetricsLog
from h_dqn.networks import QNetwork
from h_dqn.options import Option
from h_dqn.train import Trainer
from skills_library.library import Library
from skills_library.policy import PolicyHead, SavedPolicy, Termination, save_policy

LOG_EVERY = 5  # rounds between two rows of metrics


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run; written to ``run.json`` and read back to go on with it."""

    kind: str
    """skill, flat or controller"""
    task: str
    """name or path of a task or sequence"""
    config: Config
    preset: str = "fast"
    """what the settings began from"""
    seed: int = 1
    episodes: int = 500
    """unseen episodes of the evaluation at the end"""
    skills: tuple[str, ...] = ()
    """skills of the library that may be chosen"""
    start: str | None = None
    """a skill or a run's folder that it begins from"""
    library: str = "skills"
    place: Place = VOXEL

    def to_json(self) -> dict[str, Any]:
        options = self.place.options and asdict(self.place.options)
        return {**asdict(self), "config": to_json(self.config), "place": {"world": self.place.world, "options": options}}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Plan:
        """What :meth:`to_json` gave. Raises ValueError, KeyError or TypeError for anything else."""
        place, known = entry["place"], {one.name for one in fields(cls)}
        if set(entry) != known:
            raise KeyError(min(set(entry) ^ known))
        given = place["options"]
        options = None if given is None else WORLDS[place["world"]].options(**_tuples(given))
        return cls(**{**_tuples(entry), "config": from_json(entry["config"]), "place": Place(place["world"], options)})


def _tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}


def new_folder(root: Path, name: str | None, default: str) -> Path:
    """The folder of a new run: the name that the user gave must be free; a default name gets a number where it is taken."""
    if name is not None:
        if (root / name).exists():
            raise UserError(f"{root / name} exists already; give another --name, or remove that folder")
        return root / name
    folder, number = root / default, 2
    while folder.exists():
        folder, number = root / f"{default}-{number}", number + 1
    return folder


class Run:
    """One training run: learns, logs, and keeps what was learned, also when it is interrupted.

    Args:
        plan: what is learned, and how.
        folder: where all of it is kept.
    Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` for a plan that cannot be.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        plan.config.check()
        shape, library = shape_of(plan.config), Library(Path(plan.library))
        ends, envs = zip(*phases(plan.task, plan.config.env_steps, shape, plan.place), strict=True)
        self.envs: TaskEnvs = envs[-1]  # of the last phase
        config = change(plan.config, env_steps=ends[-1], num_envs=self.envs.limit(plan.config.env.num_envs))
        self.plan, self.folder = replace(plan, config=config), folder
        skills = library.skills(plan.skills)
        self.policies = {skill.policy.name: skill.policy for skill in skills}.values()  # heads of one network share it
        how, device = config.options, pick_device(config.device)
        bound = [skill.on(self.envs.actions, shape, device, how.option_steps, how.stop_at_goal) for skill in skills]
        self.options: list[Option] = [*self.envs.primitives(), *bound]
        later = list(zip(ends, envs[1:], strict=False))
        self.trainer = Trainer(envs[0], self.options, config, plan.seed, later)
        if plan.start is not None:
            agent = load_agent(plan.start, library)
            # What its outputs are worth holds for its own task alone; what its layers see is good for others too.
            known = agent.head.outputs if agent.trained_on == self.envs.task.name else ()
            self.trainer.learner.warm_start([option.name for option in self.options], agent.saved.network, known)

    @classmethod
    def resume(cls, folder: Path) -> Run:
        """A run that was interrupted, as it was when it stopped."""
        if not (folder / "checkpoint").is_dir():
            raise UserError(f"{folder}: no checkpoint here (only an interrupted run leaves one)")
        state = load_state(folder / "checkpoint")
        try:
            plan = Plan.from_json(json.loads((folder / "run.json").read_text())["plan"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder}/run.json: not what this version of h-dqn writes ({error}); train it anew") from error
        try:
            run = cls(plan, folder)
            run.trainer.load_state_dict(state)
        except FOR_PEOPLE:
            raise
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:  # a setting or a part is not what it is now
            if out_of_memory(error):
                raise
            raise UserError(f"{folder}/checkpoint: another version of h-dqn wrote it ({error}); train it anew") from error
        return run

    def learn(self, watcher: Watcher | None = None) -> dict[str, Any]:
        """Run to the end. Returns the figures of ``result.json``.

        Ctrl-C and a world that fails save a checkpoint and are raised again.
        """
        watcher = watcher or Watcher()
        self.folder.mkdir(parents=True, exist_ok=True)
        plan = {"plan": self.plan.to_json(), "version": h_dqn.__version__}
        write_text(self.folder / "run.json", json.dumps(plan, indent=2) + "\n")
        for policy in self.policies:
            save_policy(policy, self.folder / SKILLS / policy.name)
        log = MetricsLog(self.folder)
        try:
            with stop_on_signal() as stop:
                self.trainer.evaluated = self._during_evaluation(stop, watcher)
                self._learn(log, stop, watcher)
                self.trainer.use_best()
                watcher.say(f"evaluating on {self.plan.episodes} unseen episodes ...")
                outcome = self.trainer.evaluate(self.plan.episodes, self.plan.seed)
        except (KeyboardInterrupt, WorldError):
            watcher.say("\nstopping: saving what was learned ...")
            save_state(self.folder / "checkpoint", self.trainer.state_dict())
            save_policy(self.policy(), self.folder / AGENT)
            watcher.say(f"stopped after {self.trainer.env_steps:,} steps. Go on with: h-dqn resume {self.folder}")
            raise
        finally:
            log.close()
        if not outcome.success_rate:
            watcher.say(f"it reached the goal in none of {outcome.episodes} episodes{self._advice()}")
        self._keep(self.policy(outcome))
        result = self._result(outcome)
        write_text(self.folder / "result.json", json.dumps(result, indent=2) + "\n")
        learning_curve({self.folder.name: self.folder}, self.folder / "curve.png")
        shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)
        return result

    @staticmethod
    def _during_evaluation(stop: threading.Event, watcher: Watcher) -> Callable[[int], None]:
        """An evaluation in a slow world is long: it ends as soon as ``stop`` is set, and is begun anew when the run goes on."""

        def evaluated(episodes: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            watcher.evaluated(episodes)

        return evaluated

    def _advice(self) -> str:
        if self.trainer.statistics.successes:
            return ", though in some while it learned; more --env-steps may help"
        return (
            f", nor in any of {self.trainer.statistics.episodes:,} while it learned: by chance the goal is not found. Try a task "
            "that is nearer to it, --from a skill, or train controller with --skills that get closer"
        )

    def _learn(self, log: MetricsLog, stop: threading.Event, watcher: Watcher) -> None:
        trainer, total = self.trainer, self.plan.config.env_steps
        began, first, pending = time.perf_counter(), trainer.env_steps, 0
        what = f"{self.plan.kind} {self.envs.task.name}"
        for row in trainer.run():
            speed = (trainer.env_steps - first) / (time.perf_counter() - began)
            success = trainer.statistics.success if trainer.statistics.settled else None
            watcher.progress(Moment(what, trainer.env_steps, total, speed, success))
            pending += 1
            if pending >= LOG_EVERY or "validation_success" in row:  # as the last one has
                log.write({**row, **trainer.statistics.row()})
                pending = 0
            if stop.is_set():
                raise KeyboardInterrupt

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

    def _keep(self, policy: SavedPolicy) -> None:
        """Save the policy in the run and, if it is a skill, in the library. A full disk must not lose it."""
        try:
            save_policy(policy, self.folder / AGENT)
            if self.plan.kind == "skill":
                Library(Path(self.plan.library)).add(policy)
        except Exception as error:
            rescue = Path(tempfile.mkdtemp(prefix="h-dqn-")) / self.envs.task.name
            save_policy(policy, rescue)
            raise UserError(f"{self.folder}: cannot be written ({error}); what was learned was saved to {rescue}") from error

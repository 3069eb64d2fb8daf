"""A run's folder: settings, metrics, TensorBoard files, learning curve, and what was learned."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import h_dqn
from envs.minerl.instance import MineRLError
from h_dqn.checkpoint import load_state, save_state, write_text
from h_dqn.cli.errors import FOR_PEOPLE, UserError, out_of_memory
from h_dqn.cli.plots import learning_curve
from h_dqn.cli.policy import AGENT, SKILLS, find_policy
from h_dqn.cli.worlds import Minecrafts, TaskWorlds, World, phases, shape_of
from h_dqn.config import Config
from h_dqn.evaluate import Evaluation
from h_dqn.metrics import MetricsLog
from h_dqn.options import Option, primitives
from h_dqn.train import Trainer
from skills_library.library import Library, save_skill
from skills_library.skill import DeepSkill

say = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run; written to ``run.json`` and read back to go on with it."""

    kind: str  # skill, flat or controller
    task: str
    world: World
    preset: str
    seed: int
    episodes: int
    skills: tuple[str, ...]
    library: str
    config: Config
    start: str | None = None  # a skill or a run that it begins from
    addresses: tuple[str, ...] = ()  # of the Minecrafts
    instances: int = 1  # Minecrafts that are started, where there are no addresses


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


@contextmanager
def interrupted() -> Iterator[threading.Event]:
    """Within this, Ctrl-C (or SIGTERM) sets the event, so that work can stop where its state is whole; a second one ends it."""
    stop = threading.Event()

    def handle(number: int, _: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Run:
    """One training run: learns with a progress bar, logs, and keeps what was learned, also when it is interrupted."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        minerl = Minecrafts(minerl_address=plan.addresses).settings if plan.world == "minerl" else None
        shape, steps = shape_of(plan.config), plan.config.env_steps
        ends, worlds = zip(*phases(plan.task, steps, plan.world, shape, minerl, plan.instances), strict=True)
        self.worlds: TaskWorlds = worlds[-1]
        plan = replace(plan, config=replace(plan.config, env_steps=ends[-1], worlds=self.worlds.most(plan.config.worlds)))
        self.plan, self.folder = plan, folder
        library = Library(Path(plan.library))
        self.networks = [library.load(folder) for folder in dict.fromkeys(name.partition("/")[0] for name in plan.skills)]
        config = plan.config
        self.skills = [
            skill.on(self.worlds.actions, self.worlds.shape, config.option_steps, config.stop_at_goal)
            for skill in library.skills(plan.skills)
        ]
        self.options: list[Option] = [*primitives(self.worlds.actions), *self.skills]
        later = list(zip(ends, worlds[1:], strict=False))
        self.trainer = Trainer(worlds[0], self.options, plan.config, plan.seed, later)
        if plan.start is not None:
            policy = find_policy(plan.start, library)
            # What its outputs are worth holds for its own task alone; what its layers see is good for others too.
            known = policy.source.actions if policy.trained_on == self.worlds.task.name else ()
            self.trainer.agent.start_from(policy.source.network, [option.name for option in self.options], known)

    @classmethod
    def resume(cls, folder: Path) -> Run:
        """A run that was interrupted, as it was when it stopped."""
        if not (folder / "checkpoint").is_dir():
            raise UserError(f"{folder}: no checkpoint here (only an interrupted run leaves one)")
        state = load_state(folder / "checkpoint")
        try:
            saved = json.loads((folder / "run.json").read_text())["plan"]
            tuples = {name: tuple(saved[name]) for name in ("skills", "addresses") if name in saved}
            plan = Plan(**{**saved, "config": Config(**saved["config"]), **tuples})
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

    def learn(self) -> dict[str, Any]:
        """Run to the end. Returns the figures of ``result.json``. Ctrl-C saves a checkpoint and raises KeyboardInterrupt."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plan = {**asdict(self.plan), "config": asdict(self.plan.config)}
        write_text(self.folder / "run.json", json.dumps({"plan": plan, "version": h_dqn.__version__}, indent=2) + "\n")
        for network in self.networks:
            save_skill(network, self.folder / SKILLS / network.name)
        log = MetricsLog(self.folder)
        try:
            with interrupted() as stop:
                self._learn(log, stop)
        except (KeyboardInterrupt, MineRLError):
            say.print("\nstopping: saving what was learned ...")
            save_state(self.folder / "checkpoint", self.trainer.state_dict())
            self._save_agent(self.folder / AGENT, None)
            say.print(f"stopped after {self.trainer.env_steps:,} steps. Go on with: h-dqn resume {self.folder}")
            raise
        finally:
            log.close()
        trainer = self.trainer
        trainer.use_best()
        say.print(f"evaluating on {self.plan.episodes} unseen episodes ...")
        outcome = trainer.evaluate(self.plan.episodes, self.plan.seed)
        steps_95, seconds_95 = trainer.reached_95 or (None, None)
        result = {
            "success_rate": outcome.success_rate,
            "ci95": list(outcome.ci95),
            "episodes": outcome.episodes,
            "mean_return": outcome.mean_return,
            "seconds_to_95": seconds_95,
            "env_steps_to_95": steps_95,
            "env_steps": trainer.env_steps,
            "decisions": trainer.agent.decisions,
            "seconds": trainer.seconds,
            "seed": self.plan.seed,
            "run": str(self.folder),
        }
        self._keep(outcome)
        write_text(self.folder / "result.json", json.dumps(result, indent=2) + "\n")
        learning_curve({self.folder.name: self.folder}, self.folder / "curve.png")
        shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)
        return result

    def _learn(self, log: MetricsLog, stop: threading.Event) -> None:
        trainer, total = self.trainer, self.plan.config.env_steps
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps  {task.fields[speed]:,.0f}/s  success {task.fields[success]:.0%}  left"),
            TimeRemainingColumn(),
            console=say,
            disable=not say.is_terminal,
        )
        told = began = time.perf_counter()
        first = trainer.env_steps
        with bar:
            name = f"{self.plan.kind} {self.worlds.task.name}"
            line = bar.add_task(name, total=total, completed=first, speed=0.0, success=0.0)
            pending = 0
            for row in trainer.run():
                now = time.perf_counter()
                speed = (trainer.env_steps - first) / (now - began)
                bar.update(line, completed=min(total, trainer.env_steps), speed=speed, success=trainer.tally.success)
                pending += 1
                if pending >= 5 or "validation_success" in row:  # as the last one has
                    log.write({**row, **trainer.tally.row()})
                    pending = 0
                if stop.is_set():
                    raise KeyboardInterrupt
                if not say.is_terminal and now - told > 10:
                    told = now
                    print(f"{name}: {trainer.env_steps:,} of {total:,} steps, {speed:,.0f}/s, success "
                          f"{trainer.tally.success:.0%}", file=sys.stderr, flush=True)  # fmt: skip

    def _agent(self, outcome: Evaluation | None) -> DeepSkill:
        plan, measured = self.plan, {}
        if outcome is not None:
            measured = {
                "success_rate": outcome.success_rate,
                "ci95": list(outcome.ci95),
                "episodes": outcome.episodes,
                "seed": plan.seed,
            }
        task = self.worlds.task
        card = {
            "task": {"name": task.name, "hash": task.hash, "world": plan.world},
            "measured": measured,
            "training": {
                "env_steps": self.trainer.env_steps,
                "decisions": self.trainer.agent.decisions,
                "seconds": round(self.trainer.seconds, 1),
                "seed": plan.seed,
                "preset": plan.preset,
                "config": asdict(plan.config),
            },
        }
        names = tuple(option.name for option in self.options)
        # What an action is worth lies, if it is the last, above this, else below: the middle between one and two steps to the goal.
        last, other = task.reward_success, task.reward_step + plan.config.discount * task.reward_success
        above = plan.config.reward_scale * (last + other) / 2 if plan.kind == "skill" else np.inf
        steps, temperature = plan.config.option_steps, plan.config.temperature
        return DeepSkill(task.name, self.trainer.agent.network, names, steps, above, card=card, temperature=temperature)

    def _save_agent(self, folder: Path, outcome: Evaluation | None) -> None:
        save_skill(self._agent(outcome), folder)

    def _keep(self, outcome: Evaluation) -> None:
        """Save the agent in the run and, if it is a skill, in the library. A full disk must not lose it."""
        try:
            self._save_agent(self.folder / AGENT, outcome)
            if self.plan.kind == "skill":
                Library(Path(self.plan.library)).add(self._agent(outcome))
        except Exception as error:
            rescue = Path(tempfile.mkdtemp(prefix="h-dqn-")) / self.worlds.task.name
            self._save_agent(rescue, outcome)
            raise UserError(f"{self.folder}: cannot be written ({error}); what was learned was saved to {rescue}") from error

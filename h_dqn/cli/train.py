"""``h-dqn train`` and ``h-dqn resume``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from envs.sequence import is_sequence
from h_dqn.cli.flags import JsonFlags, LibraryFlags, Name, WorldFlags
from h_dqn.cli.output import ProgressBar, emit, hint
from h_dqn.config import Config
from h_dqn.experiment.run import Plan, Run
from h_dqn.experiment.training import masked, start_run


@dataclass
class Train(JsonFlags, LibraryFlags, WorldFlags):
    task: Name
    """a task's name (see: h-dqn tasks list) or the path of a task file; also a sequence of tasks, which says its own steps"""
    preset: str = "fast"
    """settings to start from: fast, long, paper, small, smoke, smoke_replay; single ones can be changed by the flags below"""
    learner: str | None = None
    """which learner, if not the preset's: q_lambda or dqn; each has its own flags below"""
    seed: int = 1
    """decides everything random"""
    episodes: int = 500
    """unseen episodes of the evaluation at the end"""
    start: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """a skill or a run's folder to begin from: its layers, and its outputs for the options that both have; the rest is new"""
    name: str | None = None
    """folder of the run below --runs; must not exist"""
    runs: Path = Path("runs")
    """where runs are kept"""

    kind: ClassVar[str] = ""

    def run(self) -> None:
        config: Config = self.config  # type: ignore[attr-defined]
        skills = tuple(getattr(self, "skills", ()))
        plan = Plan(
            self.kind, self.task, config, self.preset, self.seed, self.episodes, skills, self.start, str(self.library), self.place
        )
        finish(start_run(plan, self.runs, self.name), self.json)


def finish(run: Run, as_json: bool) -> None:
    """Let a run learn to its end; print its result and what to do next."""
    for line in masked(run):
        hint(line)
    with ProgressBar.shown() as bar:
        result = run.learn(bar)
    emit(result, as_json)
    what = run.envs.task.name if run.plan.kind == "skill" else str(run.folder)
    task = run.envs.task.name if is_sequence(run.plan.task) else run.plan.task  # the last of a sequence's, as it is unchanged
    hint(f"evaluate it with: h-dqn evaluate {what} --task {task} --video {run.folder}/episode.mp4")


@dataclass
class TrainSkill(Train):
    """Train a deep skill network on one task and keep it in the library.

    Example: h-dqn train skill navigation1 --seed 1
    """

    kind: ClassVar[str] = "skill"


@dataclass
class TrainFlat(Train):
    """Train the baseline: the same agent on the same task, with primitive actions only.

    Example: h-dqn train flat two_rooms
    """

    kind: ClassVar[str] = "flat"


@dataclass
class TrainController(Train):
    """Train the H-DRLN controller, which chooses among primitive actions and skills.

    Example: h-dqn train controller two_rooms --skills navigation1
    """

    skills: tuple[str, ...] = ()
    """skills of the library that it may choose"""

    kind: ClassVar[str] = "controller"


@dataclass
class Resume(JsonFlags):
    """Go on with a run that was interrupted, exactly where it stopped.

    Example: h-dqn resume runs/skill-navigation1-s1
    """

    folder: tyro.conf.Positional[Path]
    """the run's folder"""

    def run(self) -> None:
        finish(Run.resume(self.folder), self.json)

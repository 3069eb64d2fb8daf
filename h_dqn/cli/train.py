"""``h-dqn train`` and ``h-dqn resume``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from envs.sequence import is_sequence
from h_dqn.cli.flags import Folder, JsonFlags, LibraryFlags, Names, OptionalName, Task, library_words, optional
from h_dqn.cli.output import ProgressBar, emit, hint
from h_dqn.cli.presets import Preset
from h_dqn.cli.world import WorldFlags, world_words
from h_dqn.config import Config
from h_dqn.experiment.place import Place
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.run import Run
from h_dqn.experiment.shell import command, path_word
from h_dqn.experiment.training import masked, start_run


@dataclass
class Train(JsonFlags, LibraryFlags, WorldFlags):
    task: Task
    """a task's name (see: h-dqn tasks list) or the path of a task file; also a sequence of tasks, which says its own steps"""
    preset: Preset = "fast"
    seed: int = 1
    """decides everything random"""
    episodes: int = 500
    """unseen episodes of the evaluation at the end"""
    name: OptionalName = None
    """folder of the run below --runs; must not exist"""
    runs: Folder = Path("runs")
    """where runs are kept"""
    start: Annotated[str | None, optional("SKILL|FOLDER", name="from")] = None
    """a skill or a run's folder to begin from: its layers, and its outputs for the options that both have; the rest is new"""
    learner: Annotated[str | None, optional("NAME")] = None
    """which learner, if not the preset's: q_lambda or dqn; each has its own flags below"""
    ray: Annotated[str | None, optional("ADDRESS")] = None
    """for slow worlds: step the environments in actors of a Ray cluster (local, auto or host:port; needs the extra `ray`)"""
    ray_actors: int = Place.ray_actors
    """with --ray: how many actors share the environments"""

    kind: ClassVar[str] = ""

    def run(self) -> None:
        config: Config = self.config  # type: ignore[attr-defined]
        skills = tuple(getattr(self, "skills", ()))
        place = replace(self.place, ray=self.ray, ray_actors=self.ray_actors)
        plan = Plan(
            self.kind, self.task, config, self.preset, self.seed, self.episodes, skills, self.start, str(self.library), place
        )
        finish(start_run(plan, self.runs, self.name), self.json)


def finish(run: Run, as_json: bool) -> None:
    """Let a run learn to its end; print its result and what to do next."""
    for line in masked(run):
        hint(line)
    with ProgressBar.shown() as bar:
        result = run.learn(bar)
    emit(result, as_json)
    plan, name = run.plan, run.envs.task.name
    what = [name, *library_words(plan.library)] if plan.kind == "skill" and not name.startswith("-") else [path_word(run.folder)]
    task = name if is_sequence(plan.task) else path_word(plan.task)  # the last of a sequence's, as it is unchanged
    video = path_word(run.folder / "episode.mp4")
    hint(f"evaluate it with: {command('evaluate', *what, '--task', task, *world_words(plan.place), '--video', video)}")


@dataclass
class TrainSkill(Train):
    """Train a skill on one task and keep it in the library.

    Example: h-dqn train skill navigation1 --seed 1
    """

    kind: ClassVar[str] = "skill"


@dataclass
class TrainFlat(Train):
    """Train the baseline: the same agent, with primitive actions only.

    Example: h-dqn train flat two_rooms
    """

    kind: ClassVar[str] = "flat"


@dataclass
class TrainController(Train):
    """Train the controller, which chooses among primitive actions and skills.

    Example: h-dqn train controller two_rooms --skills navigation1
    """

    skills: Names = ()
    """skills of the library that it may choose"""

    kind: ClassVar[str] = "controller"

"""``h-dqn runs`` and ``h-dqn resume``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from h_dqn.cli.add import finish_addition
from h_dqn.cli.demo import show_demo
from h_dqn.cli.distill import show_distilled
from h_dqn.cli.flags import Folder, JsonFlags, argument, optional
from h_dqn.cli.lifelong import show_life
from h_dqn.cli.output import ProgressBar, emit, emit_json, show
from h_dqn.cli.terminal import visible
from h_dqn.cli.train import finish
from h_dqn.cli.transfer import show_transfer
from h_dqn.experiment.add import Addition
from h_dqn.experiment.demo import Demo
from h_dqn.experiment.lifelong import Lifelong
from h_dqn.experiment.run import Run
from h_dqn.experiment.runs import KnownRun, known_run, known_runs, resume
from h_dqn.experiment.shell import command, path_word
from h_dqn.experiment.stages import Staged
from h_dqn.experiment.transfer import Transfer

RunFolderArgument = Annotated[Path, tyro.conf.Positional, argument("FOLDER")]


@dataclass
class RunsList(JsonFlags):
    """List runs, and how far each is."""

    runs: Folder = Path("runs")
    """where runs are kept"""

    def run(self) -> None:
        found = list(known_runs(self.runs))
        if self.json:
            emit_json([_plain(one) for one in found])
        elif not found:
            print(visible(f"no runs in {self.runs}"))
        else:
            rows = [(path_word(one.folder), one.what, one.state, f"{one.env_steps:,}", one.began) for one in found]
            show(("run", "of what", "state", "steps", "began"), rows)


@dataclass
class RunsShow(JsonFlags):
    """Show a run: its plan, versions and result."""

    folder: RunFolderArgument
    """the run's folder"""

    def run(self) -> None:
        one = known_run(self.folder)
        if self.json:
            emit_json(_plain(one))
            return
        said = {name: value for name, value in one.plan.items() if isinstance(value, (str, int, list)) and value not in ("", [])}
        emit({"state": one.state, "env_steps": one.env_steps, "began": one.began, **said, **one.versions}, as_json=False)
        if one.result is None:
            print(visible(f"go on with it: {command('resume', path_word(self.folder))}"))
        else:
            emit(one.result, as_json=False)


@dataclass
class Resume(JsonFlags):
    """Go on with whatever was stopped, exactly where it was saved.

    Example: h-dqn resume runs/skill-navigation1-s1
    """

    folder: RunFolderArgument
    """the run's folder"""
    library: Annotated[Path | None, optional("FOLDER")] = None
    """where a skill is kept, if not in the library that the run began with"""

    def run(self) -> None:
        work = resume(self.folder, self.library)
        if isinstance(work, Run | Addition | Staged):
            finish(work, self.json) if isinstance(work, Run) else finish_addition(work, self.json)
            return
        with ProgressBar.shown() as bar:
            result = work.learn(bar)
        if isinstance(work, Lifelong):
            show_life(work, result, self.json)
        elif isinstance(work, Transfer):
            show_transfer(result, self.json)
        elif self.json:
            emit_json(result)
        elif isinstance(work, Demo):
            show_demo(result, work.folder, work.plan.library)
        else:
            show_distilled(result, work.plan.name, work.plan.library)


def _plain(one: KnownRun) -> dict[str, Any]:
    return {**asdict(one), "folder": str(one.folder)}

"""``h-dqn distill``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from h_dqn.cli.flags import JsonFlags, LibraryFlags, Names, argument, library_words
from h_dqn.cli.output import ProgressBar, emit_json, hint, percent, show, success
from h_dqn.experiment.distil import Distillation, DistillPlan
from h_dqn.experiment.run_folder import new_folder
from h_dqn.experiment.shell import command
from skills_library.distill import DistillConfig


@dataclass
class Distill(JsonFlags, LibraryFlags):
    """Distil several skills into one network with a head for each.

    Example: h-dqn distill --skills navigation2 pickup break placement --name multi
    """

    skills: Names
    """skills of the library to teach it"""
    name: Annotated[str, argument("NAME")] = "multi"
    """its name in the library; its skills are called NAME/SKILL"""
    seed: int = 1
    """decides everything random"""
    episodes: int = 500
    """unseen episodes of each evaluation at the end"""
    runs: Annotated[Path, argument("FOLDER")] = Path("runs")
    """where its state is kept, so that it can go on"""
    config: Annotated[DistillConfig, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")] = field(default_factory=DistillConfig)

    def run(self) -> None:
        plan = DistillPlan(self.skills, self.name, self.config, self.seed, self.episodes, str(self.library))
        distillation = Distillation(plan, new_folder(self.runs, None, f"distill-{self.name}-s{self.seed}"))
        with ProgressBar.shown() as bar:
            result = distillation.learn(bar)
        if self.json:
            emit_json(result)
        else:
            show_distilled(result, self.name, str(self.library))


def show_distilled(result: dict[str, Any], name: str, library: str) -> None:
    """Print what came of a distillation."""
    show(
        ("skill", "its own network", "distilled"),
        [(head, percent(row["teacher"]), success(row)) for head, row in result["heads"].items()],
    )
    print(f"weights: {result['weights']:,}, of {result['teacher_weights']:,} in the teachers' networks "
          f"({percent(result['weights'] / result['teacher_weights'])})")  # fmt: skip
    hint(f"use it with: {command('train', 'controller', 'three_rooms', '--skills', name, *library_words(library))}")

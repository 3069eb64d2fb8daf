"""``h-dqn skills`` and ``h-dqn distill``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from rich.table import Table

from h_dqn.cli.flags import JsonFlags, LibraryFlags, Name
from h_dqn.cli.output import ProgressBar, hint, out
from h_dqn.experiment.distil import Distillation, DistillPlan
from h_dqn.experiment.run_folder import new_folder
from skills_library.distill import DistillConfig
from skills_library.library import Library


@dataclass
class SkillsList(LibraryFlags):
    """List the skills of the library."""

    def run(self) -> None:
        library = Library(self.library)
        if not library.names():
            print("no skills yet; train one with: h-dqn train skill navigation1")
            return
        table = Table("skill", "task", "success", "steps trained", "folder")
        for skill in library.skills(library.names()):
            card = skill.card
            success, steps = card["measured"].get("success_rate"), card["training"].get("env_steps", 0)
            measured = f"{success:.1%}" if success is not None else "not measured"
            folder = library.path(skill.name.partition("/")[0])
            table.add_row(skill.name, card["task"].get("name", ""), measured, f"{steps:,}", str(folder))
        out.print(table)


@dataclass
class SkillsShow(LibraryFlags):
    """Print a skill's card."""

    name: Name
    """its name"""

    def run(self) -> None:
        library = Library(self.library)
        library.policy(self.name)
        print((library.path(self.name.partition("/")[0]) / "CARD.md").read_text())


@dataclass
class Distill(JsonFlags, LibraryFlags):
    """Distil several skills into one network of the library, with shared layers and a head for each.

    Example: h-dqn distill --skills navigation2 pickup break placement --name multi
    """

    skills: tuple[str, ...]
    """skills of the library to teach it"""
    name: str = "multi"
    """its name in the library; its skills are called NAME/SKILL"""
    seed: int = 1
    """decides everything random"""
    episodes: int = 500
    """unseen episodes of each evaluation at the end"""
    runs: Path = Path("runs")
    """where its state is kept, so that it can go on"""
    config: tyro.conf.OmitArgPrefixes[DistillConfig] = field(default_factory=DistillConfig)

    def run(self) -> None:
        plan = DistillPlan(self.skills, self.name, self.config, self.seed, self.episodes, str(self.library))
        distillation = Distillation(plan, new_folder(self.runs, None, f"distill-{self.name}-s{self.seed}"))
        with ProgressBar.shown() as bar:
            result = distillation.learn(bar)
        if self.json:
            print(json.dumps(result))
            return
        table = Table("skill", "teacher", "distilled")
        for name, row in result["heads"].items():
            table.add_row(name, f"{row['teacher']:.1%}", f"{row['success_rate']:.1%}")
        out.print(table)
        out.print(f"weights: {result['weights']:,}, of {result['teacher_weights']:,} in the teachers' networks "
                  f"({result['weights'] / result['teacher_weights']:.0%})")  # fmt: skip
        hint(f"use it with: h-dqn train controller three_rooms --skills {self.name}")

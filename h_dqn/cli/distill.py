"""``h-dqn distill``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from h_dqn.cli.flags import JsonFlags, LibraryFlags, Names, argument
from h_dqn.cli.output import command, emit_json, hint, percent, show, success, tracked
from h_dqn.experiment.distil import distil
from skills_library.distill import DistillConfig
from skills_library.library import Library


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
    config: Annotated[DistillConfig, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")] = field(default_factory=DistillConfig)

    def run(self) -> None:
        result = distil(Library(self.library), self.skills, self.name, self.config, self.seed, self.episodes, tracked)
        if self.json:
            emit_json(result)
            return
        show(
            ("skill", "its own network", "distilled"),
            [(name, percent(row["teacher"]), success(row)) for name, row in result["heads"].items()],
        )
        print(f"weights: {result['weights']:,}, of {result['teacher_weights']:,} in the teachers' networks "
              f"({percent(result['weights'] / result['teacher_weights'])})")  # fmt: skip
        hint(f"use it with: {command('train', 'controller', 'three_rooms', '--skills', self.name, *self.library_words)}")

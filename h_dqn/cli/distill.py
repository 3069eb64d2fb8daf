"""``h-dqn distill``: several skills of the library become one network with a head each."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

from h_dqn.cli.errors import UserError
from h_dqn.cli.policy import Policy
from h_dqn.cli.worlds import World, task_worlds
from h_dqn.evaluate import evaluate
from skills_library.distill import DistillConfig, Distiller
from skills_library.library import Library, check_name
from skills_library.skill import count_weights


@dataclass
class Distill:
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
    library: Path = Path("skills")
    """where skills are kept"""
    json: bool = False
    """print the result as one JSON object"""
    config: tyro.conf.OmitArgPrefixes[DistillConfig] = field(default_factory=DistillConfig)

    def run(self) -> None:
        self.config.check()
        if not self.skills:
            raise UserError("--skills must name at least one skill")
        check_name(self.name)
        if self.name in self.skills:
            raise UserError(f"--name {self.name} is one of the skills to distil; give another")
        result = distil(Library(self.library), self.skills, self.name, self.config, self.seed, self.episodes)
        if self.json:
            print(json.dumps(result))
            return
        table = Table("skill", "teacher", "distilled")
        for name, row in result["heads"].items():
            table.add_row(name, f"{row['teacher']:.1%}", f"{row['success_rate']:.1%}")
        console = Console(highlight=False)
        console.print(table)
        console.print(f"weights: {result['weights']:,}, of {result['teacher_weights']:,} in the teachers' networks "
                      f"({result['weights'] / result['teacher_weights']:.0%})")  # fmt: skip
        print(f"use it with: h-dqn train controller three_rooms --skills {self.name}", file=sys.stderr)


def distil(
    library: Library, names: tuple[str, ...], name: str, config: DistillConfig, seed: int, episodes: int, world: World = "voxel"
) -> dict[str, Any]:
    """Distil skills, measure each head and its teacher on the same unseen episodes, and keep the network in the library."""
    teachers = library.skills(names)
    worlds = [task_worlds(str(teacher.card["task"]["name"]), world, teacher.shape) for teacher in teachers]
    options = [Policy(teacher, ()).options(make) for teacher, make in zip(teachers, worlds, strict=True)]
    distiller = Distiller(teachers, worlds, options, config, seed)
    began = time.perf_counter()
    rounds = -(-config.env_steps // (config.worlds * config.round_steps))
    console = Console(stderr=True)
    for _ in track(distiller.run(), "distilling", total=rounds, console=console, disable=not console.is_terminal):
        pass
    seconds = time.perf_counter() - began
    whole = distiller.skills(name)
    heads, measured = {}, []
    for teacher, head, make, actions in zip(teachers, whole.heads, worlds, options, strict=True):
        before, after = (
            evaluate(make(min(250, episodes)), actions, Policy(skill, ()).player(seed), episodes, seed) for skill in (teacher, head)
        )
        row = {"success_rate": after.success_rate, "ci95": list(after.ci95), "episodes": episodes, "seed": seed}
        heads[teacher.name] = {**row, "teacher": before.success_rate}
        measured.append(replace(head, card={**head.card, "measured": row}))
    training = {
        "env_steps": config.env_steps,
        "seconds": round(seconds, 1),
        "seed": seed,
        "teachers": list(names),
        "config": asdict(config),
    }
    library.add(replace(whole, heads=tuple(measured), card={"training": training}))
    weights, teacher_weights = count_weights([whole]), count_weights(teachers)
    return {"heads": heads, "weights": weights, "teacher_weights": teacher_weights, "seconds": seconds, "seed": seed}

"""The whole idea in a few minutes: learn a skill, keep it, solve a task with it, beside an agent that has no skills."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from h_dqn.checkpoint import write_text
from h_dqn.cli.plots import learning_curve
from h_dqn.cli.runs import Plan, Run, new_folder
from h_dqn.metrics import read_metrics
from h_dqn.presets import PRESETS

SKILL, TASK = "navigation1", "two_rooms"
STEPS = {"skill": 300_000, "controller": 400_000, "flat": 400_000}  # enough for one room, and for two with the skill


@dataclass
class Demo:
    """Learn the skill navigation1, then two_rooms with it, then two_rooms without it for as many environment steps.

    Example: h-dqn demo --seed 1
    """

    seed: int = 1
    """decides everything random"""
    preset: str = "fast"
    """settings; smoke shows in seconds that all parts work, and learns nothing"""
    episodes: int = 500
    """unseen episodes of each evaluation"""
    name: str | None = None
    """folder of the demo below --runs; must not exist"""
    runs: Path = Path("runs")
    """where runs are kept"""
    library: Path = Path("skills")
    """where skills are kept"""
    json: bool = False
    """print the result as one JSON object"""

    def run(self) -> None:
        from h_dqn.cli.commands import film
        from h_dqn.cli.policy import find_policy
        from skills_library.library import Library

        folder = new_folder(self.runs, self.name, "demo")
        parts = {
            SKILL: ("skill", SKILL, ()),
            "controller": ("controller", TASK, (SKILL,)),
            "flat": ("flat", TASK, ()),
        }
        results = {}
        for part, (kind, task, skills) in parts.items():
            config = PRESETS[self.preset]
            config = replace(config, env_steps=min(STEPS[kind], config.env_steps))
            start = SKILL if skills else None  # the controller sees with the skill's layers from the beginning
            plan = Plan(kind, task, "voxel", self.preset, self.seed, self.episodes, skills, str(self.library), config, start)
            run = Run(plan, folder / part)
            results[part] = run.learn()
            if part == "controller":
                film(find_policy(str(folder / part), Library(self.library)), run.worlds, self.seed, folder / "controller.mp4")
        learning_curve(
            {f"{TASK}, primitives and {SKILL}": folder / "controller", f"{TASK}, primitives only": folder / "flat"},
            folder / "curve.png",
            title="the same learner, with and without a skill",
        )
        rows = [{"run": part, **row} for part in parts for row in read_metrics(folder / part)]
        write_text(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        write_text(folder / "result.json", json.dumps(results, indent=2) + "\n")
        self._tell(folder, results)

    def _tell(self, folder: Path, results: dict[str, dict[str, float]]) -> None:
        labels = {
            SKILL: f"{SKILL}: the skill",
            "controller": f"{TASK}: controller with the skill",
            "flat": f"{TASK}: flat, without",
        }
        if self.json:
            print(json.dumps(results))
            return
        table = Table("", "success", "environment steps", "seconds")
        for part, label in labels.items():
            result = results[part]
            table.add_row(label, f"{result['success_rate']:.1%}", f"{result['env_steps']:,}", f"{result['seconds']:.0f}")
        Console(highlight=False).print(table)
        print(f"""
learning curve    {folder}/curve.png
a solved episode  {folder}/controller.mp4
TensorBoard       tensorboard --logdir {folder}

go on with
  h-dqn evaluate {folder}/controller --task {TASK} --episodes 1000
  h-dqn skills show {SKILL}
  h-dqn train skill pickup
  h-dqn play {TASK}""")

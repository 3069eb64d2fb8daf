"""``h-dqn demo``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from h_dqn.cli.flags import JsonFlags, LibraryFlags
from h_dqn.cli.output import ProgressBar, out
from h_dqn.experiment.demo import SKILL, TASK, demo
from h_dqn.experiment.run_folder import new_folder


@dataclass
class Demo(JsonFlags, LibraryFlags):
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

    def run(self) -> None:
        folder = new_folder(self.runs, self.name, "demo")
        with ProgressBar.shown() as bar:
            results = demo(folder, self.seed, self.preset, self.episodes, str(self.library), bar)
        if self.json:
            print(json.dumps(results))
            return
        labels = {
            SKILL: f"{SKILL}: the skill",
            "controller": f"{TASK}: controller with the skill",
            "flat": f"{TASK}: flat, without",
        }
        table = Table("", "success", "environment steps", "seconds")
        for part, label in labels.items():
            result = results[part]
            table.add_row(label, f"{result['success_rate']:.1%}", f"{result['env_steps']:,}", f"{result['seconds']:.0f}")
        out.print(table)
        print(f"""
learning curve    {folder}/curve.png
a solved episode  {folder}/controller.mp4
TensorBoard       tensorboard --logdir {folder}

go on with
  h-dqn evaluate {folder}/controller --task {TASK} --episodes 1000
  h-dqn skills show {SKILL}
  h-dqn train skill pickup
  h-dqn play {TASK}""")

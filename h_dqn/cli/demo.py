"""``h-dqn demo``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h_dqn.cli.flags import Folder, JsonFlags, LibraryFlags, OptionalName, library_words
from h_dqn.cli.output import ProgressBar, emit_json, seconds, show, success
from h_dqn.cli.presets import Preset
from h_dqn.cli.terminal import visible_lines
from h_dqn.experiment.demo import SKILL, TASK, demo
from h_dqn.experiment.run_folder import new_folder
from h_dqn.experiment.shell import command, path_word, shell


@dataclass
class Demo(JsonFlags, LibraryFlags):
    """Learn a skill, then a task with it and without it: about six minutes on two cores.

    The skill is navigation1. The task is two_rooms: first with the skill, then without it for as many environment steps.

    Example: h-dqn demo --seed 1
    """

    seed: int = 1
    """decides everything random"""
    preset: Preset = "fast"
    episodes: int = 500
    """unseen episodes of each evaluation"""
    name: OptionalName = None
    """folder of the demo below --runs; must not exist"""
    runs: Folder = Path("runs")
    """where runs are kept"""

    def run(self) -> None:
        folder = new_folder(self.runs, self.name, "demo")
        with ProgressBar.shown() as bar:
            results = demo(folder, self.seed, self.preset, self.episodes, str(self.library), bar)
        if self.json:
            emit_json(results)
        else:
            show_demo(results, folder, str(self.library))


def show_demo(results: dict[str, Any], folder: Path, library_folder: str) -> None:
    """Print what came of a demo."""
    labels = {
        SKILL: f"{SKILL}: the skill",
        "controller": f"{TASK}: controller with the skill",
        "flat": f"{TASK}: flat, without",
    }
    rows = []
    for part, label in labels.items():
        result = results[part]
        rows.append((label, success(result), f"{result['env_steps']:,}", seconds(result["seconds"])))
    show(("", "success", "environment steps", "time"), rows)
    controller, library = path_word(folder / "controller"), library_words(library_folder)
    told = f"""
learning curve    {folder}/curve.png
a solved episode  {folder}/controller.mp4
TensorBoard       tensorboard {shell("--logdir", folder)}

go on with
  {command("evaluate", controller, "--task", TASK, "--episodes", 1000)}
  {command("skills", "show", SKILL, *library)}
  {command("train", "skill", "pickup", *library)}
  {command("play", TASK)}"""
    print(visible_lines(told))

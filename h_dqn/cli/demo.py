"""``h-dqn demo``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h_dqn.cli.flags import Folder, JsonFlags, LibraryFlags, OptionalName, library_words
from h_dqn.cli.output import ProgressBar, emit_json, seconds, show, success
from h_dqn.cli.presets import Preset
from h_dqn.cli.terminal import visible_lines
from h_dqn.experiment.demo import SKILL, TASK, TRANSFER, WITH, WITHOUT, demo
from h_dqn.experiment.run_folder import new_folder
from h_dqn.experiment.shell import command, path_word, shell


@dataclass
class Demo(JsonFlags, LibraryFlags):
    """Learn a skill, then a task with skills and without: at most six minutes on two cores.

    The skill is navigation1, from pixels; it is kept in the library, beside those that come with the package. Then three_rooms is
    learned with four of these and, at the same time and for as many environment steps, without any. Last, all shipped skills play
    each other's tasks.

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
        WITH: f"{TASK}: with skills",
        WITHOUT: f"{TASK}: without",
    }
    rows = []
    for part, label in labels.items():
        result = results[part]
        rows.append((label, success(result), f"{result['env_steps']:,}", seconds(result["seconds"])))
    show(("", "success", "environment steps", "time"), rows)
    agent, library = path_word(folder / WITH), library_words(library_folder)
    told = f"""
both curves       {folder}/curve.png
an episode        {folder}/{WITH}.mp4
who helps where   {folder}/{TRANSFER}/transfer.png
TensorBoard       tensorboard {shell("--logdir", folder)}

go on with
  {command("evaluate", agent, "--task", TASK, "--episodes", 1000)}
  {command("play", TASK, "--agent", agent)}
  {command("skills", "list", *library)}
  {command("skills", "add", "my_room.toml", *library)}
  {command("skills", "remove", SKILL, *library)}    (then {SKILL} is again the one that comes with the package)"""
    print(visible_lines(told))

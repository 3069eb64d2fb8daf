"""``h-dqn transfer``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from h_dqn.cli.flags import Folder, JsonFlags, LibraryFlags, Names, OptionalName, Switch, optional
from h_dqn.cli.output import ProgressBar, emit_json, hint, percent, show
from h_dqn.cli.presets import Preset
from h_dqn.cli.terminal import visible
from h_dqn.experiment.transfer import TrainingPlan, TransferPlan, new_transfer

FEW = 6  # tasks up to which the table has intervals
MOST_JOBS = 8


@dataclass
class Transfer(JsonFlags, LibraryFlags):
    """Find out which skill helps where, without training and, on request, as a start.

    Every skill plays unseen episodes of every task, and a random policy beside them. Actions that a task lacks are never chosen;
    where it has none of a skill's, that is a cell that cannot be played. Then the controllers below --runs are looked at: which
    skills they choose where they succeed, and what they do without each. At the end it says which skill helps where, and which
    never does.

    With --train it also measures what a start from each skill saves, in each task but its own: environment steps to 95 % success in
    validation, against a start from chance. That trains (1 + skills) x tasks x seeds runs.

    A folder below --runs has transfer.json (everything), and transfer.png (the matrix). What is stopped goes on with h-dqn resume.

    Examples:
      h-dqn transfer
      h-dqn transfer --skills navigation1 --tasks navigation1 two_rooms my_room.toml --worlds voxel,luanti
      h-dqn transfer --skills navigation1 pickup --train --seeds 3
    """

    skills: Names = ()
    """skills of the library (default: all, but the heads of networks with several)"""
    tasks: Annotated[tuple[str, ...], optional("TASK ...")] = ()
    """tasks to play, names or files (default: those of the skills)"""
    worlds: Names = TransferPlan.worlds
    """which worlds play (default: voxel); the others are compared with the first"""
    episodes: int = TransferPlan.episodes
    """unseen episodes of each skill in each task"""
    seed: int = TransferPlan.seed
    """decides which; never those of training, whatever the number"""
    train: Switch = False
    """also measure how many steps a start from a skill saves"""
    seeds: int = TrainingPlan.seeds
    """with --train: runs of each kind, of which the median is told"""
    preset: Preset = TrainingPlan.preset
    env_steps: int = TrainingPlan.env_steps
    """with --train: environment steps after which a run is given up (0: those of the preset)"""
    controllers: Annotated[tuple[str, ...], optional("FOLDER ...")] = ()
    """runs whose use of skills is looked at (default: all controllers below --runs)"""
    jobs: Annotated[int | None, optional("N")] = None
    """processes that play side by side (default: one a core, at most 8); the outcome does not depend on it"""
    name: OptionalName = None
    """folder of the results below --runs; must not exist"""
    runs: Folder = Path("runs")
    """where runs are kept"""

    def run(self) -> None:
        training = TrainingPlan(self.preset, self.env_steps, self.seeds) if self.train else None
        jobs = min(os.cpu_count() or 1, MOST_JOBS) if self.jobs is None else self.jobs
        worlds = tuple(world for one in self.worlds for world in one.split(","))
        plan = TransferPlan(self.skills, self.tasks, worlds, self.episodes, self.seed, self.controllers, training,
                            str(self.library), jobs)  # fmt: skip
        with ProgressBar.shown() as bar:
            result = new_transfer(plan, self.runs, self.name, bar).learn(bar)
        show_transfer(result, self.json)


def show_transfer(result: dict[str, Any], as_json: bool) -> None:
    """Print what came of a measurement: matrices, then what is worth saying."""
    if as_json:
        emit_json(result)
        return
    for world, matrix in result["success"].items():
        print(f"success without training, % of {result['episodes']} unseen episodes ({world}; * its own task, - cannot be played)")
        show_matrix(matrix, result)
    for world, rows in result["differences"].items():
        show_differences(world, result["worlds"][0], rows)
    show_saved(result)
    show_reuse(result["reuse"])
    rows = [(skill, *(listed(where) for where in one.values())) for skill, one in result["helps"].items()]
    print("which skill helps where, its own task aside")
    show(("skill", "without training", "as a start", "in controllers"), rows)
    print(f"never helps, of what was looked at: {visible(listed(result['never']))}")
    hint(f"wrote {result['run']}/transfer.json and transfer.png")


def show_matrix(matrix: dict[str, Any], result: dict[str, Any]) -> None:
    """The matrix of one world."""
    tasks = list(result["tasks"])

    def text(cell: dict[str, Any], own: bool) -> str:
        if "cannot" in cell:
            return "-"
        low, high = (f"{100 * end:.0f}" for end in cell["ci95"])
        return "*" * own + f"{100 * cell['success_rate']:.0f}" + (f" [{low}, {high}]" if len(tasks) <= FEW else "")

    rows = [
        (skill, *(text(row[task], result["skills"][skill]["own"] == task) for task in tasks))
        for skill, row in matrix["skills"].items()
    ]
    show(("skill", *tasks), [*rows, ("(random)", *(text(matrix["random"][task], False) for task in tasks))])


def show_differences(world: str, first: str, rows: list[dict[str, Any]]) -> None:
    """Two worlds beside each other."""
    print(f"{world} beside {first}; ! where the intervals have nothing in common")
    table = [
        (row["skill"] or "(random)", row["task"], percent(row["first"]), percent(row["success_rate"]),
         f"{100 * row['difference']:+.1f}" + " !" * row["sure"])
        for row in rows
    ]  # fmt: skip
    show(("skill", "task", first, world, "difference"), table)


def show_saved(result: dict[str, Any]) -> None:
    """What starts saved, and which harm."""
    if not result["steps_saved"]:
        return
    print("environment steps to 95 % in validation, from a skill (trials included) and from chance; medians over seeds")
    rows = []
    for row in result["steps_saved"]:
        if "cannot" in row:
            rows.append((row["skill"], row["task"], "-", "-", "-", "-", row["cannot"]))
            continue
        ratio, share = ("-" if row[key] is None else _bounded(row["bound"], row[key], key) for key in ("ratio", "saved"))
        starts = listed(dict.fromkeys("all of it" if one == row["skill"] else one for one in row["starts"]))
        rows.append((row["skill"], row["task"], _steps(row["with_skill"]), _steps(row["scratch"]), share, ratio, starts))
    show(("skill", "task", "from it", "from chance", "saved", "ratio", "begins with"), rows)
    pairs = [f"{one['skill']} in {one['task']}" for one in result["harmful"]]
    print(f"harms as a start (saves less than -5 %): {visible(listed(pairs))}")


def show_reuse(reuse: dict[str, Any]) -> None:
    """Whom controllers use."""
    rows = [
        (run, skill, percent(one["decisions"]), percent(one["frames"]), percent(whole["success_rate"]), percent(one["without"]),
         f"{100 * one['worth']:+.1f}" + " !" * one["sure"])
        for run, whole in reuse.items() for skill, one in whole["skills"].items()
    ]  # fmt: skip
    if rows:
        print("reuse: share of decisions and steps in successful episodes; success with all skills and without this one;")
        print("! where the difference is more than chance explains")
        show(("controller", "skill", "decisions", "steps", "with all", "without", "worth"), rows)


def listed(names: Iterable[str]) -> str:
    """Names, or "-"."""
    return ", ".join(names) or "-"


def _steps(median: float | None) -> str:
    return "> budget" if median is None else f"{median:,.0f}"


def _bounded(bound: str, value: float, what: str) -> str:
    text = percent(value) if what == "saved" else f"{value:.2f}"
    return text if bound == "=" else f"{bound} {text}"

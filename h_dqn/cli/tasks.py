"""``h-dqn tasks`` and ``h-dqn play``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from envs.task_file import load_task, task_names
from h_dqn.cli.flags import Name, WorldFlags
from h_dqn.cli.output import out


@dataclass
class TasksList:
    """List the shipped tasks."""

    def run(self) -> None:
        table = Table("task", "what to do", "steps", "actions")
        for name in task_names():
            task = load_task(name)
            table.add_row(name, task.title, str(task.step_limit), ", ".join(task.actions))
        out.print(table)


@dataclass
class TasksShow(WorldFlags):
    """Print a task's map and rules, and write pictures of it.

    Example: h-dqn tasks show three_rooms --picture three_rooms.png
    """

    task: Name
    """a task's name or the path of a task file"""
    picture: Path | None = None
    """where to write the pictures, as PNG; default: <task>.png"""
    seed: int = 1
    """which episodes are shown"""

    def run(self) -> None:
        from h_dqn.experiment.tasks import describe, draw

        task = load_task(self.task)
        path = self.picture or Path(f"{task.name}.png")
        draw(task, path, self.seed, self.place)
        print(f"{describe(task)}\npictures: {path}")


@dataclass
class TasksCheck(WorldFlags):
    """Check a task file, and prove with the oracle that it can be solved within its limit.

    Example: h-dqn tasks check my_room.toml
    """

    file: Name
    """the task file"""
    episodes: int = 200
    """how many drawn episodes the oracle plays"""

    def run(self) -> None:
        from h_dqn.experiment.tasks import longest_solution

        longest, task = longest_solution(self.file, self.episodes, self.place)
        print(f"{self.file}: good. The oracle solves {self.episodes} of {self.episodes} episodes; the longest takes {longest} "
              f"of {task.step_limit} steps.")  # fmt: skip


@dataclass
class Play(WorldFlags):
    """Play a task yourself, in a window, or in the terminal where there is no display.

    Keys: w forward, a and d turn, b break, e pick up, p place, r new episode, q quit.
    """

    task: Name
    """a task's name or the path of a task file"""
    seed: int = 1
    """which episode comes first"""
    terminal: bool = False
    """play in the terminal even where there is a display"""

    def run(self) -> None:
        from h_dqn.experiment.play import play

        play(load_task(self.task), self.seed, self.terminal, self.place)

"""``h-dqn tasks`` and ``h-dqn play``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from h_dqn.cli.flags import JsonFlags, LibraryFlags, Switch, Task, optional
from h_dqn.cli.output import emit, emit_json, show
from h_dqn.cli.terminal import visible, visible_lines
from h_dqn.cli.world import WorldFlags


@dataclass
class TasksList(JsonFlags):
    """List the shipped tasks."""

    def run(self) -> None:
        from envs import SHIPPED  # their files as they are; reading a task whole costs time

        if self.json:
            emit_json({name: {key: doc[key] for key in ("title", "step_limit", "actions")} for name, doc in SHIPPED.items()})
            return
        rows = []
        for name, doc in SHIPPED.items():
            verbs = ["and its verbs"] if "verbs" in doc else []
            rows.append((name, doc["title"], str(doc["step_limit"]), ", ".join([*doc["actions"], *verbs])))
        show(("task", "what to do", "steps", "actions"), rows)


@dataclass
class TasksShow(JsonFlags, WorldFlags):
    """Print a task's map and rules, and write pictures of it.

    Example: h-dqn tasks show three_rooms --picture three_rooms.png
    """

    task: Task
    """a task's name or the path of a task file"""
    picture: Annotated[Path | None, optional("FILE")] = None
    """where to write the pictures, as PNG or JPEG; default: TASK.png"""
    seed: int = 1
    """which episodes are shown"""

    def run(self) -> None:
        from envs.task_file import load_task
        from h_dqn.experiment.tasks import describe, draw, facts

        task = load_task(self.task)
        path = self.picture or Path(f"{task.name}.png")
        draw(task, path, self.seed, self.place)
        if self.json:
            emit_json({**facts(task), "picture": str(path)})
        else:
            print(visible_lines(f"{describe(task)}\npictures: {path}"))


@dataclass
class TasksCheck(JsonFlags, WorldFlags):
    """Check a task file, and prove with the oracle that it can be solved in time.

    Example: h-dqn tasks check my_room.toml
    """

    file: Task
    """the path of a task file, or a task's name"""
    episodes: int = 200
    """how many drawn episodes the oracle plays"""

    def run(self) -> None:
        from h_dqn.experiment.tasks import longest_solution

        longest, task = longest_solution(self.file, self.episodes, self.place)
        if self.json:
            emit({"task": task.name, "episodes": self.episodes, "longest": longest, "step_limit": task.step_limit}, True)
            return
        told = f"The oracle solves {self.episodes} of {self.episodes} episodes; the longest takes {longest} of {task.step_limit}"
        print(f"{visible(str(self.file))}: good. {told} steps.")


@dataclass
class Play(WorldFlags, LibraryFlags):
    """Play a task yourself, or look on while an agent plays.

    In a window, or in the terminal where there is no display. The keys stay on the screen: w forward, a and d turn, b break, e pick
    up, p place, v choose a verb, . the same verb again, r new episode, q quit. A verb is found by typing any part of its name. With
    --agent, each key but q is a step of the agent.

    Example: h-dqn play pickup --agent multi/pickup
    """

    task: Task
    """a task's name or the path of a task file"""
    seed: int = 1
    """which episode comes first"""
    terminal: Switch = False
    """play in the terminal even where there is a display"""
    agent: Annotated[str | None, optional("WHAT")] = None
    """who plays: a skill of the library, or a run's folder (default: you)"""

    def run(self) -> None:
        if self.agent is None:
            from envs.task_file import load_task
            from h_dqn.experiment.play import play

            play(load_task(self.task), self.seed, self.terminal, self.place)
        else:
            from h_dqn.experiment.agent import load_agent
            from h_dqn.experiment.look_on import look_on
            from skills_library.library import Library

            look_on(load_agent(self.agent, Library(self.library)), self.task, self.seed, self.terminal, self.place)

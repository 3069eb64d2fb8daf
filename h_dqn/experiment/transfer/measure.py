"""A measurement of transfer: the zero-shot matrix, on request what a start from a skill saves, and what controllers use.

runs/transfer/   run.json, and result.json when it is over
  skills/ tasks/   the skills and the tasks, as they were
  cells.json       what was played of the matrix
  train/           the runs of --train; see ``steps_saved.py``
  transfer.json    everything; transfer.png, the matrix
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from envs.task import TaskError
from h_dqn.experiment.add import Checking
from h_dqn.experiment.agent import load_agent
from h_dqn.experiment.errors import FOR_PEOPLE, UserError
from h_dqn.experiment.place import Place
from h_dqn.experiment.run_folder import MISFITS, RunFolder, new_folder
from h_dqn.experiment.transfer.matrix import Cell, Cells, Key, keys, play_cells
from h_dqn.experiment.transfer.picture import Panel, heat_map
from h_dqn.experiment.transfer.plan import KIND, Inputs, TransferPlan, gather, kept_inputs
from h_dqn.experiment.transfer.reuse import controllers_in, reuse
from h_dqn.experiment.transfer.steps_saved import Training, harmful
from h_dqn.experiment.transfer.summary import differences, helps, matrix_json, never
from h_dqn.experiment.watch import Moment, Watcher, stop_on_signal
from h_dqn.experiment.worlds import task_envs
from h_dqn.files import write_text
from h_dqn.reading import Unreadable, read_json

CELLS, TRANSFER, PICTURE = "cells.json", "transfer.json", "transfer.png"
LARGEST = 64 << 20  # bytes of cells.json


class Transfer:
    """One measurement, in a folder that is enough to go on with it.

    Args:
        plan: what is measured, with all skills and tasks by name.
        folder: where its state is kept.
        inputs: the skills and tasks.
    """

    def __init__(self, plan: TransferPlan, folder: Path, inputs: Inputs) -> None:
        self.plan, self.folder, self.inputs, self._files = plan, folder, inputs, RunFolder(folder)

    @classmethod
    def resume(cls, folder: Path, library: Path | None = None) -> Transfer:
        """One that was stopped; its skills are those of its folder, whatever became of the library."""
        files = RunFolder(folder)
        try:
            plan = TransferPlan.from_json(files.read()["plan"])
            return cls(plan, folder, kept_inputs(plan, folder))
        except MISFITS as error:
            raise files.misfit(error) from error

    def learn(self, watcher: Watcher | None = None) -> dict[str, Any]:
        """Do what is not done yet. Returns what ``transfer.json`` holds."""
        watcher = watcher or Watcher()
        if not self._files.begun:
            self._check_worlds()
            self._files.begin({"plan": self.plan.to_json()}, self.inputs.files())
        with self._files.at_work(lambda _: None):
            try:
                with stop_on_signal() as stop:
                    checking = Checking(watcher, stop)
                    cells = self._matrix(checking)
                    saved = self._training(cells, checking)
                    data = self._data(cells, saved, self._reuse(checking))
            except BaseException:
                watcher.say(f"it goes on with: {self._files.go_on}")
                raise
            write_text(self.folder / TRANSFER, json.dumps(data, indent=1) + "\n")
            self._draw(cells, saved)
            self._files.finish({"episodes": self.plan.episodes, "seed": self.plan.seed, "run": str(self.folder)})
        return data

    def _check_worlds(self) -> None:
        """Raises at once for a world that is not there, and not after the others have played for minutes."""
        for world in self.plan.worlds:
            for task in self.inputs.tasks.values():
                try:
                    task_envs(task, self.inputs.shape, Place(world))(1).close()
                    break
                except TaskError:
                    continue  # which this world does not play

    # --- the matrix ---

    def _matrix(self, watcher: Watcher) -> dict[Key, Cell]:
        every, plan = keys(self.plan, self.inputs), self.plan
        cells = {cell.key: cell for cell in self._kept() if cell.key in every}
        first, began = len(cells), time.perf_counter()

        def told(cell: Cell) -> None:
            cells[cell.key] = cell
            write_text(self.folder / CELLS, json.dumps([asdict(one) for one in cells.values()]) + "\n")
            speed = plan.episodes * (len(cells) - first) / (time.perf_counter() - began)
            done, total = plan.episodes * len(cells), plan.episodes * len(every)
            watcher.progress(Moment(KIND, done, total, speed, None, "episodes"))

        play_cells([key for key in every if key not in cells], self.inputs, plan, self.folder, told, watcher)
        return cells

    def _kept(self) -> list[Cell]:
        """The cells that were played before it was stopped."""
        file = self.folder / CELLS
        try:
            return [Cell.from_json(entry) for entry in read_json(file, LARGEST)]
        except FileNotFoundError:
            return []
        except (Unreadable, TypeError) as error:
            raise UserError(f"{file}: {error}; remove it, and its cells are played again") from error

    # --- training and controllers ---

    def _training(self, cells: Cells, watcher: Watcher) -> list[dict[str, Any]]:
        if self.plan.training is None:
            return []
        world = self.plan.worlds[0]
        pairs = [
            (skill, task)
            for skill in self.inputs.agents
            for task in self.inputs.tasks
            if task != self.inputs.own(skill) and not cells[world, skill, task].cannot
        ]
        return Training(self.folder, self.inputs, self.plan.training, Place(world), watcher).measure(pairs)

    def _reuse(self, watcher: Watcher) -> dict[str, dict[str, Any]]:
        """Of each controller how it uses its skills; one that cannot be played any more is said and left out."""
        found = {}
        for folder in self.plan.controllers:
            try:
                agent = load_agent(Path(folder).absolute())
                watcher.say(f"whom {folder} uses ...")
                envs = agent.envs(place=Place(self.plan.worlds[0]))
                found[folder] = reuse(agent, envs, self.plan.episodes, self.plan.seed, watcher)
            except FOR_PEOPLE as error:
                watcher.say(f"left out: {error}")
        return found

    # --- what came of it ---

    def _data(self, cells: Cells, saved: Sequence[Mapping[str, Any]], used: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        plan, inputs = self.plan, self.inputs
        first, *others = plan.worlds
        where = helps(cells, inputs, first, saved, used)
        return {
            "skills": {name: {"own": inputs.own(name)} for name in inputs.agents},
            "tasks": {name: {"title": task.title, "hash": task.hash} for name, task in inputs.tasks.items()},
            "worlds": list(plan.worlds),
            "episodes": plan.episodes,
            "seed": plan.seed,
            "success": {world: matrix_json(cells, inputs, world) for world in plan.worlds},
            "differences": {world: differences(cells, inputs, world, first) for world in others},
            "steps_saved": list(saved),
            "harmful": [{"skill": skill, "task": task} for skill, task in harmful(saved)],
            "reuse": dict(used),
            "helps": where,
            "never": never(where),
            "run": str(self.folder),
        }

    def _draw(self, cells: Cells, saved: Sequence[Mapping[str, Any]]) -> None:
        skills, tasks = list(self.inputs.agents), list(self.inputs.tasks)
        own = [(row, tasks.index(task)) for row, skill in enumerate(skills) if (task := self.inputs.own(skill)) is not None]
        rates = {
            world: np.array([[percent(cells[world, skill, task].rate) for task in tasks] for skill in (None, *skills)])
            for world in self.plan.worlds
        }
        first, panels = rates[self.plan.worlds[0]], []
        for world, rate in rates.items():
            bold = np.array([[_surely(cells[world, skill, task], cells[world, None, task]) for task in tasks] for skill in skills])
            title = "success without training, %" + (f", {world}" if len(rates) > 1 else "")
            panels.append(Panel(title, rate[1:], rate[0], own, bold))
        plain = np.zeros((len(skills), len(tasks)), bool)
        for world, rate in list(rates.items())[1:]:
            change = rate - first
            panels.append(Panel(f"{world} less {self.plan.worlds[0]}, points", change[1:], change[0], own, plain, signed=True))
        if saved:
            steps = np.full(plain.shape, np.nan)
            for row in saved:
                steps[skills.index(row["skill"]), tasks.index(row["task"])] = percent(row.get("saved"))
            panels.append(Panel("steps to 95 % saved by a start, %", steps, None, own, plain, signed=True))
        note = f"{self.plan.episodes} episodes a cell, seed {self.plan.seed}. Outlined: own task. Bold: surely more than random."
        heat_map(panels, skills, tasks, f"{note} Hatched: no value.", self.folder / PICTURE)


def percent(share: float | None) -> float:
    """In percent; NaN for None."""
    return np.nan if share is None else 100 * share


def _surely(cell: Cell, chance: Cell) -> bool:
    """Whether their intervals have nothing in common, and chance has the lower one."""
    return not cell.cannot and not chance.cannot and cell.ci95[0] > chance.ci95[1]


def new_transfer(plan: TransferPlan, runs: Path, name: str | None = None, watcher: Watcher | None = None) -> Transfer:
    """A measurement in a new folder below ``runs``, not begun yet.

    Without ``plan.controllers``, those below ``runs`` are looked at. Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` for
    what is unknown or wrong.
    """
    inputs = gather(plan, watcher or Watcher())
    for folder in plan.controllers:
        if not load_agent(Path(folder).absolute()).skills:
            raise UserError(f"--controllers {folder}: has no skills among its options; name the run of a controller")
    controllers = plan.controllers or controllers_in(runs)
    library = str(Path(plan.library).absolute())
    plan = replace(plan, skills=tuple(inputs.agents), tasks=tuple(inputs.tasks), controllers=controllers, library=library)
    return Transfer(plan, new_folder(runs, name, KIND), inputs)


def transfer(skills: Sequence[str] = (), tasks: Sequence[str | Path] = (), **how: Any) -> dict[str, Any]:
    """Does a skill help elsewhere? The zero-shot matrix of skills and tasks, and whom controllers use.

    Args:
        skills: of the library; none: all that can be read, but for the heads of networks with several.
        tasks: names or files; none: the tasks of these skills.
        how: ``worlds``, ``episodes``, ``seed``, ``controllers``, ``library``, ``jobs`` and ``training`` as :class:`TransferPlan`
            has them; ``runs`` and ``name`` of the folder; and ``watcher``, which is told how it goes on. With several ``jobs``, a
            script must begin its work under ``if __name__ == "__main__":``.
    Returns what ``transfer.json`` in the folder holds: ``success`` by world, for ``random`` and each of the ``skills``, in each
    task; ``steps_saved``, ``reuse``, ``helps`` and ``never``; ``transfer.png`` beside it is the matrix.
    """
    runs, name, watcher = Path(how.pop("runs", "runs")), how.pop("name", None), how.pop("watcher", None)
    how |= {key: tuple(map(str, how[key])) for key in ("worlds", "controllers") if key in how}
    plan = TransferPlan(tuple(skills), tuple(map(str, tasks)), **{**how, "library": str(how.get("library", "skills"))})
    return new_transfer(plan, runs, name, watcher).learn(watcher)

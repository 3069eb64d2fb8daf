"""Run the experiments of a file and summarise them: ``python -m benchmarks.reproduce paper --seeds 5``.

Reads benchmarks/NAME.toml, writes benchmarks/results/NAME.json: experiment -> arm -> mean, ci95 (Student's t) and per_seed of the
success rate, and for each seed all else that the command reported and who measured it (``provenance.py``). What is done is kept in
runs/reproduce, so that the same command goes on where it stopped, within a run too (what was run by another command or revision, or
before what it comes after, is run again), and one file may use the skills of another. Nothing else should run meanwhile.

With ``--ray ADDRESS`` the commands run on all nodes of a Ray cluster, one on each of its processors. This checkout, with runs/ and
its Python, must lie at the same path on each node, in a folder that they share: a run whose node died goes on at another, from its
newest checkpoint. Needs the extra ``ray``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.provenance import ROOT, measured
from h_dqn.experiment.cluster import connect
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.run_folder import RUN, RunFolder
from h_dqn.experiment.versions import revision
from h_dqn.files import lock, write_text
from h_dqn.statistics import mean_interval

RUNS = ROOT / "runs" / "reproduce"
CORES = os.cpu_count() or 1
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
NOT_KEPT = ("run", "heads", "tasks", "command", "when", "temperature")  # of a result: kept elsewhere in the summary, or no result
Summary = dict[str, dict[str, dict[str, Any]]]


class Failed(Exception):
    """A command failed; the message says which, and how."""


@dataclass(frozen=True)
class Cell:
    """One command with one seed."""

    experiment: str
    arm: str
    command: str
    seed: int
    after: tuple[str, ...] = ()
    """experiments, or experiment.arm, whose commands with this seed must be done before"""
    runs: Path = RUNS
    """where runs are kept"""

    @property
    def name(self) -> str:
        return f"{self.experiment}.{self.arm}"

    @property
    def line(self) -> str:
        """What is typed after ``h-dqn``."""
        return f"{self.command} --seed {self.seed}"

    @property
    def folder(self) -> Path:
        """The run's folder, of which ``reported.json`` is written last."""
        return self.runs / f"s{self.seed}" / self.name

    @property
    def begun(self) -> Path:
        """Beside the folder: which command began it, and at which revision of the code."""
        return self.folder.with_name(f"{self.name}.command")

    @property
    def reported(self) -> dict[str, Any]:
        """What a command of this name reported last; empty if none was run."""
        path = self.folder / "reported.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    @property
    def result(self) -> dict[str, Any] | None:
        """What the command reported; None if it has not been run, or was another command then, or nobody knows who ran it."""
        reported = self.reported
        return reported if reported.get("command") == self.command and "measured" in reported else None

    def waits_for(self, other: Cell) -> bool:
        return self.seed == other.seed and not {other.experiment, other.name}.isdisjoint(self.after)

    def done_since(self, after: Iterable[Cell]) -> bool:
        """Whether the command was run, and since those that it comes after."""
        result = self.result
        return result is not None and newest(after) <= result.get("when", 0.0)

    def run(self, episodes: int, after: Iterable[Cell] = ()) -> None:
        """Run the command, on one core, unless that is done. Raises :class:`Failed`.

        Where the same command was stopped, however, it goes on from its newest checkpoint.
        """
        if self.done_since(after):
            return
        line = self.line.replace("{runs}", str(self.folder.parent))
        print(f"h-dqn {line}", file=sys.stderr, flush=True)
        result = self._go_on(begun := f"{line} --episodes {episodes} # {revision()} {newest(after)}\n")
        if result is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.begun, begun)
            result = self._h_dqn([*line.split(), "--episodes", str(episodes), *self._folders(line.split())])
        known = {key: result[key] for key in ("temperature",) if key in result}
        known = {"command": self.command, "when": time.time(), "measured": measured(f"h-dqn {self.line}", self.seed, **known)}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "reported.json", json.dumps({**result, **known}) + "\n")
        self.begun.unlink()

    def _folders(self, words: list[str]) -> list[str]:
        """Flags that say where the command keeps what it learns, as far as it does not say so itself."""
        library = [] if "--library" in words else ["--library", str(self.folder.parent / "skills")]
        kept = {"train": ["--runs", str(self.folder.parent), "--name", self.folder.name], "distill": ["--runs", str(self.folder)]}
        return [*library, *kept.get(words[0], [])]

    def _go_on(self, begun: str) -> dict[str, Any] | None:
        """The result of what this very command began; None if it began nothing that can go on."""
        run = next((file.parent for file in sorted(self.folder.rglob(RUN))), None)
        if run is None or not self.begun.exists() or self.begun.read_text() != begun:
            return None
        lock(run, -1).release()  # whoever is still at work here, such as on a node that is only out of reach, comes first
        return RunFolder(run).result or self._h_dqn(["resume", str(run)])

    def _h_dqn(self, arguments: list[str]) -> dict[str, Any]:
        """What the command reports."""
        command = [str(Path(sys.executable).with_name("h-dqn")), *arguments, "--json"]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"failed: h-dqn {' '.join(arguments)}\n{done.stderr[-2000:]}")
        return dict(json.loads(done.stdout.splitlines()[-1]))


def newest(cells: Iterable[Cell]) -> float:
    """When the last of these was run."""
    return max((cell.reported.get("when", 0.0) for cell in cells), default=0.0)


def cells(file: str, seed: int) -> list[Cell]:
    """The commands of one seed, in the order of the file."""
    doc = tomllib.loads((ROOT / "benchmarks" / f"{file}.toml").read_text())
    after, found = doc.get("after", {}), []
    for name, command in doc["run"].items():
        experiment, _, arm = name.partition(".")
        for word, meaning in doc.get("let", {}).items():
            command = command.replace(f"{{{word}}}", meaning)
        found.append(Cell(experiment, arm, command, seed, (*after.get(experiment, ()), *after.get(name, ())), RUNS))
    return found


RunCell = Callable[[Cell, int, Iterable[Cell]], None]


def run_all(todo: list[Cell], episodes: int, side_by_side: int = CORES, run: RunCell = Cell.run) -> Iterator[Cell]:
    """Run commands, so many side by side, the first that may begin first; yields each when it is done. Exits if one fails.

    ``run``: runs one, as :meth:`Cell.run` does.
    """
    waiting, running = list(todo), dict[Future[None], Cell]()
    with ThreadPoolExecutor(side_by_side) as pool:
        while waiting or running:
            for cell in list(waiting):
                if len(running) < side_by_side and not any(map(cell.waits_for, [*waiting, *running.values()])):
                    waiting.remove(cell)
                    running[pool.submit(run, cell, episodes, list(filter(cell.waits_for, todo)))] = cell
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                try:
                    future.result()
                except Failed as error:
                    raise SystemExit(str(error)) from error
                yield running.pop(future)


def on_cluster(address: str) -> tuple[RunCell, int]:
    """What runs a command as a task on a node of a Ray cluster, on another one if that dies, and how many fit side by side."""
    ray = connect(address)
    task = ray.remote(num_cpus=1, max_retries=-1)(Cell.run)

    def run(cell: Cell, episodes: int, after: Iterable[Cell]) -> None:
        if cell.done_since(after):
            return
        print(f"h-dqn {cell.line}", file=sys.stderr, flush=True)
        try:
            ray.get(task.remote(cell, episodes, after))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error

    return run, int(ray.cluster_resources()["CPU"])


def processes() -> ProcessPoolExecutor:
    """A process on each core, of one thread each, for benchmarks that are no commands."""
    os.environ |= ONE_THREAD
    return ProcessPoolExecutor(CORES, get_context("spawn"))


def add(summary: Summary, cell: Cell) -> None:
    """Add the result of a cell that was run; what a command reports of several heads or tasks becomes an arm each."""
    result = cell.result
    assert result is not None
    parts = result.get("heads") or result.get("tasks") or {cell.arm: result}
    for arm, part in parts.items():
        entry = summary.setdefault(cell.experiment, {}).setdefault(arm, {"per_seed": {}, "runs": {}})
        entry["per_seed"][str(cell.seed)] = part["success_rate"]
        kept = {key: value for key, value in part.items() if key not in NOT_KEPT}
        entry["runs"][str(cell.seed)] = {**kept, "measured": result["measured"]}
        mean, half = mean_interval(list(entry["per_seed"].values()))
        entry["mean"], entry["ci95"] = mean, [max(0.0, mean - half), min(1.0, mean + half)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="a file benchmarks/NAME.toml")
    parser.add_argument("--seeds", type=int, default=1, help="seeds 1 to this")
    parser.add_argument("--first", type=int, default=1, help="begin with this seed, and keep the results of those before it")
    parser.add_argument("--only", metavar="EXPERIMENT", help="of the file; the results of the others are kept")
    parser.add_argument("--episodes", type=int, default=1000, help="unseen episodes of each evaluation")
    parser.add_argument("--ray", metavar="ADDRESS", help="run on this Ray cluster: local, auto or host:port")
    arguments = parser.parse_args()
    path = ROOT / "benchmarks" / "results" / f"{arguments.name}.json"
    more = path.exists() and (arguments.first > 1 or arguments.only)
    summary: Summary = json.loads(path.read_text()) if more else {}
    todo = [cell for seed in range(arguments.first, arguments.seeds + 1) for cell in cells(arguments.name, seed)]
    if arguments.only:
        todo = [cell for cell in todo if cell.experiment == arguments.only]
        if not todo:
            parser.error(f"--only {arguments.only}: no experiment of benchmarks/{arguments.name}.toml")
    try:
        run, side_by_side = on_cluster(arguments.ray) if arguments.ray else (Cell.run, CORES)
        for cell in run_all(todo, arguments.episodes, side_by_side, run):
            add(summary, cell)
            write_text(path, json.dumps(summary, indent=1) + "\n")
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

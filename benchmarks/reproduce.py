"""Run the experiments of a file and summarise them: ``python -m benchmarks.reproduce paper --seeds 5``.

Reads benchmarks/NAME.toml, writes benchmarks/results/NAME.json: experiment -> arm -> mean, ci95 (Student's t) and per_seed of the
success rate, and for each seed all else that the command reported and who measured it (``provenance.py``). What is done is kept in
runs/reproduce, so that the same command goes on where it stopped (what was run by another command, or before what it comes after,
is run again), and one file may use the skills of another. Nothing else should run meanwhile.
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
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.provenance import ROOT, measured
from h_dqn.files import write_text
from h_dqn.statistics import mean_interval

RUNS = ROOT / "runs" / "reproduce"
CORES = os.cpu_count() or 1
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
NOT_KEPT = ("run", "heads", "tasks", "command", "when", "temperature")  # of a result: kept elsewhere in the summary, or no result
Summary = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Cell:
    """One command with one seed."""

    experiment: str
    arm: str
    command: str
    seed: int
    after: tuple[str, ...] = ()
    """experiments, or experiment.arm, whose commands with this seed must be done before"""

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
        return RUNS / f"s{self.seed}" / self.name

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

    def run(self, episodes: int, after: Iterable[Cell] = ()) -> None:
        """Run the command, on one core, unless it was run since those that it comes after. Raises if it fails."""
        result = self.result
        if result is not None and all(other.reported.get("when", 0) <= result.get("when", 0) for other in after):
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        line = self.line.replace("{runs}", str(self.folder.parent.relative_to(ROOT)))
        arguments = [*line.split(), "--episodes", str(episodes), "--json"]
        if "--library" not in arguments:
            arguments += ["--library", str(self.folder.parent / "skills")]
        if arguments[0] == "train":
            arguments += ["--runs", str(self.folder.parent), "--name", self.folder.name]
        environment = {**os.environ, **ONE_THREAD}
        print(f"h-dqn {line}", file=sys.stderr, flush=True)
        done = subprocess.run(
            [Path(sys.executable).with_name("h-dqn"), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"failed: h-dqn {line}\n{done.stderr[-2000:]}")
        self.folder.mkdir(parents=True, exist_ok=True)
        result = json.loads(done.stdout.splitlines()[-1])
        known = {key: result[key] for key in ("temperature",) if key in result}
        known = {"command": self.command, "when": time.time(), "measured": measured(f"h-dqn {self.line}", self.seed, **known)}
        write_text(self.folder / "reported.json", json.dumps({**result, **known}) + "\n")


def cells(file: str, seed: int) -> list[Cell]:
    """The commands of one seed, in the order of the file."""
    doc = tomllib.loads((ROOT / "benchmarks" / f"{file}.toml").read_text())
    after, found = doc.get("after", {}), []
    for name, command in doc["run"].items():
        experiment, _, arm = name.partition(".")
        for word, meaning in doc.get("let", {}).items():
            command = command.replace(f"{{{word}}}", meaning)
        found.append(Cell(experiment, arm, command, seed, (*after.get(experiment, ()), *after.get(name, ()))))
    return found


def run_all(todo: list[Cell], episodes: int, side_by_side: int = CORES) -> Iterator[Cell]:
    """Run commands, so many side by side, the first that may begin first; yields each when it is done."""
    waiting, running = list(todo), dict[Future[None], Cell]()
    with ThreadPoolExecutor(side_by_side) as pool:
        while waiting or running:
            for cell in list(waiting):
                if len(running) < side_by_side and not any(map(cell.waits_for, [*waiting, *running.values()])):
                    waiting.remove(cell)
                    running[pool.submit(cell.run, episodes, filter(cell.waits_for, todo))] = cell
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                yield running.pop(future)


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
    arguments = parser.parse_args()
    path = ROOT / "benchmarks" / "results" / f"{arguments.name}.json"
    more = path.exists() and (arguments.first > 1 or arguments.only)
    summary: Summary = json.loads(path.read_text()) if more else {}
    todo = [cell for seed in range(arguments.first, arguments.seeds + 1) for cell in cells(arguments.name, seed)]
    if arguments.only:
        todo = [cell for cell in todo if cell.experiment == arguments.only]
        if not todo:
            parser.error(f"--only {arguments.only}: no experiment of benchmarks/{arguments.name}.toml")
    for cell in run_all(todo, arguments.episodes):
        add(summary, cell)
        write_text(path, json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()

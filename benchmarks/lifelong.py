"""Lives through sequences, ours beside the baselines: ``python -m benchmarks.lifelong``, or some tables of it by name.

A cell is one agent with one seed in one table; cells are run one at a time, each by a command of its own, which goes on where it
was stopped, as this command does. Results are kept as they come in benchmarks/results/lifelong.json: table -> agent -> ``runs`` (by
seed: metrics, ledger and who measured it) and ``summary`` (interquartile mean over seeds and its bootstrap interval). What is
relative to scratch is so to the life of the agent ``scratch`` of the same seed, or of the last one that there is. Nothing else
should run meanwhile. ``--list`` says what is done and what is not.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.provenance import ROOT, measured
from benchmarks.reproduce import ONE_THREAD
from h_dqn.experiment.lifelong_result import LIFELONG, read_lifelong
from h_dqn.experiment.lives import against_scratch
from h_dqn.experiment.run_folder import RUN, RunFolder
from h_dqn.files import write_text
from h_dqn.statistics import iqm_interval

RUNS, RESULTS = ROOT / "runs" / "lifelong", ROOT / "benchmarks" / "results" / "lifelong.json"
OURS, BASELINE = 5, 3  # seeds
BASELINES = ("scratch", "finetune", "replay", "ewc", "packnet", "clear", "joint")
WITHOUT_ID = tuple(name for name in BASELINES if name not in ("scratch", "packnet"))
SCRATCH = "scratch"


@dataclass(frozen=True)
class Table:
    """Agents that live through one sequence and are told the same."""

    sequence: str
    regime: str
    arms: dict[str, str]
    """name in the table -> flags after ``h-dqn lifelong SEQUENCE --regime REGIME``"""
    scratch: str = "voxel20-id"
    """table whose agent ``scratch`` it is compared with"""
    most: int = OURS
    """seeds at most"""


def _agents(*names: str) -> dict[str, str]:
    return {name: f"--agent {name}" for name in names}


TABLES: dict[str, Table] = {
    "voxel20-id": Table("voxel20", "id", _agents(*BASELINES, "library")),
    "voxel20-announced": Table("voxel20", "announced", _agents(*WITHOUT_ID, "library")),
    "voxel20-hidden": Table("voxel20", "hidden", _agents(*WITHOUT_ID, "library")),
    "revisit-id": Table("revisit", "id", _agents(SCRATCH, "finetune", "library"), "revisit-id"),
    "drift-hidden": Table("drift", "hidden", _agents("finetune", "replay", "clear", "library"), ""),
    "voxel10-cures": Table("voxel10", "id", {
        "l2 init": "--agent finetune --l2-init 1e-4",
        "shrink and perturb": "--agent finetune --shrink 1e-4",
        "redo": "--agent finetune --redo-every 300",
    }),
    "voxel10-ablation": Table("voxel10", "id", {
        "library": "--agent library",
        "without trials": "--agent library --trial-episodes 0",
        "without distillation": "--agent library --distil-updates 0",
        "with skills as options": "--agent library --skill-options learned",
        "with random-weight skills": "--agent library --skill-options random",
        "with elimination": "--agent library --eliminate",
        "with a self-tuned discount": "--agent library --tune-discount",
        "with l2 init": "--agent library --l2-init 1e-4",
    }),
    "long-life-id": Table("long_life", "id", {
        "library": "--agent library --probe-every 60000 --end-episodes 50",
        "finetune": "--agent finetune --probe-every 600000 --end-episodes 50",
    }, "", 1),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One life."""

    table: str
    arm: str
    seed: int

    @property
    def folder(self) -> Path:
        return RUNS / self.table / f"{self.arm.replace(' ', '-')}-s{self.seed}"

    @property
    def line(self) -> str:
        """What is typed after ``h-dqn``."""
        table = TABLES[self.table]
        return f"lifelong {table.sequence} --regime {table.regime} {table.arms[self.arm]} --seed {self.seed}"

    def run(self) -> None:
        """Live, or go on, to the end; nothing where that is over. Exits if it fails."""
        if RunFolder(self.folder).result is not None:
            return
        where = ["--runs", str(self.folder.parent), "--name", self.folder.name]
        words = ["resume", str(self.folder)] if (self.folder / RUN).exists() else [*shlex.split(self.line), *where]
        print(f"h-dqn {shlex.join(words)}", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, "-m", "h_dqn", *words], cwd=ROOT, env={**os.environ, **ONE_THREAD})
        if done.returncode:
            raise SystemExit(done.returncode)

    @property
    def result(self) -> dict[str, Any]:
        """Metrics, matrix and ledger of a life that is over."""
        life, table = read_lifelong(self.folder), TABLES[self.table]
        others = [RUNS / table.scratch / f"{SCRATCH}-s{seed}" for seed in range(self.seed, 0, -1)]
        scratch = next((folder for folder in others if (folder / LIFELONG).exists()), None) if table.scratch else None
        found = life["metrics"] if scratch is None else against_scratch(self.folder, scratch)
        return {"metrics": found, **{part: life[part] for part in ("matrix", "noticed", "stages", "ledger")}}


def cells(tables: list[str]) -> Iterator[Cell]:
    """In the order in which they are run: a seed of all arms after the other, scratch first."""
    for table in tables:
        for seed in range(1, OURS + 1):
            for arm, flags in TABLES[table].arms.items():
                seeds = OURS if "library" in flags and table != "voxel10-ablation" else BASELINE
                if seed <= min(seeds, TABLES[table].most):
                    yield Cell(table, arm, seed)


def add(summary: dict[str, Any], cell: Cell) -> None:
    """Add a life that is over, and work out its arm's figures anew."""
    entry = summary.setdefault(cell.table, {}).setdefault(cell.arm, {"runs": {}})
    entry["runs"][str(cell.seed)] = {**cell.result, "measured": measured(f"h-dqn {cell.line}", cell.seed)}
    runs = [run for run in entry["runs"].values() if "metrics" in run]
    names = [name for name, value in runs[0]["metrics"].items() if isinstance(value, float)]
    values = {name: [run["metrics"].get(name) for run in runs] for name in names}
    entry["summary"] = {
        name: dict(zip(("iqm", "low", "high"), iqm_interval(each), strict=True))
        for name, each in values.items()
        if all(isinstance(value, float) for value in each)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)} (default: all)")
    parser.add_argument("--list", action="store_true", help="only say what is done")
    arguments = parser.parse_args()
    if unknown := set(arguments.tables) - set(TABLES):
        parser.error(f"unknown table '{min(unknown)}' (known: {', '.join(TABLES)})")
    summary: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for cell in cells(arguments.tables or list(TABLES)):
        kept = str(cell.seed) in summary.get(cell.table, {}).get(cell.arm, {}).get("runs", {})
        if arguments.list:
            print(f"{'done' if kept else 'open'}  {cell.table}: {cell.arm}, seed {cell.seed}: h-dqn {cell.line}")
        elif not kept:
            cell.run()
            add(summary, cell)
            write_text(RESULTS, json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()

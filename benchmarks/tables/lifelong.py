"""Lives through sequences: a table for each of :data:`benchmarks.lifelong.TABLES`, which says what of it is not measured yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.lifelong import TABLES, cells
from benchmarks.tables import results
from benchmarks.tables.cells import covers, middle
from benchmarks.tables.table import Cell, Table, cell, row

# of a run's metrics -> the column's head and how a value is written; a column is there where any agent of the table has it
COLUMNS = {
    "average_performance": ("success at the end", ".1%"),
    "performance_of_scratch": ("of that of scratch", ".3f"),
    "forgetting": ("forgetting", ".3f"),
    "forward_transfer_new": ("forward transfer, new tasks", ".2f"),
    "forward_transfer_again": ("the same where they come again", ".2f"),
    "newest_task_slope": ("slope of newest tasks, a phase", ".4f"),
    "probe_slope": ("slope of the plasticity probe", ".4f"),
}
NOTICED = {"precision": "changes noticed, precision", "recall": "recall"}


def life(name: str) -> Table | str:
    """The table of this name; a line where none of its lives was lived."""
    command, arms = f"`python -m benchmarks.lifelong {name}`", results.figures("lifelong").get(name, {})
    planned: dict[str, list[str]] = {}
    for one in cells([name]):
        planned.setdefault(one.arm, []).append(str(one.seed))
    if not any(arm["runs"] for arm in arms.values()):
        return f"{command}: not measured yet, {sum(map(len, planned.values()))} lives through `{TABLES[name].sequence}`."
    runs = {arm: list(arms.get(arm, {"runs": {}})["runs"].values()) for arm in planned}
    columns = {key: said for key, said in COLUMNS.items() if any(_values(each, key) for each in runs.values())}
    noticed = {key: said for key, said in NOTICED.items() if any(_noticed(each, key) for each in runs.values())}
    rows = []
    for arm, seeds in planned.items():
        shown = [_cell(_values(runs[arm], key), form, runs[arm]) for key, (_, form) in columns.items()]
        shown += [_cell(_noticed(runs[arm], key), ".2f", runs[arm]) for key in noticed]
        missing = [seed for seed in seeds if seed not in arms.get(arm, {"runs": {}})["runs"]]
        weights = [run["ledger"]["weights"] for run in runs[arm]]
        lived = f"{len(seeds) - len(missing)} of {len(seeds)}" + f"; missing: {', '.join(missing)}" * bool(missing)
        rows.append(row(arm, lived, *shown, cell(f"{max(weights):,}", runs[arm]) if weights else ""))
    head = (f"`{TABLES[name].sequence}`, told: {TABLES[name].regime}", "seeds", *(said for said, _ in columns.values()),
            *noticed.values(), "weights that play")  # fmt: skip
    most = max(map(len, runs.values()))
    return Table(f"{command}, {covers(most)} where there are {most} seeds" if most > 1 else command, head, rows)


def _values(runs: list[dict[str, Any]], name: str) -> list[float]:
    return [run["metrics"][name] for run in runs if run["metrics"].get(name) is not None]


def _noticed(runs: list[dict[str, Any]], name: str) -> list[float]:
    return [run["noticed"][name] for run in runs if run.get("noticed", {}).get(name) is not None]


def _cell(values: list[float], form: str, runs: list[dict[str, Any]]) -> Cell | str:
    return cell(middle(values, form), runs) if values else ""


LIVES: Mapping[str, Callable[[], Table | str]] = {f"life-{name}": partial(life, name) for name in TABLES}

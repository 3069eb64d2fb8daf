"""``h-dqn report``: what runs logged, as one page: curves with intervals over seeds, arms side by side, options, discount."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h_dqn.experiment.errors import FOR_PEOPLE, UserError
from h_dqn.experiment.lives_compared import lives_of
from h_dqn.experiment.run_folder import RUN
from h_dqn.experiment.runs import known_run
from h_dqn.experiment.versions import versions
from h_dqn.files import write_text
from h_dqn.metrics import METRICS, Row, read_metrics
from h_dqn.report import page
from h_dqn.report.curves import CURVES, PATHS, SHARES, charts, level, share_of_area, shares, summary

NOT_AN_ARM = ("seed", "name", "addresses", "instances")  # of a plan: what seeds of one arm may differ in
MOST_RUNS = 500


@dataclass(frozen=True)
class LoggedRun:
    """A run's folder, as far as it can be read."""

    folder: Path
    rows: list[Row]
    plan: dict[str, Any]
    result: dict[str, Any] | None


def write_report(runs: Sequence[str | Path], path: str | Path = "report.html", title: str = "") -> Path:
    """Write the page of these runs.

    Args:
        runs: folders of runs, or folders in which runs are.
        path: of the page.
        title: of the page.
    Raises :class:`UserError` where a folder holds none that logged anything.
    """
    path = Path(path)
    write_text(path, page("report", title or ", ".join(Path(run).name or str(run) for run in runs)[:120], report_data(runs)))
    return path


def report_data(runs: Sequence[str | Path]) -> dict[str, Any]:
    """What the page shows: runs that differ in their seed alone are one arm."""
    found = [read_run(folder) for folder in folders_of(runs)]
    arms: dict[str, list[LoggedRun]] = {}
    for name, run in zip(names_of([run.plan for run in found]), found, strict=True):
        label = name or run.folder.name
        arms.setdefault(label, []).append(run)
    rows = {name: [run.rows for run in members] for name, members in arms.items()}
    return {
        "versions": versions(),
        "arms": [{"name": name, "runs": [str(run.folder) for run in members]} for name, members in arms.items()],
        "curves": charts(rows, CURVES),
        "paths": charts(rows, PATHS),
        "options": [shares(name, seeds, prefix) for prefix in SHARES for name, seeds in rows.items()],
        "lives": lives_of({name: [run.folder for run in members] for name, members in arms.items()}),
        "table": [row_of(name, members) for name, members in arms.items()],
        "runs": [run_row(name, run) for name, members in arms.items() for run in members],
    }


def folders_of(runs: Sequence[str | Path]) -> list[Path]:
    """Folders with metrics, at or below those given, each once."""
    found: dict[Path, None] = {}
    for run in map(Path, runs):
        inside = (
            [run] if (run / METRICS).is_file() else [file.parent for file in sorted(run.rglob(METRICS))] if run.is_dir() else []
        )
        if not inside:
            raise UserError(f"{run}: no run is kept here, nor in its folders ({METRICS} is missing)")
        found |= dict.fromkeys(inside)
    if len(found) > MOST_RUNS:
        raise UserError(f"{len(found)} runs are too many for a page; give at most {MOST_RUNS}")
    return list(found)


def read_run(folder: Path) -> LoggedRun:
    """What a run logged; its plan and result where they can be read. Raises as :func:`h_dqn.metrics.read_metrics`."""
    plan: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    rows = list(read_metrics(folder))
    if not rows:
        raise UserError(f"{folder}: this run has logged nothing yet")
    if (folder / RUN).exists():
        try:
            known = known_run(folder)
            plan, result = known.plan, known.result
        except FOR_PEOPLE:
            pass  # its metrics can be shown all the same
    return LoggedRun(folder, rows, plan, result)


def flat(plan: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Settings by their dotted names, those in which seeds may differ left out."""
    found: dict[str, str] = {}
    for name, value in plan.items():
        if name in NOT_AN_ARM or (before and name == "seed"):
            continue
        found |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": str(value)}
    return found


def names_of(plans: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each run: kind and task, and the settings in which it differs from others; empty where there is no plan."""
    settings = [flat(plan) for plan in plans]
    known = [one for one in settings if one]
    keys = list(dict.fromkeys(key for one in known for key in one))
    differ = [key for key in keys if len({one.get(key) for one in known}) > 1]
    said = []
    for plan, one in zip(plans, settings, strict=True):
        first = " ".join(str(plan[key]) for key in ("kind", "task") if plan.get(key))
        rest = [f"{key.rpartition('.')[2]} {one[key]}" for key in differ if key in one and key not in ("kind", "task")]
        said.append(", ".join([first, *rest][:8]) if one else "")
    return said


def row_of(name: str, members: Sequence[LoggedRun]) -> dict[str, Any]:
    """An arm's line in the table."""
    results = [run.result or {} for run in members]
    return {
        "arm": name,
        "runs": len(members),
        "level": summary([level(run.rows, "train_success") for run in members]),
        "area": summary([share_of_area(run.rows, "train_success") for run in members]),
        "evaluated": summary([float(one["success_rate"]) for one in results if "success_rate" in one]),
        "to_95": summary([float(one["env_steps_to_95"]) for one in results if one.get("env_steps_to_95")]),
        "seconds": summary([seconds for run in members if (seconds := seconds_of(run)) is not None]),
        "steps": summary([run.rows[-1]["env_steps"] for run in members if "env_steps" in run.rows[-1]]),
    }


def seconds_of(run: LoggedRun) -> float | None:
    """Time to learn: of a run that is over as its result has it, since the rows of a life count it for each stage alone."""
    found = (run.result or {}).get("seconds", run.rows[-1].get("seconds"))
    return None if found is None else float(found)


def run_row(name: str, run: LoggedRun) -> dict[str, Any]:
    """A run's line in the table of runs."""
    result, last = run.result or {}, run.rows[-1]
    return {
        "folder": str(run.folder), "arm": name, "seed": run.plan.get("seed"), "env_steps": last.get("env_steps"),
        "seconds": seconds_of(run), "level": level(run.rows, "train_success"), "success": result.get("success_rate"),
        "ci95": result.get("ci95"),
    }  # fmt: skip

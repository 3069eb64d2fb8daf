"""A life as one page: what ``lifelong.json``, ``metrics.jsonl`` and ``films.json`` of its folder say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from h_dqn.experiment.errors import UserError
from h_dqn.experiment.lifelong_result import ABOUT, LIFELONG, Seen, read_lifelong
from h_dqn.experiment.versions import versions
from h_dqn.files import write_text
from h_dqn.metrics import METRICS, Row, read_metrics
from h_dqn.reading import read_json, short
from h_dqn.report import page
from h_dqn.report.curves import CURVES, PATHS, POINTS, SHARES, charts, shares
from h_dqn.statistics import wilson

FILMS, PAGE = "films.json", "life.html"
LARGEST = 64 << 20  # bytes of the films
SHOWN = {name: title for name, title in (CURVES | PATHS).items() if name != "validation_success"}  # a life validates nothing
A_PHASE = 24  # points of a curve for each phase


def write_page(folder: Path) -> Path:
    """Write the page of a life that is over, into its folder. Raises :class:`UserError` where none is kept there."""
    path, data = folder / PAGE, life_data(folder)
    plan = data["plan"]
    write_text(path, page("life", f"{plan['agent']} through {Path(plan['task']).stem}", data))
    return path


def life_data(folder: Path) -> dict[str, Any]:
    """What the page shows."""
    life = read_lifelong(folder)
    seen, plan = life["seen"], life["plan"]
    rows = list(read_metrics(folder)) if (folder / METRICS).is_file() else list[Row]()
    points = max(POINTS, A_PHASE * len(life["phases"]))
    try:
        return {
            "versions": versions(),
            "plan": {name: plan[name] for name in ("task", "agent", "regime", "preset", "seed")},
            "probe": {name: plan.get(name) for name in ("probe_task", "probe_every", "probe_steps")},
            "tasks": [task["name"] for task in life["tasks"]],
            "phases": life["phases"],
            "evaluations": [_evaluation(one, plan) for one in seen],
            "stages": life["stages"],
            "noticed": life["noticed"],
            "probes": life.get("probes", []),
            "metrics": [_metric(life, name) for name in ABOUT if name in life["metrics"]],
            "lists": {name: value for name, value in life["metrics"].items() if isinstance(value, list)},
            "ledger": life["ledger"],
            "curves": charts({"": [rows]}, SHOWN, points),
            "options": [one for prefix in SHARES if (one := shares("", [rows], prefix, points))["options"]],
            "films": _films(folder),
        }
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{folder / LIFELONG}: is no result of h-dqn lifelong ({short(error)})") from error


def _evaluation(one: Seen, plan: dict[str, Any]) -> dict[str, Any]:
    """Success on each task and its 95 % interval (Wilson)."""
    episodes = int(plan["end_episodes" if one.end else "episodes"])
    spread = [wilson(round(rate * episodes), episodes) for rate in one.success]
    return {
        "env_steps": one.env_steps, "phase": one.phase, "phase_steps": one.phase_steps, "end": one.end, "episodes": episodes,
        "success": one.success, "low": [low for low, _ in spread], "high": [high for _, high in spread],
    }  # fmt: skip


def _metric(life: dict[str, Any], name: str) -> dict[str, Any]:
    low, high = life.get("intervals", {}).get(name) or (None, None)
    return {"name": name, "value": life["metrics"][name], "low": low, "high": high, "about": ABOUT[name]}


def _films(folder: Path) -> list[Any]:
    """Those that are there."""
    if not (folder / FILMS).is_file():
        return []
    films = read_json(folder / FILMS, LARGEST)
    if not isinstance(films, list):
        raise ValueError(f"{FILMS} holds no films")
    return films

"""The result files."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.provenance import ROOT


def figures(name: str) -> Any:
    """What is in benchmarks/results/NAME.json; nothing where it was not measured."""
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def by_seed(name: str) -> list[dict[str, Any]]:
    """The runs of a command of ``measure.py``, by seed."""
    runs: dict[str, dict[str, Any]] = figures(name).get("runs", {})
    return [runs[seed] for seed in sorted(runs, key=int)]
